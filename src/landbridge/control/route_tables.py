"""Create, list, show, change and delete route tables, and say which subnets have them.

A custom route is kept and shown; the data plane carries none. What counts is its destination: a VPC that takes part
must not send 198.19.128.0/17 elsewhere, so the destinations of all its tables stand in the VPC, written with them.

Routes of gateway endpoints are carried. They are shown beside the custom ones, come and go with their endpoints, and
nobody changes them here. Which subnets may use them follows from which subnets have the table.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network

from landbridge.control.gateway_following import FollowingGateways
from landbridge.control.gateways import kept_routes, routes_by_table
from landbridge.control.network_rules import (
    NetworkPage,
    named,
    own_subnet,
    own_vpc,
    page_of,
    refuse_reserved_range,
)
from landbridge.control.protocols import Clock, ReadTransaction, Store, WriteTransaction
from landbridge.domain.gateways import ENDPOINT_ROUTE
from landbridge.domain.ids import IdSource, ProjectId, RouteTableId, SubnetId, VpcId
from landbridge.domain.network_errors import (
    DefaultRouteTableStays,
    FromLabFile,
    InvalidRouteTable,
    NoSuchRouteTable,
    RouteOfEndpoint,
    RouteTableInUse,
    TooManyNetworks,
)
from landbridge.domain.networking import (
    LAB_ROUTE,
    ROUTE_LIMIT,
    ROUTE_TABLE_LIMIT,
    check_name,
    check_network_description,
    check_range,
    destinations_of,
)
from landbridge.domain.resources import Caller, Route, RouteTable, Vpc
from landbridge.domain.validation import RESERVED_RANGE

_NEXT_HOP_LIMIT = 64
_EXAMPLE = "192.168.0.0/24"


@dataclass(frozen=True, slots=True)
class WantedRoute:
    """A route as somebody writes it, types checked, rules not yet."""

    destination: str
    kind: str
    next_hop: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class NewRouteTable:
    """What somebody asks for, types checked, rules not yet."""

    vpc_id: VpcId
    name: str = ""
    description: str = ""
    routes: Sequence[WantedRoute] = ()


@dataclass(frozen=True, slots=True)
class RouteChange:
    """Fields of the route to one destination; None leaves them as they are."""

    destination: str
    kind: str | None = None
    next_hop: str | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True)
class RouteTableChanges:
    """What is to change; None leaves it as it is."""

    name: str | None = None
    description: str | None = None
    removed: Sequence[str] = ()
    """Destinations."""
    changed: Sequence[RouteChange] = ()
    added: Sequence[WantedRoute] = ()


@dataclass(frozen=True, slots=True)
class RouteTableQuery:
    """Filters of a list of route tables; None does not filter."""

    project_id: ProjectId
    id: str | None = None
    vpc_id: str | None = None
    subnet_id: str | None = None
    page: NetworkPage = field(default_factory=NetworkPage)


@dataclass(frozen=True, slots=True)
class ShownRouteTable:
    """A route table with the subnets that have it."""

    table: RouteTable
    subnet_ids: tuple[SubnetId, ...]
    endpoint_routes: tuple[Route, ...] = ()
    """Routes that gateway endpoints have put into it; a list leaves them out, as it shows no routes."""


class RouteTables:
    """The use cases of route tables."""

    def __init__(self, store: Store, clock: Clock, ids: IdSource, gateways: FollowingGateways) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._gateways = gateways

    async def create(self, caller: Caller, wish: NewRouteTable) -> ShownRouteTable:
        """Store a new route table, which no subnet has yet.

        Raises:
            NoSuchVpc: unknown, or of another project.
            InvalidRouteTable: a field is wrong.
            ReservedRange: a route overlaps 198.19.128.0/17, and the VPC has services or endpoints.
            TooManyNetworks: too many tables or routes.
        """
        now = self._clock.now()
        table = RouteTable(
            id=RouteTableId(self._ids.new()),
            vpc_id=wish.vpc_id,
            project_id=caller.project_id,
            name=check_name(wish.name, InvalidRouteTable, shortest=0),
            is_default=False,
            description=check_network_description(wish.description, InvalidRouteTable),
            created_at=now,
            updated_at=now,
        )

        def work(tx: WriteTransaction) -> ShownRouteTable:
            vpc = own_vpc(tx, caller.project_id, wish.vpc_id)
            count = len(tx.route_tables(vpc.id))
            if count >= ROUTE_TABLE_LIMIT:
                raise TooManyNetworks(f"VPC {vpc.id} has {count} of {ROUTE_TABLE_LIMIT} route tables: delete one")
            routes = _added(tx, vpc, {}, wish.routes)
            return _store(tx, vpc, replace(table, routes=tuple(routes.values())))

        return await self._store.write(work)

    async def list(self, query: RouteTableQuery) -> Sequence[ShownRouteTable]:
        """Return one page of a project's route tables, by id."""

        def look(tx: ReadTransaction) -> Sequence[ShownRouteTable]:
            subnets_by_table = _subnets_by_table(tx, query.project_id)
            tables = [
                table
                for table in tx.route_tables_of(query.project_id)
                if query.id in {None, table.id}
                and query.vpc_id in {None, table.vpc_id}
                and (query.subnet_id is None or query.subnet_id in subnets_by_table.get(table.id, ()))
            ]
            return [
                ShownRouteTable(table, tuple(subnets_by_table.get(table.id, ())))
                for table in page_of(tables, query.page)
            ]

        return await self._store.read(look)

    async def show(self, project_id: ProjectId, id_: RouteTableId) -> ShownRouteTable:
        """Return one route table of a project.

        Raises:
            NoSuchRouteTable: unknown, or of another project.
        """
        return await self._store.read(lambda tx: _shown(tx, _own_table(tx, project_id, id_)))

    async def update(self, project_id: ProjectId, id_: RouteTableId, changes: RouteTableChanges) -> ShownRouteTable:
        """Change a route table's name, description and routes; removals come first.

        Raises:
            NoSuchRouteTable: unknown, or of another project.
            InvalidRouteTable: a field is wrong.
            FromLabFile: a route to be removed or changed is in the lab file.
            RouteOfEndpoint: it is a gateway endpoint's, or one is to be added where such a one leads.
            ReservedRange: a new route overlaps 198.19.128.0/17, and the VPC has services or endpoints.
            TooManyNetworks: too many routes.
        """
        name = None if changes.name is None else check_name(changes.name, InvalidRouteTable, shortest=0)
        description = (
            None if changes.description is None else check_network_description(changes.description, InvalidRouteTable)
        )
        now = self._clock.now()

        def work(tx: WriteTransaction) -> ShownRouteTable:
            table = _own_table(tx, project_id, id_)
            vpc = own_vpc(tx, project_id, table.vpc_id)
            routes = {route.destination: route for route in table.routes}
            _refuse_endpoint_routes(tx, table, changes)
            for text in changes.removed:
                del routes[_changeable(routes, text).destination]
            for change in changes.changed:
                changed = _changed(_changeable(routes, change.destination), change)
                routes[changed.destination] = changed
            routes = _added(tx, vpc, routes, changes.added)
            return _store(
                tx,
                vpc,
                replace(
                    table,
                    name=table.name if name is None else name,
                    description=table.description if description is None else description,
                    routes=tuple(routes.values()),
                    updated_at=now,
                ),
            )

        return await self._store.write(work)

    async def associate(
        self,
        project_id: ProjectId,
        id_: RouteTableId,
        associate: Sequence[SubnetId],
        disassociate: Sequence[SubnetId],
    ) -> ShownRouteTable:
        """Give subnets this route table, or the default one back.

        Gateway endpoints follow: when this returns, no subnet uses one that its table does not lead to.

        Raises:
            NoSuchRouteTable, NoSuchSubnet: unknown, or of another project.
            InvalidRouteTable: a subnet is in another VPC, or has not the table that is taken from it.
        """

        def work(tx: WriteTransaction) -> ShownRouteTable:
            table = _own_table(tx, project_id, id_)
            for subnet_id in disassociate:
                subnet = own_subnet(tx, project_id, subnet_id)
                if table.is_default or subnet.route_table_id != id_:
                    raise InvalidRouteTable(
                        f"subnet {subnet_id} is not associated with route table {id_} in such a way that it could "
                        "be taken away: associate it with another route table"
                    )
                tx.put_subnet(replace(subnet, route_table_id=None))
            for subnet_id in associate:
                subnet = own_subnet(tx, project_id, subnet_id)
                if subnet.vpc_id != table.vpc_id:
                    raise InvalidRouteTable(
                        f"subnet {subnet_id} is not in VPC {table.vpc_id} of route table {id_}: choose a subnet of it"
                    )
                tx.put_subnet(replace(subnet, route_table_id=None if table.is_default else id_))
            return _shown(tx, table)

        table = await self._store.read(lambda tx: _own_table(tx, project_id, id_))
        return await self._gateways.change(table.vpc_id, work)

    async def delete(self, project_id: ProjectId, id_: RouteTableId) -> None:
        """Delete a route table that no subnet has.

        Raises:
            NoSuchRouteTable: unknown, or of another project.
            DefaultRouteTableStays: it goes with its VPC only.
            RouteTableInUse: the subnets or gateway endpoints are named in the message.
        """

        def work(tx: WriteTransaction) -> None:
            shown = _shown(tx, _own_table(tx, project_id, id_))
            if shown.table.is_default:
                raise DefaultRouteTableStays(f"route table {id_} is its VPC's default one: it goes with the VPC")
            if shown.subnet_ids:
                raise RouteTableInUse(
                    f"route table {id_} is associated with subnets ({named(shown.subnet_ids)}): disassociate them first"
                )
            vpc = own_vpc(tx, project_id, shown.table.vpc_id)
            bound = [endpoint.id for endpoint in tx.gateway_endpoints(vpc.id) if id_ in endpoint.route_table_ids]
            if bound:
                raise RouteTableInUse(
                    f"route table {id_} has routes of gateway endpoints ({named(bound)}): "
                    "give them another route table, or delete them first"
                )
            tx.remove_route_table(id_)
            tx.put_vpc(replace(vpc, routes=destinations_of(tx.route_tables(vpc.id))))

        await self._store.write(work)


