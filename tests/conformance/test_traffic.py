"""What goes through an endpoint is counted, its connections are shown, and their ends are heard of."""

import os
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from conformance.linux_plane import LinuxPlane
from conformance.topology import address_of
from conformance.world import World
from landbridge.dataplane.flows import EndedConnection, Ending, GrowingCounters, State, TrafficKey
from landbridge.dataplane.model import Binding, GatewayBinding
from landbridge.domain.ids import VpcId
from landbridge.drivers.linux import ownership, sysctl
from landbridge.drivers.linux.conntrack import Conntrack
from landbridge.drivers.linux.conntrack_events import BUFFER_BYTES, ConntrackEvents
from landbridge.drivers.linux.elements import connection_mark
from landbridge.drivers.linux.traffic import LinuxTraffic
from tests.conntrack_entries import Entry, make_entries

pytestmark = pytest.mark.linux_only

PATIENTLY = 20.0
LOOK = 5.0
_MARK = 4711


@dataclass
class Heard:
    """Everything that the kernel told."""

    connections: list[tuple[VpcId, EndedConnection]] = field(default_factory=list)
    lost_in: list[VpcId] = field(default_factory=list)

    def ended(self, vpc_id: VpcId, connections: Collection[EndedConnection]) -> None:
        self.connections += [(vpc_id, one) for one in connections]

    def lost(self, vpc_id: VpcId) -> None:
        self.lost_in.append(vpc_id)

    def tick(self) -> None:
        return

    def of(self, key: TrafficKey) -> list[EndedConnection]:
        return [one for vpc_id, one in list(self.connections) if (vpc_id, one.connection.mark) == key]


def key_of(binding: Binding | GatewayBinding) -> TrafficKey:
    if isinstance(binding, GatewayBinding):
        return TrafficKey(binding.entries[0].vpc_id, int(connection_mark(binding.id, str(binding.transit_address))))
    return TrafficKey(binding.consumer.vpc_id, int(connection_mark(binding.id, str(binding.address))))


@pytest.fixture
def linux(plane: LinuxPlane) -> LinuxPlane:
    return plane


@pytest.fixture
def traffic(linux: LinuxPlane) -> Iterator[LinuxTraffic]:
    made = LinuxTraffic(linux._namespaces, linux._instance, linux._region)
    yield made
    made.close()


@pytest.fixture
def heard(linux: LinuxPlane) -> Iterator[Heard]:
    """Listen in all edges, where ended connections are forgotten at once."""
    edges = linux.edges()
    for edge in edges:
        _linger(linux, edge, seconds=1)
    found = Heard()
    events = ConntrackEvents(linux._namespaces, linux._instance, linux._region, found)
    yield found
    events.close()
    for edge in edges:
        _linger(linux, edge, seconds=10)


def _linger(linux: LinuxPlane, edge: str, seconds: int) -> None:
    names = [f"netfilter/nf_conntrack_tcp_timeout_{state}" for state in ("time_wait", "close")]
    linux._namespaces.inside(edge, lambda: sysctl.write(dict.fromkeys(names, str(seconds))))


