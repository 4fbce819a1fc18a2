"""Say what a data plane must know, and nothing else.

A `Target` is a published backend, a `Binding` one endpoint made concrete. Both are plain frozen values with
everything resolved: a driver never looks anything up. Equal values have equal digests, on every machine and
in every run, because digests are written as labels into data planes that outlive the process.
"""

import hashlib
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import NewType

from landbridge.domain.ids import EndpointId, ServiceId, SubnetId, VpcId

Digest = NewType("Digest", str)
"""16 hex digits that stand for the whole value."""

WiredId = EndpointId | ServiceId
"""What a wired thing is called: the id of its endpoint (a binding) or of its service (a target)."""

TRANSIT_RANGE = IPv4Network("198.19.128.0/17")
"""Where transit addresses come from, in each pool anew (contract 9.1)."""

LINK_MTU = 1500
"""Bytes of the largest IPv4 packet that a link carries."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """How the data plane reaches one subnet of a VPC."""

    vpc_id: VpcId
    subnet_id: SubnetId
    cidr: IPv4Network
    gateway: IPv4Address
    mtu: int


@dataclass(frozen=True, slots=True)
class Target:
    """A published backend: packets to (transit_address, server port) are for `address`."""

    id: ServiceId
    attachment: Attachment
    address: IPv4Address
    transit_address: IPv4Address
    server_ports: tuple[int, ...]
    """TCP ports, sorted, no port twice."""


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
    """Clients that may use the endpoint; None: everybody in the VPC. Sorted and collapsed."""


Wired = Target | Binding


def digest(wired: Wired) -> Digest:
    """Return the digest of a target or binding: equal for equal values only."""
    # A dataclass's repr names its class, every field and every value: all that counts, and quick to make.
    return Digest(hashlib.sha256(repr(wired).encode()).hexdigest()[:16])
