"""What is taken away ends at once, for good, and alone. Stubborn hosts ignore resets and go on sending."""

from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Network
from uuid import uuid4

import pytest

from conformance.topology import address_of
from conformance.world import NOTHING, Answer, Attempt, World
from landbridge.dataplane.driver import finish
from landbridge.dataplane.model import Binding, PortForward, Target, Wired
from landbridge.dataplane.plan import diff
from landbridge.domain.ids import EndpointId


@pytest.mark.parametrize(("client", "backend"), [("red-client", "blue-backend"), ("red-stubborn", "blue-stubborn")])
def test_removing_an_endpoint_ends_its_connections_and_no_others(world: World, client: str, backend: str):
    service = world.service(backend, 80)
    doomed = world.endpoint("red-web", "10.0.0.100", service, {80: 80})
    neighbour = world.endpoint("red-web", "10.0.0.101", service, {80: 80})
    world.wire(service, doomed, neighbour)
    flow, other = world.probe.open(client, doomed.address, 80), world.probe.open(client, neighbour.address, 80)
    assert flow.is_alive()

    world.unwire(doomed)

    assert flow.exchange(0.7) == NOTHING
    assert other.is_alive()


def test_removing_an_endpoint_in_the_services_own_vpc_ends_its_connections(world: World):
    service = world.service("blue-stubborn", 80)
    endpoint = world.endpoint("blue-web", "10.0.0.100", service, {80: 80})
    world.wire(service, endpoint)
    flow = world.probe.open("blue-client", endpoint.address, 80)
    assert flow.is_alive()

    world.unwire(endpoint)

    assert flow.exchange(0.7) == NOTHING


def test_removing_endpoint_and_service_in_one_plan_ends_the_connections(world: World):
    service = world.service("blue-stubborn", 80)
    endpoint = world.endpoint("red-web", "10.0.0.100", service, {80: 80})
    world.wire(service, endpoint)
    flow = world.probe.open("red-stubborn", endpoint.address, 80)
    assert flow.is_alive()

    world.unwire(service, endpoint)

    assert flow.exchange(0.7) == NOTHING


@pytest.mark.parametrize("same", ["address", "address-and-transit-address"])
@pytest.mark.parametrize("plans", ["two-plans", "one-plan"])
def test_a_later_endpoint_with_the_same_address_does_not_revive_a_connection(world: World, same: str, plans: str):
    service = world.service("blue-stubborn", 80)
    earlier = world.endpoint("red-web", "10.0.0.100", service, {80: 80})
    later = replace(earlier, id=EndpointId(str(uuid4())))
    if same == "address":
        later = replace(later, transit_address=world.transit_address())
    world.wire(service, earlier)
    flow = world.probe.open("red-stubborn", earlier.address, 80)
    assert flow.is_alive()

    if plans == "one-plan":
        assert world.apply({earlier.id: None, later.id: later}) == {}
    else:
        world.unwire(earlier)
        world.wire(later)

    assert flow.exchange(1.0) == NOTHING
    answer = world.reach("red-stubborn", later.address, 80)
    assert answer == Answer("blue-stubborn", 80, later.transit_address)


@pytest.mark.parametrize("client", ["red-client", "red-stubborn"])
def test_an_endpoint_that_is_wired_again_does_not_revive_its_connections(world: World, client: str):
    service = world.service("blue-stubborn", 80)
    endpoint = world.endpoint("red-web", "10.0.0.100", service, {80: 80})
    world.wire(service, endpoint)
    flow = world.probe.open(client, endpoint.address, 80)
    assert flow.is_alive()

    world.unwire(endpoint)
    world.wire(endpoint)

    assert flow.exchange(1.0) == NOTHING
    assert world.reach(client, endpoint.address, 80) == Answer("blue-stubborn", 80, endpoint.transit_address)


