"""Real connections through a real Envoy, in namespaces of our own."""

import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import cast

import pytest

from landbridge.domain.ids import EndpointId, VpcId
from landbridge.drivers.envoy.binary import find_envoy
from landbridge.drivers.envoy.listeners import ProxiedConnection, ProxyListener, TlvDialects
from landbridge.drivers.envoy.process import LOG_BYTES, EnvoyProcess
from landbridge.drivers.envoy.proxy import Proxy
from landbridge.drivers.envoy.recorded import stop_process
from landbridge.drivers.envoy.server import XdsServer
from landbridge.drivers.envoy.startup import Files
from landbridge.drivers.linux import user_namespace
from landbridge.drivers.linux.edges import Edge
from landbridge.drivers.linux.elements import Element, Kind, join
from landbridge.drivers.linux.proxying import ProxyEngine
from tests.integration.envoy_ground import (
    ADDRESS,
    CLIENT,
    MARKER,
    OTHER_TARGET,
    OTHER_VPC,
    SOURCE,
    TARGET,
    TIMEOUT_SECONDS,
    VPC,
    Ground,
)
from tests.ordinary_user import NOBODY, as_an_ordinary_user
from tests.proxy_protocol import Header, read_header

pytestmark = [
    pytest.mark.packets,
    pytest.mark.xdist_group("envoy"),
    pytest.mark.skipif(
        not user_namespace.is_privileged(),
        reason="the host's own namespaces need root; without it, see test_the_proxy_works_without_root",
    ),
]
ALL_DIALECTS = TlvDialects(aws=True, azure=True, gcp=True)


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    made = Ground(user_namespace.enter(Path(tempfile.gettempdir())))
    yield made
    made.remove()


class Server:
    """What a server of ours has of the proxy; several in a row may use one state directory."""

    def __init__(
        self, ground: Ground, state: Path, dialects: TlvDialects, listeners_limit: int, concurrency: int
    ) -> None:
        self.connections: list[ProxiedConnection] = []
        self.process = EnvoyProcess(
            ground.namespaces, ground.hub, state, find_envoy(), concurrency, listeners_limit, random.random
        )
        self.files = self.process.files
        self.feed: XdsServer | None = None

        def open_feed(path: Path) -> XdsServer:
            self.feed = XdsServer(path, dialects, listeners_limit, self.connections.append)
            return self.feed

        self.proxy = Proxy(self.process, open_feed)

    def add(self, *listeners: ProxyListener) -> None:
        assert self.proxy.change((), listeners) == {}

    def pid(self) -> int:
        pid = self.process.state.pid
        assert pid is not None
        return pid

    def statistic(self, name: str) -> int:
        answer = subprocess.run(
            ["curl", "-sS", "--unix-socket", str(self.files.admin_socket), f"http://envoy/stats?filter=^{name}$"],
            capture_output=True,
            text=True,
            check=True,
            timeout=TIMEOUT_SECONDS,
        ).stdout
        return int(answer.rpartition(":")[2])


@pytest.fixture
def state() -> Iterator[Path]:
    # Not pytest's own directory: its path may be too long for a socket.
    with tempfile.TemporaryDirectory(prefix="lbt-") as directory:
        yield Path(directory)
        stop_process(Files(Path(directory).resolve()))


NewServer = Callable[..., Server]


@pytest.fixture
def new_server(ground: Ground, state: Path) -> Iterator[NewServer]:
    made: list[Server] = []

    def make(dialects: TlvDialects = ALL_DIALECTS, listeners_limit: int = 100, concurrency: int = 1) -> Server:
        made.append(Server(ground, state, dialects, listeners_limit, concurrency))
        return made[-1]

    yield make
    for server in made:
        server.proxy.close()


@pytest.fixture
def server(new_server: NewServer) -> Server:
    return new_server()


Accept = Callable[[socket.socket], tuple[socket.socket, tuple[str, int], Header]]


