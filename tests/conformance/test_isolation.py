"""Nothing passes between VPCs but mapped ports of accepted endpoints. Each "does not pass" has a twin that does."""

from ipaddress import IPv4Address

import pytest

from conformance.topology import address_of
from conformance.world import (
    ACK,
    ICMP,
    SYN,
    SYN_ACK,
    UDP,
    Answer,
    Attempt,
    Emission,
    World,
)
from landbridge.dataplane.model import PROBE_ADDRESS, Binding, Target


def wired(world: World, allowed: list[str] | None = None) -> tuple[Target, Binding]:
    """Give red an endpoint that leads to blue's backend, client port 80 to server port 8080."""
    service = world.service("blue-backend", 8080)
    endpoint = world.endpoint("red-web", "10.0.0.100", service, {80: 8080}, allowed)
    world.wire(service, endpoint)
    return service, endpoint


def passes(world: World, endpoint: Binding) -> bool:
    """Say whether the one thing that may pass does: what every test here is the twin of."""
    return world.reach("red-client", endpoint.address, 80) == Answer("blue-backend", 8080, endpoint.transit_address)


def test_no_port_but_the_mapped_one_passes(world: World):
    _, endpoint = wired(world)

    # 8080 is what the backend serves, 9000 what it listens on and does not offer.
    assert world.nobody_reaches(*(Attempt("red-client", endpoint.address, port) for port in (8080, 9000, 81)))
    assert passes(world, endpoint)


def test_a_client_port_that_leads_to_what_the_service_does_not_offer_does_not_pass(world: World):
    service = world.service("blue-backend", 8080)
    endpoint = world.endpoint("red-web", "10.0.0.100", service, {80: 8080, 81: 9000})
    world.wire(service, endpoint)

    assert world.nobody_reaches(Attempt("red-client", endpoint.address, 81))
    assert passes(world, endpoint)


def test_no_client_of_another_vpc_passes(world: World):
    _, endpoint = wired(world)

    assert world.nobody_reaches(
        *(Attempt(host, endpoint.address, 80) for host in ("green-client", "blue-client", "blue-far"))
    )
    assert passes(world, endpoint)


def test_nothing_passes_after_the_endpoint_is_removed(world: World):
    _, endpoint = wired(world)
    assert passes(world, endpoint)

    world.unwire(endpoint)

    assert world.nobody_reaches(Attempt("red-client", endpoint.address, 80), Attempt("red-far", endpoint.address, 80))


def test_nothing_passes_without_the_service_and_again_with_it(world: World):
    service, endpoint = wired(world)

    world.unwire(service)
    assert world.nobody_reaches(Attempt("red-client", endpoint.address, 80))
    world.wire(service)

    assert passes(world, endpoint)


def test_nobody_can_send_straight_to_a_transit_address(world: World):
    service, endpoint = wired(world)
    everybody = ("red-client", "red-far", "blue-backend", "blue-client", "blue-far", "green-client")

    assert world.nobody_reaches(
        *(
            Attempt(host, transit, port)
            for host in everybody
            for transit in (endpoint.transit_address, service.transit_address)
            for port in (80, 8080)
        )
    )
    emissions = [
        Emission(host, address_of(host), 41000, service.transit_address, 8080, flags=flags)
        for host in everybody
        for flags in (SYN, SYN_ACK, ACK)
    ]
    assert world.probe.emit_each(emissions) == [None] * len(emissions)
    pings = [("red-client", service.transit_address), ("blue-backend", endpoint.transit_address)]
    assert world.probe.ping_each(pings) == [False, False]
    assert passes(world, endpoint)


def test_a_forged_source_does_not_pass(world: World):
    service, endpoint = wired(world)
    other = world.endpoint("red-web", "10.0.0.101", service, {80: 8080})
    world.wire(other)
    true = Emission("red-client", address_of("red-client"), 41001, endpoint.address, 80)
    forged_sources = [
        endpoint.transit_address,
        other.transit_address,
        service.transit_address,
        endpoint.address,
        endpoint.consumer.edge_address,
        PROBE_ADDRESS,
    ]
    if world.plane.edge_is_gateway:
        # Where another router is the gateway, these may well come through it.
        nowhere, another_subnet_of_the_vpc = IPv4Address("10.5.5.5"), address_of("red-far")
        forged_sources += [nowhere, another_subnet_of_the_vpc]

    forged = [Emission("red-client", source, 41001, endpoint.address, 80) for source in forged_sources]
    assert world.probe.emit_each(forged) == [None] * len(forged)

    arrival = world.emit(true)
    assert arrival is not None
    assert (arrival.host, arrival.source, arrival.destination_port) == ("blue-backend", endpoint.transit_address, 8080)


