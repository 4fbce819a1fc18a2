"""Carry work from event loops to the threads that know the database, and what came of it back."""

from asyncio import AbstractEventLoop, Future
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy.exc import DBAPIError

from landbridge.store.failures import Failures


@dataclass(slots=True, eq=False)
class Job:
    """One waiting work, and after its turn what came of it. A waiter may go away meanwhile."""

    work: Callable[[Any], Any]
    loop: AbstractEventLoop
    waiter: Future[Any]
    result: Any = None
    error: BaseException | None = None

    def fail(self, error: BaseException, failures: Failures) -> None:
        """Note that the work raised this, in words for its waiter."""
        if isinstance(error, DBAPIError):
            self.error = failures.explained(error)
        elif isinstance(error, StopIteration):
            self.error = RuntimeError("the work let a StopIteration escape, which no future can carry")
        else:
            self.error = error
            return
        self.error.__cause__ = error

    def tell(self) -> None:
        """Wake the waiter; runs in its loop's own thread."""
        if self.waiter.done():
            return
        if self.error is None:
            self.waiter.set_result(self.result)
        else:
            self.waiter.set_exception(self.error)


def tell(jobs: Iterable[Job]) -> None:
    """Have all waiters woken. Each loop is woken once, however many of its works are done."""
    jobs_by_loop: defaultdict[AbstractEventLoop, list[Job]] = defaultdict(list)
    for job in jobs:
        jobs_by_loop[job.loop].append(job)
    for loop, its_jobs in jobs_by_loop.items():
        try:
            loop.call_soon_threadsafe(_tell_all, its_jobs)
        except RuntimeError:
            continue  # That loop has been closed: nobody is left to hear it.


def _tell_all(jobs: list[Job]) -> None:
    for job in jobs:
        job.tell()
