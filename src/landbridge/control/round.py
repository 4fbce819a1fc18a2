"""Do one round: compile, observe, diff, apply, and say what came of it.

A round reads the rows it is about, asks the driver, and returns outcomes; writing them back is guarded by the
generation that was compiled, so a row that moved on meanwhile is left to the next round. No transaction is open while
the data plane works.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from landbridge.control.gateways import entries_of
from landbridge.control.protocols import ReadTransaction, WriteTransaction
from landbridge.dataplane.bridging import NO_BRIDGES, Bridged
from landbridge.dataplane.compile import USUAL_TERMS, Compiled, Terms, attachment_of, compile_endpoint, compile_service
from landbridge.dataplane.driver import Capabilities, DriverError, Retry
from landbridge.dataplane.model import Attachment, Wired, WiredId
from landbridge.domain.draining import after_the_cut, is_cut_due
from landbridge.domain.errors import DataPlaneFailure
from landbridge.domain.ids import EndpointId, PoolId, ServiceId, SubnetId
from landbridge.domain.resources import Backend, Endpoint, EndpointService, Failure, WayOut


@dataclass(frozen=True, slots=True)
class Scope:
    """The rows that one round is about, and the facts that compiling them needs."""

    revision: int
    services: Mapping[ServiceId, EndpointService]
    endpoints: Mapping[EndpointId, Endpoint]
    providers: Mapping[ServiceId, EndpointService]
    """The services of `endpoints`, whether or not they are in the round."""
    attachments: Mapping[SubnetId, Attachment]
    entries: Mapping[EndpointId, Sequence[SubnetId]] = field(default_factory=dict[EndpointId, Sequence[SubnetId]])
    """The subnets from which each gateway endpoint is reached."""
    terms: Terms = USUAL_TERMS
    next_cut_at: datetime | None = None
    """The next deadline after `terms.now`, of any endpoint."""
    that_left_targets: Collection[ServiceId] = ()
    """Services that have left places which the data plane may still lead to."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a round reached for one row."""

    row: EndpointService | Endpoint
    failure: Failure | None = None
    is_unwired: bool = False
    """Nothing of it is wired: a cut that was asked for has happened, whatever else is wrong with the row."""
    retry: bool = False
    """Trying again by itself makes sense."""
    lets_go: bool = False
    """Of a service: nothing leads any more to places that it has left, and their transit addresses may be freed."""
    is_held: bool = False
    """Of a service: one of its endpoints stands as it was, so what the service had must stay its own."""


def read_scope(
    tx: ReadTransaction,
    pool_id: PoolId,
    revision: int,
    retry_ids: Collection[WiredId],
    everything: bool = False,
    bridged: Bridged = NO_BRIDGES,
    terms: Terms = USUAL_TERMS,
    backing_off: Collection[WiredId] = (),
) -> Scope:
    """Read what changed in a pool after `revision`, the rows that are due for another try, and those due to be cut.

    The endpoints of a changed service come along: its ports and its life are theirs too. `bridged` are the subnets
    that existing bridges carry, `backing_off` what is left alone although its deadline has passed.
    """
    changes = tx.changes_since(0 if everything else revision, pool_id)
    services = {service.id: service for service in changes.services}
    endpoints = {endpoint.id: endpoint for endpoint in changes.endpoints}
    if retry_ids:
        services |= tx.services_by_id([ServiceId(id_) for id_ in retry_ids])
        endpoints |= tx.endpoints_by_id([EndpointId(id_) for id_ in retry_ids])
    endpoints |= {due.id: due for due in tx.endpoints_due(terms.now, pool_id) if due.id not in backing_off}
    if not everything and services:
        endpoints |= {endpoint.id: endpoint for endpoint in tx.endpoints_of_services(list(services))}
    missing = {endpoint.service_id for endpoint in endpoints.values()} - services.keys()
    providers = services | (dict(tx.services_by_id(list(missing))) if missing else {})
    subnet_ids = {place.subnet_id for service in providers.values() for place in _places(service)}
    subnet_ids |= {endpoint.subnet_id for endpoint in endpoints.values() if endpoint.subnet_id is not None}
    entries = entries_of(tx, endpoints.values())
    subnet_ids.update(*entries.values())
    subnets = (tx.subnet(id_) for id_ in subnet_ids)
    attachments = {subnet.id: attachment_of(subnet, bridged) for subnet in subnets if subnet is not None}
    return Scope(
        changes.revision,
        services,
        endpoints,
        providers,
        attachments,
        entries,
        terms,
        tx.next_cut_after(terms.now, pool_id),
        tx.services_that_left_targets(pool_id),
    )


def _places(service: EndpointService) -> Iterable[Backend | WayOut]:
    return service.backend, *service.former_backends


def compile_scope(scope: Scope, capabilities: Capabilities) -> dict[WiredId, Compiled]:
    """Compile every row of a round."""
    compiled: dict[WiredId, Compiled] = {
        id_: compile_service(service, scope.attachments, capabilities) for id_, service in scope.services.items()
    }
    for id_, endpoint in scope.endpoints.items():
        provider = scope.providers.get(endpoint.service_id)
        entries = scope.entries.get(id_, ())
        compiled[id_] = compile_endpoint(endpoint, provider, scope.attachments, capabilities, entries, scope.terms)
    return compiled


