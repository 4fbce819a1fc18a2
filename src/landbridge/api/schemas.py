"""Give the shapes of the bodies of endpoints (contract 3.19), and what the bodies of all resources share.

Types are strict: `"true"` is no boolean and `"80"` no number. null means absent. Unknown fields are ignored, because
newer clients send newer fields. Rules beyond types are the domain's.
"""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, StrictStr

from landbridge.api.body_fields import AddressText, Description, IdText, shown
from landbridge.api.requests import parse
from landbridge.control.endpoints import NewEndpoint
from landbridge.domain.errors import (
    EmptyTag,
    InvalidEnableDns,
    InvalidEndpointAddress,
    InvalidParameter,
    InvalidRouteTableId,
    InvalidServiceId,
    InvalidSpecification,
    InvalidSubnetId,
    InvalidTag,
    InvalidVpcId,
    InvalidWhitelist,
    MissingServiceId,
    MissingVpcId,
    UserError,
)
from landbridge.domain.ids import RouteTableId, ServiceId, SubnetId, VpcId, is_uuid
from landbridge.domain.policies import STATEMENT_LIMIT
from landbridge.domain.resources import Tag


def _list_or_empty(value: object) -> object:
    return [] if value is None else value


class Body(BaseModel):
    """A body that may have more fields than we know."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class TagBody(Body):
    """A tag (contract 4.2)."""

    key: StrictStr
    value: StrictStr | None = None


Tags = Annotated[list[TagBody], BeforeValidator(_list_or_empty)]


TAG_ERRORS: Mapping[str, type[UserError]] = {"tags.key": EmptyTag, "tags.value": InvalidTag, "tags": InvalidTag}


class EndpointBody(Body):
    """A new endpoint (contract 3.19)."""

    model_config = ConfigDict(json_schema_extra={"required": ["endpoint_service_id", "vpc_id"]})

    endpoint_service_id: IdText | None = None
    vpc_id: IdText | None = None
    subnet_id: IdText | None = None
    port_ip: AddressText | None = None
    enable_dns: StrictBool | None = None
    whitelist: Annotated[list[StrictStr], BeforeValidator(_list_or_empty)] = Field(default_factory=list[str])
    enable_whitelist: StrictBool | None = None
    description: Description | None = None
    specification_name: Annotated[StrictStr, shown(enum=["default"])] | None = None
    tags: Tags = Field(default_factory=list[TagBody])
    routetables: Annotated[list[IdText], BeforeValidator(_list_or_empty)] = Field(default_factory=list[str])
    policy_statement: Annotated[object, Field(json_schema_extra={"type": "array", "maxItems": STATEMENT_LIMIT})] = None
    policy_document: Annotated[object, Field(json_schema_extra={"type": "object"})] = None
    ip_version: Annotated[StrictStr, shown(enum=["ipv4"])] | None = None
    ipv6_address: Annotated[StrictStr, shown(maxLength=0)] | None = None


_ENDPOINT_ERRORS: Mapping[str, type[UserError]] = {
    "endpoint_service_id": InvalidServiceId,
    "vpc_id": InvalidVpcId,
    "subnet_id": InvalidSubnetId,
    "port_ip": InvalidEndpointAddress,
    "enable_dns": InvalidEnableDns,
    "whitelist": InvalidWhitelist,
    "specification_name": InvalidSpecification,
    "routetables": InvalidRouteTableId,
    **TAG_ERRORS,
}


def new_endpoint(document: Mapping[str, object]) -> NewEndpoint:
    """Return what a consumer asks for."""
    body = parse(EndpointBody, document, _ENDPOINT_ERRORS)
    if not body.endpoint_service_id:
        raise MissingServiceId("endpoint_service_id is missing: give the id of the endpoint service")
    if not body.vpc_id:
        raise MissingVpcId("vpc_id is missing: give the id of the consumer's VPC")
    if (body.ip_version or "ipv4") != "ipv4" or body.ipv6_address:
        raise InvalidParameter("endpoints have IPv4 addresses only: leave ipv6_address out, and ip_version too")
    return NewEndpoint(
        service_id=ServiceId(checked_uuid(body.endpoint_service_id, "endpoint_service_id", InvalidServiceId)),
        vpc_id=VpcId(checked_uuid(body.vpc_id, "vpc_id", InvalidVpcId)),
        subnet_id=SubnetId(checked_uuid(body.subnet_id, "subnet_id", InvalidSubnetId)) if body.subnet_id else None,
        wanted_address=body.port_ip or None,
        enable_dns=bool(body.enable_dns),
        whitelist=body.whitelist,
        enable_whitelist=bool(body.enable_whitelist),
        description=body.description or "",
        tags=resource_tags(body.tags),
        specification=body.specification_name or "default",
        policy_document=body.policy_document or None,
        policy_statement=body.policy_statement or None,
        route_table_ids=route_table_ids(body.routetables),
    )


def route_table_ids(texts: list[str]) -> list[RouteTableId]:
    """Return ids of route tables in small letters.

    Raises:
        InvalidRouteTableId: one is no UUID.
    """
    return [RouteTableId(checked_uuid(text, "routetables", InvalidRouteTableId)) for text in texts]


def resource_tags(tags: list[TagBody]) -> list[Tag]:
    """Return tags as the domain has them."""
    return [Tag(tag.key, tag.value or "") for tag in tags]


def checked_uuid(text: str, field: str, error: type[UserError]) -> str:
    """Return an id in small letters.

    Raises:
        UserError: the error that was given, for a text that is no UUID.
    """
    lowered = text.lower()
    if not is_uuid(lowered):
        raise error(f"{field} must be a UUID such as 8f0a1c52-6d3e-4c1b-9f57-2f4b1c9a7e10")
    return lowered
