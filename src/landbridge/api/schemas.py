"""Give the shapes of request bodies (contract 3) and turn them into what the use cases take.

Types are strict: `"true"` is no boolean and `"80"` no number. null means absent. Unknown fields are ignored, because
newer clients send newer fields. Rules beyond types are the domain's.
"""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, StrictInt, StrictStr

from landbridge.api.requests import parse
from landbridge.control.endpoint_services import NewService
from landbridge.control.endpoints import NewEndpoint
from landbridge.domain.errors import (
    EmptyEndpointList,
    EmptyPermissionList,
    EmptyTag,
    InvalidClientPort,
    InvalidConnectionAction,
    InvalidEnableDns,
    InvalidEndpointAddress,
    InvalidParameter,
    InvalidPermission,
    InvalidPermissionAction,
    InvalidPortId,
    InvalidProtocol,
    InvalidServerPort,
    InvalidServerType,
    InvalidServiceId,
    InvalidServiceName,
    InvalidSpecification,
    InvalidSubnetId,
    InvalidTag,
    InvalidVipPortId,
    InvalidVpcId,
    InvalidWhitelist,
    IpNotAllowed,
    MissingServiceId,
    MissingVpcId,
    TooManyEndpoints,
    UserError,
)
from landbridge.domain.ids import EndpointId, NicId, ServiceId, SubnetId, VpcId, is_uuid
from landbridge.domain.resources import PortMapping, ServerType, Tag, TcpProxy


def _list_or_empty(value: object) -> object:
    return [] if value is None else value


