"""Compute the status word of a resource from its facts.

The words are those of contract section 5. Nothing here is stored: two readers of the same facts
always agree, and a crash cannot leave a status behind that no facts support.
"""

from enum import StrEnum

from landbridge.domain.resources import Admission, Endpoint, EndpointService


class ServiceStatus(StrEnum):
    """Words of contract 5.1."""

    CREATING = "creating"
    AVAILABLE = "available"
    FAILED = "failed"
    DELETING = "deleting"


class EndpointStatus(StrEnum):
    """Words of contract 5.2; the same for an endpoint and for the connection its provider sees."""

    PENDING_ACCEPTANCE = "pendingAcceptance"
    CREATING = "creating"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    FAILED = "failed"
    DELETING = "deleting"


def service_status(service: EndpointService) -> ServiceStatus:
    """Return the status of an endpoint service: a change of an available one keeps it available."""
    if service.delete_requested_at is not None:
        return ServiceStatus.DELETING
    if service.last_error is not None:
        return ServiceStatus.FAILED
    if service.observed_generation == 0:
        return ServiceStatus.CREATING
    return ServiceStatus.AVAILABLE


def endpoint_status(endpoint: Endpoint) -> EndpointStatus:
    """Return the status of an endpoint.

    `accepted` promises that a packet can get through, so it waits for the data plane to have observed the
    generation of the acceptance. A rejection shows at once: the promise of `rejected` is kept by the
    answer that waits for the cut.
    """
    if endpoint.delete_requested_at is not None:
        return EndpointStatus.DELETING
    if endpoint.last_error is not None:
        return EndpointStatus.FAILED
    match endpoint.admission:
        case Admission.PENDING:
            return EndpointStatus.PENDING_ACCEPTANCE
        case Admission.REJECTED:
            return EndpointStatus.REJECTED
        case Admission.ACCEPTED:
            accepted_at = endpoint.accepted_generation or endpoint.generation
            reached = endpoint.observed_generation >= accepted_at
            return EndpointStatus.ACCEPTED if reached else EndpointStatus.CREATING


def shows_address(endpoint: Endpoint) -> bool:
    """Say whether `ip` is shown: accepted now, or rejected after having been accepted (contract 4.5)."""
    status = endpoint_status(endpoint)
    was_accepted = endpoint.accepted_generation is not None
    return status is EndpointStatus.ACCEPTED or (status is EndpointStatus.REJECTED and was_accepted)


def counts_as_connected(endpoint: Endpoint) -> bool:
    """Say whether the endpoint keeps its service in use (contract 5.3: creating or accepted)."""
    return endpoint_status(endpoint) in {EndpointStatus.CREATING, EndpointStatus.ACCEPTED}
