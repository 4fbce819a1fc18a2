"""Say which VPCs, subnets, ports and routes there can be.

Pure: each rule is one function that returns the value in the domain's form, or raises the error that is named after
the rule. The same rules as in a lab file, so that both make networks of one kind.
"""

import re
from collections.abc import Iterable
from ipaddress import AddressValueError, IPv4Address, IPv4Network
from uuid import NAMESPACE_OID, uuid5

from landbridge.domain.errors import UserError
from landbridge.domain.ids import NicId, RouteTableId, VpcId
from landbridge.domain.network_errors import (
    InvalidSubnet,
    InvalidSubnetRange,
    InvalidVpcRange,
    SubnetOutsideVpc,
    SubnetOverlap,
)
from landbridge.domain.resources import Route, RouteTable, Subnet, Vpc

WIDEST_PREFIX, NARROWEST_PREFIX = 8, 29
NAME_LIMIT, PORT_NAME_LIMIT, DESCRIPTION_LIMIT = 64, 255, 255
ROUTE_LIMIT = 200
"""Routes of one route table."""

VPC_LIMIT, SUBNET_LIMIT, PORT_LIMIT = 100, 500, 1000
"""How many of each one project may have. A bound against exhaustion, not a quota that is sold."""
ROUTE_TABLE_LIMIT = 10
"""Route tables of one VPC."""

LAB_ROUTE = "lab"
"""The kind of a route that the lab file names; such a route has no next hop."""

UNUSABLE_RANGES = tuple(
    IPv4Network(cidr) for cidr in ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4")
)
"""Ranges whose addresses no kernel routes between hosts."""

_NAME = re.compile(r"[\w.-]*")
_NO_HOST_CHARACTER = re.compile(r"[^A-Za-z0-9_-]+")
_HOST_NAME_LIMIT = 32


def check_name(text: str, error: type[UserError], *, shortest: int = 1) -> str:
    """Return the name of a VPC, subnet or route table: letters, digits, `_`, `-` and `.`, at most 64."""
    if not shortest <= len(text) <= NAME_LIMIT or _NAME.fullmatch(text) is None:
        raise error(f"name must be {shortest} to {NAME_LIMIT} letters, digits, underscores, hyphens and periods")
    return text


def check_port_name(text: str, error: type[UserError]) -> str:
    """Return the name of a port: at most 255 printable characters."""
    if len(text) > PORT_NAME_LIMIT or not text.isprintable():
        raise error(f"name must be at most {PORT_NAME_LIMIT} printable characters")
    return text


def check_network_description(text: str, error: type[UserError]) -> str:
    """Return the description of a network: at most 255 characters, neither `<` nor `>`."""
    if len(text) > DESCRIPTION_LIMIT or "<" in text or ">" in text:
        raise error(f"description must be at most {DESCRIPTION_LIMIT} characters, without < and >")
    return text


def check_range(text: str, error: type[UserError], example: str) -> IPv4Network:
    """Return a range written as network address and prefix length."""
    try:
        network = IPv4Network(text)
    except ValueError:
        raise error(f"{text[:32]!r} is no range: write one such as {example}, without host bits") from None
    if "/" not in text:
        raise error(f"{text[:32]!r} has no prefix length: write a range such as {example}")
    return network


def check_address(text: str, field: str, error: type[UserError]) -> IPv4Address:
    """Return an IPv4 address."""
    try:
        return IPv4Address(text)
    except AddressValueError:
        raise error(f"{field} must be an IPv4 address such as 10.0.0.20") from None


def check_vpc_range(text: str) -> IPv4Network:
    """Return the range of a VPC.

    Raises:
        InvalidVpcRange: no range, too wide, too narrow, or of addresses that no host can have.
    """
    cidr = check_range(text, InvalidVpcRange, "10.0.0.0/16")
    if not WIDEST_PREFIX <= cidr.prefixlen <= NARROWEST_PREFIX or any(map(cidr.overlaps, UNUSABLE_RANGES)):
        raise InvalidVpcRange(
            f"cidr must be /{WIDEST_PREFIX} to /{NARROWEST_PREFIX} of ordinary unicast addresses, such as 10.0.0.0/16"
        )
    return cidr


