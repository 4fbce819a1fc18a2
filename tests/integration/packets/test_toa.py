"""The backend learns its client from a TCP option, and from nothing that a client wrote itself.

Real packets through real edges; listeners read the option as applications do (TCP_SAVED_SYN), and the wire is
listened to where modules of the kernel read it.
"""

import hashlib
import os
import socket
import threading
from dataclasses import replace
from ipaddress import IPv4Address
from itertools import count

import pytest

from landbridge.dataplane.model import Binding, Target
from landbridge.domain.resources import TcpProxy
from tests.integration.packets.ground import (
    CLIENT,
    CLIENT_PORT,
    ENDPOINT,
    FAR_CLIENT,
    NARROW,
    NARROW_MTU,
    PLAIN_ENDPOINT,
    SERVER_PORT,
    Ground,
    endpoint,
    saved_syn,
    target,
)
from tests.integration.packets.tcp_packets import (
    ACK,
    END,
    NOP,
    SYN,
    TIMESTAMPS,
    Packet,
    client_option,
    fragments,
    named_client,
)

FORGED_CLIENT, FORGED_PORT = IPv4Address("6.6.6.6"), 666
FORGED = client_option(FORGED_CLIENT, FORGED_PORT)
SEGMENT_SIZE = b"\x02\x04\x05\xb4"
_PORTS = count(20000)


@pytest.fixture
def wired(ground: Ground, service: Target) -> Binding:
    made = endpoint(service)
    ground.wire(service, made)
    return made


def raw_syn(options: bytes, **changes: object) -> Packet:
    """Return a client's SYN from a port that nobody uses."""
    return replace(Packet(CLIENT, next(_PORTS), ENDPOINT, CLIENT_PORT, SYN, options=options), **changes)  # type: ignore[arg-type]


def arrived(ground: Ground, packet: Packet) -> Packet:
    """Send a packet and return it as the backend gets it."""
    tap = ground.tap("backend")
    ground.send(packet)
    return tap.wait_for(lambda seen: seen.source_port == packet.source_port)[0]


def transfer(ground: Ground, sender: socket.socket, receiver: socket.socket, size: int) -> tuple[str, str]:
    """Send so many bytes and return the digests of what was sent and what arrived."""
    data = os.urandom(size)
    sending = threading.Thread(target=sender.sendall, args=(data,))
    sending.start()
    received = hashlib.sha256()
    left = size
    while left:
        chunk = receiver.recv(min(left, 1 << 16))
        assert chunk, "closed in the middle"
        received.update(chunk)
        left -= len(chunk)
    sending.join()
    return hashlib.sha256(data).hexdigest(), received.hexdigest()


# What the backend reads


def test_an_application_reads_the_client_from_the_syn(ground: Ground, wired: Binding):
    listening = ground.listen()

    client = ground.connect()
    accepted = ground.accept(listening)

    assert accepted.getpeername()[0] == str(wired.transit_address)
    assert named_client(saved_syn(accepted).options) == (CLIENT, client.getsockname()[1])


def test_clients_of_every_subnet_are_named(ground: Ground, wired: Binding):
    listening = ground.listen()

    client = ground.connect(host="far")
    accepted = ground.accept(listening)

    assert named_client(saved_syn(accepted).options) == (FAR_CLIENT, client.getsockname()[1])


@pytest.mark.parametrize("has_offloads", [True, False], ids=["offloads", "no-offloads"])
def test_syn_handshake_and_first_payload_carry_the_option_and_later_packets_do_not(
    ground: Ground, wired: Binding, *, has_offloads: bool
):
    (ground.with_offloads if has_offloads else ground.without_offloads)("client", "backend")
    listening, tap = ground.listen(), ground.tap("backend")

    client = ground.connect()
    accepted = ground.accept(listening)
    for word in (b"first", b"second"):
        client.sendall(word)
        assert accepted.recv(100) == word

    seen = tap.wait_for(lambda packet: packet.destination_port == SERVER_PORT, 4)
    name = (CLIENT, client.getsockname()[1])
    payloads = [(packet.flags & SYN, packet.payload, named_client(packet.options)) for packet in seen]
    assert payloads == [(SYN, b"", name), (0, b"", name), (0, b"first", name), (0, b"second", None)]
    assert has_offloads or all(packet.is_whole for packet in seen)


def test_the_option_stands_first_so_that_nothing_of_the_clients_can_hide_it(ground: Ground, wired: Binding):
    packet = raw_syn(END + END + END + END)

    seen = arrived(ground, packet)

    assert seen.options == client_option(CLIENT, packet.source_port) + bytes(4)
    assert seen.is_whole


