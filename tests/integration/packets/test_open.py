"""`open`: a header in front of the client's data and an option in its first packets, without a proxy."""

import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from landbridge.dataplane.model import Binding, Target
from landbridge.domain.resources import TcpProxy
from landbridge.drivers.linux.elements import Element, join
from landbridge.drivers.linux.headers import HEADER_BYTES
from tests.integration.packets.ground import (
    CLIENT,
    CLIENT_PORT,
    CONSUMER,
    ENDPOINT,
    NARROW,
    NARROW_MTU,
    TIMEOUT_SECONDS,
    Ground,
    endpoint,
    saved_syn,
    target,
)
from tests.integration.packets.tcp_packets import named_client
from tests.integration.packets.transfers import Server, download, read_exactly, read_header, upload

LOSS = """\
table ip loss {
	chain arrive { type filter hook input priority filter
		numgen random mod 100 < 3 drop
	}
	chain leave { type filter hook output priority filter
		numgen random mod 100 < 3 drop
	}
}
"""


NGINX = """\
daemon off;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {directory};
    proxy_temp_path {directory};
    fastcgi_temp_path {directory};
    uwsgi_temp_path {directory};
    scgi_temp_path {directory};
    server {{
        listen 80 proxy_protocol;
        location / {{ return 200 "$proxy_protocol_addr $proxy_protocol_port $proxy_protocol_server_port"; }}
    }}
}}
"""


@pytest.fixture
def wired(ground: Ground, service: Target) -> Binding:
    made = endpoint(service, TcpProxy.OPEN)
    ground.wire(service, made)
    return made


@pytest.mark.parametrize("has_offloads", [True, False], ids=["offloads", "no-offloads"])
def test_header_and_option_name_the_same_client_and_the_data_follow(
    ground: Ground, wired: Binding, *, has_offloads: bool
):
    (ground.with_offloads if has_offloads else ground.without_offloads)("client", "backend")
    listening, taps = ground.listen(), [ground.tap(host) for host in ("backend", "client")]

    client = ground.connect()
    accepted = ground.accept(listening)
    client.sendall(b"GET / HTTP/1.0")

    name = (CLIENT, client.getsockname()[1])
    assert read_header(accepted) == name == named_client(saved_syn(accepted).options)
    assert read_exactly(accepted, 14) == b"GET / HTTP/1.0"
    accepted.sendall(b"200")
    assert read_exactly(client, 3) == b"200"
    assert has_offloads or all(packet.is_whole for tap in taps for packet in tap.packets())


@pytest.mark.parametrize("first", [0, 1], ids=["option-first", "header-first"])
def test_the_order_of_the_two_programs_does_not_matter(ground: Ground, service: Target, first: int):
    earlier = ground.engines[first]
    value = ("1500", join("an-endpoint", 1))[first]
    earlier.change([], [Element(CONSUMER, earlier.kind, join("10.0.0.120", 1), value)])
    ground.wire(service, endpoint(service, TcpProxy.OPEN))
    ground.without_offloads("client", "backend")
    listening, tap = ground.listen(), ground.tap("backend")

    client = ground.connect()
    accepted = ground.accept(listening)
    client.sendall(b"hello")

    name = (CLIENT, client.getsockname()[1])
    assert (read_header(accepted), read_exactly(accepted, 5)) == (name, b"hello")
    opening, handshake = tap.wait_for(lambda packet: packet.source_port == name[1], 2)
    assert named_client(opening.options) == named_client(handshake.options) == name
    assert (len(handshake.payload), opening.is_whole, handshake.is_whole) == (HEADER_BYTES, True, True)


def test_the_backend_has_the_header_before_the_client_has_said_anything(ground: Ground, wired: Binding):
    listening = ground.listen()

    client = ground.connect()

    assert read_header(ground.accept(listening)) == (CLIENT, client.getsockname()[1])


def test_a_server_may_speak_first(ground: Ground, wired: Binding):
    listening = ground.listen()
    client = ground.connect()
    accepted = ground.accept(listening)

    for number in range(20):
        accepted.sendall(b"%04d" % number)
        assert read_exactly(client, 4) == b"%04d" % number
    client.sendall(b"HELO")

    read_header(accepted)
    assert read_exactly(accepted, 4) == b"HELO"


@pytest.mark.parametrize("has_offloads", [True, False], ids=["offloads", "no-offloads"])
def test_many_transfers_of_all_sizes_arrive_whole(ground: Ground, wired: Binding, *, has_offloads: bool):
    (ground.with_offloads if has_offloads else ground.without_offloads)("client", "backend")
    server = Server(ground)
    client = ground.connect()

    for size in (0, 1, 2, 100, 1319, 1320, 1321, 1447, 1448, 1449, 65_535, 100_000, 5_000_000):
        assert upload(client, size), size
        assert download(client, size), size

    assert server.problems == []


def test_a_narrow_way_gets_no_packet_that_is_too_large(ground: Ground):
    narrow = target(NARROW)
    ground.wire(narrow, endpoint(narrow, TcpProxy.OPEN))
    ground.without_offloads("client", "narrow")
    server, tap = Server(ground, "narrow"), ground.tap("narrow")
    client = ground.connect()

    assert upload(client, 300_000)

    assert server.problems == []
    assert max(packet.size for packet in tap.packets()) <= NARROW_MTU


@pytest.mark.parametrize("has_offloads", [True, False], ids=["offloads", "no-offloads"])
def test_nothing_is_lost_or_mixed_up_where_every_thirtieth_packet_is_lost_each_way(
    ground: Ground, wired: Binding, *, has_offloads: bool
):
    (ground.with_offloads if has_offloads else ground.without_offloads)("client", "backend")
    server = Server(ground)
    for host in ("client", "backend"):
        ground.run(ground.namespace(host), "nft", "-f", "-", text=LOSS)
    sizes = [0, 1, 7, 100, 1_000, 1_320, 1_321, 1_448, 1_449, 3_000, 10_000, 40_000, 100_000]

    def exchange(number: int) -> bool:
        client = ground.open_socket("client")
        client.settimeout(60)
        client.connect((str(ENDPOINT), CLIENT_PORT))
        size = sizes[number % len(sizes)]
        first, second = (upload, download) if number % 2 else (download, upload)
        return first(client, size) and second(client, size + number)

    with ThreadPoolExecutor(20) as pool:
        outcomes = list(pool.map(exchange, range(8 * len(sizes))))

    assert outcomes == [True] * len(outcomes)
    assert server.problems == []
    assert len(set(server.clients)) == len(outcomes)


def test_nginx_reads_the_header(ground: Ground, wired: Binding, tmp_path: Path):
    (tmp_path / "nginx.conf").write_text(NGINX.format(directory=tmp_path))
    command = ["nsenter", f"--net={ground.namespaces.path(ground.namespace('backend'))}", "nginx"]
    nginx = subprocess.Popen([*command, "-c", str(tmp_path / "nginx.conf"), "-p", str(tmp_path)])
    try:
        answer, port = None, 0
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while answer is None and time.monotonic() < deadline:
            with suppress(ConnectionRefusedError, ConnectionResetError):
                client = ground.connect()
                port = client.getsockname()[1]
                client.sendall(b"GET / HTTP/1.0\r\n\r\n")
                answer = b"".join(iter(lambda client=client: client.recv(4096), b""))
    finally:
        nginx.terminate()
        nginx.wait(TIMEOUT_SECONDS)

    assert answer is not None
    assert answer.endswith(f"{CLIENT} {port} {CLIENT_PORT}".encode())
