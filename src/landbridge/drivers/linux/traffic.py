"""Show the traffic of this machine's edges (`control.traffic_protocols.TrafficSource`).

Counters come from the edges' sets, connections from the kernel's tracking. Reading changes nothing, and looks at no
edge that tracks no connection. Sockets stay open between two looks; an edge that was replaced is noticed.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from landbridge.control.traffic_protocols import EndpointKeys, OpenConnections, Seen, TrackedConnections
from landbridge.dataplane.flows import Connection, TrafficCounters, TrafficKey
from landbridge.domain.errors import TrafficUnavailable
from landbridge.domain.ids import VpcId
from landbridge.domain.resources import Endpoint, TcpProxy
from landbridge.drivers.linux import ownership
from landbridge.drivers.linux.conntrack import Conntrack, OpenCounts
from landbridge.drivers.linux.counter_sets import CounterSets
from landbridge.drivers.linux.elements import HUB, connection_mark
from landbridge.drivers.linux.namespaces import Namespaces, NoSuchNamespace

_FRESH_SECONDS = 1.0
_TABLE_LIMIT = Path("/proc/sys/net/netfilter/nf_conntrack_max")
_SINGLY = 8
"""Up to so many marks of one edge are asked for one by one; the kernel goes through its whole table for each."""


@dataclass(slots=True)
class _Sight:
    """The sockets in one edge."""

    identity: int
    conntrack: Conntrack
    counters: CounterSets
    counted: OpenCounts | None = None
    counted_at: float = 0.0

    def close(self) -> None:
        self.conntrack.close()
        self.counters.close()


class LinuxTraffic:
    """What can be seen in the edges of one region that belong to one instance. Calls come from one thread at a time."""

    def __init__(
        self,
        namespaces: Namespaces,
        instance: str,
        region: str,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._namespaces = namespaces
        self._instance = instance
        self._region = region
        self._monotonic = monotonic
        self._sights: dict[VpcId, _Sight] = {}

    def keys_of(self, endpoint: Endpoint, tcp_proxy: TcpProxy) -> EndpointKeys:
        """Return the keys under which the rules mark an endpoint's connections."""
        # A gateway endpoint has no address of its own in the VPC.
        address = endpoint.transit_address if endpoint.address is None else endpoint.address
        mark = int(connection_mark(endpoint.id, str(address)))
        client_side = TrafficKey(endpoint.vpc_id, mark)
        is_proxied = tcp_proxy is TcpProxy.PROXY_OPEN
        return EndpointKeys(client_side, TrafficKey(HUB, mark) if is_proxied else client_side)

    def counters(self, keys: Collection[TrafficKey]) -> Mapping[TrafficKey, TrafficCounters]:
        """Return what the counters of these endpoints show now.

        Raises:
            TrafficUnavailable: the kernel could not be asked.
        """
        found: dict[TrafficKey, TrafficCounters] = {}
        for vpc_id, marks in _by_vpc(keys).items():
            with self._looking(vpc_id) as sight:
                if sight is None:
                    continue
                # A set that is read whole costs as much as some twenty elements that are asked for.
                read = sight.counters.read(marks) if len(marks) <= _SINGLY else sight.counters.read_all()
                found.update({TrafficKey(vpc_id, mark): read[mark] for mark in marks if mark in read})
        return found

    def all_counters(self) -> Mapping[TrafficKey, TrafficCounters]:
        """Return what the counters in all edges show now.

        Raises:
            TrafficUnavailable: the kernel could not be asked.
        """
        found: dict[TrafficKey, TrafficCounters] = {}
        for vpc_id in self._vpcs():
            with self._looking(vpc_id) as sight:
                if sight is not None:
                    read = sight.counters.read_all()
                    found.update({TrafficKey(vpc_id, mark): counters for mark, counters in read.items()})
        return found

    def open_connections(self, vpc_ids: Collection[VpcId] | None, seconds: float) -> OpenConnections:
        """Count the open connections in the edges of these VPCs, None: of all; what was counted lately is kept.

        Raises:
            TrafficUnavailable: the kernel could not be asked.
        """
        deadline = self._monotonic() + seconds
        counts: dict[TrafficKey, int] = {}
        is_complete = True
        for vpc_id in self._vpcs() if vpc_ids is None else sorted(set(vpc_ids)):
            with self._looking(vpc_id) as sight:
                if sight is None:
                    continue
                counted = self._counted(sight, deadline)
                is_complete = is_complete and counted.is_complete
                counts.update({TrafficKey(vpc_id, mark): count for mark, count in counted.by_mark.items()})
        return OpenConnections(counts, is_complete)

    def connections(self, keys: Collection[TrafficKey], seconds: float) -> Seen:
        """Return the open connections of these endpoints.

        Raises:
            TrafficUnavailable: the kernel could not be asked.
        """
        deadline = self._monotonic() + seconds
        found: defaultdict[TrafficKey, list[Connection]] = defaultdict(list)
        is_complete = True
        for vpc_id, marks in _by_vpc(keys).items():
            for mark in sorted(marks) if len(marks) <= _SINGLY else [None]:
                with self._looking(vpc_id) as sight:
                    if sight is None or sight.conntrack.count() == 0:
                        continue
                    tracked = sight.conntrack.connections(marks.__contains__, deadline, mark)
                    is_complete = is_complete and tracked.is_complete
                    for one in tracked.connections:
                        if one.is_open:
                            found[TrafficKey(vpc_id, one.mark)].append(one)
        return Seen(found, is_complete)

    def tracked(self) -> TrackedConnections:
        """Return how full the kernel's tables of connections are: each edge has one, and one limit is for all.

        Raises:
            TrafficUnavailable: the kernel could not be asked.
        """
        by_edge: dict[str, int] = {}
        for vpc_id in [*self._vpcs(), HUB]:
            with self._looking(vpc_id) as sight:
                if sight is not None:
                    by_edge[vpc_id] = sight.conntrack.count()
        return TrackedConnections(by_edge, _table_limit())

    def close(self) -> None:
        """Close all sockets."""
        for vpc_id in list(self._sights):
            self._forget(vpc_id)

    def _counted(self, sight: _Sight, deadline: float) -> OpenCounts:
        now = self._monotonic()
        if sight.counted is None or now - sight.counted_at >= _FRESH_SECONDS:
            is_idle = sight.conntrack.count() == 0
            sight.counted = OpenCounts({}, is_complete=True) if is_idle else sight.conntrack.open_counts(deadline)
            sight.counted_at = now
        return sight.counted

    def _vpcs(self) -> list[VpcId]:
        """Return the VPCs that have an edge, without the hub: its connections are the second halves of others."""
        prefix = ownership.edge_prefix(self._region)
        names = {name for name in self._namespaces.names() if name.startswith(prefix)}
        there = {VpcId(name.removeprefix(prefix)) for name in names} - {HUB}
        for gone in self._sights.keys() - there - {HUB}:
            # An open socket would keep the namespace of a removed edge alive.
            self._forget(gone)
        return sorted(there)

    @contextmanager
    def _looking(self, vpc_id: VpcId) -> Generator[_Sight | None]:
        """Give the sockets in an edge, None if there is no edge of ours; whatever goes wrong has one name."""
        try:
            yield self._sight(vpc_id)
        except OSError as error:
            self._forget(vpc_id)
            raise TrafficUnavailable(
                "the data plane cannot tell about its traffic now: try again in a few seconds"
            ) from error
        finally:
            sight = self._sights.get(vpc_id)
            if sight is not None and sight.conntrack.is_spent:
                self._forget(vpc_id)

    def _sight(self, vpc_id: VpcId) -> _Sight | None:
        name = ownership.edge_namespace(self._region, vpc_id)
        identity = self._namespaces.identity(name)
        known = self._sights.get(vpc_id)
        if known is not None and known.identity == identity:
            return known
        self._forget(vpc_id)
        try:
            if identity is None or not ownership.is_ours(self._namespaces, name, self._instance):
                return None
            conntrack, counters = self._namespaces.inside(name, lambda: (Conntrack(self._monotonic), CounterSets()))
        except (ownership.NamespaceTaken, NoSuchNamespace, FileNotFoundError):
            return None  # it is not ours, or has just gone
        sight = self._sights[vpc_id] = _Sight(identity, conntrack, counters)
        return sight

    def _forget(self, vpc_id: VpcId) -> None:
        sight = self._sights.pop(vpc_id, None)
        if sight is not None:
            sight.close()


def _table_limit() -> int | None:
    try:
        return int(_TABLE_LIMIT.read_text())
    except (OSError, ValueError):
        return None  # the kernel has not begun to track anything, or does not say


def _by_vpc(keys: Iterable[TrafficKey]) -> dict[VpcId, set[int]]:
    marks: defaultdict[VpcId, set[int]] = defaultdict(set)
    for vpc_id, mark in keys:
        marks[vpc_id].add(mark)
    return dict(marks)