def test_a_client_of_a_server_that_speaks_first_is_named_in_its_first_payload_however_late(
    ground: Ground, wired: Binding
):
    listening, tap = ground.listen(), ground.tap("backend")
    client = ground.connect()
    accepted = ground.accept(listening)
    for number in range(5):
        accepted.sendall(b"220 welcome %d\n" % number)
        assert client.recv(100).startswith(b"220")

    client.sendall(b"HELO")
    assert accepted.recv(100) == b"HELO"

    first = tap.wait_for(lambda packet: packet.payload == b"HELO")[0]
    assert named_client(first.options) == (CLIENT, client.getsockname()[1])


def test_what_is_sent_again_carries_the_option_again(ground: Ground, wired: Binding):
    listening, at_client, tap = ground.listen(), ground.tap("client"), ground.tap("backend")
    client = ground.connect()
    ground.accept(listening)
    opening = at_client.wait_for(lambda packet: packet.flags & SYN != 0)[0]
    name = (CLIENT, client.getsockname()[1])
    again = Packet(CLIENT, name[1], ENDPOINT, CLIENT_PORT, ACK, opening.acknowledged, opening.sequence + 1)
    syn = replace(again, flags=SYN, sequence=opening.acknowledged - 1, acknowledged=0)
    for packet in (syn, replace(again, payload=b"abcd"), replace(again, payload=b"abcdef")):
        ground.send(replace(packet, options=TIMESTAMPS))

    syns = tap.wait_for(lambda packet: packet.source_port == name[1] and packet.is_syn, 2)
    payloads = [tap.wait_for(lambda packet, data=data: packet.payload == data)[0] for data in (b"abcd", b"abcdef")]

    assert [named_client(packet.options) for packet in (*syns, *payloads)] == [name] * 4


def test_endpoints_of_other_modes_are_left_alone(ground: Ground, wired: Binding, service: Target):
    plain = endpoint(service, TcpProxy.CLOSE, PLAIN_ENDPOINT, IPv4Address("198.19.128.9"))
    ground.wire(plain)
    listening = ground.listen()

    ground.connect(PLAIN_ENDPOINT)

    assert named_client(saved_syn(ground.accept(listening)).options) is None


# What a client must not be able to do


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(FORGED, id="alone"),
        pytest.param(FORGED * 4, id="many"),
        pytest.param(SEGMENT_SIZE + FORGED, id="behind-another"),
        pytest.param(END * 4 + FORGED, id="behind-the-end"),
        pytest.param(b"\x05\x01\x01\x01" + FORGED, id="behind-a-length-of-1"),
        pytest.param(b"\x05\xff\x01\x01" + FORGED, id="behind-a-length-beyond-the-header"),
        pytest.param(NOP * 3 + FORGED + NOP, id="not-aligned"),
        pytest.param(b"\xfe\x06\x29\x9a\x06\x06\x01\x01" + FORGED, id="of-another-length-first"),
        pytest.param(b"\xfd\x0c" + FORGED + NOP * 2, id="inside-an-experiment"),
        pytest.param(NOP * 31 + b"\xfe", id="cut-off"),
    ],
)
def test_a_forged_option_in_a_syn_is_wiped(ground: Ground, wired: Binding, options: bytes):
    packet = raw_syn(options)

    seen = arrived(ground, packet)

    assert seen.options[:8] == client_option(CLIENT, packet.source_port)
    assert FORGED not in seen.options[8:]
    assert b"\xfe" not in seen.options[8:].replace(SEGMENT_SIZE, b"")
    assert len(seen.options) == 8 + len(options)
    assert seen.is_whole


def test_other_options_stay_as_they_are(ground: Ground, wired: Binding):
    options = SEGMENT_SIZE + FORGED + b"\x04\x02\x01\x03\x03\x07" + NOP * 2

    seen = arrived(ground, raw_syn(options))

    assert seen.options[8:] == SEGMENT_SIZE + NOP * 8 + b"\x04\x02\x01\x03\x03\x07" + NOP * 2