@pytest.mark.gateway_only
def test_a_forged_source_does_not_pass_between_subnets_of_one_vpc(world: World):
    def sent(source: IPv4Address) -> Emission:
        return Emission("red-client", source, 41002, address_of("red-far"), 80)

    forged = [sent(IPv4Address("10.5.5.5")), sent(IPv4Address("198.19.128.9")), sent(IPv4Address("10.0.1.11"))]
    assert world.probe.emit_each(forged) == [None] * 3

    arrival = world.emit(sent(address_of("red-client")))
    assert arrival is not None
    assert (arrival.host, arrival.source) == ("red-far", address_of("red-client"))


def test_nobody_else_can_answer_in_the_backends_name(world: World):
    _, endpoint = wired(world)
    # A third VPC whose backend has the same address and port, and a way to the same consumer.
    of_green = world.service("green-backend", 8080)
    world.wire(of_green, world.endpoint("red-web", "10.0.0.101", of_green, {80: 8080}))
    flow = world.probe.open("red-client", endpoint.address, 80)
    backend = address_of("blue-backend")
    assert address_of("green-backend") == backend

    forgers = (
        ("blue-far", backend, 8080),  # from another subnet of the provider's VPC
        ("blue-client", address_of("blue-client"), 8080),
        ("blue-backend", backend, 9000),  # the backend itself, from a port that is not published
        ("green-backend", backend, 8080),
        ("red-far", backend, 8080),
    )
    forged = [
        Emission(host, source, port, *flow.seen_source, flags=flags)
        for host, source, port in forgers
        for flags in (SYN_ACK, ACK)
    ]
    assert world.probe.emit_each(forged) == [None] * len(forged)

    assert flow.is_alive()


def test_a_backend_cannot_open_a_connection(world: World):
    _, endpoint = wired(world)
    flow = world.probe.open("red-stubborn", endpoint.address, 80)
    seen_address, seen_port = flow.seen_source
    backend = address_of("blue-backend")

    # Even with the ports of a living connection, or from the port that it offers to one it has never seen.
    tries = [
        Emission("blue-backend", backend, 8080, seen_address, seen_port, flags=SYN),
        Emission("blue-backend", backend, 8080, endpoint.transit_address, 80, flags=SYN),
        Emission("blue-backend", backend, 8080, endpoint.transit_address, 80, flags=SYN_ACK),
        Emission("blue-backend", backend, 8080, endpoint.transit_address, 80, flags=ACK),
        Emission("blue-backend", backend, 41003, endpoint.transit_address, 80, flags=SYN),
        Emission("blue-backend", backend, 41003, address_of("red-stubborn"), 80, flags=SYN),
        Emission("blue-backend", backend, 41003, address_of("red-far"), 9000, flags=SYN),
    ]
    arrivals = world.probe.emit_each(tries)
    assert arrivals[:-1] == [None] * (len(tries) - 1)
    # That address is also one of blue's own: the packet stays there.
    assert arrivals[-1] is not None
    assert arrivals[-1].host == "blue-far"
    assert world.nobody_reaches(
        Attempt("blue-backend", endpoint.transit_address, 80),
        Attempt("blue-backend", endpoint.transit_address, seen_port),
        Attempt("blue-backend", address_of("red-stubborn"), 80),
    )

    assert flow.is_alive()


def test_udp_does_not_pass(world: World):
    _, endpoint = wired(world)

    assert world.probe.ask_by_udp("red-client", endpoint.address, 80) is None
    client = address_of("red-client")
    sent = [Emission("red-client", client, 41004, endpoint.address, port, UDP) for port in (80, 8080)]
    assert world.probe.emit_each(sent) == [None, None]
    assert passes(world, endpoint)


def test_icmp_does_not_pass_through(world: World):
    _, endpoint = wired(world)

    assert world.emit(Emission("red-client", address_of("red-client"), 0, endpoint.address, 0, ICMP)) is None
    assert world.probe.ping_each([("red-client", endpoint.address)]) == [True], "the edge answers for the endpoint"
    assert passes(world, endpoint)


def test_a_packet_of_no_connection_does_not_pass(world: World):
    _, endpoint = wired(world)
    client = address_of("red-client")

    sent = [Emission("red-client", client, 41005, endpoint.address, 80, flags=flags) for flags in (ACK, SYN_ACK)]
    assert world.probe.emit_each(sent) == [None, None]
    assert world.emit(Emission("red-client", client, 41005, endpoint.address, 80, flags=SYN)) is not None
