"""Give many small writes the price of one: everything that waits goes into one commit.

One thread owns the only connection that writes. Each work runs in a savepoint, so a work that fails is undone alone;
nobody hears of success before the commit that holds the work is on disk, and if that commit fails, everybody in it
hears so. A waiter that has gone away changes nothing for its neighbours.
"""

import contextlib
from asyncio import get_running_loop
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Final, TypeVar, cast

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from landbridge.control.actors import Actor, current_actor
from landbridge.control.protocols import Clock, WriteTransaction
from landbridge.domain.errors import OperatorError
from landbridge.store.audit import add_records
from landbridge.store.auditing import AuditedWriting
from landbridge.store.failures import Failures
from landbridge.store.jobs import Job, tell
from landbridge.store.rows import Values

T = TypeVar("T")

# Written out: as objects of SQLAlchemy's, they would cost as much as two questions more for each work.
_BEGIN_WORK: Final = "SAVEPOINT work"
_UNDO_WORK: Final = "ROLLBACK TO SAVEPOINT work"
_END_WORK: Final = "RELEASE SAVEPOINT work"


@dataclass(slots=True, eq=False, kw_only=True)
class _Write(Job):
    """One waiting work, and for whom it is done."""

    actor: Actor
    records: Sequence[Values] = ()


class GroupWriter:
    """The thread that writes."""

    def __init__(self, engine: Engine, clock: Clock, failures: Failures) -> None:
        self._engine = engine
        self._clock = clock
        self._failures = failures
        self._waiting: SimpleQueue[_Write | None] = SimpleQueue()
        self._lock = Lock()
        self._closed = False
        self._connection: Connection | None = None
        """The thread's own."""
        self._thread = Thread(target=self._serve, name="landbridge-writer", daemon=True)
        self._thread.start()

    async def write(self, work: Callable[[WriteTransaction], T]) -> T:
        """Run `work` in the next group and return its result once that is on disk."""
        loop = get_running_loop()
        job = _Write(work, loop, loop.create_future(), actor=current_actor())
        # Under the lock, so that no work comes to wait behind the end mark.
        with self._lock:
            if self._closed:
                raise OperatorError("the store is closed: nothing can be written any more")
            self._waiting.put(job)
        return cast("T", await job.waiter)

    def close(self) -> None:
        """Finish what waits, then end the thread."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._waiting.put(None)
        self._thread.join()

    def _serve(self) -> None:
        is_open = True
        while is_open:
            group, is_open = self._next_group()
            if not group:
                break
            try:
                self._commit(self._begun(), group)
            except Exception as error:  # Whatever it is, waiters must hear of it and the thread must go on.
                self._abandon()
                self._fail(group, error)
            tell(group)
        if self._connection is not None:
            self._connection.close()

    def _next_group(self) -> tuple[list[_Write], bool]:
        """Wait for work and return all that is there, and whether more may come."""
        group: list[_Write] = []
        job = self._waiting.get()
        while job is not None:
            if not job.waiter.cancelled():
                group.append(job)
            try:
                # The first one is worth waiting for, the others are taken as they are.
                job = self._waiting.get_nowait() if group else self._waiting.get()
            except Empty:
                return group, True
        return group, False

    def _begun(self) -> Connection:
        """Return the connection that was kept, or a fresh one, in a new transaction."""
        if self._connection is not None:
            try:
                self._connection.begin()
            except DBAPIError as error:
                # It may have died while nobody used it; nothing has been done yet.
                if not error.connection_invalidated:
                    raise
                self._abandon()
            else:
                return self._connection
        self._connection = self._engine.connect()
        self._connection.begin()
        return self._connection

    def _abandon(self) -> None:
        """Drop a connection whose state is unknown; the next group gets a new one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            # A thread that ends here would leave all waiters waiting; what is dropped may fail as it likes.
            with contextlib.suppress(SQLAlchemyError):
                connection.invalidate()
                connection.close()

    def _commit(self, connection: Connection, group: list[_Write]) -> None:
        for job in group:
            self._run(connection, job)
        # Last, and together: each by itself would cost as much as a change does.
        add_records(connection, [record for job in group if job.error is None for record in job.records])
        try:
            connection.commit()
        except DBAPIError as error:
            raise _CommitFailed(error) from error
        if any(job.error is None for job in group):  # else nothing was stored, and a full disk has room for that
            self._failures.answered()

    def _run(self, connection: Connection, job: _Write) -> None:
        connection.exec_driver_sql(_BEGIN_WORK)
        try:
            transaction = AuditedWriting(connection, self._clock, job.actor)
            job.result = job.work(transaction)
            job.records = transaction.records()
        except BaseException as error:  # Whatever it is belongs to the caller, not to this thread.
            if isinstance(error, DBAPIError) and error.connection_invalidated:
                raise  # The neighbours' work went with the connection.
            job.fail(error, self._failures)
            try:
                connection.exec_driver_sql(_UNDO_WORK)
                connection.exec_driver_sql(_END_WORK)
            except DBAPIError as lost:
                # SQLite has undone everything by itself (a full disk does that), the neighbours' work included.
                # Going on would acknowledge what is no longer there, so the whole group fails, for that reason.
                if isinstance(error, DBAPIError):
                    raise error from lost
                raise
        else:
            connection.exec_driver_sql(_END_WORK)

    def _fail(self, group: list[_Write], error: Exception) -> None:
        """Let all of a group fail for one reason, except those that have failed for reasons of their own."""
        is_unknown = False
        if isinstance(error, _CommitFailed):
            error = error.reason
            # The answer was lost, not the question.
            is_unknown = error.connection_invalidated
        for job in group:
            if job.error is None:
                job.error = self._failures.explained(error, is_outcome_unknown=is_unknown)
                job.error.__cause__ = error


class _CommitFailed(Exception):
    """The last step of a group failed; all before it had worked."""

    def __init__(self, reason: DBAPIError) -> None:
        super().__init__(str(reason))
        self.reason = reason
