"""Turn rows into records and records into rows, for VPCs, subnets, NICs and route tables.

Every field goes both ways unchanged. Lists that are only ever read whole are JSON.
"""

from ipaddress import IPv4Address, IPv4Network

from landbridge.domain.resources import AddressPair, Nic, Origin, Route, RouteTable, Subnet, Vpc
from landbridge.store.rows import AnyRow, Values


def vpc_values(vpc: Vpc) -> Values:
    """Return the columns of a VPC."""
    return {
        "id": vpc.id,
        "project_id": vpc.project_id,
        "name": vpc.name,
        "cidr": str(vpc.cidr),
        "routes": [str(route) for route in vpc.routes],
        "description": vpc.description,
        "origin": vpc.origin.value,
        "created_at": vpc.created_at,
        "updated_at": vpc.updated_at,
    }


def vpc_from_row(row: AnyRow) -> Vpc:
    """Return the VPC that a row holds."""
    return Vpc(
        id=row.id,
        project_id=row.project_id,
        name=row.name,
        cidr=IPv4Network(row.cidr),
        routes=tuple(IPv4Network(route) for route in row.routes),
        description=row.description,
        origin=Origin(row.origin),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def subnet_values(subnet: Subnet) -> Values:
    """Return the columns of a subnet."""
    return {
        "id": subnet.id,
        "vpc_id": subnet.vpc_id,
        "name": subnet.name,
        "cidr": str(subnet.cidr),
        "gateway": subnet.gateway,
        "mtu": subnet.mtu,
        "description": subnet.description,
        "dhcp_enabled": subnet.dhcp_enabled,
        "dns_servers": [str(server) for server in subnet.dns_servers],
        "route_table_id": subnet.route_table_id,
        "origin": subnet.origin.value,
        "created_at": subnet.created_at,
        "updated_at": subnet.updated_at,
    }


def subnet_from_row(row: AnyRow) -> Subnet:
    """Return the subnet that a row holds."""
    return Subnet(
        id=row.id,
        vpc_id=row.vpc_id,
        name=row.name,
        cidr=IPv4Network(row.cidr),
        gateway=row.gateway,
        mtu=row.mtu,
        description=row.description,
        dhcp_enabled=row.dhcp_enabled,
        dns_servers=tuple(IPv4Address(server) for server in row.dns_servers),
        route_table_id=row.route_table_id,
        origin=Origin(row.origin),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def nic_values(nic: Nic) -> Values:
    """Return the columns of a NIC."""
    return {
        "id": nic.id,
        "subnet_id": nic.subnet_id,
        "vpc_id": nic.vpc_id,
        "project_id": nic.project_id,
        "address": nic.address,
        "name": nic.name,
        "is_virtual_ip": nic.is_virtual_ip,
        "device_owner": nic.device_owner,
        "address_pairs": [[str(pair.address), pair.mac] for pair in nic.address_pairs],
        "host": nic.host,
        "origin": nic.origin.value,
    }


def nic_from_row(row: AnyRow) -> Nic:
    """Return the NIC that a row holds."""
    return Nic(
        id=row.id,
        subnet_id=row.subnet_id,
        vpc_id=row.vpc_id,
        project_id=row.project_id,
        address=row.address,
        name=row.name,
        is_virtual_ip=row.is_virtual_ip,
        device_owner=row.device_owner,
        address_pairs=tuple(AddressPair(IPv4Network(address), mac) for address, mac in row.address_pairs),
        host=row.host,
        origin=Origin(row.origin),
    )


def route_table_values(table: RouteTable) -> Values:
    """Return the columns of a route table."""
    return {
        "id": table.id,
        "vpc_id": table.vpc_id,
        "project_id": table.project_id,
        "name": table.name,
        "is_default": table.is_default,
        "routes": [[str(route.destination), route.kind, route.next_hop, route.description] for route in table.routes],
        "description": table.description,
        "created_at": table.created_at,
        "updated_at": table.updated_at,
    }


def route_table_from_row(row: AnyRow) -> RouteTable:
    """Return the route table that a row holds."""
    return RouteTable(
        id=row.id,
        vpc_id=row.vpc_id,
        project_id=row.project_id,
        name=row.name,
        is_default=row.is_default,
        routes=tuple(
            Route(IPv4Network(destination), kind, next_hop, description)
            for destination, kind, next_hop, description in row.routes
        ),
        description=row.description,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
