"""Turn rows into records and records into rows, for services, endpoints and permissions.

Every field goes both ways unchanged. Lists that are only ever read whole (ports, tags, whitelists) are JSON. The ids of
endpoints are interned: there are many rows, each has the ids of few others, and its own is kept in many places.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network
from sys import intern
from typing import Any

from sqlalchemy import Row

from landbridge.domain.cutting import CutMode, CutOff, CutOffs, FormerClients, Grace, Occasion
from landbridge.domain.draining import next_cut_at
from landbridge.domain.resources import (
    Admission,
    Backend,
    Endpoint,
    EndpointService,
    Failure,
    Origin,
    Permission,
    PermissionType,
    PortMapping,
    ServerType,
    ServiceType,
    Tag,
    TcpProxy,
    WayOut,
)

AnyRow = Row[*tuple[Any, ...]]
"""A row of one of our tables, read by column name."""

Values = dict[str, Any]
"""Column values by column name."""

_kept: Callable[[Any], Any] = intern


def service_values(service: EndpointService) -> Values:
    """Return the columns of a service, all but the revision."""
    return {
        "id": service.id,
        "project_id": service.project_id,
        "domain_id": service.domain_id,
        "pool_id": service.pool_id,
        "name": service.name,
        "vpc_id": service.vpc_id,
        **_backend_values(service.backend),
        "ports": [[mapping.client_port, mapping.server_port, mapping.protocol] for mapping in service.ports],
        "approval_enabled": service.approval_enabled,
        "tcp_proxy": service.tcp_proxy.value,
        "description": service.description,
        "tags": tag_pairs(service.tags),
        "enable_policy": service.enable_policy,
        "public_owner": service.public_owner,
        "service_type": service.service_type.value,
        "origin": service.origin.value,
        "cut_offs": _cut_off_pairs(service.cut_offs),
        "former_backends": [_former_backend_values(one) for one in service.former_backends] or None,
        "created_at": service.created_at,
        "updated_at": service.updated_at,
        "generation": service.generation,
        "observed_generation": service.observed_generation,
        "delete_requested_at": service.delete_requested_at,
        **failure_values(service.last_error),
    }


def service_from_row(row: AnyRow) -> EndpointService:
    """Return the service that a row of `services` holds."""
    return EndpointService(
        id=row.id,
        project_id=row.project_id,
        domain_id=row.domain_id,
        pool_id=row.pool_id,
        name=row.name,
        vpc_id=row.vpc_id,
        backend=_backend(row),
        ports=tuple(PortMapping(client, server, protocol) for client, server, protocol in row.ports),
        approval_enabled=row.approval_enabled,
        tcp_proxy=TcpProxy(row.tcp_proxy),
        description=row.description,
        tags=_tags(row.tags),
        enable_policy=row.enable_policy,
        public_owner=row.public_owner,
        origin=Origin(row.origin),
        cut_offs=_cut_offs(row.cut_offs),
        former_backends=tuple(_former_backend(values) for values in row.former_backends or ()),
        created_at=row.created_at,
        updated_at=row.updated_at,
        generation=row.generation,
        observed_generation=row.observed_generation,
        delete_requested_at=row.delete_requested_at,
        last_error=_failure(row),
    )


def _backend_values(backend: Backend | WayOut) -> Values:
    is_server = isinstance(backend, Backend)
    return {
        "server_type": backend.server_type.value if is_server else None,
        "nic_id": backend.nic_id if is_server else None,
        "vip_nic_id": backend.vip_nic_id if is_server else None,
        "backend_subnet_id": backend.subnet_id,
        "backend_address": backend.address if is_server else None,
        "transit_address": backend.transit_address if is_server else None,
        "networks": [] if is_server else [str(network) for network in backend.networks],
    }


def _backend(row: AnyRow) -> Backend | WayOut:
    if ServiceType(row.service_type) is ServiceType.GATEWAY:
        return WayOut(row.backend_subnet_id, tuple(IPv4Network(text) for text in row.networks))
    return Backend(
        server_type=ServerType(row.server_type),
        nic_id=row.nic_id,
        vip_nic_id=row.vip_nic_id,
        subnet_id=row.backend_subnet_id,
        address=row.backend_address,
        transit_address=row.transit_address,
    )


def _former_backend_values(backend: Backend) -> list[str | None]:
    place = [str(backend.address), str(backend.transit_address)]
    return [backend.server_type.value, backend.nic_id, backend.vip_nic_id, backend.subnet_id, *place]


def _former_backend(values: list[Any]) -> Backend:
    server_type, nic_id, vip_nic_id, subnet_id, address, transit_address = values
    place = IPv4Address(address), IPv4Address(transit_address)
    return Backend(ServerType(server_type), nic_id, vip_nic_id, subnet_id, *place)


def _cut_off_pairs(chosen: CutOffs) -> dict[str, list[str | int | None]]:
    choices = ((occasion.value, getattr(chosen, occasion.value)) for occasion in Occasion)
    return {name: [choice.mode.value, choice.deadline_seconds] for name, choice in choices}


def _cut_offs(pairs: dict[str, list[Any]]) -> CutOffs:
    return CutOffs(**{name: CutOff(CutMode(mode), seconds) for name, (mode, seconds) in pairs.items()})


def grace_values(endpoint: Endpoint) -> Values:
    """Return the columns that say which connections of an endpoint go on until when."""
    grace = endpoint.grace
    return {
        "grace_since_at": None if grace is None else grace.since_at,
        "grace_until_at": None if grace is None else grace.until_at,
        "former_clients": [_former_clients_values(one) for one in endpoint.former_clients] or None,
        "next_cut_at": next_cut_at(endpoint),
    }


def _former_clients_values(former: FormerClients) -> list[Any]:
    until = former.grace.until_at
    moments = [former.grace.since_at.isoformat(), None if until is None else until.isoformat()]
    return [[str(network) for network in former.networks], *moments]


def _former_clients(values: list[Any]) -> FormerClients:
    networks, since, until = values
    grace = Grace(datetime.fromisoformat(since), None if until is None else datetime.fromisoformat(until))
    return FormerClients(tuple(IPv4Network(text) for text in networks), grace)


def endpoint_values(endpoint: Endpoint) -> Values:
    """Return the columns of an endpoint, all but the revision."""
    return {
        "id": endpoint.id,
        "project_id": endpoint.project_id,
        "domain_id": endpoint.domain_id,
        "pool_id": endpoint.pool_id,
        "service_id": endpoint.service_id,
        "service_name": endpoint.service_name,
        "vpc_id": endpoint.vpc_id,
        "subnet_id": endpoint.subnet_id,
        "address": endpoint.address,
        "transit_address": endpoint.transit_address,
        "marker": endpoint.marker,
        "admission": endpoint.admission.value,
        "enable_dns": endpoint.enable_dns,
        "whitelist": [str(network) for network in endpoint.whitelist],
        "enable_whitelist": endpoint.enable_whitelist,
        "description": endpoint.description,
        "connection_description": endpoint.connection_description,
        "tags": tag_pairs(endpoint.tags),
        "policy_document": endpoint.policy_document,
        "route_table_ids": list(endpoint.route_table_ids),
        "created_at": endpoint.created_at,
        "updated_at": endpoint.updated_at,
        "generation": endpoint.generation,
        "observed_generation": endpoint.observed_generation,
        "accepted_generation": endpoint.accepted_generation,
        "cut_requested_at": endpoint.cut_requested_at,
        "delete_requested_at": endpoint.delete_requested_at,
        **grace_values(endpoint),
        **failure_values(endpoint.last_error),
    }


def endpoint_from_row(row: AnyRow) -> Endpoint:
    """Return the endpoint that a row of `endpoints` holds."""
    return Endpoint(
        id=_kept(row.id),
        project_id=_kept(row.project_id),
        domain_id=_kept(row.domain_id),
        pool_id=_kept(row.pool_id),
        service_id=_kept(row.service_id),
        service_name=_kept(row.service_name),
        vpc_id=_kept(row.vpc_id),
        subnet_id=None if row.subnet_id is None else _kept(row.subnet_id),
        address=row.address,
        transit_address=row.transit_address,
        marker=row.marker,
        admission=Admission(row.admission),
        enable_dns=row.enable_dns,
        whitelist=tuple(map(_network, row.whitelist)),
        enable_whitelist=row.enable_whitelist,
        description=row.description,
        connection_description=row.connection_description,
        tags=_tags(row.tags),
        policy_document=row.policy_document,
        route_table_ids=tuple(row.route_table_ids),
        created_at=row.created_at,
        updated_at=row.updated_at,
        generation=row.generation,
        observed_generation=row.observed_generation,
        accepted_generation=row.accepted_generation,
        cut_requested_at=row.cut_requested_at,
        delete_requested_at=row.delete_requested_at,
        grace=None if row.grace_since_at is None else Grace(row.grace_since_at, row.grace_until_at),
        former_clients=tuple(_former_clients(values) for values in row.former_clients or ()),
        last_error=_failure(row),
    )


@lru_cache(maxsize=4096)
def _network(text: str) -> IPv4Network:
    return IPv4Network(text)


def permission_values(permission: Permission) -> Values:
    """Return the columns of a permission entry."""
    return {
        "id": permission.id,
        "service_id": permission.service_id,
        "permission": permission.permission,
        "permission_type": permission.permission_type.value,
        "description": permission.description,
        "created_at": permission.created_at,
    }


def permission_from_row(row: AnyRow) -> Permission:
    """Return the permission entry that a row of `permissions` holds."""
    return Permission(
        id=row.id,
        service_id=row.service_id,
        permission=row.permission,
        permission_type=PermissionType(row.permission_type),
        description=row.description,
        created_at=row.created_at,
    )


def failure_values(failure: Failure | None) -> Values:
    """Return the two columns of `last_error`; the slug is null exactly if there is no error."""
    if failure is None:
        return {"last_error_slug": None, "last_error_message": None}
    return {"last_error_slug": failure.slug, "last_error_message": failure.message}


def _failure(row: AnyRow) -> Failure | None:
    slug = row.last_error_slug
    return None if slug is None else Failure(slug, row.last_error_message)


def tag_pairs(tags: Sequence[Tag]) -> list[list[str]]:
    """Return tags as their column keeps them: pairs, because their order counts."""
    return [[tag.key, tag.value] for tag in tags]


def _tags(pairs: list[list[str]]) -> tuple[Tag, ...]:
    return tuple(Tag(key, value) for key, value in pairs)
