"""Answer what the use cases and the loop ask about services, endpoints and permissions.

All answers of one transaction come from one snapshot. The statements that are asked for on every request are built
once, so that SQLAlchemy finds their compiled form without looking at them again.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from itertools import chain

from sqlalchemy import ColumnElement, Connection, bindparam, false, func, select

from landbridge.control.queries import (
    Changes,
    ConnectionQuery,
    EndpointQuery,
    PermissionQuery,
    PublicServiceQuery,
    ServiceQuery,
)
from landbridge.domain.addressing import MARKERS
from landbridge.domain.ids import EndpointId, PermissionId, PoolId, ProjectId, ServiceId, VpcId
from landbridge.domain.resources import Endpoint, EndpointService, Permission
from landbridge.domain.tagging import ResourceType, TaggedResource
from landbridge.store.audit import AuditReading
from landbridge.store.counting import REVISION, counter_value
from landbridge.store.directory import DirectoryReading
from landbridge.store.identity import IdentityReading
from landbridge.store.kept_counts import count_of_project
from landbridge.store.listing import chunks, contains_ignoring_case, page_of
from landbridge.store.pools import PoolReading
from landbridge.store.quotas import QuotaReading
from landbridge.store.rows import endpoint_from_row, permission_from_row, service_from_row
from landbridge.store.status import counts_as_connected, endpoint_status, service_status
from landbridge.store.tables import endpoints, left_targets, permissions, services, still_open

_ROWS_AT_ONCE = 500

_SERVICE = select(services).where(services.c.id == bindparam("id"))
_OWN_SERVICE = _SERVICE.where(services.c.project_id == bindparam("project_id"))
_OWN_SERVICE_AND_COUNT = _OWN_SERVICE.add_columns(
    select(func.count())
    # Not `services.c.id`: PostgreSQL would not know the value, and read all endpoints where most are of one service.
    .where(endpoints.c.service_id == bindparam("id"), counts_as_connected)
    .scalar_subquery()
    .label("connection_count")
)
_PUBLIC_SERVICES = select(services).where(services.c.public_owner.is_not(None)).order_by(services.c.created_at)
_PUBLIC_SERVICE = _PUBLIC_SERVICES.where(services.c.name == bindparam("name"), services.c.delete_requested_at.is_(None))
_SERVICES_BY_ID = select(services).where(services.c.id.in_(bindparam("ids", expanding=True)))
_SERVICES_SINCE = (
    select(services).where(services.c.revision > bindparam("revision")).order_by(services.c.revision, services.c.id)
)
_ENDPOINT = select(endpoints).where(endpoints.c.id == bindparam("id"))
_OWN_ENDPOINT = _ENDPOINT.where(endpoints.c.project_id == bindparam("project_id"))
_CONNECTION = _ENDPOINT.join(services, services.c.id == endpoints.c.service_id).where(
    services.c.project_id == bindparam("project_id")
)
_ENDPOINTS_BY_ID = select(endpoints).where(endpoints.c.id.in_(bindparam("ids", expanding=True)))
_ENDPOINTS_OF_SERVICES = select(endpoints).where(endpoints.c.service_id.in_(bindparam("ids", expanding=True)))
_GATEWAY_ENDPOINTS = (
    select(endpoints)
    .where(endpoints.c.subnet_id.is_(None), endpoints.c.vpc_id == bindparam("vpc_id"))
    .order_by(endpoints.c.created_at, endpoints.c.id)
)
_ENDPOINTS_DUE = (
    select(endpoints)
    .where(endpoints.c.next_cut_at <= bindparam("now"), endpoints.c.pool_id == bindparam("pool_id"))
    .order_by(endpoints.c.id)
)
_NEXT_CUT = select(func.min(endpoints.c.next_cut_at)).where(
    endpoints.c.next_cut_at > bindparam("now"), endpoints.c.pool_id == bindparam("pool_id")
)
_ENDING = (
    select(endpoints)
    .where(endpoints.c.service_id == bindparam("service_id"), still_open)
    .order_by(endpoints.c.created_at, endpoints.c.id)
)
_ENDING_COUNT = (
    select(func.count()).select_from(endpoints).where(endpoints.c.service_id == bindparam("service_id"), still_open)
)
_MOVED_IN_VPC = select(services).where(
    services.c.vpc_id == bindparam("vpc_id"), services.c.former_backends.is_not(None)
)
_THAT_LEFT_TARGETS = select(left_targets.c.service_id).where(left_targets.c.pool_id == bindparam("pool_id")).distinct()
_ENDPOINTS_SINCE = (
    select(endpoints).where(endpoints.c.revision > bindparam("revision")).order_by(endpoints.c.revision, endpoints.c.id)
)
_SERVICES_OF_POOL_SINCE = _SERVICES_SINCE.where(services.c.pool_id == bindparam("pool_id"))
_ENDPOINTS_OF_POOL_SINCE = _ENDPOINTS_SINCE.where(endpoints.c.pool_id == bindparam("pool_id"))
_CONNECTION_COUNTS = (
    select(endpoints.c.service_id, func.count())
    .where(endpoints.c.service_id.in_(bindparam("ids", expanding=True)), counts_as_connected)
    .group_by(endpoints.c.service_id)
)
_TAGGED = {
    ResourceType.ENDPOINT_SERVICE: select(services.c.id, services.c.name, services.c.tags)
    .where(services.c.project_id == bindparam("project_id"), services.c.delete_requested_at.is_(None))
    .order_by(services.c.created_at.desc(), services.c.id.desc()),
    ResourceType.ENDPOINT: select(endpoints.c.id, endpoints.c.id, endpoints.c.tags)
    .where(endpoints.c.project_id == bindparam("project_id"), endpoints.c.delete_requested_at.is_(None))
    .order_by(endpoints.c.created_at.desc(), endpoints.c.id.desc()),
}
"""Id, name and tags of a project's resources; endpoints have no name but their id."""
_PERMISSIONS_BY_ID = select(permissions).where(
    permissions.c.service_id == bindparam("service_id"), permissions.c.id.in_(bindparam("ids", expanding=True))
)
_ALL_PERMISSIONS = (
    select(permissions)
    .where(permissions.c.service_id == bindparam("service_id"))
    .order_by(permissions.c.created_at, permissions.c.id)
)