def until(is_true: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENTLY
    while time.monotonic() < deadline:
        if is_true():
            return True
        time.sleep(0.05)
    return is_true()


def hear(traffic: LinuxTraffic, heard: Heard, key: TrafficKey) -> EndedConnection:
    """Wait for the end of the one connection of an endpoint."""

    def is_told() -> bool:
        # Whoever looks makes the kernel clear its table, which else takes up to a minute.
        traffic.connections([key], LOOK)
        return bool(heard.of(key))

    assert until(is_told)
    (ended,) = heard.of(key)
    return ended


def test_what_passes_is_counted_both_ways_for_its_endpoint_only(world: World, traffic: LinuxTraffic):
    service = world.service("blue-backend", 7000)
    endpoint = world.endpoint("red-web", "10.0.0.100", service, {7000: 7000})
    quiet = world.endpoint("red-web", "10.0.0.101", service, {7000: 7000})
    world.wire(service, endpoint, quiet)

    for is_upload in (True, False):
        size = 300_000
        assert world.probe.transfer("red-client", endpoint.address, 7000, size, is_upload=is_upload, timeout=10)

    counted = traffic.counters([key_of(endpoint), key_of(quiet)])
    busy = counted[key_of(endpoint)]
    # With headers: some per cent more than was sent.
    assert 300_000 < busy.bytes_sent < 400_000
    assert 300_000 < busy.bytes_received < 400_000
    assert busy.packets_sent > 10 < busy.packets_received
    assert busy.opened == 2
    assert counted[key_of(quiet)].opened == counted[key_of(quiet)].packets_sent == 0
    assert traffic.all_counters() == counted


def test_the_kernels_tables_are_counted_by_edge_and_their_limit_is_known(world: World, traffic: LinuxTraffic):
    service = world.service("blue-backend", 80)
    endpoint = world.endpoint("red-web", "10.0.0.100", service, {80: 80})
    world.wire(service, endpoint)
    before = traffic.tracked()
    assert world.reach("red-client", endpoint.address, 80)

    tracked = traffic.tracked()

    consumer, provider = endpoint.consumer.vpc_id, service.attachment.vpc_id
    assert tracked.by_edge[consumer] >= 1
    assert tracked.by_edge[provider] <= before.by_edge[provider], "the provider's edge remembers no connection"
    assert tracked.limit is None or tracked.limit > 0


def test_what_was_counted_is_not_lost_when_an_endpoint_is_cut_and_comes_back(world: World, traffic: LinuxTraffic):
    service = world.service("blue-backend", 80)
    endpoint = world.endpoint("red-web", "10.0.0.100", service, {80: 80})
    grown, key = GrowingCounters(), key_of(endpoint)
    world.wire(service, endpoint)
    assert world.reach("red-client", endpoint.address, 80)
    grown.add(traffic.counters([key]), [key])
    before = grown.sum_of(key)

    world.unwire(endpoint)
    assert traffic.counters([key]) == {}
    grown.add(traffic.counters([key]), [key])
    world.wire(service, endpoint)
    assert world.reach("red-client", endpoint.address, 80)
    assert world.reach("red-neighbour", endpoint.address, 80)
    grown.add(traffic.counters([key]), [key])

    assert before.opened == 1
    assert grown.sum_of(key).opened == 3
    assert grown.sum_of(key).bytes_sent > 2 * before.bytes_sent


def test_a_live_connection_is_shown_with_all_its_ends(world: World, traffic: LinuxTraffic):
    service = world.service("blue-backend", 80)
    endpoint = world.endpoint("red-web", "10.0.0.100", service, {8000: 80})
    world.wire(service, endpoint)
    began_ns = time.time_ns()
    flow = world.probe.open("red-client", endpoint.address, 8000, source_port=43210)
    assert flow.is_alive()

    seen = traffic.connections([key_of(endpoint)], LOOK)

    assert seen.is_complete
    (one,) = seen.connections[key_of(endpoint)]
    source, source_port = flow.seen_source
    assert (one.client, one.listener) == (f"{address_of('red-client')}:43210", "10.0.0.100:8000")
    assert (one.source, one.target) == (f"{source}:{source_port}", f"{service.transit_address}:80")
    assert (one.protocol, one.state) == ("tcp", State.ESTABLISHED)
    assert began_ns <= one.opened_ns <= time.time_ns()
    assert one.bytes_sent > 100 < one.bytes_received


def test_open_connections_are_counted_until_they_end(world: World, traffic: LinuxTraffic):
    service = world.service("blue-backend", 80)
    first = world.endpoint("red-web", "10.0.0.100", service, {80: 80})
    second = world.endpoint("red-web", "10.0.0.101", service, {80: 80})
    world.wire(service, first, second)
    for endpoint, port in ((first, 43001), (first, 43002), (second, 43003)):
        assert world.probe.open("red-client", endpoint.address, 80, source_port=port).is_alive()

    def counts() -> tuple[int, int]:
        found = traffic.open_connections({first.consumer.vpc_id}, LOOK)
        return found.counts.get(key_of(first), 0), found.counts.get(key_of(second), 0)

    assert until(lambda: counts() == (2, 1))
    world.probe.close_flows()
    assert until(lambda: counts() == (0, 0))


def test_the_connections_of_many_endpoints_are_told_apart(world: World, traffic: LinuxTraffic):
    service = world.service("blue-backend", 80)
    endpoints = [world.endpoint("red-web", f"10.0.0.{100 + index}", service, {80: 80}) for index in range(10)]
    world.wire(service, *endpoints)
    for index, endpoint in enumerate(endpoints):
        assert world.probe.open("red-client", endpoint.address, 80, source_port=43100 + index).is_alive()

    def clients(*asked: Binding) -> dict[str, list[str]]:
        seen = traffic.connections([key_of(one) for one in asked], LOOK).connections
        return {str(one.address): [flow.client for flow in seen.get(key_of(one), ())] for one in asked}

    everybody = {f"10.0.0.{100 + index}": [f"10.0.0.10:{43100 + index}"] for index in range(10)}
    assert clients(*endpoints) == everybody
    assert clients(endpoints[3]) == {"10.0.0.103": ["10.0.0.10:43103"]}


def test_the_end_of_a_connection_is_heard_with_what_it_carried(world: World, traffic: LinuxTraffic, heard: Heard):
    service = world.service("blue-backend", 80)
    endpoint = world.endpoint("red-web", "10.0.0.100", service, {8000: 80})
    world.wire(service, endpoint)
    flow = world.probe.open("red-client", endpoint.address, 8000, source_port=43210)
    assert flow.is_alive()
    (before,) = traffic.connections([key_of(endpoint)], LOOK).connections[key_of(endpoint)]

    world.probe.close_flows()

    ended = hear(traffic, heard, key_of(endpoint))
    assert ended.connection.id == before.id
    assert ended.connection[2:7] == before[2:7]
    assert ended.connection.bytes_sent >= before.bytes_sent
    assert before.opened_ns == ended.connection.opened_ns <= ended.ended_ns <= time.time_ns()
    assert ended.ending is Ending.RESET
    assert heard.lost_in == []


def test_a_connection_that_is_cut_has_ended(world: World, traffic: LinuxTraffic, heard: Heard):
    service = world.service("blue-backend", 80)
    endpoint = world.endpoint("red-web", "10.0.0.100", service, {80: 80})
    world.wire(service, endpoint)
    assert world.probe.open("red-client", endpoint.address, 80).is_alive()

    world.unwire(endpoint)

    assert hear(traffic, heard, key_of(endpoint)).ending is Ending.RESET


def test_what_is_removed_from_the_kernels_table_is_heard_as_removed(
    world: World, traffic: LinuxTraffic, heard: Heard, linux: LinuxPlane
):
    service = world.service("blue-backend", 80)
    endpoint = world.endpoint("red-web", "10.0.0.100", service, {80: 80})
    world.wire(service, endpoint)
    assert world.probe.open("red-client", endpoint.address, 80).is_alive()
    key = key_of(endpoint)
    edge = ownership.edge_namespace(linux._region, key.vpc_id)

    conntrack = linux._namespaces.inside(edge, Conntrack)
    conntrack.forget(key.mark)
    conntrack.close()

    assert hear(traffic, heard, key).ending is Ending.REMOVED


# Gateway endpoints


@pytest.mark.gateway_only
def test_what_leaves_by_a_gateway_endpoint_is_counted_shown_and_heard_of(
    world: World, traffic: LinuxTraffic, heard: Heard
):
    gateway, quiet = world.gateway("red-web", "red-app"), world.gateway("green-web")
    world.wire(gateway, quiet)
    store, key = address_of("public-store"), key_of(gateway)
    flow = world.probe.open("red-client", store, 80, source_port=43210)
    assert flow.is_alive()
    assert world.probe.ask_by_udp("red-far", store, 9000, 3.0)

    counted = traffic.counters([key, key_of(quiet)])
    assert counted[key].opened == 2
    assert counted[key].bytes_sent > 100 < counted[key].bytes_received
    assert counted[key_of(quiet)].opened == counted[key_of(quiet)].packets_sent == 0
    open_now = traffic.open_connections({key.vpc_id}, LOOK).counts
    assert open_now[key] == 2
    seen = {one.protocol: one for one in traffic.connections([key], LOOK).connections[key]}
    assert seen.keys() == {"tcp", "udp"}
    source, source_port = flow.seen_source
    assert (seen["tcp"].client, seen["tcp"].listener) == (f"{address_of('red-client')}:43210", f"{store}:80")
    assert (seen["tcp"].source, seen["tcp"].target) == (f"{source}:{source_port}", f"{store}:80")
    assert source == gateway.transit_address
    assert seen["udp"].client.startswith(f"{address_of('red-far')}:")

    world.unwire(gateway)

    ended = hear(traffic, heard, key)
    assert (ended.connection.id, ended.ending) == (seen["tcp"].id, Ending.RESET)
    assert ended.connection[2:7] == seen["tcp"][2:7]
    assert traffic.counters([key]) == {}


@contextmanager
def edge_of_its_own(
    linux: LinuxPlane, heard: Heard, buffer_bytes: int = BUFFER_BYTES
) -> Iterator[tuple[str, ConntrackEvents]]:
    """Give the name of an edge that is not there yet, and whoever listens in its region."""
    region = f"lbt-{os.getpid()}"
    name = ownership.edge_namespace(region, VpcId("late"))
    events = ConntrackEvents(linux._namespaces, linux._instance, region, heard, buffer_bytes=buffer_bytes)
    try:
        yield name, events
    finally:
        events.close()
        for made in linux._namespaces.names():
            if made.startswith(ownership.edge_prefix(region)):
                linux._namespaces.remove(made)


def test_edges_that_come_and_go_are_noticed(linux: LinuxPlane):
    heard = Heard()
    with edge_of_its_own(linux, heard) as (name, events):
        assert events.watched() == frozenset()
        ownership.create(linux._namespaces, name, linux._instance, lambda: None)
        events.edges_changed([name])
        assert until(lambda: events.watched() == {"late"})

        linux._namespaces.inside(name, lambda: make_entries([Entry(mark=_MARK)]))
        conntrack = linux._namespaces.inside(name, Conntrack)
        conntrack.forget(_MARK)
        conntrack.close()
        assert until(lambda: len(heard.of(TrafficKey(VpcId("late"), _MARK))) == 1)

        linux._namespaces.remove(name)
        events.edges_changed([])
        assert until(lambda: events.watched() == frozenset())


def test_an_edge_of_another_instance_is_left_alone(linux: LinuxPlane):
    with edge_of_its_own(linux, Heard()) as (name, events):
        own = name.replace("late", "own")
        ownership.create(linux._namespaces, name, "somebody else", lambda: None)
        ownership.create(linux._namespaces, own, linux._instance, lambda: None)
        events.edges_changed([name, own])

        assert until(lambda: events.watched() == {"own"})


def test_it_is_said_when_the_kernel_could_not_tell_everything(linux: LinuxPlane):
    heard = Heard()
    with edge_of_its_own(linux, heard, buffer_bytes=4096) as (name, events):
        ownership.create(linux._namespaces, name, linux._instance, lambda: None)
        events.edges_changed([name])
        assert until(lambda: events.watched() == {"late"})
        entries = [Entry(client=("10.0.0.10", port), source=("198.19.128.2", port)) for port in range(10000, 12000)]
        linux._namespaces.inside(name, lambda: make_entries(entries))
        conntrack = linux._namespaces.inside(name, Conntrack)

        conntrack.forget(Entry().mark)

        conntrack.close()
        assert until(lambda: bool(heard.lost_in))
        assert len(heard.connections) < len(entries)


def test_a_look_that_takes_too_long_says_so_and_the_next_one_works(linux: LinuxPlane):
    name = f"lbt-{os.getpid()}-look"
    linux._namespaces.create(name)
    try:
        entries = [
            Entry(client=("10.0.0.10", port), source=("198.19.128.2", port), mark=1 + port % 3)
            for port in range(20000, 23000)
        ]
        linux._namespaces.inside(name, lambda: make_entries(entries))
        conntrack = linux._namespaces.inside(name, Conntrack)
        assert conntrack.count() == 3000
        counted = conntrack.open_counts(time.monotonic() + PATIENTLY)
        late = conntrack.connections(lambda _: True, time.monotonic())

        assert (counted.is_complete, dict(counted.by_mark)) == (True, {1: 1000, 2: 1000, 3: 1000})
        assert (late.is_complete, conntrack.is_spent) == (False, True)
    finally:
        linux._namespaces.remove(name)
