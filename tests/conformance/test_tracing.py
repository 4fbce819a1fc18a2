"""A look into the kernel names exactly the hop at which something is missing, and agrees with what packets do."""

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

import pytest

from conformance.linux_plane import LinuxPlane
from conformance.topology import address_of
from conformance.world import BRIEFLY, PATIENTLY, World
from landbridge.dataplane.explain import Client, Way, forward_of
from landbridge.dataplane.health import Probe
from landbridge.dataplane.hops import Confirmation, Step
from landbridge.dataplane.model import PROBE_ADDRESS, Attachment, Binding, GatewayBinding, Target
from landbridge.domain.ids import EndpointId, VpcId
from landbridge.domain.resources import TcpProxy
from landbridge.drivers.linux.confirming import Confirmer
from landbridge.drivers.linux.elements import connection_mark, link_interface, subnet_interface

pytestmark = pytest.mark.linux_only

ALL_IN_ORDER = Confirmation({}, {}, is_backend_absent=False)


@pytest.fixture
def linux(plane: LinuxPlane) -> LinuxPlane:
    return plane


@dataclass
class Scene:
    """An endpoint with a whitelist that red-client connects through, and who looks at it."""

    world: World
    linux: LinuxPlane
    service: Target
    endpoint: Binding

    @property
    def mark(self) -> str:
        return connection_mark(self.endpoint.id, str(self.endpoint.address))

    def edge(self, vpc_id: VpcId) -> str:
        return f"lb.{self.linux._region}.edge.{vpc_id}"

    @property
    def consumer(self) -> str:
        return self.edge(self.endpoint.consumer.vpc_id)

    @property
    def provider(self) -> str:
        return self.edge(self.endpoint.provider.vpc_id)

    @property
    def hub(self) -> str:
        return self.edge(VpcId("hub"))

    def nft(self, namespace: str, verb: str, name: str, element: str) -> None:
        self.linux.run_inside(namespace, ["nft", f"{verb} element inet landbridge {name} {{ {element} }}"])

    def ip(self, namespace: str, words: str) -> None:
        self.linux.run_inside(namespace, ["ip", *words.split()])

    def look(self, client: str = "red-client") -> Confirmation:
        binding = self.endpoint
        asking = client_at(binding.consumer, address_of(client))
        return look(self.linux, Way(binding, self.service, forward_of(binding, 80), asking, probe_of(self.service)))

    def connects(self) -> bool:
        # A client that has asked for the address before would go on without an answer.
        self.linux.run_inside(self.linux.namespace_of("red-client"), ["ip", "neigh", "flush", "all"])
        return self.world.reach("red-client", self.endpoint.address, 80, timeout=BRIEFLY) is not None


def look(linux: LinuxPlane, way: Way) -> Confirmation:
    return Confirmer(linux._namespaces, linux._instance, linux._region).confirm(way)


def client_at(attachment: Attachment, address: IPv4Address) -> Client:
    return Client(address, attachment.vpc_id, attachment.subnet_id)


def probe_of(service: Target) -> Probe:
    attachment, port = service.attachment, service.server_ports[0]
    return Probe(
        attachment.vpc_id, attachment.subnet_id, service.address, service.transit_address, port, TcpProxy.CLOSE
    )


@pytest.fixture
def scene(world: World, linux: LinuxPlane) -> Scene:
    service = world.service("blue-backend", 8080, 9000)
    endpoint = world.endpoint("red-web", "10.0.0.100", service, {80: 8080, 81: 9000}, ["10.0.0.8/29"])
    world.wire(service, endpoint)
    assert world.reach("red-client", endpoint.address, 80, timeout=PATIENTLY) is not None
    return Scene(world, linux, service, endpoint)


def test_where_everything_is_there_nothing_is_missed(scene: Scene):
    before = scene.linux.dump()

    assert scene.look() == ALL_IN_ORDER
    assert scene.linux.dump() == before, "a look changes nothing"


