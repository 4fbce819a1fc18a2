"""Tell consumers, providers and operators what happens to a connection, hop by hop.

First from the model alone, then by what the kernel really has, then, if asked for, by a probe of the backend. A
consumer traces its own endpoints and names the client; a provider traces the connections of its services and hears
nothing of the consumer's addresses; an operator traces all. Nothing is changed.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial
from ipaddress import AddressValueError, IPv4Address
from typing import Protocol

from landbridge.control.health import HealthChecks
from landbridge.control.protocols import ReadTransaction, Store
from landbridge.control.round import compile_scope, read_scope
from landbridge.control.traffic_protocols import TrafficSource
from landbridge.dataplane.bridging import NO_BRIDGES, Bridged
from landbridge.dataplane.compile import USUAL_TERMS, Compiled, Terms
from landbridge.dataplane.driver import Capabilities, DriverError
from landbridge.dataplane.explain import Case, Client, Way, explain, forward_of
from landbridge.dataplane.health import Finding, Probe, probe_of
from landbridge.dataplane.hops import Confirmation, Hop, Verdict, Viewer, confirmed, outcome, unconfirmed
from landbridge.dataplane.model import Binding, GatewayBinding, PortForward, Target
from landbridge.domain.errors import EndpointNotFound, InvalidParameter, TrafficUnavailable
from landbridge.domain.ids import EndpointId, NicId, ProjectId
from landbridge.domain.resources import Backend, Endpoint, EndpointService, Nic, Subnet

_NOTHING_CHANGED_SINCE = 2**62
"""No revision is that high: only the rows that are asked for are read."""

_COUNT_SECONDS = 0.5
"""How long a trace waits for the number of open connections."""


class Kernel(Protocol):
    """Who can look whether the data plane really has what a connection needs."""

    def confirm(self, way: Way) -> Confirmation:
        """Return what is not there as it should be; blocks, in the driver's thread.

        Raises:
            DriverError: it cannot be looked at.
        """
        ...


@dataclass(frozen=True, slots=True)
class Counting:
    """Who counts open connections, and the thread in which they are asked."""

    source: TrafficSource
    thread: Executor


@dataclass(frozen=True, slots=True)
class TraceWish:
    """What somebody asks for, types checked, rules not yet."""

    client: str | None = None
    """An address, or the name or port id of a host in the asker's project."""
    port: int | None = None
    """The client port; None: the endpoint's lowest."""
    is_probe_wanted: bool = False


@dataclass(frozen=True, slots=True)
class Trace:
    """What happens to a connection, as one viewer may know it."""

    endpoint_id: EndpointId
    viewer: Viewer
    client: IPv4Address | None
    """None: it was not asked."""
    port: int | None
    """The client port that was traced; None: a gateway endpoint has all, one that is not wired none."""
    outcome: Verdict
    hops: tuple[Hop, ...]


@dataclass(frozen=True, slots=True)
class _Facts:
    """What the database says about one question."""

    endpoint: Endpoint
    service: EndpointService | None
    viewer: Viewer
    compiled: Compiled
    target: Target | None
    client: Client | None


