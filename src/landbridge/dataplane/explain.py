"""Explain, hop by hop, why a client can or cannot open a connection through an endpoint.

Pure: from what should be wired, from who asks, and from what is known of the backend's health. What the kernel really
has is laid over it by `hops.confirmed`.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from landbridge.dataplane.compile import Compiled
from landbridge.dataplane.health import Finding, Health, Probe, reason
from landbridge.dataplane.hops import Hop, Step, Verdict, Words
from landbridge.dataplane.model import EVERYBODY, Binding, GatewayBinding, PortForward, Target
from landbridge.domain.ids import SubnetId, VpcId
from landbridge.domain.lifecycle import EndpointStatus, endpoint_status
from landbridge.domain.resources import Endpoint, TcpProxy


@dataclass(frozen=True, slots=True)
class Client:
    """Where a connection would come from."""

    address: IPv4Address
    vpc_id: VpcId | None
    """None: in no VPC that the asker may know."""
    subnet_id: SubnetId | None
    subnet: str = ""
    """The subnet as people know it: its name and range."""


@dataclass(frozen=True, slots=True)
class Case:
    """One question: may this client connect through this endpoint?"""

    endpoint: Endpoint
    compiled: Compiled
    """What should be wired for the endpoint."""
    client: Client | None = None
    """None: it is the provider who asks."""
    port: int | None = None
    """The client port; None: the lowest that the endpoint has."""
    backend: IPv4Address | None = None
    """The backend's own address; None: a gateway service has none."""
    open_connections: int | None = None
    """How many the endpoint has open; None: nobody counted."""
    probe: Probe | None = None
    finding: Finding | None = None
    """What is known of the backend's health."""


@dataclass(frozen=True, slots=True)
class Way:
    """What a connection needs, for whoever looks whether the kernel has it."""

    wired: Binding | GatewayBinding
    target: Target | None
    """The published backend; None: a gateway endpoint has none."""
    forward: PortForward | None
    """None: a gateway endpoint, or a port that leads nowhere."""
    client: Client | None
    probe: Probe | None


_ON_CONSUMERS_SIDE = Words("this is on the consumer's side")
_STOPPED_THERE = Words(
    "a connection is stopped on the consumer's side", "ask the consumer to trace the endpoint: the consumer sees why"
)
_NOT_WIRED = Words("not looked at: the endpoint is not wired")
_NOT_ASKED = Words("not looked at: which client it is was not asked")
_WITH_OPTION = frozenset({TcpProxy.TOA_OPEN, TcpProxy.OPEN})


def explain(case: Case) -> tuple[Hop, ...]:
    """Return the hops of a connection, each with its verdict, in the order of `Step`."""
    wired = case.compiled.wired
    if isinstance(wired, GatewayBinding) or (wired is None and case.endpoint.address is None):
        return tuple(_gateway_hops(case, wired if isinstance(wired, GatewayBinding) else None))
    return tuple(_hops(case, wired if isinstance(wired, Binding) else None))


def forward_of(binding: Binding, port: int | None) -> PortForward | None:
    """Return where a client port leads, the lowest for None; None: nowhere."""
    if port is None:
        return binding.forwards[0] if binding.forwards else None
    return next((forward for forward in binding.forwards if forward.client_port == port), None)


def _hops(case: Case, binding: Binding | None) -> Iterator[Hop]:
    yield _subnet(case)
    yield _address(case, binding)
    yield _admission(case, binding)
    if binding is None:
        for step in (Step.WHITELIST, Step.BUDGET, Step.PORT, Step.SOURCE, Step.LINK, Step.TARGET, Step.BACKEND):
            yield Hop(step, Verdict.SKIPPED, _NOT_WIRED)
        return
    yield _whitelist(case, binding)
    yield _budget(case, binding)
    yield _port(case, binding)
    yield from _disclosure(binding)
    yield Hop(Step.SOURCE, Verdict.PASSES, Words(f"the backend sees the source {binding.transit_address}"))
    yield Hop(Step.LINK, Verdict.PASSES, Words("links and routes lead to the provider's VPC and back"))
    yield _target(case, binding)
    yield _backend(case, binding)


def _gateway_hops(case: Case, binding: GatewayBinding | None) -> Iterator[Hop]:
    yield _subnet(case)
    if binding is None:
        is_ready = endpoint_status(case.endpoint) is EndpointStatus.ACCEPTED and case.compiled.failure is None
        if is_ready:
            yield _stopped(
                Step.ROUTE_TABLE,
                "no subnet has one of the endpoint's route tables",
                "give a subnet one of them, or choose other route tables for the endpoint",
                to_provider=_STOPPED_THERE,
            )
            yield Hop(Step.ADMISSION, Verdict.PASSES, Words("the endpoint is accepted"))
        else:
            yield Hop(Step.ROUTE_TABLE, Verdict.SKIPPED, _NOT_WIRED)
            yield _admission(case, None)
        for step in (Step.BUDGET, Step.SOURCE, Step.LINK, Step.PUBLIC):
            yield Hop(step, Verdict.SKIPPED, _NOT_WIRED)
        return
    networks = ", ".join(map(str, binding.networks))
    yield _route_table(case, binding, networks)
    yield _admission(case, binding)
    yield _budget(case, binding)
    yield Hop(Step.SOURCE, Verdict.PASSES, Words(f"the public network sees the source {binding.transit_address}"))
    yield Hop(Step.LINK, Verdict.PASSES, Words("links and routes lead to the public network and back"))
    text = f"{networks} is open to the endpoint; whether anybody answers there is not probed"
    yield Hop(Step.PUBLIC, Verdict.PASSES, Words(text))