def _own_table(tx: ReadTransaction, project_id: ProjectId, id_: RouteTableId) -> RouteTable:
    table = tx.route_table_of(project_id, id_)
    if table is None:
        raise NoSuchRouteTable(f"route table {id_} does not exist in this project: list the route tables")
    return table


def _store(tx: WriteTransaction, vpc: Vpc, table: RouteTable) -> ShownRouteTable:
    """Write a table, and its destinations into its VPC."""
    tx.put_route_table(table)
    tx.put_vpc(replace(vpc, routes=destinations_of(tx.route_tables(vpc.id))))
    return _shown(tx, table)


def _shown(tx: ReadTransaction, table: RouteTable) -> ShownRouteTable:
    wanted = {None, table.id} if table.is_default else {table.id}
    subnets = tx.subnets(table.vpc_id)
    having_it = tuple(subnet.id for subnet in subnets if subnet.route_table_id in wanted)
    return ShownRouteTable(table, having_it, tuple(routes_by_table(tx, table.vpc_id).get(table.id, ())))


def _subnets_by_table(tx: ReadTransaction, project_id: ProjectId) -> Mapping[RouteTableId, list[SubnetId]]:
    default_ids = {table.vpc_id: table.id for table in tx.route_tables_of(project_id) if table.is_default}
    found: dict[RouteTableId, list[SubnetId]] = {}
    for subnet in tx.subnets_of(project_id):
        table_id = subnet.route_table_id or default_ids.get(subnet.vpc_id)
        if table_id is not None:
            found.setdefault(table_id, []).append(subnet.id)
    return found


