"""Give the shapes of the bodies of the VPC API and turn them into what the use cases take.

The shapes are those that the cloud's own SDK sends (docs/reference/vpc-api.md). As in `schemas`, types are strict,
null means absent and unknown fields are ignored: what a network of ours does not have (security groups, IPv6, tags)
may be sent and changes nothing.
"""

import re
from collections.abc import Mapping
from typing import Annotated

from fastapi import Request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, StrictStr

from landbridge.api.operations import Parameter
from landbridge.api.parameters import choice
from landbridge.api.requests import parse
from landbridge.control.network_rules import NetworkPage
from landbridge.control.networks import NewSubnet, NewVpc, SubnetChanges, VpcChanges
from landbridge.control.nics import NewNic, NicChanges
from landbridge.domain.errors import InvalidLimit, InvalidParameter, UserError
from landbridge.domain.ids import SubnetId, VpcId
from landbridge.domain.network_errors import InvalidPort, InvalidSubnet, InvalidSubnetRange, InvalidVpc, InvalidVpcRange

PAGE_LIMIT = 2000
_VALUE_LIMIT = 255
VALUES_LIMIT = 100
_NUMBER = re.compile(r"[0-9]{1,9}")

ID_SCHEMA = {"type": "string", "maxLength": _VALUE_LIMIT}
PAGING = (
    Parameter(
        "limit",
        f"How many entries at most, 0 to {PAGE_LIMIT}.",
        {"type": "integer", "minimum": 0, "maximum": PAGE_LIMIT, "default": PAGE_LIMIT},
    ),
    Parameter("marker", "The id of the last entry of the page before; entries come in the order of ids.", ID_SCHEMA),
)
STATUS = Parameter("status", "Only ports with this status.", choice("ACTIVE", "DOWN", "BUILD"))


class NetworkQuery:
    """The query parameters of one request; unknown ones are ignored, and some may be given several times."""

    def __init__(self, request: Request) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in request.query_params.multi_items():
            self._values.setdefault(name, []).append(value)

    def texts(self, name: str) -> tuple[str, ...]:
        """Return all values of a parameter that are not empty.

        Raises:
            InvalidParameter: over-long, with a NUL character, or too many.
        """
        values = tuple(value for value in self._values.get(name, ()) if value)
        if len(values) > VALUES_LIMIT or any(len(value) > _VALUE_LIMIT or "\0" in value for value in values):
            raise InvalidParameter(
                f"{name} must be at most {_VALUE_LIMIT} characters, without NUL, and be given {VALUES_LIMIT} times "
                "at most"
            )
        return values

    def text(self, name: str) -> str | None:
        """Return a parameter, None if absent or empty.

        Raises:
            InvalidParameter: over-long, with a NUL character, or given twice.
        """
        values = self.texts(name)
        if len(values) > 1:
            raise InvalidParameter(f"the parameter {name} is given twice: give it once")
        return values[0] if values else None

    def page(self) -> NetworkPage:
        """Return limit and marker.

        Raises:
            InvalidLimit: no number, or too large.
        """
        text = self.text("limit") or str(PAGE_LIMIT)
        if _NUMBER.fullmatch(text) is None or int(text) > PAGE_LIMIT:
            raise InvalidLimit(f"limit must be a number from 0 to {PAGE_LIMIT}")
        return NetworkPage(int(text), self.text("marker"))


def list_or_empty(value: object) -> object:
    """Return an empty list for null."""
    return [] if value is None else value


