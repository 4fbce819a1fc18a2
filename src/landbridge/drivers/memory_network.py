"""Route packets between hosts that exist in memory only, through what drivers have wired.

What passes here must pass through every other data plane, and nothing else. Only addresses, ports, admission and
budgets are modelled; windows, timeouts and MTU are not, and a flow ends when its binding does, never by FIN or RST.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address
from itertools import chain

from landbridge.dataplane.driver import DriverError, Retry
from landbridge.dataplane.fabric import Fabric
from landbridge.dataplane.model import (
    TRANSIT_RANGE,
    Attachment,
    Binding,
    Digest,
    GatewayBinding,
    Target,
    Wired,
    WiredId,
    attachments,
    digest,
    may_be_missing,
)
from landbridge.domain.ids import SubnetId, VpcId
from landbridge.drivers.memory_packets import (
    Delivery,
    Flow,
    Packet,
    Protocol,
    flow_of,
    is_allowed,
    is_still_allowed,
    may_open,
    server_port,
)

FIRST_SPARE_PORT = 1024
"""Where the search for another source port begins when a client's own is taken behind its endpoint."""


@dataclass(slots=True)
class _Labelled:
    """A wired thing under its label; `wired` is None when somebody took it away and left the label."""

    label: Digest
    wired: Wired | None
    flows: list[Flow] = field(default_factory=list[Flow])


