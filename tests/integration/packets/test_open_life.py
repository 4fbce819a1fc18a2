"""The life of `open` connections: closing, resets, ports used again, and what else shifted numbers could break."""

import random
import socket
import struct
import threading
import time
from contextlib import suppress

import pytest

from landbridge.dataplane.model import Binding, Target
from landbridge.domain.resources import TcpProxy
from landbridge.drivers.linux.elements import Element, Kind, join
from landbridge.drivers.linux.headers import HEADER_BYTES, HeaderEngine
from landbridge.drivers.toa.kernel import Table
from tests.integration.packets.ground import (
    CLIENT,
    CLIENT_PORT,
    CONSUMER,
    ENDPOINT,
    TIMEOUT_SECONDS,
    Ground,
    endpoint,
)
from tests.integration.packets.tcp_packets import ACK, NOP, PSH
from tests.integration.packets.transfers import (
    MARKER_TYPE,
    SACK_PERMITTED,
    RawClient,
    Server,
    abort,
    counted,
    download,
    read_exactly,
    read_header,
    seen_from,
    upload,
)


@pytest.fixture
def wired(ground: Ground, service: Target) -> Binding:
    made = endpoint(service, TcpProxy.OPEN)
    ground.wire(service, made)
    return made


def test_a_client_that_says_nothing_and_closes_brings_header_and_end(ground: Ground, wired: Binding):
    listening = ground.listen()
    client = ground.connect()
    accepted = ground.accept(listening)

    client.shutdown(socket.SHUT_WR)

    read_header(accepted)
    assert accepted.recv(1) == b""
    accepted.sendall(b"bye")
    accepted.close()
    assert read_exactly(client, 3) == b"bye"
    assert client.recv(1) == b""


def test_a_reset_of_the_client_ends_the_connection_at_the_backend(ground: Ground, wired: Binding):
    listening = ground.listen()
    client = ground.connect()
    accepted = ground.accept(listening)
    read_header(accepted)

    abort(client)

    with pytest.raises(ConnectionResetError):
        accepted.recv(1)


def test_a_reset_of_the_backend_ends_the_connection_at_the_client(ground: Ground, wired: Binding):
    listening = ground.listen()
    client = ground.connect()
    client.sendall(b"x")
    accepted = ground.accept(listening)
    read_header(accepted)
    assert accepted.recv(1) == b"x"

    abort(accepted)

    with pytest.raises(ConnectionResetError):
        client.recv(1)


def test_a_port_on_which_nobody_listens_refuses_at_once(ground: Ground, wired: Binding):
    with pytest.raises(ConnectionRefusedError):
        ground.connect()


def test_the_same_ports_can_be_used_again_and_again(ground: Ground, wired: Binding):
    listening = ground.listen()
    for number in range(20):
        client = ground.open_socket("client")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        client.bind((str(CLIENT), 40000))
        client.connect((str(ENDPOINT), CLIENT_PORT))
        accepted = ground.accept(listening)
        client.sendall(b"%04d" % number)
        read_header(accepted)
        assert read_exactly(accepted, 4) == b"%04d" % number
        # In turn: resets, and orderly ends after which the backend keeps the ports in TIME_WAIT.
        if number % 2:
            abort(client)
        else:
            accepted.close()
            assert client.recv(1) == b""
            client.close()


def test_a_refusal_between_ports_that_had_a_connection_is_heard(ground: Ground, wired: Binding):
    listening = ground.listen()
    client = ground.open_socket("client")
    client.bind((str(CLIENT), 40001))
    client.connect((str(ENDPOINT), CLIENT_PORT))
    client.sendall(b"x")
    accepted = ground.accept(listening)
    read_header(accepted)
    accepted.recv(1)
    listening.close()
    accepted.close()
    assert client.recv(1) == b""
    client.close()
    again = ground.open_socket("client")
    again.bind((str(CLIENT), 40001))

    with pytest.raises(ConnectionRefusedError):
        again.connect((str(ENDPOINT), CLIENT_PORT))


def test_a_reader_that_is_slow_gets_everything(ground: Ground, wired: Binding):
    listening = ground.listen()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client = ground.connect()
    accepted = ground.accept(listening)
    data = random.Random(1).randbytes(200_000)
    client.setblocking(False)
    sent = 0
    # Until the window is closed.
    with suppress(BlockingIOError):
        while sent < len(data):
            sent += client.send(data[sent:])
    client.settimeout(TIMEOUT_SECONDS)
    rest = threading.Thread(target=client.sendall, args=(data[sent:],))
    rest.start()

    read_header(accepted)
    received = read_exactly(accepted, len(data))

    rest.join()
    assert received == data


def test_what_the_backend_has_beside_the_acknowledged_bytes_is_told_in_the_clients_numbers(
    ground: Ground, wired: Binding
):
    ground.without_offloads("client", "backend")
    ground.listen()
    client = RawClient(ground, options=NOP * 2 + SACK_PERMITTED)
    client.say()
    client.hear(lambda packet: packet.flags == ACK)

    client.say(1000, bytes(100))
    client.say(3000, bytes(50))
    told = client.hear(lambda packet: len(packet.options) >= 20)

    assert told.acknowledged == client.packet.sequence
    edges = struct.unpack("!4I", told.options[-16:])
    assert [edge - client.packet.sequence for edge in edges] == [3000, 3050, 1000, 1100]
    assert told.is_whole


