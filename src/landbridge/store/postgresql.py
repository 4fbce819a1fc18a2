"""Keep everything in a PostgreSQL database: one writer thread, a few readers, each with its own connection.

Several processes may have it open. One transaction at a time writes in the whole installation, because each begins
with the same advisory lock: so revisions become visible in their order, and whoever counts quotas or looks for a free
address sees all that others did, as on SQLite. Grouping makes up for it: each process commits all that waits at once.
Reads never wait for writes. Nothing waits for ever: not for a connection, not for the lock, not for a silent server.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, LiteralString, Self, TypeVar

import psycopg
from sqlalchemy import Connection, Engine, QueuePool, create_engine, event
from sqlalchemy.exc import DBAPIError

from landbridge.control.protocols import Clock, ReadTransaction, WriteTransaction
from landbridge.domain.errors import OperatorError
from landbridge.store.postgresql_failures import ServerFailures, as_operator_error
from landbridge.store.postgresql_schema import check_is_suitable, prepare
from landbridge.store.readers import READER_COUNT, Readers
from landbridge.store.schema import check_is_at_head, schema_version
from landbridge.store.writer import GroupWriter

T = TypeVar("T")

Connect = Callable[[], psycopg.Connection]
"""Opens a connection that commits by itself, or raises psycopg.Error within some seconds."""

_OF_ALL: Final[LiteralString] = """
SET timezone = 'UTC';
SET tcp_keepalives_idle = 5;
SET tcp_keepalives_interval = 1;
SET tcp_keepalives_count = 3;
SET tcp_user_timeout = 5000;
"""
# A writer that stands still keeps all others from writing: a stopped process loses its transaction after five seconds.
# Whoever waits for the lock waits longer than that.
_OF_WRITERS: Final[LiteralString] = f"""{_OF_ALL}
SET lock_timeout = '10s';
SET statement_timeout = '30s';
SET idle_in_transaction_session_timeout = '5s';
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';
"""
_OF_READERS: Final[LiteralString] = f"""{_OF_ALL}
SET statement_timeout = '30s';
SET idle_in_transaction_session_timeout = '120s';
"""
_OF_MIGRATIONS: Final[LiteralString] = f"""{_OF_ALL}
SET statement_timeout = '600s';
SET idle_in_transaction_session_timeout = '120s';
"""
_BEGIN_WRITING: Final = (
    "BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock(hashtextextended('landbridge.writer', 0))"
)
_BEGIN_READING: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"
_BEGIN_MIGRATING: Final = "BEGIN ISOLATION LEVEL READ COMMITTED"
_PAUSE_SECONDS: Final = 1.0


class SystemClock:
    """The clock of the machine."""

    def now(self) -> datetime:
        """Return the current moment, aware and in UTC."""
        return datetime.now(UTC)


class PostgresqlStore:
    """The database on a server (`control.protocols.Store`)."""

    def __init__(self, readers: Readers, writer: GroupWriter | None, engines: tuple[Engine, ...]) -> None:
        self._readers = readers
        self._writer = writer
        self._engines = engines

    @classmethod
    def open(
        cls, connect: Connect, *, clock: Clock | None = None, read_only: bool = False, may_migrate: bool = True
    ) -> Self:
        """Open the database. It is created if it is empty, and migrated if it `may_migrate`, unless `read_only`.

        Raises:
            OperatorError: it cannot be used, belongs to something else or to a newer version.
        """
        if not read_only:
            _prepare(connect, may_migrate=may_migrate)
        door = _Door(connect)
        reading = _engine(door.connect, _OF_READERS, _BEGIN_READING, READER_COUNT)
        try:
            with reading.connect() as connection:
                check_is_suitable(connection)
                check_is_at_head(schema_version(connection))
        except BaseException as error:
            reading.dispose()
            if isinstance(error, DBAPIError):
                raise as_operator_error(error) from error
            raise
        failures = ServerFailures()
        readers = Readers(reading, failures)
        if read_only:
            return cls(readers, None, (reading,))
        writing = _engine(door.connect, _OF_WRITERS, _BEGIN_WRITING, 1)
        return cls(readers, GroupWriter(writing, clock or SystemClock(), failures), (writing, reading))

    async def read(self, look: Callable[[ReadTransaction], T]) -> T:
        """Run `look` in a read transaction and return its result. It may be run twice."""
        return await self._readers.read(look)

    async def write(self, work: Callable[[WriteTransaction], T]) -> T:
        """Run `work` in a transaction; when this returns, what it wrote is on the server's disk."""
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


class _Door:
    """Connects, but for a moment after a failure says no without trying.

    Where nobody answers, trying takes seconds: those who wait behind a few threads would wait for each other's tries.
    """

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._closed_until = 0.0
        self._reason = ""

    def connect(self) -> psycopg.Connection:
        """Return a new connection.

        Raises:
            psycopg.Error: there is none to be had, or was none a moment ago.
        """
        if time.monotonic() < self._closed_until:
            raise psycopg.OperationalError(self._reason)
        try:
            return self._connect()
        except psycopg.Error as error:
            self._reason = str(error)
            self._closed_until = time.monotonic() + _PAUSE_SECONDS
            raise


def _engine(connect: Connect, settings: LiteralString, begin_statement: str, pool_size: int) -> Engine:
    """Return an engine whose sessions have these settings, and whose transactions begin as we say."""

    def open_session() -> psycopg.Connection:
        raw = connect()
        try:
            raw.execute(settings)
        except BaseException:
            raw.close()
            raise
        return raw

    def begin(connection: Connection) -> None:
        # As it stands, without parameters: only so are two statements one question to the server.
        connection.exec_driver_sql(begin_statement, execution_options={"no_parameters": True}).close()

    engine = create_engine(
        "postgresql+psycopg://",
        creator=open_session,
        poolclass=QueuePool,
        pool_size=pool_size,
        max_overflow=0,
        use_native_hstore=False,
    )
    event.listen(engine, "begin", begin)
    return engine


def _prepare(connect: Connect, *, may_migrate: bool) -> None:
    engine = _engine(connect, _OF_MIGRATIONS, _BEGIN_MIGRATING, 1)
    try:
        prepare(engine, may_migrate=may_migrate)
    except DBAPIError as error:
        raise as_operator_error(error) from error
    finally:
        engine.dispose()
