"""Say what a data plane must know, and nothing else.

A `Target` is a published backend, a `Binding` one endpoint made concrete, a `GatewayBinding` one gateway endpoint.
All are plain frozen values with everything resolved: a driver never looks anything up. Equal values have equal
digests, on every machine and in every run, because digests are written as labels into data planes that outlive the
process.
"""

import hashlib
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network
from operator import attrgetter
from typing import NewType

from landbridge.domain.ids import EndpointId, ServiceId, SubnetId, VpcId
from landbridge.domain.resources import TcpProxy

Digest = NewType("Digest", str)
"""16 hex digits that stand for the whole value."""

WiredId = EndpointId | ServiceId
"""What a wired thing is called: the id of its endpoint (a binding) or of its service (a target)."""

TRANSIT_RANGE = IPv4Network("198.19.128.0/17")
"""Where transit addresses come from, in each pool anew (contract 9.1)."""

LINK_MTU = 1500
"""Bytes of the largest IPv4 packet that a link carries."""

PROBE_ADDRESS = TRANSIT_RANGE.broadcast_address - 1
"""The transit address from which backends are probed; no endpoint ever has it."""

EVERYBODY = IPv4Network("0.0.0.0/0")

CONNECTIONS_PER_ENDPOINT = 3000
"""How many connections an endpoint may have open, unless the operator says otherwise (contract 9.11)."""

PORTS_PER_ADDRESS = 64_512
"""Source ports that an endpoint's one transit address has for each server port: 1024 to 65535."""


@dataclass(frozen=True, slots=True)
class Bridge:
    """An existing bridge of the machine that carries a subnet; the edge is a guest there, not the gateway."""

    name: str
    edge_address: IPv4Address
    """The edge's own address in the subnet: the way back to transit addresses leads there."""
    namespace: str = ""
    """The named network namespace that has the bridge; empty: the machine's own."""
    vlan: int | None = None
    """The VLAN of the subnet on a bridge that filters by VLAN."""
    masquerade: bool = False
    """Backends see the edge's address as source, so they need no route; and can tell endpoints apart no more."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """How the data plane reaches one subnet of a VPC."""

    vpc_id: VpcId
    subnet_id: SubnetId
    cidr: IPv4Network
    gateway: IPv4Address
    mtu: int
    bridge: Bridge | None = None
    """None: a segment of the lab's own, whose gateway is the edge."""

    @property
    def edge_address(self) -> IPv4Address:
        """The edge's own address in the subnet."""
        return self.gateway if self.bridge is None else self.bridge.edge_address


@dataclass(frozen=True, slots=True)
class Place:
    """An address at which a backend was, and the transit address that stands for it."""

    address: IPv4Address
    transit_address: IPv4Address
    masquerade: bool = False
    """Its subnet was attached so; see `Bridge`."""


@dataclass(frozen=True, slots=True)
class Target:
    """A published backend: packets to (transit_address, server port) are for `address`."""

    id: ServiceId
    attachment: Attachment
    address: IPv4Address
    transit_address: IPv4Address
    server_ports: tuple[int, ...]
    """TCP ports, sorted, no port twice."""
    former_places: tuple[Place, ...] = ()
    """Where the backend was, in the same VPC: connections that were opened there go on."""


@dataclass(frozen=True, slots=True)
class PortForward:
    """`endpoint address:client_port` leads to `target transit address:server_port`, TCP."""

    client_port: int
    server_port: int


@dataclass(frozen=True, slots=True)
class Binding:
    """One accepted endpoint: all that a data plane must know to carry its connections."""

    id: EndpointId
    consumer: Attachment
    """The subnet that the endpoint's address is in."""
    provider: Attachment
    """The subnet that the backend is in."""
    address: IPv4Address
    transit_address: IPv4Address
    """The source that the backend sees."""
    target_transit_address: IPv4Address
    forwards: tuple[PortForward, ...]
    """Sorted by client port."""
    marker: int
    mtu: int
    """The smallest MTU of both attachments and the link, bytes."""
    allowed_sources: tuple[IPv4Network, ...] | None = None
    """Clients whose packets pass; None: everybody's in the VPC. Sorted and collapsed."""
    barred_sources: tuple[IPv4Network, ...] = ()
    """Clients that may open no connection; what they have open goes on. Sorted and collapsed."""
    former_targets: tuple[IPv4Address, ...] = ()
    """Transit addresses of the backend's former places: connections that were opened there go on."""
    tcp_proxy: TcpProxy = TcpProxy.CLOSE
    """How the backend learns the client's address."""
    connection_limit: int = CONNECTIONS_PER_ENDPOINT
    """How many connections may be open at once."""


@dataclass(frozen=True, slots=True)
class GatewayBinding:
    """One accepted gateway endpoint: the way out of a VPC to public networks (contract 9.10)."""

    id: EndpointId
    entries: tuple[Attachment, ...]
    """The consumer's subnets whose route table leads here; never empty. Sorted by subnet id."""
    exit: Attachment
    """The subnet from which the public networks are reached."""
    networks: tuple[IPv4Network, ...]
    """Where packets may go. Sorted and collapsed."""
    transit_address: IPv4Address
    """The source that the public network sees."""
    marker: int
    mtu: int
    """The smallest MTU of all attachments and the link, bytes."""
    barred_sources: tuple[IPv4Network, ...] = ()
    """Clients that may open no connection; what they have open goes on. Sorted and collapsed."""
    connection_limit: int = CONNECTIONS_PER_ENDPOINT
    """How many connections may be open at once."""


Wired = Target | Binding | GatewayBinding


def attachments(wired: Wired) -> tuple[Attachment, ...]:
    """Return the subnets that must be attached for something to be wired."""
    match wired:
        case Target():
            return (wired.attachment,)
        case Binding():
            return (wired.consumer, wired.provider)
        case GatewayBinding():
            return (*wired.entries, wired.exit)


def may_be_missing(wired: Wired, attachment: Attachment) -> bool:
    """Say whether something can be wired though a subnet of it is not there, as long as another one is.

    Nobody leaves by a gateway endpoint from a subnet that is not there; the others must not wait for it.
    """
    return isinstance(wired, GatewayBinding) and attachment in wired.entries and attachment.bridge is None


def digest(wired: Wired) -> Digest:
    """Return the digest of what is wired: equal for equal values only."""
    kind = type(wired)
    text = f"{kind.__name__}({', '.join([_text(value) for value in _VALUES[kind](wired)])})"
    return Digest(hashlib.sha256(text.encode()).hexdigest()[:16])


def _all_fields(kind: type[Wired]) -> Callable[[Wired], tuple[object, ...]]:
    return attrgetter(*(field.name for field in fields(kind)))


_VALUES: Mapping[type[Wired], Callable[[Wired], tuple[object, ...]]] = {
    kind: _all_fields(kind) for kind in (Target, Binding, GatewayBinding)
}


def _text(value: object) -> str:
    """Return what stands for a value and for no other of its field; quickly, as there are many."""
    if isinstance(value, str):
        return value
    if isinstance(value, IPv4Address):
        return str(int(value))
    return _kept_repr(value)


@lru_cache(maxsize=16384)
def _kept_repr(value: Hashable) -> str:
    # Of subnets, ports and lists: many things have the same. A dataclass's repr names every field and every value.
    return repr(value)
