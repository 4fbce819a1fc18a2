"""What is open goes on while nothing new may be opened, and where its backend was."""

from dataclasses import replace
from ipaddress import IPv4Network

import pytest

from conformance.topology import address_of
from conformance.world import ACK, NOTHING, SYN, Answer, Attempt, Emission, World
from landbridge.dataplane.driver import finish
from landbridge.dataplane.model import EVERYBODY, Binding, Place, Target
from landbridge.dataplane.plan import Plan, diff

BARRED = (EVERYBODY,)


def joined(world: World) -> tuple[Target, Binding]:
    service = world.service("blue-stubborn", 80)
    endpoint = world.endpoint("red-web", "10.0.0.100", service, {80: 80})
    world.wire(service, endpoint)
    return service, endpoint


def test_who_is_barred_opens_nothing_new_and_keeps_what_is_open(world: World):
    service, endpoint = joined(world)
    neighbour = world.endpoint("red-web", "10.0.0.101", service, {80: 80})
    world.wire(neighbour)
    flows = [world.probe.open(client, endpoint.address, 80) for client in ("red-client", "red-far")]

    world.wire(replace(endpoint, barred_sources=BARRED))

    assert all(flow.is_alive() for flow in flows)
    assert world.nobody_reaches(
        Attempt("red-client", endpoint.address, 80),
        Attempt("red-neighbour", endpoint.address, 80),
        Attempt("red-far", endpoint.address, 80),
    )
    assert world.reach("red-client", neighbour.address, 80) == Answer("blue-stubborn", 80, neighbour.transit_address)


def test_no_stray_packet_opens_what_a_barred_client_may_not(world: World):
    _, endpoint = joined(world)
    world.wire(replace(endpoint, barred_sources=BARRED))

    sent = [
        Emission("red-client", address_of("red-client"), 43500 + number, endpoint.address, 80, flags=flags)
        for number, flags in enumerate((SYN, ACK))
    ]

    assert world.probe.emit_each(sent) == [None, None]


def test_only_those_are_barred_who_are_named(world: World):
    _, endpoint = joined(world)
    flow = world.probe.open("red-client", endpoint.address, 80)

    world.wire(replace(endpoint, barred_sources=(IPv4Network("10.0.0.10/31"),)))

    assert flow.is_alive()
    assert world.nobody_reaches(
        Attempt("red-client", endpoint.address, 80), Attempt("red-neighbour", endpoint.address, 80)
    )
    for client in ("red-stubborn", "red-far"):
        assert world.reach(client, endpoint.address, 80) == Answer("blue-stubborn", 80, endpoint.transit_address)


def test_who_is_barred_no_more_opens_again_and_what_was_open_has_noticed_nothing(world: World):
    _, endpoint = joined(world)
    flows = [world.probe.open("red-client", endpoint.address, 80) for _ in range(20)]

    for _ in range(8):
        world.wire(replace(endpoint, barred_sources=BARRED))
        world.wire(endpoint)

    assert all(flow.is_alive() for flow in flows)
    assert world.reach("red-client", endpoint.address, 80) == Answer("blue-stubborn", 80, endpoint.transit_address)


def test_a_client_that_leaves_a_whitelist_goes_on_while_it_is_barred_and_is_cut_afterwards(world: World):
    service = world.service("blue-stubborn", 80)
    both, one = ["10.0.0.11/32", "10.0.0.12/32"], ["10.0.0.11/32"]
    endpoint = world.endpoint("red-web", "10.0.0.100", service, {80: 80}, both)
    world.wire(service, endpoint)
    stays = world.probe.open("red-neighbour", endpoint.address, 80)
    goes = world.probe.open("red-stubborn", endpoint.address, 80)

    world.wire(replace(endpoint, barred_sources=(IPv4Network("10.0.0.12/32"),)))
    assert goes.is_alive()
    assert world.nobody_reaches(
        Attempt("red-stubborn", endpoint.address, 80), Attempt("red-client", endpoint.address, 80)
    )
    world.wire(replace(endpoint, allowed_sources=tuple(map(IPv4Network, one))))

    assert goes.exchange(0.7) == NOTHING
    assert stays.is_alive()
    assert world.reach("red-neighbour", endpoint.address, 80) is not None


def test_what_drains_is_cut_for_good_when_it_is_removed(world: World):
    _, endpoint = joined(world)
    flow = world.probe.open("red-stubborn", endpoint.address, 80)
    world.wire(replace(endpoint, barred_sources=BARRED))
    assert flow.is_alive()

    world.unwire(endpoint)

    assert flow.exchange(0.7) == NOTHING


def test_a_new_driver_adopts_what_drains(world: World):
    service, endpoint = joined(world)
    flow = world.probe.open("red-client", endpoint.address, 80)
    barred = replace(endpoint, barred_sources=(IPv4Network("10.0.0.0/8"), IPv4Network("192.168.0.0/16")))
    world.wire(barred)

    second = world.plane.new_driver()
    wanted = {thing.id: thing for thing in (service, barred)}
    plan = diff(wanted, finish(second.survey([service, barred])))

    assert plan == Plan()
    assert flow.is_alive()
    assert world.nobody_reaches(Attempt("red-client", endpoint.address, 80))
    second.close()


@pytest.mark.parametrize("bystander", [False, True], ids=["alone", "beside-a-service-there"])
def test_a_service_that_moves_keeps_what_is_open_at_its_former_place_until_that_is_given_up(
    world: World, bystander: bool
):
    service, endpoint = joined(world)
    if bystander:
        world.wire(world.service("blue-stubborn", 8080))
    old = world.probe.open("red-stubborn", endpoint.address, 80)
    there = replace(
        world.service("blue-backend", 80),
        id=service.id,
        former_places=(Place(service.address, service.transit_address),),
    )
    followed = replace(
        endpoint, target_transit_address=there.transit_address, former_targets=(service.transit_address,)
    )

    world.wire(there, followed)

    assert old.is_alive()
    assert world.reach("red-client", endpoint.address, 80) == Answer("blue-backend", 80, endpoint.transit_address)
    new = world.probe.open("red-client", endpoint.address, 80)
    world.wire(replace(there, former_places=()), replace(followed, former_targets=()))
    assert old.exchange(0.7) == NOTHING
    assert new.is_alive()
