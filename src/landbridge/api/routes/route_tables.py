"""Routes of route tables, in the shapes of the cloud's VPC API v1 (docs/reference/vpc-api.md)."""

from fastapi import APIRouter, Request, Response

from landbridge.api import network_answers as answers
from landbridge.api.auth import ApiDep, CallerDep
from landbridge.api.network_presentation import listed_route_table_body, route_table_body
from landbridge.api.network_schemas import ID_SCHEMA, PAGING, NetworkQuery
from landbridge.api.operations import Parameter, operation
from landbridge.api.presentation import Json
from landbridge.api.requests import read_object
from landbridge.api.route_table_schemas import (
    CreateRouteTableBody,
    RouteTableActionBody,
    UpdateRouteTableBody,
    associations,
    new_route_table,
    route_table_changes,
)
from landbridge.control.route_tables import RouteTableQuery
from landbridge.domain.ids import RouteTableId

_ERROR = answers.NetworkErrorAnswer
_LIST = (
    Parameter("id", "The route table with this very id.", ID_SCHEMA),
    Parameter("vpc_id", "Only route tables of this VPC.", ID_SCHEMA),
    Parameter("subnet_id", "Only the route table of this subnet.", ID_SCHEMA),
    *PAGING,
)

router = APIRouter(prefix="/v1/{project_id}/routetables", tags=["networks"])


@operation(
    router,
    "POST",
    "",
    action="vpc:routeTables:create",
    answer=answers.RouteTableAnswer,
    body=CreateRouteTableBody,
    error=_ERROR,
    may_miss=True,
)
async def create_route_table(request: Request, caller: CallerDep, api: ApiDep) -> Json:
    """Create a route table, which no subnet has yet."""
    shown = await api.route_tables.create(caller, new_route_table(await read_object(request)))
    return {"routetable": route_table_body(shown)}


@operation(router, "GET", "", action="vpc:routeTables:list", answer=answers.RouteTableList, query=_LIST, error=_ERROR)
async def list_route_tables(request: Request, caller: CallerDep, api: ApiDep) -> Json:
    """List the project's route tables, without their routes."""
    query = NetworkQuery(request)
    shown = await api.route_tables.list(
        RouteTableQuery(
            caller.project_id, query.text("id"), query.text("vpc_id"), query.text("subnet_id"), query.page()
        )
    )
    return {"routetables": [listed_route_table_body(item) for item in shown]}


@operation(
    router,
    "GET",
    "/{routetable_id}",
    action="vpc:routeTables:get",
    answer=answers.RouteTableAnswer,
    error=_ERROR,
)
async def show_route_table(routetable_id: str, caller: CallerDep, api: ApiDep) -> Json:
    """Show one route table with its custom routes."""
    shown = await api.route_tables.show(caller.project_id, RouteTableId(routetable_id))
    return {"routetable": route_table_body(shown)}


@operation(
    router,
    "PUT",
    "/{routetable_id}",
    action="vpc:routeTables:update",
    answer=answers.RouteTableAnswer,
    body=UpdateRouteTableBody,
    error=_ERROR,
)
async def update_route_table(routetable_id: str, request: Request, caller: CallerDep, api: ApiDep) -> Json:
    """Change the name, the description or the routes of a route table."""
    changes = route_table_changes(await read_object(request))
    shown = await api.route_tables.update(caller.project_id, RouteTableId(routetable_id), changes)
    return {"routetable": route_table_body(shown)}


@operation(
    router,
    "POST",
    "/{routetable_id}/action",
    action="vpc:routeTables:update",
    answer=answers.RouteTableAnswer,
    body=RouteTableActionBody,
    error=_ERROR,
)
async def associate_route_table(routetable_id: str, request: Request, caller: CallerDep, api: ApiDep) -> Json:
    """Give subnets this route table, or the default one back."""
    associate, disassociate = associations(await read_object(request))
    shown = await api.route_tables.associate(caller.project_id, RouteTableId(routetable_id), associate, disassociate)
    return {"routetable": route_table_body(shown)}


@operation(router, "DELETE", "/{routetable_id}", action="vpc:routeTables:delete", status=204, error=_ERROR)
async def delete_route_table(routetable_id: str, caller: CallerDep, api: ApiDep) -> Response:
    """Delete a route table that no subnet has."""
    await api.route_tables.delete(caller.project_id, RouteTableId(routetable_id))
    return Response(status_code=204)
