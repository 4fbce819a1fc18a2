"""Subnets that existing bridges carry: the edge is one host of many there, and leaves everything else alone."""

import errno
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from conformance.bridge_plane import BridgePlane
from conformance.topology import CLOSED_PORT, PUBLIC_NETWORK, address_of
from conformance.world import NOTHING, PATIENTLY, Answer, Attempt, Emission, World
from landbridge.dataplane.model import TRANSIT_RANGE, Attachment, Binding, Bridge, Target
from landbridge.drivers.linux.attaching import Attaching, NotAttachable, remove_ports
from landbridge.drivers.linux.edges import Edges
from landbridge.drivers.linux.elements import mac, subnet_interface
from landbridge.drivers.linux.namespaces import Namespaces
from landbridge.drivers.linux.netlink import Netlink, NetlinkError, PortVlan

pytestmark = [pytest.mark.linux_only, pytest.mark.bridge_only]

NETNS = Namespaces(Path("/run/netns"))


@pytest.fixture
def bridges(world: World) -> BridgePlane:
    assert isinstance(world.plane, BridgePlane)
    return world.plane


@contextmanager
def attaching(bridges: BridgePlane) -> Iterator[Attaching]:
    edges = Edges(NETNS, bridges.instance, bridges.region)
    try:
        yield Attaching(NETNS, bridges.instance, edges)
    finally:
        edges.close()


@contextmanager
def without_way_back(bridges: BridgePlane, attachment: Attachment) -> Iterator[None]:
    """Let the router of a VPC know nothing of transit addresses."""
    router, via = bridges.router_of(attachment.vpc_id), str(attachment.edge_address)
    bridges.run_inside(router, ["ip", "route", "delete", str(TRANSIT_RANGE)])
    try:
        yield
    finally:
        bridges.run_inside(router, ["ip", "route", "add", str(TRANSIT_RANGE), "via", via])


def masqueraded(service: Target) -> Target:
    bridge = service.attachment.bridge
    assert bridge is not None
    return replace(service, attachment=replace(service.attachment, bridge=replace(bridge, masquerade=True)))


def joined(world: World, backend: str = "blue-backend", *, masquerade: bool = False) -> tuple[Target, Binding]:
    service = world.service(backend, 8080)
    service = masqueraded(service) if masquerade else service
    endpoint = world.endpoint("red-web", "10.0.0.100", service, {80: 8080})
    world.wire(service, endpoint)
    return service, endpoint


# The way back


def test_without_a_route_back_only_masquerade_lets_answers_return(world: World, bridges: BridgePlane):
    service, endpoint = joined(world)

    with without_way_back(bridges, service.attachment):
        assert world.nobody_reaches(Attempt("red-client", endpoint.address, 80))

        world.unwire(endpoint, service)
        service, endpoint = joined(world, masquerade=True)
        edge = service.attachment.edge_address
        assert world.reach("red-client", endpoint.address, 80) == Answer("blue-backend", 8080, edge)


def test_masqueraded_endpoints_do_not_get_in_each_others_way(world: World):
    service, endpoint = joined(world, masquerade=True)
    others = [
        world.endpoint("red-web", "10.0.0.101", service, {80: 8080, 81: 8080}),
        world.endpoint("green-web", "10.0.0.100", service, {80: 8080}),
        world.endpoint("blue-web", "10.0.0.100", service, {80: 8080}),
    ]
    world.wire(*others)

    flows = [
        world.probe.open("red-client", endpoint.address, 80, source_port=40100),
        world.probe.open("red-client", others[0].address, 80, source_port=40100),
        world.probe.open("red-client", others[0].address, 81, source_port=40100),
        world.probe.open("green-client", others[1].address, 80, source_port=40100),
        world.probe.open("blue-client", others[2].address, 80, source_port=40100),
    ]

    assert all(flow.is_alive() for flow in flows)
    assert {flow.seen_source[0] for flow in flows} == {service.attachment.edge_address}
    assert len({flow.seen_source for flow in flows}) == len(flows)