@pytest.fixture
def accept() -> Iterator[Accept]:
    """Take a connection as a backend does: the connection behind its header, its peer, and the header."""
    accepted: list[socket.socket] = []

    def take(listening: socket.socket) -> tuple[socket.socket, tuple[str, int], Header]:
        connection, peer = listening.accept()
        accepted.append(connection)
        connection.settimeout(TIMEOUT_SECONDS)
        return connection, peer, read_header(connection)

    yield take
    for connection in accepted:
        connection.close()


def exchange(one: socket.socket, other: socket.socket) -> bool:
    """Say whether both can still talk to each other."""
    one.sendall(b"ping")
    other.sendall(b"pong")
    return receive(other, 4) == b"ping" and receive(one, 4) == b"pong"


def receive(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count and (part := connection.recv(count - len(data))):
        data += part
    return data


def eventually(is_true: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not is_true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def is_refused(ground: Ground, port: int, vpc_id: VpcId = VPC) -> bool:
    try:
        ground.connect(port, vpc_id).close()
    except ConnectionRefusedError:
        return True
    return False


def test_the_header_says_who_the_client_is_and_which_endpoint_it_used(ground: Ground, server: Server, accept: Accept):
    server.add(ground.listener(443))

    with ground.listen(8443) as listening, ground.connect(443) as client:
        _, peer, header = accept(listening)

        assert peer[0] == SOURCE
        assert header == Header(
            source=(IPv4Address(CLIENT), client.getsockname()[1]),
            destination=(IPv4Address(ADDRESS), 443),
            fields={
                0xE5: MARKER.to_bytes(4, "big"),
                0xEA: b"\x01endpoint-in-vpc-a",
                0xEE: b"\x01" + MARKER.to_bytes(4, "little"),
                0xE0: MARKER.to_bytes(8, "big"),
            },
        )


def test_without_configuration_there_is_only_the_marker(ground: Ground, new_server: NewServer, accept: Accept):
    new_server(TlvDialects()).add(ground.listener(443))

    with ground.listen(8443) as listening, ground.connect(443):
        assert accept(listening)[2].fields == {0xE5: MARKER.to_bytes(4, "big")}


def test_a_client_cannot_put_a_header_of_its_own_in_front(ground: Ground, server: Server, accept: Accept):
    forged = bytes.fromhex("0d0a0d0a000d0a515549540a2111000c") + bytes(12)
    server.add(ground.listener(443))

    with ground.listen(8443) as listening, ground.connect(443) as client:
        client.sendall(forged)
        backend, _, header = accept(listening)

        assert header.source == (IPv4Address(CLIENT), client.getsockname()[1])
        assert receive(backend, len(forged)) == forged


def test_a_backend_that_speaks_first_is_heard_before_the_client_has_said_anything(
    ground: Ground, server: Server, accept: Accept
):
    server.add(ground.listener(443))

    with ground.listen(8443) as listening, ground.connect(443) as client:
        backend, _, _ = accept(listening)
        backend.sendall(b"220 ready\r\n")

        assert receive(client, 11) == b"220 ready\r\n"


def test_a_megabyte_arrives_whole_in_both_directions_and_each_may_end_first(
    ground: Ground, server: Server, accept: Accept
):
    megabyte = random.Random(1).randbytes(2**20)
    server.add(ground.listener(443))

    with ground.listen(8443) as listening, ground.connect(443) as client:
        backend, _, _ = accept(listening)
        sending = threading.Thread(target=lambda: (client.sendall(megabyte), client.shutdown(socket.SHUT_WR)))
        sending.start()
        upward = receive(backend, 2**20 + 1)
        sending.join()
        # The client has ended its half, and hears the other one to its end.
        answering = threading.Thread(target=lambda: (backend.sendall(megabyte), backend.close()))
        answering.start()
        downward = receive(client, 2**20 + 1)
        answering.join()

    assert upward == megabyte
    assert downward == megabyte


def test_listeners_come_and_go_beside_a_living_connection(ground: Ground, server: Server, accept: Accept):
    server.add(ground.listener(443), ground.listener(444))

    with ground.listen(8443) as listening, ground.connect(443) as client:
        backend, _, _ = accept(listening)
        server.add(ground.listener(445))
        removed = server.proxy.change([ground.listener(444).name], ())

        assert removed == {}
        # Envoy's threads close their sockets a moment after they said yes; the ruleset cuts before that.
        assert eventually(lambda: is_refused(ground, 444))
        assert not is_refused(ground, 445)
        assert exchange(client, backend)


def test_two_vpcs_may_use_one_address_and_port(ground: Ground, server: Server, accept: Accept):
    server.add(ground.listener(443, VPC), ground.listener(443, OTHER_VPC, marker=MARKER + 1))

    with ground.listen(8443) as listening:
        with ground.connect(443, VPC):
            first = accept(listening)[2]
        with ground.connect(443, OTHER_VPC):
            second = accept(listening)[2]
        server.proxy.change([ground.listener(443, VPC).name], ())

        assert [header.fields[0xE5][-1] for header in (first, second)] == [1, 2]
        assert eventually(lambda: is_refused(ground, 443, VPC))
        assert not is_refused(ground, 443, OTHER_VPC)


def test_a_changed_backend_gets_new_connections_and_the_former_one_keeps_its_own(
    ground: Ground, server: Server, accept: Accept
):
    former = ground.listener(443)
    server.add(former)

    with ground.listen(8443) as listening, ground.listen(9443, OTHER_TARGET) as other, ground.connect(443) as client:
        backend, _, _ = accept(listening)
        server.proxy.change([former.name], [replace(former, target=IPv4Address(OTHER_TARGET), server_port=9443)])
        with ground.connect(443):
            assert accept(other)[1][0] == SOURCE
        # Longer than Envoy lets anything drain.
        time.sleep(1.5)

        assert exchange(client, backend)


def test_a_bad_listener_fails_alone_and_says_why(ground: Ground, server: Server):
    bad = ground.listener(444, namespace="/nowhere", endpoint_id=EndpointId("bad"))

    failures = server.proxy.change((), [ground.listener(443), bad, ground.listener(445)])

    assert list(failures) == ["bad:444"]
    assert "/nowhere" in failures["bad:444"]
    assert sorted(listener.client_port for listener in server.proxy.listeners()) == [443, 445]


def test_one_listener_more_than_the_limit_is_refused(ground: Ground, new_server: NewServer):
    server = new_server(listeners_limit=2)
    server.add(ground.listener(443), ground.listener(444))

    failures = server.proxy.change((), [ground.listener(445)])

    assert failures == {"endpoint-in-vpc-a:445": "the proxy has 2 listeners, its limit: raise proxy_listeners_limit"}
    assert server.proxy.change([ground.listener(444).name], [ground.listener(445)]) == {}


def test_a_connection_is_told_of_when_it_is_open_and_when_it_has_ended(ground: Ground, server: Server, accept: Accept):
    server.add(ground.listener(443))

    with ground.listen(8443) as listening, ground.connect(443) as client:
        client_port = client.getsockname()[1]
        backend, peer, _ = accept(listening)
        assert eventually(lambda: len(server.connections) == 1)
        client.sendall(b"question")
        receive(backend, 8)
        backend.sendall(b"an answer")
        receive(client, 9)
        backend.close()
    assert eventually(lambda: len(server.connections) == 2)

    opened, ended = server.connections
    assert (opened.endpoint_id, opened.client_port) == ("endpoint-in-vpc-a", 443)
    assert opened.client == (IPv4Address(CLIENT), client_port)
    assert opened.source == (IPv4Address(SOURCE), peer[1])
    assert (opened.ended_at, opened.bytes_sent, opened.bytes_received) == (None, 0, 0)
    assert (ended.client, ended.source, ended.opened_at) == (opened.client, opened.source, opened.opened_at)
    assert ended.ended_at is not None
    assert (ended.bytes_sent, ended.bytes_received) == (8, 9)
    assert server.feed is not None
    assert server.feed.unreadable_count == 0


def test_nothing_runs_before_there_is_something_to_carry(server: Server):
    assert server.proxy.change(["never-there:1"], ()) == {}
    assert server.proxy.listeners() == []
    assert not server.process.is_alive()
    assert list(server.files.directory.iterdir()) == []


def test_a_killed_envoy_comes_back_with_all_its_listeners(ground: Ground, server: Server):
    server.add(ground.listener(443), ground.listener(444))
    killed = server.pid()

    os.kill(killed, signal.SIGKILL)

    assert eventually(lambda: server.process.state.restart_count == 1 and len(server.proxy.listeners()) == 2)
    assert server.pid() != killed
    assert not is_refused(ground, 443)
    server.add(ground.listener(445))
    assert not is_refused(ground, 445)


def test_a_new_server_takes_up_the_envoy_of_the_former_one_with_its_connections(
    ground: Ground, new_server: NewServer, accept: Accept
):
    former = new_server()
    former.add(ground.listener(443), ground.listener(444))
    with ground.listen(8443) as listening, ground.connect(443) as client:
        backend, _, _ = accept(listening)
        pid = former.pid()
        former.proxy.close()

        server = new_server(listeners_limit=3)
        server.proxy.resume()
        found = {listener.name: listener for listener in server.proxy.listeners()}
        server.add(ground.listener(443), ground.listener(445))

        assert found == {listener.name: listener for listener in (ground.listener(443), ground.listener(444))}
        assert server.pid() == pid
        assert server.statistic("listener_manager.listener_create_success") == 3
        assert server.statistic("listener_manager.listener_modified") == 0
        assert server.statistic("cluster_manager.cluster_modified") == 0
        assert exchange(client, backend)


def test_a_new_server_takes_away_what_a_former_one_left(ground: Ground, new_server: NewServer):
    former = new_server()
    former.add(ground.listener(443), ground.listener(444))
    former.proxy.close()
    server = new_server()

    assert server.proxy.change([ground.listener(444).name], ()) == {}

    assert is_refused(ground, 444)
    assert not is_refused(ground, 443)


def test_other_dialects_reach_new_connections_and_leave_old_ones_alone(
    ground: Ground, new_server: NewServer, accept: Accept
):
    former = new_server(TlvDialects())
    former.add(ground.listener(443))
    with ground.listen(8443) as listening, ground.connect(443) as client:
        backend, _, _ = accept(listening)
        former.proxy.close()
        server = new_server(TlvDialects(marker_type=0xE7))
        server.proxy.resume()
        server.add(ground.listener(443))
        with ground.connect(443):
            assert accept(listening)[2].fields == {0xE7: MARKER.to_bytes(4, "big")}
        time.sleep(1.5)

        assert exchange(client, backend)


def test_an_envoy_that_was_configured_otherwise_makes_room_for_another(ground: Ground, new_server: NewServer):
    former = new_server(concurrency=1)
    former.add(ground.listener(443))
    pid = former.pid()
    former.proxy.close()

    server = new_server(concurrency=2)
    server.proxy.resume()
    assert server.proxy.listeners() == []
    server.add(ground.listener(443))

    assert server.pid() != pid
    assert not Path(f"/proc/{pid}").exists()


def test_an_envoy_that_nobody_recorded_is_ended_before_another_is_started(ground: Ground, new_server: NewServer):
    former = new_server()
    former.add(ground.listener(443))
    pid = former.pid()
    former.proxy.close()
    former.files.record.unlink()

    server = new_server()
    server.add(ground.listener(443))

    assert server.pid() != pid
    assert not Path(f"/proc/{pid}").exists()


def test_an_envoy_that_died_with_its_server_is_started_by_the_next(ground: Ground, new_server: NewServer):
    former = new_server()
    former.add(ground.listener(443), ground.listener(444))
    pid = former.pid()
    former.proxy.close()
    os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: not former.process.is_alive())

    server = new_server()
    server.proxy.resume()
    assert server.proxy.listeners() == []
    server.add(ground.listener(443))

    assert not is_refused(ground, 443)
    assert is_refused(ground, 444)


def test_a_hub_that_was_replaced_gets_an_envoy_of_its_own(ground: Ground, server: Server, accept: Accept):
    server.add(ground.listener(443))
    ground.remove_hub()
    ground.make_hub()

    server.add(ground.listener(444))

    assert eventually(lambda: len(server.proxy.listeners()) == 2)
    with ground.listen(8443) as listening, ground.connect(443):
        assert accept(listening)[1][0] == SOURCE


def test_stopping_ends_the_process_and_forgets_it(ground: Ground, server: Server):
    server.add(ground.listener(443))
    pid = server.pid()

    server.proxy.stop()

    assert not Path(f"/proc/{pid}").exists()
    assert not server.process.is_alive()
    assert is_refused(ground, 443)


def test_its_sockets_and_files_are_for_nobody_else(ground: Ground, server: Server):
    server.add(ground.listener(443))

    modes = {path.name: path.stat().st_mode & 0o777 for path in server.files.directory.iterdir()}

    assert modes == dict.fromkeys(("admin.sock", "bootstrap.json", "envoy.log", "process.json", "xds.sock"), 0o600)
    held = subprocess.run(
        ["ss", "-H", "-l", "-t", "-N", ground.hub], capture_output=True, text=True, check=True, timeout=10
    )
    assert held.stdout == ""


def test_it_may_enter_namespaces_and_take_low_ports_and_no_more(ground: Ground, server: Server):
    server.add(ground.listener(443))

    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{server.pid()}/status").read_text().splitlines() if ":" in line
    )

    net_bind_service, sys_admin = 1 << 10, 1 << 21
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == net_bind_service | sys_admin
    assert status["NoNewPrivs"].strip() == "1"


