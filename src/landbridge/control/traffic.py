"""Show consumers and providers their traffic: how much, which connections, and who was behind a source.

A consumer sees its clients; a provider sees what its backend sees, and of clients only what `tcp_proxy` tells the
backend anyway. Looking at a data plane blocks, so it is done in a thread of its own, and never takes long.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import nsmallest
from ipaddress import IPv4Address
from typing import NamedTuple, TypeVar

from landbridge.control.endpoint_services import own_or_public_service, own_service
from landbridge.control.endpoints import own_endpoint
from landbridge.control.protocols import Clock, ReadTransaction, Store
from landbridge.control.proxied import ProxiedConnections
from landbridge.control.traffic_protocols import (
    Bounds,
    EndpointKeys,
    FlowSearch,
    Seen,
    TrafficSource,
    TrafficWatch,
)
from landbridge.dataplane.flows import (
    Connection,
    FlowRecord,
    GrowingCounters,
    TrafficCounters,
    TrafficKey,
    moment_of,
)
from landbridge.domain.errors import InvalidParameter, ServiceNotFound
from landbridge.domain.ids import EndpointId, ProjectId, ServiceId
from landbridge.domain.resources import Endpoint, EndpointService, TcpProxy

T = TypeVar("T")

DISCLOSING = frozenset({TcpProxy.PROXY_OPEN, TcpProxy.TOA_OPEN, TcpProxy.OPEN})
"""Modes in which the backend hears each client's address, and so its provider may see it here."""
OPERATOR = "operator"
"""The role that may ask about everybody's services."""

_FRESH = timedelta(seconds=1)
_MOST_SUMS = 100_000
_SLACK = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class EndpointTraffic:
    """What has gone through an endpoint since this server has looked, and what is open now."""

    endpoint: Endpoint
    counters: TrafficCounters
    open_connections: int


@dataclass(frozen=True, slots=True)
class TrafficPage:
    """The traffic of some endpoints of a service, and of all of them together."""

    total: TrafficCounters
    open_connections: int
    endpoints: Sequence[EndpointTraffic]
    next_marker: str | None
    measured_at: datetime
    is_complete: bool


@dataclass(frozen=True, slots=True)
class SeenConnection:
    """A live connection, as one side may see it."""

    endpoint: Endpoint
    facts: Connection
    client: str
    """`ADDRESS:PORT`; empty where it is not known or not to be seen."""
    source: str
    """What the backend sees, `ADDRESS:PORT`; empty where it is not known."""
    server_port: int | None
    """The backend's port; None where the service maps this one no more."""


@dataclass(frozen=True, slots=True)
class ConnectionPage:
    """Some live connections, the oldest first."""

    connections: Sequence[SeenConnection]
    next_marker: str | None
    """Where the next page begins; None: there is none."""
    seen_at: datetime
    is_complete: bool
    """False: there was no time to look at all of them."""


@dataclass(frozen=True, slots=True)
class Who:
    """Who is, or was, behind a source that a backend saw."""

    known_by: str
    """`connection`: it is open. `flow-log`: it has ended. `address`: no such connection is known, only whose the
    address is."""
    endpoint_id: str
    marker: int
    domain_id: str
    opened_at: datetime | None
    ended_at: datetime | None
    client: str
    """Empty where it is not known or not to be seen."""


class WhoFound(NamedTuple):
    """The answers to one question, and whether there was time to look everywhere."""

    found: Sequence[Who]
    is_complete: bool


