"""Routes of traffic, an extension of the contract: how much, which connections, and who was behind a source."""

from datetime import UTC, datetime
from ipaddress import AddressValueError, IPv4Address

from fastapi import APIRouter, Request

from landbridge.api import traffic_answers as answers
from landbridge.api.auth import ApiDep, CallerDep
from landbridge.api.forwarding import DataPlaneRoute
from landbridge.api.operations import Parameter, operation
from landbridge.api.presentation import Json
from landbridge.api.requests import Query
from landbridge.api.traffic_answers import (
    endpoint_connections_body,
    endpoint_traffic_body,
    service_connections_body,
    service_traffic_body,
    who_body,
)
from landbridge.domain.errors import InvalidEndpointId, InvalidLimit, InvalidParameter
from landbridge.domain.ids import EndpointId, ServiceId, is_uuid

_LONGEST_PAGE = 1000
_PAGE = (
    Parameter(
        "limit",
        f"How many entries at most, 1 to {_LONGEST_PAGE}.",
        {"type": "integer", "minimum": 1, "maximum": _LONGEST_PAGE, "default": 100},
    ),
    Parameter("marker", "The `next_marker` of the page before.", {"type": "string", "maxLength": 64}),
)
_WHO = (
    Parameter(
        "address", "The source address that the backend saw.", {"type": "string", "format": "ipv4"}, required=True
    ),
    Parameter("port", "The source port.", {"type": "integer", "minimum": 1, "maximum": 65535}, required=True),
    Parameter("at", "When, in the form of RFC 3339; by default now.", {"type": "string", "format": "date-time"}),
)

router = APIRouter(prefix="/v1/{project_id}/ext", tags=["traffic"], route_class=DataPlaneRoute)


@operation(
    router,
    "GET",
    "/vpc-endpoints/{endpoint_id}/traffic",
    action="vpcep:ext:traffic:get",
    answer=answers.EndpointTrafficAnswer,
)
async def show_endpoint_traffic(endpoint_id: str, caller: CallerDep, api: ApiDep) -> Json:
    """Show how much went through an endpoint, and how many connections are open."""
    traffic, measured_at = await api.traffic.of_endpoint(caller.project_id, _endpoint_id(endpoint_id))
    return endpoint_traffic_body(traffic, measured_at)


@operation(
    router,
    "GET",
    "/vpc-endpoints/{endpoint_id}/connections",
    action="vpcep:ext:connections:list",
    answer=answers.EndpointConnections,
    query=_PAGE,
)
async def list_endpoint_connections(endpoint_id: str, request: Request, caller: CallerDep, api: ApiDep) -> Json:
    """List the open connections of an endpoint, the oldest first."""
    id_, limit, marker = _endpoint_id(endpoint_id), *_page(Query(request))
    return endpoint_connections_body(await api.traffic.connections_of_endpoint(caller.project_id, id_, limit, marker))


@operation(
    router,
    "GET",
    "/vpc-endpoint-services/{service_id}/traffic",
    action="vpcep:ext:traffic:get",
    answer=answers.ServiceTrafficAnswer,
    query=_PAGE,
)
async def show_service_traffic(service_id: str, request: Request, caller: CallerDep, api: ApiDep) -> Json:
    """Show how much went through an endpoint service, by its endpoints.

    Whoever has the role operator asks about public services, too.
    """
    limit, marker = _page(Query(request))
    sees_public = api.traffic.may_see_all(caller.roles)
    page = await api.traffic.of_service(
        caller.project_id, ServiceId(service_id), limit, marker, sees_public=sees_public
    )
    return service_traffic_body(service_id, page)


@operation(
    router,
    "GET",
    "/vpc-endpoint-services/{service_id}/connections",
    action="vpcep:ext:connections:list",
    answer=answers.ServiceConnections,
    query=_PAGE,
)
async def list_service_connections(service_id: str, request: Request, caller: CallerDep, api: ApiDep) -> Json:
    """List the open connections of an endpoint service, the oldest first.

    Whoever has the role operator asks about public services, too.
    """
    id_, limit, marker = ServiceId(service_id), *_page(Query(request))
    sees_public = api.traffic.may_see_all(caller.roles)
    page = await api.traffic.connections_of_service(caller.project_id, id_, limit, marker, sees_public=sees_public)
    return service_connections_body(page)


@operation(
    router,
    "GET",
    "/vpc-endpoint-services/{service_id}/who",
    action="vpcep:ext:who:get",
    answer=answers.WhoAnswer,
    query=_WHO,
)
async def show_who(service_id: str, request: Request, caller: CallerDep, api: ApiDep) -> Json:
    """Show who was behind a source address and port that a backend saw."""
    service = await api.traffic.service_to_ask_about(caller.project_id, caller.roles, ServiceId(service_id))
    query = Query(request)
    address, port, at = _address(query.text("address")), _port(query.text("port")), _at(query.text("at"))
    at = at or api.clock.now()
    who = await api.traffic.who(service, (address, port), at, sees_all=api.traffic.may_see_all(caller.roles))
    return who_body(f"{address}:{port}", at, who)


def _endpoint_id(text: str) -> EndpointId:
    lowered = text.lower()
    if not is_uuid(lowered):
        raise InvalidEndpointId("the endpoint id in the path must be a UUID")
    return EndpointId(lowered)


def _page(query: Query) -> tuple[int, str | None]:
    text = query.text("limit") or "100"
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and 1 <= int(text) <= _LONGEST_PAGE):
        raise InvalidLimit(f"limit must be a number from 1 to {_LONGEST_PAGE}")
    return int(text), query.text("marker", longest=64)


def _address(text: str | None) -> IPv4Address:
    try:
        return IPv4Address(text or "")
    except AddressValueError:
        raise InvalidParameter("address must be the IPv4 address that the backend saw, such as 198.19.128.5") from None


def _port(text: str | None) -> int:
    if text is None or not (text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= 65535):
        raise InvalidParameter("port must be the source port that the backend saw, 1 to 65535")
    return int(text)


def _at(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None or not 1970 <= at.year <= 9000:
        raise InvalidParameter("at must be a moment in the form of RFC 3339, such as 2026-01-31T12:00:00Z")
    return at.astimezone(UTC)
