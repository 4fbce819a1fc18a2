"""Say what the use cases and the loop need from the world.

Adapters implement these; nothing here does anything. A use case hands the store a function that runs inside one
transaction: it either happens whole, and is on disk when `write` returns, or not at all.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from ipaddress import IPv4Address
from typing import Protocol, TypeVar

from landbridge.control.accounts import (
    PasswordLogin,
    ProjectRecord,
    SignedRequest,
    Signer,
    TokenFacts,
    TokenLogin,
    User,
    UserRecord,
)
from landbridge.control.audit import AuditQuery, AuditRecord
from landbridge.control.network_protocols import NetworkReading, NetworkWriting
from landbridge.control.queries import (
    Changes,
    ConnectionQuery,
    EndpointQuery,
    PermissionQuery,
    PublicServiceQuery,
    ServiceQuery,
)
from landbridge.dataplane.pools import Pool
from landbridge.dataplane.tracking import FullEdges
from landbridge.domain.ids import (
    EndpointId,
    NicId,
    PermissionId,
    PoolId,
    ProjectId,
    ServiceId,
    SubnetId,
    VpcId,
)
from landbridge.domain.resources import (
    Endpoint,
    EndpointService,
    Failure,
    Nic,
    Permission,
    QuotaType,
    Subnet,
    Tag,
    Vpc,
)
from landbridge.domain.tagging import ResourceType, TaggedResource

T = TypeVar("T")


class Clock(Protocol):
    """Where the time comes from."""

    def now(self) -> datetime:
        """Return the current moment, aware and in UTC."""
        ...


class ReadTransaction(NetworkReading, Protocol):
    """One consistent look at the database."""

    def service(self, id_: ServiceId) -> EndpointService | None:
        """Return the service, deleting ones included, whoever owns it."""
        ...

    def own_service(self, project_id: ProjectId, id_: ServiceId) -> EndpointService | None:
        """Return the project's service, deleting ones included; another project's is as absent as an unknown one."""
        ...

    def own_service_and_count(self, project_id: ProjectId, id_: ServiceId) -> tuple[EndpointService, int] | None:
        """Return what `own_service` does, and how many endpoints it has in creating or accepted."""
        ...

    def services(self, query: ServiceQuery) -> tuple[Sequence[EndpointService], int]:
        """Return one page of services and the number of all matches."""
        ...

    def public_services(self, query: PublicServiceQuery) -> tuple[Sequence[EndpointService], int]:
        """Return one page of the living services that are offered to everybody, and the number of all matches."""
        ...

    def all_public_services(self) -> Sequence[EndpointService]:
        """Return every service that is offered to everybody, deleting ones included."""
        ...

    def public_service(self, name: str) -> EndpointService | None:
        """Return the living service that is offered to everybody under this full name."""
        ...

    def connection_counts(self, ids: Collection[ServiceId]) -> Mapping[ServiceId, int]:
        """Return how many endpoints each service has in creating or accepted; 0 may be absent."""
        ...

    def endpoint(self, id_: EndpointId) -> Endpoint | None:
        """Return the endpoint, deleting ones included, whoever owns it."""
        ...

    def own_endpoint(self, project_id: ProjectId, id_: EndpointId) -> Endpoint | None:
        """Return the project's endpoint, deleting ones included; another project's is as absent as an unknown one."""
        ...

    def connection(self, project_id: ProjectId, id_: EndpointId) -> Endpoint | None:
        """Return an endpoint of anybody that is connected to a service of the project; others are as absent ones."""
        ...

    def endpoints(self, query: EndpointQuery) -> tuple[Sequence[Endpoint], int]:
        """Return one page of endpoints and the number of all matches."""
        ...

    def connections(self, query: ConnectionQuery) -> tuple[Sequence[Endpoint], int]:
        """Return one page of a service's endpoints and the number of all matches."""
        ...

    def endpoints_of_services(self, ids: Collection[ServiceId]) -> Sequence[Endpoint]:
        """Return all endpoints of these services."""
        ...

    def services_by_id(self, ids: Collection[ServiceId]) -> Mapping[ServiceId, EndpointService]:
        """Return those services that exist."""
        ...

    def gateway_endpoints(self, vpc_id: VpcId) -> Sequence[Endpoint]:
        """Return the gateway endpoints of a VPC, deleting ones included, the oldest first."""
        ...

    def endpoints_due(self, now: datetime, pool_id: PoolId) -> Sequence[Endpoint]:
        """Return a pool's endpoints of which something was to be cut by now, and which is not confirmed."""
        ...

    def next_cut_after(self, now: datetime, pool_id: PoolId) -> datetime | None:
        """Return the next moment at which something is to be cut of a pool's endpoint; None: there is none."""
        ...

    def ending_endpoints(self, service_id: ServiceId, limit: int) -> tuple[Sequence[Endpoint], int]:
        """Return endpoints of which connections go on that may not be made any more, the oldest, and their number."""
        ...

    def moved_services(self, vpc_id: VpcId) -> Sequence[EndpointService]:
        """Return the services of a VPC that have former backends, deleting ones included."""
        ...

    def services_that_left_targets(self, pool_id: PoolId) -> Collection[ServiceId]:
        """Return which of a pool's services have left places that the data plane has not let go of."""
        ...

    def endpoints_by_id(self, ids: Collection[EndpointId]) -> Mapping[EndpointId, Endpoint]:
        """Return those endpoints that exist."""
        ...

    def tagged_resources(self, project_id: ProjectId, kind: ResourceType) -> Sequence[TaggedResource]:
        """Return all living services or endpoints of a project, the newest first, with nothing but their tags."""
        ...

    def used_quota(self, project_id: ProjectId, type_: QuotaType) -> int:
        """Return how many services or endpoints count.

        Services offered to everybody do not, nor what is being deleted, but for endpoints whose connections go on.
        """
        ...

    def own_quotas(self, project_id: ProjectId) -> Mapping[QuotaType, int]:
        """Return the quotas that were set for this very project; the others are the installation's."""
        ...

    def permissions(self, query: PermissionQuery) -> tuple[Sequence[Permission], int]:
        """Return one page of permission entries and the number of all matches."""
        ...

    def all_permissions(self, service_id: ServiceId) -> Sequence[Permission]:
        """Return every permission entry of one service."""
        ...

    def permissions_by_id(
        self, service_id: ServiceId, ids: Collection[PermissionId]
    ) -> Mapping[PermissionId, Permission]:
        """Return those permission entries that the service has."""
        ...

    def changes_since(self, revision: int, pool_id: PoolId | None = None) -> Changes:
        """Return the rows of a pool, or of all, whose intent changed after `revision`; 0 returns everything."""
        ...

    def pools(self) -> Sequence[Pool]:
        """Return all pools, by name."""
        ...

    def pool_of_vpc(self, vpc_id: VpcId) -> PoolId | None:
        """Return the pool in which a VPC has services, deleting ones included; None: it has none."""
        ...

    def transit_addresses_in_use(self) -> Mapping[PoolId, int]:
        """Return how many transit addresses of each pool have an owner; 0 may be absent."""
        ...

    def full_edges(self, pool_id: PoolId) -> FullEdges | None:
        """Return which edges are nearly full, as a pool's agent last said; None: it has said nothing."""
        ...

    def audit_records(self, query: AuditQuery) -> Sequence[AuditRecord]:
        """Return the newest records of the audit log that fit, `query.limit` at most, the newest first."""
        ...

    def vpc(self, id_: VpcId) -> Vpc | None:
        """Return a VPC of the built-in directory."""
        ...

    def vpcs(self) -> Sequence[Vpc]:
        """Return all VPCs of the built-in directory."""
        ...

    def subnet(self, id_: SubnetId) -> Subnet | None:
        """Return a subnet of the built-in directory."""
        ...

    def subnets(self, vpc_id: VpcId | None = None) -> Sequence[Subnet]:
        """Return all subnets of one VPC, or of all VPCs, of the built-in directory."""
        ...

    def nic(self, id_: NicId) -> Nic | None:
        """Return a NIC or virtual IP of the built-in directory."""
        ...

    def nics(self) -> Sequence[Nic]:
        """Return all NICs and virtual IPs of the built-in directory."""
        ...

    def project(self, id_: ProjectId) -> ProjectRecord | None:
        """Return a project of the built-in identity."""
        ...

    def projects(self) -> Sequence[ProjectRecord]:
        """Return all projects of the built-in identity."""
        ...

    def user(self, id_: str) -> UserRecord | None:
        """Return a user of the built-in identity by id."""
        ...

    def users_named(self, name: str) -> Sequence[UserRecord]:
        """Return the users of this name, one per domain at most."""
        ...

    def users(self) -> Sequence[UserRecord]:
        """Return all users of the built-in identity."""
        ...

    def user_by_access_key(self, access_key: str) -> UserRecord | None:
        """Return the user who holds this access key."""
        ...


