"""Name the members of the API's JSON that the client reads (contract section 4).

Nothing is converted: a record is the parsed JSON itself, with whatever members the server adds.
"""

from typing import Required, TypedDict


class PortMapping(TypedDict):
    """Contract 4.1."""

    client_port: int
    server_port: int
    protocol: str


class Tag(TypedDict):
    """Contract 4.2."""

    key: str
    value: str


class Failure(TypedDict, total=False):
    """Contract 4.3: services name the members code and message, the others error_code and error_message."""

    code: str
    message: str
    error_code: str
    error_message: str


class Service(TypedDict, total=False):
    """Contract 4.4."""

    id: Required[str]
    status: Required[str]
    service_name: Required[str]
    port_id: str
    vip_port_id: str
    server_type: str
    vpc_id: str
    pool_id: str
    approval_enabled: bool
    service_type: str
    created_at: str
    updated_at: str
    project_id: str
    domain_id: str
    cidr_type: str
    ports: list[PortMapping]
    tcp_proxy: str
    tags: list[Tag]
    description: str
    connection_count: int
    error: list[Failure]


class ServiceDescription(TypedDict, total=False):
    """Contract 3.9: what anybody may know about a service."""

    id: Required[str]
    service_name: Required[str]
    service_type: str
    created_at: str


class Endpoint(TypedDict, total=False):
    """Contract 4.5."""

    id: Required[str]
    status: Required[str]
    ip: str
    service_type: str
    endpoint_service_id: str
    endpoint_service_name: str
    marker_id: int
    enable_dns: bool
    dns_names: list[str]
    vpc_id: str
    subnet_id: str
    project_id: str
    created_at: str
    updated_at: str
    tags: list[Tag]
    whitelist: list[str]
    enable_whitelist: bool
    routetables: list[str]
    description: str
    error: list[Failure]


class Connection(TypedDict, total=False):
    """Contract 4.6: an endpoint as its provider sees it; `id` is the endpoint's."""

    id: Required[str]
    status: Required[str]
    marker_id: int
    domain_id: str
    created_at: str
    updated_at: str
    description: str
    error: list[Failure]


class Permission(TypedDict, total=False):
    """Contract 4.7."""

    id: Required[str]
    permission: Required[str]
    permission_type: str
    created_at: str
    description: str


class PermissionChange(TypedDict, total=False):
    """The answer of contract 3.14."""

    permissions: Required[list[str]]
    permission_type: str


class PortHealth(TypedDict, total=False):
    """What is known about one port of a backend."""

    server_port: Required[int]
    client_ports: Required[list[int]]
    health: Required[str]
    cause: str
    reason: str
    checked_at: str
    since: str
    latency_milliseconds: float


class ServiceHealth(TypedDict):
    """Whether the backend of a service takes connections."""

    id: str
    health: str
    ports: list[PortHealth]


class EndpointHealth(TypedDict):
    """Whether the backend behind an endpoint takes connections."""

    id: str
    health: str


class Hop(TypedDict):
    """One place on the way of a connection."""

    hop: str
    verdict: str
    confirmed: bool
    text: str
    advice: str


class Trace(TypedDict, total=False):
    """What happens to a connection; a member `from` has the client's address."""

    endpoint_id: Required[str]
    outcome: Required[str]
    hops: Required[list[Hop]]
    port: int