class Traffic:
    """The use cases of traffic."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        source: TrafficSource,
        thread: Executor,
        flows: FlowSearch,
        watch: TrafficWatch,
        proxied: ProxiedConnections,
        bounds: Bounds = Bounds(),  # noqa: B008 — frozen
    ) -> None:
        """`thread` is one thread in which the source is asked."""
        self._store = store
        self._clock = clock
        self._source = source
        self._thread = thread
        self._flows = flows
        self._watch = watch
        self._bounds = bounds
        self._grown = GrowingCounters()
        self._measured_at: datetime | None = None
        self._proxied = proxied

    async def of_endpoint(self, project_id: ProjectId, id_: EndpointId) -> tuple[EndpointTraffic, datetime]:
        """Return the traffic of a project's endpoint, and when it was looked at.

        Raises:
            EndpointNotFound: unknown, or of another project.
            TrafficUnavailable: the data plane cannot be asked.
        """
        endpoint, service = await self._store.read(lambda tx: _endpoint_and_service(tx, project_id, id_))
        page = await self._traffic([endpoint], [endpoint], service)
        return page.endpoints[0], page.measured_at

    async def of_service(
        self, project_id: ProjectId, id_: ServiceId, limit: int, marker: str | None, *, sees_public: bool = False
    ) -> TrafficPage:
        """Return the traffic of a project's service, with one page of its endpoints in the order of their ids.

        Whoever `sees_public` may ask about a public service, too.

        Raises:
            ServiceNotFound: unknown, or of another project.
            TrafficUnavailable: the data plane cannot be asked.
        """
        service, endpoints = await self._store.read(
            lambda tx: _service_and_endpoints(tx, project_id, id_, sees_public=sees_public)
        )
        following = sorted((one for one in endpoints if marker is None or one.id > marker), key=lambda one: one.id)
        page = await self._traffic(endpoints, following[:limit], service)
        if len(following) <= limit or not page.endpoints:
            return page
        return TrafficPage(
            page.total,
            page.open_connections,
            page.endpoints,
            page.endpoints[-1].endpoint.id,
            page.measured_at,
            page.is_complete,
        )

    async def connections_of_endpoint(
        self, project_id: ProjectId, id_: EndpointId, limit: int, marker: str | None
    ) -> ConnectionPage:
        """Return one page of the live connections of a project's endpoint, as its consumer sees them.

        Raises:
            EndpointNotFound: unknown, or of another project.
            InvalidParameter: the marker is none that a page ended with.
            TrafficUnavailable: the data plane cannot be asked.
        """
        endpoint, service = await self._store.read(lambda tx: _endpoint_and_service(tx, project_id, id_))
        keys = self._keys(endpoint, service)

        def as_seen(endpoint: Endpoint, one: Connection) -> SeenConnection:
            source = one.source or self._proxied.source_of(endpoint.id, one.client, _port(one.listener))
            return SeenConnection(endpoint, one, one.client, source, _server_port(one, service))

        return await self._page({keys.client_side: endpoint}, as_seen, limit, _place(marker))

    async def connections_of_service(
        self, project_id: ProjectId, id_: ServiceId, limit: int, marker: str | None, *, sees_public: bool = False
    ) -> ConnectionPage:
        """Return one page of the live connections of a project's service, as its provider sees them.

        Whoever `sees_public` may ask about a public service, too.

        Raises:
            ServiceNotFound: unknown, or of another project.
            InvalidParameter: the marker is none that a page ended with.
            TrafficUnavailable: the data plane cannot be asked.
        """
        service, endpoints = await self._store.read(
            lambda tx: _service_and_endpoints(tx, project_id, id_, sees_public=sees_public)
        )
        by_key = {self._keys(one, service).backend_side: one for one in endpoints}
        return await self._page(
            by_key, lambda endpoint, one: self._as_backend_sees(endpoint, one, service), limit, _place(marker)
        )

    def may_see_all(self, roles: Collection[str]) -> bool:
        """Say whether somebody may ask about every service, and hear every client's address."""
        return OPERATOR in roles

    async def service_to_ask_about(
        self, project_id: ProjectId, roles: Collection[str], id_: ServiceId
    ) -> EndpointService:
        """Return the service that somebody asks about: their project's, or anybody's for an operator.

        Raises:
            ServiceNotFound: unknown, or of another project.
        """
        sees_all = self.may_see_all(roles)
        return await self._store.read(
            lambda tx: _any_service(tx, id_) if sees_all else own_service(tx, project_id, id_)
        )

    async def who(
        self, service: EndpointService, source: tuple[IPv4Address, int], at: datetime, *, sees_all: bool
    ) -> WhoFound:
        """Return who was behind a source address and port that a backend of the service saw at a moment.

        `sees_all`: clients' addresses are shown also where the backend does not hear them.

        Raises:
            TrafficUnavailable: the data plane cannot be asked.
        """
        endpoints = await self._store.read(lambda tx: tx.endpoints_of_services([service.id]))
        text = f"{source[0]}:{source[1]}"
        holders = [one for one in endpoints if one.transit_address == source[0] and one.created_at <= at + _SLACK]
        found: list[Who] = []
        seen = await self._look([self._keys(one, service).backend_side for one in holders])
        for one in holders:
            for facts in seen.connections.get(self._keys(one, service).backend_side, ()):
                connection = self._as_backend_sees(one, facts, service, sees_all=sees_all)
                opened_at = moment_of(facts.opened_ns)
                if connection.source == text and (opened_at is None or opened_at - _SLACK <= at):
                    found.append(
                        Who("connection", one.id, one.marker, one.domain_id, opened_at, None, connection.client)
                    )
        flows = await asyncio.to_thread(self._flows.find, text, at, self._bounds.search_seconds)
        found += [
            _who_was(record, sees_all=sees_all) for record in flows.records if record.parties.service_id == service.id
        ]
        if not found:
            found = [Who("address", one.id, one.marker, one.domain_id, None, None, "") for one in holders]
        return WhoFound(found, seen.is_complete and flows.is_complete)

    async def measure(self) -> None:
        """Look at everything and tell the watch; not more often than once a second.

        Raises:
            TrafficUnavailable: the data plane cannot be asked.
        """
        now = self._clock.now()
        # A clock that was set back must not keep anybody from looking.
        if self._measured_at is not None and timedelta(0) <= now - self._measured_at < _FRESH:
            return
        self._measured_at = now  # also when it fails: who asks too often gets what there is
        counters = await self._in_thread(self._add_all)
        counts = await self._in_thread(lambda: self._source.open_connections(None, self._bounds.look_seconds))
        known = sum(count for key, count in counts.counts.items() if key in counters)
        self._watch.traffic_measured(self._grown.total, known)

    def _add_all(self) -> Mapping[TrafficKey, TrafficCounters]:
        # In the source's thread, as each other look: a later look must not be added before an earlier one.
        counters = self._source.all_counters()
        self._grown.add_all(counters)
        self._grown.shrink(_MOST_SUMS, counters)
        return counters

    async def _traffic(
        self, all_endpoints: Sequence[Endpoint], shown: Sequence[Endpoint], service: EndpointService | None
    ) -> TrafficPage:
        keys = {one.id: self._keys(one, service).client_side for one in all_endpoints}
        vpc_ids = {one.vpc_id for one in all_endpoints}
        await self._in_thread(lambda: self._grown.add(self._source.counters(keys.values()), keys.values()))
        counts = await self._in_thread(lambda: self._source.open_connections(vpc_ids, self._bounds.look_seconds))
        total = TrafficCounters()
        for key in keys.values():
            total = total.plus(self._grown.sum_of(key))
        by_endpoint = [
            EndpointTraffic(one, self._grown.sum_of(keys[one.id]), counts.counts.get(keys[one.id], 0)) for one in shown
        ]
        open_connections = sum(counts.counts.get(key, 0) for key in keys.values())
        return TrafficPage(total, open_connections, by_endpoint, None, self._clock.now(), counts.is_complete)

    async def _page(
        self,
        by_key: dict[TrafficKey, Endpoint],
        as_seen: Callable[[Endpoint, Connection], SeenConnection],
        limit: int,
        after: tuple[int, int],
    ) -> ConnectionPage:
        seen = await self._look(list(by_key))
        following = [
            (key, one)
            for key, connections in seen.connections.items()
            for one in connections
            if (one.opened_ns, one.id) > after
        ]
        chosen = nsmallest(limit + 1, following, key=lambda pair: (pair[1].opened_ns, pair[1].id))
        shown = [as_seen(by_key[key], one) for key, one in chosen[:limit]]
        is_last = len(chosen) <= limit
        next_marker = None if is_last or not shown else f"{shown[-1].facts.opened_ns}-{shown[-1].facts.id}"
        return ConnectionPage(shown, next_marker, self._clock.now(), seen.is_complete)

    def _as_backend_sees(
        self, endpoint: Endpoint, one: Connection, service: EndpointService, *, sees_all: bool = False
    ) -> SeenConnection:
        is_proxied = self._keys(endpoint, service).is_proxied
        # The proxy's own connection begins at the source; a translated one gets it on the way.
        source = one.client if is_proxied else one.source
        client = self._proxied.client_of(endpoint.id, source) if is_proxied else one.client
        is_told = sees_all or service.tcp_proxy in DISCLOSING
        server_port = _port(one.listener) if is_proxied else _server_port(one, service)
        return SeenConnection(endpoint, one, client if is_told else "", source, server_port)

    def _keys(self, endpoint: Endpoint, service: EndpointService | None) -> EndpointKeys:
        return self._source.keys_of(endpoint, TcpProxy.CLOSE if service is None else service.tcp_proxy)

    async def _look(self, keys: Sequence[TrafficKey]) -> Seen:
        return await self._in_thread(lambda: self._source.connections(keys, self._bounds.look_seconds))

    async def _in_thread(self, look: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, look)