class WriteTransaction(NetworkWriting, ReadTransaction, Protocol):
    """One transaction that may write. An exception undoes all of it."""

    def add_service(self, service: EndpointService) -> None:
        """Store a new service. Bumps the revision."""
        ...

    def update_service(self, service: EndpointService) -> None:
        """Store a changed service. The caller has raised its generation. Bumps the revision.

        The transit addresses of places that it leaves stay taken until `release_left_targets`.
        """
        ...

    def amend_service(self, service: EndpointService) -> None:
        """Store changes of a service that no data plane hears of: generation and revision stay."""
        ...

    def rename_service_in_endpoints(self, id_: ServiceId, name: str) -> None:
        """Let all endpoints of a service show its new full name. Nothing else of them changes."""
        ...

    def remove_service(self, id_: ServiceId) -> None:
        """Forget a service, its permissions and its claims; frees its target addresses if it was the last there."""
        ...

    def claim_server_ports(self, service: EndpointService) -> None:
        """Reserve (nic, server port, protocol) for a living service.

        Raises:
            PortsConflict: another living service on the same NIC has one of them.
        """
        ...

    def release_server_ports(self, id_: ServiceId) -> None:
        """Free a service's server ports."""
        ...

    def claim_target_address(self, pool_id: PoolId, vpc_id: VpcId, address: IPv4Address) -> IPv4Address:
        """Return the transit address that stands for a backend address, choosing one at first use.

        Raises:
            PoolFull: no transit address is free.
        """
        ...

    def claim_endpoint_address(
        self, endpoint_id: EndpointId, subnet: Subnet, wanted: IPv4Address | None
    ) -> IPv4Address:
        """Reserve an address of the subnet for an endpoint, `wanted` or a free one.

        Raises:
            AddressTaken: `wanted` is in use, by an endpoint, a NIC, or the gateway.
            AddressOutsideSubnet: `wanted` is no host address of the subnet.
            SubnetFull: no address is free.
        """
        ...

    def claim_transit_address(self, pool_id: PoolId, endpoint_id: EndpointId) -> IPv4Address:
        """Reserve a source transit address, not one that was freed lately if others are free.

        Raises:
            PoolFull: no transit address is free.
        """
        ...

    def claim_marker(self) -> int:
        """Return a marker that nobody had in the last 24 hours: 2^24 + n, within 32 bits."""
        ...

    def add_endpoint(self, endpoint: Endpoint) -> None:
        """Store a new endpoint whose addresses are claimed. Bumps the revision."""
        ...

    def update_endpoint(self, endpoint: Endpoint) -> None:
        """Store a changed endpoint. The caller has raised its generation. Bumps the revision."""
        ...

    def remove_endpoint(self, id_: EndpointId) -> None:
        """Forget an endpoint and free its addresses."""
        ...

    def record_service_outcome(self, id_: ServiceId, generation: int, failure: Failure | None) -> bool:
        """Write back what a round reached, if the service still is at `generation`.

        Success sets observed_generation and clears last_error; a failure sets last_error. Does not bump
        the revision. Returns whether a row was written.
        """
        ...

    def record_endpoint_outcome(
        self, id_: EndpointId, generation: int, failure: Failure | None, *, is_unwired: bool = False
    ) -> bool:
        """Write back what a round reached, if the endpoint still is at `generation`.

        As for services; success, or knowing that nothing is wired, also clears cut_requested_at.
        """
        ...

    def record_graces(self, endpoint: Endpoint) -> bool:
        """Write back which connections still go on, if the endpoint still is at its generation."""
        ...

    def release_left_targets(self, service: EndpointService) -> None:
        """Free the transit addresses of places that a service has left, unless it moved on or others are there."""
        ...

    def put_pool(self, pool: Pool) -> None:
        """Store a pool, or replace what is known of it. Its epoch and its full edges stay."""
        ...

    def put_full_edges(self, pool_id: PoolId, full: FullEdges) -> None:
        """Store which edges of a pool are nearly full; a pool that nobody knows stays unknown. The revision stays."""
        ...

    def put_policy(self, id_: EndpointId, policy_document: str | None, updated_at: datetime) -> None:
        """Store the policy of an endpoint, None for none. The data plane knows no policies: the revision stays."""
        ...

    def put_quota(self, project_id: ProjectId, type_: QuotaType, quota: int | None) -> None:
        """Store a quota of a project's own, or replace it; None: the installation's counts again."""
        ...

    def put_tags(self, kind: ResourceType, id_: str, tags: Sequence[Tag]) -> None:
        """Store the tags of a service or endpoint. No intent changes: the revision stays."""
        ...

    def add_permission(self, permission: Permission) -> None:
        """Store a permission entry; one that the service already has is left as it is."""
        ...

    def remove_permission(self, service_id: ServiceId, permission: str) -> None:
        """Forget an entry by its text; an absent one is no error."""
        ...

    def remove_permissions(self, service_id: ServiceId, ids: Collection[PermissionId]) -> None:
        """Forget entries of a service by their ids."""
        ...

    def put_permission_description(self, id_: PermissionId, description: str) -> None:
        """Store what a permission entry is for."""
        ...

    def put_connection_description(self, id_: EndpointId, description: str) -> None:
        """Store the provider's text about an endpoint. Its consumer sees no change: `updated_at` stays."""
        ...

    def put_vpc(self, vpc: Vpc) -> None:
        """Store a VPC in the built-in directory, or replace it."""
        ...

    def put_subnet(self, subnet: Subnet) -> None:
        """Store a subnet in the built-in directory, or replace it."""
        ...

    def put_nic(self, nic: Nic) -> None:
        """Store a NIC in the built-in directory, or replace it, and claim its address.

        Raises:
            AddressTaken: an endpoint or another NIC has the address.
        """
        ...

    def remove_nic(self, id_: NicId) -> None:
        """Forget a NIC and free its address."""
        ...

    def remove_subnet(self, id_: SubnetId) -> None:
        """Forget a subnet."""
        ...

    def remove_vpc(self, id_: VpcId) -> None:
        """Forget a VPC."""
        ...

    def put_project(self, project: ProjectRecord) -> None:
        """Store a project of the built-in identity, or replace it."""
        ...

    def put_user(self, user: UserRecord) -> None:
        """Store a user of the built-in identity, or replace it, access keys included."""
        ...

    def remove_project(self, id_: ProjectId) -> None:
        """Forget a project and its users' roles in it."""
        ...

    def remove_user(self, id_: str) -> None:
        """Forget a user and the user's access keys."""
        ...


