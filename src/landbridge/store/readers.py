"""Give many small reads the price of one: all that waits shares a connection, a thread and a snapshot.

As few threads as possible read at once. Two that both want the interpreter, and let go of it for each row, are slower
than one; a second one begins only if the first has not come back for more within some milliseconds. A snapshot is
never older than the wish to look: who waits is asked for before it begins.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Final, TypeVar, cast

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from landbridge.control.protocols import ReadTransaction
from landbridge.domain.errors import OperatorError
from landbridge.store.failures import Failures
from landbridge.store.jobs import Job, tell
from landbridge.store.reading import Reading

T = TypeVar("T")

READER_COUNT: Final = 4
_MOST_AT_ONCE: Final = 16
"""Looks of one snapshot. Who looked first hears of it when the last one has."""
PATIENCE_SECONDS: Final = 0.005
"""How long somebody waits for a thread that is at work, before another one is woken."""


class Readers:
    """The threads that read. The engine begins each transaction as its kind of database needs."""

    def __init__(self, engine: Engine, failures: Failures, *, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._patience_seconds = patience_seconds
        self._engine = engine
        self._failures = failures
        self._lock = Lock()
        """Over all that follows."""
        self._waiting: deque[Job] = deque()
        self._threads: list[Thread] = []
        self._active_count = 0
        """Threads that read, or have been woken to."""
        self._taken_count = 0
        """How often a thread came for what waits."""
        self._watcher: asyncio.AbstractEventLoop | None = None
        """The loop that will soon look whether what waits was taken."""
        self._is_closed = False
        self._wakeups: SimpleQueue[bool] = SimpleQueue()
        """False: end."""

    async def read(self, look: Callable[[ReadTransaction], T]) -> T:
        """Run `look` in a read transaction and return its result; it may be run twice.

        Raises:
            OperatorError: the store is closed.
        """
        loop = asyncio.get_running_loop()
        job = Job(look, loop, loop.create_future())
        with self._lock:
            if self._is_closed:
                raise OperatorError("the store is closed: nothing can be read any more")
            self._waiting.append(job)
            if self._active_count == 0:
                self._wake_one()
            else:
                self._watch(loop)
        return cast("T", await job.waiter)

    def close(self) -> None:
        """Finish what waits, then end the threads."""
        with self._lock:
            self._is_closed = True
            for _ in self._threads:
                self._wakeups.put(False)
            threads, self._threads = self._threads, []
        for thread in threads:
            thread.join()

    def _wake_one(self) -> None:
        if self._active_count == len(self._threads):
            thread = Thread(target=self._serve, name=f"landbridge-reader-{len(self._threads)}", daemon=True)
            thread.start()
            self._threads.append(thread)
        self._active_count += 1
        self._wakeups.put(True)

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """See to it that what waits is not left to a thread that takes long."""
        is_watched = self._watcher is not None and not self._watcher.is_closed()
        if not is_watched and self._active_count < READER_COUNT:
            self._watcher = loop
            loop.call_later(self._patience_seconds, self._relieve, loop, self._taken_count)

    def _relieve(self, loop: asyncio.AbstractEventLoop, taken_count: int) -> None:
        with self._lock:
            self._watcher = None
            if not self._waiting or self._is_closed:
                return
            if self._taken_count == taken_count and self._active_count < READER_COUNT:
                self._wake_one()
            self._watch(loop)

    def _serve(self) -> None:
        while self._wakeups.get():
            while group := self._next_group():
                self._look(group)
                tell(group)

    def _next_group(self) -> list[Job]:
        """Return what waits, as far as it goes into one snapshot; without any, the thread is no more active."""
        with self._lock:
            self._taken_count += 1
            group = [self._waiting.popleft() for _ in range(min(len(self._waiting), _MOST_AT_ONCE))]
            if not group:
                self._active_count -= 1
            return group

    def _look(self, group: Sequence[Job]) -> None:
        looked_count = 0
        try:
            with self._engine.connect() as connection:
                for job in group:
                    self._run(job, connection)
                    looked_count += 1
            self._failures.answered()
        except Exception:  # Whatever it is, waiters must hear of it and the thread must go on.
            # The kept connection may have died while nobody used it, or one look may have spoilt it for the others. A
            # look changes nothing, so all that are not done begin again, each by itself.
            for job in group[looked_count:]:
                self._look_alone(job)

    def _look_alone(self, job: Job) -> None:
        try:
            with self._engine.connect() as connection:
                self._run(job, connection)
            self._failures.answered()
        except Exception as error:  # As above.
            job.fail(error, self._failures)

    def _run(self, job: Job, connection: Connection) -> None:
        if job.waiter.cancelled():
            return
        try:
            job.result = job.work(Reading(connection))
        except DBAPIError:
            raise
        except BaseException as error:  # Whatever it is belongs to the caller, not to this thread.
            job.fail(error, self._failures)
