"""Hold the facts about endpoint services, endpoints and permissions as frozen records.

A record says what was asked for (`generation`) and how far the data plane has come
(`observed_generation`); the status word is computed from these in `lifecycle`, never stored.
Moments are aware and in UTC.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network

from landbridge.domain.cutting import CutOffs, FormerClients, Grace
from landbridge.domain.ids import (
    DomainId,
    EndpointId,
    NicId,
    PermissionId,
    PoolId,
    ProjectId,
    RouteTableId,
    ServiceId,
    SubnetId,
    VpcId,
)


class Origin(StrEnum):
    """Who made a network or published a service, and so who alone may change it."""

    LAB = "lab"
    API = "api"


class ServiceType(StrEnum):
    """How consumers reach an endpoint service: by an address in a subnet, or by routes (contract 3.3)."""

    INTERFACE = "interface"
    GATEWAY = "gateway"


class ServerType(StrEnum):
    """What kind of thing the backend is (contract 3.3, `server_type`)."""

    VM = "VM"
    VIP = "VIP"
    LB = "LB"


class TcpProxy(StrEnum):
    """How the backend learns the client's address (contract 3.3, `tcp_proxy`)."""

    CLOSE = "close"
    TOA_OPEN = "toa_open"
    PROXY_OPEN = "proxy_open"
    OPEN = "open"


class Admission(StrEnum):
    """The provider's decision about an endpoint."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class PortMapping:
    """One TCP port of an endpoint and the backend's port it leads to (contract 4.1)."""

    client_port: int
    server_port: int
    protocol: str = "TCP"


@dataclass(frozen=True, slots=True)
class Tag:
    """A label that tenants put on their resources (contract 4.2)."""

    key: str
    value: str


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a resource could not be made, in words safe to show to its owner.

    `slug` names the kind of error as in `domain.errors`; the wire code is looked up from it.
    """

    slug: str
    message: str


@dataclass(frozen=True, slots=True)
class Backend:
    """Where an endpoint service really listens."""

    server_type: ServerType
    nic_id: NicId
    vip_nic_id: NicId | None
    subnet_id: SubnetId
    address: IPv4Address
    """The address that packets are sent to: the NIC's, or the virtual IP's."""
    transit_address: IPv4Address
    """Stands for `address` in the pool's transit domain; shared by all services on that address."""


@dataclass(frozen=True, slots=True)
class WayOut:
    """Where a gateway endpoint service leads: networks that are reached through one subnet (contract 9.10)."""

    subnet_id: SubnetId
    networks: tuple[IPv4Network, ...]
    """Never empty. Sorted and collapsed."""


@dataclass(frozen=True, slots=True)
class EndpointService:
    """What a provider offers."""

    id: ServiceId
    project_id: ProjectId
    domain_id: DomainId
    pool_id: PoolId
    name: str
    """The full name, `region.short.id` or `region.id` (contract 4.9)."""
    vpc_id: VpcId
    backend: Backend | WayOut
    """A `WayOut` makes it a gateway service; these are public, and have no ports."""
    ports: tuple[PortMapping, ...]
    approval_enabled: bool
    tcp_proxy: TcpProxy
    description: str
    tags: tuple[Tag, ...]
    created_at: datetime
    updated_at: datetime
    enable_policy: bool = False
    """Whether its endpoints may carry an endpoint policy."""
    public_owner: str | None = None
    """Who offers it to everybody (contract 3.8, `owner`); None: it is a tenant's own."""
    origin: Origin = Origin.API
    """`LAB`: a public service that the lab file publishes."""
    cut_offs: CutOffs = field(default_factory=CutOffs)
    """How connections end when the right to them ends."""
    former_backends: tuple[Backend, ...] = ()
    """Where the service listened before, in the same VPC, the oldest first: connections opened there go on."""
    generation: int = 1
    observed_generation: int = 0
    delete_requested_at: datetime | None = None
    last_error: Failure | None = None

    @property
    def service_type(self) -> ServiceType:
        """How consumers reach it."""
        return ServiceType.GATEWAY if isinstance(self.backend, WayOut) else ServiceType.INTERFACE


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A consumer's private entry to one endpoint service."""

    id: EndpointId
    project_id: ProjectId
    domain_id: DomainId
    pool_id: PoolId
    service_id: ServiceId
    service_name: str
    vpc_id: VpcId
    subnet_id: SubnetId | None
    """None: a gateway endpoint, which is in no subnet."""
    address: IPv4Address | None
    """Its private IP in the consumer's subnet; None: a gateway endpoint, which has none."""
    transit_address: IPv4Address
    """The source address that the backend sees."""
    marker: int
    admission: Admission
    enable_dns: bool
    whitelist: tuple[IPv4Network, ...]
    enable_whitelist: bool
    description: str
    connection_description: str
    tags: tuple[Tag, ...]
    created_at: datetime
    updated_at: datetime
    policy_document: str | None = None
    """The endpoint policy as JSON text, an object or a list of statements, kept as it was sent; None: full access."""
    route_table_ids: tuple[RouteTableId, ...] = ()
    """The route tables through which a gateway endpoint is reached, in the order given; never empty for one."""
    generation: int = 1
    observed_generation: int = 0
    accepted_generation: int | None = None
    """The generation at which the last acceptance was written; kept after a rejection."""
    cut_requested_at: datetime | None = None
    """When a rejection asked the data plane to cut; None once the cut is confirmed."""
    grace: Grace | None = None
    """Of an endpoint that is rejected or being deleted: what is open goes on; None: it does not."""
    former_clients: tuple[FormerClients, ...] = ()
    """Whom edits have taken out of the whitelist without cutting what they have open, the oldest edit first."""
    delete_requested_at: datetime | None = None
    last_error: Failure | None = None

    @property
    def service_type(self) -> ServiceType:
        """How clients reach it: as its service says."""
        return ServiceType.GATEWAY if self.address is None else ServiceType.INTERFACE