class Store(Protocol):
    """The database."""

    async def read(self, look: Callable[[ReadTransaction], T]) -> T:
        """Run `look` in a read transaction and return its result."""
        ...

    async def write(self, work: Callable[[WriteTransaction], T]) -> T:
        """Run `work` in a transaction; when this returns, what it wrote is on disk.

        Waiting works are grouped into one commit. An exception from `work` undoes that work alone and
        is raised here.
        """
        ...


class Directory(Protocol):
    """What VPCs, subnets and NICs exist. What belongs to another project is as absent as what never was."""

    async def vpc(self, project_id: ProjectId, id_: VpcId) -> Vpc | None:
        """Return a VPC of a project, or None."""
        ...

    async def subnet(self, project_id: ProjectId, id_: SubnetId) -> Subnet | None:
        """Return a subnet of a project, or None."""
        ...

    async def subnets(self, vpc_id: VpcId) -> Sequence[Subnet]:
        """Return all subnets of a VPC."""
        ...

    async def nic(self, project_id: ProjectId, id_: NicId) -> Nic | None:
        """Return a NIC or virtual IP of a project, or None."""
        ...

    def recheck(
        self,
        tx: ReadTransaction,
        vpc_id: VpcId,
        *,
        subnet_ids: Collection[SubnetId] = (),
        nic_ids: Collection[NicId] = (),
    ) -> None:
        """Refuse, inside a transaction, what has changed since it was looked up: networks may go at any moment.

        A directory that is elsewhere cannot know, and does nothing.

        Raises:
            VpcNotFound, SubnetNotFound, PortNotFound: it has been deleted.
            TransitRangeOverlap: a subnet or custom route of the VPC overlaps 198.19.128.0/17.
        """
        ...


class Identity(Protocol):
    """Who is asking."""

    async def verify_token(self, token: str) -> TokenFacts:
        """Return what a token says.

        Raises:
            Unauthenticated: forged, malformed, expired or revoked.
            IdentityUnavailable: it cannot be known now.
        """
        ...

    async def verify_signature(self, request: SignedRequest) -> Signer:
        """Return who signed a request, and where the signer may act.

        Raises:
            Unauthenticated: unknown key or algorithm, wrong signature, signed too long ago, or a write sent again.
            IdentityUnavailable: it cannot be known now.
        """
        ...


class TokenIssuer(Protocol):
    """Who gives tokens out, where identity is our own: what stands behind `/v3`."""

    async def issue(self, login: PasswordLogin | TokenLogin) -> tuple[str, TokenFacts]:
        """Return a new token and what it says.

        Raises:
            Unauthenticated: user, password, token or scope are wrong; the message does not say which.
        """
        ...

    async def projects_of(self, user: User) -> Sequence[ProjectRecord]:
        """Return the projects in which a user has a role, by name."""
        ...
