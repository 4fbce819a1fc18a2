"""When a process is ready, and what it says when it is not."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from landbridge.control.readiness import Readiness, RoundHistory
from landbridge.domain.errors import OperatorError

SWEEP_SECONDS = 300.0


class Store:
    """A database that answers as the test says."""

    def __init__(self) -> None:
        self.questions = 0
        self.answers = asyncio.Event()
        self.answers.set()
        self.error: Exception | None = None

    async def read(self, look: Callable[[Any], Any]) -> Any:
        del look
        self.questions += 1
        await self.answers.wait()
        if self.error is not None:
            raise self.error

    async def write(self, work: Callable[[Any], Any]) -> Any:
        raise AssertionError("nobody writes to learn whether it answers")


class Hand:
    """A monotonic clock that the test moves."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def hand() -> Hand:
    return Hand()


@pytest.fixture
def history(hand: Hand) -> RoundHistory:
    return RoundHistory(monotonic=hand)


def codes(history: RoundHistory) -> list[str]:
    return [reason.code for reason in history.reasons(SWEEP_SECONDS)]


def test_a_process_is_unready_until_its_first_sweep_has_ended(history: RoundHistory):
    history.finished("round")
    assert codes(history) == ["not-swept"]

    history.finished("sweep")
    assert codes(history) == []


def test_a_single_failing_round_is_no_reason_and_the_third_in_a_row_is(history: RoundHistory):
    history.finished("sweep")
    history.failed()
    history.failed()
    assert codes(history) == []

    history.failed()
    assert codes(history) == ["rounds-failing"]

    history.finished("round")
    assert codes(history) == []


def test_held_removals_are_a_reason_until_they_are_not_held_any_more(history: RoundHistory):
    history.held(12)
    history.finished("sweep")
    assert codes(history) == ["sweep-held"]
    assert "12 removals" in history.reasons(SWEEP_SECONDS)[0].message

    history.held(0)
    assert codes(history) == []


def test_sweeps_that_stay_away_are_a_reason(history: RoundHistory, hand: Hand):
    history.finished("sweep")
    hand.seconds += 3 * SWEEP_SECONDS
    assert codes(history) == []

    hand.seconds += 1
    assert codes(history) == ["sweep-overdue"]


def test_a_standby_is_ready_and_says_what_it_is(history: RoundHistory):
    history.leads(is_leader=False)
    assert codes(history) == []
    assert history.facts() == {"owns_data_plane": True, "is_leader": False}

    history.leads(is_leader=True)
    assert codes(history) == ["not-swept"]


def test_a_process_without_a_data_plane_has_nothing_to_sweep():
    assert codes(RoundHistory(owns_data_plane=False)) == []


async def test_a_database_that_refuses_is_named_and_asked_again(hand: Hand):
    store, history = Store(), RoundHistory(owns_data_plane=False)
    readiness = Readiness(store, history, SWEEP_SECONDS, hand)
    store.error = OperatorError("the database: the disk is full: make room")

    report = await readiness.report()
    assert not report.is_ready
    assert [(reason.code, reason.message) for reason in report.reasons] == [
        ("database-refuses", "the database: the disk is full: make room")
    ]

    store.error = None
    hand.seconds += 1.5
    assert (await readiness.report()).is_ready


async def test_many_who_ask_are_one_question_to_the_database(hand: Hand):
    store = Store()
    readiness = Readiness(store, RoundHistory(owns_data_plane=False), SWEEP_SECONDS, hand)
    store.answers.clear()
    asking = [asyncio.create_task(readiness.report()) for _ in range(20)]
    await asyncio.sleep(0)
    store.answers.set()

    reports = await asyncio.gather(*asking)
    await readiness.report()

    assert all(report.is_ready for report in reports)
    assert store.questions == 1


async def test_a_silent_database_is_a_reason_and_no_question_is_added_while_it_is_silent(hand: Hand):
    store = Store()
    readiness = Readiness(store, RoundHistory(owns_data_plane=False), SWEEP_SECONDS, hand, database_seconds=0.01)
    store.answers.clear()

    for _ in range(3):
        report = await readiness.report()
        assert [reason.code for reason in report.reasons] == ["database-silent"]
        hand.seconds += 60
    assert store.questions == 1

    store.answers.set()
    await asyncio.sleep(0)
    assert (await readiness.report()).is_ready
