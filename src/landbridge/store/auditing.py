"""Write, and record in the same transaction what was changed, by whom.

Every method that changes what somebody asked for is overridden here: it looks at what there was, lets `Writing` do it,
and notes both. A test fails for a method of the protocol that is neither here nor named as no change of intent. The
records are added at the end, so a thing that a transaction touches twice has one.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeVar, cast

from sqlalchemy import Connection, bindparam, select

from landbridge.control.accounts import ProjectRecord, UserRecord
from landbridge.control.actors import Actor, ActorKind
from landbridge.control.audit import INSTALLATION, ResourceKind, Trail
from landbridge.control.audit_facts import (
    connection_facts,
    endpoint_facts,
    member_facts,
    nic_facts,
    permission_facts,
    project_facts,
    quota_facts,
    route_table_facts,
    service_facts,
    subnet_facts,
    user_facts,
    vpc_facts,
)
from landbridge.control.protocols import Clock
from landbridge.domain.ids import EndpointId, NicId, PermissionId, ProjectId, RouteTableId, ServiceId, SubnetId, VpcId
from landbridge.domain.resources import (
    Endpoint,
    EndpointService,
    Nic,
    Permission,
    QuotaType,
    RouteTable,
    Subnet,
    Tag,
    Vpc,
)
from landbridge.domain.tagging import ResourceType
from landbridge.store.audit import entry_values
from landbridge.store.directory_rows import route_table_from_row
from landbridge.store.rows import Values, permission_from_row
from landbridge.store.tables import permissions, route_tables
from landbridge.store.writing import Writing

_PERMISSION = select(permissions).where(permissions.c.id == bindparam("id"))
_PERMISSION_NAMED = select(permissions).where(
    permissions.c.service_id == bindparam("service_id"), permissions.c.permission == bindparam("permission")
)
_ROUTE_TABLE = select(route_tables).where(route_tables.c.id == bindparam("id"))

_R = TypeVar("_R", EndpointService, Endpoint)


class AuditedWriting(Writing):
    """One transaction that may write, on behalf of somebody. Its `records` are to be added before it is committed."""

    def __init__(self, connection: Connection, clock: Clock, actor: Actor) -> None:
        super().__init__(connection, clock)
        self._actor = actor
        self._trail = Trail()
        self._seen: dict[str, EndpointService | Endpoint] = {}
        """What was read in this transaction, as it is now as far as facts go: most changes begin with a look."""
        self._with_new_passwords: set[str] = set()

    def records(self) -> Sequence[Values]:
        """Return the records of this transaction, for `add_records`."""
        entries = list(self._trail.entries())
        if not entries:
            return ()
        self._actor.on_change(self._actor.request_id, [entry.resource_id for entry in entries])
        now = self._clock.now()
        return [entry_values(entry, self._actor) | {"recorded_at": now} for entry in entries]

    # Looks that changes begin with.

    def service(self, id_: ServiceId) -> EndpointService | None:
        """Return the service, deleting ones included, whoever owns it."""
        return self._noticed(super().service(id_))

    def own_service(self, project_id: ProjectId, id_: ServiceId) -> EndpointService | None:
        """Return the project's service, deleting ones included; another project's is as absent as an unknown one."""
        return self._noticed(super().own_service(project_id, id_))

    def endpoint(self, id_: EndpointId) -> Endpoint | None:
        """Return the endpoint, deleting ones included, whoever owns it."""
        return self._noticed(super().endpoint(id_))

    def own_endpoint(self, project_id: ProjectId, id_: EndpointId) -> Endpoint | None:
        """Return the project's endpoint, deleting ones included; another project's is as absent as an unknown one."""
        return self._noticed(super().own_endpoint(project_id, id_))

    def connection(self, project_id: ProjectId, id_: EndpointId) -> Endpoint | None:
        """Return an endpoint of anybody that is connected to a service of the project; others are as absent ones."""
        return self._noticed(super().connection(project_id, id_))

    def _noticed(self, found: _R | None) -> _R | None:
        if found is not None:
            self._seen[found.id] = found
        return found

    # Services.

    def add_service(self, service: EndpointService) -> None:
        """Store a new service. Bumps the revision."""
        super().add_service(service)
        self._note_service(None, service)

    def update_service(self, service: EndpointService) -> None:
        """Store a changed service. The caller has raised its generation. Bumps the revision."""
        before = self._service_before(service.id)
        super().update_service(service)
        self._note_service(before, service)

    def amend_service(self, service: EndpointService) -> None:
        """Store changes of a service that no data plane hears of: generation and revision stay."""
        before = self._service_before(service.id)
        super().amend_service(service)
        self._note_service(before, service)

    def rename_service_in_endpoints(self, id_: ServiceId, name: str) -> None:
        """Let all endpoints of a service show its new full name. That is a change of the service alone."""
        super().rename_service_in_endpoints(id_, name)
        self._seen = {key: seen for key, seen in self._seen.items() if isinstance(seen, EndpointService)}

    def remove_service(self, id_: ServiceId) -> None:
        """Forget a service, its permissions and its claims; frees its target addresses if it was the last there."""
        before = self._service_before(id_)
        super().remove_service(id_)
        if before is not None:
            self._note_service(before, None)

    def _service_before(self, id_: ServiceId) -> EndpointService | None:
        seen = self._seen.get(id_)
        return seen if isinstance(seen, EndpointService) else self.service(id_)

    def _note_service(self, before: EndpointService | None, after: EndpointService | None) -> None:
        one = cast("EndpointService", after or before)
        self._remember(one.id, after)
        facts = service_facts(before), service_facts(after)
        self._trail.changed(ResourceKind.SERVICE, one.id, one.project_id, *facts)

    # Endpoints.

    def add_endpoint(self, endpoint: Endpoint) -> None:
        """Store a new endpoint whose addresses are claimed. Bumps the revision."""
        super().add_endpoint(endpoint)
        self._note_endpoint(None, endpoint)

    def update_endpoint(self, endpoint: Endpoint) -> None:
        """Store a changed endpoint. The caller has raised its generation. Bumps the revision."""
        before = self._endpoint_before(endpoint.id)
        super().update_endpoint(endpoint)
        self._note_endpoint(before, endpoint)

    def remove_endpoint(self, id_: EndpointId) -> None:
        """Forget an endpoint and free its addresses."""
        before = self._endpoint_before(id_)
        super().remove_endpoint(id_)
        if before is not None:
            self._note_endpoint(before, None)

    def put_policy(self, id_: EndpointId, policy_document: str | None, updated_at: datetime) -> None:
        """Store the policy of an endpoint, None for none. The data plane knows no policies: the revision stays."""
        before = self._endpoint_before(id_)
        super().put_policy(id_, policy_document, updated_at)
        if before is not None:
            self._note_endpoint(before, replace(before, policy_document=policy_document, updated_at=updated_at))

    def put_connection_description(self, id_: EndpointId, description: str) -> None:
        """Store the provider's text about an endpoint. Its consumer sees no change, here neither."""
        before = self._endpoint_before(id_)
        super().put_connection_description(id_, description)
        service = None if before is None else self._service_before(before.service_id)
        if before is not None and service is not None:
            after = replace(before, connection_description=description)
            self._remember(id_, after)
            facts = connection_facts(before), connection_facts(after)
            self._trail.changed(ResourceKind.CONNECTION, id_, service.project_id, *facts)

    def put_tags(self, kind: ResourceType, id_: str, tags: Sequence[Tag]) -> None:
        """Store the tags of a service or endpoint. No intent changes: the revision stays."""
        if kind is ResourceType.ENDPOINT_SERVICE:
            service = self._service_before(ServiceId(id_))
            super().put_tags(kind, id_, tags)
            if service is not None:
                self._note_service(service, replace(service, tags=tuple(tags)))
        else:
            endpoint = self._endpoint_before(EndpointId(id_))
            super().put_tags(kind, id_, tags)
            if endpoint is not None:
                self._note_endpoint(endpoint, replace(endpoint, tags=tuple(tags)))

    def _endpoint_before(self, id_: EndpointId) -> Endpoint | None:
        seen = self._seen.get(id_)
        return seen if isinstance(seen, Endpoint) else self.endpoint(id_)

    def _note_endpoint(self, before: Endpoint | None, after: Endpoint | None) -> None:
        one = cast("Endpoint", after or before)
        self._remember(one.id, after)
        facts = endpoint_facts(before), endpoint_facts(after)
        self._trail.changed(ResourceKind.ENDPOINT, one.id, one.project_id, *facts)
        actor = self._actor
        if actor.kind is ActorKind.USER and actor.project_id != one.project_id:
            # A provider's decision: both sides find it in their logs, each with what it may know.
            facts = connection_facts(before), connection_facts(after)
            self._trail.changed(ResourceKind.CONNECTION, one.id, ProjectId(actor.project_id), *facts)

    def _remember(self, id_: str, after: EndpointService | Endpoint | None) -> None:
        if after is None:
            self._seen.pop(id_, None)
        else:
            self._seen[id_] = after

    # Permissions.

    def add_permission(self, permission: Permission) -> None:
        """Store a permission entry; one that the service already has is left as it is."""
        super().add_permission(permission)
        if self._permission(permission.id) is not None:
            self._note_permission(permission.service_id, permission.id, None, permission)

    def remove_permission(self, service_id: ServiceId, permission: str) -> None:
        """Forget an entry by its text; an absent one is no error."""
        named = {"service_id": service_id, "permission": permission}
        before = [permission_from_row(row) for row in self._connection.execute(_PERMISSION_NAMED, named)]
        super().remove_permission(service_id, permission)
        for one in before:
            self._note_permission(service_id, one.id, one, None)

    def remove_permissions(self, service_id: ServiceId, ids: Collection[PermissionId]) -> None:
        """Forget entries of a service by their ids."""
        before = self.permissions_by_id(service_id, ids)
        super().remove_permissions(service_id, ids)
        for id_, one in before.items():
            self._note_permission(service_id, id_, one, None)

    def put_permission_description(self, id_: PermissionId, description: str) -> None:
        """Store what a permission entry is for."""
        before = self._permission(id_)
        super().put_permission_description(id_, description)
        if before is not None:
            self._note_permission(before.service_id, id_, before, replace(before, description=description))

    def _permission(self, id_: PermissionId) -> Permission | None:
        row = self._connection.execute(_PERMISSION, {"id": id_}).one_or_none()
        return None if row is None else permission_from_row(row)

    def _note_permission(
        self, service_id: ServiceId, id_: PermissionId, before: Permission | None, after: Permission | None
    ) -> None:
        service = self._service_before(service_id)
        if service is not None:
            facts = permission_facts(before), permission_facts(after)
            self._trail.changed(ResourceKind.PERMISSION, id_, service.project_id, *facts)

    # Networks.

    def put_vpc(self, vpc: Vpc) -> None:
        """Store a VPC in the built-in directory, or replace it."""
        before = self.vpc(vpc.id)
        super().put_vpc(vpc)
        self._trail.changed(ResourceKind.VPC, vpc.id, vpc.project_id, vpc_facts(before), vpc_facts(vpc))

    def remove_vpc(self, id_: VpcId) -> None:
        """Forget a VPC and its route tables."""
        before, tables = self.vpc(id_), self.route_tables(id_)
        super().remove_vpc(id_)
        for table in tables:
            self._note_route_table(table, None)
        if before is not None:
            self._trail.changed(ResourceKind.VPC, id_, before.project_id, vpc_facts(before), None)

    def put_subnet(self, subnet: Subnet) -> None:
        """Store a subnet in the built-in directory, or replace it."""
        before = self.subnet(subnet.id)
        super().put_subnet(subnet)
        self._note_subnet(before, subnet)

    def remove_subnet(self, id_: SubnetId) -> None:
        """Forget a subnet. Addresses that endpoints still have in it stay theirs."""
        before = self.subnet(id_)
        super().remove_subnet(id_)
        if before is not None:
            self._note_subnet(before, None)

    def _note_subnet(self, before: Subnet | None, after: Subnet | None) -> None:
        one = cast("Subnet", after or before)
        facts = subnet_facts(before), subnet_facts(after)
        if facts[0] != facts[1]:
            vpc = self.vpc(one.vpc_id)
            project_id = INSTALLATION if vpc is None else vpc.project_id
            self._trail.changed(ResourceKind.SUBNET, one.id, project_id, *facts)

    def put_nic(self, nic: Nic) -> None:
        """Store a NIC in the built-in directory, or replace it, and claim its address."""
        before = self.nic(nic.id)
        super().put_nic(nic)
        self._trail.changed(ResourceKind.PORT, nic.id, nic.project_id, nic_facts(before), nic_facts(nic))

    def forget_nic(self, id_: NicId) -> None:
        """Forget a NIC, and keep its address for it until `free_nic_address`: something may still answer there."""
        before = self.nic(id_)
        super().forget_nic(id_)
        if before is not None:
            self._trail.changed(ResourceKind.PORT, id_, before.project_id, nic_facts(before), None)

    def put_route_table(self, table: RouteTable) -> None:
        """Store a route table, or replace it."""
        before = self._route_table(table.id)
        super().put_route_table(table)
        self._note_route_table(before, table)

    def remove_route_table(self, id_: RouteTableId) -> None:
        """Forget a route table."""
        before = self._route_table(id_)
        super().remove_route_table(id_)
        if before is not None:
            self._note_route_table(before, None)

    def _route_table(self, id_: RouteTableId) -> RouteTable | None:
        row = self._connection.execute(_ROUTE_TABLE, {"id": id_}).one_or_none()
        return None if row is None else route_table_from_row(row)

    def _note_route_table(self, before: RouteTable | None, after: RouteTable | None) -> None:
        one = cast("RouteTable", after or before)
        facts = route_table_facts(before), route_table_facts(after)
        self._trail.changed(ResourceKind.ROUTE_TABLE, one.id, one.project_id, *facts)

    # Projects, users and quotas.

    def put_project(self, project: ProjectRecord) -> None:
        """Store a project of the built-in identity, or replace it."""
        before = self.project(project.id)
        super().put_project(project)
        facts = project_facts(before), project_facts(project)
        self._trail.changed(ResourceKind.PROJECT, project.id, project.id, *facts)

    def remove_project(self, id_: ProjectId) -> None:
        """Forget a project and its users' roles in it."""
        before = self.project(id_)
        members = [user for user in self.users() if id_ in user.roles]
        super().remove_project(id_)
        for user in members:
            roles = {project_id: names for project_id, names in user.roles.items() if project_id != id_}
            self._note_user(user, replace(user, roles=roles))
        if before is not None:
            self._trail.changed(ResourceKind.PROJECT, id_, id_, project_facts(before), None)

    def put_user(self, user: UserRecord) -> None:
        """Store a user of the built-in identity, or replace it, access keys included."""
        before = self.user(user.id)
        super().put_user(user)
        self._note_user(before, user)

    def remove_user(self, id_: str) -> None:
        """Forget a user and the user's access keys."""
        before = self.user(id_)
        super().remove_user(id_)
        if before is not None:
            self._note_user(before, None)

    def _note_user(self, before: UserRecord | None, after: UserRecord | None) -> None:
        one = cast("UserRecord", after or before)
        if before is not None and after is not None and before.password_hash != after.password_hash:
            self._with_new_passwords.add(one.id)
        facts = user_facts(before), user_facts(after, has_new_password=one.id in self._with_new_passwords)
        self._trail.changed(ResourceKind.USER, one.id, INSTALLATION, *facts)
        for project_id in sorted({*(before.roles if before else ()), *(after.roles if after else ())}):
            of_project = member_facts(before, project_id), member_facts(after, project_id)
            self._trail.changed(ResourceKind.USER, one.id, project_id, *of_project)

    def put_quota(self, project_id: ProjectId, type_: QuotaType, quota: int | None) -> None:
        """Store a quota of a project's own, or replace it; None: the installation's counts again."""
        before = self.own_quotas(project_id).get(type_)
        super().put_quota(project_id, type_, quota)
        facts = quota_facts(type_, before), quota_facts(type_, quota)
        self._trail.changed(ResourceKind.QUOTA, f"{project_id}/{type_.value}", project_id, *facts)
