"""Create, list, show and delete endpoint services (contract 3.3 to 3.5, 3.7 to 3.9); `service_changes` changes them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from landbridge.control.backends import find_backend
from landbridge.control.pools import pool_for
from landbridge.control.protocols import Clock, Directory, ReadTransaction, Store, WriteTransaction
from landbridge.control.queries import PublicServiceQuery, ServiceQuery
from landbridge.control.quotas import Quotas
from landbridge.control.settlements import Wakeups
from landbridge.domain.errors import (
    Forbidden,
    InvalidParameter,
    ServiceInUse,
    ServiceNotFound,
    VpcNotFound,
)
from landbridge.domain.ids import IdSource, NicId, ProjectId, ServiceId, VpcId
from landbridge.domain.naming import check_short_name, full_service_name
from landbridge.domain.resources import (
    Caller,
    EndpointService,
    PortMapping,
    QuotaType,
    ServerType,
    Tag,
    TcpProxy,
    Vpc,
)
from landbridge.domain.validation import (
    check_description,
    check_ports,
    check_tags,
    check_transit_range_is_free,
)


@dataclass(frozen=True, slots=True)
class NewService:
    """What a provider asks for, types checked, rules not yet."""

    port_id: NicId
    vpc_id: VpcId
    server_type: ServerType
    ports: Sequence[PortMapping]
    vip_port_id: NicId | None = None
    short_name: str = ""
    service_type: str = "interface"
    approval_enabled: bool = True
    tcp_proxy: TcpProxy = TcpProxy.CLOSE
    description: str = ""
    tags: Sequence[Tag] = ()
    enable_policy: bool = False


@dataclass(frozen=True, slots=True)
class ListedService:
    """A service with what lists show beside it."""

    service: EndpointService
    connection_count: int


class EndpointServices:
    """The use cases of a provider's endpoint services."""

    def __init__(
        self,
        store: Store,
        directory: Directory,
        clock: Clock,
        ids: IdSource,
        wakeups: Wakeups,
        region: str,
        quotas: Quotas,
    ) -> None:
        self._store = store
        self._directory = directory
        self._clock = clock
        self._ids = ids
        self._wakeups = wakeups
        self._region = region
        self._quotas = quotas

    async def create(self, caller: Caller, wish: NewService) -> EndpointService:
        """Store a new service; the data plane follows by itself.

        Raises:
            UserError: one of the rules of contract 6.1 is broken; nothing has been stored then.
        """
        _check_service_type(wish.service_type)
        short_name = check_short_name(wish.short_name)
        ports = check_ports(wish.ports)
        tags = check_tags(wish.tags)
        description = check_description(wish.description)
        vpc = await self._provider_vpc(caller, wish.vpc_id)
        found = await find_backend(
            self._directory, caller.project_id, vpc.id, wish.server_type, wish.port_id, wish.vip_port_id
        )
        service_id = ServiceId(self._ids.new())
        now = self._clock.now()

        def work(tx: WriteTransaction) -> EndpointService:
            self._quotas.check(tx, caller.project_id, QuotaType.ENDPOINT_SERVICE)
            self._directory.recheck(tx, vpc.id, nic_ids=found.nic_ids)
            pool_id = pool_for(tx, vpc.id)
            transit = tx.claim_target_address(pool_id, vpc.id, found.address)
            service = EndpointService(
                id=service_id,
                project_id=caller.project_id,
                domain_id=caller.domain_id,
                pool_id=pool_id,
                name=full_service_name(self._region, short_name, service_id),
                vpc_id=vpc.id,
                backend=found.at(transit),
                ports=ports,
                approval_enabled=wish.approval_enabled,
                tcp_proxy=wish.tcp_proxy,
                description=description,
                tags=tags,
                created_at=now,
                updated_at=now,
                enable_policy=wish.enable_policy,
            )
            tx.add_service(service)
            tx.claim_server_ports(service)
            return service

        service = await self._store.write(work)
        self._wakeups.ring()
        return service

    async def list(self, query: ServiceQuery) -> tuple[Sequence[ListedService], int]:
        """Return one page of a project's services and the number of all matches."""

        def look(tx: ReadTransaction) -> tuple[Sequence[EndpointService], int, Mapping[ServiceId, int]]:
            services, total = tx.services(query)
            return services, total, tx.connection_counts([service.id for service in services])

        services, total, counts = await self._store.read(look)
        return [ListedService(service, counts.get(service.id, 0)) for service in services], total

    async def list_public(self, query: PublicServiceQuery) -> tuple[Sequence[EndpointService], int]:
        """Return one page of the services that are offered to everybody and the number of all matches."""
        return await self._store.read(lambda tx: tx.public_services(query))

    async def show(self, project_id: ProjectId, id_: ServiceId) -> ListedService:
        """Return one service of a project.

        Raises:
            ServiceNotFound: unknown, or of another project.
        """

        found = await self._store.read(lambda tx: tx.own_service_and_count(project_id, id_))
        if found is None:
            raise _unknown(id_)
        return ListedService(*found)

    async def describe(self, id_: ServiceId | None, name: str | None) -> EndpointService:
        """Return a service by its id or by its full name, whoever owns it: so consumers find ids (contract 3.9).

        Raises:
            InvalidParameter: not exactly one of both is given.
            ServiceNotFound: unknown, or being deleted.
        """
        if (id_ is None) is (name is None):
            raise InvalidParameter("give either id or endpoint_service_name")
        service = await self._store.read(lambda tx: _described(tx, id_, name))
        if service is None or service.delete_requested_at is not None:
            raise ServiceNotFound(f"there is no endpoint service {id_ or name}")
        return service

    async def delete(self, project_id: ProjectId, id_: ServiceId) -> None:
        """Ask for a service's end; it is `deleting` when this returns. Asking twice is no error.

        Raises:
            ServiceNotFound: unknown, or of another project.
            Forbidden: it is a public service.
            ServiceInUse: endpoints are connected or being connected.
        """
        now = self._clock.now()

        def work(tx: WriteTransaction) -> None:
            service = own_service_to_change(tx, project_id, id_)
            if service.delete_requested_at is not None:
                return
            if connected := tx.connection_counts([id_]).get(id_, 0):
                raise ServiceInUse(f"endpoints are connected ({connected}): reject them or have them deleted first")
            tx.release_server_ports(id_)
            tx.update_service(
                replace(service, delete_requested_at=now, updated_at=now, generation=service.generation + 1)
            )

        await self._store.write(work)
        self._wakeups.ring()

    async def _provider_vpc(self, caller: Caller, vpc_id: VpcId) -> Vpc:
        vpc = await self._directory.vpc(caller.project_id, vpc_id)
        if vpc is None:
            raise VpcNotFound(f"VPC {vpc_id} does not exist in this project")
        check_transit_range_is_free(vpc, await self._directory.subnets(vpc_id))
        return vpc


