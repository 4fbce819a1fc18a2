"""Say which networks a gateway service may have, and what its endpoints put into route tables (contract 9.10).

Pure. A route of an endpoint is never stored: it follows from the endpoint, its service and the tables chosen, so it is
there exactly as long as they are.
"""

from collections.abc import Collection, Iterable, Sequence
from ipaddress import IPv4Network, collapse_addresses

from landbridge.domain.errors import InvalidNetworks
from landbridge.domain.ids import EndpointId, RouteTableId, SubnetId
from landbridge.domain.networking import UNUSABLE_RANGES, default_route_table_id
from landbridge.domain.resources import Route, Subnet, WayOut
from landbridge.domain.validation import RESERVED_RANGE

NETWORK_LIMIT = 50
"""Networks of one gateway service, after those that touch each other are joined."""

ENDPOINT_ROUTE = "egw"
"""The kind of a route that a gateway endpoint puts into a table, in the cloud's word; its next hop is the endpoint."""

_EXAMPLE = "100.125.0.0/16"


def check_networks(texts: Sequence[str]) -> tuple[IPv4Network, ...]:
    """Return the networks of a gateway service, sorted and collapsed.

    Raises:
        InvalidNetworks: none, too many, no range, or one that nobody can be sent to.
    """
    networks: list[IPv4Network] = []
    for text in texts:
        try:
            networks.append(IPv4Network(text))
        except ValueError:
            raise InvalidNetworks(
                f"{text[:32]!r} is no range: write one such as {_EXAMPLE}, without host bits"
            ) from None
    for network in networks:
        for reserved in (RESERVED_RANGE, *UNUSABLE_RANGES):
            if network.overlaps(reserved):
                raise InvalidNetworks(f"{network} overlaps {reserved}, which is reserved: write one such as {_EXAMPLE}")
    joined = tuple(sorted(collapse_addresses(networks)))
    if not 1 <= len(joined) <= NETWORK_LIMIT:
        raise InvalidNetworks(f"a gateway service has 1 to {NETWORK_LIMIT} networks, not {len(joined)}")
    return joined


def overlap(networks: Iterable[IPv4Network], others: Collection[IPv4Network]) -> IPv4Network | None:
    """Return the first of the networks that has an address in common with any of the others."""
    return next((network for network in networks if any(map(network.overlaps, others))), None)


def is_led_away(destination: IPv4Network, way_out: WayOut) -> bool:
    """Say whether packets to a custom route's destination would take the way out instead.

    A wider destination, such as 0.0.0.0/0, is no contradiction: the narrower route counts.
    """
    return any(destination.subnet_of(network) for network in way_out.networks)


def routes_of(endpoint_id: EndpointId, way_out: WayOut) -> tuple[Route, ...]:
    """Return the routes that a gateway endpoint puts into each of its route tables."""
    return tuple(Route(network, ENDPOINT_ROUTE, endpoint_id) for network in way_out.networks)


def entries(route_table_ids: Collection[RouteTableId], subnets: Iterable[Subnet]) -> tuple[SubnetId, ...]:
    """Return those of a VPC's subnets whose route table is one of these, in the order of ids."""
    return tuple(
        sorted(
            subnet.id
            for subnet in subnets
            if (subnet.route_table_id or default_route_table_id(subnet.vpc_id)) in route_table_ids
        )
    )
