"""Let a provider choose how the connections of a service end, and show which of them are ending (an extension).

A choice concerns what happens from then on. What is ending already keeps the deadline that it was given.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from landbridge.control.endpoint_services import own_service, own_service_to_change
from landbridge.control.protocols import ReadTransaction, Store, WriteTransaction
from landbridge.domain.cutting import CutOff, CutOffs, Grace, Occasion
from landbridge.domain.ids import EndpointId, ProjectId, ServiceId
from landbridge.domain.resources import Endpoint

SHOWN_LIMIT = 500
"""Endpoints whose ending connections are listed, the oldest ones."""


class Ending(StrEnum):
    """Whose connections of an endpoint are ending."""

    ALL = "all"
    """It is rejected, or being deleted."""
    REMOVED_CLIENTS = "removed-clients"
    """They were taken out of its whitelist. Which ones is the consumer's business."""


@dataclass(frozen=True, slots=True)
class EndingConnections:
    """Connections of an endpoint that go on although nothing new may be opened."""

    endpoint_id: EndpointId
    marker: int
    ending: Ending
    since_at: datetime
    until_at: datetime | None
    """When they are cut; None: they end by themselves."""


@dataclass(frozen=True, slots=True)
class CutOffView:
    """What is chosen for a service, and what is ending."""

    service_id: ServiceId
    chosen: CutOffs
    connections: tuple[EndingConnections, ...]
    """Of the `SHOWN_LIMIT` oldest endpoints."""
    endpoint_count: int
    """Of how many endpoints connections are ending."""


class CutOffChoices:
    """The use cases of how connections end."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def show(self, project_id: ProjectId, service_id: ServiceId) -> CutOffView:
        """Return what is chosen for a service, and what is ending now.

        Raises:
            ServiceNotFound: the service is unknown, or of another project.
        """

        def look(tx: ReadTransaction) -> CutOffView:
            service = own_service(tx, project_id, service_id)
            return _view(tx, service_id, service.cut_offs)

        return await self._store.read(look)

    async def choose(
        self, project_id: ProjectId, service_id: ServiceId, choices: Mapping[Occasion, CutOff]
    ) -> CutOffView:
        """Change what is chosen on some occasions; the others stay as they are.

        Raises:
            ServiceNotFound: the service is unknown, or of another project.
            Forbidden: it is a public service.
        """

        def work(tx: WriteTransaction) -> CutOffView:
            service = own_service_to_change(tx, project_id, service_id)
            changes = {occasion.value: cut_off for occasion, cut_off in choices.items()}
            chosen = replace(service.cut_offs, **changes)
            if chosen != service.cut_offs:
                tx.amend_service(replace(service, cut_offs=chosen))
            return _view(tx, service_id, chosen)

        return await self._store.write(work)


def _view(tx: ReadTransaction, service_id: ServiceId, chosen: CutOffs) -> CutOffView:
    endpoints, count = tx.ending_endpoints(service_id, SHOWN_LIMIT)
    return CutOffView(service_id, chosen, tuple(one for endpoint in endpoints for one in _endings(endpoint)), count)


def _endings(endpoint: Endpoint) -> Sequence[EndingConnections]:
    graces: list[tuple[Ending, Grace]] = [(Ending.REMOVED_CLIENTS, one.grace) for one in endpoint.former_clients]
    if endpoint.grace is not None:
        graces.append((Ending.ALL, endpoint.grace))
    return [
        EndingConnections(endpoint.id, endpoint.marker, ending, grace.since_at, grace.until_at)
        for ending, grace in graces
    ]
