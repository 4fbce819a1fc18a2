"""Carry bindings in a dict, and route packets through them.

The reference for every other driver: what passes here must pass there, and nothing else. The network outlives the
driver as a kernel does, so a new driver adopts what an old one left. Only addresses, ports and admission are modelled;
windows, timeouts and MTU are not, and a flow ends when its binding does, never by FIN or RST.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Flag, StrEnum, auto
from ipaddress import IPv4Address
from itertools import chain

from landbridge.dataplane.driver import DRIFTED, Capabilities, DriverError, Retry
from landbridge.dataplane.fabric import Fabric
from landbridge.dataplane.model import TRANSIT_RANGE, Attachment, Binding, Digest, Target, Wired, WiredId, digest
from landbridge.dataplane.plan import Plan, Remove, Step
from landbridge.domain.ids import SubnetId, VpcId

FIRST_SPARE_PORT = 1024
"""Where the search for another source port begins when a client's own is taken behind its endpoint."""


class Protocol(StrEnum):
    """What a packet carries. ICMP stands for an echo request."""

    TCP = "tcp"
    UDP = "udp"
    ICMP = "icmp"


class TcpFlag(Flag):
    """The TCP flags that decide who may open a connection."""

    SYN = auto()
    ACK = auto()


@dataclass(frozen=True, slots=True)
class Packet:
    """One IPv4 packet on the wire of one subnet. `source` is what the header says, true or not."""

    subnet_id: SubnetId
    source: IPv4Address
    source_port: int
    destination: IPv4Address
    destination_port: int
    protocol: Protocol = Protocol.TCP
    flags: TcpFlag = TcpFlag.SYN

    @property
    def opens_connection(self) -> bool:
        """Whether it is the first packet of a TCP connection."""
        return self.flags == TcpFlag.SYN


@dataclass(frozen=True, slots=True)
class Delivery:
    """Where a packet came out, and with which headers."""

    host: str | None
    """The host's name, its address where no fabric is known; None: the edge itself answers."""
    packet: Packet


@dataclass(frozen=True, slots=True)
class _Flow:
    """One connection, as the consumer's edge remembers it."""

    vpc_id: VpcId
    subnet_id: SubnetId
    client: tuple[IPv4Address, int]
    endpoint: tuple[IPv4Address, int]
    seen_source: tuple[IPv4Address, int]
    seen_destination: tuple[IPv4Address, int]


@dataclass(slots=True)
class _Labelled:
    """A wired thing under its label; `wired` is None when somebody took it away and left the label."""

    label: Digest
    wired: Wired | None
    flows: list[_Flow] = field(default_factory=list[_Flow])


