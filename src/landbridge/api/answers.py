"""Describe the bodies of answers for the OpenAPI document (contract section 4).

Nothing is built from these models: `presentation` writes the answers, and tests hold the two together.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Port(_Answer):
    """Contract 4.1."""

    client_port: int
    server_port: int
    protocol: str


class TagAnswer(_Answer):
    """Contract 4.2."""

    key: str
    value: str


class Failed(_Answer):
    """Why a resource could not be made: all four members that clients look for (contract 4.3)."""

    code: str
    message: str
    error_code: str
    error_message: str


class ServiceAnswer(_Answer):
    """An endpoint service (contract 4.4)."""

    id: str
    port_id: str
    vip_port_id: str | None = None
    service_name: str
    service_type: str
    server_type: str
    vpc_id: str
    pool_id: str
    approval_enabled: bool
    status: str
    created_at: str
    updated_at: str
    project_id: str
    domain_id: str
    cidr_type: str
    ports: list[Port]
    tcp_proxy: str
    tags: list[TagAnswer]
    description: str
    connection_count: int
    enable_policy: bool
    supported_editions: list[str]
    public_border_group: str
    error: list[Failed] | None = None


class ServiceList(_Answer):
    """One page of endpoint services."""

    endpoint_services: list[ServiceAnswer]
    total_count: int


class ServiceName(_Answer):
    """The short name, as it was sent (contract 3.18)."""

    endpoint_service_name: str


class PublicService(_Answer):
    """A service that is offered to everybody (contract 3.8)."""

    id: str
    owner: str
    service_name: str
    service_type: str
    created_at: str
    is_charge: bool
    enable_policy: bool


class PublicServiceList(_Answer):
    """One page of public services."""

    endpoint_services: list[PublicService]
    total_count: int


class DescribedService(_Answer):
    """What any tenant may know of a service (contract 3.9)."""

    id: str
    service_name: str
    service_type: str
    created_at: str
    is_charge: bool
    public_border_group: str
    enable_policy: bool


class EndpointAnswer(_Answer):
    """An endpoint (contract 4.5)."""

    id: str
    service_type: str
    status: str
    ip: str | None = None
    active_status: list[str]
    enable_status: str
    specification_name: str
    endpoint_service_id: str
    endpoint_service_name: str
    marker_id: int
    enable_dns: bool
    dns_names: list[str] | None = None
    vpc_id: str
    subnet_id: str
    project_id: str
    created_at: str
    updated_at: str
    tags: list[TagAnswer]
    whitelist: list[str]
    enable_whitelist: bool
    routetables: list[str] | None = None
    description: str
    policy_document: dict[str, Any] | None = None
    endpoint_pool_id: str
    public_border_group: str
    error: list[Failed]


class EndpointList(_Answer):
    """One page of endpoints."""

    endpoints: list[EndpointAnswer]
    total_count: int


class BindingFailure(_Answer):
    """A route table that could not be bound or unbound."""

    id: str
    error_message: str


class BindingFailures(_Answer):
    """What went wrong with route tables."""

    bind_failed: list[BindingFailure]
    unbind_failed: list[BindingFailure]


class RouteTables(_Answer):
    """The route tables of a gateway endpoint (contract 3.26)."""

    routetables: list[str]
    error: list[BindingFailures] | None = None


class QuotaAnswer(_Answer):
    """How many of something a project has, and may have (contract 4.8)."""

    type: str
    used: int
    quota: int


class QuotaResources(_Answer):
    """One quota of each type that was asked for."""

    resources: list[QuotaAnswer]


class QuotaList(_Answer):
    """A project's quotas (contract 3.27)."""

    quotas: QuotaResources


class Connection(_Answer):
    """An endpoint as its provider sees it (contract 4.6)."""

    id: str
    marker_id: int
    created_at: str
    updated_at: str
    domain_id: str
    status: str
    description: str
    error: list[Failed]


class Connections(_Answer):
    """The connections that were changed."""

    connections: list[Connection]


class ConnectionList(_Answer):
    """One page of connections."""

    connections: list[Connection]
    total_count: int


class PermissionAnswer(_Answer):
    """A permission entry (contract 4.7)."""

    id: str
    permission: str
    permission_type: str
    created_at: str
    description: str


class Permissions(_Answer):
    """The permission entries that were created or changed."""

    permissions: list[PermissionAnswer]


class PermissionList(_Answer):
    """One page of permission entries."""

    permissions: list[PermissionAnswer]
    total_count: int


class PermissionEntries(_Answer):
    """The entries of the request, in its order."""

    permissions: list[str]
    permission_type: str


class KeyWithValues(_Answer):
    """A tag key, and the values it has."""

    key: str
    values: list[str]


class ProjectTags(_Answer):
    """All tags of a project's services or endpoints (contract 3.28)."""

    tags: list[KeyWithValues]


class FoundResource(_Answer):
    """A resource with the tags it was found by, and its others."""

    resource_id: str
    resource_name: str
    tags: list[TagAnswer]
    resource_detail: None = None


class FoundResources(_Answer):
    """A part of what was found, and how many there are in all (contract 3.30); `count` answers only the number."""

    resources: list[FoundResource] | None = None
    total_count: int


class Link(_Answer):
    """Where a version is."""

    rel: str
    type: str
    href: str


class VersionFacts(_Answer):
    """One API version (contract 3.1)."""

    id: str
    status: str
    updated: str
    version: str
    min_version: str
    links: list[Link]


class Version(_Answer):
    """One API version."""

    version: VersionFacts


class Versions(_Answer):
    """All API versions."""

    versions: list[VersionFacts]
