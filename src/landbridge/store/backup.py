"""Copy a SQLite database to one file beside whoever uses it, and check a copy before it takes a database's place.

A copy is one moment's: all that was committed before it began, and nothing of what was committed later. It carries
texts of the state directory in a table of its own, which is taken out again, without a trace, before the copy is used.
"""

import contextlib
import os
import sqlite3
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import create_engine
from sqlalchemy.exc import DBAPIError

from landbridge.domain.errors import OperatorError
from landbridge.store.failures import as_operator_error
from landbridge.store.schema import check_is_known, schema_version

_CARRIED = "carried_state_files"
_MAKE_CARRIED = "CREATE TABLE carried_state_files (name TEXT PRIMARY KEY, contents TEXT NOT NULL)"
_FILL_CARRIED = "INSERT INTO carried_state_files VALUES (?, ?)"
_READ_CARRIED = "SELECT name, contents FROM carried_state_files"
_DROP_CARRIED = "DROP TABLE carried_state_files"
_COUNT = "SELECT (SELECT count(*) FROM services), (SELECT count(*) FROM endpoints)"
_BUSY_SECONDS = 5.0
_MAGIC = b"SQLite format 3\0"


@dataclass(frozen=True, slots=True)
class Contents:
    """What a copy of a database holds."""

    services: int
    endpoints: int
    schema: str
    """The migration that it is at."""


def copy_database(source: Path, target: Path, carried: Mapping[str, str]) -> Contents:
    """Copy a database into an empty file that nobody else reads, and check the copy; it is on disk on return.

    `carried` are the texts that go with it, by name.

    Raises:
        OperatorError: the source is no database of ours, is damaged or cannot be read, or the target cannot be written.
    """
    with _opened(source, may_write=False) as reading, _opened(target, may_write=True) as writing:
        with _in_words(source):
            # All pages in one step: one snapshot, in which writers hold us up no more than we do them.
            reading.backup(writing)
        with _in_words(target):
            writing.execute("PRAGMA journal_mode = DELETE")
            writing.execute("PRAGMA synchronous = FULL")
            writing.execute(_MAKE_CARRIED)
            writing.executemany(_FILL_CARRIED, list(carried.items()))
            writing.commit()
    contents = checked(target)
    _sync(target)
    return contents


def checked(path: Path) -> Contents:
    """Return what a database holds, after looking at all of it.

    Raises:
        OperatorError: it is no database of ours, is damaged, or comes from a newer version.
    """
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise OperatorError(f"{path} is no SQLite database: give a file that `landbridge backup` made")
    with _in_words(path):
        version = _version(path)
        if version is None:
            raise OperatorError(f"{path} holds no Landbridge database: give a file that `landbridge backup` made")
        with _opened(path, may_write=False) as connection:
            problems = [row[0] for row in connection.execute("PRAGMA integrity_check(3)") if row[0] != "ok"]
            problems += [
                f"a row of {row[0]} refers to nothing" for row in connection.execute("PRAGMA foreign_key_check")
            ]
            if problems:
                raise OperatorError(f"{path} is damaged ({'; '.join(problems[:3])}): use another copy")
            services, endpoints = connection.execute(_COUNT).fetchone()
    return Contents(services, endpoints, version)


def take_out_carried(path: Path) -> Mapping[str, str]:
    """Take what a copy carries out of it, and return it; nothing of it is left in the file. It is on disk on return.

    Raises:
        OperatorError: the file cannot be read or written.
    """
    with _in_words(path), _opened(path, may_write=True) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA secure_delete = ON")
        has_any = connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (_CARRIED,)).fetchone()
        carried: dict[str, str] = {}
        if has_any:
            carried = {str(name): str(text) for name, text in connection.execute(_READ_CARRIED)}
            connection.execute(_DROP_CARRIED)
            connection.commit()
            connection.execute("VACUUM")
    _sync(path)
    return carried


def let_go_of(path: Path) -> bool:
    """Make a database one whole file that nobody uses; return False if it is too damaged for that.

    Raises:
        OperatorError: somebody uses it.
    """
    try:
        with _opened(path, may_write=True, busy_seconds=0.5) as connection:
            # Leaving WAL needs the file for oneself: whoever has it open keeps a lock on it, also while idle.
            (mode,) = connection.execute("PRAGMA journal_mode = DELETE").fetchone()
    except sqlite3.DatabaseError as error:
        if "locked" not in str(error):
            return False
        raise OperatorError(
            f"a process uses {path}: end `landbridge api`, and whatever else has the state directory"
        ) from error
    return str(mode) == "delete"


def _version(path: Path) -> str | None:
    engine = create_engine("sqlite://", creator=lambda: sqlite3.connect(_uri(path), uri=True))
    try:
        with engine.connect() as connection:
            version = schema_version(connection)
    finally:
        engine.dispose()
    check_is_known(version)
    return version


def _uri(path: Path) -> str:
    # A URI of our own making, so that nothing in the path has a meaning; "rw" makes no file.
    return f"{path.absolute().as_uri()}?mode=rw"


@contextlib.contextmanager
def _opened(path: Path, *, may_write: bool, busy_seconds: float = _BUSY_SECONDS) -> Generator[sqlite3.Connection]:
    connection = sqlite3.connect(_uri(path), uri=True, timeout=busy_seconds)
    try:
        if not may_write:
            connection.execute("PRAGMA query_only = ON")
        yield connection
    finally:
        connection.close()


@contextlib.contextmanager
def _in_words(path: Path) -> Generator[None]:
    try:
        yield
    except (sqlite3.Error, DBAPIError) as error:
        raise as_operator_error(error, path) from error


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
