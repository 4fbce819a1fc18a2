"""Say what the use cases of traffic need from a data plane, from the flow log and from whoever hears about it.

`NoTraffic` is the data plane that shows nothing: what runs without packets uses it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Address
from typing import NamedTuple, Protocol

from landbridge.dataplane.flows import Connection, FlowRecord, TrafficCounters, TrafficKey
from landbridge.domain.ids import EndpointId, VpcId
from landbridge.domain.resources import Endpoint, TcpProxy


class EndpointKeys(NamedTuple):
    """Where the connections of an endpoint are tracked."""

    client_side: TrafficKey
    """In the consumer's edge: these are the connections that clients have opened."""
    backend_side: TrafficKey
    """What the backend sees. The same, unless a proxy opens a connection of its own for each."""

    @property
    def is_proxied(self) -> bool:
        """Whether a client and a backend have a connection each."""
        return self.client_side != self.backend_side


class Seen(NamedTuple):
    """The connections that were found."""

    connections: Mapping[TrafficKey, Sequence[Connection]]
    is_complete: bool
    """False: there was no time for all of them."""


class OpenConnections(NamedTuple):
    """How many connections are open."""

    counts: Mapping[TrafficKey, int]
    is_complete: bool


class TrackedConnections(NamedTuple):
    """How many entries the kernel's tables of connections have, one table for each edge."""

    by_edge: Mapping[str, int]
    """By the id of the edge's VPC; that of the proxy is `hub`."""
    limit: int | None
    """How many entries each may have; None: this machine does not say."""


class TrafficSource(Protocol):
    """Where traffic can be seen. Calls block, and come from one thread at a time.

    What is not there (an edge, an endpoint) shows nothing and is no error.
    """

    def keys_of(self, endpoint: Endpoint, tcp_proxy: TcpProxy) -> EndpointKeys:
        """Return what an endpoint is known by. Pure, so from any thread."""
        ...

    def counters(self, keys: Collection[TrafficKey]) -> Mapping[TrafficKey, TrafficCounters]:
        """Return what the counters of these endpoints show now. Raises TrafficUnavailable."""
        ...

    def all_counters(self) -> Mapping[TrafficKey, TrafficCounters]:
        """Return what all counters show now. Raises TrafficUnavailable."""
        ...

    def open_connections(self, vpc_ids: Collection[VpcId] | None, seconds: float) -> OpenConnections:
        """Count the open connections of all endpoints in these VPCs, None: in all; at most 1 s old.

        Takes `seconds` at most. Raises TrafficUnavailable.
        """
        ...

    def connections(self, keys: Collection[TrafficKey], seconds: float) -> Seen:
        """Return the open connections of these endpoints. Takes `seconds` at most. Raises TrafficUnavailable."""
        ...

    def tracked(self) -> TrackedConnections:
        """Return how full the kernel's tables of connections are. Raises TrafficUnavailable."""
        ...

    def close(self) -> None:
        """Close all sockets."""
        ...


class NoTraffic:
    """A data plane without packets."""

    def keys_of(self, endpoint: Endpoint, tcp_proxy: TcpProxy) -> EndpointKeys:
        """Return a key, under which there is nothing."""
        del tcp_proxy
        key = TrafficKey(endpoint.vpc_id, endpoint.marker & 0xFFFFFFFF)
        return EndpointKeys(key, key)

    def counters(self, keys: Collection[TrafficKey]) -> Mapping[TrafficKey, TrafficCounters]:
        """Return nothing."""
        del keys
        return {}

    def all_counters(self) -> Mapping[TrafficKey, TrafficCounters]:
        """Return nothing."""
        return {}

    def open_connections(self, vpc_ids: Collection[VpcId] | None, seconds: float) -> OpenConnections:
        """Return nothing."""
        del vpc_ids, seconds
        return OpenConnections({}, is_complete=True)

    def connections(self, keys: Collection[TrafficKey], seconds: float) -> Seen:
        """Return nothing."""
        del keys, seconds
        return Seen({}, is_complete=True)

    def tracked(self) -> TrackedConnections:
        """Return nothing."""
        return TrackedConnections({}, None)

    def close(self) -> None:
        """Do nothing."""


class FoundFlows(NamedTuple):
    """What the flow log has."""

    records: Sequence[FlowRecord]
    is_complete: bool
    """False: there was no time to look through all of it."""


class FlowSearch(Protocol):
    """Who finds connections that have ended. Calls block."""

    def find(self, source: str, at: datetime, seconds: float) -> FoundFlows:
        """Return the connections with this source (`ADDRESS:PORT`) that there were at a moment.

        Takes `seconds` at most. A log that cannot be read is an empty one.
        """
        ...


class NoFlowLog:
    """A flow log that nobody keeps."""

    def find(self, source: str, at: datetime, seconds: float) -> FoundFlows:
        """Return nothing."""
        del source, at, seconds
        return FoundFlows((), is_complete=True)


class FlowLog(Protocol):
    """Who keeps lines about ended connections. Never raises: what cannot be kept is counted."""

    def append(self, lines: Sequence[str]) -> None:
        """Keep these lines."""
        ...

    def tidy(self) -> None:
        """Give up what is too old or too much; called every second or so."""
        ...

    def close(self) -> None:
        """Keep no more."""
        ...


class TrafficWatch(Protocol):
    """Who hears about traffic: metrics."""

    def traffic_measured(self, total: TrafficCounters, open_connections: int) -> None:
        """So much has gone through all endpoints since the start, and so many connections are open now."""
        ...

    def flow_events_lost(self) -> None:
        """The kernel dropped what it would have told about ended connections."""
        ...

    def flows_written(self, count: int) -> None:
        """So many lines were added to the flow log."""
        ...

    def flows_lost(self, count: int, reason: str) -> None:
        """So many lines could not be added to the flow log."""
        ...


class ProxiedConnection(Protocol):
    """What a proxy tells of a connection that it carries: once when it is open, and once when it has ended."""

    @property
    def endpoint_id(self) -> EndpointId: ...  # noqa: D102 — told by its name

    @property
    def client_port(self) -> int:
        """The endpoint's port."""
        ...

    @property
    def client(self) -> tuple[IPv4Address, int]:
        """The client's own address and port."""
        ...

    @property
    def source(self) -> tuple[IPv4Address, int]:
        """The endpoint's transit address, and the port by which the backend knows the connection."""
        ...

    @property
    def ended_at(self) -> datetime | None:
        """None while it is open."""
        ...


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long looking may take."""

    look_seconds: float = 2.0
    """At live connections."""
    search_seconds: float = 5.0
    """Through the flow log."""
