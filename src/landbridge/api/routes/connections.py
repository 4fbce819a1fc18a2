"""Routes of connections: operations 10 to 12 of the contract."""

from fastapi import APIRouter, Request

from landbridge.api import answers
from landbridge.api.auth import ApiDep, CallerDep
from landbridge.api.connection_schemas import (
    ConnectionActionBody,
    ConnectionDescriptionsBody,
    connection_action,
    connection_descriptions,
)
from landbridge.api.operations import Parameter, operation
from landbridge.api.parameters import choice, exactly, paging
from landbridge.api.presentation import Json, connection_body
from landbridge.api.requests import Query, read_object
from landbridge.control.queries import ConnectionQuery
from landbridge.domain.errors import InvalidMarker, InvalidStatusFilter
from landbridge.domain.ids import ServiceId
from landbridge.domain.lifecycle import EndpointStatus

_CONNECTIONS = (
    exactly("id", "endpoint"),
    Parameter("marker_id", "The endpoint with this marker.", {"type": "integer", "minimum": 0}),
    Parameter("status", "Only connections with this status.", choice(*EndpointStatus)),
    *paging(),
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
    router,
    "PUT",
    "/connections/description",
    action="vpcep:connections:update",
    answer=answers.Connections,
    body=ConnectionDescriptionsBody,
)
async def describe_connections(service_id: str, request: Request, caller: CallerDep, api: ApiDep) -> Json:
    """Give connections the provider's own text, all of them or none; consumers do not see it."""
    descriptions = connection_descriptions(await read_object(request))
    described = await api.connections.describe(caller.project_id, ServiceId(service_id), descriptions)
    now = api.clock.now()
    return {"connections": [connection_body(item, now) for item in described]}


def _marker(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise InvalidMarker("marker_id must be a number")
    return int(text)