def _subnet(case: Case) -> Hop:
    client, vpc_id = case.client, case.endpoint.vpc_id
    if client is None:
        return Hop(Step.SUBNET, Verdict.SKIPPED, _NOT_ASKED, to_provider=_ON_CONSUMERS_SIDE)
    if client.subnet_id is None or client.vpc_id != vpc_id:
        where = "no subnet" if client.subnet_id is None else f"subnet {client.subnet} of another VPC, in no subnet"
        return _stopped(
            Step.SUBNET,
            f"{client.address} is in {where} of the endpoint's VPC {vpc_id}",
            "connect from a host of that VPC, or create an endpoint in the host's own VPC",
        )
    if client.address == case.endpoint.address:
        return _stopped(Step.SUBNET, f"{client.address} is the endpoint itself", "name the host that connects")
    text = f"{client.address} is in subnet {client.subnet} of the endpoint's VPC"
    return Hop(Step.SUBNET, Verdict.PASSES, Words(text), to_provider=_ON_CONSUMERS_SIDE)


def _route_table(case: Case, binding: GatewayBinding, networks: str) -> Hop:
    client = case.client
    if client is None:
        # Asked of the kernel all the same: for every subnet that leads here.
        text = f"{len(binding.entries)} subnets lead to {networks} through the endpoint"
        return Hop(Step.ROUTE_TABLE, Verdict.PASSES, Words(text), to_provider=_ON_CONSUMERS_SIDE)
    if client.subnet_id not in {entry.subnet_id for entry in binding.entries}:
        return _stopped(
            Step.ROUTE_TABLE,
            f"the route table of subnet {client.subnet} does not lead to the endpoint",
            "choose that route table for the endpoint, or give the subnet one of the endpoint's",
        )
    text = f"the route table of subnet {client.subnet} leads to {networks} through the endpoint"
    return Hop(Step.ROUTE_TABLE, Verdict.PASSES, Words(text), to_provider=_ON_CONSUMERS_SIDE)


def _address(case: Case, binding: Binding | None) -> Hop:
    if binding is None:
        text = "not looked at: no address answers for an endpoint that is not wired"
        return Hop(Step.ADDRESS, Verdict.SKIPPED, Words(text))
    text = f"{binding.address} is answered for in its subnet {binding.consumer.cidr}"
    return Hop(Step.ADDRESS, Verdict.PASSES, Words(text), to_provider=_ON_CONSUMERS_SIDE)


def _admission(case: Case, binding: Binding | GatewayBinding | None) -> Hop:
    endpoint = case.endpoint
    accept = f"landbridge connection accept {endpoint.service_id} {endpoint.id}"
    match endpoint_status(endpoint):
        case EndpointStatus.PENDING_ACCEPTANCE:
            said = Words("the endpoint waits for its provider", f"the provider accepts it: {accept}")
        case EndpointStatus.REJECTED:
            said = Words("the provider has rejected the endpoint", f"the provider may accept it again: {accept}")
        case EndpointStatus.DELETING:
            said = Words("the endpoint is being deleted", "create another one")
        case EndpointStatus.FAILED:
            why = endpoint.last_error.message if endpoint.last_error else "no reason is known"
            said = Words(f"the endpoint has failed: {why}", "mend what the reason says, or delete the endpoint")
        case EndpointStatus.CREATING:
            said = Words("the endpoint is accepted and not wired yet", "ask again in a second")
        case EndpointStatus.ACCEPTED:
            said = None
    if said is None and binding is None:
        why = case.compiled.failure.message if case.compiled.failure else "its provider's service is not ready"
        said = Words(f"the endpoint is accepted and cannot be wired: {why}", "mend what the reason says")
    if said is None and binding is not None and EVERYBODY in binding.barred_sources:
        said = Words(
            "nothing new may be opened: what is open goes on until its deadline",
            f"the provider may accept the endpoint again: {accept}",
        )
    if said is not None:
        return Hop(Step.ADMISSION, Verdict.STOPPED, said)
    return Hop(Step.ADMISSION, Verdict.PASSES, Words("the endpoint is accepted"))


