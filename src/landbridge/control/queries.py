"""Say which rows a list is about.

Every list is cut to a page by the store, and says how many matches there are in all.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from landbridge.domain.ids import ProjectId, ServiceId
from landbridge.domain.lifecycle import EndpointStatus, ServiceStatus
from landbridge.domain.resources import Endpoint, EndpointService


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list, in which order (contract 1.5). Ties are broken by id."""

    limit: int = 10
    offset: int = 0
    sort_by: str = "created_at"
    """`created_at` or `updated_at`."""
    descending: bool = True


@dataclass(frozen=True, slots=True)
class ServiceQuery:
    """Filters of contract 3.4; None does not filter."""

    project_id: ProjectId
    name_contains: str | None = None
    id: str | None = None
    status: ServiceStatus | None = None
    server_type: str | None = None
    page: Page = field(default_factory=Page)


@dataclass(frozen=True, slots=True)
class PublicServiceQuery:
    """Filters of contract 3.8; None does not filter."""

    name_contains: str | None = None
    id: str | None = None
    page: Page = field(default_factory=Page)


@dataclass(frozen=True, slots=True)
class EndpointQuery:
    """Filters of contract 3.20; None does not filter."""

    project_id: ProjectId
    service_name_contains: str | None = None
    vpc_id: str | None = None
    id: str | None = None
    page: Page = field(default_factory=Page)


@dataclass(frozen=True, slots=True)
class ConnectionQuery:
    """Filters of contract 3.10; None does not filter."""

    service_id: ServiceId
    id: str | None = None
    marker: int | None = None
    status: EndpointStatus | None = None
    page: Page = field(default_factory=Page)


@dataclass(frozen=True, slots=True)
class PermissionQuery:
    """Filters of contract 3.13; None does not filter."""

    service_id: ServiceId
    permission_contains: str | None = None
    page: Page = field(default_factory=Page)


@dataclass(frozen=True, slots=True)
class Changes:
    """Intent that was written after some revision."""

    revision: int
    """The database's revision that these changes lead up to."""
    services: Sequence[EndpointService]
    endpoints: Sequence[Endpoint]