def own_service(tx: ReadTransaction, project_id: ProjectId, id_: ServiceId) -> EndpointService:
    """Return a service of the project.

    Raises:
        ServiceNotFound: unknown, or of another project; the two cannot be told apart.
    """
    service = tx.own_service(project_id, id_)
    if service is None:
        raise _unknown(id_)
    return service


def own_or_public_service(
    tx: ReadTransaction, project_id: ProjectId, id_: ServiceId, *, sees_public: bool
) -> EndpointService:
    """Return a service of the project or, for whoever `sees_public`, one that is offered to everybody.

    Raises:
        ServiceNotFound: unknown, or of another project; the two cannot be told apart.
    """
    service = tx.service(id_) if sees_public else None
    return service if service is not None and service.public_owner is not None else own_service(tx, project_id, id_)


def own_service_to_change(tx: ReadTransaction, project_id: ProjectId, id_: ServiceId) -> EndpointService:
    """Return a service of the project that the project may change.

    Raises:
        ServiceNotFound: unknown, or of another project; the two cannot be told apart.
        Forbidden: it is a public service, which the operator publishes; the project only has its backend.
    """
    service = own_service(tx, project_id, id_)
    if service.public_owner is not None:
        raise Forbidden(f"endpoint service {id_} is a public one: only the operator changes it, where it was published")
    return service


def _unknown(id_: ServiceId) -> ServiceNotFound:
    return ServiceNotFound(f"endpoint service {id_} does not exist in this project")


def _described(tx: ReadTransaction, id_: ServiceId | None, name: str | None) -> EndpointService | None:
    if name is None:
        return None if id_ is None else tx.service(id_)
    # A tenant's full name ends in the id; a public service's never does.
    service = tx.service(ServiceId(name.rpartition(".")[2]))
    return service if service is not None and service.name == name else tx.public_service(name)


def _check_service_type(service_type: str) -> None:
    if service_type.lower() == "gateway":
        raise Forbidden("services of type gateway are the operator's: create one of type interface")
    if service_type.lower() != "interface":
        raise InvalidParameter("service_type must be interface")