def test_a_log_that_has_grown_is_put_away_and_another_is_begun(ground: Ground, server: Server):
    server.add(ground.listener(443))
    os.truncate(server.files.log, LOG_BYTES + 1)

    server.process.put_log_away()
    server.proxy.change((), [ground.listener(444, namespace="/nowhere")])

    assert server.files.log.with_suffix(".log.1").stat().st_size > LOG_BYTES
    assert eventually(lambda: server.files.log.exists() and "/nowhere" in server.files.log.read_text())


def test_an_envoy_that_cannot_be_started_is_a_reason_for_additions_and_no_hindrance_for_removals(
    ground: Ground, state: Path
):
    nowhere = Path("/nowhere/envoy")
    process = EnvoyProcess(ground.namespaces, ground.hub, state, nowhere, 1, 100, random.random)
    proxy = Proxy(process, lambda path: XdsServer(path, TlvDialects(), 100, lambda _: None))

    failures = proxy.change((), [ground.listener(443)])
    removed = proxy.change([ground.listener(443).name], ())
    proxy.close()

    assert failures == {"endpoint-in-vpc-a:443": "there is no Envoy at /nowhere/envoy: No such file or directory"}
    assert removed == {}


def test_a_silent_envoy_is_given_up_after_a_while(ground: Ground, server: Server):
    server.add(ground.listener(443))
    os.kill(server.pid(), signal.SIGSTOP)
    try:
        failures = server.proxy.change([ground.listener(443).name], [ground.listener(444)])
    finally:
        os.kill(server.pid(), signal.SIGCONT)

    silence = "the proxy does not answer; it is tried again by itself"
    assert failures == {ground.listener(443).name: silence, ground.listener(444).name: silence}
    # What was given up does not come later, and what was to go goes.
    assert eventually(lambda: server.proxy.listeners() == [])


