"""Describe and write the answers about public services as the operator sees them, an extension of the contract.

The models describe for the OpenAPI document, the functions write; tests hold the two together.
"""

from typing import Annotated, Literal

from pydantic import Field

from landbridge.api.answer_fields import Absent, Answer, Id, Moment, ProjectId
from landbridge.api.answers import Failed, Port
from landbridge.api.presentation import Json, public_service_body, service_body
from landbridge.domain.lifecycle import ServiceStatus
from landbridge.domain.resources import EndpointService, Origin, ServerType, ServiceType, TcpProxy, WayOut

Cidr = Annotated[str, Field(examples=["100.125.0.0/16"])]
"""A range: network address and prefix length."""


class PublishedService(Answer):
    """A public service with what only the operator sees. One of type gateway has cidrs in place of a backend."""

    id: Id
    owner: str
    service_name: str
    service_type: ServiceType
    created_at: Moment
    updated_at: Moment
    is_charge: Literal[False]
    enable_policy: bool
    status: ServiceStatus
    origin: Origin
    project_id: ProjectId
    vpc_id: Id
    connection_count: int = Field(ge=0)
    cidrs: list[Cidr] | Absent = None
    subnet_id: Id | Absent = None
    port_id: Id | Absent = None
    vip_port_id: Id | Absent = None
    server_type: ServerType | Absent = None
    ports: list[Port] | Absent = None
    tcp_proxy: TcpProxy | Absent = None
    error: list[Failed]


class PublishedServiceList(Answer):
    """One page of public services."""

    public_services: list[PublishedService]
    total_count: int = Field(ge=0)


_OF_ANY = ("updated_at", "status", "project_id", "vpc_id", "connection_count", "error")
_OF_A_BACKEND = ("port_id", "vip_port_id", "server_type", "ports", "tcp_proxy")


def published_service_body(service: EndpointService, connection_count: int) -> Json:
    """Return a public service as the operator sees it."""
    whole = service_body(service, connection_count)
    body = public_service_body(service) | {name: whole[name] for name in _OF_ANY} | {"origin": service.origin.value}
    if isinstance(service.backend, WayOut):
        networks = [str(network) for network in service.backend.networks]
        return body | {"cidrs": networks, "subnet_id": service.backend.subnet_id}
    return body | {name: whole[name] for name in _OF_A_BACKEND if name in whole}