class QuotaType(StrEnum):
    """What is counted per project (contract 3.27)."""

    ENDPOINT_SERVICE = "endpoint_service"
    ENDPOINT = "endpoint"


class PermissionType(StrEnum):
    """What a permission entry names."""

    DOMAIN_ID = "domainId"
    ORG_PATH = "orgPath"


@dataclass(frozen=True, slots=True)
class Permission:
    """Who may connect to a service; the entry is kept as it was sent (contract 3.14)."""

    id: PermissionId
    service_id: ServiceId
    permission: str
    permission_type: PermissionType
    description: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Vpc:
    """A virtual private cloud, as the directory knows it."""

    id: VpcId
    project_id: ProjectId
    name: str
    cidr: IPv4Network
    routes: tuple[IPv4Network, ...] = ()
    """Destinations of custom routes, of all its route tables."""
    description: str = ""
    origin: Origin = Origin.LAB
    created_at: datetime | None = None
    """None where the directory does not know it."""
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Subnet:
    """A subnet of a VPC. `attached` says whether a data plane can reach it."""

    id: SubnetId
    vpc_id: VpcId
    name: str
    cidr: IPv4Network
    gateway: IPv4Address
    mtu: int = 1500
    """Bytes of the largest IPv4 packet that the edge's interface in this subnet carries."""
    description: str = ""
    dhcp_enabled: bool = True
    dns_servers: tuple[IPv4Address, ...] = ()
    route_table_id: RouteTableId | None = None
    """None: the VPC's default route table."""
    origin: Origin = Origin.LAB
    created_at: datetime | None = None
    """None where the directory does not know it."""
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class AddressPair:
    """An address that a NIC may use beside its own; a virtual IP, mostly."""

    address: IPv4Network
    mac: str = ""


@dataclass(frozen=True, slots=True)
class Nic:
    """A network interface or a virtual IP in a subnet (`port_id` on the wire)."""

    id: NicId
    subnet_id: SubnetId
    vpc_id: VpcId
    project_id: ProjectId
    address: IPv4Address
    name: str
    is_virtual_ip: bool = False
    device_owner: str = ""
    address_pairs: tuple[AddressPair, ...] = ()
    host: str | None = None
    """Name of the lab's host that has it, unique in the region; None for a virtual IP."""
    origin: Origin = Origin.LAB


@dataclass(frozen=True, slots=True)
class Route:
    """A custom route of a route table, kept as it was sent; only the destination means something to us."""

    destination: IPv4Network
    kind: str
    """`type` on the wire; `LAB_ROUTE` for one that the lab file names."""
    next_hop: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class RouteTable:
    """A route table of a VPC; each VPC has one that is the default."""

    id: RouteTableId
    vpc_id: VpcId
    project_id: ProjectId
    name: str
    is_default: bool
    routes: tuple[Route, ...] = ()
    description: str = ""
    created_at: datetime | None = None
    """None where the directory does not know it."""
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends a request: a user of a domain, acting in one project."""

    user_id: str
    user_name: str
    domain_id: DomainId
    domain_name: str
    project_id: ProjectId
    project_name: str
    roles: frozenset[str] = field(default_factory=frozenset[str])
