"""Let a project tag its services and endpoints, and find them by their tags (contract 3.28 to 3.30).

Tags are labels beside a resource: a change wakes no data plane and leaves `updated_at` as it is, which providers see
of endpoints that are not theirs. Resources that are being deleted are not there.
"""

from collections.abc import Mapping, Sequence

from landbridge.control.endpoint_services import own_service_to_change
from landbridge.control.endpoints import own_endpoint
from landbridge.control.protocols import ReadTransaction, Store, WriteTransaction
from landbridge.domain.errors import EndpointNotFound, ServiceNotFound
from landbridge.domain.ids import EndpointId, ProjectId, ServiceId
from landbridge.domain.resources import Tag
from landbridge.domain.tagging import (
    ResourceType,
    TagFilter,
    TaggedResource,
    TagRemoval,
    find,
    values_by_key,
    with_tags,
    without_tags,
)
from landbridge.domain.validation import TagRules


class Tagging:
    """The use cases of tags."""

    def __init__(self, store: Store, rules: TagRules) -> None:
        self._store = store
        self.rules = rules

    async def gather(self, project_id: ProjectId, kind: ResourceType) -> Mapping[str, Sequence[str]]:
        """Return each key that the project's services or endpoints carry, with its distinct values."""
        # Inside the look, and so in a thread of the store's: ten thousand resources take their time.
        return await self._store.read(lambda tx: values_by_key(tx.tagged_resources(project_id, kind)))

    async def find(self, project_id: ProjectId, kind: ResourceType, wanted: TagFilter) -> Sequence[TaggedResource]:
        """Return all services or endpoints of the project that the filter wants, the newest first."""
        return await self._store.read(lambda tx: find(tx.tagged_resources(project_id, kind), wanted))

    async def add(self, project_id: ProjectId, kind: ResourceType, id_: str, tags: Sequence[Tag]) -> None:
        """Add tags to a resource, or give those whose keys it has new values.

        Raises:
            ServiceNotFound, EndpointNotFound: unknown, of another project, or being deleted.
            Forbidden: a public service, which is the operator's.
            UserError: a rule of contract 4.2 is broken; nothing has changed then.
        """
        with_tags((), tags, self.rules)

        def work(tx: WriteTransaction) -> None:
            present = _tags_of(tx, project_id, kind, id_)
            _put(tx, kind, id_, present, with_tags(present, tags, self.rules))

        await self._store.write(work)

    async def remove(self, project_id: ProjectId, kind: ResourceType, id_: str, removals: Sequence[TagRemoval]) -> None:
        """Take tags away from a resource; one that is not there is no error.

        Raises:
            ServiceNotFound, EndpointNotFound: unknown, of another project, or being deleted.
            Forbidden: a public service, which is the operator's.
            EmptyTag, DuplicateTag: a key is blank, or named twice.
        """
        without_tags((), removals)

        def work(tx: WriteTransaction) -> None:
            present = _tags_of(tx, project_id, kind, id_)
            _put(tx, kind, id_, present, without_tags(present, removals))

        await self._store.write(work)


def _tags_of(tx: ReadTransaction, project_id: ProjectId, kind: ResourceType, id_: str) -> Sequence[Tag]:
    if kind is ResourceType.ENDPOINT_SERVICE:
        service = own_service_to_change(tx, project_id, ServiceId(id_))
        if service.delete_requested_at is not None:
            raise ServiceNotFound(f"endpoint service {id_} is being deleted")
        return service.tags
    endpoint = own_endpoint(tx, project_id, EndpointId(id_))
    if endpoint.delete_requested_at is not None:
        raise EndpointNotFound(f"endpoint {id_} is being deleted")
    return endpoint.tags


def _put(tx: WriteTransaction, kind: ResourceType, id_: str, before: Sequence[Tag], after: Sequence[Tag]) -> None:
    if tuple(after) != tuple(before):
        tx.put_tags(kind, id_, after)
