"""Let a provider say which domains may connect to a service (contract 3.13 to 3.17).

Every change happens whole or not at all, and the limit of a service's list holds however many changes come at once.
Entries are kept as they were sent. A change concerns later endpoints only: nobody who is connected is cut.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from landbridge.control.endpoint_services import own_service, own_service_to_change
from landbridge.control.protocols import Clock, ReadTransaction, Store, WriteTransaction
from landbridge.control.queries import PermissionQuery
from landbridge.domain.admission import PERMISSION_LIMIT, permission_type
from landbridge.domain.errors import (
    BatchTooLong,
    EmptyPermissionList,
    InvalidParameter,
    InvalidPermission,
    PermissionNotFound,
    TooManyPermissions,
)
from landbridge.domain.ids import IdSource, PermissionId, ProjectId, ServiceId
from landbridge.domain.resources import Permission, PermissionType
from landbridge.domain.validation import check_description


class Permissions:
    """The use cases of a service's permission list."""

    def __init__(self, store: Store, clock: Clock, ids: IdSource) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids

    async def list(self, project_id: ProjectId, query: PermissionQuery) -> tuple[Sequence[Permission], int]:
        """Return one page of a service's permissions and the number of all matches.

        Raises:
            ServiceNotFound: the service is unknown, or of another project.
        """

        def look(tx: ReadTransaction) -> tuple[Sequence[Permission], int]:
            own_service(tx, project_id, query.service_id)
            return tx.permissions(query)

        return await self._store.read(look)

    async def add(
        self, project_id: ProjectId, service_id: ServiceId, entries: Sequence[str], wanted: PermissionType | None = None
    ) -> PermissionType:
        """Add entries; one that is there already stays as it is. Returns what the first entry names.

        Raises:
            ServiceNotFound, EmptyPermissionList, InvalidPermission, TooManyPermissions: see contract 6.2.
        """
        if len(entries) > PERMISSION_LIMIT:
            raise TooManyPermissions(f"at most {PERMISSION_LIMIT} permissions are allowed: use * for everybody")
        types = _checked(entries, wanted)
        await self._add(project_id, service_id, dict.fromkeys(entries, ""))
        return types[0]

    async def remove(
        self, project_id: ProjectId, service_id: ServiceId, entries: Sequence[str], wanted: PermissionType | None = None
    ) -> PermissionType:
        """Remove entries; an absent one is no error. Returns what the first entry names.

        Raises:
            ServiceNotFound, EmptyPermissionList, InvalidPermission, BatchTooLong: see contract 6.2.
        """
        _check_batch(len(entries))
        types = _checked(entries, wanted)

        def work(tx: WriteTransaction) -> None:
            own_service_to_change(tx, project_id, service_id)
            for entry in entries:
                tx.remove_permission(service_id, entry)

        await self._store.write(work)
        return types[0]

    async def create(
        self,
        project_id: ProjectId,
        service_id: ServiceId,
        entries: Sequence[tuple[str, str]],
        wanted: PermissionType | None = None,
    ) -> Sequence[Permission]:
        """Add entries with descriptions and return them; one that is there already is returned as it is.

        Raises:
            EmptyPermissionList, BatchTooLong, InvalidPermission, InvalidParameter: the request is wrong in itself.
            ServiceNotFound, TooManyPermissions: see contract 6.2.
        """
        _check_batch(len(entries))
        _checked([entry for entry, _ in entries], wanted)
        descriptions = {entry: check_description(text) for entry, text in entries}
        if len(descriptions) < len(entries):
            raise InvalidParameter("permissions must name each entry once")
        return await self._add(project_id, service_id, descriptions)

    async def delete(self, project_id: ProjectId, service_id: ServiceId, ids: Sequence[PermissionId]) -> None:
        """Delete entries by their ids, all of them or none.

        Raises:
            EmptyPermissionList, BatchTooLong: the request is wrong in itself.
            ServiceNotFound: the service is unknown, or of another project.
            PermissionNotFound: the service does not have one of them.
        """
        if not ids:
            raise EmptyPermissionList("permissions must name at least one id")
        _check_batch(len(ids))

        def work(tx: WriteTransaction) -> None:
            own_service_to_change(tx, project_id, service_id)
            there = tx.permissions_by_id(service_id, ids)
            absent = [id_ for id_ in ids if id_ not in there]
            if absent:
                raise PermissionNotFound(f"the service has no permission {absent[0]}: list them to see their ids")
            tx.remove_permissions(service_id, ids)

        await self._store.write(work)

    async def describe(
        self, project_id: ProjectId, service_id: ServiceId, id_: PermissionId, description: str
    ) -> Permission:
        """Change what an entry is for and return it.

        Raises:
            InvalidParameter: the description is not fit.
            ServiceNotFound: the service is unknown, or of another project.
            PermissionNotFound: the service does not have the entry.
        """
        text = check_description(description)

        def work(tx: WriteTransaction) -> Permission:
            own_service_to_change(tx, project_id, service_id)
            permission = tx.permissions_by_id(service_id, [id_]).get(id_)
            if permission is None:
                raise PermissionNotFound(f"the service has no permission {id_}: list them to see their ids")
            tx.put_permission_description(id_, text)
            return replace(permission, description=text)

        return await self._store.write(work)

    async def _add(
        self, project_id: ProjectId, service_id: ServiceId, descriptions: Mapping[str, str]
    ) -> Sequence[Permission]:
        now = self._clock.now()
        wanted = {
            entry: Permission(
                PermissionId(self._ids.new()), service_id, entry, permission_type(entry), description, now
            )
            for entry, description in descriptions.items()
        }

        def work(tx: WriteTransaction) -> Sequence[Permission]:
            own_service_to_change(tx, project_id, service_id)
            present = {permission.permission: permission for permission in tx.all_permissions(service_id)}
            if len(present.keys() | wanted.keys()) > PERMISSION_LIMIT:
                raise TooManyPermissions(f"a service has at most {PERMISSION_LIMIT} permissions: remove some, or use *")
            for entry, permission in wanted.items():
                if entry not in present:
                    tx.add_permission(permission)
            return [present.get(entry, permission) for entry, permission in wanted.items()]

        return await self._store.write(work)


def _check_batch(count: int) -> None:
    if count > PERMISSION_LIMIT:
        raise BatchTooLong(f"permissions has {count} entries: send {PERMISSION_LIMIT} at most")


def _checked(entries: Sequence[str], wanted: PermissionType | None) -> Sequence[PermissionType]:
    if not entries:
        raise EmptyPermissionList("permissions must name at least one entry")
    types = [permission_type(entry) for entry in entries]
    if wanted is not None and any(type_ is not wanted for type_ in types):
        raise InvalidPermission(
            f"an entry does not fit permission_type {wanted}: send each type in a request of its own"
        )
    return types
