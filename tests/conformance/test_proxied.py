"""What the proxy carries is admitted, limited and cut like everything else. The proxy here is the real one."""

import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from conformance.linux_plane import LinuxPlane
from conformance.linux_probe import LinuxProbe
from conformance.world import NOTHING, PATIENTLY, Answer, Attempt, World
from landbridge.dataplane.driver import finish
from landbridge.dataplane.model import EVERYBODY, Binding, Target, digest
from landbridge.dataplane.verification import NOTHING as NOTHING_WANTED
from landbridge.domain.resources import TcpProxy
from landbridge.drivers.envoy.binary import find_envoy
from landbridge.drivers.envoy.listeners import TlvDialects
from landbridge.drivers.envoy.process import EnvoyProcess
from landbridge.drivers.envoy.proxy import Proxy
from landbridge.drivers.envoy.server import XdsServer
from landbridge.drivers.linux import ownership
from landbridge.drivers.linux.edges import Edges
from landbridge.drivers.linux.elements import HUB, join
from landbridge.drivers.linux.looking import LinuxLooker
from landbridge.drivers.linux.proxying import ProxyEngine

pytestmark = pytest.mark.linux_only

ONE_MEGABYTE = 1_000_000
OFFLOADS = [word for name in ("tso", "gso", "gro", "tx", "rx") for word in (name, "off")]


@pytest.fixture(scope="module")
def new_proxy(plane: LinuxPlane, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Proxy]:
    """Make what each process that concerns itself with the proxy has of it."""
    state = tmp_path_factory.mktemp("proxy")
    hub = ownership.edge_namespace(plane.region, HUB)

    def open_feed(socket: Path) -> XdsServer:
        return XdsServer(socket, TlvDialects(), 100, lambda _: None)

    return lambda: Proxy(
        EnvoyProcess(plane.namespaces, hub, state, find_envoy(), 1, 100, random.random),
        open_feed,
    )


@pytest.fixture(scope="module")
def proxied_plane(plane: LinuxPlane, new_proxy: Callable[[], Proxy]) -> Iterator[LinuxPlane]:
    """The plane, driven by a driver that has the proxy."""
    proxy = new_proxy()
    former = plane.driver
    plane.driver = plane.new_driver(engines=[ProxyEngine(plane.namespaces, plane.region, proxy)])
    finish(plane.driver.survey(()))
    yield plane
    plane.driver.close()
    proxy.stop()
    plane.driver = former
    finish(plane.driver.survey(()))


@pytest.fixture
def proxied(world: World, proxied_plane: LinuxPlane) -> World:
    assert world.plane is proxied_plane
    return world


def wired(world: World, host: str = "blue-backend", **changes: object) -> tuple[Target, Binding]:
    """Give red an endpoint through the proxy: client port 80 leads to server port 8080."""
    service = world.service(host, 8080)
    endpoint = replace(world.endpoint("red-web", "10.0.0.100", service, {80: 8080}), tcp_proxy=TcpProxy.PROXY_OPEN)
    endpoint = replace(endpoint, **changes)
    world.wire(service, endpoint)
    return service, endpoint


@pytest.mark.parametrize("host", ["blue-backend", "red-far"], ids=["other-vpc", "own-vpc"])
def test_a_mapped_port_passes_with_the_endpoints_source_and_nothing_else_does(proxied: World, host: str):
    service, endpoint = wired(proxied, host)

    answer = proxied.reach("red-client", endpoint.address, 80)

    assert answer == Answer(host, 8080, endpoint.transit_address)
    assert proxied.nobody_reaches(
        Attempt("red-client", endpoint.address, 8080),
        Attempt("red-client", endpoint.address, 81),
        Attempt("red-client", service.transit_address, 8080),
        Attempt("green-client", endpoint.address, 80),
    )


def test_removing_an_endpoint_ends_its_connections_and_no_others(proxied: World):
    service, doomed = wired(proxied, "blue-stubborn")
    neighbour = replace(proxied.endpoint("red-web", "10.0.0.101", service, {80: 8080}), tcp_proxy=TcpProxy.PROXY_OPEN)
    proxied.wire(neighbour)
    flow = proxied.probe.open("red-stubborn", doomed.address, 80)
    other = proxied.probe.open("red-stubborn", neighbour.address, 80)
    assert flow.is_alive()

    proxied.unwire(doomed)

    assert flow.exchange(0.7) == NOTHING
    assert other.is_alive()


