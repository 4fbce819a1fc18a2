"""Create, list, show and delete a consumer's endpoints (contract 3.19 to 3.23).

An endpoint of an interface service is an address in a subnet; one of a gateway service is routes in route tables.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from landbridge.control.gateways import bound_tables
from landbridge.control.pools import check_has_room
from landbridge.control.protocols import Clock, Directory, ReadTransaction, Store, WriteTransaction
from landbridge.control.queries import EndpointQuery
from landbridge.control.quotas import Quotas
from landbridge.control.settlements import Settlements, Wakeups
from landbridge.domain.admission import initial_admission, may_connect
from landbridge.domain.cutting import CutOffs
from landbridge.domain.draining import deleting
from landbridge.domain.errors import (
    AddressNotTaken,
    EndpointNotFound,
    InvalidPolicy,
    InvalidSpecification,
    MissingSubnetId,
    NotAGatewayEndpoint,
    NotPermitted,
    PolicyNotTaken,
    ServiceNotAvailable,
    SubnetNotFound,
    SubnetNotInVpc,
    TargetServiceNotFound,
    VpcNotFound,
    WhitelistNotTaken,
)
from landbridge.domain.ids import EndpointId, IdSource, ProjectId, RouteTableId, ServiceId, SubnetId, VpcId
from landbridge.domain.lifecycle import ServiceStatus, service_status
from landbridge.domain.policies import check_policy_document, check_policy_statement
from landbridge.domain.resources import (
    Admission,
    Caller,
    Endpoint,
    EndpointService,
    QuotaType,
    ServiceType,
    Subnet,
    Tag,
    Vpc,
)
from landbridge.domain.validation import (
    WHITELIST_LIMIT,
    check_description,
    check_endpoint_address,
    check_tags,
    check_transit_range_is_free,
    check_whitelist,
)

CUT_SECONDS = 1.0
"""How long a rejection or deletion waits for the data plane before it answers all the same."""


@dataclass(frozen=True, slots=True)
class NewEndpoint:
    """What a consumer asks for, types checked, rules not yet."""

    service_id: ServiceId
    vpc_id: VpcId
    subnet_id: SubnetId | None
    """For an interface service. A gateway service takes no notice of it."""
    wanted_address: str | None = None
    enable_dns: bool = False
    whitelist: Sequence[str] = ()
    enable_whitelist: bool = False
    description: str = ""
    tags: Sequence[Tag] = ()
    specification: str = "default"
    policy_document: object = None
    """The endpoint policy as it was sent; None: none, and so full access."""
    policy_statement: object = None
    """The same as a list of statements, for a gateway service."""
    route_table_ids: Sequence[RouteTableId] = ()
    """For a gateway service; none: the VPC's default one."""


class CutWatch(Protocol):
    """Who hears about cuts that the data plane did not confirm in time."""

    def cut_overdue(self, row: EndpointService | Endpoint) -> None:
        """A rejected or deleted endpoint, or a port that a service does not have any more, may still carry bytes."""
        ...


