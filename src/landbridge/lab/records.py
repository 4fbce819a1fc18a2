"""Hold what a lab file says, checked, with every default filled in.

A `Lab` keeps all rules of docs/reference/lab-file.md; ids are not in it, because `layout` derives them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network

from landbridge.domain.resources import PortMapping, QuotaType


@dataclass(frozen=True, slots=True)
class UserEntry:
    """Somebody who may log in, with roles in the project that lists them."""

    name: str
    password: str = field(repr=False)
    roles: frozenset[str]
    """Of `reader`, `member` and `admin`, never empty; and `operator` if the file lists the user as one."""
    access_key: str | None = None
    secret_key: str | None = field(default=None, repr=False)
    """None exactly when `access_key` is."""


@dataclass(frozen=True, slots=True)
class ProjectEntry:
    """A project and the name of the domain that owns it."""

    name: str
    domain: str
    users: tuple[UserEntry, ...] = ()
    quotas: Mapping[QuotaType, int] = field(default_factory=dict[QuotaType, int])
    """Only those that the file names."""


@dataclass(frozen=True, slots=True)
class HostEntry:
    """One machine: one NIC, and the virtual IPs that it carries."""

    name: str
    """Unique in the file."""
    ip: IPv4Address
    vips: tuple[IPv4Address, ...]
    mtu: int
    """Bytes."""


@dataclass(frozen=True, slots=True)
class SubnetEntry:
    """A subnet and its hosts; no address is used twice."""

    name: str
    """Unique in its VPC."""
    cidr: IPv4Network
    gateway: IPv4Address
    mtu: int
    """Bytes; of the edge's interface."""
    hosts: tuple[HostEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class VpcEntry:
    """A VPC; its subnets are inside `cidr` and do not overlap."""

    name: str
    """Unique in the file."""
    project: str
    """Empty: nobody's, as the public network is."""
    cidr: IPv4Network
    routes: tuple[IPv4Network, ...] = ()
    """Destinations of custom routes."""
    subnets: tuple[SubnetEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class PublicServiceEntry:
    """An interface service that is offered to everybody."""

    name: str
    """The full name, unique in the file."""
    host: str
    """The name of the host that is its backend."""
    ports: tuple[PortMapping, ...]
    """At least one; no server port of a host is in two services."""
    owner: str
    """Who offers it, as lists show it."""


@dataclass(frozen=True, slots=True)
class PublicGatewayEntry:
    """A gateway service that is offered to everybody."""

    name: str
    """The full name, unique in the file."""
    cidrs: tuple[IPv4Network, ...]
    """At least one, all inside the public network; no address is in two services. Sorted and collapsed."""
    owner: str
    """Who offers it, as lists show it."""


@dataclass(frozen=True, slots=True)
class Lab:
    """A whole local cloud."""

    region: str
    projects: tuple[ProjectEntry, ...]
    vpcs: tuple[VpcEntry, ...] = ()
    public_services: tuple[PublicServiceEntry | PublicGatewayEntry, ...] = ()
    public: VpcEntry | None = None
    """The operator's own network, with one subnet: what gateway services lead to. It belongs to no project."""