class MemoryNetwork:
    """Subnets, hosts and what drivers have wired between them.

    With a fabric, its subnets and hosts are all there is. Without one, every subnet that something is wired in is
    there, and its hosts are the backends of services and the clients of flows.
    """

    def __init__(self, fabric: Fabric | None = None) -> None:
        self._labelled: dict[tuple[str, WiredId], _Labelled] = {}
        self._attachments: dict[SubnetId, Attachment] = {}
        self._hosts: dict[tuple[SubnetId, IPv4Address], str] | None = None
        if fabric is not None:
            self._attachments = {subnet.attachment.subnet_id: subnet.attachment for subnet in fabric.subnets}
            self._hosts = {
                (subnet.attachment.subnet_id, address): host.name
                for subnet in fabric.subnets
                for host in subnet.hosts
                for address in (host.address, *host.virtual_addresses)
            }

    def send(self, packet: Packet) -> Delivery | None:
        """Put a packet on a wire and return where it comes out; None: nowhere."""
        subnet = self._attachments.get(packet.subnet_id)
        if subnet is None:
            return None
        endpoint = self._endpoint(subnet.vpc_id, packet.destination)
        if endpoint is None and packet.destination in subnet.cidr:
            return self._hand_over(packet, subnet)  # on the wire itself: the edge has no say
        if not self._is_plausible(packet.source, subnet):
            return None
        if endpoint is not None:
            return self._enter_endpoint(packet, subnet, endpoint)
        if packet.destination in TRANSIT_RANGE:
            return self._return_to_client(packet, subnet)
        return self._route_within(packet, subnet.vpc_id)

    def lose(self, id_: WiredId) -> None:
        """Take something away behind the drivers' backs, and leave its label."""
        for (_, labelled_id), labelled in self._labelled.items():
            if labelled_id == id_:
                labelled.wired = None

    def labels(self, instance: str) -> dict[WiredId, Digest]:
        """Return what an instance has labelled, broken or not."""
        return {id_: labelled.label for (owner, id_), labelled in self._labelled.items() if owner == instance}

    def intact(self, instance: str) -> dict[WiredId, Digest]:
        """Return what an instance has wired and is really there."""
        return {
            id_: digest(labelled.wired)
            for (owner, id_), labelled in self._labelled.items()
            if owner == instance and labelled.wired is not None
        }

    def wire(self, instance: str, wired: Wired) -> None:
        """Carry a target or binding, in place of what had its id; flows that it still allows go on.

        Raises:
            DriverError: a subnet is not attached, or an address has another owner.
        """
        self._check_attached(wired)
        self._check_owner(instance, wired)
        before = self._labelled.get((instance, wired.id))
        flows = before.flows if before is not None and isinstance(wired, Binding) else []
        kept = [flow for flow in flows if isinstance(wired, Binding) and _still_allowed(flow, wired)]
        self._labelled[instance, wired.id] = _Labelled(digest(wired), wired, kept)

    def unwire(self, instance: str, id_: WiredId) -> None:
        """Carry it no longer, and forget its flows: a later endpoint must not revive them."""
        self._labelled.pop((instance, id_), None)

    def _check_attached(self, wired: Wired) -> None:
        needed = (wired.attachment,) if isinstance(wired, Target) else (wired.consumer, wired.provider)
        for attachment in needed:
            if self._hosts is None:
                self._attachments[attachment.subnet_id] = attachment
            elif attachment.subnet_id not in self._attachments:
                raise DriverError(f"subnet {attachment.subnet_id} is not attached to this data plane", Retry.SOON)

    def _check_owner(self, instance: str, wired: Wired) -> None:
        # Two owners of one address is the one state that is never allowed.
        for (owner, id_), labelled in self._labelled.items():
            other = labelled.wired
            if (owner, id_) == (instance, wired.id) or other is None:
                continue
            if isinstance(wired, Binding) and isinstance(other, Binding):
                clash = wired.transit_address == other.transit_address or (
                    wired.address == other.address and wired.consumer.vpc_id == other.consumer.vpc_id
                )
            elif isinstance(wired, Target) and isinstance(other, Target):
                # Services on one NIC share its transit address, and have no server port in common.
                here = (wired.attachment.subnet_id, wired.address)
                there = (other.attachment.subnet_id, other.address)
                shared_ports = set(wired.server_ports) & set(other.server_ports)
                clash = wired.transit_address == other.transit_address and (here != there or bool(shared_ports))
            else:
                clash = False
            if clash:
                raise DriverError(f"an address of {wired.id} is still in use by {id_}", Retry.SOON)

    def _bindings(self) -> Iterator[tuple[Binding, list[_Flow]]]:
        for labelled in self._labelled.values():
            if isinstance(labelled.wired, Binding):
                yield labelled.wired, labelled.flows

    def _endpoint(self, vpc_id: VpcId, address: IPv4Address) -> tuple[Binding, list[_Flow]] | None:
        for binding, flows in self._bindings():
            if binding.consumer.vpc_id == vpc_id and binding.address == address:
                return binding, flows
        return None

    def _target(self, transit_address: IPv4Address, server_port: int) -> Target | None:
        for labelled in self._labelled.values():
            target = labelled.wired
            if (
                isinstance(target, Target)
                and target.transit_address == transit_address
                and server_port in target.server_ports
            ):
                return target
        return None

    def _is_plausible(self, source: IPv4Address, subnet: Attachment) -> bool:
        is_the_edges_own = source == subnet.gateway or self._endpoint(subnet.vpc_id, source) is not None
        return source in subnet.cidr and not is_the_edges_own

    def _route_within(self, packet: Packet, vpc_id: VpcId) -> Delivery | None:
        for subnet in self._attachments.values():
            if subnet.vpc_id == vpc_id and packet.destination in subnet.cidr:
                return self._hand_over(packet, subnet)
        return None

    def _hand_over(self, packet: Packet, subnet: Attachment) -> Delivery | None:
        packet = replace(packet, subnet_id=subnet.subnet_id)
        name = self._host_at(subnet.subnet_id, packet.destination)
        return None if name is None else Delivery(name, packet)

    def _host_at(self, subnet_id: SubnetId, address: IPv4Address) -> str | None:
        if self._hosts is not None:
            return self._hosts.get((subnet_id, address))
        backends = (
            (labelled.wired.attachment.subnet_id, labelled.wired.address)
            for labelled in self._labelled.values()
            if isinstance(labelled.wired, Target)
        )
        clients = ((flow.subnet_id, flow.client[0]) for _, flows in self._bindings() for flow in flows)
        return str(address) if (subnet_id, address) in chain(backends, clients) else None

    def _enter_endpoint(
        self, packet: Packet, subnet: Attachment, endpoint: tuple[Binding, list[_Flow]]
    ) -> Delivery | None:
        binding, flows = endpoint
        if packet.protocol is Protocol.ICMP:
            return Delivery(None, packet)
        server_port = _server_port(binding, packet.destination_port)
        if packet.protocol is not Protocol.TCP or server_port is None or not _is_allowed(binding, packet.source):
            return None
        target = self._target(binding.target_transit_address, server_port)
        if target is None:
            return None
        flow = _flow_of(packet, flows)
        if flow is None and packet.opens_connection:
            flow = self._open(packet, subnet, binding, server_port)
            flows.append(flow)
        if flow is None:
            return None
        source, source_port = flow.seen_source
        translated = replace(
            packet,
            source=source,
            source_port=source_port,
            destination=target.address,
            destination_port=server_port,
        )
        return self._hand_over(translated, target.attachment)

    def _open(self, packet: Packet, subnet: Attachment, binding: Binding, server_port: int) -> _Flow:
        destination = (binding.target_transit_address, server_port)
        taken = {
            flow.seen_source[1]
            for other, flows in self._bindings()
            if other.transit_address == binding.transit_address
            for flow in flows
            if flow.seen_destination == destination
        }
        candidates = chain((packet.source_port,), range(FIRST_SPARE_PORT, 65536))
        source_port = next(port for port in candidates if port not in taken)
        return _Flow(
            vpc_id=subnet.vpc_id,
            subnet_id=subnet.subnet_id,
            client=(packet.source, packet.source_port),
            endpoint=(packet.destination, packet.destination_port),
            seen_source=(binding.transit_address, source_port),
            seen_destination=destination,
        )

    def _return_to_client(self, packet: Packet, subnet: Attachment) -> Delivery | None:
        """Carry a backend's answer. Nobody else has business in the transit range."""
        if packet.protocol is not Protocol.TCP or packet.opens_connection:
            return None
        seen_source = (packet.destination, packet.destination_port)
        for binding, flows in self._bindings():
            for flow in flows:
                target = self._target(*flow.seen_destination)
                if (
                    target is not None
                    and flow.seen_source == seen_source
                    and (target.address, flow.seen_destination[1]) == (packet.source, packet.source_port)
                    and target.attachment.subnet_id == subnet.subnet_id
                ):
                    translated = replace(
                        packet,
                        source=binding.address,
                        source_port=flow.endpoint[1],
                        destination=flow.client[0],
                        destination_port=flow.client[1],
                    )
                    return self._hand_over(translated, self._attachments[flow.subnet_id])
        return None


