"""Count what can run out, so that an operator hears of it before a tenant does.

What is refused when it has run out: an endpoint or service without a transit address (`PoolFull`), a new endpoint whose
edge tracks nearly as many connections as it may (`ConnectionsFull`), the first packet of a connection above the
endpoint's limit (a trace says so), or above the kernel's table of the edge. An endpoint has one transit address, and
with it a number of source ports for each server port. No endpoint may have more connections open than that, so it is
its limit that stops it, and never a lack of ports.
"""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from landbridge.control.protocols import Clock, Store
from landbridge.control.traffic_protocols import TrackedConnections, TrafficSource
from landbridge.dataplane.model import TRANSIT_RANGE
from landbridge.dataplane.tracking import FullEdges, is_news, nearly_full
from landbridge.domain.addressing import host_numbers
from landbridge.domain.errors import LandbridgeError
from landbridge.domain.ids import PoolId

T = TypeVar("T")

TRANSIT_ADDRESSES = len(host_numbers(TRANSIT_RANGE))
"""How many transit addresses a pool has; each endpoint takes one, and each backend address another."""

_FRESH = timedelta(seconds=1)
_LOOK_SECONDS = 2.0
REPORT_SECONDS = 10.0
"""How often the agent looks how full its edges are; several times before a look is too long ago to count."""


class CapacityWatch(Protocol):
    """Who hears what is used: metrics."""

    def transit_addresses_counted(self, in_use: Mapping[PoolId, int], size: int) -> None:
        """So many transit addresses of each pool have an owner, of `size` that it has."""
        ...

    def tracked_counted(self, tracked: TrackedConnections) -> None:
        """So many connections does the kernel track in each edge."""
        ...

    def fullest_endpoint_counted(self, connections: int, limit: int) -> None:
        """So many connections has the endpoint with the most of them, and so many may each have."""
        ...


class Capacity:
    """Looks, when somebody asks for the metrics."""

    def __init__(
        self, store: Store, source: TrafficSource, thread: Executor, watch: CapacityWatch, clock: Clock, limit: int
    ) -> None:
        """`limit` is how many connections an endpoint may have; calls of `source` go to `thread`."""
        self._store = store
        self._source = source
        self._thread = thread
        self._watch = watch
        self._clock = clock
        self._limit = limit
        self._measured_at: datetime | None = None

    async def measure(self) -> None:
        """Count everything and tell the watch; not more often than once a second.

        What cannot be counted now keeps its last value: metrics are asked for most when something is wrong.
        """
        now = self._clock.now()
        # A clock that was set back must not keep anybody from looking.
        if self._measured_at is not None and timedelta(0) <= now - self._measured_at < _FRESH:
            return
        self._measured_at = now
        try:
            in_use = await self._store.read(lambda tx: tx.transit_addresses_in_use())
            self._watch.transit_addresses_counted(in_use, TRANSIT_ADDRESSES)
        except LandbridgeError:
            pass  # the readiness says that the database does not answer
        try:
            tracked = await self._in_thread(self._source.tracked)
            self._watch.tracked_counted(tracked)
            opened = await self._in_thread(lambda: self._source.open_connections(None, _LOOK_SECONDS))
            self._watch.fullest_endpoint_counted(max(opened.counts.values(), default=0), self._limit)
        except LandbridgeError:
            pass  # there is no data plane to ask just now

    async def _in_thread(self, look: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, look)


class EdgeWatch(Protocol):
    """Who hears about full edges: the log."""

    def edges_seen(self, tracked: TrackedConnections, full: FullEdges) -> None:
        """The edges of this agent's pool track so many, and these are nearly full."""
        ...

    def edges_unseen(self, error: Exception) -> None:
        """How full the edges are could not be seen, or not be told; it is tried again."""
        ...


class EdgeReports:
    """Tells all processes of the installation which edges of this agent's pool are nearly full."""

    def __init__(
        self, store: Store, source: TrafficSource, thread: Executor, watch: EdgeWatch, clock: Clock, pool_id: PoolId
    ) -> None:
        """Calls of `source` go to `thread`."""
        self._store = store
        self._source = source
        self._thread = thread
        self._watch = watch
        self._clock = clock
        self._pool_id = pool_id
        self._told: FullEdges | None = None

    async def run(self) -> None:
        """Look and tell until cancelled."""
        while True:
            try:
                await self.report()
            except Exception as error:  # a supervisor: an unreadable database must not end the loop
                self._watch.edges_unseen(error)
            await asyncio.sleep(REPORT_SECONDS)

    async def report(self) -> None:
        """Look once; store what is seen, if it is news. A data plane without packets, or without a limit, has none.

        Raises:
            LandbridgeError: there is no data plane to ask just now, or the database does not answer.
        """
        tracked = await asyncio.get_running_loop().run_in_executor(self._thread, self._source.tracked)
        if not tracked.limit:
            return
        before = self._told.edges if self._told is not None else frozenset[str]()
        full = FullEdges(nearly_full(tracked.by_edge, tracked.limit, before), self._clock.now())
        self._watch.edges_seen(tracked, full)
        if is_news(full, self._told):
            await self._store.write(lambda tx: tx.put_full_edges(self._pool_id, full))
            self._told = full