Sabotage = Callable[[Scene], None]
STOPPING: dict[str, tuple[Sabotage, Step]] = {
    "the local route": (
        lambda s: s.ip(s.consumer, f"route delete local {s.endpoint.address} table local"),
        Step.ADDRESS,
    ),
    "the mark": (lambda s: s.nft(s.consumer, "delete", "marks", str(s.endpoint.address)), Step.ADMISSION),
    "the accepted tuple": (
        lambda s: s.nft(
            s.consumer,
            "delete",
            "accepted_ports",
            f"{s.mark} . 80 . {s.service.transit_address} . 8080",
        ),
        Step.ADMISSION,
    ),
    "the whitelist entry": (
        lambda s: s.nft(s.consumer, "delete", "allowed", f"{s.endpoint.address} . 10.0.0.8/29"),
        Step.WHITELIST,
    ),
    "a bar that nobody asked for": (
        lambda s: s.nft(s.consumer, "add", "barred", f"{s.mark} . 10.0.0.0/28"),
        Step.WHITELIST,
    ),
    "the listener": (lambda s: s.nft(s.consumer, "delete", "listeners", f"{s.endpoint.address} . 80"), Step.PORT),
    "the exit": (lambda s: s.nft(s.consumer, "delete", "exits", s.mark), Step.SOURCE),
    "the route to the target": (
        lambda s: s.ip(s.consumer, f"route delete {s.service.transit_address}"),
        Step.LINK,
    ),
    "the route back": (lambda s: s.ip(s.provider, f"route delete {s.endpoint.transit_address}"), Step.LINK),
    "the backend": (
        lambda s: s.nft(s.provider, "delete", "backends", f"{s.service.transit_address} . 8080"),
        Step.TARGET,
    ),
    "the backend's answers": (
        lambda s: s.nft(s.provider, "delete", "replies", f"{s.service.address} . 8080"),
        Step.TARGET,
    ),
    "the provider's subnet": (
        lambda s: s.ip(s.provider, f"link set {subnet_interface(s.endpoint.provider.subnet_id)} down"),
        Step.TARGET,
    ),
}


@pytest.mark.gateway_only
@pytest.mark.parametrize("what", STOPPING)
def test_without_a_part_that_packets_need_its_hop_is_named_and_nothing_passes(scene: Scene, what: str):
    sabotage, step = STOPPING[what]

    sabotage(scene)
    try:
        found = scene.look()
        assert not scene.connects()
    finally:
        repair(scene)

    assert set(found.missing) == {step}, found
    after = scene.look()
    assert (after.missing, after.flaws) == ({}, {})


PASSING: dict[str, tuple[Sabotage, Step]] = {
    "the endpoint's label": (
        lambda s: s.nft(s.consumer, "delete", "endpoints", str(s.endpoint.address)),
        Step.ADMISSION,
    ),
    "the whitelist's switch": (
        lambda s: s.nft(s.consumer, "delete", "restricted", str(s.endpoint.address)),
        Step.WHITELIST,
    ),
    "the budget": (lambda s: s.nft(s.consumer, "delete", "budgets", s.mark), Step.BUDGET),
    "a counter": (lambda s: s.nft(s.consumer, "delete", "sent", s.mark), Step.BUDGET),
    "the segment size": (lambda s: s.nft(s.consumer, "delete", "segment_sizes", s.mark), Step.LINK),
    "the probe's address": (
        lambda s: s.ip(s.hub, f"route delete local {PROBE_ADDRESS} table local"),
        Step.BACKEND,
    ),
    "the probe's way": (
        lambda s: s.nft(s.hub, "delete", "upstreams", f"{PROBE_ADDRESS} . {s.service.transit_address} . 8080"),
        Step.BACKEND,
    ),
    "the probe's way back": (lambda s: s.ip(s.provider, f"route delete {PROBE_ADDRESS}"), Step.BACKEND),
}


@pytest.mark.gateway_only
@pytest.mark.parametrize("what", PASSING)
def test_without_a_part_that_packets_do_not_need_its_hop_is_flawed_and_connections_pass(scene: Scene, what: str):
    sabotage, step = PASSING[what]

    sabotage(scene)
    try:
        found = scene.look()
        assert scene.connects()
    finally:
        repair(scene)

    assert (set(found.missing), set(found.flaws)) == (set(), {step}), found
    assert scene.look() == ALL_IN_ORDER


def repair(scene: Scene) -> None:
    """Bring everything back, also what a sweep does not know of."""
    subnet = subnet_interface(scene.endpoint.provider.subnet_id)
    scene.ip(scene.provider, f"link set {subnet} up")
    scene.linux.run_inside(scene.consumer, ["nft", "flush set inet landbridge barred"])
    assert scene.world.sweep(scene.service, scene.endpoint) == {}


@pytest.mark.gateway_only
def test_a_link_that_is_down_is_named_and_so_are_the_routes_that_went_with_it(scene: Scene):
    consumer, provider = scene.endpoint.consumer.vpc_id, scene.endpoint.provider.vpc_id
    scene.ip(scene.consumer, f"link set {link_interface(consumer, provider, is_consumer=True)} down")

    found = scene.look()

    assert set(found.missing) == {Step.LINK}
    assert any("link" in text for text in found.missing[Step.LINK])
    assert scene.world.sweep(scene.service, scene.endpoint) == {}


