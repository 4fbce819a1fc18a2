"""Give the shapes of the bodies of services (contract 3.3, 3.6, 3.18) and turn them into what the use cases take.

As in `schemas`, types are strict, null means absent and unknown fields are ignored: so a change that names vpc_id,
server_type or service_type, which nobody can change, is not refused for it.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import Field, StrictBool, StrictStr

from landbridge.api.body_fields import (
    Description,
    IdText,
    PortNumber,
    Protocol,
    ServerTypeText,
    ShortName,
    TcpProxyText,
    shown,
)
from landbridge.api.requests import parse
from landbridge.api.schemas import TAG_ERRORS, Body, TagBody, Tags, checked_uuid, resource_tags
from landbridge.control.endpoint_services import NewService
from landbridge.control.publishing import DEFAULT_OWNER, NewPublicService
from landbridge.control.service_changes import ServiceChange
from landbridge.domain.errors import (
    InvalidClientPort,
    InvalidNetworks,
    InvalidParameter,
    InvalidPortId,
    InvalidProtocol,
    InvalidServerPort,
    InvalidServerType,
    InvalidServiceName,
    InvalidSubnetId,
    InvalidVipPortId,
    InvalidVpcId,
    IpNotAllowed,
    IpNotChangeable,
    IpWithPortId,
    IpWithVipPortId,
    UserError,
)
from landbridge.domain.gateways import NETWORK_LIMIT
from landbridge.domain.ids import NicId, SubnetId, VpcId
from landbridge.domain.naming import NAME_LIMIT
from landbridge.domain.resources import PortMapping, ServerType, ServiceType, TcpProxy
from landbridge.domain.validation import PORT_MAPPING_LIMIT


class PortBody(Body):
    """Which port of the endpoint leads to which port of the backend (contract 4.1)."""

    client_port: PortNumber
    server_port: PortNumber
    protocol: Protocol | None = None


class ServiceBody(Body):
    """A new endpoint service (contract 3.3)."""

    port_id: IdText
    vpc_id: IdText
    server_type: ServerTypeText
    ports: Annotated[list[PortBody], shown(minItems=1, maxItems=PORT_MAPPING_LIMIT)]
    vip_port_id: IdText | None = None
    service_name: ShortName | None = None
    service_type: Annotated[StrictStr, shown(enum=["interface"])] | None = None
    approval_enabled: StrictBool | None = None
    tcp_proxy: TcpProxyText | None = None
    description: Description | None = None
    tags: Tags = Field(default_factory=list[TagBody])
    enable_policy: StrictBool | None = None
    ip: object = None


_SERVICE_ERRORS: Mapping[str, type[UserError]] = {
    "port_id": InvalidPortId,
    "vip_port_id": InvalidVipPortId,
    "vpc_id": InvalidVpcId,
    "server_type": InvalidServerType,
    "service_name": InvalidServiceName,
    "ports.client_port": InvalidClientPort,
    "ports.server_port": InvalidServerPort,
    "ports.protocol": InvalidProtocol,
    **TAG_ERRORS,
}


def new_service(document: Mapping[str, object]) -> NewService:
    """Return what a provider asks for."""
    body = parse(ServiceBody, document, _SERVICE_ERRORS)
    if body.ip:
        raise IpNotAllowed("ip must not be given for an interface service: give port_id")
    server_type = body.server_type.upper()
    if server_type not in ServerType.__members__:
        raise InvalidServerType("server_type must be VM, VIP or LB")
    return NewService(
        port_id=NicId(checked_uuid(body.port_id, "port_id", InvalidPortId)),
        vpc_id=VpcId(checked_uuid(body.vpc_id, "vpc_id", InvalidVpcId)),
        server_type=ServerType(server_type),
        ports=_mappings(body.ports),
        vip_port_id=_nic_id(body.vip_port_id, "vip_port_id", InvalidVipPortId),
        short_name=body.service_name or "",
        service_type=body.service_type or "interface",
        approval_enabled=True if body.approval_enabled is None else body.approval_enabled,
        tcp_proxy=_tcp_proxy(body.tcp_proxy) or TcpProxy.CLOSE,
        description=body.description or "",
        tags=resource_tags(body.tags),
        enable_policy=bool(body.enable_policy),
    )


class PublicServiceBody(Body):
    """A service that the operator offers to everybody: with cidrs and subnet_id, or with port_id and ports."""

    service_name: Annotated[StrictStr, shown(maxLength=NAME_LIMIT, examples=["com.example.lab-1.obs"])]
    service_type: Annotated[StrictStr, shown(enum=[*ServiceType])] | None = None
    owner: Annotated[StrictStr, shown(minLength=1, maxLength=64)] | None = None
    enable_policy: StrictBool | None = None
    cidrs: Annotated[list[StrictStr], shown(maxItems=NETWORK_LIMIT, examples=[["100.125.0.0/16"]])] | None = None
    subnet_id: IdText | None = None
    port_id: IdText | None = None
    vip_port_id: IdText | None = None
    server_type: ServerTypeText | None = None
    ports: Annotated[list[PortBody], shown(maxItems=PORT_MAPPING_LIMIT)] | None = None
    tcp_proxy: TcpProxyText | None = None


def new_public_service(document: Mapping[str, object]) -> NewPublicService:
    """Return what the operator wants to publish."""
    errors = {**_SERVICE_ERRORS, "cidrs": InvalidNetworks, "subnet_id": InvalidSubnetId}
    body = parse(PublicServiceBody, document, errors)
    service_type = (body.service_type or ServiceType.INTERFACE).lower()
    if service_type not in set(ServiceType):
        raise InvalidParameter("service_type must be interface or gateway")
    server_type = (body.server_type or ServerType.VM).upper()
    if server_type not in ServerType.__members__:
        raise InvalidServerType("server_type must be VM, VIP or LB")
    return NewPublicService(
        name=body.service_name,
        owner=body.owner or DEFAULT_OWNER,
        service_type=ServiceType(service_type),
        networks=body.cidrs or (),
        subnet_id=SubnetId(checked_uuid(body.subnet_id, "subnet_id", InvalidSubnetId)) if body.subnet_id else None,
        port_id=_nic_id(body.port_id, "port_id", InvalidPortId),
        vip_port_id=_nic_id(body.vip_port_id, "vip_port_id", InvalidVipPortId),
        server_type=ServerType(server_type),
        ports=_mappings(body.ports or ()),
        tcp_proxy=_tcp_proxy(body.tcp_proxy) or TcpProxy.CLOSE,
        enable_policy=bool(body.enable_policy),
    )


class ServiceChangeBody(Body):
    """What is to change of an endpoint service (contract 3.6).

    What is absent stays as it is; `""` clears the name and the description.
    """

    ports: list[PortBody] | None = None
    service_name: ShortName | None = None
    approval_enabled: StrictBool | None = None
    tcp_proxy: TcpProxyText | None = None
    description: Description | None = None
    enable_policy: StrictBool | None = None
    port_id: IdText | None = None
    vip_port_id: IdText | None = None
    ip: object = None


def service_change(document: Mapping[str, object]) -> ServiceChange:
    """Return what a provider wants to be different."""
    body = parse(ServiceChangeBody, document, _SERVICE_ERRORS)
    if body.ip and body.port_id:
        raise IpWithPortId("ip and port_id cannot change together: give port_id alone")
    if body.ip and body.vip_port_id:
        raise IpWithVipPortId("ip and vip_port_id cannot change together: give vip_port_id alone")
    if body.ip:
        raise IpNotChangeable("an interface service has no ip that could change: leave it out")
    return ServiceChange(
        ports=None if body.ports is None else _mappings(body.ports),
        short_name=body.service_name,
        approval_enabled=body.approval_enabled,
        tcp_proxy=_tcp_proxy(body.tcp_proxy),
        description=body.description,
        enable_policy=body.enable_policy,
        port_id=_nic_id(body.port_id, "port_id", InvalidPortId),
        vip_port_id=_nic_id(body.vip_port_id, "vip_port_id", InvalidVipPortId),
    )


class ServiceNameBody(Body):
    """The new short name (contract 3.18). `""` takes the short name away."""

    endpoint_service_name: ShortName | None = None


def service_name(document: Mapping[str, object]) -> str | None:
    """Return the new short name; None: unchanged."""
    errors: Mapping[str, type[UserError]] = {"endpoint_service_name": InvalidServiceName}
    return parse(ServiceNameBody, document, errors).endpoint_service_name


def _mappings(ports: Sequence[PortBody]) -> list[PortMapping]:
    return [PortMapping(port.client_port, port.server_port, port.protocol or "TCP") for port in ports]


def _tcp_proxy(text: str | None) -> TcpProxy | None:
    if not text:
        return None
    if text.lower() not in set(TcpProxy):
        raise InvalidParameter("tcp_proxy must be close, toa_open, proxy_open or open")
    return TcpProxy(text.lower())


def _nic_id(text: str | None, field: str, error: type[UserError]) -> NicId | None:
    return NicId(checked_uuid(text, field, error)) if text else None
