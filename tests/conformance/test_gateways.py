"""Gateway endpoints: whole networks beyond a VPC, for the subnets that were chosen, and nothing in return."""

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from conformance import topology
from conformance.topology import CLOSED_PORT, address_of
from conformance.world import ACK, NOTHING, SYN, SYN_ACK, TCP, UDP, Answer, Attempt, Emission, World
from landbridge.dataplane.driver import finish
from landbridge.dataplane.model import digest
from landbridge.dataplane.plan import Plan, diff

pytestmark = pytest.mark.gateway_only

STORE, OTHER = address_of("public-store"), address_of("public-other")


def test_vpcs_with_one_range_each_leave_with_a_transit_address_of_their_own(world: World):
    red, green = world.gateway("red-web"), world.gateway("green-web")

    world.wire(red, green)

    assert world.reach("red-client", STORE, 80) == Answer("public-store", 80, red.transit_address)
    assert world.reach("green-client", STORE, 80) == Answer("public-store", 80, green.transit_address)
    assert world.reach("red-client", OTHER, 9000) == Answer("public-other", 9000, red.transit_address)
    # Both clients have the address 10.0.0.10, and now the same source port, too.
    at_once = [Attempt("red-client", STORE, 80, 45000), Attempt("green-client", STORE, 80, 45000)]
    assert world.probe.reach_each(at_once, 3.0) == [
        Answer("public-store", 80, red.transit_address),
        Answer("public-store", 80, green.transit_address),
    ]


def test_datagrams_leave_too(world: World):
    gateway = world.gateway("red-web")
    world.wire(gateway)

    assert world.probe.ask_by_udp("red-client", STORE, 80, 3.0) == Answer("public-store", 80, gateway.transit_address)


def test_nobody_leaves_from_a_subnet_that_was_not_chosen(world: World):
    gateway = world.gateway("red-web")

    assert world.nobody_reaches(Attempt("red-client", STORE, 80), Attempt("red-far", STORE, 80))
    world.wire(gateway)

    assert world.reach("red-client", STORE, 80) is not None
    assert world.nobody_reaches(
        Attempt("red-far", STORE, 80), Attempt("green-client", STORE, 80), Attempt("blue-client", STORE, 80)
    )


def test_nobody_gets_further_than_the_networks_of_the_service(world: World):
    gateway = world.gateway("red-web", networks=["100.125.0.10/32"])
    world.wire(gateway)

    assert world.reach("red-client", STORE, 80) is not None
    edge_of_the_public_network = gateway.exit.gateway
    assert world.nobody_reaches(
        Attempt("red-client", OTHER, 80),
        Attempt("red-client", edge_of_the_public_network, 80),
        Attempt("red-client", IPv4Address("100.125.1.10"), 80),
    )


def test_the_edge_of_the_public_network_is_no_server(world: World):
    gateway = world.gateway("red-web")
    world.wire(gateway)

    assert world.probe.refuses_each([Attempt("red-client", STORE, CLOSED_PORT)]) == [True]
    assert world.probe.refuses_each([Attempt("red-client", gateway.exit.gateway, 80)]) == [False]
    assert world.probe.ping_each([("red-client", gateway.exit.gateway)]) == [False]


def test_a_subnet_that_loses_its_table_is_cut_and_the_others_go_on(world: World):
    gateway = world.gateway("red-web", "red-app")
    world.wire(gateway)
    lost, kept = world.probe.open("red-stubborn", STORE, 80), world.probe.open("red-far", STORE, 80)
    assert lost.is_alive()
    assert kept.is_alive()

    world.wire(replace(gateway, entries=world.gateway("red-app").entries))

    assert lost.exchange(0.7) == NOTHING
    assert kept.is_alive()
    assert world.nobody_reaches(Attempt("red-client", STORE, 80))

    world.wire(gateway)
    assert world.reach("red-client", STORE, 80) == Answer("public-store", 80, gateway.transit_address)


def test_a_subnet_that_is_not_there_keeps_no_other_from_leaving(world: World):
    gateway = world.gateway("red-web")
    absent = replace(topology.unattached(), vpc_id=gateway.entries[0].vpc_id)

    world.wire(replace(gateway, entries=(*gateway.entries, absent)))
    assert world.reach("red-client", STORE, 80) == Answer("public-store", 80, gateway.transit_address)

    alone = replace(world.gateway("green-web"), entries=(absent,))
    assert set(world.apply({alone.id: alone})) == {alone.id}


def test_a_subnet_that_comes_to_another_gateway_leaves_with_its_address(world: World):
    one, other = world.gateway("red-web"), world.gateway("red-app")
    world.wire(one, other)
    before = world.probe.open("red-stubborn", STORE, 80)
    assert before.seen_source[0] == one.transit_address

    both = replace(other, entries=world.gateway("red-web", "red-app").entries)
    assert world.apply({one.id: None, both.id: both}) == {}

    assert before.exchange(0.7) == NOTHING
    assert world.reach("red-client", STORE, 80) == Answer("public-store", 80, other.transit_address)