def place(ground: Ground, vpc_id: VpcId) -> Edge:
    """Return what the engine needs to know of an edge."""

    class Place:
        name = ground.edge(vpc_id)
        identity = ground.namespaces.identity(name)

    return cast("Edge", Place())


def element(port: int, vpc_id: VpcId = OTHER_VPC, endpoint: str = "endpoint-1") -> Element:
    its_end = join(endpoint, MARKER, SOURCE, TARGET, 8443)
    return Element(vpc_id, Kind.PROXY, join(ADDRESS, port), its_end)


def test_the_engine_carries_elements_and_reads_them_back(ground: Ground, server: Server):
    engine = ProxyEngine(ground.namespaces, ground.region, server.proxy)
    edges = {vpc_id: place(ground, vpc_id) for vpc_id in (VPC, OTHER_VPC)}
    first, second, nowhere = element(443), element(444), element(443, VpcId("no-vpc"))

    failures = engine.change((), [first, second, nowhere])

    assert failures == {nowhere: "the edge of VPC no-vpc is away"}
    assert engine.read(edges) == {first, second}
    assert engine.change([first], [second._replace(value=join("endpoint-1", MARKER, SOURCE, OTHER_TARGET, 1))]) == {}
    assert {found.value for found in engine.read(edges)} == {join("endpoint-1", MARKER, SOURCE, OTHER_TARGET, 1)}


