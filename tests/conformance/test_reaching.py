"""Who gets through, and whom the backend sees."""

from ipaddress import IPv4Address

import pytest

from conformance.topology import address_of
from conformance.world import Answer, Attempt, World


def test_a_client_reaches_the_backend_from_the_moment_the_endpoint_is_wired(world: World):
    service = world.service("blue-backend", 8080)
    endpoint = world.endpoint("red-web", "10.0.0.100", service, {80: 8080})
    world.wire(service)

    assert world.nobody_reaches(Attempt("red-client", endpoint.address, 80))
    world.wire(endpoint)

    assert world.reach("red-client", endpoint.address, 80) == Answer("blue-backend", 8080, endpoint.transit_address)


def test_service_and_endpoint_may_be_wired_in_one_plan(world: World):
    service = world.service("blue-backend", 80)
    endpoint = world.endpoint("red-web", "10.0.0.100", service, {80: 80})

    world.wire(service, endpoint)

    assert world.reach("red-client", endpoint.address, 80) == Answer("blue-backend", 80, endpoint.transit_address)


def test_one_vpc_may_provide_and_consume_at_once(world: World):
    of_blue, of_green = world.service("blue-backend", 80), world.service("green-backend", 80)
    in_red = world.endpoint("red-web", "10.0.0.100", of_blue, {80: 80})
    in_blue = world.endpoint("blue-web", "10.0.0.100", of_green, {80: 80})

    world.wire(of_blue, of_green, in_red, in_blue)

    assert world.reach("red-client", in_red.address, 80) == Answer("blue-backend", 80, in_red.transit_address)
    assert world.reach("blue-client", in_blue.address, 80) == Answer("green-backend", 80, in_blue.transit_address)
    # The very host that provides consumes too.
    assert world.reach("blue-backend", in_blue.address, 80) == Answer("green-backend", 80, in_blue.transit_address)


def test_two_vpcs_may_serve_each_other(world: World):
    of_red, of_blue = world.service("red-neighbour", 80), world.service("blue-backend", 80)
    in_red = world.endpoint("red-web", "10.0.0.100", of_blue, {80: 80})
    in_blue = world.endpoint("blue-web", "10.0.0.100", of_red, {80: 80})

    world.wire(of_red, of_blue, in_red, in_blue)

    assert world.reach("red-client", in_red.address, 80) == Answer("blue-backend", 80, in_red.transit_address)
    assert world.reach("blue-client", in_blue.address, 80) == Answer("red-neighbour", 80, in_blue.transit_address)


@pytest.mark.parametrize(("subnet", "client"), [("blue-app", "blue-far"), ("blue-web", "blue-far")])
def test_an_endpoint_may_be_in_the_services_own_vpc(world: World, subnet: str, client: str):
    service = world.service("blue-backend", 8080)
    address = "10.0.1.100" if subnet == "blue-app" else "10.0.0.100"
    endpoint = world.endpoint(subnet, address, service, {80: 8080})

    world.wire(service, endpoint)

    assert world.reach(client, endpoint.address, 80) == Answer("blue-backend", 8080, endpoint.transit_address)


def test_client_endpoint_and_backend_may_be_in_one_subnet(world: World):
    service = world.service("blue-backend", 8080)
    endpoint = world.endpoint("blue-web", "10.0.0.100", service, {80: 8080})

    world.wire(service, endpoint)

    assert world.reach("blue-client", endpoint.address, 80) == Answer("blue-backend", 8080, endpoint.transit_address)


def test_a_backend_may_use_an_endpoint_of_its_own_service(world: World):
    service = world.service("blue-backend", 8080)
    endpoint = world.endpoint("blue-web", "10.0.0.100", service, {80: 8080})

    world.wire(service, endpoint)

    assert world.reach("blue-backend", endpoint.address, 80) == Answer("blue-backend", 8080, endpoint.transit_address)


def test_a_client_in_another_subnet_of_the_vpc_reaches_the_endpoint(world: World):
    service = world.service("blue-backend", 80)
    endpoint = world.endpoint("red-web", "10.0.0.100", service, {80: 80})

    world.wire(service, endpoint)

    assert world.reach("red-far", endpoint.address, 80) == Answer("blue-backend", 80, endpoint.transit_address)


