"""Keep everything in one SQLite file: one writer thread, a few readers, each with its own connection.

The file is in WAL mode with synchronous=FULL: readers never wait for the writer, and a commit is on disk when it
returns. Python's own transaction control is switched off; the BEGINs are ours. One server at a time has the file (a
lock in the state directory); a command may write beside it, since a writer takes the file's lock at once and waits for
it, and nothing that a transaction reads is kept in memory for the next one.
"""

import contextlib
import os
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from sqlalchemy import Connection, Engine, QueuePool, create_engine, event
from sqlalchemy.exc import DBAPIError

from landbridge.control.protocols import Clock, ReadTransaction, WriteTransaction
from landbridge.domain.errors import OperatorError
from landbridge.store.failures import FileFailures, as_operator_error
from landbridge.store.readers import READER_COUNT, Readers
from landbridge.store.schema import HEAD, check_is_at_head, check_is_known, create, migrate, schema_version
from landbridge.store.writer import GroupWriter

T = TypeVar("T")

_BUSY_SECONDS = 5


class SystemClock:
    """The clock of the machine."""

    def now(self) -> datetime:
        """Return the current moment, aware and in UTC."""
        return datetime.now(UTC)


class SqliteStore:
    """The database in a file (`control.protocols.Store`)."""

    def __init__(self, readers: Readers, writer: GroupWriter | None, engines: tuple[Engine, ...]) -> None:
        self._readers = readers
        self._writer = writer
        self._engines = engines

    @classmethod
    def open(cls, path: Path, *, clock: Clock | None = None, read_only: bool = False, has_server: bool = False) -> Self:
        """Open the database, creating or migrating it unless `read_only`, or `has_server`: a server uses it now.

        Raises:
            OperatorError: it cannot be opened, is damaged, belongs to something else or to a newer version.
        """
        if not read_only and not has_server:
            _make_private(path)
        reading = _engine(path, may_write=False)
        writing = None if read_only else _engine(path, may_write=True)
        engines = (reading,) if writing is None else (writing, reading)
        try:
            if writing is not None and not has_server:
                _prepare(writing)
            with reading.connect() as connection:
                check_is_at_head(schema_version(connection))
        except BaseException as error:
            for engine in engines:
                engine.dispose()
            if isinstance(error, DBAPIError):
                raise as_operator_error(error, path) from error
            raise
        writer = None if writing is None else GroupWriter(writing, clock or SystemClock(), FileFailures())
        return cls(Readers(reading, FileFailures()), writer, engines)

    async def read(self, look: Callable[[ReadTransaction], T]) -> T:
        """Run `look` in a read transaction and return its result."""
        return await self._readers.read(look)

    async def write(self, work: Callable[[WriteTransaction], T]) -> T:
        """Run `work` in a transaction; when this returns, what it wrote is on disk."""
        if self._writer is None:
            raise OperatorError("the database was opened for reading only")
        return await self._writer.write(work)

    def close(self) -> None:
        """Finish what waits and close all connections. Closing twice is no error."""
        if self._writer is not None:
            self._writer.close()
        self._readers.close()
        for engine in self._engines:
            engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _make_private(path: Path) -> None:
    """Make the file if it is absent, so that nobody but its owner can read password hashes and tenants' networks.

    The state directory may be older than we are, and open. SQLite gives the files beside it the mode of this one.
    """
    # It is there, or cannot be: SQLite says so, in words that we know.
    with contextlib.suppress(OSError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def _engine(path: Path, *, may_write: bool) -> Engine:
    """Return an engine whose connections begin as we say: a writer takes the lock at once, a reader a snapshot."""
    mode = "rwc" if may_write else "rw"
    # A URI of our own making: a path may contain characters that mean something in SQLAlchemy's URLs.
    uri = f"{path.absolute().as_uri()}?mode={mode}"

    def connect() -> sqlite3.Connection:
        raw = sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            raw.executescript(
                f"PRAGMA foreign_keys = ON; PRAGMA synchronous = FULL; PRAGMA query_only = {not may_write};"
            )
        except sqlite3.Error:
            raw.close()
            raise
        return raw

    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if may_write else "BEGIN")

    pool_size = 1 if may_write else READER_COUNT
    engine = create_engine("sqlite://", creator=connect, poolclass=QueuePool, pool_size=pool_size)
    event.listen(engine, "begin", begin)
    return engine


def _prepare(writing: Engine) -> None:
    """Create or migrate the tables if they are not those of this version."""
    with writing.connect() as connection:
        # The mode cannot change inside a transaction, so this goes past SQLAlchemy's BEGIN.
        _run_raw(connection, "PRAGMA journal_mode = WAL")
        with connection.begin():
            version = schema_version(connection)
            check_is_known(version)
            if version is None:
                create(connection)
            elif version != HEAD:
                migrate(connection)


def _run_raw(connection: Connection, statement: str) -> None:
    cursor = connection.connection.cursor()
    try:
        cursor.execute(statement)
    except sqlite3.Error as error:
        raise DBAPIError(statement, None, error) from error
    finally:
        cursor.close()