def wanted(compiled: Mapping[WiredId, Compiled]) -> dict[WiredId, Wired | None]:
    """Return what should be wired, without the reasons."""
    return {id_: result.wired for id_, result in compiled.items()}


def outcomes(
    scope: Scope, compiled: Mapping[WiredId, Compiled], errors: Mapping[WiredId, DriverError]
) -> Sequence[Outcome]:
    """Say what a round reached for each of its rows, after the driver has taken the plan."""
    rows: list[EndpointService | Endpoint] = [*scope.services.values(), *scope.endpoints.values()]
    results: list[Outcome] = []
    for row in rows:
        error = errors.get(row.id)
        if error is not None:
            failure = Failure(DataPlaneFailure.slug, error.message)
            must_go = compiled[row.id].wired is None or (isinstance(row, Endpoint) and is_cut_due(row, scope.terms.now))
            results.append(Outcome(row, failure, retry=must_go or error.retry is Retry.SOON))
        else:
            result = compiled[row.id]
            results.append(Outcome(row, result.failure, is_unwired=result.wired is None))
    behind: dict[ServiceId, list[Outcome]] = {}
    for outcome in results:
        if isinstance(outcome.row, Endpoint) and _is_behind(outcome):
            behind.setdefault(outcome.row.service_id, []).append(outcome)
    return [_with_endpoints(outcome, scope, behind) for outcome in results]


def _with_endpoints(outcome: Outcome, scope: Scope, behind: Mapping[ServiceId, Sequence[Outcome]]) -> Outcome:
    """Return the outcome of a service with what depends on its endpoints: they lead where it listened until now."""
    row = outcome.row
    if isinstance(row, Endpoint):
        return outcome
    has_left = row.id in scope.that_left_targets
    if row.id not in behind or not (has_left or row.delete_requested_at):
        return replace(outcome, lets_go=has_left and not _is_behind(outcome))
    return replace(outcome, is_held=True, retry=outcome.retry or any(other.retry for other in behind[row.id]))


def settled(results: Collection[Outcome]) -> Sequence[EndpointService | Endpoint]:
    """Return the rows of a round of which nothing is carried any more that is not wanted.

    A service's change is one of all its endpoints: while one of them stands as it was, the service is not there yet.
    """
    behind = {
        outcome.row.service_id for outcome in results if isinstance(outcome.row, Endpoint) and _is_behind(outcome)
    }
    return [outcome.row for outcome in results if not _is_behind(outcome) and outcome.row.id not in behind]


def _is_behind(outcome: Outcome) -> bool:
    return outcome.failure is not None and not outcome.is_unwired


def needs_writing(outcome: Outcome, now: datetime) -> bool:
    """Say whether the row's facts change by this outcome; most rows of a sweep need no write."""
    row = outcome.row
    if isinstance(row, Endpoint):
        return _endpoint_needs_writing(row, outcome, now)
    if row.delete_requested_at is not None:
        return outcome.failure is None and not outcome.is_held
    return outcome.lets_go or _differs(outcome)


def _endpoint_needs_writing(endpoint: Endpoint, outcome: Outcome, now: datetime) -> bool:
    is_confirmed = outcome.is_unwired or outcome.failure is None
    if is_confirmed and after_the_cut(endpoint, now, is_unwired=outcome.is_unwired) != endpoint:
        return True
    if endpoint.delete_requested_at is not None:
        return outcome.is_unwired or (outcome.failure is None and _differs(outcome))
    if endpoint.cut_requested_at is not None or is_cut_due(endpoint, now):
        # A cut that failed stays requested: what is shown is "overdue", never "failed".
        return is_confirmed
    return _differs(outcome)


def _differs(outcome: Outcome) -> bool:
    row = outcome.row
    if outcome.failure is not None:
        return row.last_error != outcome.failure
    return row.observed_generation != row.generation or row.last_error is not None


def write_outcome(tx: WriteTransaction, outcome: Outcome, now: datetime) -> None:
    """Write one outcome back, unless the row has moved on. What is deleted and let go is forgotten."""
    row = outcome.row
    if isinstance(row, Endpoint):
        _write_endpoint(tx, row, outcome, now)
    elif row.delete_requested_at is not None:
        tx.remove_service(row.id)
    else:
        tx.record_service_outcome(row.id, row.generation, outcome.failure)
        if outcome.lets_go:
            tx.release_left_targets(row)


def _write_endpoint(tx: WriteTransaction, endpoint: Endpoint, outcome: Outcome, now: datetime) -> None:
    if endpoint.delete_requested_at is not None and outcome.is_unwired:
        tx.remove_endpoint(endpoint.id)
        return
    if outcome.failure is None or outcome.is_unwired:
        remaining = after_the_cut(endpoint, now, is_unwired=outcome.is_unwired)
        if remaining != endpoint:
            tx.record_graces(remaining)
    tx.record_endpoint_outcome(endpoint.id, endpoint.generation, outcome.failure, is_unwired=outcome.is_unwired)