class _Body(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class PortBody(_Body):
    """Contract 4.1."""

    client_port: StrictInt
    server_port: StrictInt
    protocol: StrictStr | None = None


class TagBody(_Body):
    """Contract 4.2."""

    key: StrictStr
    value: StrictStr | None = None


Tags = Annotated[list[TagBody], BeforeValidator(_list_or_empty)]


class ServiceBody(_Body):
    """Contract 3.3."""

    port_id: StrictStr
    vpc_id: StrictStr
    server_type: StrictStr
    ports: list[PortBody]
    vip_port_id: StrictStr | None = None
    service_name: StrictStr | None = None
    service_type: StrictStr | None = None
    approval_enabled: StrictBool | None = None
    tcp_proxy: StrictStr | None = None
    description: StrictStr | None = None
    tags: Tags = Field(default_factory=list[TagBody])
    ip: object = None


_TAG_ERRORS: Mapping[str, type[UserError]] = {"tags.key": EmptyTag, "tags.value": InvalidTag, "tags": InvalidTag}

_SERVICE_ERRORS: Mapping[str, type[UserError]] = {
    "port_id": InvalidPortId,
    "vip_port_id": InvalidVipPortId,
    "vpc_id": InvalidVpcId,
    "server_type": InvalidServerType,
    "service_name": InvalidServiceName,
    "ports.client_port": InvalidClientPort,
    "ports.server_port": InvalidServerPort,
    "ports.protocol": InvalidProtocol,
    **_TAG_ERRORS,
}


def new_service(document: Mapping[str, object]) -> NewService:
    """Return what a provider asks for."""
    body = parse(ServiceBody, document, _SERVICE_ERRORS)
    if body.ip:
        raise IpNotAllowed("ip must not be given for an interface service: give port_id")
    server_type = body.server_type.upper()
    if server_type not in ServerType.__members__:
        raise InvalidServerType("server_type must be VM, VIP or LB")
    tcp_proxy = (body.tcp_proxy or TcpProxy.CLOSE).lower()
    if tcp_proxy not in set(TcpProxy):
        raise InvalidParameter("tcp_proxy must be close, toa_open, proxy_open or open")
    return NewService(
        port_id=NicId(_uuid(body.port_id, "port_id", InvalidPortId)),
        vpc_id=VpcId(_uuid(body.vpc_id, "vpc_id", InvalidVpcId)),
        server_type=ServerType(server_type),
        ports=[PortMapping(port.client_port, port.server_port, port.protocol or "TCP") for port in body.ports],
        vip_port_id=NicId(_uuid(body.vip_port_id, "vip_port_id", InvalidVipPortId)) if body.vip_port_id else None,
        short_name=body.service_name or "",
        service_type=body.service_type or "interface",
        approval_enabled=True if body.approval_enabled is None else body.approval_enabled,
        tcp_proxy=TcpProxy(tcp_proxy),
        description=body.description or "",
        tags=_tags(body.tags),
    )


class EndpointBody(_Body):
    """Contract 3.19."""

    endpoint_service_id: StrictStr | None = None
    vpc_id: StrictStr | None = None
    subnet_id: StrictStr | None = None
    port_ip: StrictStr | None = None
    enable_dns: StrictBool | None = None
    whitelist: Annotated[list[StrictStr], BeforeValidator(_list_or_empty)] = Field(default_factory=list[str])
    enable_whitelist: StrictBool | None = None
    description: StrictStr | None = None
    specification_name: StrictStr | None = None
    tags: Tags = Field(default_factory=list[TagBody])
    policy_statement: object = None
    policy_document: object = None


_ENDPOINT_ERRORS: Mapping[str, type[UserError]] = {
    "endpoint_service_id": InvalidServiceId,
    "vpc_id": InvalidVpcId,
    "subnet_id": InvalidSubnetId,
    "port_ip": InvalidEndpointAddress,
    "enable_dns": InvalidEnableDns,
    "whitelist": InvalidWhitelist,
    "specification_name": InvalidSpecification,
    **_TAG_ERRORS,
}


def new_endpoint(document: Mapping[str, object]) -> NewEndpoint:
    """Return what a consumer asks for."""
    body = parse(EndpointBody, document, _ENDPOINT_ERRORS)
    if not body.endpoint_service_id:
        raise MissingServiceId("endpoint_service_id is missing: give the id of the endpoint service")
    if not body.vpc_id:
        raise MissingVpcId("vpc_id is missing: give the id of the consumer's VPC")
    return NewEndpoint(
        service_id=ServiceId(_uuid(body.endpoint_service_id, "endpoint_service_id", InvalidServiceId)),
        vpc_id=VpcId(_uuid(body.vpc_id, "vpc_id", InvalidVpcId)),
        subnet_id=SubnetId(_uuid(body.subnet_id, "subnet_id", InvalidSubnetId)) if body.subnet_id else None,
        wanted_address=body.port_ip or None,
        enable_dns=bool(body.enable_dns),
        whitelist=body.whitelist,
        enable_whitelist=bool(body.enable_whitelist),
        description=body.description or "",
        tags=_tags(body.tags),
        specification=body.specification_name or "default",
        has_policy=bool(body.policy_statement or body.policy_document),
    )


class ConnectionActionBody(_Body):
    """Contract 3.11."""

    action: StrictStr
    endpoints: list[StrictStr]


def connection_action(document: Mapping[str, object]) -> tuple[str, EndpointId]:
    """Return `receive` or `reject`, and the one endpoint that is meant."""
    errors: Mapping[str, type[UserError]] = {"action": InvalidConnectionAction, "endpoints": EmptyEndpointList}
    body = parse(ConnectionActionBody, document, errors)
    if body.action not in {"receive", "reject"}:
        raise InvalidConnectionAction("action must be receive or reject")
    if not body.endpoints:
        raise EmptyEndpointList("endpoints must name one endpoint id")
    if len(body.endpoints) > 1:
        raise TooManyEndpoints(f"endpoints names {len(body.endpoints)} ids: send one request for each")
    return body.action, EndpointId(body.endpoints[0])


class PermissionActionBody(_Body):
    """Contract 3.14."""

    action: StrictStr
    permissions: list[StrictStr]


def permission_action(document: Mapping[str, object]) -> tuple[str, list[str]]:
    """Return `add` or `remove`, and the entries."""
    errors: Mapping[str, type[UserError]] = {"action": InvalidPermissionAction, "permissions": EmptyPermissionList}
    raw = document.get("permissions")
    if isinstance(raw, list) and not all(isinstance(entry, str) for entry in raw):  # pyright: ignore[reportUnknownVariableType]
        raise InvalidPermission("permissions must be a list of strings")
    body = parse(PermissionActionBody, document, errors)
    if body.action not in {"add", "remove"}:
        raise InvalidPermissionAction("action must be add or remove")
    return body.action, body.permissions


def _tags(tags: list[TagBody]) -> list[Tag]:
    return [Tag(tag.key, tag.value or "") for tag in tags]


def _uuid(text: str, field: str, error: type[UserError]) -> str:
    lowered = text.lower()
    if not is_uuid(lowered):
        raise error(f"{field} must be a UUID such as 8f0a1c52-6d3e-4c1b-9f57-2f4b1c9a7e10")
    return lowered