def test_a_forged_option_in_a_later_packet_becomes_nops_and_its_payload_arrives(ground: Ground, wired: Binding):
    ground.without_offloads("client", "backend")
    listening, at_client = ground.listen(), ground.tap("client")
    client = ground.connect()
    accepted = ground.accept(listening)
    client.sendall(b"first")
    assert accepted.recv(100) == b"first"
    opening = at_client.wait_for(lambda packet: packet.flags & SYN != 0)[0]
    # The time of the SYN's echo, so that the backend takes it for one of this connection (RFC 7323).
    times = saved_syn(accepted).options
    stamp = times[times.index(b"\x08\x0a") :][:6] + bytes(4)
    packet = Packet(
        *(CLIENT, client.getsockname()[1], ENDPOINT, CLIENT_PORT, ACK),
        sequence=opening.acknowledged + len(b"first"),
        acknowledged=opening.sequence + 1,
        options=NOP * 2 + stamp + FORGED,
        payload=b"second",
    )

    seen = arrived(ground, packet)

    assert (seen.payload, seen.options[12:], seen.is_whole) == (b"second", NOP * 8, True)
    assert accepted.recv(100) == b"second"


@pytest.mark.parametrize(
    "hide",
    [
        pytest.param(lambda packet: [(piece, ()) for piece in fragments(packet, 24)], id="fragments"),
        pytest.param(lambda packet: [(replace(packet, ip_options=b"\x94\x04\0\0"), ())], id="ip-options"),
        pytest.param(lambda packet: [(packet, (0, 0))], id="two-vlan-tags"),
    ],
)
def test_what_hides_its_options_is_dropped(ground: Ground, wired: Binding, hide):
    packet, sign = raw_syn(FORGED), raw_syn(b"")
    tap = ground.tap("backend")

    for piece, tags in hide(packet):
        ground.send(piece, tags=tags)
    ground.send(sign)

    tap.wait_for(lambda seen: seen.source_port == sign.source_port)
    assert packet.source_port not in {seen.source_port for seen in tap.packets()}
    assert ground.engines[0].counts()["hidden"] >= 1


def test_a_priority_tag_hides_nothing(ground: Ground, wired: Binding):
    packet = raw_syn(FORGED)
    tap = ground.tap("backend")

    ground.send(packet, tags=[0])

    seen = tap.wait_for(lambda seen: seen.source_port == packet.source_port)[0]
    assert seen.options == client_option(CLIENT, packet.source_port) + NOP * 8


# Where there is no room


def test_a_full_header_goes_on_without_the_option_and_is_counted(ground: Ground, wired: Binding):
    before = ground.engines[0].counts()["header_full"]

    seen = arrived(ground, raw_syn(NOP * 40))

    assert seen.options == NOP * 40
    assert ground.engines[0].counts()["header_full"] == before + 1


def test_a_first_payload_of_full_size_arrives_on_a_narrow_way_and_no_packet_is_too_large(ground: Ground):
    narrow = target(NARROW)
    ground.wire(narrow, endpoint(narrow))
    ground.without_offloads("client", "narrow")
    listening, tap = ground.listen("narrow"), ground.tap("narrow")
    client = ground.connect()
    accepted = ground.accept(listening)

    sent, received = transfer(ground, client, accepted, 100_000)

    assert sent == received
    sizes = [packet.size for packet in tap.packets()]
    assert max(sizes) == NARROW_MTU
    assert ground.engines[0].counts()["packet_full"] >= 1


def test_a_first_payload_that_just_fits_carries_the_option(ground: Ground, wired: Binding):
    room = 1500 - 20 - 20 - len(FORGED)

    packets = [raw_syn(b"", payload=bytes(size)) for size in (room, room + 1)]

    named = [named_client(arrived(ground, packet).options) for packet in packets]
    assert named == [(CLIENT, packets[0].source_port), None]


@pytest.mark.parametrize("has_offloads", [True, False], ids=["offloads", "no-offloads"])
@pytest.mark.parametrize("is_upload", [True, False], ids=["upload", "download"])
def test_large_transfers_arrive_whole(ground: Ground, wired: Binding, *, is_upload: bool, has_offloads: bool):
    (ground.with_offloads if has_offloads else ground.without_offloads)("client", "backend")
    listening = ground.listen()
    client = ground.connect()
    accepted = ground.accept(listening)

    ends = (client, accepted) if is_upload else (accepted, client)
    sent, received = transfer(ground, *ends, 20_000_000)

    assert sent == received


@pytest.mark.parametrize("size", [1, 2, 127, 128, 129, 255, 1400, 1439, 1440, 1441, 1460])
def test_first_payloads_of_all_sizes_arrive_whole(ground: Ground, wired: Binding, size: int):
    ground.without_offloads("client", "backend")
    listening = ground.listen()
    client = ground.connect()
    accepted = ground.accept(listening)

    sent, received = transfer(ground, client, accepted, size)

    assert sent == received
