"""An agent tells which of its edges are nearly full: when that is news, until the database has taken it."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest

from landbridge.control.capacity import EdgeReports
from landbridge.control.traffic_protocols import NoTraffic, TrackedConnections
from landbridge.dataplane.tracking import FullEdges
from landbridge.domain.errors import DatabaseUnavailable
from landbridge.domain.ids import PoolId
from tests.examples import NOW, POOL


class Edges(NoTraffic):
    """Edges that track what the test says."""

    def __init__(self) -> None:
        self.by_edge: Mapping[str, int] = {}
        self.limit: int | None = 1000

    def tracked(self) -> TrackedConnections:
        return TrackedConnections(self.by_edge, self.limit)


class Row:
    """A database with one pool, and what was written of its edges."""

    def __init__(self) -> None:
        self.written: list[FullEdges] = []
        self.is_away = False

    def put_full_edges(self, pool_id: PoolId, full: FullEdges) -> None:
        assert pool_id == POOL
        self.written.append(full)

    async def write(self, work: Callable[[Any], Any]) -> Any:
        if self.is_away:
            raise DatabaseUnavailable("the database does not answer: try again")
        return work(self)

    async def read(self, look: Callable[[Any], Any]) -> Any:
        raise AssertionError("telling needs no reading")


class Heard:
    """Who hears of it, and the clock."""

    def __init__(self) -> None:
        self.seen: list[FullEdges] = []
        self.errors: list[Exception] = []
        self.failed = asyncio.Event()
        self.moment = NOW

    def now(self) -> datetime:
        return self.moment

    def edges_seen(self, tracked: TrackedConnections, full: FullEdges) -> None:
        assert full.edges <= tracked.by_edge.keys()
        self.seen.append(full)

    def edges_unseen(self, error: Exception) -> None:
        self.errors.append(error)
        self.failed.set()


@pytest.fixture
def thread() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as executor:
        yield executor


@pytest.fixture
def edges() -> Edges:
    return Edges()


@pytest.fixture
def row() -> Row:
    return Row()


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def reports(thread: ThreadPoolExecutor, edges: Edges, row: Row, heard: Heard) -> EdgeReports:
    return EdgeReports(row, edges, thread, heard, heard, POOL)


async def test_all_nearly_full_edges_are_told_and_the_hub_may_be_one_of_them(
    reports: EdgeReports, edges: Edges, row: Row
):
    edges.by_edge = {"a-vpc": 20, "hub": 900, "b-vpc": 1000}

    await reports.report()

    assert row.written == [FullEdges(frozenset({"hub", "b-vpc"}), NOW)]


async def test_an_edge_with_room_again_is_told_at_once_but_not_while_it_is_near_the_line(
    reports: EdgeReports, edges: Edges, row: Row
):
    for tracked in (900, 899, 850, 849):
        edges.by_edge = {"a-vpc": tracked}
        await reports.report()

    assert row.written == [FullEdges(frozenset({"a-vpc"}), NOW), FullEdges(frozenset(), NOW)]


async def test_an_idle_pool_is_written_once(reports: EdgeReports, row: Row, heard: Heard):
    for _ in range(100):
        await reports.report()
        heard.moment += timedelta(seconds=10)

    assert row.written == [FullEdges(frozenset(), NOW)]
    assert len(heard.seen) == 100


async def test_a_full_edge_is_told_so_often_that_the_look_always_counts(
    reports: EdgeReports, edges: Edges, row: Row, heard: Heard
):
    edges.by_edge = {"a-vpc": 950}
    for _ in range(7):
        await reports.report()
        heard.moment += timedelta(seconds=10)

    assert [(full.looked_at - NOW).seconds for full in row.written] == [0, 20, 40, 60]


async def test_what_the_database_has_not_taken_is_told_again(
    reports: EdgeReports, edges: Edges, row: Row, heard: Heard
):
    edges.by_edge, row.is_away = {"a-vpc": 950}, True
    with pytest.raises(DatabaseUnavailable):
        await reports.report()

    row.is_away = False
    await reports.report()

    assert row.written == [FullEdges(frozenset({"a-vpc"}), NOW)]
    assert len(heard.seen) == 2


@pytest.mark.parametrize("limit", [None, 0])
async def test_where_the_kernel_has_no_limit_nothing_is_told(
    reports: EdgeReports, edges: Edges, row: Row, heard: Heard, limit: int | None
):
    edges.by_edge, edges.limit = {"a-vpc": 950}, limit

    await reports.report()

    assert row.written == heard.seen == []


async def test_a_failure_is_heard_of_and_does_not_end_the_loop(reports: EdgeReports, row: Row, heard: Heard):
    row.is_away = True
    loop = asyncio.create_task(reports.run())

    async with asyncio.timeout(30):
        await heard.failed.wait()
    goes_on = not loop.done()
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)

    assert goes_on
    assert [type(error) for error in heard.errors] == [DatabaseUnavailable]
