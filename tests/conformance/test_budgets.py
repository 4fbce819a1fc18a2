"""An endpoint has as many connections open as it may have; its neighbours notice nothing of what is beyond."""

import time
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from conformance.linux_probe import LinuxFlow
from conformance.topology import address_of
from conformance.world import ACK, PATIENTLY, SYN, Answer, Attempt, Emission, World
from landbridge.dataplane.model import Binding, Target

LIMIT = 5


def limited(world: World) -> tuple[Target, Binding, Binding]:
    """Return a service with an endpoint of a small budget, and one of the usual budget beside it."""
    service = world.service("blue-backend", 80)
    small = replace(world.endpoint("red-web", "10.0.0.100", service, {80: 80}), connection_limit=LIMIT)
    neighbour = world.endpoint("red-web", "10.0.0.101", service, {80: 80})
    world.wire(service, small, neighbour)
    return service, small, neighbour


def test_one_more_connection_than_the_budget_is_not_carried_whoever_opens_it(world: World):
    _, small, neighbour = limited(world)
    flows = [world.probe.open(client, small.address, 80) for client in ("red-client", "red-far", *["red-client"] * 3)]

    assert world.nobody_reaches(Attempt("red-client", small.address, 80), Attempt("red-neighbour", small.address, 80))

    assert all(flow.is_alive() for flow in flows)
    for client in ("red-client", "red-neighbour"):
        assert world.reach(client, neighbour.address, 80) == Answer("blue-backend", 80, neighbour.transit_address)


@pytest.mark.linux_only
def test_a_connection_that_is_closed_makes_room_for_another(world: World):
    _, small, _ = limited(world)
    flows = [world.probe.open("red-client", small.address, 80) for _ in range(LIMIT)]
    assert world.nobody_reaches(Attempt("red-client", small.address, 80))
    closed = flows.pop()
    assert isinstance(closed, LinuxFlow)

    closed.close()

    assert_reaches_at_last(world, small)
    assert all(flow.is_alive() for flow in flows)


def test_clients_that_are_taken_out_of_a_whitelist_make_room_for_others(world: World):
    _, small, _ = limited(world)
    for _ in range(LIMIT):
        world.probe.open("red-client", small.address, 80)
    assert world.nobody_reaches(Attempt("red-neighbour", small.address, 80))

    world.wire(replace(small, allowed_sources=(IPv4Network("10.0.0.11/32"),)))

    answer = world.reach("red-neighbour", small.address, 80)
    assert answer == Answer("blue-backend", 80, small.transit_address)


def test_an_endpoint_that_is_wired_again_has_its_whole_budget(world: World):
    _, small, _ = limited(world)
    for _ in range(LIMIT):
        world.probe.open("red-client", small.address, 80)

    world.unwire(small)
    world.wire(small)

    answer = world.reach("red-client", small.address, 80)
    assert answer == Answer("blue-backend", 80, small.transit_address)


@pytest.mark.linux_only
def test_a_larger_budget_lets_more_in_and_ends_nothing(world: World):
    _, small, _ = limited(world)
    flows = [world.probe.open("red-client", small.address, 80) for _ in range(LIMIT)]
    assert world.nobody_reaches(Attempt("red-client", small.address, 80))

    world.wire(replace(small, connection_limit=LIMIT + 3))

    flows += [world.probe.open("red-client", small.address, 80) for _ in range(3)]
    assert all(flow.is_alive() for flow in flows)


@pytest.mark.linux_only
def test_a_flood_of_half_open_connections_uses_up_one_budget_and_neighbours_keep_working(world: World):
    service, small, neighbour = limited(world)
    other = world.endpoint("green-web", "10.0.0.100", service, {80: 80})
    world.wire(other)
    flows = [
        world.probe.open("red-neighbour", neighbour.address, 80),
        world.probe.open("green-client", other.address, 80),
    ]

    # Nobody is at these addresses, so nobody ends what the backend answers.
    forged = [IPv4Address("10.0.0.150") + number for number in range(60)]
    flood = [
        Emission("red-client", source, 20000 + round_, small.address, 80, flags=SYN)
        for round_ in range(5)
        for source in forged
    ]
    arrived = [arrival for arrival in world.probe.emit_each(flood) if arrival is not None]

    assert len(arrived) == LIMIT
    assert world.nobody_reaches(Attempt("red-client", small.address, 80))
    assert all(flow.is_alive() for flow in flows)
    for client, endpoint in (("red-neighbour", neighbour), ("green-client", other)):
        assert world.reach(client, endpoint.address, 80) == Answer("blue-backend", 80, endpoint.transit_address)
    # And what is open of the flooded endpoint itself is no way in for anybody.
    stray = Emission("red-client", address_of("red-client"), 20999, small.address, 80, flags=ACK)
    assert world.emit(stray) is None


def assert_reaches_at_last(world: World, endpoint: Binding) -> None:
    """The kernel counts a connection out when it next looks, not when it ends."""
    deadline = time.monotonic() + 2 * PATIENTLY
    while world.reach("red-client", endpoint.address, 80, timeout=0.3) is None:
        assert time.monotonic() < deadline, "no room was made"


@pytest.mark.gateway_only
def test_a_gateway_endpoint_has_one_budget_for_all_its_subnets_and_protocols(world: World):
    store = address_of("public-store")
    small = replace(world.gateway("red-web", "red-app"), connection_limit=LIMIT)
    neighbour = world.gateway("green-web")
    world.wire(small, neighbour)
    flows = [world.probe.open(client, store, 80) for client in ("red-client", "red-far", *["red-client"] * 3)]

    assert world.nobody_reaches(Attempt("red-client", store, 9000), Attempt("red-far", store, 80))
    assert world.probe.ask_by_udp("red-far", store, 80) is None

    assert all(flow.is_alive() for flow in flows)
    assert world.reach("green-client", store, 80) == Answer("public-store", 80, neighbour.transit_address)