def test_many_endpoints_that_are_wired_again_at_once_revive_no_connections(world: World):
    service = world.service("blue-stubborn", 80)
    endpoints = [world.endpoint("red-web", f"10.0.0.{100 + number}", service, {80: 80}) for number in range(25)]
    world.wire(service, *endpoints)
    flows = [world.probe.open("red-stubborn", endpoint.address, 80) for endpoint in endpoints[:3]]
    assert all(flow.is_alive() for flow in flows)

    world.unwire(*endpoints)
    world.wire(*endpoints)

    assert [flow.exchange(0.5) for flow in flows] == [NOTHING] * 3


def test_a_new_driver_does_not_revive_what_an_earlier_one_cut(world: World):
    service = world.service("blue-stubborn", 80)
    endpoint = world.endpoint("red-web", "10.0.0.100", service, {80: 80})
    world.wire(service, endpoint)
    flow = world.probe.open("red-stubborn", endpoint.address, 80)
    assert flow.is_alive()
    world.unwire(endpoint)

    second = world.plane.new_driver()
    plan = diff({service.id: service, endpoint.id: endpoint}, finish(second.survey([service, endpoint])))
    assert second.apply(plan) == {}

    assert flow.exchange(1.0) == NOTHING
    assert world.reach("red-client", endpoint.address, 80) is not None
    second.close()


@pytest.mark.parametrize("back", ["10.0.0.0/24", None], ids=["listed", "everybody"])
def test_a_client_that_is_let_in_again_does_not_find_its_connections(world: World, back: str | None):
    service = world.service("blue-stubborn", 80)
    endpoint = world.endpoint("red-web", "10.0.0.100", service, {80: 80})
    others = (IPv4Network("10.0.0.11/32"),)
    world.wire(service, endpoint)
    flow, other = (
        world.probe.open("red-client", endpoint.address, 80),
        world.probe.open("red-neighbour", endpoint.address, 80),
    )
    assert flow.is_alive()

    world.wire(replace(endpoint, allowed_sources=others))
    world.wire(replace(endpoint, allowed_sources=None if back is None else (IPv4Network(back),)))

    assert flow.exchange(1.0) == NOTHING
    assert other.is_alive()
    answer = world.reach("red-client", endpoint.address, 80)
    assert answer == Answer("blue-stubborn", 80, endpoint.transit_address)


def test_changing_one_forward_leaves_connections_on_the_other_ports_alone(world: World):
    service = world.service("blue-stubborn", 80, 8080, 9000)
    endpoint = world.endpoint("red-web", "10.0.0.100", service, {80: 80, 81: 8080})
    world.wire(service, endpoint)
    unchanged = world.probe.open("red-stubborn", endpoint.address, 80)
    changed = world.probe.open("red-stubborn", endpoint.address, 81)
    assert unchanged.is_alive()
    assert changed.is_alive()

    world.wire(replace(endpoint, forwards=(PortForward(80, 80), PortForward(81, 9000))))

    assert changed.exchange(0.7) == NOTHING
    assert unchanged.is_alive()
    answer = world.reach("red-client", endpoint.address, 81)
    assert answer == Answer("blue-stubborn", 9000, endpoint.transit_address)


def test_a_forward_may_be_added_and_taken_away_beside_living_connections(world: World):
    service = world.service("blue-backend", 80, 8080)
    narrow = world.endpoint("red-web", "10.0.0.100", service, {80: 80})
    wide = replace(narrow, forwards=(PortForward(80, 80), PortForward(81, 8080)))
    world.wire(service, narrow)
    flow = world.probe.open("red-client", narrow.address, 80)

    world.wire(wide)
    assert world.reach("red-client", narrow.address, 81) == Answer("blue-backend", 8080, narrow.transit_address)
    world.wire(narrow)

    assert world.nobody_reaches(Attempt("red-client", narrow.address, 81))
    assert flow.is_alive()


def networks(*texts: str) -> tuple[IPv4Network, ...]:
    return tuple(map(IPv4Network, texts))