def _refuse_endpoint_routes(tx: ReadTransaction, table: RouteTable, changes: RouteTableChanges) -> None:
    """Refuse to touch what gateway endpoints have put into a table, or to hide something behind it."""
    endpoint_routes = routes_by_table(tx, table.vpc_id).get(table.id, ())
    owners = {route.destination: route.next_hop for route in endpoint_routes}
    for text in (*changes.removed, *(change.destination for change in changes.changed)):
        owner = owners.get(check_range(text, InvalidRouteTable, _EXAMPLE))
        if owner is not None:
            raise RouteOfEndpoint(
                f"the route to {text} is gateway endpoint {owner}'s: change the endpoint's route tables, or delete it"
            )
    kept = kept_routes(tx, table.vpc_id).get(table.id, ()) if changes.added else ()
    for wish in changes.added:
        destination = check_range(wish.destination, InvalidRouteTable, _EXAMPLE)
        for route in kept:
            if destination.subnet_of(route.destination):
                raise RouteOfEndpoint(
                    f"packets to {destination} leave by gateway endpoint {route.next_hop} while it is accepted, as it "
                    f"leads to {route.destination} from here: leave the route out, or change the endpoint's tables"
                )


def _changeable(routes: Mapping[IPv4Network, Route], destination: str) -> Route:
    route = routes.get(check_range(destination, InvalidRouteTable, _EXAMPLE))
    if route is None:
        raise InvalidRouteTable(f"there is no route to {destination}: show the route table to see its routes")
    if route.kind == LAB_ROUTE:
        raise FromLabFile(f"the route to {destination} comes from the lab file: change it there and start again")
    return route


