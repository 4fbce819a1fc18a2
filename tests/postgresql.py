"""A real PostgreSQL server for the tests, of this run alone, and fresh databases on it.

It is the system's package, wherever its programs are. It listens on a unix socket in its own directory and nowhere
else. Root runs it as an ordinary user, because it refuses to be run by root. It ends with the process that started it,
even when that is killed. Its databases are sorted by the rules of a language, which must make no difference.
"""

import contextlib
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest

from landbridge.store.postgresql import Connect, PostgresqlStore

USER = "landbridge"
LOCKED_USER, LOCKED_PASSWORD = "locked", "lock's key"
"""A user who needs a password."""

_PREFIX = "lbt-pg-"
_SETTINGS = {
    "listen_addresses": "",
    # What a power cut would lose matters to nobody here; processes may be killed all the same.
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "100",
    "shared_buffers": "32MB",
    "max_wal_size": "256MB",
    "logging_collector": "off",
    "log_lock_waits": "on",
}


def connecting(url: str) -> Connect:
    """Return who connects to a database."""
    return lambda: psycopg.connect(url, autocommit=True, connect_timeout=5)


def programs() -> Path:
    """Return where the newest PostgreSQL of this machine has its programs."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    if found:
        return max(found, key=lambda path: int(path.parent.name))
    program = shutil.which("postgres")
    assert program is not None, "PostgreSQL is not installed: run `make setup` as root, or install postgresql"
    return Path(program).resolve().parent


def _owner() -> pwd.struct_passwd:
    """Return as whom the server runs: as we do, but never as root."""
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid())
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise AssertionError("root needs an ordinary user for the server: there is neither postgres nor nobody")


def _become(owner: pwd.struct_passwd) -> list[str]:
    # The signal comes when we die, whatever way that is: "immediate shutdown".
    ends_with_us = ["setpriv", "--pdeathsig=QUIT"]
    if os.geteuid() != 0:
        return ends_with_us
    return [*ends_with_us, f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups"]


@dataclass
class PostgresqlServer:
    """A server, running or not."""

    directory: Path
    process: subprocess.Popen[bytes] | None = None
    numbers: Iterator[int] = field(default_factory=itertools.count)
    settings: Mapping[str, str] = field(default_factory=_SETTINGS.copy)

    def url(self, database: str, user: str = USER) -> str:
        """Return where a database is, as the setting `database` takes it."""
        return f"postgresql://{user}@/{database}?host={self.directory}"

    def connecting(self, database: str, user: str = USER) -> Connect:
        """Return who connects to a database."""
        return connecting(self.url(database, user))

    def new_database(self, template: str = "template0") -> str:
        """Make a database and return its name."""
        name = f"db{next(self.numbers)}"
        self.administer(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return name

    def drop(self, database: str) -> None:
        """Remove a database, and end whatever uses it."""
        self.administer(f'DROP DATABASE "{database}" WITH (FORCE)')

    def administer(self, statement: str) -> None:
        """Run one statement outside of all databases of ours."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement.encode())

    def start(self) -> None:
        """Start it and wait until it takes connections, which after a crash takes a moment."""
        settings = [f"--{name}={value}" for name, value in self.settings.items()]
        command = [programs() / "postgres", "-D", self.directory / "data", "-k", self.directory, *settings]
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*_become(_owner()), *command], stdout=log, stderr=log, cwd=self.directory, start_new_session=True
            )
        deadline = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(self.url("postgres")).close()
                return
            except psycopg.Error:
                assert self.process.poll() is None, self.log()
                assert time.monotonic() < deadline, self.log()
                time.sleep(0.02)

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """End it: SIGINT in order, at once for its clients; SIGKILL as a crash. Ending it twice is no error."""
        if self.process is None:
            return
        self.process.send_signal(number)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(20)
        self.process = None

    def log(self) -> str:
        return (self.directory / "log").read_text(errors="replace")


def _remove_what_killed_runs_left() -> None:
    for directory in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        pid = directory.name.removeprefix(_PREFIX).partition("-")[0]
        if pid.isdigit() and not Path("/proc", pid).exists():
            shutil.rmtree(directory, ignore_errors=True)


@contextlib.contextmanager
def running_postgresql(**changes: str) -> Iterator[PostgresqlServer]:
    """Run a server from a directory of its own until the block ends; `changes` are settings that shall differ."""
    # Below pytest's own directory, no other user could reach it, and its socket's name would be too long.
    _remove_what_killed_runs_left()
    directory = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
    server = PostgresqlServer(directory, settings=_SETTINGS | changes)
    try:
        directory.chmod(0o755)
        owner = _owner()
        if os.geteuid() == 0:
            os.chown(directory, owner.pw_uid, owner.pw_gid)
        made = subprocess.run(
            [
                *_become(owner),
                programs() / "initdb",
                *("-D", directory / "data", "--username", USER, "--auth", "trust", "--encoding", "UTF8", "--no-sync"),
                *("--locale-provider", "icu", "--icu-locale", "en-US", "--locale", "C.UTF-8"),
            ],
            check=False,
            capture_output=True,
            text=True,
            cwd=directory,
        )
        assert made.returncode == 0, made.stderr
        access = directory / "data" / "pg_hba.conf"
        access.write_text(f"local all {LOCKED_USER} scram-sha-256\nlocal all all trust\n")
        server.start()
        server.administer(f"CREATE ROLE {LOCKED_USER} LOGIN PASSWORD '{LOCKED_PASSWORD.replace(chr(39), chr(39) * 2)}'")
        yield server
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresqlServer]:
    """One server for all tests of this process that need one. Whoever ends it has one of their own."""
    with running_postgresql() as server:
        yield server


@pytest.fixture(scope="session")
def postgresql_template(postgresql: PostgresqlServer) -> str:
    """Make the tables once: copying a database is quick."""
    name = postgresql.new_database()
    PostgresqlStore.open(postgresql.connecting(name)).close()
    return name


@pytest.fixture
def new_postgresql_database(postgresql: PostgresqlServer, postgresql_template: str) -> Iterator[Callable[[], str]]:
    """Make databases with Landbridge's tables for one test; return their names."""
    made: list[str] = []

    def make() -> str:
        made.append(postgresql.new_database(postgresql_template))
        return made[-1]

    yield make
    for name in made:
        postgresql.drop(name)
