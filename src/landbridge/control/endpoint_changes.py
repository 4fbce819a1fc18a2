"""Change a consumer's endpoints: who may use them, and their policies (contract 3.22, 3.24 to 3.26).

An answer about access comes when the data plane has followed, so that whoever was taken out does not pass from then
on. Policies are kept and shown, not enforced (contract 14, decision 9): no data plane hears of them.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from landbridge.control.endpoints import CUT_SECONDS, CutWatch, checked_policy, cut_offs_of, own_endpoint
from landbridge.control.gateways import bound_tables
from landbridge.control.protocols import Clock, ReadTransaction, Store, WriteTransaction
from landbridge.control.settlements import Settlements, Wakeups
from landbridge.domain.draining import is_carried, with_whitelist
from landbridge.domain.errors import (
    EndpointCreating,
    EndpointDeleting,
    EndpointFailed,
    NoPolicy,
    NoRouteTable,
    NotAGatewayEndpoint,
    PolicyNotTaken,
    RouteTableNotFound,
    WhitelistNotTaken,
)
from landbridge.domain.ids import EndpointId, ProjectId, RouteTableId
from landbridge.domain.lifecycle import EndpointStatus, endpoint_status
from landbridge.domain.policies import check_policy_document
from landbridge.domain.resources import Endpoint, ServiceType
from landbridge.domain.validation import WHITELIST_LIMIT, check_whitelist


class EndpointChanges:
    """The use cases that change an endpoint which is there."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        wakeups: Wakeups,
        settlements: Settlements,
        watch: CutWatch,
        whitelist_limit: int = WHITELIST_LIMIT,
    ) -> None:
        self._store = store
        self._clock = clock
        self._wakeups = wakeups
        self._settlements = settlements
        self._watch = watch
        self._whitelist_limit = whitelist_limit

    async def change_access(
        self, project_id: ProjectId, id_: EndpointId, whitelist: Sequence[str] | None, enable_whitelist: bool | None
    ) -> Endpoint:
        """Replace the whitelist, or switch it, and wait for the data plane, 1 s at most; None leaves a part as it is.

        From the return on whoever was taken out opens nothing new, and keeps what is open only if the provider lets it
        go on; or the endpoint shows the cut as overdue.

        Raises:
            InvalidWhitelist, TooManyWhitelistEntries: see contract 9.9.
            WhitelistNotTaken: it is a gateway endpoint, and something was to be different.
            EndpointNotFound: unknown, or of another project.
            EndpointCreating, EndpointDeleting, EndpointFailed: it cannot be changed in this state.
        """
        networks = None if whitelist is None else check_whitelist(whitelist, self._whitelist_limit)
        now = self._clock.now()

        def work(tx: WriteTransaction) -> tuple[Endpoint, bool]:
            endpoint = own_endpoint(tx, project_id, id_)
            check_may_be_changed(endpoint)
            cut_off = cut_offs_of(tx, endpoint).on_whitelist_edit
            changed = with_whitelist(endpoint, networks, enable_whitelist, cut_off, now)
            if changed is not endpoint and endpoint.service_type is ServiceType.GATEWAY:
                raise WhitelistNotTaken("a gateway endpoint has no whitelist: choose its route tables instead")
            if changed is not endpoint:
                tx.update_endpoint(changed)
            return changed, changed is not endpoint

        with self._settlements.expect(id_) as waiter:
            endpoint, has_changed = await self._store.write(work)
            if not has_changed or not is_carried(endpoint, now):
                return endpoint
            self._wakeups.ring()
            if await waiter.reached(endpoint.generation, CUT_SECONDS):
                return replace(endpoint, cut_requested_at=None)
        if endpoint.cut_requested_at is not None:
            self._watch.cut_overdue(endpoint)
        # The round may have failed, which its row says.
        return await self._store.read(lambda tx: tx.own_endpoint(project_id, id_)) or endpoint

    async def set_policy(
        self, project_id: ProjectId, id_: EndpointId, document: object, statement: object = None
    ) -> Endpoint:
        """Give an endpoint a policy, in place of the one it may have; `statement` is for a gateway endpoint.

        Raises:
            EndpointNotFound: unknown, or of another project.
            PolicyNotTaken: its service takes none; the document has not been looked at then.
            EndpointCreating, EndpointDeleting, EndpointFailed: it cannot be changed in this state.
            InvalidPolicy: it is neither an object nor a list of statements, too large or too deep.
        """
        endpoint = await self._store.read(lambda tx: _endpoint_with_policy(tx, project_id, id_))
        is_gateway = endpoint.service_type is ServiceType.GATEWAY
        policy = checked_policy(document, statement, is_gateway=is_gateway) or check_policy_document(document)
        now = self._clock.now()

        def work(tx: WriteTransaction) -> Endpoint:
            return _put_policy(tx, _endpoint_with_policy(tx, project_id, id_), policy, now)

        return await self._store.write(work)

    async def remove_policy(self, project_id: ProjectId, id_: EndpointId) -> Endpoint:
        """Take an endpoint's policy away: full access, the default.

        Raises:
            EndpointNotFound: unknown, or of another project.
            NoPolicy: it has none; so have all whose services take none.
            EndpointCreating, EndpointDeleting, EndpointFailed: it cannot be changed in this state.
        """
        now = self._clock.now()

        def work(tx: WriteTransaction) -> Endpoint:
            endpoint = own_endpoint(tx, project_id, id_)
            if endpoint.policy_document is None:
                raise NoPolicy(f"endpoint {id_} has no policy that could be removed")
            check_may_be_changed(endpoint)
            return _put_policy(tx, endpoint, None, now)

        return await self._store.write(work)

    async def check_has_route_tables(self, project_id: ProjectId, id_: EndpointId) -> None:
        """Refuse an interface endpoint, before anything that was sent about route tables is looked at.

        Raises:
            EndpointNotFound: unknown, or of another project.
            NotAGatewayEndpoint: it is an interface endpoint.
        """
        await self._store.read(lambda tx: _own_gateway(tx, project_id, id_))

    async def change_route_tables(
        self, project_id: ProjectId, id_: EndpointId, wanted: Sequence[RouteTableId]
    ) -> Endpoint:
        """Bind a gateway endpoint to these route tables and no others, and wait for the data plane, 1 s at most.

        From the return on nobody passes whose route table it has lost, or the endpoint shows the cut as overdue.

        Raises:
            EndpointNotFound: unknown, or of another project.
            NotAGatewayEndpoint: it is an interface endpoint.
            EndpointCreating, EndpointDeleting, EndpointFailed: it cannot be changed in this state.
            NoRouteTable: none is wanted; an endpoint keeps at least one.
            RouteTableNotFound, RouteTableTaken, RoutesNotAdded, NetworksInVpc: it cannot be bound to one of them.
        """
        now = self._clock.now()

        def work(tx: WriteTransaction) -> tuple[Endpoint, bool]:
            endpoint = _own_gateway(tx, project_id, id_)
            check_may_be_changed(endpoint)
            changed = with_route_tables(endpoint, _tables_for(tx, endpoint, wanted), now)
            if changed is not endpoint:
                tx.update_endpoint(changed)
            return changed, changed is not endpoint

        with self._settlements.expect(id_) as waiter:
            endpoint, has_changed = await self._store.write(work)
            if not has_changed or not is_carried(endpoint, now):
                return endpoint
            self._wakeups.ring()
            if await waiter.reached(endpoint.generation, CUT_SECONDS):
                return replace(endpoint, cut_requested_at=None)
        if endpoint.cut_requested_at is not None:
            self._watch.cut_overdue(endpoint)
        return endpoint


