"""Let the operator publish services through the API: of type interface and of type gateway.

They survive restarts, whatever a lab file says. Networks of gateway services never overlap: an address has one way out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from landbridge.control.backends import FoundBackend, find_backend
from landbridge.control.endpoint_services import ListedService
from landbridge.control.pools import pool_for
from landbridge.control.protocols import Clock, Directory, ReadTransaction, Store, WriteTransaction
from landbridge.control.public_services import check_name_is_free, check_networks_are_free
from landbridge.control.queries import PublicServiceQuery
from landbridge.control.settlements import Wakeups
from landbridge.domain.errors import (
    Forbidden,
    InvalidParameter,
    InvalidServiceName,
    NetworksNotAllowed,
    PortIdNotAllowed,
    PortNotFound,
    ServiceInUse,
    ServiceNotFound,
    SubnetNotFound,
    VpcNotFound,
)
from landbridge.domain.gateways import check_networks
from landbridge.domain.ids import IdSource, NicId, ServiceId, SubnetId
from landbridge.domain.naming import NAME_LIMIT, is_public_name, is_public_owner
from landbridge.domain.resources import (
    Backend,
    Caller,
    EndpointService,
    Origin,
    PortMapping,
    ServerType,
    ServiceType,
    TcpProxy,
    WayOut,
)
from landbridge.domain.validation import check_ports, check_transit_range_is_free

DEFAULT_OWNER = "operator"


@dataclass(frozen=True, slots=True)
class NewPublicService:
    """What the operator wants to publish, types checked, rules not yet."""

    name: str
    """The full name."""
    owner: str
    service_type: ServiceType
    networks: Sequence[str] = ()
    """Of a gateway service."""
    subnet_id: SubnetId | None = None
    """Of a gateway service: through which its networks are reached."""
    port_id: NicId | None = None
    """Of an interface service, as is all that follows but the policy."""
    vip_port_id: NicId | None = None
    server_type: ServerType = ServerType.VM
    ports: Sequence[PortMapping] = ()
    tcp_proxy: TcpProxy = TcpProxy.CLOSE
    enable_policy: bool = False


class PublicServices:
    """The operator's use cases of public services."""

    def __init__(self, store: Store, directory: Directory, clock: Clock, ids: IdSource, wakeups: Wakeups) -> None:
        self._store = store
        self._directory = directory
        self._clock = clock
        self._ids = ids
        self._wakeups = wakeups

    async def create(self, caller: Caller, wish: NewPublicService) -> EndpointService:
        """Publish a service. It belongs to the caller's project, wherever its backend or its way out is.

        Raises:
            UserError: a rule of docs/reference/api.md is broken; nothing has been published then.
        """
        if not is_public_name(wish.name):
            raise InvalidServiceName(
                "service_name must be three or more words of letters, digits, hyphens and underscores with periods "
                f"between them, at most {NAME_LIMIT} characters, and must not end in an id"
            )
        if not is_public_owner(wish.owner):
            raise InvalidParameter("owner must be 1 to 64 ASCII characters without control characters")
        _check_is_of_one_type(wish)
        is_gateway = wish.service_type is ServiceType.GATEWAY
        find_place = self._way_out(wish) if is_gateway else self._claimed_backend(await self._backend(wish))
        ports = () if is_gateway else check_ports(wish.ports)
        service_id, now = ServiceId(self._ids.new()), self._clock.now()

        def work(tx: WriteTransaction) -> EndpointService:
            check_name_is_free(tx.all_public_services(), wish.name)
            place = find_place(tx)
            subnet = tx.subnet(place.subnet_id)
            if subnet is None:
                raise SubnetNotFound(f"subnet {place.subnet_id} has just been deleted: use another one")
            service = EndpointService(
                id=service_id,
                project_id=caller.project_id,
                domain_id=caller.domain_id,
                pool_id=pool_for(tx, subnet.vpc_id),
                name=wish.name,
                vpc_id=subnet.vpc_id,
                backend=place,
                ports=ports,
                approval_enabled=False,
                tcp_proxy=wish.tcp_proxy,
                description="",
                tags=(),
                created_at=now,
                updated_at=now,
                enable_policy=wish.enable_policy,
                public_owner=wish.owner,
            )
            tx.add_service(service)
            tx.claim_server_ports(service)
            return service

        service = await self._store.write(work)
        self._wakeups.ring()
        return service

    async def list(self, query: PublicServiceQuery) -> tuple[Sequence[ListedService], int]:
        """Return one page of the public services, whoever has published them, and the number of all matches."""

        def look(tx: ReadTransaction) -> tuple[Sequence[ListedService], int]:
            services, total = tx.public_services(query)
            counts = tx.connection_counts([service.id for service in services])
            return [ListedService(service, counts.get(service.id, 0)) for service in services], total

        return await self._store.read(look)

    async def delete(self, id_: ServiceId) -> None:
        """Ask for a public service's end. Asking twice is no error.

        Raises:
            ServiceNotFound: there is no such public service.
            Forbidden: the lab file has published it.
            ServiceInUse: endpoints are connected or being connected.
        """
        now = self._clock.now()

        def work(tx: WriteTransaction) -> None:
            service = tx.service(id_)
            if service is None or service.public_owner is None:
                raise ServiceNotFound(f"there is no public service {id_}: list the public services")
            if service.origin is Origin.LAB:
                raise Forbidden(
                    f"public service {service.name} comes from the lab file: take it out there, start again"
                )
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

    def _way_out(self, wish: NewPublicService) -> Callable[[WriteTransaction], WayOut]:
        networks, subnet_id = check_networks(wish.networks), wish.subnet_id

        def find(tx: WriteTransaction) -> WayOut:
            subnet = None if subnet_id is None else tx.subnet(subnet_id)
            if subnet is None:
                raise SubnetNotFound("subnet_id must name the subnet through which the cidrs are reached")
            self._directory.recheck(tx, subnet.vpc_id, subnet_ids={subnet.id})
            way_out = WayOut(subnet.id, networks)
            check_networks_are_free(tx.all_public_services(), way_out)
            return way_out

        return find

    def _claimed_backend(self, found: FoundBackend) -> Callable[[WriteTransaction], Backend]:
        def claim(tx: WriteTransaction) -> Backend:
            self._directory.recheck(tx, found.nic.vpc_id, nic_ids=found.nic_ids)
            return found.at(tx.claim_target_address(pool_for(tx, found.nic.vpc_id), found.nic.vpc_id, found.address))

        return claim

    async def _backend(self, wish: NewPublicService) -> FoundBackend:
        """Return the backend that the operator names; it may be any project's."""
        port_id = wish.port_id
        nic = None if port_id is None else await self._store.read(lambda tx: tx.nic(port_id))
        if nic is None:
            raise PortNotFound("port_id must name the NIC that serves it")
        vpc = await self._directory.vpc(nic.project_id, nic.vpc_id)
        if vpc is None:
            raise VpcNotFound(f"VPC {nic.vpc_id} of port_id {nic.id} does not exist")
        check_transit_range_is_free(vpc, await self._directory.subnets(vpc.id))
        return await find_backend(self._directory, nic.project_id, vpc.id, wish.server_type, nic.id, wish.vip_port_id)


def _check_is_of_one_type(wish: NewPublicService) -> None:
    """Refuse what a service of the other type has."""
    if wish.service_type is ServiceType.INTERFACE:
        if wish.networks or wish.subnet_id is not None:
            raise NetworksNotAllowed("an interface service has no cidrs and no subnet_id: give port_id and ports")
    elif wish.port_id is not None or wish.vip_port_id is not None:
        raise PortIdNotAllowed("a gateway service has no port_id: give cidrs and subnet_id")
    elif wish.ports or wish.tcp_proxy is not TcpProxy.CLOSE:
        raise InvalidParameter("a gateway service leads to whole networks: leave ports and tcp_proxy out")