def test_a_whitelist_lets_in_whom_it_names_and_cuts_whom_it_names_no_more(proxied: World):
    everybody = (IPv4Network("10.0.0.8/29"),)
    _, endpoint = wired(proxied, allowed_sources=everybody)
    flow = proxied.probe.open("red-client", endpoint.address, 80)
    other = proxied.probe.open("red-neighbour", endpoint.address, 80)
    assert proxied.nobody_reaches(Attempt("red-far", endpoint.address, 80))

    proxied.wire(replace(endpoint, allowed_sources=(IPv4Network("10.0.0.11/32"),)))

    assert flow.exchange(0.7) == NOTHING
    assert other.is_alive()


@pytest.mark.parametrize("cut", ["unwired", "not-in-the-whitelist"])
def test_what_was_cut_stays_cut_when_it_would_be_allowed_again(proxied: World, cut: str):
    _, endpoint = wired(proxied, "blue-stubborn")
    flow = proxied.probe.open("red-stubborn", endpoint.address, 80)
    assert flow.is_alive()

    if cut == "unwired":
        proxied.unwire(endpoint)
    else:
        proxied.wire(replace(endpoint, allowed_sources=(IPv4Network("10.0.0.11/32"),)))
    proxied.wire(endpoint)

    flow.exchange(0.3)  # what the proxy had already taken may still get to the backend
    assert flow.exchange(1.0) == NOTHING
    assert proxied.reach("red-client", endpoint.address, 80) is not None


@pytest.mark.parametrize("cut", ["unwired", "not-in-the-whitelist"])
def test_nothing_gets_to_a_slow_backend_that_was_sent_after_the_cut(proxied: World, cut: str):
    service = proxied.service("blue-backend", 7100)
    endpoint = replace(proxied.endpoint("red-web", "10.0.0.100", service, {80: 7100}), tcp_proxy=TcpProxy.PROXY_OPEN)
    proxied.wire(service, endpoint)
    with stuffed(proxied, endpoint) as (sending, receiving):
        if cut == "unwired":
            proxied.unwire(endpoint)
        else:
            proxied.wire(replace(endpoint, allowed_sources=(IPv4Network("10.0.0.11/32"),)))

        send_while_there_is_room(sending, b"1")
        lying_there = len(receiving.recv(8 * ONE_MEGABYTE, socket.MSG_PEEK))
        arrived = b"".join(iter(lambda: receive(receiving), b""))

    assert arrived, "otherwise the backend was not slow"
    assert b"1" not in arrived
    # When the whole endpoint goes, what the proxy holds goes too. Of a single client it may still arrive.
    assert cut != "unwired" or len(arrived) <= lying_there


