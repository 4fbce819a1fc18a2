"""Answers of somebody slow: how long they are used, and what many askers cost."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from landbridge.domain.errors import IdentityUnavailable
from landbridge.identity.asking import Answers, Bounds, Lanes, NoAnswer
from tests.unit.identity.identity_world import HandClock

BOUNDS = Bounds(fresh_for=timedelta(seconds=30), patience=timedelta(seconds=20), thread_count=1)
IMPATIENT = replace(BOUNDS, patience=timedelta(seconds=0.05))


class Authority:
    """Says yes to what it knows; keeps askers waiting while it is held."""

    def __init__(self, *known: str) -> None:
        self.known = set(known)
        self.asked: list[str] = []
        self.is_away = False
        self.before_answer: Callable[[], None] = lambda: None
        self._may_answer = threading.Event()
        self._may_answer.set()
        self._held: tuple[str, ...] = ()

    def ask(self, question: str) -> str | None:
        self.asked.append(question)
        if not self._held or question in self._held:
            assert self._may_answer.wait(20)
        self.before_answer()
        if self.is_away:
            raise NoAnswer("it is away")
        return question.upper() if question in self.known else None

    @contextmanager
    def held(self, *questions: str) -> Iterator[None]:
        """Answer none of these questions until the block ends, no question at all if none is named."""
        self._held = questions
        self._may_answer.clear()
        try:
            yield
        finally:
            self._may_answer.set()


class Heard:
    def __init__(self) -> None:
        self.answers = 0
        self.failures: list[str] = []

    def identity_answered(self) -> None:
        self.answers += 1

    def identity_failed(self, reason: str) -> None:
        self.failures.append(reason)


class World:
    """An authority that knows `ann`, and what is remembered of it."""

    def __init__(self, bounds: Bounds) -> None:
        self.clock = HandClock(datetime(2026, 11, 22, 17, 0, tzinfo=UTC))
        self.authority = Authority("ann")
        self.heard = Heard()
        self.lanes = Lanes("test", bounds)
        self.answers = Answers(self.authority.ask, self.lanes, bounds, self.clock, self.heard)

    async def asked(self, count: int) -> None:
        """Wait until the authority was asked so often."""
        for _ in range(20_000):
            if len(self.authority.asked) >= count:
                return
            await asyncio.sleep(0.001)
        raise AssertionError(f"only {self.authority.asked} were asked")


@pytest.fixture
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    made = World(getattr(request, "param", BOUNDS))
    yield made
    made.lanes.close()


def bounded(bounds: Bounds) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("world", [bounds], indirect=True, ids=[""])


async def test_an_answer_is_used_until_it_is_too_old(world: World):
    for seconds in (0, 29, 1):
        world.clock.forward(timedelta(seconds=seconds))
        assert await world.answers.get("ann") == "ANN"

    assert world.authority.asked == ["ann", "ann"]


async def test_an_answer_ages_from_when_its_question_was_asked(world: World):
    world.authority.before_answer = lambda: world.clock.forward(timedelta(seconds=30))

    for _ in range(2):
        assert await world.answers.get("ann") == "ANN"

    assert world.authority.asked == ["ann", "ann"]


async def test_what_was_withdrawn_is_refused_once_the_answer_is_too_old(world: World):
    assert await world.answers.get("ann") == "ANN"
    world.authority.known.clear()

    world.clock.forward(timedelta(seconds=30))

    assert await world.answers.get("ann") is None


async def test_a_clock_that_was_set_back_does_not_lengthen_an_answers_life(world: World):
    assert await world.answers.get("ann") == "ANN"
    world.authority.known.clear()

    world.clock.forward(timedelta(days=-1))

    assert await world.answers.get("ann") is None


async def test_a_no_is_used_for_ten_seconds(world: World):
    assert await world.answers.get("bob") is None
    world.authority.known.add("bob")

    world.clock.forward(timedelta(seconds=9))
    assert await world.answers.get("bob") is None
    world.clock.forward(timedelta(seconds=1))
    assert await world.answers.get("bob") == "BOB"


@bounded(replace(BOUNDS, fresh_for=timedelta(0)))
async def test_without_a_time_for_answers_every_question_is_asked(world: World):
    for name in ("ann", "ann", "bob", "bob"):
        await world.answers.get(name)

    assert world.authority.asked == ["ann", "ann", "bob", "bob"]


async def test_many_who_ask_the_same_at_once_cost_one_question(world: World):
    with world.authority.held():
        askers = [asyncio.create_task(world.answers.get("ann")) for _ in range(50)]
        await world.asked(1)

    assert await asyncio.gather(*askers) == ["ANN"] * 50
    assert world.authority.asked == ["ann"]


async def test_one_who_goes_away_takes_the_answer_from_nobody(world: World):
    with world.authority.held():
        leaving, staying = (asyncio.create_task(world.answers.get("ann")) for _ in range(2))
        await world.asked(1)
        leaving.cancel()

    assert await staying == "ANN"
    assert leaving.cancelled()


async def test_no_answer_is_not_a_no_and_is_not_remembered(world: World):
    world.authority.is_away = True
    with pytest.raises(IdentityUnavailable, match="try again"):
        await world.answers.get("ann")

    world.authority.is_away = False

    assert await world.answers.get("ann") == "ANN"
    assert (world.heard.failures, world.heard.answers) == (["it is away"], 1)


async def test_an_answer_that_is_not_too_old_bridges_a_failure(world: World):
    assert await world.answers.get("ann") == "ANN"
    world.authority.is_away = True

    assert await world.answers.get("ann") == "ANN"
    world.clock.forward(timedelta(seconds=30))
    with pytest.raises(IdentityUnavailable):
        await world.answers.get("ann")


@bounded(IMPATIENT)
async def test_nobody_waits_longer_than_is_bearable(world: World):
    with world.authority.held(), pytest.raises(IdentityUnavailable):
        await world.answers.get("ann")

    assert world.heard.failures[0] == "no answer within 0.05 seconds"


@bounded(IMPATIENT)
async def test_a_question_for_which_nobody_waits_any_more_is_not_asked(world: World):
    with world.authority.held():
        for name in ("ann", "bob"):
            with pytest.raises(IdentityUnavailable):
                await world.answers.get(name)

    await asyncio.to_thread(world.lanes.strange.threads.shutdown)
    assert world.authority.asked == ["ann"]


async def test_strangers_do_not_hinder_those_who_were_known_before(world: World):
    assert await world.answers.get("ann") == "ANN"
    world.clock.forward(timedelta(minutes=5))

    with world.authority.held("stranger"):
        stranger = asyncio.create_task(world.answers.get("stranger"))
        await world.asked(2)
        assert await world.answers.get("ann") == "ANN"
        assert not stranger.done()

    assert await stranger is None


@bounded(replace(BOUNDS, waiting_limit=2))
async def test_who_comes_when_too_many_wait_is_told_at_once(world: World):
    with world.authority.held():
        waiting = [asyncio.create_task(world.answers.get(f"stranger-{number}")) for number in range(3)]
        await world.asked(1)
        with pytest.raises(IdentityUnavailable):
            await world.answers.get("one more")
        assert "too many" in world.heard.failures[0]

    assert await asyncio.gather(*waiting) == [None] * 3
    assert await world.answers.get("one more") is None


@bounded(replace(BOUNDS, remembered_limit=3))
async def test_strangers_fill_no_memory_and_displace_nobody(world: World):
    assert await world.answers.get("ann") == "ANN"

    for number in range(20):
        await world.answers.get(f"stranger-{number}")

    assert len(world.answers) == 4
    assert await world.answers.get("ann") == "ANN"
    assert world.authority.asked.count("ann") == 1


async def test_nothing_is_kept_for_more_than_an_hour(world: World):
    await world.answers.get("ann")
    await world.answers.get("bob")

    world.clock.forward(timedelta(hours=1))
    await world.answers.get("carol")

    assert len(world.answers) == 1
