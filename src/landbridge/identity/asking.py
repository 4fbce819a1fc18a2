"""Ask somebody who is slow, perhaps far away, and remember for a short while what was answered.

Kept true: an answer is used at most `fresh_for` after its question was asked, so whatever is revoked there is refused
here within that time. One question is under way once, however many wait for it. Whoever waits is told within
`patience`. Everything is bounded: what is remembered, what is under way, what waits.

Strangers must not keep us from asking for others: questions that were answered with yes before have threads of their
own. Nobody is asked in order to renew an answer that nobody wants.
"""

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Generic, Protocol, TypeVar

from landbridge.control.protocols import Clock
from landbridge.domain.errors import IdentityUnavailable

T = TypeVar("T")
V = TypeVar("V")

LONGEST_REFUSAL: Final = timedelta(seconds=10)
"""How long a no is remembered at most: somebody may be about to make what was asked for."""

KNOWN_FOR: Final = timedelta(hours=1)
"""How long somebody is no stranger after the last yes; nothing is kept for longer, secrets among it."""

_TRY_AGAIN = "it cannot be known now who you are: try again in some seconds"


class NoAnswer(Exception):
    """Nothing was answered, or nothing that can be used; the text is for the operator."""


class AnswersObserver(Protocol):
    """Who hears whether answers come."""

    def identity_answered(self) -> None:
        """A question was answered."""
        ...

    def identity_failed(self, reason: str) -> None:
        """A question was not answered."""
        ...


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is asked and remembered."""

    fresh_for: timedelta
    """How long an answer is used; also how late a revocation is noticed."""
    patience: timedelta
    """How long anybody waits for an answer."""
    thread_count: int = 4
    """How many questions are under way at once, of strangers and of others each."""
    waiting_limit: int = 256
    """How many more wait for their turn, of strangers and of others each."""
    remembered_limit: int = 10_000
    """How many answers are remembered, yes and no each."""


@dataclass(frozen=True, slots=True)
class _Remembered(Generic[T]):
    value: T
    asked_at: datetime


class Lane:
    """Some threads that questions are asked in, and how many of them are under way or wait for their turn."""

    def __init__(self, name: str, bounds: Bounds) -> None:
        self.threads = ThreadPoolExecutor(bounds.thread_count, name)
        self.question_count = 0


class Lanes:
    """The threads for all that is asked of one place: some for strangers, some for who was known before."""

    def __init__(self, name: str, bounds: Bounds) -> None:
        self.strange = Lane(f"{name}-strange", bounds)
        self.known = Lane(f"{name}-known", bounds)

    def close(self) -> None:
        """Ask nothing any more."""
        for lane in (self.strange, self.known):
            lane.threads.shutdown(wait=False, cancel_futures=True)


class Answers(Generic[T]):
    """What somebody slow said lately. `ask` runs in a thread, returns None for no, and may raise `NoAnswer`."""

    def __init__(
        self, ask: Callable[[str], T | None], lanes: Lanes, bounds: Bounds, clock: Clock, observer: AnswersObserver
    ) -> None:
        self._ask = ask
        self._lanes = lanes
        self._bounds = bounds
        self._clock = clock
        self._observer = observer
        # By the hash of the question, which may be a secret, and is often long. The oldest answer comes first.
        self._affirmed: OrderedDict[bytes, _Remembered[T]] = OrderedDict()
        self._refused: OrderedDict[bytes, _Remembered[None]] = OrderedDict()
        self._under_way: dict[bytes, asyncio.Future[T | None]] = {}

    async def get(self, question: str) -> T | None:
        """Return the answer, asking if it is not remembered. The question is text that UTF-8 can write.

        Raises:
            IdentityUnavailable: nobody answered in time.
        """
        key = hashlib.sha256(question.encode()).digest()
        now = self._clock.now()
        affirmed = self._affirmed.get(key)
        if affirmed is not None and _is_fresh(affirmed.asked_at, now, self._bounds.fresh_for):
            return affirmed.value
        refused = self._refused.get(key)
        if refused is not None and _is_fresh(refused.asked_at, now, min(LONGEST_REFUSAL, self._bounds.fresh_for)):
            return None
        answer = self._under_way.get(key)
        if answer is None:
            lane = self._lanes.strange if affirmed is None else self._lanes.known
            answer = self._start_asking(lane, key, question, now)
        try:
            async with asyncio.timeout(self._bounds.patience.total_seconds()):
                # Shielded: others may wait for the same answer.
                return await asyncio.shield(answer)
        except NoAnswer as error:
            raise IdentityUnavailable(_TRY_AGAIN) from error
        except TimeoutError as error:
            self._observer.identity_failed(f"no answer within {self._bounds.patience.total_seconds():g} seconds")
            raise IdentityUnavailable(_TRY_AGAIN) from error

    def __len__(self) -> int:
        """Return how many answers are remembered, fresh or not."""
        return len(self._affirmed) + len(self._refused)

    def _start_asking(self, lane: Lane, key: bytes, question: str, now: datetime) -> "asyncio.Future[T | None]":
        if lane.question_count >= self._bounds.thread_count + self._bounds.waiting_limit:
            self._observer.identity_failed("too many questions wait for an answer")
            raise IdentityUnavailable(_TRY_AGAIN)
        deadline = time.monotonic() + self._bounds.patience.total_seconds()

        def ask_in_time() -> T | None:
            if time.monotonic() > deadline:
                raise NoAnswer("nobody waits for the answer any more")
            return self._ask(question)

        answer = asyncio.get_running_loop().run_in_executor(lane.threads, ask_in_time)
        lane.question_count += 1
        self._under_way[key] = answer
        # Before anybody waits for it: it is remembered when the first of them goes on.
        answer.add_done_callback(lambda done: self._take_answer(lane, key, now, done))
        return answer

    def _take_answer(self, lane: Lane, key: bytes, asked_at: datetime, answer: "asyncio.Future[T | None]") -> None:
        lane.question_count -= 1
        del self._under_way[key]
        if answer.cancelled():
            return
        error = answer.exception()
        if error is not None:
            self._observer.identity_failed(str(error) if isinstance(error, NoAnswer) else type(error).__name__)
            return
        self._observer.identity_answered()
        self._affirmed.pop(key, None)
        self._refused.pop(key, None)
        value = answer.result()
        if value is None:
            self._refused[key] = _Remembered(None, asked_at)
        else:
            self._affirmed[key] = _Remembered(value, asked_at)
        self._forget(self._affirmed)
        self._forget(self._refused)

    def _forget(self, remembered: OrderedDict[bytes, _Remembered[V]]) -> None:
        too_old = self._clock.now() - KNOWN_FOR
        while remembered:
            oldest = next(iter(remembered.values()))
            if len(remembered) <= self._bounds.remembered_limit and oldest.asked_at > too_old:
                return
            remembered.popitem(last=False)


def _is_fresh(asked_at: datetime, now: datetime, fresh_for: timedelta) -> bool:
    # A clock that was set back must not lengthen an answer's life.
    return asked_at <= now < asked_at + fresh_for
