"""Change a consumer's endpoints: who may use them, and their policies (contract 3.22, 3.24 to 3.26).

An answer about access comes when the data plane has followed, so that whoever was taken out does not pass from then
on. Policies are kept and shown, not enforced (contract 14, decision 9): no data plane hears of them.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from ipaddress import IPv4Network, collapse_addresses
from typing import NoReturn

from landbridge.control.endpoints import CUT_SECONDS, CutWatch, own_endpoint
from landbridge.control.protocols import Clock, ReadTransaction, Store, WriteTransaction
from landbridge.control.settlements import Settlements, Wakeups
from landbridge.domain.errors import (
    EndpointCreating,
    EndpointDeleting,
    EndpointFailed,
    NoPolicy,
    NotAGatewayEndpoint,
    PolicyNotTaken,
)
from landbridge.domain.ids import EndpointId, ProjectId
from landbridge.domain.lifecycle import EndpointStatus, endpoint_status
from landbridge.domain.policies import check_policy_document
from landbridge.domain.resources import Admission, Endpoint
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

        From the return on nobody passes who was taken out, or the endpoint shows the cut as overdue.

        Raises:
            InvalidWhitelist, TooManyWhitelistEntries: see contract 9.9.
            EndpointNotFound: unknown, or of another project.
            EndpointCreating, EndpointDeleting, EndpointFailed: it cannot be changed in this state.
        """
        networks = None if whitelist is None else check_whitelist(whitelist, self._whitelist_limit)
        now = self._clock.now()

        def work(tx: WriteTransaction) -> tuple[Endpoint, bool]:
            endpoint = own_endpoint(tx, project_id, id_)
            check_may_be_changed(endpoint)
            changed = with_access(endpoint, networks, enable_whitelist, now)
            if changed is not endpoint:
                tx.update_endpoint(changed)
            return changed, changed is not endpoint

        with self._settlements.expect(id_) as waiter:
            endpoint, has_changed = await self._store.write(work)
            if not has_changed or endpoint.admission is not Admission.ACCEPTED:
                return endpoint
            self._wakeups.ring()
            if await waiter.reached(endpoint.generation, CUT_SECONDS):
                return replace(endpoint, cut_requested_at=None)
        if endpoint.cut_requested_at is not None:
            self._watch.cut_overdue(endpoint)
        # The round may have failed, which its row says.
        return await self._store.read(lambda tx: tx.own_endpoint(project_id, id_)) or endpoint

    async def set_policy(self, project_id: ProjectId, id_: EndpointId, document: object) -> Endpoint:
        """Give an endpoint a policy, in place of the one it may have.

        Raises:
            EndpointNotFound: unknown, or of another project.
            PolicyNotTaken: its service takes none; the document has not been looked at then.
            EndpointCreating, EndpointDeleting, EndpointFailed: it cannot be changed in this state.
            InvalidPolicy: the document is no JSON object, too large or too deep.
        """
        await self._store.read(lambda tx: _endpoint_with_policy(tx, project_id, id_))
        policy = check_policy_document(document)
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

    async def change_route_tables(self, project_id: ProjectId, id_: EndpointId) -> NoReturn:
        """Refuse route tables, before any of them is looked up: interface endpoints have none.

        Raises:
            EndpointNotFound: unknown, or of another project.
            NotAGatewayEndpoint: always, as long as all endpoints are interface endpoints.
        """
        await self._store.read(lambda tx: own_endpoint(tx, project_id, id_))
        raise NotAGatewayEndpoint(f"endpoint {id_} is of type interface: only gateway endpoints have route tables")


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


def with_access(
    endpoint: Endpoint, whitelist: tuple[IPv4Network, ...] | None, enable_whitelist: bool | None, now: datetime
) -> Endpoint:
    """Return the endpoint with another whitelist or switch; the same object if nothing is different.

    Where somebody who may use it now may not any more, the data plane is asked for a cut.
    """
    changed = replace(
        endpoint,
        whitelist=endpoint.whitelist if whitelist is None else whitelist,
        enable_whitelist=endpoint.enable_whitelist if enable_whitelist is None else enable_whitelist,
    )
    if changed == endpoint:
        return endpoint
    is_cut = endpoint.admission is Admission.ACCEPTED and _shuts_somebody_out(_allowed(endpoint), _allowed(changed))
    return replace(
        changed,
        generation=endpoint.generation + 1,
        cut_requested_at=endpoint.cut_requested_at or now if is_cut else endpoint.cut_requested_at,
        updated_at=now,
    )


def _allowed(endpoint: Endpoint) -> tuple[IPv4Network, ...] | None:
    """Return who may use an endpoint; None: everybody."""
    return endpoint.whitelist if endpoint.enable_whitelist else None


def _shuts_somebody_out(before: Sequence[IPv4Network] | None, after: Sequence[IPv4Network] | None) -> bool:
    if after is None:
        return False
    if before is None:
        return True
    covered = list(collapse_addresses(after))
    return not all(any(network.subnet_of(other) for other in covered) for network in before)


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