@pytest.mark.gateway_only
def test_a_wrong_value_is_told_with_the_right_one(scene: Scene):
    listener = f"{scene.endpoint.address} . 80"
    scene.nft(scene.consumer, "delete", "listeners", listener)
    scene.nft(scene.consumer, "add", "listeners", f"{listener} : {scene.service.transit_address} . 9000")

    found = scene.look()

    (text,) = found.missing[Step.PORT]
    assert f"{scene.service.transit_address} . 9000" in text
    assert f"{scene.service.transit_address} . 8080" in text
    scene.nft(scene.consumer, "delete", "listeners", listener)
    assert scene.world.sweep(scene.service, scene.endpoint) == {}


@pytest.mark.gateway_only
def test_only_what_this_client_and_port_need_is_missed(scene: Scene):
    scene.nft(scene.consumer, "delete", "accepted_ports", f"{scene.mark} . 81 . {scene.service.transit_address} . 9000")

    assert scene.look() == ALL_IN_ORDER
    assert set(scene.look(client="red-stubborn").missing) == set()
    outside = Client(IPv4Address("10.0.0.200"), scene.endpoint.consumer.vpc_id, scene.endpoint.consumer.subnet_id)
    way = Way(scene.endpoint, scene.service, forward_of(scene.endpoint, 81), outside, None)
    assert set(look(scene.linux, way).missing) == {Step.ADMISSION, Step.WHITELIST}
    assert scene.world.sweep(scene.service, scene.endpoint) == {}


@pytest.mark.gateway_only
def test_a_whitelist_that_nobody_asked_for_is_named(world: World, linux: LinuxPlane):
    service = world.service("blue-backend", 8080)
    open_to_all = world.endpoint("red-web", "10.0.0.100", service, {80: 8080})
    world.wire(service, open_to_all)
    scene = Scene(world, linux, service, open_to_all)
    scene.nft(scene.consumer, "add", "restricted", "10.0.0.100")

    found = scene.look()
    assert not scene.connects()
    scene.nft(scene.consumer, "delete", "restricted", "10.0.0.100")

    assert set(found.missing) == {Step.WHITELIST}
    assert scene.look() == ALL_IN_ORDER


def test_what_is_not_wired_is_missing_all_over_and_an_absent_backend_is_noticed(world: World, linux: LinuxPlane):
    service = world.service("blue-backend", 8080)
    endpoint = world.endpoint("red-web", "10.0.0.100", service, {80: 8080})

    found = Scene(world, linux, service, endpoint).look()

    everything = {Step.ADDRESS, Step.ADMISSION, Step.PORT, Step.SOURCE, Step.LINK, Step.TARGET}
    assert set(found.missing) == everything


@pytest.mark.gateway_only
def test_each_part_of_a_gateway_endpoint_is_named_when_it_is_missing(world: World, linux: LinuxPlane):
    binding = a_gateway(world, linux)
    world.wire(binding)
    scene = Scene(
        world,
        linux,
        world.service("blue-backend", 80),
        world.endpoint("red-web", "10.0.0.9", world.service("blue-backend", 80), {1: 80}),
    )
    consumer, public = scene.edge(binding.entries[0].vpc_id), scene.edge(binding.exit.vpc_id)
    entry, mark = (
        subnet_interface(binding.entries[0].subnet_id),
        connection_mark(binding.id, str(binding.transit_address)),
    )
    asking = client_at(binding.entries[0], address_of("red-client"))
    way = Way(binding, None, None, asking, None)
    assert look(linux, way) == Confirmation()

    sabotages: list[tuple[Callable[[], None], Step]] = [
        (lambda: scene.nft(consumer, "delete", "gateways", f"{entry} . 10.0.0.0/25"), Step.ROUTE_TABLE),
        (lambda: scene.nft(consumer, "delete", "departures", f"{entry} . {mark}"), Step.ADMISSION),
        (lambda: scene.nft(consumer, "delete", "exits", mark), Step.SOURCE),
        (lambda: scene.ip(consumer, "route delete 10.0.0.0/25"), Step.LINK),
        (lambda: scene.ip(public, f"route delete {binding.transit_address}"), Step.LINK),
        (lambda: scene.nft(public, "delete", "public", f"{binding.transit_address} . 10.0.0.0/25"), Step.PUBLIC),
    ]
    for sabotage, step in sabotages:
        sabotage()
        assert set(look(linux, way).missing) == {step}
        assert world.sweep(binding) == {}
        assert look(linux, way) == Confirmation()


def a_gateway(world: World, linux: LinuxPlane) -> GatewayBinding:
    """Return a gateway endpoint of red's first subnet whose way out is a subnet of green."""
    return GatewayBinding(
        id=EndpointId("00000000-0000-4000-8000-00000000aaaa"),
        entries=(linux.attachment("red-web"),),
        exit=linux.attachment("green-web"),
        networks=(IPv4Network("10.0.0.0/25"),),
        transit_address=world.transit_address(),
        marker=1,
        mtu=1500,
    )
