"""Whatever somebody does to the data plane by hand is found and named, and looking changes nothing."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from conformance import topology
from conformance.linux_plane import LinuxPlane
from conformance.world import World
from landbridge.dataplane.driver import finish
from landbridge.dataplane.model import Wired
from landbridge.dataplane.verification import Difference
from landbridge.drivers.linux import ownership
from landbridge.drivers.linux.elements import HUB, link_interface, subnet_interface
from landbridge.drivers.linux.looking import LinuxLooker

pytestmark = pytest.mark.linux_only


@dataclass(frozen=True, slots=True)
class Damage:
    """Something done to a consumer's edge by hand, what names it, and how to take it back."""

    do: str
    what: str
    undo: str = ""


TABLE = "inet landbridge"
DAMAGES = {
    "an address": Damage("ip route delete local 10.0.0.100 table local", "address 10.0.0.100"),
    "a route": Damage("ip route delete {target}", "route {target}"),
    "a link": Damage("ip link delete {link}", "link to the edge of VPC"),
    "a link that is down": Damage("ip link set {link} down", "link to the edge of VPC"),
    "a subnet's interface that is down": Damage(
        "ip link set {subnet} down", "interface {subnet}", "ip link set {subnet} up"
    ),
    "a subnet's MTU": Damage("ip link set {subnet} mtu 1280", "interface {subnet}", "ip link set {subnet} mtu {mtu}"),
    "the gateway's address": Damage(
        "ip address delete {gateway} dev {subnet}", "address 10.0.0.1", "ip address add {gateway} dev {subnet}"
    ),
    "a map entry": Damage(
        f"nft delete element {TABLE} listeners {{{{ 10.0.0.100 . 80 }}}}", "map entry listeners { 10.0.0.100 . 80 }"
    ),
    "a set element": Damage(f"nft delete element {TABLE} restricted {{{{ 10.0.0.100 }}}}", "set element restricted"),
    "a sysctl": Damage(
        "sysctl -qw net.ipv4.ip_forward=0", "sysctl net/ipv4/ip_forward", "sysctl -qw net.ipv4.ip_forward=1"
    ),
    "a foreign set element": Damage(
        f"nft add element {TABLE} allowed {{{{ 10.0.0.100 . 10.9.9.9 }}}}",
        "set element allowed { 10.0.0.100 . 10.9.9.9 }",
        f"nft delete element {TABLE} allowed {{{{ 10.0.0.100 . 10.9.9.9 }}}}",
    ),
    "a foreign address": Damage(
        "ip address add 10.0.0.77/32 dev {subnet}", "address 10.0.0.77", "ip address delete 10.0.0.77/32 dev {subnet}"
    ),
    "a foreign route": Damage(
        "ip route add 203.0.113.0/24 dev {subnet}", "route 203.0.113.0/24", "ip route delete 203.0.113.0/24"
    ),
    "a route that swallows packets": Damage(
        "ip route add blackhole 203.0.113.7", "route 203.0.113.7/32", "ip route delete blackhole 203.0.113.7"
    ),
    # A veth pair, as every kernel has it; of two ends that are down, one has a name of ours.
    "a foreign interface": Damage(
        "ip link add spy type veth peer name link-spy", "interface link-spy", "ip link delete spy"
    ),
    "a foreign table": Damage("nft add table ip spy", "nftables table ip spy", "nft delete table ip spy"),
    "a foreign rule": Damage(f"nft insert rule {TABLE} pass accept", "nftables chain pass", ""),
    "a foreign chain": Damage(f"nft add chain {TABLE} spy", "nftables chain spy", f"nft delete chain {TABLE} spy"),
    "a chain without rules": Damage(f"nft flush chain {TABLE} arrive", "nftables chain arrive"),
}


@dataclass
class Ground:
    """One service and one endpoint that are wired, and who looks at them."""

    plane: LinuxPlane
    world: World
    looker: LinuxLooker
    things: tuple[Wired, ...]
    edge: str
    words: dict[str, str]

    def look(self) -> list[Difference]:
        return self.looker.look(self.things)

    def look_at(self, damage: Damage) -> list[Difference]:
        """Return what looking says of a damage, which is there for so long only; looking itself changes nothing."""
        self.run(damage.do)
        try:
            before = self.plane.dump()
            found = self.look()
            assert self.plane.dump() == before, f"looking changed something after {damage.do}"
        finally:
            if damage.undo:
                self.run(damage.undo)
            self.mend()
        return found

    def run(self, command: str) -> None:
        self.plane.run_inside(self.edge, command.format(**self.words).split())

    def mend(self) -> None:
        """Do what a restarted server would: load the rules, and sweep."""
        restarted = self.plane.new_driver()
        finish(restarted.survey(self.things))
        restarted.close()
        self.world.sweep(*self.things)