class Tracing:
    """The use case of a trace."""

    def __init__(
        self,
        store: Store,
        health: HealthChecks,
        capabilities: Capabilities,
        kernel: Kernel | None,
        driver_thread: Executor,
        bridged: Callable[[], Bridged] = lambda: NO_BRIDGES,
        terms: Callable[[], Terms] = lambda: USUAL_TERMS,
        counting: Counting | None = None,
    ) -> None:
        """Look into the kernel by `kernel`; None: the data plane has none. `bridged` and `terms` are the loop's."""
        self._store = store
        self._health = health
        self._capabilities = capabilities
        self._kernel = kernel
        self._driver_thread = driver_thread
        self._bridged = bridged
        self._terms = terms
        self._counting = counting

    async def trace(self, project_id: ProjectId, id_: EndpointId, wish: TraceWish, *, sees_all: bool = False) -> Trace:
        """Return what happens to a connection from the client to the endpoint.

        Raises:
            EndpointNotFound: no endpoint of the project, and none that is connected to a service of the project.
            InvalidParameter: the client is missing, unknown, or none of the asker's business.
        """
        facts = await self._store.read(lambda tx: self._look(tx, project_id, id_, wish, sees_all=sees_all))
        wired = facts.compiled.wired
        binding = wired if isinstance(wired, Binding) else None
        forward = None if binding is None else forward_of(binding, wish.port)
        probe = _probe(facts.service, forward)
        hops = explain(
            Case(
                endpoint=facts.endpoint,
                compiled=facts.compiled,
                client=facts.client,
                port=wish.port,
                backend=None if facts.target is None else facts.target.address,
                open_connections=await self._count_open(facts),
                probe=probe,
                finding=await self._finding(probe, is_asked_for=wish.is_probe_wanted),
            )
        )
        if isinstance(wired, Binding | GatewayBinding):
            hops = await self._confirm(hops, Way(wired, facts.target, forward, facts.client, probe))
        port = wish.port if forward is None else forward.client_port
        client = None if facts.client is None else facts.client.address
        return Trace(id_, facts.viewer, client, port, outcome(hops), hops)

    async def _finding(self, probe: Probe | None, *, is_asked_for: bool) -> Finding | None:
        if probe is None:
            return None
        return await self._health.probe_now(probe) if is_asked_for else self._health.finding(probe)

    async def _count_open(self, facts: _Facts) -> int | None:
        counting, endpoint = self._counting, facts.endpoint
        if counting is None or facts.service is None or facts.compiled.wired is None:
            return None
        key = counting.source.keys_of(endpoint, facts.service.tcp_proxy).client_side
        look = partial(counting.source.open_connections, {endpoint.vpc_id}, _COUNT_SECONDS)
        try:
            found = await asyncio.get_running_loop().run_in_executor(counting.thread, look)
        except TrafficUnavailable:
            return None
        return found.counts.get(key, 0) if found.is_complete else None

    async def _confirm(self, hops: tuple[Hop, ...], way: Way) -> tuple[Hop, ...]:
        if self._kernel is None:
            return unconfirmed(hops, "this data plane has no kernel to ask")
        try:
            loop = asyncio.get_running_loop()
            found = await loop.run_in_executor(self._driver_thread, self._kernel.confirm, way)
        except DriverError as error:
            return unconfirmed(hops, error.message)
        return confirmed(hops, found)

    def _look(
        self, tx: ReadTransaction, project_id: ProjectId, id_: EndpointId, wish: TraceWish, *, sees_all: bool
    ) -> _Facts:
        endpoint, viewer = _endpoint(tx, project_id, id_, sees_all=sees_all)
        if viewer is Viewer.PROVIDER and wish.client is not None:
            raise InvalidParameter("leave from out: a consumer's clients are not its provider's business")
        scope = read_scope(
            tx, endpoint.pool_id, _NOTHING_CHANGED_SINCE, [endpoint.id], bridged=self._bridged(), terms=self._terms()
        )
        # Only now, or all other endpoints of the service would come along.
        scope = replace(scope, services=scope.providers)
        compiled = compile_scope(scope, self._capabilities)
        service = scope.providers.get(endpoint.service_id)
        target = None if service is None else compiled[service.id].wired
        return _Facts(
            endpoint,
            service,
            viewer,
            compiled[endpoint.id],
            target if isinstance(target, Target) else None,
            None if viewer is Viewer.PROVIDER else _client(tx, endpoint, wish.client),
        )


def _endpoint(
    tx: ReadTransaction, project_id: ProjectId, id_: EndpointId, *, sees_all: bool
) -> tuple[Endpoint, Viewer]:
    """Return the endpoint, and as whom the project may ask about it."""
    own, connected = tx.own_endpoint(project_id, id_), tx.connection(project_id, id_)
    if sees_all or (own is not None and connected is not None):
        found = tx.endpoint(id_) if sees_all else own
        viewer = Viewer.OPERATOR
    else:
        found, viewer = (own, Viewer.CONSUMER) if own is not None else (connected, Viewer.PROVIDER)
    if found is None:
        raise EndpointNotFound(f"endpoint {id_} does not exist in this project")
    return found, viewer


def _client(tx: ReadTransaction, endpoint: Endpoint, text: str | None) -> Client:
    """Return the client that a text names: an address in the endpoint's VPC, or a host of the endpoint's project."""
    if text is None:
        raise InvalidParameter("from is missing: give the address, the name or the port id of the client's host")
    try:
        address = IPv4Address(text)
    except AddressValueError:
        nic = _nic(tx, endpoint, text)
        return Client(nic.address, nic.vpc_id, nic.subnet_id, _name(tx.subnet(nic.subnet_id)))
    for subnet in tx.subnets(endpoint.vpc_id):
        if address in subnet.cidr:
            return Client(address, subnet.vpc_id, subnet.id, _name(subnet))
    return Client(address, None, None)


def _nic(tx: ReadTransaction, endpoint: Endpoint, text: str) -> Nic:
    found = tx.nic(NicId(text.lower()))
    if found is None or found.project_id != endpoint.project_id:
        named = (nic for nic in tx.nics() if nic.host == text and nic.project_id == endpoint.project_id)
        found = next(named, None)
    if found is None:
        raise InvalidParameter(f"from names {text!r}, which is no address and no host of the endpoint's project")
    return found


def _name(subnet: Subnet | None) -> str:
    return "of nobody" if subnet is None else f"{subnet.name} ({subnet.cidr})"


def _probe(service: EndpointService | None, forward: PortForward | None) -> Probe | None:
    if service is None or forward is None or not isinstance(service.backend, Backend):
        return None
    return probe_of(service, forward.server_port)