# What somebody may change to and fro while a client at 10.0.0.10 is connected by client port 80.
HARMLESS_CHANGES: dict[str, Callable[[Target, Binding], tuple[Wired, Wired]]] = {
    "wider-whitelist": lambda _, endpoint: (
        replace(endpoint, allowed_sources=networks("10.0.0.8/29")),
        replace(endpoint, allowed_sources=networks("10.0.0.10/32")),
    ),
    "other-whitelist": lambda _, endpoint: (
        replace(endpoint, allowed_sources=networks("10.0.0.0/28", "10.0.1.0/24")),
        replace(endpoint, allowed_sources=networks("10.0.0.10/31")),
    ),
    "whitelist-or-none": lambda _, endpoint: (
        replace(endpoint, allowed_sources=networks("10.0.0.10/32")),
        replace(endpoint, allowed_sources=None),
    ),
    "one-more-forward": lambda _, endpoint: (
        replace(endpoint, forwards=(PortForward(80, 80), PortForward(81, 8080))),
        endpoint,
    ),
    "another-forward": lambda _, endpoint: (
        replace(endpoint, forwards=(PortForward(80, 80), PortForward(81, 8080))),
        replace(endpoint, forwards=(PortForward(80, 80), PortForward(82, 8080))),
    ),
    "other-mtu": lambda _, endpoint: (replace(endpoint, mtu=1400), endpoint),
    "other-marker": lambda _, endpoint: (replace(endpoint, marker=endpoint.marker + 1000), endpoint),
    "one-more-server-port": lambda service, _: (replace(service, server_ports=(80, 8080, 9000)), service),
}


@pytest.mark.parametrize("change", HARMLESS_CHANGES)
def test_no_connection_notices_a_change_that_leaves_it_allowed(world: World, change: str):
    service = world.service("blue-backend", 80, 8080)
    endpoint = world.endpoint("red-web", "10.0.0.100", service, {80: 80})
    there, back = HARMLESS_CHANGES[change](service, endpoint)
    world.wire(*{thing.id: thing for thing in (service, endpoint, back)}.values())
    # Many, and again and again: a gap of a millisecond must be met by a packet.
    flows = [world.probe.open("red-client", endpoint.address, 80) for _ in range(20)]

    for _ in range(8):
        world.wire(there)
        world.wire(back)

    assert all(flow.is_alive() for flow in flows)


def test_no_connection_notices_neighbours_that_come_and_go(world: World):
    service, other = world.service("blue-backend", 80), world.service("green-backend", 80)
    endpoint = world.endpoint("red-web", "10.0.0.100", service, {80: 80}, ["10.0.0.10/32"])
    neighbours = [
        world.endpoint("red-web", "10.0.0.101", service, {80: 80}, ["10.0.0.8/29"]),
        world.endpoint("red-web", "10.0.0.102", other, {80: 80}, ["10.0.0.10/32"]),
        world.endpoint("blue-web", "10.0.0.100", other, {80: 80}),
    ]
    world.wire(service, endpoint)
    flows = [world.probe.open("red-client", endpoint.address, 80) for _ in range(20)]

    for _ in range(8):
        world.wire(other, *neighbours)
        world.unwire(other, *neighbours)

    assert all(flow.is_alive() for flow in flows)


def test_a_service_that_moves_to_another_nic_takes_new_connections_there(world: World):
    before, after = world.service("blue-stubborn", 80), world.service("blue-backend", 80)
    endpoint = world.endpoint("red-web", "10.0.0.100", before, {80: 80})
    world.wire(before, endpoint)
    flow = world.probe.open("red-stubborn", endpoint.address, 80)
    assert flow.is_alive()

    moved = replace(endpoint, target_transit_address=after.transit_address)
    world.wire(replace(after, id=before.id), moved)

    assert flow.exchange(0.7) == NOTHING
    assert world.reach("red-client", endpoint.address, 80) == Answer("blue-backend", 80, endpoint.transit_address)


def test_a_connection_survives_a_service_that_gets_more_ports(world: World):
    service = world.service("blue-backend", 80)
    endpoint = world.endpoint("red-web", "10.0.0.100", service, {80: 80})
    world.wire(service, endpoint)
    flow = world.probe.open("red-client", endpoint.address, 80)

    world.wire(replace(service, server_ports=(80, 8080)))

    assert flow.is_alive()
    assert address_of("blue-backend") == service.address
