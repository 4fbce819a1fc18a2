"""Describe the bodies of answers for the OpenAPI document (contract section 4).

Nothing is built from these models: `presentation` writes the answers, and tests hold the two together.
"""

from typing import Any, Literal

from pydantic import Field

from landbridge.api.answer_fields import Absent, Address, Answer, Code, Id, Moment, ProjectId, TcpPort
from landbridge.domain.lifecycle import EndpointStatus, ServiceStatus
from landbridge.domain.resources import PermissionType, QuotaType, ServerType, ServiceType, TcpProxy


class Port(Answer):
    """Contract 4.1."""

    client_port: TcpPort
    server_port: TcpPort
    protocol: Literal["TCP"]


class TagAnswer(Answer):
    """Contract 4.2."""

    key: str
    value: str


class Failed(Answer):
    """Why a resource could not be made: all four members that clients look for (contract 4.3)."""

    code: Code
    message: str
    error_code: Code
    error_message: str


class ServiceAnswer(Answer):
    """An endpoint service (contract 4.4). One of type gateway has neither port_id nor server_type."""

    id: Id
    port_id: Id | Absent = None
    vip_port_id: Id | Absent = None
    service_name: str
    service_type: ServiceType
    server_type: ServerType | Absent = None
    vpc_id: Id
    pool_id: Id
    approval_enabled: bool
    status: ServiceStatus
    created_at: Moment
    updated_at: Moment
    project_id: ProjectId
    domain_id: ProjectId
    cidr_type: Literal["internal"]
    ports: list[Port]
    tcp_proxy: TcpProxy
    tags: list[TagAnswer]
    description: str
    connection_count: int = Field(ge=0)
    enable_policy: bool
    supported_editions: list[Literal["basic"]]
    public_border_group: Literal["center"]
    error: list[Failed] | Absent = None


class ServiceList(Answer):
    """One page of endpoint services."""

    endpoint_services: list[ServiceAnswer]
    total_count: int = Field(ge=0)


class ServiceName(Answer):
    """The short name, as it was sent (contract 3.18)."""

    endpoint_service_name: str


class PublicService(Answer):
    """A service that is offered to everybody (contract 3.8)."""

    id: Id
    owner: str
    service_name: str
    service_type: ServiceType
    created_at: Moment
    is_charge: Literal[False]
    enable_policy: bool


class PublicServiceList(Answer):
    """One page of public services."""

    endpoint_services: list[PublicService]
    total_count: int = Field(ge=0)


class DescribedService(Answer):
    """What any tenant may know of a service (contract 3.9)."""

    id: Id
    service_name: str
    service_type: ServiceType
    created_at: Moment
    is_charge: Literal[False]
    public_border_group: Literal["center"]
    enable_policy: bool


class EndpointAnswer(Answer):
    """An endpoint (contract 4.5). One of type gateway has route tables in place of subnet_id and ip."""

    id: Id
    service_type: ServiceType
    status: EndpointStatus
    ip: Address | Absent = None
    active_status: list[Literal["active"]]
    enable_status: Literal["enable"]
    specification_name: str
    endpoint_service_id: Id
    endpoint_service_name: str
    marker_id: int = Field(gt=2**24)
    enable_dns: bool
    dns_names: list[str] | Absent = None
    vpc_id: Id
    subnet_id: Id | Absent = None
    project_id: ProjectId
    created_at: Moment
    updated_at: Moment
    tags: list[TagAnswer]
    whitelist: list[str]
    enable_whitelist: bool
    routetables: list[str] | Absent = None
    description: str
    policy_document: dict[str, Any] | Absent = None
    policy_statement: list[dict[str, Any]] | Absent = None
    endpoint_pool_id: Id
    public_border_group: Literal["center"]
    error: list[Failed]


class EndpointList(Answer):
    """One page of endpoints."""

    endpoints: list[EndpointAnswer]
    total_count: int = Field(ge=0)


class BindingFailure(Answer):
    """A route table that could not be bound or unbound."""

    id: Id
    error_message: str


class BindingFailures(Answer):
    """What went wrong with route tables."""

    bind_failed: list[BindingFailure]
    unbind_failed: list[BindingFailure]


class RouteTables(Answer):
    """The route tables of a gateway endpoint (contract 3.26)."""

    routetables: list[str]
    error: list[BindingFailures] | Absent = None


class QuotaAnswer(Answer):
    """How many of something a project has, and may have (contract 4.8)."""

    type: QuotaType
    used: int = Field(ge=0)
    quota: int = Field(ge=0)


class QuotaResources(Answer):
    """One quota of each type that was asked for."""

    resources: list[QuotaAnswer]


class QuotaList(Answer):
    """A project's quotas (contract 3.27)."""

    quotas: QuotaResources


class Connection(Answer):
    """An endpoint as its provider sees it (contract 4.6)."""

    id: Id
    marker_id: int = Field(gt=2**24)
    created_at: Moment
    updated_at: Moment
    domain_id: ProjectId
    status: EndpointStatus
    description: str
    error: list[Failed]


class Connections(Answer):
    """The connections that were changed."""

    connections: list[Connection]


class ConnectionList(Answer):
    """One page of connections."""

    connections: list[Connection]
    total_count: int = Field(ge=0)


class PermissionAnswer(Answer):
    """A permission entry (contract 4.7)."""

    id: Id
    permission: str
    permission_type: PermissionType
    created_at: Moment
    description: str


class Permissions(Answer):
    """The permission entries that were created or changed."""

    permissions: list[PermissionAnswer]


class PermissionList(Answer):
    """One page of permission entries."""

    permissions: list[PermissionAnswer]
    total_count: int = Field(ge=0)


class PermissionEntries(Answer):
    """The entries of the request, in its order."""

    permissions: list[str]
    permission_type: PermissionType


class KeyWithValues(Answer):
    """A tag key, and the values it has."""

    key: str
    values: list[str]


class ProjectTags(Answer):
    """All tags of a project's services or endpoints (contract 3.28)."""

    tags: list[KeyWithValues]


class FoundResource(Answer):
    """A resource with the tags it was found by, and its others."""

    resource_id: Id
    resource_name: str
    tags: list[TagAnswer]
    resource_detail: None


class FoundResources(Answer):
    """A part of what was found, and how many there are in all (contract 3.30); `count` answers only the number."""

    resources: list[FoundResource] | Absent = None
    total_count: int = Field(ge=0)


class Link(Answer):
    """Where a version is."""

    rel: str
    type: str
    href: str


class VersionFacts(Answer):
    """One API version (contract 3.1)."""

    id: str
    status: str
    updated: Moment
    version: str
    min_version: str
    links: list[Link]


class Version(Answer):
    """One API version."""

    version: VersionFacts


class Versions(Answer):
    """All API versions."""

    versions: list[VersionFacts]
