import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, QueuePool, create_engine, event

from landbridge.control.protocols import ReadTransaction
from landbridge.domain.errors import OperatorError
from landbridge.store.failures import FileFailures
from landbridge.store.readers import PATIENCE_SECONDS, READER_COUNT, Readers

FOR_EVER = 600.0


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    url = f"sqlite:///{tmp_path / 'any.db'}"
    engine = create_engine(url, poolclass=QueuePool, pool_size=READER_COUNT, connect_args={"check_same_thread": False})
    yield engine
    engine.dispose()


@pytest.fixture
def began(engine: Engine) -> list[str]:
    """The threads in which transactions began."""
    threads: list[str] = []

    def note(*_: object) -> None:
        threads.append(threading.current_thread().name)

    event.listen(engine, "checkout", note)
    return threads


@pytest.fixture
def patient(engine: Engine) -> Iterator[Readers]:
    """Readers of whom a second one never begins while the first is at work."""
    readers = Readers(engine, FileFailures(), patience_seconds=FOR_EVER)
    yield readers
    readers.close()


@pytest.fixture
def readers(engine: Engine) -> Iterator[Readers]:
    readers = Readers(engine, FileFailures(), patience_seconds=PATIENCE_SECONDS)
    yield readers
    readers.close()


class Held:
    """A look that takes until it is let go."""

    def __init__(self) -> None:
        self.began = threading.Event()
        self._let_go = threading.Event()

    def __call__(self, _: ReadTransaction) -> str:
        self.began.set()
        assert self._let_go.wait(10)
        return "held"

    def let_go(self) -> None:
        self._let_go.set()


def look(_: ReadTransaction) -> bool:
    return True


async def test_all_who_wait_share_one_transaction(patient: Readers, began: list[str]):
    slow = Held()
    first = asyncio.create_task(patient.read(slow))
    await asyncio.to_thread(slow.began.wait, 10)
    others = asyncio.gather(*(patient.read(look) for _ in range(10)))
    await asyncio.sleep(0)

    slow.let_go()

    assert await first == "held"
    assert await others == [True] * 10
    assert len(began) == 2


async def test_looks_one_after_the_other_need_one_thread(patient: Readers, began: list[str]):
    for _ in range(20):
        await patient.read(look)

    assert len(began) == 20
    assert len(set(began)) == 1


async def test_who_takes_long_keeps_nobody_waiting_who_came_later(readers: Readers):
    slow = Held()
    waiting = asyncio.create_task(readers.read(slow))
    await asyncio.to_thread(slow.began.wait, 10)

    assert await asyncio.wait_for(readers.read(look), 10)

    assert not waiting.done()
    slow.let_go()
    assert await waiting == "held"


async def test_as_many_read_at_once_as_there_are_threads_and_whoever_is_ready_first_takes_the_next(readers: Readers):
    looks = [Held() for _ in range(READER_COUNT)]
    waiting: list[asyncio.Task[str]] = []
    for held in looks:
        waiting.append(asyncio.create_task(readers.read(held)))
        await asyncio.to_thread(held.began.wait, 10)
        assert held.began.is_set()
    queued = asyncio.create_task(readers.read(look))

    looks[2].let_go()

    assert await asyncio.wait_for(queued, 10)
    for held in looks:
        held.let_go()
    assert await asyncio.gather(*waiting) == ["held"] * READER_COUNT


def test_a_loop_that_ended_while_it_kept_watch_is_replaced(readers: Readers):
    slow = Held()

    async def leave_in_the_middle() -> None:
        left = [asyncio.create_task(readers.read(slow))]
        await asyncio.to_thread(slow.began.wait, 10)
        # Its watch begins, and never comes to look.
        left.append(asyncio.create_task(readers.read(look)))
        await asyncio.sleep(0)

    asyncio.run(leave_in_the_middle())

    async def come_later() -> bool:
        return await asyncio.wait_for(readers.read(look), 10)

    assert asyncio.run(come_later())
    slow.let_go()


async def test_a_look_that_fails_fails_alone(patient: Readers):
    def fail(_: ReadTransaction) -> None:
        raise ValueError("mine")

    def stop(_: ReadTransaction) -> None:
        raise StopIteration

    found = await asyncio.gather(*(patient.read(one) for one in (look, fail, look, stop, look)), return_exceptions=True)

    assert [found[0], found[2], found[4]] == [True, True, True]
    assert isinstance(found[1], ValueError)
    assert isinstance(found[3], RuntimeError)


async def test_who_has_gone_away_is_not_looked_for(patient: Readers):
    slow, looked = Held(), threading.Event()
    first = asyncio.create_task(patient.read(slow))
    await asyncio.to_thread(slow.began.wait, 10)
    gone = asyncio.create_task(patient.read(lambda _: looked.set()))
    await asyncio.sleep(0)

    gone.cancel()
    await asyncio.sleep(0)
    slow.let_go()

    assert await first == "held"
    assert await patient.read(look)
    assert not looked.is_set()


async def test_what_waits_is_done_before_the_threads_end_and_nothing_afterwards(patient: Readers):
    slow = Held()
    first = asyncio.create_task(patient.read(slow))
    await asyncio.to_thread(slow.began.wait, 10)
    second = asyncio.create_task(patient.read(look))
    await asyncio.sleep(0)
    slow.let_go()

    await asyncio.to_thread(patient.close)

    assert await first == "held"
    assert await second
    with pytest.raises(OperatorError, match="closed"):
        await patient.read(look)
