"""Coordinate agents and API processes by a PostgreSQL server: an advisory lock for the leader, NOTIFY for hints.

Each has connections of its own, beside the store's: a session that holds a lock must not be one that a pool may close,
and a NOTIFY in a writing transaction would make all commits of the installation wait for each other.
"""

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final, LiteralString

import psycopg
import structlog

from landbridge.control.leadership import Lease
from landbridge.coordination.hints import Hint, read, written
from landbridge.coordination.joining import Joiner
from landbridge.domain.errors import OperatorError
from landbridge.domain.ids import PoolId

Connect = Callable[[], psycopg.Connection]
"""Opens a connection that commits by itself, or raises psycopg.Error or OperatorError within some seconds."""

PING_SECONDS: Final = 0.4
"""How often a leader asks whether it still leads, and a standby whether it may."""
_UNREACHABLE: Final = (psycopg.Error, OperatorError)
"""The second one is told of a password file that cannot be read: somebody may be about to replace it."""
_CHANNEL: Final = "landbridge"
_SESSION: Final[tuple[LiteralString, ...]] = (
    # A dead host's session, and so its lock, must end within seconds: the server finds out by itself.
    "SET tcp_keepalives_idle = 1",
    "SET tcp_keepalives_interval = 1",
    "SET tcp_keepalives_count = 2",
    "SET tcp_user_timeout = 2000",
    "SET statement_timeout = 1500",
)
_MOST_WAITING: Final = 1000
"""How many hints wait for a database that cannot be reached. Nothing is written to it meanwhile, so they are few."""
_TAKE: Final = "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))"
_RAISE_EPOCH: Final = "UPDATE pools SET epoch = epoch + 1 WHERE id = %s RETURNING epoch"
_EPOCH: Final = "SELECT epoch FROM pools WHERE id = %s"


class Candidate:
    """One agent that leads a pool, or would. Its thread asks the database from `start` to `stop`."""

    def __init__(
        self, connect: Connect, pool_id: PoolId, monotonic: Callable[[], float], on_lost: Callable[[str], None]
    ) -> None:
        """`on_lost` hears why it leads no more, once, in the candidate's thread."""
        self._connect = connect
        self._pool_id = pool_id
        self._monotonic = monotonic
        self._on_lost = on_lost
        self._leads = threading.Event()
        self._must_stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="leadership", daemon=True)
        self.lease = Lease(monotonic)

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def wait(self, timeout_seconds: float) -> bool:
        """Wait until this agent leads; return whether it does."""
        return self._leads.wait(timeout_seconds)

    def stop(self) -> None:
        """Give the lead away, if this agent has it, and end."""
        self.lease.lose()
        self._must_stop.set()
        self._thread.join()

    def _run(self) -> None:
        log = structlog.get_logger()
        while not self._must_stop.is_set():
            try:
                with self._connect() as connection:
                    for setting in _SESSION:
                        connection.execute(setting)
                    epoch = self._candidate(connection)
                    if epoch is not None:
                        log.info("leadership.taken", epoch=epoch)
                        self._lead(connection, epoch)
                        return
            except _UNREACHABLE as error:
                log.warning("leadership.unreachable", reason=str(error).strip())
                self._must_stop.wait(PING_SECONDS)

    def _candidate(self, connection: psycopg.Connection) -> int | None:
        """Return the epoch in which this agent leads, once it does; None when it was stopped before."""
        name = f"landbridge.pool.{self._pool_id}"
        while not self._must_stop.is_set():
            row = connection.execute(_TAKE, (name,)).fetchone()
            if row is not None and row[0]:
                asked_at = self._monotonic()
                raised = connection.execute(_RAISE_EPOCH, (self._pool_id,)).fetchone()
                if raised is None:
                    raise psycopg.DataError(f"the database has no pool {self._pool_id}")
                self.lease.renew(asked_at)
                return int(raised[0])
            self._must_stop.wait(PING_SECONDS)
        return None

    def _lead(self, connection: psycopg.Connection, epoch: int) -> None:
        self._leads.set()
        reason = "it was told to end"
        try:
            while not self._must_stop.wait(PING_SECONDS):
                asked_at = self._monotonic()
                row = connection.execute(_EPOCH, (self._pool_id,)).fetchone()
                if row is None or row[0] != epoch:
                    reason = "another agent leads the pool"
                    break
                self.lease.renew(asked_at)
        except psycopg.Error as error:
            reason = f"the session with the database has ended ({str(error).strip()})"
        # In any case: the lock goes with this session, and another agent may have it in a moment.
        self.lease.lose()
        if not self._must_stop.is_set():
            self._on_lost(reason)


class NotifiedHints:
    """Hints by LISTEN and NOTIFY (`coordination.hints.Hints`)."""

    def __init__(self, connect: Connect, on_hint: Callable[[Hint], None]) -> None:
        """Listen; `on_hint` is called in the running event loop, after each gap with `Hint(intent_written=True)`."""
        self._connect = connect
        self._on_hint = on_hint
        self._loop = asyncio.get_running_loop()
        self._joiner = Joiner(self._hand_over)
        self._waiting = deque[Hint](maxlen=_MOST_WAITING)
        self._has_work = threading.Event()
        self._must_stop = threading.Event()
        self._threads = (
            threading.Thread(target=self._listen, name="hints-in", daemon=True),
            threading.Thread(target=self._notify, name="hints-out", daemon=True),
        )
        for thread in self._threads:
            thread.start()

    def send(self, hint: Hint) -> None:
        """Tell all other processes, soon; this one hears it too."""
        self._joiner.add(hint)

    def close(self) -> None:
        """Say and hear no more."""
        self._must_stop.set()
        self._has_work.set()
        for thread in self._threads:
            thread.join()

    def _hand_over(self, hint: Hint) -> None:
        self._waiting.append(hint)
        self._has_work.set()

    def _notify(self) -> None:
        while not self._must_stop.is_set():
            with contextlib.suppress(*_UNREACHABLE), self._connect() as connection:
                self._say(connection)
            # A connection that is dead is only noticed by using it, so what was said on it is said again on the next.
            self._has_work.set()
            self._must_stop.wait(PING_SECONDS)

    def _say(self, connection: psycopg.Connection) -> None:
        while not self._must_stop.is_set():
            self._has_work.wait()
            self._has_work.clear()
            # Both ends may be used by two threads at once.
            while self._waiting and not self._must_stop.is_set():
                for text in written(self._waiting[0]):
                    connection.execute("SELECT pg_notify(%s, %s)", (_CHANNEL, text))
                self._waiting.popleft()

    def _listen(self) -> None:
        while not self._must_stop.is_set():
            with contextlib.suppress(*_UNREACHABLE), self._connect() as connection:
                connection.execute(f"LISTEN {_CHANNEL}")
                # Whatever was said while nobody listened is lost.
                self._hear(Hint(intent_written=True))
                self._follow(connection)
            self._must_stop.wait(PING_SECONDS)

    def _follow(self, connection: psycopg.Connection) -> None:
        asked_at = time.monotonic()
        while not self._must_stop.is_set():
            for notification in connection.notifies(timeout=PING_SECONDS):
                hint = read(notification.payload)
                if hint is not None:
                    self._hear(hint)
            # A connection that is cut without a word is only noticed by using it.
            if time.monotonic() - asked_at > 5:
                connection.execute("SELECT 1")
                asked_at = time.monotonic()

    def _hear(self, hint: Hint) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has been closed
            self._loop.call_soon_threadsafe(self._on_hint, hint)
