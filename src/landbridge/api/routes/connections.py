"""Routes of connections and permissions: operations 10, 11, 13 and 14 of the contract."""

from fastapi import APIRouter, Request

from landbridge.api.auth import ApiDep, Reader, Writer
from landbridge.api.presentation import Json, connection_body, permission_body
from landbridge.api.requests import Query, read_object
from landbridge.api.schemas import connection_action, permission_action
from landbridge.control.queries import ConnectionQuery, PermissionQuery
from landbridge.domain.errors import InvalidMarker, InvalidStatusFilter
from landbridge.domain.ids import ServiceId
from landbridge.domain.lifecycle import EndpointStatus

PERMISSION_PAGE_LIMIT = 500

router = APIRouter(prefix="/v1/{project_id}/vpc-endpoint-services/{service_id}", tags=["connections"])


@router.get("/connections")
async def list_connections(service_id: str, request: Request, caller: Reader, api: ApiDep) -> Json:
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


@router.post("/connections/action")
async def accept_or_reject(service_id: str, request: Request, caller: Writer, api: ApiDep) -> Json:
    """Accept or reject one endpoint; from the answer to a rejection on no byte passes."""
    action, endpoint_id = connection_action(await read_object(request))
    decide = api.connections.accept if action == "receive" else api.connections.reject
    endpoint = await decide(caller.project_id, ServiceId(service_id), endpoint_id)
    return {"connections": [connection_body(endpoint, api.clock.now())]}


@router.get("/permissions")
async def list_permissions(service_id: str, request: Request, caller: Reader, api: ApiDep) -> Json:
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


@router.post("/permissions/action")
async def add_or_remove_permissions(service_id: str, request: Request, caller: Writer, api: ApiDep) -> Json:
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