def test_removing_a_gateway_ends_its_connections_and_leaves_nothing_behind(world: World):
    empty = world.plane.dump()
    doomed, neighbour = world.gateway("red-web"), world.gateway("green-web")
    world.wire(neighbour)
    world.wire(doomed)
    flow, other = world.probe.open("red-stubborn", STORE, 80), world.probe.open("green-client", STORE, 80)
    assert flow.is_alive()

    world.unwire(doomed)

    assert flow.exchange(0.7) == NOTHING
    assert other.is_alive()
    assert world.nobody_reaches(Attempt("red-client", STORE, 80))
    # The store goes on sending to where its client was.
    source, source_port = flow.seen_source
    late = [Emission("public-store", STORE, 80, source, source_port, flags=flags) for flags in (ACK, SYN_ACK)]
    assert world.probe.emit_each(late) == [None, None]
    world.unwire(neighbour)
    assert world.plane.dump() == empty


def test_nobody_of_the_public_network_opens_a_connection_to_a_consumer(world: World):
    gateway = world.gateway("red-web")
    service = world.service("blue-backend", 80)
    endpoint = world.endpoint("red-web", "10.0.0.100", service, {80: 80})
    world.wire(gateway, service, endpoint)
    flow = world.probe.open("red-client", STORE, 80)
    source, source_port = flow.seen_source
    targets = [source, endpoint.transit_address, service.transit_address, address_of("red-client"), endpoint.address]

    within_the_connection = ("public-store", 80, source, source_port)
    sent = [
        Emission(host, address_of(host), port, target, target_port, protocol, flags)
        for host, port in (("public-store", 80), ("public-store", 81), ("public-other", 80), ("public-other", 41000))
        for target in targets
        for target_port in (80, 22, source_port)
        for protocol, flags in ((TCP, SYN), (TCP, ACK), (TCP, SYN_ACK), (UDP, SYN))
        if (host, port, target, target_port) != within_the_connection
    ]

    assert world.probe.emit_each(sent) == [None] * len(sent)
    assert flow.is_alive()


def test_a_forged_source_does_not_leave(world: World):
    red, green = world.gateway("red-web"), world.gateway("green-web")
    world.wire(red, green)
    sources = [
        IPv4Address("10.5.5.5"),
        address_of("red-far"),
        red.transit_address,
        green.transit_address,
        OTHER,
        red.entries[0].gateway,
    ]

    forged = [Emission("red-client", source, 41001, STORE, 80) for source in sources]
    assert world.probe.emit_each(forged) == [None] * len(forged)

    arrival = world.emit(Emission("red-client", address_of("red-client"), 41001, STORE, 80))
    assert arrival is not None
    assert (arrival.host, arrival.source, arrival.destination) == ("public-store", red.transit_address, STORE)


def test_a_consumer_sends_nothing_by_itself_to_transit_addresses_of_the_public_network(world: World):
    red, green = world.gateway("red-web"), world.gateway("green-web")
    world.wire(red, green)
    flow = world.probe.open("green-client", STORE, 80)
    source, source_port = flow.seen_source

    sent = [
        Emission("red-client", address_of("red-client"), 80, source, source_port, flags=flags)
        for flags in (SYN, ACK, SYN_ACK)
    ]

    assert world.probe.emit_each(sent) == [None] * len(sent)
    assert flow.is_alive()


def test_a_host_of_the_public_network_may_serve_by_an_endpoint_too(world: World):
    gateway = world.gateway("red-web")
    service = world.service("public-store", 8080)
    endpoint = world.endpoint("red-web", "10.0.0.100", service, {80: 8080})
    world.wire(service, endpoint, gateway)

    # The very same port, by both ways; and by the gateway also what is not published.
    assert world.reach("red-client", endpoint.address, 80) == Answer("public-store", 8080, endpoint.transit_address)
    assert world.reach("red-client", STORE, 8080) == Answer("public-store", 8080, gateway.transit_address)
    assert world.reach("red-client", STORE, 80) == Answer("public-store", 80, gateway.transit_address)

    world.unwire(gateway)
    assert world.reach("red-client", endpoint.address, 80) == Answer("public-store", 8080, endpoint.transit_address)
    assert world.nobody_reaches(Attempt("red-client", STORE, 8080))


def test_every_part_of_a_gateway_that_somebody_takes_away_is_missed_and_mended(world: World):
    gateway = world.gateway("red-web", "red-app", networks=["100.125.0.0/25", "100.125.0.128/26"])
    world.wire(gateway)
    expected = {gateway.id: digest(gateway)}
    answer = Answer("public-store", 80, gateway.transit_address)
    sabotages = world.plane.sabotages()
    assert sabotages

    for sabotage in sabotages:
        sabotage.do()
        assert finish(world.driver.survey([gateway])) != expected, f"{sabotage.what} was not noticed"
        assert world.sweep(gateway) == {}, sabotage.what
        assert finish(world.driver.survey([gateway])) == expected, f"{sabotage.what} was not mended"
        assert answer in (world.reach("red-client", STORE, 80) for _ in range(3)), (
            f"nothing passes after {sabotage.what}"
        )


def test_a_new_driver_adopts_a_gateway_and_its_connections_or_takes_all_of_it_away(world: World):
    empty = world.plane.dump()
    gateway = world.gateway("red-web", "red-app")
    world.wire(gateway)
    flow = world.probe.open("red-stubborn", STORE, 80)

    adopting = world.plane.new_driver()
    try:
        assert diff({gateway.id: gateway}, finish(adopting.survey([gateway]))) == Plan()
        assert flow.is_alive()
        assert adopting.apply(Plan(diff({}, finish(adopting.survey(()))).steps, is_sweep=True)) == {}
    finally:
        adopting.close()

    assert flow.exchange(0.7) == NOTHING
    assert finish(world.driver.survey(())) == {}
    assert world.plane.dump() == empty