class NetworkBody(BaseModel):
    """A part of a body: unknown members are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)


Texts = Annotated[list[StrictStr], BeforeValidator(list_or_empty)]


class VpcToCreate(NetworkBody):
    """A new VPC."""

    name: StrictStr | None = None
    cidr: StrictStr
    description: StrictStr | None = None


class CreateVpcBody(NetworkBody):
    """The body of a creation."""

    vpc: VpcToCreate


class VpcToUpdate(NetworkBody):
    """What of a VPC is to change."""

    name: StrictStr | None = None
    cidr: StrictStr | None = None
    description: StrictStr | None = None
    routes: list[object] | None = Field(default=None, description="Not here: change the VPC's route tables.")


class UpdateVpcBody(NetworkBody):
    """The body of a change."""

    vpc: VpcToUpdate


_VPC_ERRORS: Mapping[str, type[UserError]] = {"vpc": InvalidVpc, "vpc.cidr": InvalidVpcRange}


def new_vpc(document: Mapping[str, object]) -> NewVpc:
    """Return the VPC that somebody asks for."""
    vpc = parse(CreateVpcBody, document, _VPC_ERRORS).vpc
    return NewVpc(vpc.name or "", vpc.cidr, vpc.description or "")


def vpc_changes(document: Mapping[str, object]) -> VpcChanges:
    """Return what of a VPC is to change."""
    vpc = parse(UpdateVpcBody, document, _VPC_ERRORS).vpc
    if vpc.routes:
        raise InvalidVpc("routes are changed through routetables, not through the VPC: leave them out")
    return VpcChanges(vpc.name, vpc.description, vpc.cidr)


class SubnetToCreate(NetworkBody):
    """A new subnet."""

    name: StrictStr
    cidr: StrictStr
    vpc_id: StrictStr
    gateway_ip: StrictStr | None = None
    description: StrictStr | None = None
    dhcp_enable: StrictBool | None = None
    primary_dns: StrictStr | None = None
    secondary_dns: StrictStr | None = None
    dnsList: Texts = Field(default_factory=list[str])  # noqa: N815 — as it is on the wire


class CreateSubnetBody(NetworkBody):
    """The body of a creation."""

    subnet: SubnetToCreate


class SubnetToUpdate(NetworkBody):
    """What of a subnet is to change."""

    name: StrictStr | None = None
    description: StrictStr | None = None
    dhcp_enable: StrictBool | None = None
    primary_dns: StrictStr | None = None
    secondary_dns: StrictStr | None = None
    dnsList: list[StrictStr] | None = None  # noqa: N815 — as it is on the wire


class UpdateSubnetBody(NetworkBody):
    """The body of a change."""

    subnet: SubnetToUpdate


_SUBNET_ERRORS: Mapping[str, type[UserError]] = {"subnet": InvalidSubnet, "subnet.cidr": InvalidSubnetRange}


def new_subnet(document: Mapping[str, object]) -> NewSubnet:
    """Return the subnet that somebody asks for."""
    subnet = parse(CreateSubnetBody, document, _SUBNET_ERRORS).subnet
    return NewSubnet(
        vpc_id=VpcId(subnet.vpc_id),
        name=subnet.name,
        cidr=subnet.cidr,
        gateway=subnet.gateway_ip or None,
        description=subnet.description or "",
        dhcp_enabled=True if subnet.dhcp_enable is None else subnet.dhcp_enable,
        dns_servers=_dns_servers(subnet.primary_dns, subnet.secondary_dns, subnet.dnsList),
    )


def subnet_changes(document: Mapping[str, object]) -> SubnetChanges:
    """Return what of a subnet is to change."""
    subnet = parse(UpdateSubnetBody, document, _SUBNET_ERRORS).subnet
    has_dns = any(value is not None for value in (subnet.primary_dns, subnet.secondary_dns, subnet.dnsList))
    servers = _dns_servers(subnet.primary_dns, subnet.secondary_dns, subnet.dnsList or []) if has_dns else None
    return SubnetChanges(subnet.name, subnet.description, subnet.dhcp_enable, servers)


def _dns_servers(primary: str | None, secondary: str | None, others: list[str]) -> list[str]:
    """Return all servers once: `dnsList` has the first two again."""
    return list(dict.fromkeys(server for server in (primary, secondary, *others) if server))


class FixedIpBody(NetworkBody):
    """An address that a port shall have."""

    ip_address: StrictStr | None = None
    subnet_id: StrictStr | None = None


class AddressPairBody(NetworkBody):
    """An address or range that a port may use beside its own."""

    ip_address: StrictStr
    mac_address: StrictStr | None = Field(default=None, max_length=32)


AddressPairs = Annotated[list[AddressPairBody], BeforeValidator(list_or_empty)]
FixedIps = Annotated[list[FixedIpBody], BeforeValidator(list_or_empty)]


class PortToCreate(NetworkBody):
    """A new port."""

    network_id: StrictStr
    name: StrictStr | None = None
    fixed_ips: FixedIps = Field(default_factory=list[FixedIpBody])
    device_owner: StrictStr | None = None
    allowed_address_pairs: AddressPairs = Field(default_factory=list[AddressPairBody])


class CreatePortBody(NetworkBody):
    """The body of a creation."""

    port: PortToCreate


class PortToUpdate(NetworkBody):
    """What of a port is to change."""

    name: StrictStr | None = None
    allowed_address_pairs: list[AddressPairBody] | None = None


class UpdatePortBody(NetworkBody):
    """The body of a change."""

    port: PortToUpdate


_PORT_ERRORS: Mapping[str, type[UserError]] = {"port": InvalidPort}


def new_nic(document: Mapping[str, object]) -> NewNic:
    """Return the port that somebody asks for."""
    port = parse(CreatePortBody, document, _PORT_ERRORS).port
    if len(port.fixed_ips) > 1:
        raise InvalidPort("fixed_ips has more than one address: a port has one, give others as allowed_address_pairs")
    fixed = port.fixed_ips[0] if port.fixed_ips else FixedIpBody()
    if fixed.subnet_id not in {None, "", port.network_id}:
        raise InvalidPort("fixed_ips.subnet_id is another subnet than network_id: here both are the subnet's id")
    return NewNic(
        subnet_id=SubnetId(port.network_id),
        name=port.name or "",
        wanted_address=fixed.ip_address or None,
        device_owner=port.device_owner or "",
        address_pairs=_pairs(port.allowed_address_pairs),
    )


def nic_changes(document: Mapping[str, object]) -> NicChanges:
    """Return what of a port is to change."""
    port = parse(UpdatePortBody, document, _PORT_ERRORS).port
    pairs = port.allowed_address_pairs
    return NicChanges(port.name, None if pairs is None else _pairs(pairs))


def _pairs(pairs: list[AddressPairBody]) -> list[tuple[str, str]]:
    return [(pair.ip_address, pair.mac_address or "") for pair in pairs]