@pytest.fixture
def ground(world: World) -> Iterator[Ground]:
    plane = world.plane
    assert isinstance(plane, LinuxPlane)
    service = world.service("blue-backend", 8080)
    endpoint = world.endpoint("red-web", "10.0.0.100", service, {80: 8080}, ["10.0.0.10/32"])
    world.wire(service, endpoint)
    consumer, provider = endpoint.consumer, endpoint.provider
    edge = ownership.edge_namespace(plane.region, consumer.vpc_id)
    instance = ownership.owner(plane.namespaces, edge)
    assert instance is not None
    looker = LinuxLooker(plane.namespaces, instance, plane.region)
    words = {
        "target": str(service.transit_address),
        "link": link_interface(consumer.vpc_id, provider.vpc_id, is_consumer=True),
        "subnet": subnet_interface(consumer.subnet_id),
        "mtu": str(consumer.mtu),
        "gateway": f"{consumer.gateway}/{consumer.cidr.prefixlen}",
    }
    yield Ground(plane, world, looker, (service, endpoint), edge, words)
    looker.close()


def test_what_is_wired_as_it_should_be_differs_in_nothing_and_looking_changes_nothing(ground: Ground):
    before = ground.plane.dump()

    assert ground.look() == []

    assert ground.plane.dump() == before


def test_each_damage_done_by_hand_is_named_at_its_place(ground: Ground):
    for name, damage in DAMAGES.items():
        found = ground.look_at(damage)

        what = damage.what if "{ " in damage.what else damage.what.format(**ground.words)
        # A link is told once, at one of its two edges.
        places = set(ground.plane.edges()) if what.startswith("link to") else {ground.edge}
        assert [one for one in found if one.what.startswith(what) and one.where in places], (name, found)
        assert all(one.wanted != one.found for one in found), (name, found)
        assert ground.look() == [], f"{name} was not mended"


def test_a_table_that_is_gone_is_one_difference_however_much_was_in_it(ground: Ground):
    damage = Damage(f"nft delete table {TABLE}", f"nftables table {TABLE}")

    found = ground.look_at(damage)

    assert [(one.where, one.what, one.found) for one in found] == [(ground.edge, damage.what, "nothing")]
    # Sweeps bring back all but the subnets' places in it, which come with the subnets.
    assert {(one.where, one.found) for one in ground.look()} <= {
        (ground.edge, "in neither"),
        (ground.edge, "not in it"),
    }
    for attachment in (topology.attachment("red-web"), topology.attachment("red-app")):
        ground.run(f"nft add element {TABLE} routed {{{{ {subnet_interface(attachment.subnet_id)} }}}}")
    assert ground.look() == []


def test_whatever_is_taken_out_is_missed(ground: Ground):
    for sabotage in ground.plane.sabotages():
        sabotage.do()
        assert ground.look() != [], f"{sabotage.what} was not noticed"
        ground.world.sweep(*ground.things)
        assert ground.look() == [], f"{sabotage.what} was not mended"


def test_a_missing_part_says_whose_it_is(ground: Ground):
    _, endpoint = ground.things
    ground.run(DAMAGES["a map entry"].do)

    (difference,) = ground.look()

    target = ground.words["target"]
    assert difference == Difference(
        ground.edge, "map entry listeners { 10.0.0.100 . 80 }", f"{target} . 8080", "nothing", (endpoint.id,)
    )


def test_what_nobody_wants_any_more_is_a_difference(ground: Ground):
    service, endpoint = ground.things

    left = ground.looker.look([service])

    assert f"what is left of {endpoint.id}" in {one.found for one in left}
    assert {one.wanted for one in left} == {"nothing"}


def test_a_namespace_of_an_edges_name_that_is_not_ours_is_named(ground: Ground):
    name = f"{ownership.edge_prefix(ground.plane.region)}spy"
    ground.plane.namespaces.create(name)
    try:
        (difference,) = ground.look()
    finally:
        ground.plane.namespaces.remove(name)

    assert (difference.where, difference.what, difference.wanted) == (name, "network namespace", "nothing")
    assert ground.look() == []


def test_a_lost_edge_is_one_difference_however_much_was_in_it(ground: Ground):
    stranger = LinuxLooker(ground.plane.namespaces, "somebody-else", ground.plane.region)
    try:
        found = stranger.look(ground.things)
    finally:
        stranger.close()

    edges = {ground.edge, ownership.edge_namespace(ground.plane.region, HUB)}
    assert edges < {one.where for one in found}
    assert {one.what for one in found} == {"network namespace"}
