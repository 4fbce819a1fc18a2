"""Names, ranges and derived things of networks."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from landbridge.domain.ids import NicId, ProjectId, SubnetId, VpcId
from landbridge.domain.network_errors import InvalidSubnet, InvalidVpc, InvalidVpcRange, SubnetOutsideVpc, SubnetOverlap
from landbridge.domain.networking import (
    LAB_ROUTE,
    check_gateway,
    check_name,
    check_subnet_range,
    check_vpc_range,
    default_route_table,
    destinations_of,
    host_name,
    mac_of,
    other_host_name,
    with_lab_routes,
)
from landbridge.domain.resources import Route, Subnet, Vpc

NIC = NicId("c1d20000-0000-4000-8000-000000000001")
LAN, OFFICE = IPv4Network("192.168.0.0/24"), IPv4Network("172.16.0.0/12")
VPC = Vpc(VpcId("a0000000-0000-4000-8000-000000000001"), ProjectId("p"), "shop", IPv4Network("10.0.0.0/16"), (LAN,))
WEB = Subnet(SubnetId("s"), VPC.id, "web", IPv4Network("10.0.0.0/24"), IPv4Address("10.0.0.1"))


@pytest.mark.parametrize("text", ["10.0.0.0/8", "10.0.0.0/29", "192.168.0.0/16", "198.18.0.0/15"])
def test_a_vpc_may_have_ordinary_ranges_of_these_sizes(text: str):
    assert check_vpc_range(text) == IPv4Network(text)


@pytest.mark.parametrize(
    "text", ["8.0.0.0/7", "10.0.0.0/30", "127.0.0.0/8", "0.0.0.0/8", "10.0.0.1/8", "10.0.0.0", "x"]
)
def test_other_ranges_are_refused_with_an_example(text: str):
    with pytest.raises(InvalidVpcRange, match=r"10\.0\.0\.0/16"):
        check_vpc_range(text)


def test_a_subnet_is_inside_its_vpc_and_beside_the_others():
    assert check_subnet_range("10.0.1.0/24", VPC, [WEB]) == IPv4Network("10.0.1.0/24")
    with pytest.raises(SubnetOutsideVpc, match=r"10\.0\.0\.0/16"):
        check_subnet_range("10.1.0.0/24", VPC, [WEB])
    with pytest.raises(SubnetOverlap, match=WEB.id):
        check_subnet_range("10.0.0.128/25", VPC, [WEB])


def test_the_gateway_is_the_first_host_unless_another_one_is_given():
    assert check_gateway(None, WEB.cidr) == IPv4Address("10.0.0.1")
    assert check_gateway("10.0.0.254", WEB.cidr) == IPv4Address("10.0.0.254")
    for text in ("10.0.0.0", "10.0.0.255", "10.0.1.1", "first"):
        with pytest.raises(InvalidSubnet):
            check_gateway(text, WEB.cidr)


def test_names_have_letters_digits_and_three_signs():
    assert check_name("Straße_1-a.b", InvalidVpc) == "Straße_1-a.b"
    for text in ("", "a b", "a/b", "x" * 65, "a\n"):
        with pytest.raises(InvalidVpc):
            check_name(text, InvalidVpc)


def test_a_default_route_table_has_the_lab_files_routes_and_always_the_same_id():
    table = default_route_table(VPC)

    assert table.id == default_route_table(VPC).id
    assert table.routes == (Route(LAN, LAB_ROUTE, ""),)
    assert destinations_of([table, table]) == (LAN,)


def test_a_changed_lab_file_replaces_its_own_routes_only():
    made = Route(OFFICE, "vpn", "gateway-1")
    table = default_route_table(VPC)

    assert with_lab_routes(table, []) == ()
    assert with_lab_routes(default_route_table(VPC), [OFFICE]) == (Route(OFFICE, LAB_ROUTE, ""),)
    both = replace(table, routes=(*table.routes, made))
    assert with_lab_routes(both, [LAN]) == (Route(LAN, LAB_ROUTE, ""), made)


@pytest.mark.parametrize(
    ("port", "host"),
    [
        ("web-1", "web-1"),
        ("web 1.example.com", "web-1-example-com"),
        ("-_-", "port-c1d20000"),
        ("", "port-c1d20000"),
        ("Größe", "Gr-e"),
        ("x" * 40, "x" * 32),
    ],
)
def test_a_host_is_named_after_its_port(port: str, host: str):
    assert host_name(port, NIC) == host


def test_a_second_host_of_one_name_ends_with_its_ports_id():
    assert other_host_name("x" * 32, NIC) == "x" * 23 + "-c1d20000"


def test_a_mac_is_local_and_always_the_same():
    assert mac_of(NIC) == mac_of(NIC)
    assert mac_of(NIC).startswith("02:")
    assert len(bytes.fromhex(mac_of(NIC).replace(":", ""))) == 6
