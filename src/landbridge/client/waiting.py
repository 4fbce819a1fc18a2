"""Follow a resource until its status says that it is settled.

A goal names the status words that end the wait well and those that end it badly; every other word, also one
that this version does not know, means: look again. A server that does not answer for a while is no end
either, because requests it has acknowledged survive its restart.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Generic, TypeVar

from landbridge.client.rest import ApiError, Unreachable
from landbridge.domain.lifecycle import EndpointStatus, ServiceStatus

FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 1.0
PAUSE_GROWTH = 1.3

GONE = "gone"
"""Stands for the status of a resource that is not there any more."""

UNREACHABLE = "no answer, trying again"

Resource = TypeVar("Resource", bound=Mapping[str, object])


class Verdict(Enum):
    """How a wait ended."""

    REACHED = auto()
    FAILED = auto()
    TIMED_OUT = auto()


@dataclass(frozen=True, slots=True)
class Goal:
    """Which status words end the wait, well or badly."""

    reached: frozenset[str]
    failed: frozenset[str]

    def verdict(self, status: str) -> Verdict | None:
        """Return how the wait ends at this status, None if it goes on."""
        if status in self.reached:
            return Verdict.REACHED
        return Verdict.FAILED if status in self.failed else None


SERVICE_AVAILABLE = Goal(
    reached=frozenset({ServiceStatus.AVAILABLE.value}),
    failed=frozenset({ServiceStatus.FAILED.value, ServiceStatus.DELETING.value, GONE}),
)
ENDPOINT_CREATED = Goal(
    # Pending ends the wait as well: what comes next is up to somebody else, and may take days.
    reached=frozenset({EndpointStatus.ACCEPTED.value, EndpointStatus.PENDING_ACCEPTANCE.value}),
    failed=frozenset({EndpointStatus.FAILED.value, EndpointStatus.REJECTED.value, EndpointStatus.DELETING.value, GONE}),
)
CONNECTION_ACCEPTED = Goal(
    reached=frozenset({EndpointStatus.ACCEPTED.value}),
    failed=frozenset({EndpointStatus.FAILED.value, EndpointStatus.REJECTED.value, EndpointStatus.DELETING.value, GONE}),
)
CONNECTION_REJECTED = Goal(
    reached=frozenset({EndpointStatus.REJECTED.value}),
    failed=frozenset({EndpointStatus.FAILED.value, EndpointStatus.DELETING.value, GONE}),
)
DELETED = Goal(reached=frozenset({GONE}), failed=frozenset({"failed"}))


@dataclass(frozen=True, slots=True)
class Waited(Generic[Resource]):
    """What was seen last, and how the wait ended. `resource` is None if it is gone or was never seen."""

    verdict: Verdict
    status: str
    resource: Resource | None
    waited_seconds: float


def pauses() -> Iterator[float]:
    """Yield the seconds between looks: short at first, growing to a second."""
    pause = FIRST_PAUSE_SECONDS
    while True:
        yield pause
        pause = min(pause * PAUSE_GROWTH, LONGEST_PAUSE_SECONDS)


def wait_for(
    goal: Goal,
    look: Callable[[], Resource | None],
    report: Callable[[str, float], None],
    timeout_seconds: float,
    first: Resource | None = None,
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Waited[Resource]:
    """Look at a resource until the goal or the time is reached.

    `look` returns None when the resource is gone. `first` is what the answer of the request already showed.
    `report` is called once for every change of status, with the seconds since the start.
    """
    started = now()
    seen: Resource | None = None
    status = told = ""
    pause = pauses()
    look_now = look if first is None else lambda: first
    while True:
        try:
            seen = look_now()
            note = status = str(seen["status"]) if seen else GONE
        except (Unreachable, ApiError) as error:
            if not is_passing(error):
                raise
            note = UNREACHABLE
        elapsed = now() - started
        if note != told:
            report(note, elapsed)
            told = note
        verdict = goal.verdict(note)
        if verdict is None and elapsed >= timeout_seconds:
            verdict = Verdict.TIMED_OUT
        if verdict is not None:
            return Waited(verdict, status or note, seen, elapsed)
        sleep(min(next(pause), max(timeout_seconds - elapsed, 0)))
        look_now = look


def is_passing(error: Unreachable | ApiError) -> bool:
    """Say whether a later look may succeed: the server restarts, or a gateway before it does."""
    return isinstance(error, Unreachable) or error.status in {429, 502, 503, 504}