class Reading(AuditReading, DirectoryReading, IdentityReading, PoolReading, QuotaReading):
    """One consistent look at the database (`control.protocols.ReadTransaction`)."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def service(self, id_: ServiceId) -> EndpointService | None:
        """Return the service, deleting ones included, whoever owns it."""
        row = self._connection.execute(_SERVICE, {"id": id_}).one_or_none()
        return None if row is None else service_from_row(row)

    def own_service(self, project_id: ProjectId, id_: ServiceId) -> EndpointService | None:
        """Return the project's service, deleting ones included; another project's is as absent as an unknown one."""
        row = self._connection.execute(_OWN_SERVICE, {"id": id_, "project_id": project_id}).one_or_none()
        return None if row is None else service_from_row(row)

    def own_service_and_count(self, project_id: ProjectId, id_: ServiceId) -> tuple[EndpointService, int] | None:
        """Return what `own_service` does, and how many endpoints it has in creating or accepted."""
        row = self._connection.execute(_OWN_SERVICE_AND_COUNT, {"id": id_, "project_id": project_id}).one_or_none()
        return None if row is None else (service_from_row(row), row.connection_count)

    def services(self, query: ServiceQuery) -> tuple[Sequence[EndpointService], int]:
        """Return one page of services and the number of all matches."""
        conditions: list[ColumnElement[bool]] = [services.c.project_id == query.project_id]
        if query.name_contains is not None:
            conditions.append(contains_ignoring_case(services.c.name, query.name_contains))
        if query.id is not None:
            conditions.append(services.c.id == query.id)
        if query.status is not None:
            conditions.append(service_status == query.status.value)
        if query.server_type is not None:
            conditions.append(services.c.server_type == query.server_type)
        known = count_of_project(self._connection, services, query.project_id) if len(conditions) == 1 else None
        rows, total = page_of(self._connection, services, conditions, query.page, known)
        return [service_from_row(row) for row in rows], total

    def public_services(self, query: PublicServiceQuery) -> tuple[Sequence[EndpointService], int]:
        """Return one page of the living services that are offered to everybody, and the number of all matches."""
        conditions: list[ColumnElement[bool]] = [
            services.c.public_owner.is_not(None),
            services.c.delete_requested_at.is_(None),
        ]
        if query.name_contains is not None:
            conditions.append(contains_ignoring_case(services.c.name, query.name_contains))
        if query.id is not None:
            conditions.append(services.c.id == query.id)
        rows, total = page_of(self._connection, services, conditions, query.page)
        return [service_from_row(row) for row in rows], total

    def all_public_services(self) -> Sequence[EndpointService]:
        """Return every service that is offered to everybody, deleting ones included, the oldest first."""
        return [service_from_row(row) for row in self._connection.execute(_PUBLIC_SERVICES)]

    def public_service(self, name: str) -> EndpointService | None:
        """Return the living service that is offered to everybody under this full name."""
        row = self._connection.execute(_PUBLIC_SERVICE, {"name": name}).first()
        return None if row is None else service_from_row(row)

    def services_by_id(self, ids: Collection[ServiceId]) -> Mapping[ServiceId, EndpointService]:
        """Return those services that exist."""
        found: dict[ServiceId, EndpointService] = {}
        for chunk in chunks(ids):
            for row in self._connection.execute(_SERVICES_BY_ID, {"ids": chunk}):
                found[row.id] = service_from_row(row)
        return found

    def connection_counts(self, ids: Collection[ServiceId]) -> Mapping[ServiceId, int]:
        """Return how many endpoints each service has in creating or accepted; 0 may be absent."""
        counts: dict[ServiceId, int] = {}
        for chunk in chunks(ids):
            counts.update((row[0], row[1]) for row in self._connection.execute(_CONNECTION_COUNTS, {"ids": chunk}))
        return counts

    def endpoint(self, id_: EndpointId) -> Endpoint | None:
        """Return the endpoint, deleting ones included, whoever owns it."""
        row = self._connection.execute(_ENDPOINT, {"id": id_}).one_or_none()
        return None if row is None else endpoint_from_row(row)

    def own_endpoint(self, project_id: ProjectId, id_: EndpointId) -> Endpoint | None:
        """Return the project's endpoint, deleting ones included; another project's is as absent as an unknown one."""
        row = self._connection.execute(_OWN_ENDPOINT, {"id": id_, "project_id": project_id}).one_or_none()
        return None if row is None else endpoint_from_row(row)

    def connection(self, project_id: ProjectId, id_: EndpointId) -> Endpoint | None:
        """Return an endpoint of anybody that is connected to a service of the project; others are as absent ones."""
        row = self._connection.execute(_CONNECTION, {"id": id_, "project_id": project_id}).one_or_none()
        return None if row is None else endpoint_from_row(row)

    def endpoints(self, query: EndpointQuery) -> tuple[Sequence[Endpoint], int]:
        """Return one page of endpoints and the number of all matches."""
        conditions: list[ColumnElement[bool]] = [endpoints.c.project_id == query.project_id]
        if query.service_name_contains is not None:
            conditions.append(contains_ignoring_case(endpoints.c.service_name, query.service_name_contains))
        if query.vpc_id is not None:
            conditions.append(endpoints.c.vpc_id == query.vpc_id)
        if query.id is not None:
            conditions.append(endpoints.c.id == query.id)
        known = count_of_project(self._connection, endpoints, query.project_id) if len(conditions) == 1 else None
        rows, total = page_of(self._connection, endpoints, conditions, query.page, known)
        return [endpoint_from_row(row) for row in rows], total

    def connections(self, query: ConnectionQuery) -> tuple[Sequence[Endpoint], int]:
        """Return one page of a service's endpoints and the number of all matches."""
        conditions: list[ColumnElement[bool]] = [endpoints.c.service_id == query.service_id]
        if query.id is not None:
            conditions.append(endpoints.c.id == query.id)
        if query.marker is not None:
            # A number that is no marker may be too large for the column's type.
            conditions.append(endpoints.c.marker == query.marker if query.marker in MARKERS else false())
        if query.status is not None:
            conditions.append(endpoint_status == query.status.value)
        rows, total = page_of(self._connection, endpoints, conditions, query.page)
        return [endpoint_from_row(row) for row in rows], total

    def endpoints_of_services(self, ids: Collection[ServiceId]) -> Sequence[Endpoint]:
        """Return all endpoints of these services."""
        found: list[Endpoint] = []
        for chunk in chunks(ids):
            found.extend(map(endpoint_from_row, self._connection.execute(_ENDPOINTS_OF_SERVICES, {"ids": chunk})))
        return found

    def endpoints_by_id(self, ids: Collection[EndpointId]) -> Mapping[EndpointId, Endpoint]:
        """Return those endpoints that exist."""
        found: dict[EndpointId, Endpoint] = {}
        for chunk in chunks(ids):
            for row in self._connection.execute(_ENDPOINTS_BY_ID, {"ids": chunk}):
                found[row.id] = endpoint_from_row(row)
        return found

    def gateway_endpoints(self, vpc_id: VpcId) -> Sequence[Endpoint]:
        """Return the gateway endpoints of a VPC, deleting ones included, the oldest first."""
        return [endpoint_from_row(row) for row in self._connection.execute(_GATEWAY_ENDPOINTS, {"vpc_id": vpc_id})]

    def endpoints_due(self, now: datetime, pool_id: PoolId) -> Sequence[Endpoint]:
        """Return a pool's endpoints of which something was to be cut by now, and which is not confirmed."""
        rows = self._connection.execute(_ENDPOINTS_DUE, {"now": now, "pool_id": pool_id})
        return [endpoint_from_row(row) for row in rows]

    def next_cut_after(self, now: datetime, pool_id: PoolId) -> datetime | None:
        """Return the next moment at which something is to be cut of a pool's endpoint; None: there is none."""
        return self._connection.execute(_NEXT_CUT, {"now": now, "pool_id": pool_id}).scalar_one()

    def ending_endpoints(self, service_id: ServiceId, limit: int) -> tuple[Sequence[Endpoint], int]:
        """Return endpoints of which connections go on that may not be made any more, the oldest, and their number."""
        these = {"service_id": service_id}
        rows = self._connection.execute(_ENDING.limit(limit), these)
        return [endpoint_from_row(row) for row in rows], self._connection.execute(_ENDING_COUNT, these).scalar_one()

    def moved_services(self, vpc_id: VpcId) -> Sequence[EndpointService]:
        """Return the services of a VPC that have former backends, deleting ones included."""
        return [service_from_row(row) for row in self._connection.execute(_MOVED_IN_VPC, {"vpc_id": vpc_id})]

    def services_that_left_targets(self, pool_id: PoolId) -> Collection[ServiceId]:
        """Return which of a pool's services have left places that the data plane has not let go of."""
        return set(self._connection.execute(_THAT_LEFT_TARGETS, {"pool_id": pool_id}).scalars())

    def tagged_resources(self, project_id: ProjectId, kind: ResourceType) -> Sequence[TaggedResource]:
        """Return all living services or endpoints of a project, the newest first, with nothing but their tags."""
        rows = self._connection.execute(_TAGGED[kind], {"project_id": project_id})
        return [TaggedResource(id_, name, dict(pairs)) for id_, name, pairs in rows]

    def permissions(self, query: PermissionQuery) -> tuple[Sequence[Permission], int]:
        """Return one page of permission entries and the number of all matches."""
        conditions: list[ColumnElement[bool]] = [permissions.c.service_id == query.service_id]
        if query.permission_contains is not None:
            conditions.append(contains_ignoring_case(permissions.c.permission, query.permission_contains))
        rows, total = page_of(self._connection, permissions, conditions, query.page)
        return [permission_from_row(row) for row in rows], total

    def all_permissions(self, service_id: ServiceId) -> Sequence[Permission]:
        """Return every permission entry of one service, the oldest first."""
        rows = self._connection.execute(_ALL_PERMISSIONS, {"service_id": service_id})
        return [permission_from_row(row) for row in rows]

    def permissions_by_id(
        self, service_id: ServiceId, ids: Collection[PermissionId]
    ) -> Mapping[PermissionId, Permission]:
        """Return those permission entries that the service has."""
        found: dict[PermissionId, Permission] = {}
        for chunk in chunks(ids):
            for row in self._connection.execute(_PERMISSIONS_BY_ID, {"service_id": service_id, "ids": chunk}):
                found[row.id] = permission_from_row(row)
        return found

    def changes_since(self, revision: int, pool_id: PoolId | None = None) -> Changes:
        """Return the rows of a pool, or of all, whose intent changed after `revision`, in that order.

        0 returns everything.
        """
        if pool_id is None:
            statements, since = (_SERVICES_SINCE, _ENDPOINTS_SINCE), {"revision": revision}
        else:
            statements = (_SERVICES_OF_POOL_SINCE, _ENDPOINTS_OF_POOL_SINCE)
            since = {"revision": revision, "pool_id": pool_id}
        found_services, found_endpoints = (
            # Not all at once: rows take more room than what is made of them.
            chain.from_iterable(self._connection.execute(statement, since).partitions(_ROWS_AT_ONCE))
            for statement in statements
        )
        return Changes(
            revision=counter_value(self._connection, REVISION) or 0,
            services=[service_from_row(row) for row in found_services],
            endpoints=[endpoint_from_row(row) for row in found_endpoints],
        )
