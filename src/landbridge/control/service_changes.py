"""Change an endpoint service while it serves (contract 3.6, 3.18).

All parts of a change are stored in one transaction or none is. Ports and backends are changed in living endpoints too:
connections on unchanged ports go on, where they were opened, and the answer comes when the data plane has followed, so
that a port taken out carries nothing from then on. A service that was available stays so. What no data plane hears of
(name, description, approval) wakes none.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from landbridge.control.backends import FoundBackend, find_backend
from landbridge.control.endpoint_services import ListedService, own_service_to_change
from landbridge.control.endpoints import CUT_SECONDS, CutWatch
from landbridge.control.pools import check_is_carried
from landbridge.control.protocols import Clock, Directory, ReadTransaction, Store, WriteTransaction
from landbridge.control.settlements import Settlements, Wakeups
from landbridge.domain.errors import BackendNotChangeable, ServiceNotChangeable
from landbridge.domain.ids import NicId, ProjectId, ServiceId
from landbridge.domain.lifecycle import ServiceStatus, service_status
from landbridge.domain.moving import moved
from landbridge.domain.naming import check_short_name, full_service_name
from landbridge.domain.resources import Backend, EndpointService, PortMapping, ServerType, TcpProxy, WayOut
from landbridge.domain.validation import check_description, check_ports

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ServiceChange:
    """What a provider wants to be different, types checked, rules not yet; None leaves a part as it is."""

    ports: Sequence[PortMapping] | None = None
    short_name: str | None = None
    approval_enabled: bool | None = None
    tcp_proxy: TcpProxy | None = None
    description: str | None = None
    enable_policy: bool | None = None
    port_id: NicId | None = None
    vip_port_id: NicId | None = None


class ServiceChanges:
    """The use cases that change an endpoint service which is there."""

    def __init__(
        self,
        store: Store,
        directory: Directory,
        clock: Clock,
        wakeups: Wakeups,
        settlements: Settlements,
        watch: CutWatch,
        region: str,
    ) -> None:
        self._store = store
        self._directory = directory
        self._clock = clock
        self._wakeups = wakeups
        self._settlements = settlements
        self._watch = watch
        self._region = region

    async def modify(self, project_id: ProjectId, id_: ServiceId, change: ServiceChange) -> ListedService:
        """Change a service and wait for the data plane, 1 s at most; a change of nothing succeeds and does nothing.

        Raises:
            UserError: one of the rules of contract 3.6 and 6.1 is broken; nothing has been changed then.
        """
        change = self._checked(change)
        there = await self._store.read(lambda tx: _changeable_service(tx, project_id, id_))
        found = await self._new_backend(there, change)
        now = self._clock.now()

        def work(tx: WriteTransaction) -> tuple[EndpointService, EndpointService]:
            before = _changeable_service(tx, project_id, id_)
            if change.tcp_proxy is not None:
                # A new service would fail; one that serves must not be made to.
                check_is_carried(tx, before.pool_id, change.tcp_proxy)
            after = self._with_backend(tx, self._changed(before, change), found)
            if after == before:
                return before, before
            after = replace(after, updated_at=now)
            if concerns_the_data_plane(before, after):
                after = replace(after, generation=before.generation + 1)
                tx.release_server_ports(id_)
                tx.claim_server_ports(after)
                tx.update_service(after)
            else:
                tx.amend_service(after)
            if after.name != before.name:
                tx.rename_service_in_endpoints(id_, after.name)
            return before, after

        with self._settlements.expect(id_) as waiter:
            before, after = await self._store.write(work)
            if after.generation != before.generation:
                self._wakeups.ring()
                has_followed = await waiter.reached(after.generation, CUT_SECONDS)
                if not has_followed and _takes_something_away(before, after):
                    self._watch.cut_overdue(after)
        return await self._store.read(lambda tx: _listed(tx, after))

    def _checked(self, change: ServiceChange) -> ServiceChange:
        return replace(
            change,
            ports=None if change.ports is None else check_ports(change.ports),
            short_name=None if change.short_name is None else check_short_name(change.short_name),
            description=None if change.description is None else check_description(change.description),
        )

    def _changed(self, service: EndpointService, change: ServiceChange) -> EndpointService:
        """Return the service as it is wanted, all but its backend."""
        name = service.name
        if change.short_name is not None:
            name = full_service_name(self._region, change.short_name, service.id)
        return replace(
            service,
            name=name,
            ports=service.ports if change.ports is None else tuple(change.ports),
            approval_enabled=_or(change.approval_enabled, service.approval_enabled),
            tcp_proxy=_or(change.tcp_proxy, service.tcp_proxy),
            description=_or(change.description, service.description),
            enable_policy=_or(change.enable_policy, service.enable_policy),
        )

    async def _new_backend(self, service: EndpointService, change: ServiceChange) -> FoundBackend | None:
        """Return the backend that the service is to get, None if it keeps its own."""
        backend = service.backend
        if isinstance(backend, WayOut):
            return None  # nobody changes a gateway service: it is public
        port_id = backend.nic_id if change.port_id is None else change.port_id
        if port_id != backend.nic_id and backend.server_type is not ServerType.LB:
            raise BackendNotChangeable(
                f"a service of server_type {backend.server_type} keeps its port_id: only that of an LB can be changed"
            )
        if change.vip_port_id is not None and backend.server_type is not ServerType.VIP:
            raise BackendNotChangeable(
                f"a service of server_type {backend.server_type} has no vip_port_id: leave it out"
            )
        vip_port_id = backend.vip_nic_id if change.vip_port_id is None else change.vip_port_id
        if port_id == backend.nic_id and vip_port_id in {backend.vip_nic_id, _shown_vip(backend)}:
            return None
        return await find_backend(
            self._directory, service.project_id, service.vpc_id, backend.server_type, port_id, vip_port_id
        )

    def _with_backend(
        self, tx: WriteTransaction, service: EndpointService, found: FoundBackend | None
    ) -> EndpointService:
        if found is None:
            return service
        self._directory.recheck(tx, service.vpc_id, nic_ids=found.nic_ids)
        transit = tx.claim_target_address(service.pool_id, service.vpc_id, found.address)
        return moved(service, found.at(transit))


def concerns_the_data_plane(before: EndpointService, after: EndpointService) -> bool:
    """Say whether a data plane has anything to do; the order of ports is only shown."""
    return _carried(before) != _carried(after)


def _carried(service: EndpointService) -> object:
    return set(service.ports), service.backend, service.former_backends, service.tcp_proxy


def _takes_something_away(before: EndpointService, after: EndpointService) -> bool:
    is_place_lost = not set(before.former_backends) <= {after.backend, *after.former_backends}
    return is_place_lost or not set(before.ports) <= set(after.ports)


def _changeable_service(tx: ReadTransaction, project_id: ProjectId, id_: ServiceId) -> EndpointService:
    service = own_service_to_change(tx, project_id, id_)
    status = service_status(service)
    if status is not ServiceStatus.AVAILABLE:
        raise ServiceNotChangeable(f"endpoint service {id_} is {status}: only an available one can be changed")
    return service


def _listed(tx: ReadTransaction, service: EndpointService) -> ListedService:
    # Somebody may have deleted it meanwhile.
    shown = tx.own_service_and_count(service.project_id, service.id) or (service, 0)
    return ListedService(*shown)


def _or(wish: T | None, present: T) -> T:
    return present if wish is None else wish


def _shown_vip(backend: Backend) -> NicId:
    """Return what a VIP service shows as vip_port_id."""
    return backend.vip_nic_id or backend.nic_id