def _changed(route: Route, change: RouteChange) -> Route:
    return _checked(
        Route(
            route.destination,
            route.kind if change.kind is None else change.kind,
            route.next_hop if change.next_hop is None else change.next_hop,
            route.description if change.description is None else change.description,
        )
    )


def _added(
    tx: ReadTransaction, vpc: Vpc, routes: Mapping[IPv4Network, Route], wanted: Sequence[WantedRoute]
) -> dict[IPv4Network, Route]:
    all_routes = dict(routes)
    for wish in wanted:
        destination = check_range(wish.destination, InvalidRouteTable, _EXAMPLE)
        if destination in all_routes:
            raise InvalidRouteTable(f"there is a route to {destination} already: each destination may appear once")
        if destination.overlaps(RESERVED_RANGE):
            refuse_reserved_range(f"the route to {destination}", vpc, tx.uses_of_vpc(vpc.id))
        all_routes[destination] = _checked(Route(destination, wish.kind, wish.next_hop, wish.description))
    if len(all_routes) > ROUTE_LIMIT:
        raise TooManyNetworks(f"a route table has at most {ROUTE_LIMIT} routes: delete some")
    return all_routes


def _checked(route: Route) -> Route:
    if not 1 <= len(route.kind) <= _NEXT_HOP_LIMIT or not route.kind.isascii() or not route.kind.isalnum():
        raise InvalidRouteTable("type must be a kind of next hop, such as ecs, eni or vip")
    if route.kind == LAB_ROUTE:
        raise InvalidRouteTable(f"type {LAB_ROUTE} is for routes of the lab file: use one such as ecs, eni or vip")
    if route.kind == ENDPOINT_ROUTE:
        raise InvalidRouteTable(f"type {ENDPOINT_ROUTE} is for routes of gateway endpoints: create such an endpoint")
    if not 1 <= len(route.next_hop) <= _NEXT_HOP_LIMIT or not route.next_hop.isprintable():
        raise InvalidRouteTable(f"nexthop must be an id or address of at most {_NEXT_HOP_LIMIT} characters")
    check_network_description(route.description, InvalidRouteTable)
    return route