@pytest.mark.parametrize("masquerade", [False, True], ids=["route", "masquerade"])
def test_what_is_removed_ends_at_once_and_alone(world: World, *, masquerade: bool):
    service, doomed = joined(world, "blue-stubborn", masquerade=masquerade)
    neighbour = world.endpoint("red-web", "10.0.0.101", service, {80: 8080})
    world.wire(neighbour)
    flow = world.probe.open("red-stubborn", doomed.address, 80)
    other = world.probe.open("red-stubborn", neighbour.address, 80)
    assert flow.is_alive()

    world.unwire(doomed)

    assert flow.exchange(0.7) == NOTHING
    assert other.is_alive()


def test_masquerade_opens_no_door(world: World):
    service, endpoint = joined(world, masquerade=True)
    flow = world.probe.open("red-neighbour", endpoint.address, 80)
    _, port = flow.seen_source
    backend, edge = address_of("blue-backend"), service.attachment.edge_address

    assert world.nobody_reaches(
        Attempt("red-client", endpoint.address, 8080),
        Attempt("blue-backend", edge, port),
        Attempt("blue-backend", endpoint.transit_address, 80),
        Attempt("blue-client", service.transit_address, 8080),
    )
    forged = [
        Emission("blue-backend", backend, 8080, edge, port + 1, flags="SA"),
        Emission("blue-backend", backend, 9000, edge, port, flags="SA"),
        Emission("blue-client", address_of("blue-client"), 8080, edge, port, flags="SA"),
        Emission("blue-backend", backend, 8080, endpoint.transit_address, 80, flags="SA"),
    ]
    assert world.probe.emit_each(forged) == [None] * len(forged)
    assert flow.is_alive()


# A guest


def test_the_edge_routes_for_nobody(world: World, bridges: BridgePlane):
    _, endpoint = joined(world)
    client, far = bridges.namespace_of("red-client"), str(address_of("red-far"))
    through_the_edge = [far, "via", str(endpoint.consumer.edge_address)]
    assert world.reach("red-client", address_of("red-far"), 80) is not None, "the router does"

    bridges.run_inside(client, ["ip", "route", "add", *through_the_edge])
    try:
        assert world.nobody_reaches(
            Attempt("red-client", address_of("red-far"), 80), Attempt("red-client", address_of("red-far"), CLOSED_PORT)
        )
        assert world.reach("red-client", endpoint.address, 80) is not None
    finally:
        bridges.run_inside(client, ["ip", "route", "delete", *through_the_edge])


def test_the_gateway_is_somebody_elses(world: World, bridges: BridgePlane):
    _, endpoint = joined(world)
    gateway, client = str(endpoint.consumer.gateway), bridges.namespace_of("red-client")
    assert world.probe.ping_each([("red-client", endpoint.consumer.gateway)]) == [True]
    assert world.reach("red-client", endpoint.address, 80) is not None

    neighbours = json.loads(bridges.run_inside(client, ["ip", "-j", "neighbour"]))
    macs = {neighbour["dst"]: neighbour.get("lladdr") for neighbour in neighbours}

    edges_own = ":".join(f"{byte:02x}" for byte in mac(endpoint.consumer.subnet_id))
    assert macs[str(endpoint.address)] == edges_own
    assert macs[gateway] != edges_own


def test_the_bridge_is_as_large_as_before(bridges: BridgePlane):
    narrow = bridges.attachment("narrow-web")
    assert narrow.bridge is not None

    link = json.loads(bridges.run_inside(bridges.wires, ["ip", "-j", "link", "show", narrow.bridge.name]))

    assert (narrow.mtu, link[0]["mtu"]) == (1400, 1500)


