"""The edge as a router inside one VPC, and what it answers itself."""

import time
from ipaddress import IPv4Address

import pytest

from conformance.linux_probe import LinuxProbe
from conformance.topology import CLOSED_PORT, address_of
from conformance.world import PATIENTLY, Answer, Attempt, Emission, World


@pytest.mark.gateway_only
def test_between_subnets_of_one_vpc_everything_is_routed(world: World):
    near, far = address_of("red-client"), address_of("red-far")

    assert world.reach("red-client", far, 80) == Answer("red-far", 80, near)
    assert world.reach("red-far", near, 9000) == Answer("red-client", 9000, far)
    assert world.probe.ask_by_udp("red-client", far, 80, PATIENTLY) == Answer("red-far", 80, near)
    assert world.probe.ping_each([("red-client", far), ("red-far", near)]) == [True, True]


def test_the_same_address_is_another_host_in_each_vpc(world: World):
    far = IPv4Address("10.0.1.10")

    assert world.reach("red-client", far, 80) == Answer("red-far", 80, address_of("red-client"))
    assert world.reach("blue-client", far, 80) == Answer("blue-far", 80, address_of("blue-client"))
    # Green has no such subnet, so nobody is there.
    assert world.nobody_reaches(Attempt("green-client", far, 80))
    assert world.emit(Emission("green-client", address_of("green-client"), 42000, far, 80)) is None


def test_routing_inside_a_vpc_goes_on_beside_endpoints(world: World):
    service = world.service("red-far", 80)
    endpoint = world.endpoint("red-web", "10.0.0.100", service, {80: 80})
    world.wire(service, endpoint)
    near, far = address_of("red-client"), address_of("red-far")

    # The published port, by its own address and by the endpoint's; and a port that is not published.
    assert world.reach("red-client", far, 80) == Answer("red-far", 80, near)
    assert world.reach("red-client", far, 9000) == Answer("red-far", 9000, near)
    assert world.reach("red-client", endpoint.address, 80) == Answer("red-far", 80, endpoint.transit_address)


def test_the_edge_answers_echo_requests_for_endpoints_and_for_nothing_else(world: World):
    service = world.service("blue-backend", 80)
    endpoint = world.endpoint("red-web", "10.0.0.100", service, {80: 80})

    edge = endpoint.consumer.edge_address
    in_red = [("red-client", endpoint.address), ("red-far", endpoint.address)]
    elsewhere = [("red-client", edge), ("red-far", edge), ("green-client", endpoint.address)]

    assert world.probe.ping_each(in_red) == [False, False]
    world.wire(service, endpoint)

    assert world.probe.ping_each([*in_red, *elsewhere]) == [True, True, False, False, False]
    world.unwire(endpoint)
    assert world.probe.ping_each(in_red) == [False, False]


def test_the_edge_is_silent_on_ports_that_are_not_mapped(world: World):
    service = world.service("blue-backend", 80)
    endpoint = world.endpoint("red-web", "10.0.0.100", service, {80: 80})
    world.wire(service, endpoint)

    at_the_edge = [
        Attempt("red-client", endpoint.address, CLOSED_PORT),
        Attempt("red-far", endpoint.address, CLOSED_PORT),
        Attempt("red-client", endpoint.consumer.edge_address, CLOSED_PORT),
    ]
    at_a_host = Attempt("red-client", address_of("red-far"), CLOSED_PORT)

    assert world.probe.refuses_each([*at_the_edge, at_a_host]) == [False, False, False, True]


@pytest.mark.linux_only
def test_nobody_but_the_hosts_speaks_ipv6(world: World):
    probe = world.probe
    assert isinstance(probe, LinuxProbe)
    deadline = time.monotonic() + PATIENTLY
    while not (probe.link_local_addresses("red-neighbour") and probe.link_local_addresses("red-client")):
        assert time.monotonic() < deadline, "the hosts got no IPv6 addresses"
        time.sleep(0.05)

    neighbours = probe.ipv6_neighbours("red-client")

    assert probe.link_local_addresses("red-neighbour") <= neighbours
    hosts = [probe.link_local_addresses(host) for host in ("red-client", "red-neighbour", "red-stubborn")]
    assert neighbours <= set[str]().union(*hosts)