def test_two_services_on_one_nic_are_apart(world: World):
    web, cache = world.service("blue-backend", 80), world.service("blue-backend", 9000)
    to_web = world.endpoint("red-web", "10.0.0.100", web, {80: 80})
    to_cache = world.endpoint("red-web", "10.0.0.101", cache, {80: 9000})

    world.wire(web, cache, to_web, to_cache)
    assert world.reach("red-client", to_web.address, 80) == Answer("blue-backend", 80, to_web.transit_address)
    assert world.reach("red-client", to_cache.address, 80) == Answer("blue-backend", 9000, to_cache.transit_address)

    world.unwire(to_web, web)
    assert world.nobody_reaches(Attempt("red-client", to_web.address, 80))
    assert world.reach("red-client", to_cache.address, 80) == Answer("blue-backend", 9000, to_cache.transit_address)


def test_two_client_ports_may_lead_to_one_server_port_even_from_one_source_port(world: World):
    service = world.service("blue-backend", 8080)
    endpoint = world.endpoint("red-web", "10.0.0.100", service, {80: 8080, 81: 8080})
    world.wire(service, endpoint)

    first = world.probe.open("red-client", endpoint.address, 80, source_port=40001)
    second = world.probe.open("red-client", endpoint.address, 81, source_port=40001)

    assert first.is_alive()
    assert second.is_alive()
    assert first.seen_source != second.seen_source


def test_three_consumers_may_use_the_same_client_address_and_port_at_the_same_time(world: World):
    service = world.service("blue-backend", 80)
    endpoints = [
        world.endpoint(subnet, "10.0.0.100", service, {80: 80}) for subnet in ("red-web", "green-web", "blue-web")
    ]
    world.wire(service, *endpoints)

    clients = ("red-client", "green-client", "blue-client")
    flows = [
        world.probe.open(client, endpoint.address, 80, source_port=40002)
        for client, endpoint in zip(clients, endpoints, strict=True)
    ]

    assert {address_of(client) for client in clients} == {IPv4Address("10.0.0.10")}
    assert all(flow.is_alive() for flow in flows)
    assert [flow.seen_source[0] for flow in flows] == [endpoint.transit_address for endpoint in endpoints]


def test_an_endpoint_may_have_the_backends_own_address(world: World):
    service = world.service("blue-backend", 80)
    endpoint = world.endpoint("red-web", str(address_of("blue-backend")), service, {80: 80})

    world.wire(service, endpoint)

    assert world.reach("red-client", endpoint.address, 80) == Answer("blue-backend", 80, endpoint.transit_address)


def test_a_client_may_have_the_backends_own_address(world: World):
    service = world.service("blue-backend", 80)
    endpoint = world.endpoint("green-web", "10.0.0.100", service, {80: 80})

    world.wire(service, endpoint)

    assert address_of("green-backend") == address_of("blue-backend")
    assert world.reach("green-backend", endpoint.address, 80) == Answer("blue-backend", 80, endpoint.transit_address)


def test_the_backend_sees_each_endpoints_own_transit_address_and_never_a_client(world: World):
    service = world.service("blue-backend", 80)
    endpoints = {
        "red-client": world.endpoint("red-web", "10.0.0.100", service, {80: 80}),
        "red-neighbour": world.endpoint("red-web", "10.0.0.101", service, {80: 80}),
        "red-far": world.endpoint("red-app", "10.0.1.100", service, {80: 80}),
        "green-client": world.endpoint("green-web", "10.0.0.100", service, {80: 80}),
        "blue-client": world.endpoint("blue-web", "10.0.0.100", service, {80: 80}),
    }
    world.wire(service, *endpoints.values())

    for client, endpoint in endpoints.items():
        assert world.reach(client, endpoint.address, 80) == Answer("blue-backend", 80, endpoint.transit_address)
    assert len({endpoint.transit_address for endpoint in endpoints.values()}) == len(endpoints)
