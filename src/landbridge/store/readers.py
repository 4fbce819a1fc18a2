"""Let several reads go on at once, each in a thread with a connection and a snapshot of its own."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from landbridge.control.protocols import ReadTransaction
from landbridge.store.failures import Failures
from landbridge.store.reading import Reading

T = TypeVar("T")

READER_COUNT = 4


class Readers:
    """The threads that read. The engine begins each transaction as its kind of database needs."""

    def __init__(self, engine: Engine, failures: Failures) -> None:
        self._engine = engine
        self._failures = failures
        self._threads = ThreadPoolExecutor(READER_COUNT, thread_name_prefix="landbridge-reader")

    async def read(self, look: Callable[[ReadTransaction], T]) -> T:
        """Run `look` in a read transaction and return its result; it may be run twice."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._look, look)

    def close(self) -> None:
        """Finish what waits, then end the threads."""
        self._threads.shutdown()

    def _look(self, look: Callable[[ReadTransaction], T]) -> T:
        try:
            try:
                return self._look_once(look)
            except DBAPIError as error:
                # A connection that was kept may have died while nobody used it. All that were kept are dropped now,
                # so the next one is fresh; a look changes nothing, so it may begin again.
                if not error.connection_invalidated:
                    raise
                return self._look_once(look)
        except DBAPIError as error:
            raise self._failures.explained(error) from error
        except StopIteration as error:
            raise RuntimeError("the look let a StopIteration escape, which no future can carry") from error

    def _look_once(self, look: Callable[[ReadTransaction], T]) -> T:
        with self._engine.connect() as connection:
            found = look(Reading(connection))
        self._failures.answered()
        return found
