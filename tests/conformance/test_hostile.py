"""Consumers and providers who send what no honest host sends. Their neighbours notice nothing."""

import random
import socket
import struct
from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from conformance.linux_probe import LinuxProbe
from conformance.topology import address_of
from conformance.world import ACK, BRIEFLY, ICMP_ERROR, SYN, SYN_ACK, Answer, Attempt, Emission, Flow, World
from landbridge.dataplane.model import PROBE_ADDRESS, TRANSIT_RANGE, Binding, Target

pytestmark = pytest.mark.linux_only

ETHERTYPE_ARP = 0x0806
SOME_TRANSIT_ADDRESSES = [
    TRANSIT_RANGE.network_address,
    TRANSIT_RANGE.network_address + 1,
    PROBE_ADDRESS,
    TRANSIT_RANGE.broadcast_address,
    *(TRANSIT_RANGE.network_address + random.Random(4).randrange(2**15) for _ in range(24)),
]


def joined(world: World) -> tuple[Target, Binding, Flow]:
    """Join red and blue by an endpoint, and keep a connection of an honest client busy."""
    service = world.service("blue-backend", 8080)
    endpoint = world.endpoint("red-web", "10.0.0.100", service, {80: 8080})
    world.wire(service, endpoint)
    return service, endpoint, world.probe.open("red-neighbour", endpoint.address, 80)


def test_a_fragmented_packet_passes_where_a_whole_one_would_and_nowhere_else(world: World):
    service, endpoint, flow = joined(world)
    client = address_of("red-client")

    def sent(address: IPv4Address, port: int, flags: str = SYN) -> Emission:
        return Emission("red-client", client, 43001, address, port, flags=flags, is_fragmented=True)

    stopped = [
        sent(endpoint.address, 81),
        sent(endpoint.address, 8080),
        sent(endpoint.address, 80, ACK),
        sent(service.transit_address, 8080),
        sent(endpoint.transit_address, 80),
    ]
    assert world.probe.emit_each(stopped) == [None] * len(stopped)

    arrival = world.emit(sent(endpoint.address, 80))
    assert arrival is not None
    assert (arrival.host, arrival.source, arrival.destination_port) == ("blue-backend", endpoint.transit_address, 8080)
    assert flow.is_alive()


def test_an_icmp_error_about_somebodys_connection_does_not_pass_and_breaks_nothing(world: World):
    service, endpoint, flow = joined(world)
    source, source_port = flow.seen_source
    backend, client = address_of("blue-backend"), address_of("red-neighbour")

    # The backend complains of what it got; so do its neighbour, a stranger, and another host of the consumer.
    to_backend = Emission("", source, source_port, backend, 8080, flags=ACK)
    on_the_link = Emission("", source, source_port, service.transit_address, 8080, flags=ACK)
    to_client = Emission("", endpoint.address, 80, client, 40000, flags=ACK)
    errors = [
        Emission(host, address_of(host), 0, destination, 0, ICMP_ERROR, about=about)
        for host, destination, about in (
            ("blue-backend", source, to_backend),
            ("blue-backend", source, on_the_link),
            ("blue-client", source, to_backend),
            ("green-backend", source, to_backend),
            ("red-client", endpoint.address, to_client),
            ("red-far", endpoint.address, to_client),
        )
    ]
    assert world.probe.emit_each(errors) == [None] * len(errors)
    at_home = Emission("red-client", address_of("red-client"), 0, address_of("red-neighbour"), 0, ICMP_ERROR)
    assert world.emit(replace(at_home, about=to_client)) is not None, "such a packet is seen where it arrives"

    assert flow.is_alive()
    assert world.reach("red-client", endpoint.address, 80) == Answer("blue-backend", 8080, endpoint.transit_address)


@pytest.mark.parametrize("port", [8080, 9000], ids=["published-port", "other-port"])
def test_a_backend_reaches_no_transit_address_whatever_it_sends(world: World, port: int):
    _, endpoint, flow = joined(world)

    sent = [
        Emission(host, address_of(host), port, address, 80, flags=flags)
        for host in ("blue-backend", "blue-client", "blue-far")
        for address in (*SOME_TRANSIT_ADDRESSES, endpoint.transit_address)
        for flags in (SYN, ACK, SYN_ACK)
    ]

    assert world.probe.emit_each(sent) == [None] * len(sent)
    assert flow.is_alive()


def test_what_a_backend_goes_on_sending_after_the_cut_arrives_nowhere(world: World):
    _, endpoint, flow = joined(world)
    source, source_port = flow.seen_source

    world.unwire(endpoint)

    late = [
        Emission("blue-backend", address_of("blue-backend"), 8080, source, source_port, flags=flags)
        for flags in (ACK, SYN_ACK)
    ]
    assert world.probe.emit_each(late) == [None, None]


def test_a_consumer_reaches_no_endpoint_of_another_vpc_by_its_address(world: World):
    service, endpoint, flow = joined(world)
    world.wire(world.endpoint("green-web", "10.0.0.77", service, {80: 8080}))

    # 10.0.0.77 is an endpoint in green; in red nobody has it. 10.0.0.100 is one in red; in green nobody has it.
    assert world.nobody_reaches(
        Attempt("red-client", IPv4Address("10.0.0.77"), 80), Attempt("green-client", endpoint.address, 80)
    )
    assert flow.is_alive()


def test_the_edge_answers_arp_for_itself_and_its_endpoints_only(world: World):
    service, endpoint, _ = joined(world)
    world.wire(world.endpoint("green-web", "10.0.0.77", service, {80: 8080}))

    asked = {
        endpoint.consumer.edge_address: True,
        endpoint.address: True,
        IPv4Address("10.0.0.77"): False,  # an endpoint of another VPC
        IPv4Address("10.0.0.99"): False,  # nobody
        service.transit_address: False,
        endpoint.transit_address: False,
        PROBE_ADDRESS: False,
    }
    assert {address: _is_answered_by_arp(world, "red-client", address) for address in asked} == asked


def _is_answered_by_arp(world: World, host: str, address: IPv4Address) -> bool:
    """Ask on the wire who has an address, past the host's own table of neighbours."""
    assert isinstance(world.probe, LinuxProbe)
    sockets = world.probe.hosts[host]
    wire = sockets.inside(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETHERTYPE_ARP)))
    try:
        wire.bind(("eth0", ETHERTYPE_ARP))
        mac = wire.getsockname()[4]
        question = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + mac + sockets.address.packed + bytes(6) + address.packed
        wire.send(b"\xff" * 6 + mac + struct.pack("!H", ETHERTYPE_ARP) + question)
        wire.settimeout(BRIEFLY)
        while True:
            frame = wire.recv(128)
            is_answer, sender = frame[20:22] == b"\x00\x02", frame[28:32]
            if is_answer and sender == address.packed:
                return True
    except TimeoutError:
        return False
    finally:
        wire.close()