@contextmanager
def stuffed(world: World, endpoint: Binding) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Give both ends of a connection that holds as many zeros as it can, since the backend reads nothing."""
    assert isinstance(world.probe, LinuxProbe)
    client, backend = world.probe.hosts["red-client"], world.probe.hosts["blue-backend"]
    with backend.inside(lambda: socket.create_server(("", 7100))) as listening:
        listening.settimeout(PATIENTLY)
        sending = client.inside(lambda: socket.create_connection((str(endpoint.address), 80), PATIENTLY))
        receiving, _ = listening.accept()
    with sending, receiving:
        receiving.settimeout(1.0)
        sending.settimeout(0.5)
        send_while_there_is_room(sending, b"0")
        yield sending, receiving


def send_while_there_is_room(sending: socket.socket, text: bytes) -> None:
    with suppress(OSError):
        for _ in range(1000):
            sending.sendall(text * 65536)


def receive(receiving: socket.socket) -> bytes:
    """Return what is there or comes soon; nothing at the end, whatever the end is."""
    with suppress(OSError):
        return receiving.recv(ONE_MEGABYTE)
    return b""


def test_who_is_barred_opens_nothing_and_keeps_what_is_open(proxied: World):
    _, endpoint = wired(proxied)
    flow = proxied.probe.open("red-client", endpoint.address, 80)

    proxied.wire(replace(endpoint, barred_sources=(EVERYBODY,)))

    assert proxied.nobody_reaches(Attempt("red-client", endpoint.address, 80))
    assert flow.is_alive()


def test_connections_stay_where_they_were_opened_when_a_backend_moves(proxied: World):
    before, endpoint = wired(proxied)
    after = proxied.service("blue-stubborn", 8080)
    flow = proxied.probe.open("red-client", endpoint.address, 80)
    proxied.wire(after)

    proxied.wire(
        replace(
            endpoint,
            target_transit_address=after.transit_address,
            former_targets=(before.transit_address,),
        )
    )

    assert proxied.reach("red-client", endpoint.address, 80) == Answer("blue-stubborn", 8080, endpoint.transit_address)
    assert flow.is_alive()


def test_an_endpoint_opens_no_more_connections_than_its_budget(proxied: World):
    _, endpoint = wired(proxied, connection_limit=1)
    flow = proxied.probe.open("red-client", endpoint.address, 80)

    assert proxied.nobody_reaches(Attempt("red-neighbour", endpoint.address, 80))
    assert flow.is_alive()


def test_everything_arrives_through_a_narrow_subnet(proxied: World):
    service = proxied.service("narrow-backend", 7100)
    endpoint = replace(proxied.endpoint("red-web", "10.0.0.100", service, {80: 7100}), tcp_proxy=TcpProxy.PROXY_OPEN)
    proxied.wire(service, endpoint)
    assert isinstance(proxied.probe, LinuxProbe)
    for host in ("red-client", "narrow-backend"):
        proxied.plane.run_inside(proxied.plane.namespace_of(host), ["ethtool", "-K", "eth0", *OFFLOADS])

    client, backend = proxied.probe.hosts["red-client"], proxied.probe.hosts["narrow-backend"]
    with backend.inside(lambda: socket.create_server(("", 7100))) as listening:
        listening.settimeout(PATIENTLY)
        sending = client.inside(lambda: socket.create_connection((str(endpoint.address), 80), PATIENTLY))
        receiving, _ = listening.accept()
    with sending, receiving:
        receiving.settimeout(PATIENTLY)
        thread = threading.Thread(
            target=lambda: (sending.sendall(bytes(ONE_MEGABYTE)), sending.shutdown(socket.SHUT_WR))
        )
        thread.start()
        arrived = sum(len(data) for data in iter(lambda: receiving.recv(65536), b""))
        thread.join()

    header_bytes = 16 + 12 + 7
    assert arrived == header_bytes + ONE_MEGABYTE


def test_every_part_that_somebody_takes_away_is_missed_and_mended(proxied: World):
    service, endpoint = wired(proxied, allowed_sources=(IPv4Network("10.0.0.10/32"),))
    expected = {thing.id: digest(thing) for thing in (service, endpoint)}
    assert finish(proxied.driver.survey((service, endpoint))) == expected

    for sabotage in proxied.plane.sabotages():
        sabotage.do()
        assert finish(proxied.driver.survey((service, endpoint))) != expected, f"{sabotage.what} was not noticed"
        assert proxied.sweep(service, endpoint) == {}, sabotage.what
        assert finish(proxied.driver.survey((service, endpoint))) == expected, f"{sabotage.what} was not mended"

    tries = (proxied.reach("red-client", endpoint.address, 80) for _ in range(3))
    assert Answer("blue-backend", 8080, endpoint.transit_address) in tries


def test_a_listener_that_somebody_takes_out_or_leaves_is_named_by_looking(
    proxied: World, new_proxy: Callable[[], Proxy]
):
    things = wired(proxied)
    plane, (engine,) = proxied.plane, proxied.driver.engines
    reader = ProxyEngine(plane.namespaces, plane.region, new_proxy())
    edges = Edges(plane.namespaces, plane.instance, plane.region, looks_only=True)
    with closing(edges), closing(LinuxLooker(plane.namespaces, plane.instance, plane.region, [reader])) as looker:
        (carried,) = engine.read(dict(edges.all()))
        foreign = carried._replace(key=join("10.0.0.100", 4444))
        assert looker.look(things) == []

        assert engine.change([carried], []) == {}
        assert eventually(lambda: len(looker.look(things)) == 1)
        (taken,) = looker.look(things)
        assert engine.change([], [carried, foreign]) == {}
        assert eventually(lambda: [each.wanted for each in looker.look(things)] == [NOTHING_WANTED])
        (left,) = looker.look(things)
        assert engine.change([foreign], []) == {}

        assert "10.0.0.100 . 80" in taken.what
        assert things[1].id in taken.concerns
        assert "10.0.0.100 . 4444" in left.what
        assert eventually(lambda: looker.look(things) == [])


def eventually(is_so: Callable[[], bool]) -> bool:
    """Wait for it: Envoy shows a moment later what it has agreed to."""
    deadline = time.monotonic() + PATIENTLY
    while not is_so():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def test_what_nobody_wants_any_more_goes_whole(proxied: World):
    _, stale = wired(proxied)
    before = proxied.plane.dump()
    assert str(stale.transit_address) in before

    assert proxied.sweep() == {}

    assert str(stale.transit_address) not in proxied.plane.dump()
    assert finish(proxied.driver.survey(())) == {}
