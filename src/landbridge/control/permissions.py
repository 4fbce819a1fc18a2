"""Let a provider say which domains may connect to a service (contract 3.13 to 3.17).

Every change happens whole or not at all, and the limit of a service's list holds however many changes come at once.
Entries are kept as they were sent. A change concerns later endpoints only, unless the provider has chosen otherwise:
then endpoints of domains that a removal leaves without permission are rejected (`cutting`).
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime

from landbridge.control.endpoint_services import own_service, own_service_to_change
from landbridge.control.endpoints import CUT_SECONDS, CutWatch
from landbridge.control.protocols import Clock, ReadTransaction, Store, WriteTransaction
from landbridge.control.queries import PermissionQuery
from landbridge.control.settlements import Settlements, Wakeups
from landbridge.domain.admission import PERMISSION_LIMIT, may_connect, permission_type
from landbridge.domain.cutting import CutMode
from landbridge.domain.draining import rejected
from landbridge.domain.errors import (
    BatchTooLong,
    EmptyPermissionList,
    InvalidParameter,
    InvalidPermission,
    PermissionNotFound,
    TooManyPermissions,
)
from landbridge.domain.ids import IdSource, PermissionId, ProjectId, ServiceId
from landbridge.domain.resources import Admission, Endpoint, EndpointService, Permission, PermissionType
from landbridge.domain.validation import check_description


class Permissions:
    """The use cases of a service's permission list."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        ids: IdSource,
        wakeups: Wakeups,
        settlements: Settlements,
        watch: CutWatch,
    ) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._wakeups = wakeups
        self._settlements = settlements
        self._watch = watch

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

        Where this rejects endpoints, it waits for the data plane, 1 s at most.

        Raises:
            ServiceNotFound, EmptyPermissionList, InvalidPermission, BatchTooLong: see contract 6.2.
        """
        _check_batch(len(entries))
        types = _checked(entries, wanted)

        def work(tx: WriteTransaction) -> None:
            for entry in entries:
                tx.remove_permission(service_id, entry)

        await self._remove(project_id, service_id, work)
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
        """Delete entries by their ids, all of them or none; see `remove` for what this rejects.

        Raises:
            EmptyPermissionList, BatchTooLong: the request is wrong in itself.
            ServiceNotFound: the service is unknown, or of another project.
            PermissionNotFound: the service does not have one of them.
        """
        if not ids:
            raise EmptyPermissionList("permissions must name at least one id")
        _check_batch(len(ids))

        def work(tx: WriteTransaction) -> None:
            there = tx.permissions_by_id(service_id, ids)
            absent = [id_ for id_ in ids if id_ not in there]
            if absent:
                raise PermissionNotFound(f"the service has no permission {absent[0]}: list them to see their ids")
            tx.remove_permissions(service_id, ids)

        await self._remove(project_id, service_id, work)

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

    async def _remove(
        self, project_id: ProjectId, service_id: ServiceId, take_out: Callable[[WriteTransaction], None]
    ) -> None:
        now = self._clock.now()

        def work(tx: WriteTransaction) -> Sequence[Endpoint]:
            service = own_service_to_change(tx, project_id, service_id)
            before = _entries(tx, service_id)
            take_out(tx)
            return _reject_uncovered(tx, service, before, _entries(tx, service_id), now)

        changed = await self._store.write(work)
        if changed:
            self._wakeups.ring()
            await self._wait_for(changed)

    async def _wait_for(self, changed: Sequence[Endpoint]) -> None:
        with ExitStack() as waiting:
            waiters = {one.id: waiting.enter_context(self._settlements.expect(one.id)) for one in changed}
            # A round may have been faster than we are; then the row says so.
            rows = await self._store.read(lambda tx: tx.endpoints_by_id(list(waiters)))
            due = [one for one in changed if one.id in rows and rows[one.id].cut_requested_at is not None]
            waits = (waiters[one.id].reached(one.generation, CUT_SECONDS) for one in due)
            for endpoint, has_followed in zip(due, await asyncio.gather(*waits), strict=True):
                if not has_followed:
                    self._watch.cut_overdue(endpoint)

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


def _entries(tx: ReadTransaction, service_id: ServiceId) -> Sequence[str]:
    return [permission.permission for permission in tx.all_permissions(service_id)]


def _reject_uncovered(
    tx: WriteTransaction, service: EndpointService, before: Sequence[str], after: Sequence[str], now: datetime
) -> Sequence[Endpoint]:
    """Reject the endpoints of domains that were covered until now, if the provider has chosen so; return those to cut.

    Who was without permission before and let stay, stays.
    """
    cut_off = service.cut_offs.on_permission_removal
    if cut_off.mode is CutMode.KEEP or set(before) <= set(after):
        return ()
    to_cut: list[Endpoint] = []
    for endpoint in tx.endpoints_of_services([service.id]):
        domain_id = endpoint.domain_id
        is_left_out = may_connect(service, before, domain_id) and not may_connect(service, after, domain_id)
        if not is_left_out or endpoint.admission is Admission.REJECTED or endpoint.delete_requested_at is not None:
            continue
        after_it = rejected(endpoint, cut_off, now)
        tx.update_endpoint(after_it)
        if after_it.cut_requested_at is not None:
            to_cut.append(after_it)
    return to_cut


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
