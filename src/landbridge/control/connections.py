"""Let a provider list, accept, reject and describe the connections of its services (contract 3.10 to 3.12)."""

from collections.abc import Sequence
from dataclasses import replace

from landbridge.control.endpoint_services import own_service
from landbridge.control.endpoints import CUT_SECONDS, CutWatch, cut_offs_of
from landbridge.control.protocols import Clock, ReadTransaction, Store, WriteTransaction
from landbridge.control.queries import ConnectionQuery
from landbridge.control.settlements import Settlements, Wakeups
from landbridge.domain.draining import accepted, rejected
from landbridge.domain.errors import (
    BatchTooLong,
    EndpointDeleting,
    EndpointNotFound,
    InvalidParameter,
    OtherServicesEndpoint,
)
from landbridge.domain.ids import EndpointId, ProjectId, ServiceId
from landbridge.domain.resources import Endpoint
from landbridge.domain.validation import check_description

DESCRIPTIONS_LIMIT = 500
"""Connections that are described in one request; the contract names no number."""


class Connections:
    """The use cases of a provider's connections."""

    def __init__(self, store: Store, clock: Clock, wakeups: Wakeups, settlements: Settlements, watch: CutWatch) -> None:
        self._store = store
        self._clock = clock
        self._wakeups = wakeups
        self._settlements = settlements
        self._watch = watch

    async def list(self, project_id: ProjectId, query: ConnectionQuery) -> tuple[Sequence[Endpoint], int]:
        """Return one page of a service's connections and the number of all matches.

        Raises:
            ServiceNotFound: the service is unknown, or of another project.
        """

        def look(tx: ReadTransaction) -> tuple[Sequence[Endpoint], int]:
            own_service(tx, project_id, query.service_id)
            return tx.connections(query)

        return await self._store.read(look)

    async def accept(self, project_id: ProjectId, service_id: ServiceId, id_: EndpointId) -> Endpoint:
        """Accept an endpoint; on an accepted one this has no effect (contract 14, decision 3).

        Raises:
            ServiceNotFound, EndpointNotFound, OtherServicesEndpoint, EndpointDeleting: see contract 6.2.
        """
        now = self._clock.now()

        def work(tx: WriteTransaction) -> Endpoint:
            endpoint = _connection(tx, project_id, service_id, id_)
            after = accepted(endpoint, now)
            if after is not endpoint:
                tx.update_endpoint(after)
            return after

        endpoint = await self._store.write(work)
        self._wakeups.ring()
        return endpoint

    async def reject(self, project_id: ProjectId, service_id: ServiceId, id_: EndpointId) -> Endpoint:
        """Reject an endpoint and wait for the data plane, 1 s at most.

        From the return on nothing new is opened, and no byte passes unless the provider lets open connections go on;
        or the connection shows the cut as overdue.

        Raises:
            ServiceNotFound, EndpointNotFound, OtherServicesEndpoint, EndpointDeleting: see contract 6.2.
        """
        now = self._clock.now()

        def work(tx: WriteTransaction) -> Endpoint:
            endpoint = _connection(tx, project_id, service_id, id_)
            after = rejected(endpoint, cut_offs_of(tx, endpoint).on_reject, now)
            if after is not endpoint:
                tx.update_endpoint(after)
            return after

        with self._settlements.expect(id_) as waiter:
            endpoint = await self._store.write(work)
            if endpoint.cut_requested_at is None:
                return endpoint
            self._wakeups.ring()
            if await waiter.reached(endpoint.generation, CUT_SECONDS):
                return replace(endpoint, cut_requested_at=None)
            self._watch.cut_overdue(endpoint)
            return endpoint

    async def describe(
        self, project_id: ProjectId, service_id: ServiceId, descriptions: Sequence[tuple[EndpointId, str]]
    ) -> Sequence[Endpoint]:
        """Give connections the provider's own text, all of them or none, and return them in the order given.

        Consumers do not see it: not even their endpoints' time of change moves.

        Raises:
            InvalidParameter: no connection is named, one is named twice, or a description is not fit.
            BatchTooLong: more than 500 connections are named.
            ServiceNotFound, EndpointNotFound, OtherServicesEndpoint, EndpointDeleting: see contract 6.2.
        """
        if not descriptions:
            raise InvalidParameter("connections must name at least one connection")
        if len(descriptions) > DESCRIPTIONS_LIMIT:
            raise BatchTooLong(f"connections names {len(descriptions)} of them: send {DESCRIPTIONS_LIMIT} at most")
        checked = {id_: check_description(text) for id_, text in descriptions}
        if len(checked) < len(descriptions):
            raise InvalidParameter("connections must name each connection once")

        def work(tx: WriteTransaction) -> Sequence[Endpoint]:
            described: list[Endpoint] = []
            for id_, text in checked.items():
                endpoint = _connection(tx, project_id, service_id, id_)
                tx.put_connection_description(id_, text)
                described.append(replace(endpoint, connection_description=text))
            return described

        return await self._store.write(work)


def _connection(tx: ReadTransaction, project_id: ProjectId, service_id: ServiceId, id_: EndpointId) -> Endpoint:
    own_service(tx, project_id, service_id)
    endpoint = tx.connection(project_id, id_)
    if endpoint is None:
        raise EndpointNotFound(f"endpoint {id_} does not exist")
    if endpoint.service_id != service_id:
        raise OtherServicesEndpoint(f"endpoint {id_} is not connected to endpoint service {service_id}")
    if endpoint.delete_requested_at is not None:
        raise EndpointDeleting(f"endpoint {id_} is being deleted")
    return endpoint
