"""Write networks as the clients of the cloud's VPC API read them (docs/reference/vpc-api.md).

Every member that the SDK's models have is there, with the value of a network that lacks the thing; a moment that the
directory does not know is absent.
"""

from datetime import datetime

from landbridge.api.presentation import Json, moment
from landbridge.control.networks import ShownVpc
from landbridge.control.route_tables import ShownRouteTable
from landbridge.domain.networking import mac_of
from landbridge.domain.resources import Nic, Route, Subnet


def vpc_body(shown: ShownVpc) -> Json:
    """Return a VPC; it is `OK` from its creation on."""
    vpc = shown.vpc
    return {
        "id": vpc.id,
        "name": vpc.name,
        "description": vpc.description,
        "cidr": str(vpc.cidr),
        "status": "OK",
        "tenant_id": vpc.project_id,
        "enterprise_project_id": "0",
        "routes": [{"destination": str(route.destination), "nexthop": route.next_hop} for route in shown.routes],
        "enable_network_address_usage_metrics": False,
        **_moments(vpc.created_at, vpc.updated_at),
    }


def subnet_body(subnet: Subnet, project_id: str) -> Json:
    """Return a subnet, whose network and Neutron subnet have its own id; it is `ACTIVE` from its creation on."""
    servers = [str(server) for server in subnet.dns_servers]
    return {
        "id": subnet.id,
        "name": subnet.name,
        "description": subnet.description,
        "cidr": str(subnet.cidr),
        "gateway_ip": str(subnet.gateway),
        "ipv6_enable": False,
        "cidr_v6": "",
        "gateway_ip_v6": "",
        "dhcp_enable": subnet.dhcp_enabled,
        "primary_dns": servers[0] if servers else "",
        "secondary_dns": servers[1] if len(servers) > 1 else "",
        "dnsList": servers,
        "availability_zone": "",
        "vpc_id": subnet.vpc_id,
        "status": "ACTIVE",
        "neutron_network_id": subnet.id,
        "neutron_subnet_id": subnet.id,
        "neutron_subnet_id_v6": "",
        "extra_dhcp_opts": [],
        "scope": "center",
        "tenant_id": project_id,
        "enable_network_address_usage_metrics": False,
        **_moments(subnet.created_at, subnet.updated_at),
    }


def nic_status(nic: Nic) -> str:
    """Return `ACTIVE` for a port with a host, `DOWN` for a virtual IP, as in the cloud."""
    return "DOWN" if nic.is_virtual_ip else "ACTIVE"


def nic_body(nic: Nic) -> Json:
    """Return a port."""
    return {
        "id": nic.id,
        "name": nic.name,
        "network_id": nic.subnet_id,
        "admin_state_up": True,
        "mac_address": mac_of(nic.id),
        "fixed_ips": [{"ip_address": str(nic.address), "subnet_id": nic.subnet_id}],
        "device_id": "",
        "device_owner": nic.device_owner,
        "tenant_id": nic.project_id,
        "status": nic_status(nic),
        "security_groups": [],
        "allowed_address_pairs": [
            {"ip_address": str(pair.address).removesuffix("/32"), "mac_address": pair.mac} for pair in nic.address_pairs
        ],
        "extra_dhcp_opts": [],
        "binding:vnic_type": "normal",
        "binding:vif_details": {},
        "binding:profile": {},
        "dns_assignment": [],
        "dns_name": "",
        "instance_id": "",
        "instance_type": "",
        "port_security_enabled": False,
        "zone_id": "",
        "enable_efi": False,
        "ipv6_bandwidth_id": "",
    }


def listed_route_table_body(shown: ShownRouteTable) -> Json:
    """Return a route table as lists show it: without its routes."""
    table = shown.table
    return {
        "id": table.id,
        "name": table.name,
        "description": table.description,
        "default": table.is_default,
        "vpc_id": table.vpc_id,
        "tenant_id": table.project_id,
        "subnets": [{"id": subnet_id} for subnet_id in shown.subnet_ids],
        **_moments(table.created_at, table.updated_at),
    }


def route_table_body(shown: ShownRouteTable) -> Json:
    """Return a route table with its custom routes, and those that gateway endpoints have put into it."""
    routes = (*shown.table.routes, *shown.endpoint_routes)
    return {**listed_route_table_body(shown), "routes": [_route(route) for route in routes]}


def _route(route: Route) -> Json:
    return {
        "type": route.kind,
        "destination": str(route.destination),
        "nexthop": route.next_hop,
        "description": route.description,
    }


def _moments(created_at: datetime | None, updated_at: datetime | None) -> Json:
    moments = {"created_at": created_at, "updated_at": updated_at}
    return {name: moment(at) for name, at in moments.items() if at is not None}