def check_subnet_range(text: str, vpc: Vpc, others: Iterable[Subnet]) -> IPv4Network:
    """Return the range of a new subnet.

    Raises:
        InvalidSubnetRange: no range, or too narrow.
        SubnetOutsideVpc: not inside the VPC's range.
        SubnetOverlap: another subnet has some of it.
    """
    example = str(IPv4Network((vpc.cidr.network_address, max(24, vpc.cidr.prefixlen))))
    cidr = check_range(text, InvalidSubnetRange, example)
    if cidr.prefixlen > NARROWEST_PREFIX:
        raise InvalidSubnetRange(f"cidr must be /{NARROWEST_PREFIX} or larger, such as {example}")
    if not cidr.subnet_of(vpc.cidr):
        raise SubnetOutsideVpc(f"cidr {cidr} is outside VPC {vpc.id}, which has {vpc.cidr}: choose a range inside it")
    for other in others:
        if cidr.overlaps(other.cidr):
            raise SubnetOverlap(f"cidr {cidr} overlaps {other.cidr} of subnet {other.id}: choose a range that is free")
    return cidr


def check_gateway(text: str | None, cidr: IPv4Network) -> IPv4Address:
    """Return the gateway's address, the first host address if none is given.

    Raises:
        InvalidSubnet: it is no host address of the subnet.
    """
    first = cidr.network_address + 1
    if not text:
        return first
    gateway = check_address(text, "gateway_ip", InvalidSubnet)
    if gateway not in cidr or gateway in {cidr.network_address, cidr.broadcast_address}:
        raise InvalidSubnet(f"gateway_ip {gateway} is no host address of {cidr}: write one such as {first}")
    return gateway


def default_route_table_id(vpc_id: VpcId) -> RouteTableId:
    """Return the id of a VPC's default route table; derived, so that a lab's VPC always has the same."""
    return RouteTableId(str(uuid5(NAMESPACE_OID, f"landbridge/route-table/{vpc_id}")))


def default_route_table(vpc: Vpc) -> RouteTable:
    """Return a new VPC's default route table, with the routes that the lab file names."""
    return RouteTable(
        id=default_route_table_id(vpc.id),
        vpc_id=vpc.id,
        project_id=vpc.project_id,
        name="default",
        is_default=True,
        routes=tuple(Route(destination, LAB_ROUTE, "") for destination in vpc.routes),
        created_at=vpc.created_at,
        updated_at=vpc.updated_at,
    )


def with_lab_routes(table: RouteTable, destinations: Iterable[IPv4Network]) -> tuple[Route, ...]:
    """Return the routes of a default route table after the lab file has changed: its routes, then the others."""
    lab_routes = tuple(Route(destination, LAB_ROUTE, "") for destination in destinations)
    of_lab = {route.destination for route in lab_routes}
    others = (route for route in table.routes if route.kind != LAB_ROUTE and route.destination not in of_lab)
    return (*lab_routes, *others)


def destinations_of(tables: Iterable[RouteTable]) -> tuple[IPv4Network, ...]:
    """Return where the custom routes of a VPC lead, each destination once, in the order of the tables."""
    return tuple(dict.fromkeys(route.destination for table in tables for route in table.routes))


def mac_of(nic_id: NicId) -> str:
    """Return the MAC that a NIC always has: locally administered, and derived, so that nothing need be stored."""
    digits = uuid5(NAMESPACE_OID, f"landbridge/mac/{nic_id}").hex
    return ":".join(["02", *(digits[at : at + 2] for at in range(0, 10, 2))])


def host_name(port_name: str, nic_id: NicId) -> str:
    """Return the name that a port's host gets in a lab: the port's, as far as a host can have it."""
    name = _NO_HOST_CHARACTER.sub("-", port_name).strip("-_")[:_HOST_NAME_LIMIT].rstrip("-_")
    return name or f"port-{nic_id[:8]}"


def other_host_name(name: str, nic_id: NicId) -> str:
    """Return the name of a port's host where another host has the first one."""
    return f"{name[: _HOST_NAME_LIMIT - 9]}-{nic_id[:8]}"
