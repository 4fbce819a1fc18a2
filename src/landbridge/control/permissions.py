"""Let a provider say which domains may connect to a service (contract 3.13, 3.14)."""

from collections.abc import Sequence

from landbridge.control.endpoint_services import own_service
from landbridge.control.protocols import Clock, ReadTransaction, Store, WriteTransaction
from landbridge.control.queries import PermissionQuery
from landbridge.domain.admission import PERMISSION_LIMIT, permission_type
from landbridge.domain.errors import EmptyPermissionList, TooManyPermissions
from landbridge.domain.ids import IdSource, PermissionId, ProjectId, ServiceId
from landbridge.domain.resources import Permission, PermissionType


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

    async def add(self, project_id: ProjectId, service_id: ServiceId, entries: Sequence[str]) -> PermissionType:
        """Add entries; one that is there already stays as it is. Returns what the first entry names.

        Raises:
            ServiceNotFound, EmptyPermissionList, InvalidPermission, TooManyPermissions: see contract 6.2.
        """
        types = _checked(entries)
        now = self._clock.now()
        new = [
            Permission(PermissionId(self._ids.new()), service_id, entry, type_, "", now)
            for entry, type_ in zip(entries, types, strict=True)
        ]

        def work(tx: WriteTransaction) -> None:
            own_service(tx, project_id, service_id)
            present = {permission.permission for permission in tx.all_permissions(service_id)}
            if len(present | set(entries)) > PERMISSION_LIMIT:
                raise TooManyPermissions(f"a service has at most {PERMISSION_LIMIT} permissions: remove some, or use *")
            for permission in new:
                tx.add_permission(permission)

        await self._store.write(work)
        return types[0]

    async def remove(self, project_id: ProjectId, service_id: ServiceId, entries: Sequence[str]) -> PermissionType:
        """Remove entries; an absent one is no error, and nobody who is connected is cut.

        Raises:
            ServiceNotFound, EmptyPermissionList, InvalidPermission: see contract 6.2.
        """
        types = _checked(entries)

        def work(tx: WriteTransaction) -> None:
            own_service(tx, project_id, service_id)
            for entry in entries:
                tx.remove_permission(service_id, entry)

        await self._store.write(work)
        return types[0]


def _checked(entries: Sequence[str]) -> Sequence[PermissionType]:
    if not entries:
        raise EmptyPermissionList("permissions must name at least one entry")
    if len(entries) > PERMISSION_LIMIT:
        raise TooManyPermissions(f"at most {PERMISSION_LIMIT} permissions are allowed: use * for everybody")
    return [permission_type(entry) for entry in entries]
