"""Compute the status words of `domain.lifecycle` in SQL, so that lists can be filtered and counted by status.

The domain stays the one place that decides: a test compares both for every combination of facts.
"""

from sqlalchemy import ColumnElement, and_, case, func

from landbridge.domain.lifecycle import EndpointStatus, ServiceStatus
from landbridge.domain.resources import Admission
from landbridge.store.tables import endpoints, services

service_status: ColumnElement[str] = case(
    (services.c.delete_requested_at.is_not(None), ServiceStatus.DELETING.value),
    (services.c.last_error_slug.is_not(None), ServiceStatus.FAILED.value),
    (services.c.observed_generation == 0, ServiceStatus.CREATING.value),
    else_=ServiceStatus.AVAILABLE.value,
)
"""The status of a row of `services`."""

_accepted_at = func.coalesce(func.nullif(endpoints.c.accepted_generation, 0), endpoints.c.generation)

endpoint_status: ColumnElement[str] = case(
    (endpoints.c.delete_requested_at.is_not(None), EndpointStatus.DELETING.value),
    (endpoints.c.last_error_slug.is_not(None), EndpointStatus.FAILED.value),
    (endpoints.c.admission == Admission.PENDING.value, EndpointStatus.PENDING_ACCEPTANCE.value),
    (endpoints.c.admission == Admission.REJECTED.value, EndpointStatus.REJECTED.value),
    (endpoints.c.observed_generation >= _accepted_at, EndpointStatus.ACCEPTED.value),
    else_=EndpointStatus.CREATING.value,
)
"""The status of a row of `endpoints`."""

counts_as_connected: ColumnElement[bool] = and_(
    endpoints.c.admission == Admission.ACCEPTED.value,
    endpoints.c.delete_requested_at.is_(None),
    endpoints.c.last_error_slug.is_(None),
)
"""Whether a row of `endpoints` keeps its service in use: `creating` or `accepted`."""
