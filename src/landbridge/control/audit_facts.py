"""Say what of each record counts as a fact for the audit log, as JSON with the API's names.

A fact is what somebody asked for. What the data plane reports, counters of our own and moments of change are none.
Fields are named one by one, so that a new field which is secret, or none of a tenant's business, does not get into the
log by itself. What is being deleted has no facts any more: the request to delete it is the deletion.
"""

from collections.abc import Iterable
from typing import Any

from landbridge.control.accounts import ProjectRecord, UserRecord
from landbridge.control.audit import Facts
from landbridge.domain.cutting import CutOffs, Occasion
from landbridge.domain.ids import ProjectId
from landbridge.domain.resources import (
    Backend,
    Endpoint,
    EndpointService,
    Nic,
    Permission,
    QuotaType,
    RouteTable,
    Subnet,
    Tag,
    Vpc,
    WayOut,
)


def service_facts(service: EndpointService | None) -> Facts | None:
    """Return the facts of an endpoint service."""
    if service is None or service.delete_requested_at is not None:
        return None
    facts: dict[str, Any] = {
        "service_name": service.name,
        "service_type": service.service_type.value,
        "vpc_id": service.vpc_id,
        "ports": [
            {"client_port": one.client_port, "server_port": one.server_port, "protocol": one.protocol}
            for one in service.ports
        ],
        "approval_enabled": service.approval_enabled,
        "tcp_proxy": service.tcp_proxy.value,
        "description": service.description,
        "tags": _tags(service.tags),
        "enable_policy": service.enable_policy,
        "cut_off": _cut_offs(service.cut_offs),
    }
    if service.public_owner is not None:
        facts["owner"] = service.public_owner
    return facts | _backend(service.backend)


def endpoint_facts(endpoint: Endpoint | None) -> Facts | None:
    """Return the facts of an endpoint, as its consumer may know them."""
    if endpoint is None or endpoint.delete_requested_at is not None:
        return None
    facts: dict[str, Any] = {
        "endpoint_service_id": endpoint.service_id,
        "endpoint_service_name": endpoint.service_name,
        "vpc_id": endpoint.vpc_id,
        "marker_id": endpoint.marker,
        "admission": endpoint.admission.value,
        "enable_dns": endpoint.enable_dns,
        "enable_whitelist": endpoint.enable_whitelist,
        "whitelist": _texts(endpoint.whitelist),
        "description": endpoint.description,
        "tags": _tags(endpoint.tags),
        "policy_document": endpoint.policy_document,
    }
    if endpoint.address is None:
        return facts | {"routetables": list(endpoint.route_table_ids)}
    return facts | {"subnet_id": endpoint.subnet_id, "ip": str(endpoint.address)}


def connection_facts(endpoint: Endpoint | None) -> Facts | None:
    """Return the facts of an endpoint, as the provider of its service may know them."""
    if endpoint is None or endpoint.delete_requested_at is not None:
        return None
    return {
        "endpoint_service_id": endpoint.service_id,
        "marker_id": endpoint.marker,
        "domain_id": endpoint.domain_id,
        "admission": endpoint.admission.value,
        "description": endpoint.connection_description,
    }


def permission_facts(permission: Permission | None) -> Facts | None:
    """Return the facts of a permission entry."""
    if permission is None:
        return None
    return {
        "endpoint_service_id": permission.service_id,
        "permission": permission.permission,
        "permission_type": permission.permission_type.value,
        "description": permission.description,
    }


def quota_facts(type_: QuotaType, quota: int | None) -> Facts | None:
    """Return the facts of a project's own quota; None: it has none of its own."""
    return None if quota is None else {"type": type_.value, "quota": quota}


def vpc_facts(vpc: Vpc | None) -> Facts | None:
    """Return the facts of a VPC; its routes are those of its route tables."""
    if vpc is None:
        return None
    return {"name": vpc.name, "cidr": str(vpc.cidr), "description": vpc.description}


def subnet_facts(subnet: Subnet | None) -> Facts | None:
    """Return the facts of a subnet."""
    if subnet is None:
        return None
    return {
        "name": subnet.name,
        "vpc_id": subnet.vpc_id,
        "cidr": str(subnet.cidr),
        "gateway_ip": str(subnet.gateway),
        "mtu": subnet.mtu,
        "description": subnet.description,
        "dhcp_enable": subnet.dhcp_enabled,
        "dns_list": _texts(subnet.dns_servers),
        "routetable_id": subnet.route_table_id,
    }


def nic_facts(nic: Nic | None) -> Facts | None:
    """Return the facts of a NIC or virtual IP."""
    if nic is None:
        return None
    return {
        "name": nic.name,
        "vpc_id": nic.vpc_id,
        "subnet_id": nic.subnet_id,
        "ip_address": str(nic.address),
        "device_owner": nic.device_owner,
        "allowed_address_pairs": [{"ip_address": str(one.address), "mac": one.mac} for one in nic.address_pairs],
        "host": nic.host,
    }


def route_table_facts(table: RouteTable | None) -> Facts | None:
    """Return the facts of a route table."""
    if table is None:
        return None
    return {
        "name": table.name,
        "vpc_id": table.vpc_id,
        "default": table.is_default,
        "description": table.description,
        "routes": [
            {
                "destination": str(one.destination),
                "type": one.kind,
                "nexthop": one.next_hop,
                "description": one.description,
            }
            for one in table.routes
        ],
    }


def project_facts(project: ProjectRecord | None) -> Facts | None:
    """Return the facts of a project."""
    if project is None:
        return None
    return {"name": project.name, "domain_id": project.domain_id, "domain_name": project.domain_name}


def user_facts(user: UserRecord | None, *, has_new_password: bool = False) -> Facts | None:
    """Return the facts of a user; of a password only whether it is another one than before."""
    if user is None:
        return None
    return {
        "name": user.name,
        "domain_id": user.domain_id,
        "domain_name": user.domain_name,
        "roles": {project_id: sorted(names) for project_id, names in sorted(user.roles.items())},
        # The keys' names, which whoever signs sends openly; never their secrets.
        "access_keys": [key.access_key for key in user.access_keys],
        "password": "set anew" if has_new_password else "set",
    }


def member_facts(user: UserRecord | None, project_id: ProjectId) -> Facts | None:
    """Return what of a user is a project's business: the name, and the roles in this project."""
    if user is None or project_id not in user.roles:
        return None
    return {"name": user.name, "domain_name": user.domain_name, "roles": sorted(user.roles[project_id])}


def _backend(backend: Backend | WayOut) -> dict[str, Any]:
    if isinstance(backend, WayOut):
        return {"subnet_id": backend.subnet_id, "networks": _texts(backend.networks)}
    return {
        "server_type": backend.server_type.value,
        "port_id": backend.nic_id,
        "vip_port_id": backend.vip_nic_id,
        "ip": str(backend.address),
    }


def _cut_offs(chosen: CutOffs) -> dict[str, Any]:
    choices = ((occasion.value, getattr(chosen, occasion.value)) for occasion in Occasion)
    return {name: {"mode": choice.mode.value, "deadline_seconds": choice.deadline_seconds} for name, choice in choices}


def _tags(tags: Iterable[Tag]) -> list[dict[str, str]]:
    return [{"key": one.key, "value": one.value} for one in tags]


def _texts(values: Iterable[object]) -> list[str]:
    return [str(value) for value in values]
