"""Do one round: compile, observe, diff, apply, and say what came of it.

A round reads the rows it is about, asks the driver, and returns outcomes; writing them back is guarded by the
generation that was compiled, so a row that moved on meanwhile is left to the next round. No transaction is open while
the data plane works.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from landbridge.control.protocols import ReadTransaction, WriteTransaction
from landbridge.dataplane.compile import Compiled, attachment_of, compile_endpoint, compile_service
from landbridge.dataplane.driver import Capabilities, DriverError, Retry
from landbridge.dataplane.model import Attachment, Wired, WiredId
from landbridge.domain.errors import DataPlaneFailure
from landbridge.domain.ids import EndpointId, ServiceId, SubnetId
from landbridge.domain.resources import Endpoint, EndpointService, Failure


@dataclass(frozen=True, slots=True)
class Scope:
    """The rows that one round is about, and the facts that compiling them needs."""

    revision: int
    services: Mapping[ServiceId, EndpointService]
    endpoints: Mapping[EndpointId, Endpoint]
    providers: Mapping[ServiceId, EndpointService]
    """The services of `endpoints`, whether or not they are in the round."""
    attachments: Mapping[SubnetId, Attachment]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a round reached for one row."""

    row: EndpointService | Endpoint
    failure: Failure | None = None
    is_unwired: bool = False
    """Nothing of it is wired: a cut that was asked for has happened, whatever else is wrong with the row."""
    retry: bool = False
    """Trying again by itself makes sense."""


def read_scope(tx: ReadTransaction, revision: int, retry_ids: Collection[WiredId], everything: bool = False) -> Scope:
    """Read what changed after `revision`, and the rows that are due for another try.

    The endpoints of a changed service come along: its ports and its life are theirs too.
    """
    changes = tx.changes_since(0 if everything else revision)
    services = {service.id: service for service in changes.services}
    endpoints = {endpoint.id: endpoint for endpoint in changes.endpoints}
    if retry_ids:
        services |= tx.services_by_id([ServiceId(id_) for id_ in retry_ids])
        endpoints |= tx.endpoints_by_id([EndpointId(id_) for id_ in retry_ids])
    if not everything and services:
        endpoints |= {endpoint.id: endpoint for endpoint in tx.endpoints_of_services(list(services))}
    missing = {endpoint.service_id for endpoint in endpoints.values()} - services.keys()
    providers = services | (dict(tx.services_by_id(list(missing))) if missing else {})
    subnet_ids = {service.backend.subnet_id for service in providers.values()}
    subnet_ids |= {endpoint.subnet_id for endpoint in endpoints.values()}
    subnets = (tx.subnet(id_) for id_ in subnet_ids)
    attachments = {subnet.id: attachment_of(subnet) for subnet in subnets if subnet is not None}
    return Scope(changes.revision, services, endpoints, providers, attachments)


def compile_scope(scope: Scope, capabilities: Capabilities) -> dict[WiredId, Compiled]:
    """Compile every row of a round."""
    compiled: dict[WiredId, Compiled] = {
        id_: compile_service(service, scope.attachments, capabilities) for id_, service in scope.services.items()
    }
    for id_, endpoint in scope.endpoints.items():
        provider = scope.providers.get(endpoint.service_id)
        compiled[id_] = compile_endpoint(endpoint, provider, scope.attachments, capabilities)
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
            must_go = compiled[row.id].wired is None
            results.append(Outcome(row, failure, retry=must_go or error.retry is Retry.SOON))
        else:
            result = compiled[row.id]
            results.append(Outcome(row, result.failure, is_unwired=result.wired is None))
    return results


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


def needs_writing(outcome: Outcome) -> bool:
    """Say whether the row's facts change by this outcome; most rows of a sweep need no write."""
    row = outcome.row
    if row.delete_requested_at is not None:
        return outcome.failure is None
    if isinstance(row, Endpoint) and row.cut_requested_at is not None:
        # A cut that failed stays requested: what is shown is "overdue", never "failed".
        return outcome.is_unwired or outcome.failure is None
    if outcome.failure is not None:
        return row.last_error != outcome.failure
    return row.observed_generation != row.generation or row.last_error is not None


def write_outcome(tx: WriteTransaction, outcome: Outcome) -> None:
    """Write one outcome back, unless the row has moved on. What is deleted and let go is forgotten."""
    row = outcome.row
    if row.delete_requested_at is not None:
        if isinstance(row, Endpoint):
            tx.remove_endpoint(row.id)
        else:
            tx.remove_service(row.id)
    elif isinstance(row, Endpoint):
        tx.record_endpoint_outcome(row.id, row.generation, outcome.failure, is_unwired=outcome.is_unwired)
    else:
        tx.record_service_outcome(row.id, row.generation, outcome.failure)