def check_may_be_changed(endpoint: Endpoint) -> None:
    """Refuse to change what is not there yet, not there for long, or broken (contract 6.3).

    Raises:
        EndpointCreating, EndpointDeleting, EndpointFailed: it is.
    """
    match endpoint_status(endpoint):
        case EndpointStatus.CREATING:
            raise EndpointCreating(f"endpoint {endpoint.id} is being created: try again when it is accepted")
        case EndpointStatus.DELETING:
            raise EndpointDeleting(f"endpoint {endpoint.id} is being deleted")
        case EndpointStatus.FAILED:
            raise EndpointFailed(f"endpoint {endpoint.id} has failed: delete it and create another one")
        case EndpointStatus.ACCEPTED | EndpointStatus.PENDING_ACCEPTANCE | EndpointStatus.REJECTED:
            return


def with_route_tables(endpoint: Endpoint, tables: tuple[RouteTableId, ...], now: datetime) -> Endpoint:
    """Return a gateway endpoint with other route tables; the same object if nothing is different.

    Where a table is lost, the data plane is asked for a cut.
    """
    if tables == endpoint.route_table_ids:
        return endpoint
    is_cut = is_carried(endpoint, now) and not set(endpoint.route_table_ids) <= set(tables)
    return replace(
        endpoint,
        route_table_ids=tables,
        generation=endpoint.generation + 1,
        cut_requested_at=endpoint.cut_requested_at or now if is_cut else endpoint.cut_requested_at,
        updated_at=now,
    )


def _own_gateway(tx: ReadTransaction, project_id: ProjectId, id_: EndpointId) -> Endpoint:
    endpoint = own_endpoint(tx, project_id, id_)
    if endpoint.service_type is not ServiceType.GATEWAY:
        raise NotAGatewayEndpoint(f"endpoint {id_} is of type interface: only gateway endpoints have route tables")
    return endpoint


def _tables_for(tx: ReadTransaction, endpoint: Endpoint, wanted: Sequence[RouteTableId]) -> tuple[RouteTableId, ...]:
    if not wanted:
        raise NoRouteTable("routetables must name at least one route table: to have none, delete the endpoint")
    vpc, service = tx.vpc(endpoint.vpc_id), tx.service(endpoint.service_id)
    if vpc is None or service is None:
        raise RouteTableNotFound(f"VPC {endpoint.vpc_id} or the endpoint's service is gone: delete the endpoint")
    return bound_tables(tx, vpc, service, wanted, endpoint.id)


def _endpoint_with_policy(tx: ReadTransaction, project_id: ProjectId, id_: EndpointId) -> Endpoint:
    """Return an endpoint that may be given a policy."""
    endpoint = own_endpoint(tx, project_id, id_)
    service = tx.service(endpoint.service_id)
    if service is None or not service.enable_policy:
        raise PolicyNotTaken(f"endpoint service {endpoint.service_id} takes no endpoint policies: leave it out")
    check_may_be_changed(endpoint)
    return endpoint


def _put_policy(tx: WriteTransaction, endpoint: Endpoint, policy: str | None, now: datetime) -> Endpoint:
    if policy == endpoint.policy_document:
        return endpoint
    tx.put_policy(endpoint.id, policy, now)
    return replace(endpoint, policy_document=policy, updated_at=now)
