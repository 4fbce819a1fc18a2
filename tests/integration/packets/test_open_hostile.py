"""A client would like the backend to read a header of its own, and makes its packets itself."""

from dataclasses import replace

import pytest

from landbridge.dataplane.model import Binding, Target
from landbridge.domain.resources import TcpProxy
from landbridge.drivers.linux.headers import HEADER_BYTES
from tests.integration.packets.ground import (
    CLIENT,
    CLIENT_PORT,
    ENDPOINT,
    Ground,
    endpoint,
)
from tests.integration.packets.tcp_packets import ACK, FIN, NOP, PSH, RST, SYN, Packet
from tests.integration.packets.transfers import (
    FORGERY,
    SACK_PERMITTED,
    RawClient,
    counted,
    raw_port,
    read_exactly,
    read_header,
    seen_from,
)


@pytest.fixture
def wired(ground: Ground, service: Target) -> Binding:
    made = endpoint(service, TcpProxy.OPEN)
    ground.wire(service, made)
    return made


def test_data_in_a_syn_are_cut_off_with_what_would_speed_them_up(ground: Ground, wired: Binding):
    ground.without_offloads("client", "backend")
    listening, tap = ground.listen(), ground.tap("backend")
    fast_open = bytes((34, 10)) + bytes(8)

    client = RawClient(ground, payload=FORGERY, options=fast_open + SACK_PERMITTED)
    client.say(payload=b"real")

    opening = seen_from(tap, client, lambda packet: packet.is_syn)
    assert (opening.payload, opening.options[8:], opening.is_whole) == (b"", NOP * 10 + SACK_PERMITTED, True)
    accepted = ground.accept(listening)
    assert read_header(accepted) == (CLIENT, client.port)
    assert read_exactly(accepted, 4) == b"real"


@pytest.mark.parametrize("before", [1, 60, HEADER_BYTES, 1000])
def test_bytes_from_before_the_beginning_never_reach_over_it(ground: Ground, wired: Binding, before: int):
    listening = ground.listen()
    client = RawClient(ground)

    client.say(-before, bytes(before) + FORGERY)
    client.say(-before, bytes(before), FIN | ACK)
    client.say(payload=b"real")

    accepted = ground.accept(listening)
    assert read_header(accepted) == (CLIENT, client.port)
    assert read_exactly(accepted, 4) == b"real"
    assert counted(ground, "early") >= 2


def test_a_client_that_begins_in_the_middle_cannot_put_anything_in_the_place_of_the_header(
    ground: Ground, wired: Binding
):
    listening = ground.listen()
    client = RawClient(ground)

    client.say(4, b" data")
    for before in (HEADER_BYTES, HEADER_BYTES - 1, len(FORGERY)):
        client.say(-before, FORGERY + bytes(HEADER_BYTES))
    client.say(payload=b"real")

    accepted = ground.accept(listening)
    assert read_header(accepted) == (CLIENT, client.port)
    assert read_exactly(accepted, 9) == b"real data"


def test_packets_of_no_known_connection_are_dropped(ground: Ground, wired: Binding):
    tap = ground.tap("backend")
    stray, sign = (Packet(CLIENT, raw_port(), ENDPOINT, CLIENT_PORT, flags) for flags in (ACK | PSH, SYN))
    before = counted(ground, "unknown")

    ground.send(replace(stray, payload=FORGERY))
    ground.send(sign)

    tap.wait_for(lambda packet: packet.source_port == sign.source_port)
    assert stray.source_port not in {packet.source_port for packet in tap.packets()}
    assert counted(ground, "unknown") == before + 1


def test_a_reset_before_the_header_arrived_ends_the_connection_too(ground: Ground, wired: Binding):
    listening = ground.listen()
    client = RawClient(ground)
    # The backend is connected, and misses the header.
    client.say(4, b"data")
    accepted = ground.accept(listening)

    client.say(flags=RST | ACK)

    with pytest.raises(ConnectionResetError):
        accepted.recv(1)
