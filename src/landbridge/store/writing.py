"""Write services, endpoints and permissions, and keep the claims that go with them.

A work that changes intent raises the revision once; what a round reached is written only while the row still is at
the generation that the round compiled, and raises nothing.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Address

from sqlalchemy import Connection, Table, and_, bindparam, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from landbridge.control.protocols import Clock
from landbridge.dataplane.model import TRANSIT_RANGE
from landbridge.domain.addressing import check_wanted_address, host_numbers
from landbridge.domain.errors import PoolFull, PortsConflict, SubnetFull
from landbridge.domain.ids import EndpointId, PermissionId, PoolId, ServiceId, VpcId
from landbridge.domain.resources import Backend, Endpoint, EndpointService, Failure, Permission, Subnet, Tag, WayOut
from landbridge.domain.tagging import ResourceType
from landbridge.store import claims
from landbridge.store.claims import subnet_ledger, transit_ledger
from landbridge.store.counting import REVISION, raise_counter
from landbridge.store.directory import DirectoryWriting
from landbridge.store.identity import IdentityWriting
from landbridge.store.listing import chunks
from landbridge.store.pools import PoolWriting
from landbridge.store.quotas import QuotaWriting
from landbridge.store.reading import Reading
from landbridge.store.rows import (
    Values,
    endpoint_values,
    failure_values,
    grace_values,
    permission_values,
    service_from_row,
    service_values,
    tag_pairs,
)
from landbridge.store.tables import endpoints, left_targets, permissions, server_port_claims, services, target_addresses

_TRANSIT_NUMBERS = host_numbers(TRANSIT_RANGE)

_ADD_SERVICE = insert(services)
_ADD_ENDPOINT = insert(endpoints)
_PORT_OWNERS = select(
    server_port_claims.c.server_port, server_port_claims.c.protocol, server_port_claims.c.service_id
).where(
    server_port_claims.c.nic_id == bindparam("nic_id"),
    server_port_claims.c.server_port.in_(bindparam("server_ports", expanding=True)),
)
_ADD_PORT_CLAIMS = insert(server_port_claims)
_RELEASE_PORTS = delete(server_port_claims).where(server_port_claims.c.service_id == bindparam("service_id"))
_this_target = and_(
    target_addresses.c.pool_id == bindparam("pool"),
    target_addresses.c.vpc_id == bindparam("vpc"),
    target_addresses.c.address == bindparam("backend"),
)
_TARGET = select(target_addresses.c.transit_address).where(_this_target)
_FORGET_TARGET = delete(target_addresses).where(_this_target)
_ADD_TARGET = insert(target_addresses)
_SERVICE_ON_TARGET = (
    select(services.c.id)
    .where(
        services.c.pool_id == bindparam("pool"),
        services.c.vpc_id == bindparam("vpc"),
        services.c.backend_address == bindparam("backend"),
    )
    .limit(1)
)
_SERVICES_THAT_MOVED = select(services).where(
    services.c.pool_id == bindparam("pool"),
    services.c.vpc_id == bindparam("vpc"),
    services.c.former_backends.is_not(None),
)
_LEFT = select(left_targets).where(left_targets.c.service_id == bindparam("service_id"))
_this_left_place = and_(
    left_targets.c.pool_id == bindparam("pool"),
    left_targets.c.vpc_id == bindparam("vpc"),
    left_targets.c.address == bindparam("backend"),
)
_LEFT_THERE = select(left_targets.c.service_id).where(_this_left_place).limit(1)
_ADD_LEFT = insert(left_targets)
_FORGET_LEFT = delete(left_targets).where(left_targets.c.service_id == bindparam("service_id"))
_FORGET_LEFT_PLACE = _FORGET_LEFT.where(_this_left_place)
_PERMISSION_ID = select(permissions.c.id).where(
    permissions.c.service_id == bindparam("service_id"), permissions.c.permission == bindparam("permission")
)


@dataclass(frozen=True, slots=True)
class _Place:
    """An address at which a backend is or was."""

    pool_id: PoolId
    vpc_id: VpcId
    address: IPv4Address

    def named(self) -> Values:
        """Return the parameters by which statements find it."""
        return {"pool": self.pool_id, "vpc": self.vpc_id, "backend": self.address}

    def columns(self) -> Values:
        """Return its columns."""
        return {"pool_id": self.pool_id, "vpc_id": self.vpc_id, "address": self.address}


class Writing(Reading, DirectoryWriting, IdentityWriting, PoolWriting, QuotaWriting):
    """One transaction that may write (`control.protocols.WriteTransaction`)."""

    def __init__(self, connection: Connection, clock: Clock) -> None:
        super().__init__(connection)
        self._clock = clock
        self._raised_revision: int | None = None

    def _revision(self) -> int:
        if self._raised_revision is None:
            self._raised_revision = raise_counter(self._connection, REVISION)
        return self._raised_revision

    def add_service(self, service: EndpointService) -> None:
        """Store a new service. Bumps the revision."""
        self._connection.execute(_ADD_SERVICE, service_values(service) | {"revision": self._revision()})

    def update_service(self, service: EndpointService) -> None:
        """Store a changed service. The caller has raised its generation. Bumps the revision.

        The transit addresses of places that it leaves stay taken until `release_left_targets`.
        """
        before = self.service(service.id)
        _replace(self._connection, services, service_values(service) | {"revision": self._revision()})
        if before is not None:
            self._note_left_targets(before, service)

    def amend_service(self, service: EndpointService) -> None:
        """Store changes of a service that no data plane hears of: generation and revision stay."""
        _replace(self._connection, services, service_values(service))

    def rename_service_in_endpoints(self, id_: ServiceId, name: str) -> None:
        """Let all endpoints of a service show its new full name. Nothing else of them changes."""
        its_endpoints = update(endpoints).where(endpoints.c.service_id == id_)
        self._connection.execute(its_endpoints.values(service_name=name))

    def remove_service(self, id_: ServiceId) -> None:
        """Forget a service, its permissions and its claims; frees its target addresses if it was the last there."""
        service = self.service(id_)
        if service is None:
            return
        left = {*_places(service), *self._left_targets(id_)}
        self._revision()
        self.release_server_ports(id_)
        self._connection.execute(delete(permissions).where(permissions.c.service_id == id_))
        self._connection.execute(delete(services).where(services.c.id == id_))
        self._connection.execute(_FORGET_LEFT, {"service_id": id_})
        self._free_targets(left)

    def claim_server_ports(self, service: EndpointService) -> None:
        """Reserve (nic, server port, protocol) for a living service; what it already has it keeps.

        A gateway service has no ports.

        Raises:
            PortsConflict: another living service on the same NIC has one of them.
        """
        if isinstance(service.backend, WayOut):
            return
        nic_id = service.backend.nic_id
        wanted = dict.fromkeys((mapping.server_port, mapping.protocol) for mapping in service.ports)
        # Of these ports alone: a NIC may have many thousand others.
        ports = list({port for port, _ in wanted})
        rows = self._connection.execute(_PORT_OWNERS, {"nic_id": nic_id, "server_ports": ports})
        owners = {(port, protocol): owner for port, protocol, owner in rows}
        for port, protocol in wanted:
            if owners.get((port, protocol), service.id) != service.id:
                raise PortsConflict(
                    f"another endpoint service on port_id {nic_id} has server_port {port}: choose another one"
                )
        new = [
            {"nic_id": nic_id, "server_port": port, "protocol": protocol, "service_id": service.id}
            for port, protocol in wanted
            if (port, protocol) not in owners
        ]
        if new:
            try:
                self._connection.execute(_ADD_PORT_CLAIMS, new)
            except IntegrityError as error:
                raise PortsConflict(
                    f"another endpoint service on port_id {nic_id} has one of the server ports: choose others"
                ) from error

    def release_server_ports(self, id_: ServiceId) -> None:
        """Free a service's server ports."""
        self._connection.execute(_RELEASE_PORTS, {"service_id": id_})

    def claim_target_address(self, pool_id: PoolId, vpc_id: VpcId, address: IPv4Address) -> IPv4Address:
        """Return the transit address that stands for a backend address, choosing one at first use.

        Raises:
            PoolFull: no transit address is free.
        """
        target = {"pool": pool_id, "vpc": vpc_id, "backend": address}
        transit = self._connection.execute(_TARGET, target).scalar_one_or_none()
        if transit is None:
            transit = self._claim_transit(pool_id, "target", _target_owner(vpc_id, address))
            row = {"pool_id": pool_id, "vpc_id": vpc_id, "address": address, "transit_address": transit}
            self._connection.execute(_ADD_TARGET, row)
        return transit

    def _note_left_targets(self, before: EndpointService, after: EndpointService) -> None:
        kept, left = _places(after), _places(before) - _places(after)
        if kept == _places(before):
            return
        there = self._left_targets(after.id)
        # It may have come back to a place that the data plane has not let go of.
        for place in there & kept:
            self._connection.execute(_FORGET_LEFT_PLACE, {"service_id": after.id, **place.named()})
        for place in left - there:
            self._connection.execute(_ADD_LEFT, {"service_id": after.id, **place.columns()})

    def release_left_targets(self, service: EndpointService) -> None:
        """Free the transit addresses of places that a service has left, unless it moved on or others are there."""
        present = self.service(service.id)
        if present is not None and present.generation == service.generation:
            left = self._left_targets(service.id)
            self._connection.execute(_FORGET_LEFT, {"service_id": service.id})
            self._free_targets(left)

    def _left_targets(self, id_: ServiceId) -> set[_Place]:
        rows = self._connection.execute(_LEFT, {"service_id": id_})
        return {_Place(row.pool_id, row.vpc_id, row.address) for row in rows}

    def _free_targets(self, left: Iterable[_Place]) -> None:
        for place in left:
            if not self._is_target(place):
                transit = self._connection.execute(_TARGET, place.named()).scalar_one_or_none()
                if transit is not None:
                    self._connection.execute(_FORGET_TARGET, place.named())
                    owner = _target_owner(place.vpc_id, place.address)
                    transit_ledger.free(self._connection, place.pool_id, transit, "target", owner)

    def _is_target(self, place: _Place) -> bool:
        """Say whether a service listens at a place, did so formerly, or has left it without having been let go."""
        if any(self._connection.execute(one, place.named()).first() for one in (_SERVICE_ON_TARGET, _LEFT_THERE)):
            return True
        movers = self._connection.execute(_SERVICES_THAT_MOVED, place.named())
        return any(place in _places(service_from_row(row)) for row in movers)

    def claim_endpoint_address(
        self, endpoint_id: EndpointId, subnet: Subnet, wanted: IPv4Address | None
    ) -> IPv4Address:
        """Reserve an address of the subnet for an endpoint, `wanted` or a free one.

        Raises:
            AddressTaken: `wanted` is in use, by an endpoint, a NIC, or the gateway.
            AddressOutsideSubnet: `wanted` is no host address of the subnet.
            SubnetFull: no address is free.
        """
        if wanted is not None:
            check_wanted_address(subnet, wanted)
            subnet_ledger.claim(self._connection, subnet.id, wanted, "endpoint", endpoint_id)
            return wanted
        numbers = host_numbers(subnet.cidr)
        address = subnet_ledger.claim_any(self._connection, subnet.id, numbers, subnet.gateway, "endpoint", endpoint_id)
        if address is None:
            raise SubnetFull(f"subnet {subnet.cidr} has no free address: delete an endpoint or use another subnet")
        return address

    def claim_transit_address(self, pool_id: PoolId, endpoint_id: EndpointId) -> IPv4Address:
        """Reserve a source transit address: one that nobody had, or else the longest free one.

        Raises:
            PoolFull: no transit address is free.
        """
        return self._claim_transit(pool_id, "endpoint", endpoint_id)

    def _claim_transit(self, pool_id: PoolId, kind: str, owner: str) -> IPv4Address:
        address = transit_ledger.claim_any(
            self._connection, pool_id, _TRANSIT_NUMBERS, TRANSIT_RANGE.network_address, kind, owner
        )
        if address is None:
            raise PoolFull("no transit address is free: delete endpoints or services that are not needed")
        return address

    def claim_marker(self) -> int:
        """Return a marker that nobody had in the last 24 hours: 2^24 + n, within 32 bits."""
        return claims.claim_marker(self._connection)

    def add_endpoint(self, endpoint: Endpoint) -> None:
        """Store a new endpoint whose addresses are claimed. Bumps the revision."""
        self._connection.execute(_ADD_ENDPOINT, endpoint_values(endpoint) | {"revision": self._revision()})

    def update_endpoint(self, endpoint: Endpoint) -> None:
        """Store a changed endpoint. The caller has raised its generation. Bumps the revision."""
        _replace(self._connection, endpoints, endpoint_values(endpoint) | {"revision": self._revision()})

    def remove_endpoint(self, id_: EndpointId) -> None:
        """Forget an endpoint and free its addresses."""
        endpoint = self.endpoint(id_)
        if endpoint is None:
            return
        self._revision()
        self._connection.execute(delete(endpoints).where(endpoints.c.id == id_))
        if endpoint.subnet_id is not None and endpoint.address is not None:
            subnet_ledger.free(self._connection, endpoint.subnet_id, endpoint.address, "endpoint", id_)
        transit_ledger.free(self._connection, endpoint.pool_id, endpoint.transit_address, "endpoint", id_)
        claims.free_marker(self._connection, endpoint.marker, self._clock.now())

    def record_service_outcome(self, id_: ServiceId, generation: int, failure: Failure | None) -> bool:
        """Write back what a round reached, if the service still is at `generation`.

        Success sets observed_generation and clears last_error; a failure sets last_error. Does not bump
        the revision. Returns whether a row was written.
        """
        values = failure_values(failure)
        if failure is None:
            values |= {"observed_generation": generation}
        return _record(self._connection, services, id_, generation, values)

    def record_endpoint_outcome(
        self, id_: EndpointId, generation: int, failure: Failure | None, *, is_unwired: bool = False
    ) -> bool:
        """Write back what a round reached, if the endpoint still is at `generation`.

        As for services; success, or knowing that nothing is wired, also clears cut_requested_at.
        """
        values = failure_values(failure)
        if failure is None:
            values |= {"observed_generation": generation}
        if failure is None or is_unwired:
            cleared: datetime | None = None
            values |= {"cut_requested_at": cleared}
        return _record(self._connection, endpoints, id_, generation, values)

    def record_graces(self, endpoint: Endpoint) -> bool:
        """Write back which connections still go on, if the endpoint still is at its generation."""
        return _record(self._connection, endpoints, endpoint.id, endpoint.generation, grace_values(endpoint))

    def put_policy(self, id_: EndpointId, policy_document: str | None, updated_at: datetime) -> None:
        """Store the policy of an endpoint, None for none. The data plane knows no policies: the revision stays."""
        values = {"policy_document": policy_document, "updated_at": updated_at}
        self._connection.execute(update(endpoints).where(endpoints.c.id == id_).values(values))

    def put_tags(self, kind: ResourceType, id_: str, tags: Sequence[Tag]) -> None:
        """Store the tags of a service or endpoint. No intent changes: the revision stays."""
        table = services if kind is ResourceType.ENDPOINT_SERVICE else endpoints
        self._connection.execute(update(table).where(table.c.id == id_).values(tags=tag_pairs(tags)))

    def add_permission(self, permission: Permission) -> None:
        """Store a permission entry; one that the service already has is left as it is."""
        same = {"service_id": permission.service_id, "permission": permission.permission}
        if self._connection.execute(_PERMISSION_ID, same).first() is None:
            self._connection.execute(insert(permissions), permission_values(permission))

    def remove_permission(self, service_id: ServiceId, permission: str) -> None:
        """Forget an entry by its text; an absent one is no error."""
        this = (permissions.c.service_id == service_id, permissions.c.permission == permission)
        self._connection.execute(delete(permissions).where(*this))

    def remove_permissions(self, service_id: ServiceId, ids: Collection[PermissionId]) -> None:
        """Forget entries of a service by their ids."""
        for chunk in chunks(ids):
            these = (permissions.c.service_id == service_id, permissions.c.id.in_(chunk))
            self._connection.execute(delete(permissions).where(*these))

    def put_permission_description(self, id_: PermissionId, description: str) -> None:
        """Store what a permission entry is for."""
        this = permissions.c.id == id_
        self._connection.execute(update(permissions).where(this).values(description=description))

    def put_connection_description(self, id_: EndpointId, description: str) -> None:
        """Store the provider's text about an endpoint. Its consumer sees no change: `updated_at` stays."""
        this = endpoints.c.id == id_
        self._connection.execute(update(endpoints).where(this).values(connection_description=description))


def _replace(connection: Connection, table: Table, values: Values) -> None:
    connection.execute(update(table).where(table.c.id == bindparam("this_id")), values | {"this_id": values["id"]})


def _record(connection: Connection, table: Table, id_: str, generation: int, values: Values) -> bool:
    this = (table.c.id == id_, table.c.generation == generation)
    return connection.execute(update(table).where(*this).values(values)).rowcount == 1


def _places(service: EndpointService) -> set[_Place]:
    """Return where a service listens, and where it did while connections go on there."""
    backends = [*([service.backend] if isinstance(service.backend, Backend) else []), *service.former_backends]
    return {_Place(service.pool_id, service.vpc_id, backend.address) for backend in backends}


def _target_owner(vpc_id: VpcId, address: IPv4Address) -> str:
    return f"{vpc_id}/{address}"