def test_an_edge_that_was_replaced_is_a_new_place(ground: Ground, server: Server):
    engine = ProxyEngine(ground.namespaces, ground.region, server.proxy)
    assert engine.change((), [element(443)]) == {}
    ground.remove_vpc(OTHER_VPC)
    ground.make_vpc(OTHER_VPC)

    edges = {OTHER_VPC: place(ground, OTHER_VPC)}
    former = engine.read(edges)
    assert engine.change(former, [element(443)]) == {}

    assert former.isdisjoint({element(443)})
    assert engine.read(edges) == {element(443)}
    assert not is_refused(ground, 443, OTHER_VPC)


NGINX = """
daemon off;
error_log {directory}/error.log;
pid {directory}/nginx.pid;
events {{}}
http {{
    access_log off;
    server {{
        listen {address}:8443 proxy_protocol;
        location / {{
            set $client "$proxy_protocol_addr $proxy_protocol_port";
            return 200 "$client $proxy_protocol_server_addr $proxy_protocol_server_port $remote_addr";
        }}
    }}
}}
"""
HAPROXY = """
defaults
    mode http
    timeout client 10s
    timeout connect 10s
    timeout server 10s
frontend proxied
    bind {address}:8443 accept-proxy
    http-request return status 200 content-type text/plain lf-string "%[src] %[src_port] %[dst] %[dst_port]"
"""


