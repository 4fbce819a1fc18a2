"""Only allowed sources use an endpoint that has a whitelist."""

from dataclasses import replace
from ipaddress import IPv4Network

from conformance.topology import address_of
from conformance.world import NOTHING, Answer, Attempt, Emission, World


def test_a_client_outside_the_whitelist_does_not_pass(world: World):
    service = world.service("blue-backend", 80)
    endpoint = world.endpoint("red-web", "10.0.0.100", service, {80: 80}, ["10.0.0.11/32", "10.0.1.0/24"])
    world.wire(service, endpoint)

    assert world.nobody_reaches(
        Attempt("red-client", endpoint.address, 80), Attempt("red-stubborn", endpoint.address, 80)
    )
    assert world.emit(Emission("red-client", address_of("red-client"), 43000, endpoint.address, 80)) is None
    for client in ("red-neighbour", "red-far"):
        assert world.reach(client, endpoint.address, 80) == Answer("blue-backend", 80, endpoint.transit_address)


def test_an_empty_whitelist_lets_nobody_pass(world: World):
    service = world.service("blue-backend", 80)
    endpoint = world.endpoint("red-web", "10.0.0.100", service, {80: 80}, [])
    world.wire(service, endpoint)

    assert world.nobody_reaches(Attempt("red-client", endpoint.address, 80), Attempt("red-far", endpoint.address, 80))
    world.wire(replace(endpoint, allowed_sources=None))

    assert world.reach("red-client", endpoint.address, 80) == Answer("blue-backend", 80, endpoint.transit_address)


def test_a_whitelist_is_its_endpoints_own(world: World):
    service = world.service("blue-backend", 80)
    strict = world.endpoint("red-web", "10.0.0.100", service, {80: 80}, ["10.0.0.11/32"])
    other = world.endpoint("red-web", "10.0.0.101", service, {80: 80}, ["10.0.0.10/32"])
    free = world.endpoint("red-web", "10.0.0.102", service, {80: 80})
    world.wire(service, strict, other, free)

    assert world.nobody_reaches(Attempt("red-client", strict.address, 80), Attempt("red-neighbour", other.address, 80))
    for client, endpoint in (
        ("red-neighbour", strict),
        ("red-client", other),
        ("red-client", free),
        ("red-neighbour", free),
    ):
        assert world.reach(client, endpoint.address, 80) == Answer("blue-backend", 80, endpoint.transit_address)


def test_a_client_that_is_taken_out_loses_its_connection_and_the_others_keep_theirs(world: World):
    service = world.service("blue-stubborn", 80)
    endpoint = world.endpoint("red-web", "10.0.0.100", service, {80: 80}, ["10.0.0.11/32", "10.0.0.12/32"])
    world.wire(service, endpoint)
    stays = world.probe.open("red-neighbour", endpoint.address, 80)
    goes = world.probe.open("red-stubborn", endpoint.address, 80)
    assert stays.is_alive()
    assert goes.is_alive()

    world.wire(replace(endpoint, allowed_sources=(IPv4Network("10.0.0.11/32"),)))

    assert goes.exchange(0.7) == NOTHING
    assert stays.is_alive()


def test_a_whitelist_that_comes_later_ends_the_connections_outside_it(world: World):
    service = world.service("blue-stubborn", 80)
    endpoint = world.endpoint("red-web", "10.0.0.100", service, {80: 80})
    world.wire(service, endpoint)
    stays = world.probe.open("red-neighbour", endpoint.address, 80)
    goes = world.probe.open("red-stubborn", endpoint.address, 80)
    assert goes.is_alive()

    world.wire(replace(endpoint, allowed_sources=(IPv4Network("10.0.0.10/31"),)))

    assert goes.exchange(0.7) == NOTHING
    assert stays.is_alive()


def test_a_wider_whitelist_ends_no_connection(world: World):
    service = world.service("blue-backend", 80)
    endpoint = world.endpoint("red-web", "10.0.0.100", service, {80: 80}, ["10.0.0.10/32"])
    world.wire(service, endpoint)
    flow = world.probe.open("red-client", endpoint.address, 80)
    assert world.nobody_reaches(Attempt("red-neighbour", endpoint.address, 80))

    world.wire(replace(endpoint, allowed_sources=(IPv4Network("10.0.0.8/29"),)))

    assert flow.is_alive()
    assert world.reach("red-neighbour", endpoint.address, 80) == Answer("blue-backend", 80, endpoint.transit_address)
