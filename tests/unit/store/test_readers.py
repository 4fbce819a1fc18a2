import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, event

from landbridge.control.protocols import ReadTransaction
from landbridge.domain.errors import OperatorError
from landbridge.domain.ids import VpcId
from landbridge.store.sqlite import SqliteStore


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with SqliteStore.open(tmp_path / "landbridge.db") as store:
        yield store


@pytest.fixture
def begun() -> Iterator[list[str]]:
    """The threads in which transactions began."""
    threads: list[str] = []

    def note(_connection: Connection) -> None:
        threads.append(threading.current_thread().name)

    event.listen(Engine, "begin", note)
    yield threads
    event.remove(Engine, "begin", note)


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


def no_vpc(tx: ReadTransaction) -> bool:
    return tx.vpc(VpcId("nobody")) is None


async def test_all_who_wait_share_one_transaction(store: SqliteStore, begun: list[str]):
    assert await asyncio.gather(*(store.read(no_vpc) for _ in range(10))) == [True] * 10

    # The first one is not kept waiting for the others.
    assert len(begun) < 5


async def test_looks_one_after_the_other_need_one_thread(store: SqliteStore, begun: list[str]):
    for _ in range(20):
        await store.read(no_vpc)

    assert len(begun) == 20
    assert len(set(begun)) == 1


async def test_who_takes_long_keeps_nobody_waiting_who_came_later(store: SqliteStore):
    slow = Held()
    waiting = asyncio.create_task(store.read(slow))
    await asyncio.to_thread(slow.began.wait, 10)

    assert await asyncio.wait_for(store.read(no_vpc), 5)

    assert not waiting.done()
    slow.let_go()
    assert await waiting == "held"


async def test_as_many_read_at_once_as_there_are_threads_if_all_take_long(store: SqliteStore):
    looks = [Held() for _ in range(4)]
    waiting: list[asyncio.Task[str]] = []
    for look in looks:
        waiting.append(asyncio.create_task(store.read(look)))
        await asyncio.to_thread(look.began.wait, 10)
        assert look.began.is_set()
    queued = asyncio.create_task(store.read(no_vpc))

    looks[2].let_go()

    assert await asyncio.wait_for(queued, 10)
    for look in looks:
        look.let_go()
    assert await asyncio.gather(*waiting) == ["held"] * 4


def test_a_loop_that_ended_while_it_kept_watch_is_replaced(store: SqliteStore):
    slow = Held()

    async def leave_in_the_middle() -> None:
        asyncio.create_task(store.read(slow)).add_done_callback(lambda _: None)
        await asyncio.to_thread(slow.began.wait, 10)
        # Its watch begins, and never comes to look.
        asyncio.create_task(store.read(no_vpc)).add_done_callback(lambda _: None)
        await asyncio.sleep(0)

    asyncio.run(leave_in_the_middle())

    async def come_later() -> bool:
        return await asyncio.wait_for(store.read(no_vpc), 5)

    assert asyncio.run(come_later())
    slow.let_go()


async def test_a_look_that_fails_fails_alone(store: SqliteStore):
    def fail(_: ReadTransaction) -> None:
        raise ValueError("mine")

    def stop(_: ReadTransaction) -> None:
        raise StopIteration

    found = await asyncio.gather(
        *(store.read(look) for look in (no_vpc, fail, no_vpc, stop, no_vpc)), return_exceptions=True
    )

    assert [found[0], found[2], found[4]] == [True, True, True]
    assert isinstance(found[1], ValueError)
    assert isinstance(found[3], RuntimeError)


async def test_who_has_gone_away_is_not_looked_for(store: SqliteStore):
    slow, looked = Held(), threading.Event()
    first = asyncio.create_task(store.read(slow))
    await asyncio.to_thread(slow.began.wait, 10)
    gone = asyncio.create_task(store.read(lambda _: looked.set()))
    await asyncio.sleep(0)

    gone.cancel()
    slow.let_go()

    assert await first == "held"
    assert await store.read(no_vpc)
    assert not looked.is_set()


async def test_what_waits_is_done_before_the_threads_end_and_nothing_afterwards(store: SqliteStore):
    slow = Held()
    first = asyncio.create_task(store.read(slow))
    await asyncio.to_thread(slow.began.wait, 10)
    second = asyncio.create_task(store.read(no_vpc))
    await asyncio.sleep(0)
    slow.let_go()

    await asyncio.to_thread(store.close)

    assert await first == "held"
    assert await second
    with pytest.raises(OperatorError, match="closed"):
        await store.read(no_vpc)