class Endpoints:
    """The use cases of a consumer's endpoints."""

    def __init__(
        self,
        store: Store,
        directory: Directory,
        clock: Clock,
        ids: IdSource,
        wakeups: Wakeups,
        settlements: Settlements,
        watch: CutWatch,
        quotas: Quotas,
        whitelist_limit: int = WHITELIST_LIMIT,
    ) -> None:
        self._store = store
        self._directory = directory
        self._clock = clock
        self._ids = ids
        self._wakeups = wakeups
        self._settlements = settlements
        self._watch = watch
        self._quotas = quotas
        self._whitelist_limit = whitelist_limit

    async def create(self, caller: Caller, wish: NewEndpoint) -> Endpoint:
        """Store a new endpoint with its address, transit address and marker.

        Raises:
            UserError: one of the rules of contract 6.3 is broken; nothing has been stored then.
        """
        if wish.specification != "default":
            raise InvalidSpecification("specification_name must be default")
        wanted = check_endpoint_address(wish.wanted_address) if wish.wanted_address else None
        whitelist = check_whitelist(wish.whitelist, self._whitelist_limit)
        tags = check_tags(wish.tags)
        description = check_description(wish.description)
        # What kind of service an id stands for never changes.
        found = await self._store.read(lambda tx: tx.service(wish.service_id))
        is_gateway = found is not None and found.service_type is ServiceType.GATEWAY
        policy = checked_policy(wish.policy_document, wish.policy_statement, is_gateway=is_gateway)
        subnet_id = _subnet_id_for(wish, is_gateway=is_gateway)
        vpc = await self._consumer_vpc(caller, wish.vpc_id)
        subnet = None if subnet_id is None else await self._consumer_subnet(caller, vpc.id, subnet_id)
        endpoint_id = EndpointId(self._ids.new())
        now = self._clock.now()

        def work(tx: WriteTransaction) -> Endpoint:
            service = _connectable_service(tx, caller, wish.service_id)
            if policy is not None and not service.enable_policy:
                raise PolicyNotTaken(f"endpoint service {service.id} takes no endpoint policies: leave it out")
            self._quotas.check(tx, caller.project_id, QuotaType.ENDPOINT)
            check_has_room(tx, service, vpc.id, now)
            self._directory.recheck(tx, vpc.id, subnet_ids=() if subnet is None else {subnet.id})
            address = None if subnet is None else tx.claim_endpoint_address(endpoint_id, subnet, wanted)
            tables = bound_tables(tx, tx.vpc(vpc.id) or vpc, service, wish.route_table_ids) if is_gateway else ()
            admission = initial_admission(service)
            endpoint = Endpoint(
                id=endpoint_id,
                project_id=caller.project_id,
                domain_id=caller.domain_id,
                pool_id=service.pool_id,
                service_id=service.id,
                service_name=service.name,
                vpc_id=vpc.id,
                subnet_id=None if subnet is None else subnet.id,
                address=address,
                transit_address=tx.claim_transit_address(service.pool_id, endpoint_id),
                marker=tx.claim_marker(),
                admission=admission,
                enable_dns=wish.enable_dns,
                whitelist=whitelist,
                enable_whitelist=wish.enable_whitelist,
                description=description,
                connection_description=description,
                tags=tags,
                policy_document=policy,
                route_table_ids=tables,
                created_at=now,
                updated_at=now,
                accepted_generation=1 if admission is Admission.ACCEPTED else None,
            )
            tx.add_endpoint(endpoint)
            return endpoint

        endpoint = await self._store.write(work)
        self._wakeups.ring()
        return endpoint

    async def list(self, query: EndpointQuery) -> tuple[Sequence[Endpoint], int]:
        """Return one page of a project's endpoints and the number of all matches."""
        return await self._store.read(lambda tx: tx.endpoints(query))

    async def show(self, project_id: ProjectId, id_: EndpointId) -> Endpoint:
        """Return one endpoint of a project.

        Raises:
            EndpointNotFound: unknown, or of another project.
        """
        return await self._store.read(lambda tx: own_endpoint(tx, project_id, id_))

    async def delete(self, project_id: ProjectId, id_: EndpointId) -> None:
        """Ask for an endpoint's end and wait for the data plane, 1 s at most. Asking twice is no error.

        From the return on nothing passes, or only what was open before and its provider lets go on for a time.

        Raises:
            EndpointNotFound: unknown, or of another project.
        """
        now = self._clock.now()

        def work(tx: WriteTransaction) -> Endpoint:
            endpoint = own_endpoint(tx, project_id, id_)
            ended = deleting(endpoint, cut_offs_of(tx, endpoint).on_delete, now)
            if ended is not endpoint:
                tx.update_endpoint(ended)
            return ended

        with self._settlements.expect(id_) as waiter:
            endpoint = await self._store.write(work)
            if endpoint.cut_requested_at is None:
                return  # asked for before, and nothing new can be opened: what is open goes on until its deadline
            self._wakeups.ring()
            if not await waiter.reached(endpoint.generation, CUT_SECONDS):
                self._watch.cut_overdue(endpoint)

    async def _consumer_vpc(self, caller: Caller, vpc_id: VpcId) -> Vpc:
        vpc = await self._directory.vpc(caller.project_id, vpc_id)
        if vpc is None:
            raise VpcNotFound(f"VPC {vpc_id} does not exist in this project")
        check_transit_range_is_free(vpc, await self._directory.subnets(vpc_id))
        return vpc

    async def _consumer_subnet(self, caller: Caller, vpc_id: VpcId, subnet_id: SubnetId) -> Subnet:
        subnet = await self._directory.subnet(caller.project_id, subnet_id)
        if subnet is None:
            raise SubnetNotFound(f"subnet {subnet_id} does not exist in this project")
        if subnet.vpc_id != vpc_id:
            raise SubnetNotInVpc(f"subnet {subnet_id} is not in VPC {vpc_id}")
        return subnet


