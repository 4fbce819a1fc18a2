"""Waiting follows the status words of contract section 5, on a clock that is passed in."""

from itertools import islice

import pytest

from landbridge.client.rest import ApiError, Unreachable
from landbridge.client.waiting import (
    CONNECTION_ACCEPTED,
    DELETED,
    ENDPOINT_CREATED,
    GONE,
    SERVICE_AVAILABLE,
    UNREACHABLE,
    Goal,
    Verdict,
    Waited,
    pauses,
    wait_for,
)

Seen = dict[str, object]


class Watch:
    """A clock that only sleeping moves, and a resource whose next states are written down."""

    def __init__(self, *states: str | Exception | None) -> None:
        self.states = list(states)
        self.now_seconds = 0.0
        self.told: list[str] = []

    def look(self) -> Seen | None:
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        if isinstance(state, Exception):
            raise state
        return None if state is None else {"status": state}

    def sleep(self, seconds: float) -> None:
        self.now_seconds += seconds

    def wait(self, goal: Goal, first: Seen | None = None, timeout_seconds: float = 10) -> Waited[Seen]:
        return wait_for(
            goal,
            self.look,
            lambda status, _: self.told.append(status),
            timeout_seconds,
            first,
            now=lambda: self.now_seconds,
            sleep=self.sleep,
        )


def test_pauses_begin_at_50_ms_and_grow_to_one_second():
    seconds = list(islice(pauses(), 30))

    assert seconds[0] == 0.05
    assert seconds == sorted(seconds)
    assert seconds[-1] == 1.0


def test_each_status_is_told_once():
    watch = Watch("creating", "creating", "creating", "available")

    waited = watch.wait(SERVICE_AVAILABLE)

    assert waited.verdict is Verdict.REACHED
    assert watch.told == ["creating", "available"]


def test_the_answer_of_the_request_may_already_be_the_end():
    watch = Watch(AssertionError("nobody needs to look"))

    waited = watch.wait(ENDPOINT_CREATED, first={"status": "pendingAcceptance"})

    assert (waited.verdict, waited.resource) == (Verdict.REACHED, {"status": "pendingAcceptance"})


def test_an_unknown_status_goes_on():
    assert Watch("upgrading", "available").wait(SERVICE_AVAILABLE).verdict is Verdict.REACHED


@pytest.mark.parametrize("goal", [SERVICE_AVAILABLE, ENDPOINT_CREATED, CONNECTION_ACCEPTED])
def test_what_is_gone_can_never_be_ready(goal: Goal):
    waited = Watch(None).wait(goal)

    assert (waited.verdict, waited.status, waited.resource) == (Verdict.FAILED, GONE, None)


def test_what_is_gone_is_deleted():
    watch = Watch("deleting", None)

    assert watch.wait(DELETED).verdict is Verdict.REACHED
    assert watch.told == ["deleting", GONE]


def test_the_time_out_is_kept_and_the_last_status_told():
    watch = Watch("creating")

    waited = watch.wait(SERVICE_AVAILABLE, timeout_seconds=3)

    assert (waited.verdict, waited.status) == (Verdict.TIMED_OUT, "creating")
    assert watch.now_seconds == pytest.approx(3)


def test_no_time_at_all_still_looks_once():
    assert Watch("available").wait(SERVICE_AVAILABLE, timeout_seconds=0).verdict is Verdict.REACHED


def test_a_server_that_restarts_is_waited_for():
    away = Unreachable("connection refused")
    watch = Watch("creating", away, ApiError(503, "HTTP 503", "busy", None), "available")

    assert watch.wait(SERVICE_AVAILABLE).verdict is Verdict.REACHED
    assert watch.told == ["creating", UNREACHABLE, "available"]


def test_a_refusal_ends_the_wait():
    with pytest.raises(ApiError):
        Watch(ApiError(403, "EndPoint.0004", "not allowed", None)).wait(SERVICE_AVAILABLE)