def _endpoint_and_service(
    tx: ReadTransaction, project_id: ProjectId, id_: EndpointId
) -> tuple[Endpoint, EndpointService | None]:
    endpoint = own_endpoint(tx, project_id, id_)
    return endpoint, tx.service(endpoint.service_id)


def _service_and_endpoints(
    tx: ReadTransaction, project_id: ProjectId, id_: ServiceId, *, sees_public: bool
) -> tuple[EndpointService, Sequence[Endpoint]]:
    service = own_or_public_service(tx, project_id, id_, sees_public=sees_public)
    return service, tx.endpoints_of_services([id_])


def _any_service(tx: ReadTransaction, id_: ServiceId) -> EndpointService:
    service = tx.service(id_)
    if service is None:
        raise ServiceNotFound(f"endpoint service {id_} does not exist")
    return service


def _who_was(record: FlowRecord, *, sees_all: bool) -> Who:
    parties = record.parties
    is_told = sees_all or parties.tcp_proxy in DISCLOSING
    return Who(
        "flow-log",
        parties.endpoint_id,
        parties.marker,
        parties.consumer_domain,
        record.opened_at,
        record.ended_at,
        record.client if is_told else "",
    )


def _server_port(one: Connection, service: EndpointService | None) -> int | None:
    if one.target:
        return _port(one.target)
    ports = () if service is None else service.ports
    return next((mapping.server_port for mapping in ports if mapping.client_port == _port(one.listener)), None)


def _port(text: str) -> int:
    return int(text.rpartition(":")[2])


def _place(marker: str | None) -> tuple[int, int]:
    """Return after what a page begins."""
    if marker is None:
        return -1, -1
    opened, hyphen, id_ = marker.partition("-")
    if not hyphen or not all(part.isascii() and part.isdigit() and len(part) <= 20 for part in (opened, id_)):
        raise InvalidParameter("marker must be the next_marker of the page before")
    return int(opened), int(id_)
