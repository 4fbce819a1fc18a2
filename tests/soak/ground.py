"""A deployment as an operator has it, whose processes are started again whenever they end."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tests.e2e.deployment import Deployment, envoy_of
from tests.postgresql import PostgresqlServer, running_postgresql
from tests.soak.load import FIRST_SERVER_PORT, PORTS_EACH, Site

Database = Literal["sqlite", "postgresql"]
WORKERS = 4
HOSTS = {f"web-{number}": f"10.0.0.{20 + number}" for number in range(3)}
CLIENT, CLIENT_ADDRESS = "client-1", "10.0.0.10"
STEADY_PORT = FIRST_SERVER_PORT + WORKERS * PORTS_EACH
"""Of the service that nobody touches."""
KEYS = {"acme": ("ACMEKEY", "acme-secret"), "globex": ("GLOBEXKEY", "globex-secret")}
_ON_HOST = Path(__file__).with_name("on_host.py")
_LOOK_SECONDS = 0.1
_START_SECONDS = 90
LAB = """\
region: {region}
projects:
  - name: acme
    users: [{{name: acme-admin, password: acme-password, access_key: ACMEKEY, secret_key: acme-secret}}]
  - name: globex
    users: [{{name: globex-admin, password: globex-password, access_key: GLOBEXKEY, secret_key: globex-secret}}]
vpcs:
  - name: acme-vpc
    project: acme
    cidr: 10.0.0.0/16
    subnets: [{{name: web, cidr: 10.0.0.0/24, hosts: [{hosts}]}}]
  - name: globex-vpc
    project: globex
    cidr: 10.0.0.0/16
    subnets: [{{name: apps, cidr: 10.0.0.0/24, hosts: [{{name: {client}, ip: {address}}}]}}]
"""
_SETTINGS = """\
region = "{region}"
rate_requests_per_second = 0
rate_failed_signins_per_minute = 0
quota_endpoint_services = 1000
quota_endpoints = 1000
"""


@dataclass
class Kept:
    """A process that is started again when it ends, as systemd does."""

    name: str
    command: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0


@dataclass
class Ground:
    """What runs."""

    deployment: Deployment
    server: PostgresqlServer | None
    kept: list[Kept] = field(default_factory=list[Kept])
    _ended: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def site(self) -> Site:
        """What the load has to know."""
        return Site(self.deployment.url, self.deployment.ids(), KEYS, list(HOSTS), CLIENT_ADDRESS)

    @property
    def victims(self) -> list[str]:
        """What can be killed."""
        return [*(one.name for one in self.kept), "envoy", *(["database"] if self.server else [])]

    def start(self) -> None:
        """Start everything, and wait until it answers and carries."""
        threading.Thread(target=self._keep_alive, name="supervisor", daemon=True).start()
        self.wait_until_up()
        self._wait_for_the_lab()
        for name in HOSTS:
            self.start_on_host(name, "backend", name, str(FIRST_SERVER_PORT), str(WORKERS * PORTS_EACH + 1))

    def start_on_host(self, host: str, *words: str) -> subprocess.Popen[str]:
        """Start what `on_host` has on a host, and wait until it is ready."""
        process = self.deployment.start_on_host(host, "python3", str(_ON_HOST), *words)
        assert process.stdout is not None
        if words[0] != "ask":
            assert process.stdout.readline() == "ready\n", f"{words} does not start on {host}"
        return process

    def kill(self, victim: str) -> bool:
        """Kill a process as the kernel does when memory is out; return whether there was one."""
        if victim == "database":
            assert self.server is not None
            self.server.stop(signal.SIGKILL)
            self.server.start()
            return True
        with contextlib.suppress(ProcessLookupError, AssertionError):
            os.kill(envoy_of(self.deployment) if victim == "envoy" else self._pid_of(victim), signal.SIGKILL)
            return True
        return False

    def wait_until_up(self) -> None:
        """Wait until somebody answers."""
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                assert self.deployment.get_version(timeout_seconds=10)["id"] == "v1"
                return
            except OSError:
                assert time.monotonic() < deadline, self.deployment.log.read_text()[-4000:]
                time.sleep(_LOOK_SECONDS)

    def _wait_for_the_lab(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while subprocess.run(self.deployment.on_host(CLIENT, "true"), check=False, capture_output=True).returncode:
            assert time.monotonic() < deadline, self.deployment.log.read_text()[-4000:]
            time.sleep(_LOOK_SECONDS)

    @property
    def restarts(self) -> int:
        """How often a process was started again."""
        return sum(max(0, one.starts - 1) for one in self.kept)

    def stop(self) -> None:
        """End everything, and take the lab down."""
        self._ended.set()
        with self._lock:
            for one in self.kept:
                if one.process is not None:
                    one.process.kill()
                    one.process.wait(20)
        self.deployment.clean_up()

    def _pid_of(self, victim: str) -> int:
        process = next(one.process for one in self.kept if one.name == victim)
        assert process is not None
        return process.pid

    def _keep_alive(self) -> None:
        while not self._ended.wait(_LOOK_SECONDS):
            with self._lock:
                for one in self.kept:
                    if not self._ended.is_set() and (one.process is None or one.process.poll() is not None):
                        self._start(one)

    def _start(self, one: Kept) -> None:
        with self.deployment.log.open("ab") as log:
            one.process = subprocess.Popen(one.command, stdout=log, stderr=log, env=self.deployment.environment())
        one.starts += 1


@contextlib.contextmanager
def ground(database: Database) -> Iterator[Ground]:
    """Run everything until the block ends: one process on SQLite; an API, two agents and a server on PostgreSQL."""
    with contextlib.ExitStack() as stack:
        home = Path(tempfile.mkdtemp(prefix="landbridge-soak-"))
        stack.callback(shutil.rmtree, home, ignore_errors=True)
        region = f"soak-{database[:2]}-{os.getpid()}"
        deployment = Deployment([], home, region, home / "log")
        hosts = ", ".join(f"{{name: {name}, ip: {address}}}" for name, address in HOSTS.items())
        deployment.lab.write_text(LAB.format(region=region, hosts=hosts, client=CLIENT, address=CLIENT_ADDRESS))
        config, settings = home / "settings.toml", _SETTINGS.format(region=region)
        server = stack.enter_context(running_postgresql()) if database == "postgresql" else None
        if server is not None:
            settings += f'database = "{server.url(server.new_database())}"\n'
        config.write_text(settings)
        made = Ground(deployment, server)
        made.kept = [Kept(name, deployment.command(*words)) for name, *words in _commands(made, config)]
        stack.callback(made.stop)
        made.start()
        yield made


def _commands(made: Ground, config: Path) -> Iterator[Sequence[str]]:
    deployment = made.deployment
    common = ("--config", str(config), "--state", str(deployment.state))
    listen = ("--listen", f"127.0.0.1:{deployment.port}")
    lab = ("--lab", str(deployment.lab), "--keep")
    if made.server is None:
        yield ("server", "serve", *common, *listen, *lab)
    else:
        yield ("api", "api", *common, *listen)
        yield ("agent", "agent", *common, *lab)
        yield ("other agent", "agent", *common, *lab)
