from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbridge.domain.errors import InvalidNetworks
from landbridge.domain.gateways import ENDPOINT_ROUTE, check_networks, entries, is_led_away, overlap, routes_of
from landbridge.domain.ids import EndpointId, RouteTableId, SubnetId, VpcId
from landbridge.domain.networking import default_route_table_id
from landbridge.domain.resources import Route, Subnet, WayOut

VPC, TABLE = VpcId("vpc-1"), RouteTableId("table-1")
STORE = WayOut(SubnetId("exit"), (IPv4Network("100.125.0.0/16"),))


def subnet(id_: str, table: RouteTableId | None = None) -> Subnet:
    return Subnet(SubnetId(id_), VPC, id_, IPv4Network("10.0.0.0/24"), IPv4Address("10.0.0.1"), route_table_id=table)


def test_networks_that_touch_are_joined_and_sorted():
    assert check_networks(["100.125.128.0/17", "100.64.0.0/24", "100.125.0.0/17"]) == (
        IPv4Network("100.64.0.0/24"),
        IPv4Network("100.125.0.0/16"),
    )
    assert check_networks(["100.125.0.10"]) == (IPv4Network("100.125.0.10/32"),)


@pytest.mark.parametrize(
    "texts",
    [
        [],
        ["store"],
        ["100.125.0.1/16"],
        ["::/0"],
        ["0.0.0.0/0"],
        ["198.19.200.0/24"],
        ["198.18.0.0/15"],
        ["127.0.0.0/8"],
        ["224.0.0.0/8"],
        [f"100.64.{number}.0/24" for number in range(0, 102, 2)],
    ],
    ids=lambda texts: ",".join(texts[:1]) or "none",
)
def test_networks_that_nobody_can_be_sent_to_are_refused(texts: list[str]):
    with pytest.raises(InvalidNetworks):
        check_networks(texts)


networks = st.lists(
    st.builds(
        lambda number, length: IPv4Network((number & ~(2 ** (32 - length) - 1), length)),
        st.integers(2**31, 2**31 + 2**16),
        st.integers(20, 32),
    ),
    max_size=6,
)


@given(networks, networks)
def test_an_overlap_is_found_exactly_if_there_is_a_common_address(one: list[IPv4Network], other: list[IPv4Network]):
    addresses = {address for network in other for address in (network[0], network[-1])}
    addresses |= {address for network in one for address in (network[0], network[-1])}
    is_common = any(
        any(address in network for network in one) and any(address in network for network in other)
        for address in addresses
    )

    found = overlap(one, other)

    assert (found is not None) is is_common
    assert found is None or found in one


@pytest.mark.parametrize(
    ("destination", "is_away"),
    [
        ("100.125.0.0/16", True),
        ("100.125.7.0/24", True),
        ("100.124.0.0/15", False),
        ("0.0.0.0/0", False),
        ("10.0.0.0/8", False),
    ],
)
def test_a_custom_route_contradicts_a_way_out_unless_it_is_wider(destination: str, is_away: bool):
    assert is_led_away(IPv4Network(destination), STORE) is is_away


def test_an_endpoint_puts_one_route_for_each_network_into_a_table():
    two = replace(STORE, networks=(IPv4Network("100.64.0.0/24"), IPv4Network("100.125.0.0/16")))

    assert routes_of(EndpointId("e1"), two) == (
        Route(IPv4Network("100.64.0.0/24"), ENDPOINT_ROUTE, "e1"),
        Route(IPv4Network("100.125.0.0/16"), ENDPOINT_ROUTE, "e1"),
    )


def test_entries_are_the_subnets_with_one_of_the_tables_and_a_subnet_without_one_has_the_default():
    subnets = [subnet("b", TABLE), subnet("c"), subnet("a", TABLE), subnet("d", RouteTableId("other"))]

    assert entries([TABLE], subnets) == ("a", "b")
    assert entries([default_route_table_id(VPC)], subnets) == ("c",)
    assert entries([TABLE, default_route_table_id(VPC)], subnets) == ("a", "b", "c")
    assert entries([], subnets) == ()