def own_endpoint(tx: ReadTransaction, project_id: ProjectId, id_: EndpointId) -> Endpoint:
    """Return an endpoint of the project.

    Raises:
        EndpointNotFound: unknown, or of another project; the two cannot be told apart.
    """
    endpoint = tx.own_endpoint(project_id, id_)
    if endpoint is None:
        raise EndpointNotFound(f"endpoint {id_} does not exist in this project")
    return endpoint


def cut_offs_of(tx: ReadTransaction, endpoint: Endpoint) -> CutOffs:
    """Return how the connections of an endpoint end: as its provider has chosen, at once when the service is gone."""
    service = tx.service(endpoint.service_id)
    return CutOffs() if service is None or service.delete_requested_at is not None else service.cut_offs


def checked_policy(document: object, statement: object, *, is_gateway: bool) -> str | None:
    """Return an endpoint policy as JSON text, None if there is none.

    Raises:
        InvalidPolicy: both forms are given, statements are for no gateway endpoint, or one breaks a rule.
    """
    if statement is None:
        return None if document is None else check_policy_document(document)
    if not is_gateway:
        raise InvalidPolicy("policy_statement is for gateway services: give policy_document")
    if document is not None:
        raise InvalidPolicy("policy_statement and policy_document are two forms of one policy: give one of them")
    return check_policy_statement(statement)


def _subnet_id_for(wish: NewEndpoint, *, is_gateway: bool) -> SubnetId | None:
    """Return the subnet that an endpoint is to be in; None: in none. Refuse what one of this type cannot have."""
    if is_gateway:
        if wish.wanted_address:
            raise AddressNotTaken("an endpoint of a gateway service has no address: leave port_ip out")
        if wish.whitelist or wish.enable_whitelist:
            raise WhitelistNotTaken("an endpoint of a gateway service has no whitelist: leave it out")
        return None
    if wish.subnet_id is None:
        raise MissingSubnetId("an endpoint of an interface service needs subnet_id")
    if wish.route_table_ids:
        raise NotAGatewayEndpoint("only endpoints of gateway services have route tables: leave routetables out")
    return wish.subnet_id


def _connectable_service(tx: ReadTransaction, caller: Caller, id_: ServiceId) -> EndpointService:
    service = tx.service(id_)
    if service is None or service.delete_requested_at is not None:
        raise TargetServiceNotFound(f"endpoint service {id_} does not exist")
    entries = (entry.permission for entry in tx.all_permissions(id_))
    if not may_connect(service, entries, caller.domain_id):
        raise NotPermitted(
            f"domain {caller.domain_id} may not connect to endpoint service {id_}: its provider must add a permission"
        )
    if service_status(service) is not ServiceStatus.AVAILABLE:
        raise ServiceNotAvailable(f"endpoint service {id_} is {service_status(service)}: wait until it is available")
    return service