class MemoryNetwork:
    """Subnets, hosts and what drivers have wired between them.

    With a fabric, its subnets and hosts are all there is. Without one, every subnet that something is wired in is
    there, and its hosts are the backends of services, what gateway endpoints lead to, and the clients of flows.
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
        return self._through_the_edge(packet, subnet, endpoint) if self._is_plausible(packet.source, subnet) else None

    def _through_the_edge(
        self, packet: Packet, subnet: Attachment, endpoint: tuple[Binding, list[Flow]] | None
    ) -> Delivery | None:
        if endpoint is not None:
            return self._enter_endpoint(packet, subnet, endpoint)
        gateway = self._gateway(subnet, packet.destination)
        if gateway is not None:
            return self._leave_by_gateway(packet, subnet, gateway)
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
        flows: list[Flow] = []
        if before is not None and not isinstance(wired, Target):
            flows = [flow for flow in before.flows if is_still_allowed(flow, wired)]
        self._labelled[instance, wired.id] = _Labelled(digest(wired), wired, flows)

    def unwire(self, instance: str, id_: WiredId) -> None:
        """Carry it no longer, and forget its flows: a later endpoint must not revive them."""
        self._labelled.pop((instance, id_), None)

    def _check_attached(self, wired: Wired) -> None:
        needed = attachments(wired)
        if self._hosts is None:
            self._attachments |= {attachment.subnet_id: attachment for attachment in needed}
        missing = [attachment for attachment in needed if attachment.subnet_id not in self._attachments]
        is_nowhere = isinstance(wired, GatewayBinding) and set(wired.entries) <= set(missing)
        for attachment in missing:
            if is_nowhere or not may_be_missing(wired, attachment):
                raise DriverError(f"subnet {attachment.subnet_id} is not attached to this data plane", Retry.SOON)

    def _check_owner(self, instance: str, wired: Wired) -> None:
        # Two owners of one address is the one state that is never allowed.
        for (owner, id_), labelled in self._labelled.items():
            other = labelled.wired
            if (owner, id_) == (instance, wired.id) or other is None:
                continue
            if _clashes(wired, other):
                raise DriverError(f"an address of {wired.id} is still in use by {id_}", Retry.SOON)

    def _bindings(self) -> Iterator[tuple[Binding | GatewayBinding, list[Flow]]]:
        for labelled in self._labelled.values():
            if labelled.wired is not None and not isinstance(labelled.wired, Target):
                yield labelled.wired, labelled.flows

    def _endpoint(self, vpc_id: VpcId, address: IPv4Address) -> tuple[Binding, list[Flow]] | None:
        for binding, flows in self._bindings():
            if isinstance(binding, Binding) and (binding.consumer.vpc_id, binding.address) == (vpc_id, address):
                return binding, flows
        return None

    def _gateway(self, subnet: Attachment, address: IPv4Address) -> tuple[GatewayBinding, list[Flow]] | None:
        for binding, flows in self._bindings():
            if (
                isinstance(binding, GatewayBinding)
                and any(entry.subnet_id == subnet.subnet_id for entry in binding.entries)
                and any(address in network for network in binding.networks)
            ):
                return binding, flows
        return None

    def _place(self, transit_address: IPv4Address, port: int) -> tuple[IPv4Address, Attachment] | None:
        """Return the address and subnet of the backend, or former place of one, that is published so."""
        for labelled in self._labelled.values():
            target = labelled.wired
            if isinstance(target, Target) and port in target.server_ports:
                address = _addresses(target).get(transit_address)
                subnet = None if address is None else self._subnet_of(target, address)
                if address is not None and subnet is not None:
                    return address, subnet
        return None

    def _subnet_of(self, target: Target, address: IPv4Address) -> Attachment | None:
        if address in target.attachment.cidr:
            return target.attachment
        for subnet in self._attachments.values():
            if subnet.vpc_id == target.attachment.vpc_id and address in subnet.cidr:
                return subnet
        return None

    def _is_plausible(self, source: IPv4Address, subnet: Attachment) -> bool:
        is_the_edges_own = source == subnet.edge_address or self._endpoint(subnet.vpc_id, source) is not None
        return source in subnet.cidr and not is_the_edges_own

    def _route_within(self, packet: Packet, vpc_id: VpcId) -> Delivery | None:
        for subnet in self._attachments.values():
            if subnet.vpc_id == vpc_id and packet.destination in subnet.cidr:
                return self._hand_over(packet, subnet)
        return None

    def _hand_over(self, packet: Packet, subnet: Attachment) -> Delivery | None:
        packet = replace(packet, subnet_id=subnet.subnet_id)
        name = self._host_at(subnet, packet.destination)
        return None if name is None else Delivery(name, packet)

    def _host_at(self, subnet: Attachment, address: IPv4Address) -> str | None:
        if self._hosts is not None:
            return self._hosts.get((subnet.subnet_id, address))
        for labelled in self._labelled.values():
            wired = labelled.wired
            if isinstance(wired, Target):
                is_there = wired.attachment.vpc_id == subnet.vpc_id and address in _addresses(wired).values()
            elif isinstance(wired, GatewayBinding):
                is_there = wired.exit == subnet and any(address in network for network in wired.networks)
            else:
                is_there = False
            clients = ((flow.subnet_id, flow.client[0]) for flow in labelled.flows)
            if is_there or (subnet.subnet_id, address) in clients:
                return str(address)
        return None

    def _enter_endpoint(
        self, packet: Packet, subnet: Attachment, endpoint: tuple[Binding, list[Flow]]
    ) -> Delivery | None:
        binding, flows = endpoint
        if packet.protocol is Protocol.ICMP:
            return Delivery(None, packet)
        port = server_port(binding, packet.destination_port)
        if packet.protocol is not Protocol.TCP or port is None or not is_allowed(binding, packet.source):
            return None
        destination = (binding.target_transit_address, port)
        flow = flow_of(packet, flows)
        if flow is None and self._place(*destination) is not None:
            flow = self._opened(packet, subnet, endpoint, destination)
        place = None if flow is None else self._place(*flow.seen_destination)
        if flow is None or place is None:
            return None
        address, there = place
        return self._hand_over(_translated(packet, flow.seen_source, (address, port)), there)

    def _leave_by_gateway(
        self, packet: Packet, subnet: Attachment, gateway: tuple[GatewayBinding, list[Flow]]
    ) -> Delivery | None:
        binding, flows = gateway
        destination = (packet.destination, packet.destination_port)
        flow = flow_of(packet, flows) or self._opened(packet, subnet, gateway, destination)
        if flow is None:
            return None
        return self._route_out(_translated(packet, flow.seen_source, destination), binding.exit)

    def _route_out(self, packet: Packet, exit_: Attachment) -> Delivery | None:
        # What lies behind the subnet's own gateway is somebody else's network.
        return self._hand_over(packet, exit_) if self._hosts is None else self._route_within(packet, exit_.vpc_id)

    def _opened(
        self,
        packet: Packet,
        subnet: Attachment,
        endpoint: tuple[Binding | GatewayBinding, list[Flow]],
        destination: tuple[IPv4Address, int],
    ) -> Flow | None:
        """Return a new connection if the packet may open one, and remember it."""
        binding, flows = endpoint
        if not packet.opens_connection or not may_open(binding, packet.source, flows):
            return None
        taken = {
            flow.seen_source[1]
            for flow in flows
            if (flow.seen_destination, flow.protocol) == (destination, packet.protocol)
        }
        candidates = chain((packet.source_port,), range(FIRST_SPARE_PORT, 65536))
        flow = Flow(
            vpc_id=subnet.vpc_id,
            subnet_id=subnet.subnet_id,
            protocol=packet.protocol,
            client=(packet.source, packet.source_port),
            asked=(packet.destination, packet.destination_port),
            seen_source=(binding.transit_address, next(port for port in candidates if port not in taken)),
            seen_destination=destination,
        )
        flows.append(flow)
        return flow

    def _return_to_client(self, packet: Packet, subnet: Attachment) -> Delivery | None:
        """Carry an answer of a backend or of a public network. Nobody else has business in the transit range."""
        if packet.protocol is Protocol.TCP and packet.opens_connection:
            return None
        to, sender = (packet.destination, packet.destination_port), (packet.source, packet.source_port)
        for binding, flows in self._bindings():
            for flow in flows:
                is_of_flow = (flow.seen_source, flow.protocol) == (to, packet.protocol)
                if is_of_flow and self._answers(binding, flow, sender, subnet):
                    return self._hand_over(
                        _translated(packet, flow.asked, flow.client), self._attachments[flow.subnet_id]
                    )
        return None

    def _answers(
        self, binding: Binding | GatewayBinding, flow: Flow, sender: tuple[IPv4Address, int], subnet: Attachment
    ) -> bool:
        """Say whether a sender in a subnet is the other end of a connection."""
        if isinstance(binding, GatewayBinding):
            return sender == flow.seen_destination and subnet.subnet_id == binding.exit.subnet_id
        place = self._place(*flow.seen_destination)
        if place is None:
            return False
        address, there = place
        return sender == (address, flow.seen_destination[1]) and there.subnet_id == subnet.subnet_id


def _translated(packet: Packet, source: tuple[IPv4Address, int], destination: tuple[IPv4Address, int]) -> Packet:
    return replace(
        packet,
        source=source[0],
        source_port=source[1],
        destination=destination[0],
        destination_port=destination[1],
    )


def _addresses(target: Target) -> dict[IPv4Address, IPv4Address]:
    """Return the backend's addresses by the transit addresses that stand for them: the present one and former ones."""
    former = {place.transit_address: place.address for place in target.former_places}
    return former | {target.transit_address: target.address}


def _clashes(wired: Wired, other: Wired) -> bool:
    if isinstance(wired, Target) and isinstance(other, Target):
        # Services on one NIC share its transit address, and have no server port in common there.
        mine, others = _addresses(wired), _addresses(other)
        is_one_vpc = wired.attachment.vpc_id == other.attachment.vpc_id
        is_taken = any(
            others.get(transit, address) != address or not is_one_vpc
            for transit, address in mine.items()
            if transit in others
        )
        shared_ports = set(wired.server_ports) & set(other.server_ports)
        return is_taken or (wired.transit_address == other.transit_address and bool(shared_ports))
    if isinstance(wired, Target) or isinstance(other, Target):
        return False
    if wired.transit_address == other.transit_address:
        return True
    if isinstance(wired, Binding) and isinstance(other, Binding):
        return (wired.address, wired.consumer.vpc_id) == (other.address, other.consumer.vpc_id)
    return False
