"""Backends that move: a virtual IP that another host takes over, and a service that is given another backend."""

import socket
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from conformance.linux_plane import LinuxPlane
from conformance.linux_probe import LinuxProbe
from conformance.world import NOTHING, PATIENTLY, Answer, World
from landbridge.dataplane.model import Binding, Place, Target

pytestmark = pytest.mark.linux_only

VIRTUAL = IPv4Address("10.0.0.30")
ETHERTYPE_ARP = 0x0806
REQUEST, REPLY = 1, 2


@pytest.fixture
def put_virtual_address(world: World) -> Iterator[Callable[[str], None]]:
    """Give the virtual address to a host of blue's, and take it from the one that has it."""
    plane = world.plane
    assert isinstance(plane, LinuxPlane)
    holders: list[str] = []

    def on_host(host: str, verb: str) -> None:
        plane.run_inside(plane.namespace_of(host), ["ip", "address", verb, f"{VIRTUAL}/32", "dev", "eth0"])

    def put(host: str) -> None:
        while holders:
            on_host(holders.pop(), "delete")
        on_host(host, "add")
        holders.append(host)

    yield put
    while holders:
        on_host(holders.pop(), "delete")


def announce(world: World, host: str, operation: int) -> None:
    """Tell everybody in the subnet that the virtual address is at this host now: RFC 5227, section 3."""
    assert isinstance(world.probe, LinuxProbe)
    wire = world.probe.hosts[host].inside(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
    try:
        wire.bind(("eth0", ETHERTYPE_ARP))
        mac = wire.getsockname()[4]
        target = mac if operation == REPLY else bytes(6)
        arp = struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation) + mac + VIRTUAL.packed + target + VIRTUAL.packed
        wire.send(b"\xff" * 6 + mac + struct.pack("!H", ETHERTYPE_ARP) + arp)
    finally:
        wire.close()


@pytest.mark.parametrize("operation", [REQUEST, REPLY], ids=["request", "reply"])
def test_a_virtual_address_is_followed_to_the_host_that_announces_it(
    world: World, put_virtual_address: Callable[[str], None], operation: int
):
    service = replace(world.service("blue-backend", 80), address=VIRTUAL, transit_address=world.transit_address())
    endpoint = world.endpoint("red-web", "10.0.0.100", service, {80: 80})
    other_service = world.service("blue-backend", 80)
    other = world.endpoint("red-web", "10.0.0.101", other_service, {80: 80})
    world.wire(service, endpoint, other_service, other)
    put_virtual_address("blue-backend")
    announce(world, "blue-backend", operation)
    assert world.reach("red-client", endpoint.address, 80) == Answer("blue-backend", 80, endpoint.transit_address)
    bystander = world.probe.open("red-client", other.address, 80)

    put_virtual_address("blue-stubborn")
    announce(world, "blue-stubborn", operation)

    after = Answer("blue-stubborn", 80, endpoint.transit_address)
    deadline = time.monotonic() + PATIENTLY
    while world.reach("red-client", endpoint.address, 80, timeout=0.5) != after:
        assert time.monotonic() < deadline, "the edge still sends to the host of before"
    assert bystander.is_alive()


def moved(world: World, service: Target, host: str) -> Target:
    """Return a service after its backend has become another host, whose connections of before go on."""
    before = Place(service.address, service.transit_address)
    places = (before, *service.former_places)
    return replace(world.service(host, *service.server_ports), id=service.id, former_places=places)


def following(endpoint: Binding, service: Target) -> Binding:
    """Return an endpoint after its service has moved."""
    former = tuple(place.transit_address for place in service.former_places)
    return replace(endpoint, target_transit_address=service.transit_address, former_targets=former)


def test_open_connections_stay_where_the_backend_was_and_new_ones_go_where_it_is(world: World):
    service = world.service("blue-stubborn", 80)
    endpoint = world.endpoint("red-web", "10.0.0.100", service, {80: 80})
    world.wire(service, endpoint)
    flow = world.probe.open("red-stubborn", endpoint.address, 80)

    once = moved(world, service, "blue-backend")
    world.wire(once, following(endpoint, once))
    assert flow.is_alive()
    answer = world.reach("red-client", endpoint.address, 80)
    assert answer == Answer("blue-backend", 80, endpoint.transit_address)
    second = world.probe.open("red-client", endpoint.address, 80)

    twice = moved(world, once, "blue-client")
    world.wire(twice, following(endpoint, twice))
    assert flow.is_alive()
    assert second.is_alive()
    assert world.reach("red-client", endpoint.address, 80) == Answer("blue-client", 80, endpoint.transit_address)
    assert len(twice.former_places) == 2


def test_a_former_place_that_is_given_up_ends_its_connections_and_no_others(world: World):
    service = world.service("blue-stubborn", 80)
    endpoint = world.endpoint("red-web", "10.0.0.100", service, {80: 80})
    world.wire(service, endpoint)
    flow = world.probe.open("red-stubborn", endpoint.address, 80)
    after = moved(world, service, "blue-backend")
    followed = following(endpoint, after)
    world.wire(after, followed)
    new = world.probe.open("red-client", endpoint.address, 80)
    assert flow.is_alive()

    world.wire(replace(after, former_places=()), replace(followed, former_targets=()))

    assert flow.exchange(0.7) == NOTHING
    assert new.is_alive()


def test_a_backend_may_come_back_to_where_it_was(world: World):
    service = world.service("blue-stubborn", 80)
    endpoint = world.endpoint("red-web", "10.0.0.100", service, {80: 80})
    world.wire(service, endpoint)
    flow = world.probe.open("red-stubborn", endpoint.address, 80)
    away = moved(world, service, "blue-backend")
    world.wire(away, following(endpoint, away))
    there = world.probe.open("red-client", endpoint.address, 80)

    back = replace(service, former_places=(Place(away.address, away.transit_address),))
    world.wire(back, following(endpoint, back))

    assert flow.is_alive()
    assert there.is_alive()
    assert world.reach("red-client", endpoint.address, 80) == Answer("blue-stubborn", 80, endpoint.transit_address)


def test_a_new_driver_adopts_former_places_and_mends_them(world: World):
    service = world.service("blue-backend", 80)
    endpoint = world.endpoint("red-web", "10.0.0.100", service, {80: 80})
    world.wire(service, endpoint)
    flow = world.probe.open("red-client", endpoint.address, 80)
    after = moved(world, service, "blue-client")
    followed = following(endpoint, after)
    world.wire(after, followed)

    for sabotage in (None, *world.plane.sabotages()[:3]):
        if sabotage is not None:
            sabotage.do()
        assert world.sweep(after, followed) == {}

    assert flow.is_alive()
    assert world.reach("red-client", endpoint.address, 80) == Answer("blue-client", 80, endpoint.transit_address)