@pytest.fixture
def reader(ground: Ground, state: Path) -> Iterator[Callable[[str, str], None]]:
    """Start a program that reads the header, in the backend."""
    started: list[subprocess.Popen[bytes]] = []

    def start(program: str, contents: str) -> None:
        file = state / "reader.conf"
        file.write_text(contents.format(directory=state, address=TARGET))
        options = ["-c", str(file), "-p", str(state)] if program == "nginx" else ["-db", "-f", str(file)]
        started.append(subprocess.Popen(ground.command(ground.backend, program, *options)))
        assert eventually(lambda: is_listening(ground)), f"{program} does not listen"

    yield start
    for program in started:
        program.terminate()
        program.wait(TIMEOUT_SECONDS)


def is_listening(ground: Ground) -> bool:
    def try_() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((TARGET, 8443)) == 0

    return ground.namespaces.inside(ground.backend, try_)


def ask(ground: Ground) -> tuple[list[str], int]:
    """Return the words of the answer, and the client's port."""
    with ground.connect(443) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: endpoint\r\nConnection: close\r\n\r\n")
        answer = receive(client, 2**16).decode()
        return answer.rpartition("\r\n\r\n")[2].split(), client.getsockname()[1]


def test_nginx_reads_the_header(ground: Ground, server: Server, reader: Callable[[str, str], None]):
    reader("nginx", NGINX)
    server.add(ground.listener(443))

    said, client_port = ask(ground)

    assert said == [CLIENT, str(client_port), ADDRESS, "443", SOURCE]


def test_haproxy_reads_the_header(ground: Ground, server: Server, reader: Callable[[str, str], None]):
    reader("haproxy", HAPROXY)
    server.add(ground.listener(443))

    said, client_port = ask(ground)

    assert said == [CLIENT, str(client_port), ADDRESS, "443"]


def test_the_proxy_works_without_root():
    project = Path(__file__).parents[2]
    with tempfile.TemporaryDirectory(prefix="lbt-") as home:
        aside = Path(home, "aside")
        aside.mkdir()
        os.chown(home, NOBODY, NOBODY)
        done = subprocess.run(
            [*as_an_ordinary_user(aside), sys.executable, "-m", "tests.integration.envoy_rootless", f"{home}/state"],
            cwd=project,
            env={"PATH": os.environ["PATH"], "HOME": home, "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["an-ordinary-user", "adopted", CLIENT, ADDRESS, SOURCE]