def test_a_gateway_endpoint_takes_what_the_router_sends_to_the_edge(world: World, bridges: BridgePlane):
    gateway = world.gateway("red-web")
    world.wire(gateway)
    store, entry = address_of("public-store"), gateway.entries[0]
    router, way = bridges.router_of(entry.vpc_id), [str(PUBLIC_NETWORK), "via", str(entry.edge_address)]
    assert world.nobody_reaches(Attempt("red-client", store, 80))

    bridges.run_inside(router, ["ip", "route", "add", *way])
    try:
        assert world.reach("red-client", store, 80) == Answer("public-store", 80, gateway.transit_address)
        world.unwire(gateway)
        assert world.nobody_reaches(Attempt("red-client", store, 80))
    finally:
        bridges.run_inside(router, ["ip", "route", "delete", *way])


# The cable


def test_attaching_again_touches_no_connection(world: World, bridges: BridgePlane):
    _, endpoint = joined(world)
    flow = world.probe.open("red-client", endpoint.address, 80)
    before = bridges.dump()

    with attaching(bridges) as again:
        assert [again.attach(attachment) for attachment in bridges.attachments()] == [False] * len(
            bridges.attachments()
        )

    assert bridges.dump() == before
    assert flow.is_alive()


def test_an_attachment_moves_to_another_bridge_and_back(world: World, bridges: BridgePlane):
    _, endpoint = joined(world)
    here = endpoint.consumer
    assert here.bridge is not None
    bridges.run_inside(bridges.wires, ["ip", "link", "add", "br-other", "type", "bridge"])
    there = replace(here, bridge=replace(here.bridge, name="br-other"))
    moved = replace(endpoint, consumer=there)

    world.wire(moved)
    try:
        assert master_of(bridges, here) == "br-other"
        assert world.nobody_reaches(Attempt("red-client", endpoint.address, 80))
    finally:
        world.wire(endpoint)
        bridges.run_inside(bridges.wires, ["ip", "link", "delete", "br-other"])

    assert master_of(bridges, here) == here.bridge.name
    assert world.reach("red-client", endpoint.address, 80) is not None


def test_ports_of_subnets_that_nobody_names_any_more_go_and_others_stay(world: World, bridges: BridgePlane):
    _, endpoint = joined(world)
    gone = endpoint.consumer
    kept = [attachment.subnet_id for attachment in bridges.attachments() if attachment != gone]
    strangers = f"bridges-stranger-of-{bridges.region}"

    remove_ports(NETNS, strangers)
    assert world.reach("red-client", endpoint.address, 80) is not None
    remove_ports(NETNS, bridges.instance, kept)
    try:
        assert world.nobody_reaches(Attempt("red-client", endpoint.address, 80))
        there = {link["ifname"] for link in json.loads(bridges.run_inside(bridges.wires, ["ip", "-j", "link"]))}
        assert bridges.port_of(gone) not in there
        assert {bridges.port_of(attachment) for attachment in bridges.attachments() if attachment != gone} <= there
    finally:
        with attaching(bridges) as again:
            again.attach(gone)


def test_a_strangers_interface_of_our_name_is_left_alone(bridges: BridgePlane):
    attachment = bridges.attachment("narrow-web")
    port = bridges.port_of(attachment)
    bridges.run_inside(bridges.wires, ["ip", "link", "delete", port])
    bridges.run_inside(bridges.wires, ["ip", "link", "add", port, "type", "veth", "peer", "name", "strangers"])
    try:
        with attaching(bridges) as strangers, pytest.raises(NotAttachable, match=f"ip link delete {port}"):
            strangers.attach(attachment)
    finally:
        bridges.run_inside(bridges.wires, ["ip", "link", "delete", port])
        with attaching(bridges) as again:
            again.attach(attachment)


