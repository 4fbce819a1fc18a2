"""Give the shapes of the bodies of route tables and turn them into what the use cases take, as `network_schemas`."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictStr

from landbridge.api.network_schemas import VALUES_LIMIT, NetworkBody, Texts, list_or_empty
from landbridge.api.requests import parse
from landbridge.control.route_tables import NewRouteTable, RouteChange, RouteTableChanges, WantedRoute
from landbridge.domain.errors import UserError
from landbridge.domain.ids import SubnetId, VpcId
from landbridge.domain.network_errors import InvalidRouteTable


class RouteBody(NetworkBody):
    """A custom route."""

    type: StrictStr
    destination: StrictStr
    nexthop: StrictStr
    description: StrictStr | None = None


class RouteToChange(NetworkBody):
    """The destination of a route, and what is to change in it."""

    destination: StrictStr
    type: StrictStr | None = None
    nexthop: StrictStr | None = None
    description: StrictStr | None = None


Routes = Annotated[list[RouteBody], BeforeValidator(list_or_empty)]
RoutesToChange = Annotated[list[RouteToChange], BeforeValidator(list_or_empty)]


class RouteTableToCreate(NetworkBody):
    """A new route table."""

    vpc_id: StrictStr
    name: StrictStr | None = None
    description: StrictStr | None = None
    routes: Routes = Field(default_factory=list[RouteBody])


class CreateRouteTableBody(NetworkBody):
    """The body of a creation."""

    routetable: RouteTableToCreate


class RouteActions(BaseModel):
    """Routes to add, to change and to delete; deletions come first."""

    model_config = ConfigDict(extra="ignore", frozen=True, validate_by_alias=True, validate_by_name=False)

    add: Routes = Field(default_factory=list[RouteBody])
    mod: RoutesToChange = Field(default_factory=list[RouteToChange])
    delete: RoutesToChange = Field(default_factory=list[RouteToChange], alias="del")


class RouteTableToUpdate(NetworkBody):
    """What of a route table is to change."""

    name: StrictStr | None = None
    description: StrictStr | None = None
    routes: RouteActions | None = None


class UpdateRouteTableBody(NetworkBody):
    """The body of a change."""

    routetable: RouteTableToUpdate


class SubnetsToAssociate(NetworkBody):
    """Ids of subnets that shall have the table, and of those that shall not any more."""

    associate: Texts = Field(default_factory=list[str], max_length=VALUES_LIMIT)
    disassociate: Texts = Field(default_factory=list[str], max_length=VALUES_LIMIT)


class RouteTableAction(NetworkBody):
    """What is to happen with subnets."""

    subnets: SubnetsToAssociate


class RouteTableActionBody(NetworkBody):
    """The body of an association."""

    routetable: RouteTableAction


_ROUTE_TABLE_ERRORS: Mapping[str, type[UserError]] = {"routetable": InvalidRouteTable}


def new_route_table(document: Mapping[str, object]) -> NewRouteTable:
    """Return the route table that somebody asks for."""
    table = parse(CreateRouteTableBody, document, _ROUTE_TABLE_ERRORS).routetable
    return NewRouteTable(VpcId(table.vpc_id), table.name or "", table.description or "", _routes(table.routes))


def route_table_changes(document: Mapping[str, object]) -> RouteTableChanges:
    """Return what of a route table is to change."""
    table = parse(UpdateRouteTableBody, document, _ROUTE_TABLE_ERRORS).routetable
    routes = table.routes or RouteActions()
    return RouteTableChanges(
        name=table.name,
        description=table.description,
        removed=[route.destination for route in routes.delete],
        changed=[RouteChange(route.destination, route.type, route.nexthop, route.description) for route in routes.mod],
        added=_routes(routes.add),
    )


def associations(document: Mapping[str, object]) -> tuple[list[SubnetId], list[SubnetId]]:
    """Return the subnets that shall have the table, and those that shall not any more."""
    subnets = parse(RouteTableActionBody, document, _ROUTE_TABLE_ERRORS).routetable.subnets
    return [SubnetId(id_) for id_ in subnets.associate], [SubnetId(id_) for id_ in subnets.disassociate]


def _routes(routes: list[RouteBody]) -> list[WantedRoute]:
    return [WantedRoute(route.destination, route.type, route.nexthop, route.description or "") for route in routes]
