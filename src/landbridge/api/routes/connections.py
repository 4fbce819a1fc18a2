"""Routes of connections and permissions: operations 10, 11, 13 and 14 of the contract."""

from fastapi import APIRouter, Request

from landbridge.api import answers
from landbridge.api.auth import ApiDep, CallerDep
from landbridge.api.operations import Parameter, operation
from landbridge.api.parameters import choice, exactly, paging
from landbridge.api.presentation import Json, connection_body, permission_body
from landbridge.api.requests import Query, read_object
from landbridge.api.schemas import ConnectionActionBody, PermissionActionBody, connection_action, permission_action
from landbridge.control.queries import ConnectionQuery, PermissionQuery
from landbridge.domain.errors import InvalidMarker, InvalidStatusFilter
from landbridge.domain.ids import ServiceId
from landbridge.domain.lifecycle import EndpointStatus

PERMISSION_PAGE_LIMIT = 500

_CONNECTIONS = (
    exactly("id", "endpoint"),
    Parameter("marker_id", "The endpoint with this marker.", {"type": "integer", "minimum": 0}),
    Parameter("status", "Only connections with this status.", choice(*EndpointStatus)),
    *paging(),
)
_PERMISSIONS = (
    Parameter("permission", "A part of the entry.", {"type": "string", "maxLength": 1200}),
    *paging(PERMISSION_PAGE_LIMIT),
)

router = APIRouter(prefix="/v1/{project_id}/vpc-endpoint-services/{service_id}", tags=["connections"])


@operation(
    router, "GET", "/connections", action="vpcep:connections:list", answer=answers.ConnectionList, query=_CONNECTIONS
)
async def list_connections(service_id: str, request: Request, caller: CallerDep, api: ApiDep) -> Json:
    """List the connections of an endpoint service."""
    query = Query(request)
    status = query.text("status")
    if status is not None and status not in set(EndpointStatus):
        raise InvalidStatusFilter("status must be pendingAcceptance, creating, accepted, rejected, failed or deleting")
    connections, total = await api.connections.list(
        caller.project_id,
        ConnectionQuery(
            ServiceId(service_id),
            id=query.text("id"),
            marker=_marker(query.text("marker_id")),
            status=EndpointStatus(status) if status else None,
            page=query.page(),
        ),
    )
    now = api.clock.now()
    return {"connections": [connection_body(item, now) for item in connections], "total_count": total}


@operation(
    router,
    "POST",
    "/connections/action",
    action="vpcep:connections:update",
    answer=answers.Connections,
    body=ConnectionActionBody,
)
async def accept_or_reject(service_id: str, request: Request, caller: CallerDep, api: ApiDep) -> Json:
    """Accept or reject one endpoint; from the answer to a rejection on no byte passes."""
    action, endpoint_id = connection_action(await read_object(request))
    decide = api.connections.accept if action == "receive" else api.connections.reject
    endpoint = await decide(caller.project_id, ServiceId(service_id), endpoint_id)
    return {"connections": [connection_body(endpoint, api.clock.now())]}


@operation(
    router, "GET", "/permissions", action="vpcep:permissions:list", answer=answers.PermissionList, query=_PERMISSIONS
)
async def list_permissions(service_id: str, request: Request, caller: CallerDep, api: ApiDep) -> Json:
    """List who may connect to an endpoint service."""
    query = Query(request)
    permissions, total = await api.permissions.list(
        caller.project_id,
        PermissionQuery(
            ServiceId(service_id),
            permission_contains=query.text("permission", longest=1200),
            page=query.page(longest=PERMISSION_PAGE_LIMIT),
        ),
    )
    return {"permissions": [permission_body(item) for item in permissions], "total_count": total}


@operation(
    router,
    "POST",
    "/permissions/action",
    action="vpcep:permissions:update",
    answer=answers.PermissionEntries,
    body=PermissionActionBody,
)
async def add_or_remove_permissions(service_id: str, request: Request, caller: CallerDep, api: ApiDep) -> Json:
    """Add or remove permissions."""
    action, entries = permission_action(await read_object(request))
    change = api.permissions.add if action == "add" else api.permissions.remove
    kind = await change(caller.project_id, ServiceId(service_id), entries)
    return {"permissions": entries, "permission_type": kind.value}


def _marker(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise InvalidMarker("marker_id must be a number")
    return int(text)