class MemoryDriver:
    """Drive a network that exists in memory only."""

    def __init__(self, network: MemoryNetwork | None = None, instance: str = "memory") -> None:
        self.network = network if network is not None else MemoryNetwork()
        self._instance = instance
        self._errors: dict[WiredId, DriverError] = {}

    @property
    def capabilities(self) -> Capabilities:
        """What this driver can carry."""
        return Capabilities()

    def fail_on(self, id_: WiredId, error: DriverError | None) -> None:
        """From now on refuse every step about this id with the error; None: refuse no longer."""
        if error is None:
            self._errors.pop(id_, None)
        else:
            self._errors[id_] = error

    def observe(self, ids: Collection[WiredId]) -> Mapping[WiredId, Digest]:
        """Return the digests of those of `ids` that are wired, as their labels say."""
        labels = self.network.labels(self._instance)
        return {id_: labels[id_] for id_ in ids if id_ in labels}

    def survey(self, expected: Collection[Wired]) -> Mapping[WiredId, Digest]:
        """Return the digest of everything of this instance; `DRIFTED` for what is not as expected or is broken."""
        intact = self.network.intact(self._instance)
        wanted = {wired.id: digest(wired) for wired in expected}
        return {
            id_: label if intact.get(id_) == label == wanted.get(id_, label) else DRIFTED
            for id_, label in self.network.labels(self._instance).items()
        }

    def apply(self, plan: Plan) -> Mapping[WiredId, DriverError]:
        """Take the plan's steps; return the errors by id."""
        errors: dict[WiredId, DriverError] = {}
        for step in plan.steps:
            id_ = step.id if isinstance(step, Remove) else step.wired.id
            try:
                self._take(id_, step)
            except DriverError as error:
                errors[id_] = error
        return errors

    def _take(self, id_: WiredId, step: Step) -> None:
        if id_ in self._errors:
            raise self._errors[id_]
        if isinstance(step, Remove):
            self.network.unwire(self._instance, id_)
        else:
            self.network.wire(self._instance, step.wired)

    def close(self) -> None:
        """Do nothing: the network stays as it is."""


def _server_port(binding: Binding, client_port: int) -> int | None:
    for forward in binding.forwards:
        if forward.client_port == client_port:
            return forward.server_port
    return None


def _is_allowed(binding: Binding, source: IPv4Address) -> bool:
    return binding.allowed_sources is None or any(source in network for network in binding.allowed_sources)


def _still_allowed(flow: _Flow, binding: Binding) -> bool:
    """Say whether a flow of an endpoint is one that its new binding would carry in the same way."""
    return (
        flow.vpc_id == binding.consumer.vpc_id
        and flow.endpoint[0] == binding.address
        and flow.seen_source[0] == binding.transit_address
        and flow.seen_destination == (binding.target_transit_address, _server_port(binding, flow.endpoint[1]))
        and _is_allowed(binding, flow.client[0])
    )


def _flow_of(packet: Packet, flows: Collection[_Flow]) -> _Flow | None:
    client = (packet.source, packet.source_port)
    endpoint = (packet.destination, packet.destination_port)
    for flow in flows:
        if flow.client == client and flow.endpoint == endpoint:
            return flow
    return None