def _whitelist(case: Case, binding: Binding) -> Hop:
    client, allowed = case.client, binding.allowed_sources
    if client is None:
        return Hop(Step.WHITELIST, Verdict.SKIPPED, _NOT_ASKED, to_provider=_ON_CONSUMERS_SIDE)
    if allowed is not None and _covering(client.address, allowed) is None:
        listed = ", ".join(map(str, allowed)) or "nobody"
        return _stopped(
            Step.WHITELIST,
            f"the whitelist lets in {listed}, and not {client.address}",
            f"add {client.address} to the endpoint's whitelist, or switch the whitelist off",
            to_provider=_STOPPED_THERE,
        )
    barred = _covering(client.address, binding.barred_sources)
    if barred is not None and barred != EVERYBODY:
        return _stopped(
            Step.WHITELIST,
            f"{client.address} was taken out of the whitelist: what it has open goes on, and nothing new",
            f"add {client.address} to the endpoint's whitelist again",
            to_provider=_STOPPED_THERE,
        )
    text = "the endpoint has no whitelist: everybody in its VPC may use it"
    if allowed is not None:
        text = f"the whitelist lets in {_covering(client.address, allowed)}"
    return Hop(Step.WHITELIST, Verdict.PASSES, Words(text), to_provider=_ON_CONSUMERS_SIDE)


def _budget(case: Case, binding: Binding | GatewayBinding) -> Hop:
    limit, count = binding.connection_limit, case.open_connections
    if count is None:
        return Hop(Step.BUDGET, Verdict.PASSES, Words(f"{limit} connections may be open at once"))
    text = f"{count} of {limit} connections are open"
    if count >= limit:
        advice = "close some, create another endpoint, or ask the operator for more (connections_per_endpoint)"
        return _stopped(Step.BUDGET, text, advice)
    return Hop(Step.BUDGET, Verdict.PASSES, Words(text))


def _port(case: Case, binding: Binding) -> Hop:
    ports = ", ".join(str(forward.client_port) for forward in binding.forwards)
    forward = forward_of(binding, case.port)
    if forward is None:
        text = f"the endpoint has no port {case.port}; its ports are {ports}"
        return _stopped(Step.PORT, text, "connect to one of its ports, or ask the provider to add it")
    others = f"; its ports are {ports}" if len(binding.forwards) > 1 and case.port is None else ""
    return Hop(
        Step.PORT,
        Verdict.PASSES,
        Words(f"port {forward.client_port} leads to port {forward.server_port} of the backend{others}"),
        to_consumer=Words(f"port {forward.client_port} is a port of the endpoint{others}"),
    )


def _disclosure(binding: Binding) -> Iterator[Hop]:
    mode = binding.tcp_proxy
    if mode is TcpProxy.PROXY_OPEN:
        yield Hop(Step.PROXY, Verdict.PASSES, Words("the proxy tells the backend the client in a PROXY header"))
    elif mode is TcpProxy.TOA_OPEN:
        yield Hop(Step.OPTION, Verdict.PASSES, Words("TCP option 254 tells the backend the client"))
    elif mode in _WITH_OPTION:
        yield Hop(Step.OPTION, Verdict.PASSES, Words("a PROXY header and TCP option 254 tell the backend the client"))


def _target(case: Case, binding: Binding) -> Hop:
    published = f"the backend {case.backend}" if case.backend is not None else "the backend"
    return Hop(
        Step.TARGET,
        Verdict.PASSES,
        Words(f"{published} is published as {binding.target_transit_address}"),
        to_consumer=Words("the service's backend is published"),
    )


def _backend(case: Case, binding: Binding) -> Hop:
    finding, probe = case.finding, case.probe
    if finding is None or probe is None or forward_of(binding, case.port) is None:
        return Hop(Step.BACKEND, Verdict.SKIPPED, Words("not looked at: the port leads to none"))
    if finding.health is Health.PASSING:
        text = f"{probe.address} takes connections on port {probe.server_port}, as of {finding.checked_at:%H:%M:%SZ}"
        return Hop(Step.BACKEND, Verdict.PASSES, Words(text), Words("the backend takes connections"), is_confirmed=True)
    why, _, what_to_do = reason(finding, probe).partition(": ")
    if finding.health is Health.FAILING:
        to_consumer = Words("the backend takes no connections", "ask the provider of the service to mend its backend")
        return Hop(Step.BACKEND, Verdict.STOPPED, Words(why, what_to_do), to_consumer, is_confirmed=True)
    unknown = "whether the backend takes connections is not known"
    advice = f"{what_to_do}, or ask with a probe"
    return Hop(Step.BACKEND, Verdict.UNKNOWN, Words(f"{unknown}: {why}", advice), Words(unknown, "ask with a probe"))


def _stopped(step: Step, text: str, advice: str, to_provider: Words | None = None) -> Hop:
    return Hop(step, Verdict.STOPPED, Words(text, advice), to_provider=to_provider)


def _covering(address: IPv4Address, networks: Collection[IPv4Network]) -> IPv4Network | None:
    return next((network for network in networks if address in network), None)
