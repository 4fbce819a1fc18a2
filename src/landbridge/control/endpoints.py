"""Create, list, show and delete a consumer's endpoints (contract 3.19 to 3.23)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from landbridge.control.protocols import Clock, Directory, ReadTransaction, Store, WriteTransaction
from landbridge.control.queries import EndpointQuery
from landbridge.control.quotas import Quotas
from landbridge.control.settlements import Settlements, Wakeups
from landbridge.domain.admission import initial_admission, may_connect
from landbridge.domain.errors import (
    EndpointNotFound,
    InvalidSpecification,
    MissingSubnetId,
    NotPermitted,
    PolicyNotTaken,
    ServiceNotAvailable,
    SubnetNotFound,
    SubnetNotInVpc,
    TargetServiceNotFound,
    VpcNotFound,
)
from landbridge.domain.ids import EndpointId, IdSource, ProjectId, ServiceId, SubnetId, VpcId
from landbridge.domain.lifecycle import ServiceStatus, service_status
from landbridge.domain.policies import check_policy_document
from landbridge.domain.resources import Admission, Caller, Endpoint, EndpointService, QuotaType, Subnet, Tag
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
    wanted_address: str | None = None
    enable_dns: bool = False
    whitelist: Sequence[str] = ()
    enable_whitelist: bool = False
    description: str = ""
    tags: Sequence[Tag] = ()
    specification: str = "default"
    policy_document: object = None
    """The endpoint policy as it was sent; None: none, and so full access."""


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
        policy = None if wish.policy_document is None else check_policy_document(wish.policy_document)
        wanted = check_endpoint_address(wish.wanted_address) if wish.wanted_address else None
        whitelist = check_whitelist(wish.whitelist, self._whitelist_limit)
        tags = check_tags(wish.tags)
        description = check_description(wish.description)
        if wish.subnet_id is None:
            raise MissingSubnetId("an endpoint of an interface service needs subnet_id")
        subnet = await self._consumer_subnet(caller, wish.vpc_id, wish.subnet_id)
        endpoint_id = EndpointId(self._ids.new())
        now = self._clock.now()

        def work(tx: WriteTransaction) -> Endpoint:
            service = _connectable_service(tx, caller, wish.service_id)
            if policy is not None and not service.enable_policy:
                raise PolicyNotTaken(f"endpoint service {service.id} takes no endpoint policies: leave it out")
            self._quotas.check(tx, caller.project_id, QuotaType.ENDPOINT)
            self._directory.recheck(tx, subnet.vpc_id, subnet_ids={subnet.id})
            admission = initial_admission(service)
            endpoint = Endpoint(
                id=endpoint_id,
                project_id=caller.project_id,
                domain_id=caller.domain_id,
                pool_id=service.pool_id,
                service_id=service.id,
                service_name=service.name,
                vpc_id=subnet.vpc_id,
                subnet_id=subnet.id,
                address=tx.claim_endpoint_address(endpoint_id, subnet, wanted),
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
        """Ask for an endpoint's end and wait for the cut, 1 s at most. Asking twice is no error.

        Raises:
            EndpointNotFound: unknown, or of another project.
        """
        now = self._clock.now()

        def work(tx: WriteTransaction) -> Endpoint:
            endpoint = own_endpoint(tx, project_id, id_)
            if endpoint.delete_requested_at is not None:
                return endpoint
            deleting = replace(
                endpoint,
                delete_requested_at=now,
                cut_requested_at=endpoint.cut_requested_at or now,
                updated_at=now,
                generation=endpoint.generation + 1,
            )
            tx.update_endpoint(deleting)
            return deleting

        with self._settlements.expect(id_) as waiter:
            endpoint = await self._store.write(work)
            self._wakeups.ring()
            if not await waiter.reached(endpoint.generation, CUT_SECONDS):
                self._watch.cut_overdue(endpoint)

    async def _consumer_subnet(self, caller: Caller, vpc_id: VpcId, subnet_id: SubnetId) -> Subnet:
        vpc = await self._directory.vpc(caller.project_id, vpc_id)
        if vpc is None:
            raise VpcNotFound(f"VPC {vpc_id} does not exist in this project")
        subnets = await self._directory.subnets(vpc_id)
        check_transit_range_is_free(vpc, subnets)
        for subnet in subnets:
            if subnet.id == subnet_id:
                return subnet
        if await self._directory.subnet(caller.project_id, subnet_id) is None:
            raise SubnetNotFound(f"subnet {subnet_id} does not exist in this project")
        raise SubnetNotInVpc(f"subnet {subnet_id} is not in VPC {vpc_id}")


def own_endpoint(tx: ReadTransaction, project_id: ProjectId, id_: EndpointId) -> Endpoint:
    """Return an endpoint of the project.

    Raises:
        EndpointNotFound: unknown, or of another project; the two cannot be told apart.
    """
    endpoint = tx.own_endpoint(project_id, id_)
    if endpoint is None:
        raise EndpointNotFound(f"endpoint {id_} does not exist in this project")
    return endpoint


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
