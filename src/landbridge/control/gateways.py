"""Say to which route tables a gateway endpoint can be bound, and what it puts into them (contract 3.26, 9.10).

A gateway endpoint has no address: whoever is in a subnet whose route table has its routes may use it. All of it is
asked inside a transaction, so that two endpoints never lead to one network from one table.
"""

from collections.abc import Iterable, Mapping, Sequence

from landbridge.control.protocols import ReadTransaction
from landbridge.domain.errors import NetworksInVpc, RoutesNotAdded, RouteTableNotFound, RouteTableTaken
from landbridge.domain.gateways import entries, is_led_away, overlap, routes_of
from landbridge.domain.ids import EndpointId, RouteTableId, SubnetId, VpcId
from landbridge.domain.resources import (
    Admission,
    Endpoint,
    EndpointService,
    Route,
    RouteTable,
    ServiceType,
    Subnet,
    Vpc,
    WayOut,
)


def entries_of(tx: ReadTransaction, endpoints: Iterable[Endpoint]) -> Mapping[EndpointId, Sequence[SubnetId]]:
    """Return the subnets from which each gateway endpoint is reached; other endpoints are left out."""
    subnets: dict[VpcId, Sequence[Subnet]] = {}
    found: dict[EndpointId, Sequence[SubnetId]] = {}
    for endpoint in endpoints:
        if endpoint.service_type is ServiceType.GATEWAY:
            if endpoint.vpc_id not in subnets:
                subnets[endpoint.vpc_id] = tx.subnets(endpoint.vpc_id)
            found[endpoint.id] = entries(endpoint.route_table_ids, subnets[endpoint.vpc_id])
    return found


def bound_tables(
    tx: ReadTransaction,
    vpc: Vpc,
    service: EndpointService,
    wanted: Sequence[RouteTableId],
    own_id: EndpointId | None = None,
) -> tuple[RouteTableId, ...]:
    """Return the route tables of a gateway endpoint: those wanted, each once, or the VPC's default one.

    `own_id` is the endpoint that is to be changed, whose present routes are in nobody's way.

    Raises:
        NetworksInVpc: the VPC has addresses of the service's networks, or is the one from which they are reached.
        RouteTableNotFound: the VPC has no such table.
        RoutesNotAdded: a custom route of the table leads to a part of the networks.
        RouteTableTaken: another endpoint leads to a part of the networks from there.
    """
    way_out = service.backend
    assert isinstance(way_out, WayOut)  # noqa: S101 - only asked of gateway services
    check_networks_are_elsewhere(vpc, service, way_out)
    tables = {table.id: table for table in tx.route_tables(vpc.id)}
    chosen = tuple(dict.fromkeys(wanted)) or tuple(table.id for table in tables.values() if table.is_default)
    for id_ in chosen:
        if id_ not in tables:
            raise RouteTableNotFound(f"VPC {vpc.id} has no route table {id_}: list the route tables of the VPC")
        _check_custom_routes(tables[id_], way_out)
    for other in tx.gateway_endpoints(vpc.id):
        shared = [id_ for id_ in chosen if id_ in other.route_table_ids and other.id != own_id]
        other_service = tx.service(other.service_id) if shared else None
        if other_service is None or not isinstance(other_service.backend, WayOut):
            continue
        common = overlap(way_out.networks, other_service.backend.networks)
        if common is not None:
            raise RouteTableTaken(
                f"route table {shared[0]} leads to {common} by endpoint {other.id} already: choose another route "
                "table, or delete that endpoint first"
            )
    return chosen


def check_networks_are_elsewhere(vpc: Vpc, service: EndpointService, way_out: WayOut) -> None:
    """Refuse networks that a VPC cannot be led to, as it has their addresses itself.

    Raises:
        NetworksInVpc: they overlap, or are reached through a subnet of this very VPC.
    """
    common = overlap(way_out.networks, [vpc.cidr])
    if common is not None:
        raise NetworksInVpc(
            f"VPC {vpc.id} has {vpc.cidr}, which overlaps {common} of endpoint service {service.name}: "
            "use a VPC with another range"
        )
    if vpc.id == service.vpc_id:
        raise NetworksInVpc(f"endpoint service {service.name} is reached through VPC {vpc.id} itself: use another VPC")


def routes_by_table(tx: ReadTransaction, vpc_id: VpcId) -> Mapping[RouteTableId, Sequence[Route]]:
    """Return the routes that the gateway endpoints of a VPC have put into its route tables.

    They are there while an endpoint is accepted: one that is rejected or being deleted leads nobody anywhere.
    """
    living = _living_gateways(tx, vpc_id)
    return _by_table((endpoint, way_out) for endpoint, way_out in living if endpoint.admission is Admission.ACCEPTED)


def kept_routes(tx: ReadTransaction, vpc_id: VpcId) -> Mapping[RouteTableId, Sequence[Route]]:
    """Return the routes of `routes_by_table`, and those that an acceptance may bring at any time.

    Nothing may be hidden behind these, either: whoever accepts an endpoint does not know the consumer's route tables.
    """
    return _by_table(_living_gateways(tx, vpc_id))


def _living_gateways(tx: ReadTransaction, vpc_id: VpcId) -> Sequence[tuple[Endpoint, WayOut]]:
    """Return the gateway endpoints of a VPC that are to stay, accepted or not, with where each leads."""
    found: list[tuple[Endpoint, WayOut]] = []
    for endpoint in tx.gateway_endpoints(vpc_id):
        service = None if endpoint.delete_requested_at is not None else tx.service(endpoint.service_id)
        if service is not None and service.delete_requested_at is None and isinstance(service.backend, WayOut):
            found.append((endpoint, service.backend))
    return found


def _by_table(gateways: Iterable[tuple[Endpoint, WayOut]]) -> Mapping[RouteTableId, Sequence[Route]]:
    found: dict[RouteTableId, list[Route]] = {}
    for endpoint, way_out in gateways:
        for id_ in endpoint.route_table_ids:
            found.setdefault(id_, []).extend(routes_of(endpoint.id, way_out))
    return found


def _check_custom_routes(table: RouteTable, way_out: WayOut) -> None:
    for route in table.routes:
        if is_led_away(route.destination, way_out):
            raise RoutesNotAdded(
                f"route table {table.id} has a custom route to {route.destination}, which the endpoint would lead "
                "elsewhere: remove that route, or choose another route table"
            )