WRONG: dict[str, tuple[Callable[[Bridge], Bridge], int, str]] = {
    "no such bridge": (lambda bridge: replace(bridge, name="br-nowhere"), 1500, "ip link add br-nowhere type bridge"),
    "no bridge at all": (lambda bridge: replace(bridge, name="lo"), 1500, "no Linux bridge"),
    "no such namespace": (lambda bridge: replace(bridge, namespace="lbt-nowhere"), 1500, "ip netns add lbt-nowhere"),
    "no VLANs": (lambda bridge: replace(bridge, vlan=12), 1500, "vlan_filtering 1"),
    "too large": (lambda bridge: bridge, 9000, "write mtu = 1500"),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_a_bridge_that_cannot_carry_a_subnet_is_named_and_its_neighbours_are_carried(
    world: World, bridges: BridgePlane, mistake: str
):
    change, mtu, advice = WRONG[mistake]
    service, endpoint = joined(world)
    wrong = replace(bridges.attachment("green-web"), mtu=mtu)
    assert wrong.bridge is not None
    wrong = replace(wrong, bridge=change(wrong.bridge))
    bad = replace(world.endpoint("green-web", "10.0.0.100", service, {80: 8080}), consumer=wrong)
    new = world.endpoint("red-web", "10.0.0.101", service, {80: 8080})

    errors = world.apply({bad.id: bad, new.id: new})

    assert set(errors) == {bad.id}
    assert advice in errors[bad.id].detail
    assert advice not in errors[bad.id].message, "whose network it is may not see how the machine is built"
    for good in (endpoint, new):
        assert world.reach("red-client", good.address, 80) is not None


def test_an_access_port_has_one_vlan_or_the_kernel_says_that_it_has_none(bridges: BridgePlane):
    """The one part that not every kernel has: `CONFIG_BRIDGE_VLAN_FILTERING`."""
    commands = ["link add br-vlans type bridge", "link add to-vlans type veth peer name from-vlans"]
    for command in (*commands, "link set to-vlans master br-vlans"):
        bridges.run_inside(bridges.wires, ["ip", *command.split()])
    netlink = NETNS.inside(bridges.wires, Netlink)
    try:
        port = netlink.find_link("to-vlans")
        assert port is not None
        with pytest.raises(NetlinkError) as no_vlan:
            netlink.make_access_port(port.index, 4095)
        assert no_vlan.value.errno == errno.EINVAL, "the message is understood: there is no VLAN 4095"
        try:
            netlink.make_access_port(port.index, 12)
        except NetlinkError as error:
            assert error.errno == errno.EOPNOTSUPP  # noqa: PT017 - the other half of the rule
            assert netlink.port_vlans(port.index) == set()
        else:
            assert netlink.port_vlans(port.index) == {PortVlan(12, is_untagged_in=True, is_untagged_out=True)}
    finally:
        netlink.close()
        for name in ("br-vlans", "to-vlans"):
            bridges.run_inside(bridges.wires, ["ip", "link", "delete", name])


def test_what_somebody_unplugged_is_plugged_in_again_for_the_next_endpoint(world: World, bridges: BridgePlane):
    service, endpoint = joined(world)
    bridges.run_inside(bridges.edge_of(endpoint.consumer.vpc_id), ["ip", "link", "delete", inside(endpoint.consumer)])

    later = world.endpoint("red-web", "10.0.0.101", service, {80: 8080})
    world.wire(later)

    # A port that is new in a bridge forwards a moment after it is up.
    for one in (later, endpoint):
        tries = (world.reach("red-client", one.address, 80, timeout=PATIENTLY) for _ in range(3))
        assert Answer("blue-backend", 8080, one.transit_address) in tries


def inside(attachment: Attachment) -> str:
    return subnet_interface(attachment.subnet_id)


def master_of(bridges: BridgePlane, attachment: Attachment) -> str:
    port = json.loads(bridges.run_inside(bridges.wires, ["ip", "-j", "link", "show", bridges.port_of(attachment)]))
    return port[0].get("master", "")


def test_a_transit_address_is_nobodys_in_an_attached_subnet(world: World):
    service, endpoint = joined(world)
    mine = address_of("red-client")

    spoofed = [
        Emission("red-client", source, 43100, endpoint.address, 80)
        for source in (endpoint.transit_address, service.transit_address, IPv4Address("198.19.200.7"))
    ]

    assert world.probe.emit_each(spoofed) == [None] * len(spoofed)
    assert world.emit(Emission("red-client", mine, 43100, endpoint.address, 80)) is not None