@pytest.mark.parametrize("is_spoken", [True, False], ids=["after-data", "before-data"])
def test_keep_alive_probes_are_answered(ground: Ground, wired: Binding, *, is_spoken: bool):
    listening, at_client = ground.listen(), ground.tap("client")
    client = ground.connect()
    accepted = ground.accept(listening)
    read_header(accepted)
    if is_spoken:
        client.sendall(b"x")
        assert accepted.recv(1) == b"x"
    for option, value in ((socket.TCP_KEEPIDLE, 1), (socket.TCP_KEEPINTVL, 1), (socket.TCP_KEEPCNT, 2)):
        client.setsockopt(socket.IPPROTO_TCP, option, value)
    before = len(at_client.packets())
    client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    at_client.wait_for(lambda packet: packet.flags == ACK, before + 2)

    client.sendall(b"still here")
    assert read_exactly(accepted, 10) == b"still here"


def test_living_connections_survive_a_new_process(ground: Ground, wired: Binding):
    server = Server(ground)
    client = ground.connect()
    assert upload(client, 10_000)

    ground.open_driver()
    assert ground.sweep() == []

    assert upload(client, 10_000)
    assert download(client, 10_000)
    assert server.problems == []


def everything_taken(table: Table, seen: int, state: int) -> None:
    slot = struct.pack("=4s4sHHIIII", b"\1\2\3\4", b"\5\6\7\x08", 1, 2, 0, 0, seen, state)
    for number in range(table.spec.max_entries):
        table.put(struct.pack("=I", number), slot * (table.spec.value_size // len(slot)))


def ticks() -> int:
    return (time.clock_gettime_ns(time.CLOCK_MONOTONIC) >> 30) + 1


KNOWN, ACKNOWLEDGED, ENDED = 1, 2, 96


@pytest.mark.parametrize(
    ("state", "age", "is_room"),
    [
        pytest.param(KNOWN, 60, False, id="opening"),
        pytest.param(KNOWN, 200, True, id="never-opened"),
        pytest.param(KNOWN | ACKNOWLEDGED, 86_400, False, id="silent-for-a-day"),
        pytest.param(KNOWN | ACKNOWLEDGED, 500_000, True, id="silent-for-six-days"),
        pytest.param(KNOWN | ACKNOWLEDGED | ENDED, 1, False, id="just-ended"),
        pytest.param(KNOWN | ACKNOWLEDGED | ENDED, 60, True, id="ended"),
    ],
)
def test_a_full_table_refuses_new_connections_and_gives_up_only_what_has_ended(
    ground: Ground, wired: Binding, state: int, age: int, *, is_room: bool
):
    listening = ground.listen()
    tables = ground.engines[1]._edges[CONSUMER]._fitting.tables
    everything_taken(tables["connections"], (ticks() - age) & 0xFFFFFFFF, state)
    client = ground.open_socket("client")
    client.setblocking(False)
    tap, before = ground.tap("backend"), counted(ground, "refused")

    client.connect_ex((str(ENDPOINT), CLIENT_PORT))

    tap.wait_for(lambda packet: packet.is_syn)
    if is_room:
        assert read_header(ground.accept(listening)) == (CLIENT, client.getsockname()[1])
    else:
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while counted(ground, "refused") == before and time.monotonic() < deadline:
            time.sleep(0.01)
        assert counted(ground, "refused") > before


def test_fields_that_do_not_fit_fail_alone(ground: Ground, wired: Binding):
    engine = HeaderEngine(
        ground.namespaces, ground.instance, ground.region, lambda _, marker: [(MARKER_TYPE, bytes(marker))]
    )
    good, bad = (
        Element(CONSUMER, Kind.HEADER, join("10.0.0.120", port), join("an-endpoint", size, 1500))
        for port, size in ((1, 97), (2, 98))
    )
    try:
        failures = engine.change([], [good, bad])

        assert list(failures) == [bad]
        assert good in engine.read(dict(ground.driver._edges.all()))
        engine.change([good], [])
    finally:
        engine.close()


@pytest.mark.parametrize("size", [1325, 1343, 1344, 1400])
def test_a_first_packet_without_room_brings_the_header_alone_and_its_data_later(
    ground: Ground, wired: Binding, size: int
):
    ground.without_offloads("client", "backend")
    listening, tap = ground.listen(), ground.tap("backend")
    client = RawClient(ground)
    data = random.Random(2).randbytes(size)

    client.say(payload=data, flags=ACK | PSH)
    first = seen_from(tap, client, lambda packet: not packet.is_syn)
    client.hear(lambda packet: packet.flags == ACK)
    client.say(payload=data, flags=ACK | PSH)

    assert (len(first.payload), first.flags, first.is_whole) == (HEADER_BYTES, ACK, True)
    accepted = ground.accept(listening)
    read_header(accepted)
    assert read_exactly(accepted, len(data)) == data


def test_a_first_packet_with_room_brings_the_header_and_its_data_together(ground: Ground, wired: Binding):
    ground.without_offloads("client", "backend")
    listening, tap = ground.listen(), ground.tap("backend")
    client = RawClient(ground)
    data = random.Random(3).randbytes(1500 - 40 - HEADER_BYTES - 8)

    client.say(payload=data, flags=ACK | PSH)

    first = seen_from(tap, client, lambda packet: not packet.is_syn)
    assert (len(first.payload), first.is_whole) == (HEADER_BYTES + len(data), True)
    accepted = ground.accept(listening)
    assert read_header(accepted) == (CLIENT, client.port)
    assert read_exactly(accepted, len(data)) == data
