"""Write resources as the wire shows them (contract section 4)."""

import json
from datetime import datetime, timedelta
from typing import Any

from landbridge.api.problems import failure_items
from landbridge.control.endpoints import CUT_SECONDS
from landbridge.control.quotas import Quota
from landbridge.domain.draining import cut_due_since
from landbridge.domain.errors import CutOverdue
from landbridge.domain.lifecycle import EndpointStatus, endpoint_status, service_status, shows_address
from landbridge.domain.naming import endpoint_dns_name
from landbridge.domain.resources import (
    Backend,
    Endpoint,
    EndpointService,
    Failure,
    Permission,
    ServerType,
    ServiceType,
    Tag,
)

Json = dict[str, Any]

BORDER_GROUP = "center"
"""The value of `public_border_group`; clients want it non-empty (contract 4.4)."""


def moment(at: datetime) -> str:
    """Return a moment as the wire shows it: UTC, whole seconds, `Z` (contract 1.4)."""
    # Not by strftime: long lists have hundreds of moments, and it takes four times as long.
    return f"{at.isoformat()[:19]}Z"


def service_body(service: EndpointService, connection_count: int) -> Json:
    """Return a service object, the union that list, show and create use (contract 4.4)."""
    body: Json = {
        "id": service.id,
        "service_name": service.name,
        "service_type": service.service_type.value,
        "vpc_id": service.vpc_id,
        "pool_id": service.pool_id,
        "approval_enabled": service.approval_enabled,
        "status": service_status(service).value,
        "created_at": moment(service.created_at),
        "updated_at": moment(service.updated_at),
        "project_id": service.project_id,
        "domain_id": service.domain_id,
        "cidr_type": "internal",
        "ports": [
            {
                "client_port": mapping.client_port,
                "server_port": mapping.server_port,
                "protocol": mapping.protocol,
            }
            for mapping in service.ports
        ],
        "tcp_proxy": service.tcp_proxy.value,
        "tags": _tags(service.tags),
        "description": service.description,
        "connection_count": connection_count,
        "enable_policy": service.enable_policy,
        "supported_editions": ["basic"],
        "public_border_group": BORDER_GROUP,
        "error": failure_items([service.last_error] if service.last_error else []),
    }
    backend = service.backend
    if isinstance(backend, Backend):
        body |= {"port_id": backend.nic_id, "server_type": backend.server_type.value}
        if backend.server_type is ServerType.VIP:
            body["vip_port_id"] = backend.vip_nic_id or backend.nic_id
    return body


def created_service_body(service: EndpointService) -> Json:
    """Return a service as the answer to its creation shows it: without `error`, always `creating`."""
    body = service_body(service, 0)
    del body["error"]
    return body


def changed_service_body(service: EndpointService, connection_count: int) -> Json:
    """Return a service as the answer to a change shows it: without `error`, as after its creation (contract 3.6)."""
    body = service_body(service, connection_count)
    del body["error"]
    return body


def public_service_body(service: EndpointService) -> Json:
    """Return what the list of public services shows (contract 3.8)."""
    return {
        "id": service.id,
        "owner": service.public_owner or "",
        "service_name": service.name,
        "service_type": service.service_type.value,
        "created_at": moment(service.created_at),
        "is_charge": False,
        "enable_policy": service.enable_policy,
    }


def described_service_body(service: EndpointService) -> Json:
    """Return what any tenant may know about a service (contract 3.9)."""
    return {
        "id": service.id,
        "service_name": service.name,
        "service_type": service.service_type.value,
        "created_at": moment(service.created_at),
        "is_charge": False,
        "public_border_group": BORDER_GROUP,
        "enable_policy": service.enable_policy,
    }


def endpoint_body(endpoint: Endpoint, now: datetime, region: str, dns_domain: str) -> Json:
    """Return an endpoint object (contract 4.5)."""
    body: Json = {
        "id": endpoint.id,
        "service_type": endpoint.service_type.value,
        "status": endpoint_status(endpoint).value,
        "active_status": ["active"],
        "enable_status": "enable",
        "specification_name": "default",
        "endpoint_service_id": endpoint.service_id,
        "endpoint_service_name": endpoint.service_name,
        "marker_id": endpoint.marker,
        "enable_dns": endpoint.enable_dns,
        "vpc_id": endpoint.vpc_id,
        "project_id": endpoint.project_id,
        "created_at": moment(endpoint.created_at),
        "updated_at": moment(endpoint.updated_at),
        "tags": _tags(endpoint.tags),
        "whitelist": [_whitelist_entry(str(network)) for network in endpoint.whitelist],
        "enable_whitelist": endpoint.enable_whitelist,
        "routetables": list(endpoint.route_table_ids),
        "description": endpoint.description,
        "endpoint_pool_id": endpoint.pool_id,
        "public_border_group": BORDER_GROUP,
        "error": failure_items(_failures(endpoint, now)),
    }
    is_interface = endpoint.service_type is ServiceType.INTERFACE
    if is_interface:
        body["subnet_id"] = endpoint.subnet_id
    if is_interface and shows_address(endpoint):
        body["ip"] = str(endpoint.address)
    if is_interface and endpoint.enable_dns and endpoint_status(endpoint) is EndpointStatus.ACCEPTED:
        body["dns_names"] = [endpoint_dns_name(endpoint.id, region, dns_domain)]
    if endpoint.policy_document is not None:
        policy = json.loads(endpoint.policy_document)
        body["policy_statement" if isinstance(policy, list) else "policy_document"] = policy
    return body


def changed_endpoint_body(endpoint: Endpoint, now: datetime, region: str, dns_domain: str) -> Json:
    """Return an endpoint as the answer to a change of its access shows it: without `routetables` (contract 3.22)."""
    body = endpoint_body(endpoint, now, region, dns_domain)
    del body["routetables"]
    return body


def quota_body(quota: Quota) -> Json:
    """Return a quota; `used` is never shown above it, as it may be after a quota was lowered (contract 4.8)."""
    return {"type": quota.type.value, "used": min(quota.used, quota.limit), "quota": quota.limit}


def connection_body(endpoint: Endpoint, now: datetime) -> Json:
    """Return an endpoint as its provider sees it: no network facts of the consumer (contract 4.6)."""
    return {
        "id": endpoint.id,
        "marker_id": endpoint.marker,
        "created_at": moment(endpoint.created_at),
        "updated_at": moment(endpoint.updated_at),
        "domain_id": endpoint.domain_id,
        "status": endpoint_status(endpoint).value,
        "description": endpoint.connection_description,
        "error": failure_items(_failures(endpoint, now)),
    }


def permission_body(permission: Permission) -> Json:
    """Return a permission entry (contract 4.7)."""
    return {
        "id": permission.id,
        "permission": permission.permission,
        "permission_type": permission.permission_type.value,
        "created_at": moment(permission.created_at),
        "description": permission.description,
    }


def _failures(endpoint: Endpoint, now: datetime) -> list[Failure]:
    failures = [endpoint.last_error] if endpoint.last_error else []
    due_since = cut_due_since(endpoint, now)
    if due_since is not None and now - due_since >= timedelta(seconds=CUT_SECONDS):
        failures.append(
            Failure(CutOverdue.slug, "the data plane has not confirmed the cut yet; it is tried again by itself")
        )
    return failures


def _whitelist_entry(network: str) -> str:
    return network.removesuffix("/32")


def _tags(tags: tuple[Tag, ...]) -> list[Json]:
    return [{"key": tag.key, "value": tag.value} for tag in tags]
