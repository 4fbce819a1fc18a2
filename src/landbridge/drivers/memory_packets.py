"""Hold the packets of the network that exists in memory only, and the connections that they belong to."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import Flag, StrEnum, auto
from ipaddress import IPv4Address

from landbridge.dataplane.model import Binding, GatewayBinding
from landbridge.domain.ids import SubnetId, VpcId


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
        """Whether it may be the first packet of a connection; of TCP only a SYN may."""
        return self.protocol is not Protocol.TCP or self.flags == TcpFlag.SYN


@dataclass(frozen=True, slots=True)
class Delivery:
    """Where a packet came out, and with which headers."""

    host: str | None
    """The host's name, its address where no fabric is known; None: the edge itself answers."""
    packet: Packet


@dataclass(frozen=True, slots=True)
class Flow:
    """One connection, as the consumer's edge remembers it."""

    vpc_id: VpcId
    subnet_id: SubnetId
    protocol: Protocol
    client: tuple[IPv4Address, int]
    asked: tuple[IPv4Address, int]
    """What the client believes to talk to: an endpoint, or an address of a public network."""
    seen_source: tuple[IPv4Address, int]
    seen_destination: tuple[IPv4Address, int]


def flow_of(packet: Packet, flows: Collection[Flow]) -> Flow | None:
    """Return the connection to which a client's packet belongs."""
    client = (packet.source, packet.source_port)
    asked = (packet.destination, packet.destination_port)
    for flow in flows:
        if (flow.client, flow.asked, flow.protocol) == (client, asked, packet.protocol):
            return flow
    return None


def server_port(binding: Binding, client_port: int) -> int | None:
    """Return to which port of the backend a port of an endpoint leads."""
    for forward in binding.forwards:
        if forward.client_port == client_port:
            return forward.server_port
    return None


def is_allowed(binding: Binding | GatewayBinding, source: IPv4Address) -> bool:
    """Say whether packets of a client pass."""
    if isinstance(binding, GatewayBinding) or binding.allowed_sources is None:
        return True
    return any(source in network for network in binding.allowed_sources)


def may_open(binding: Binding | GatewayBinding, source: IPv4Address, flows: Collection[Flow]) -> bool:
    """Say whether a client whose packets pass may open one more connection."""
    is_barred = any(source in network for network in binding.barred_sources)
    return not is_barred and len(flows) < binding.connection_limit


def is_still_allowed(flow: Flow, binding: Binding | GatewayBinding) -> bool:
    """Say whether a flow of an endpoint is one that its new binding would carry in the same way."""
    if flow.seen_source[0] != binding.transit_address:
        return False
    if isinstance(binding, GatewayBinding):
        is_entry = any((flow.vpc_id, flow.subnet_id) == (one.vpc_id, one.subnet_id) for one in binding.entries)
        return is_entry and any(flow.asked[0] in network for network in binding.networks)
    targets = (binding.target_transit_address, *binding.former_targets)
    return (
        flow.vpc_id == binding.consumer.vpc_id
        and flow.asked[0] == binding.address
        and flow.seen_destination[0] in targets
        and flow.seen_destination[1] == server_port(binding, flow.asked[1])
        and is_allowed(binding, flow.client[0])
    )
