"""A driver sees what is really there, adopts it, and mends what somebody broke."""

import re
from collections.abc import Mapping
from dataclasses import replace

import pytest

from conformance.linux_plane import LinuxPlane
from conformance.world import Answer, Attempt, World
from landbridge.dataplane.driver import finish
from landbridge.dataplane.model import PortForward, digest
from landbridge.dataplane.plan import Ensure, Plan, Remove, diff
from landbridge.domain.ids import VpcId
from landbridge.drivers.linux.edges import Edges
from landbridge.drivers.linux.set_contents import SetContents


def test_a_new_driver_adopts_what_it_finds(world: World):
    service = world.service("blue-backend", 80, 8080)
    things = [
        service,
        world.endpoint("red-web", "10.0.0.100", service, {80: 80, 81: 8080}, ["10.0.0.8/29", "10.0.1.0/24"]),
        world.endpoint("blue-web", "10.0.0.100", service, {80: 80}),
        world.endpoint("green-web", "10.0.0.100", service, {80: 80}, []),
    ]
    world.wire(*things)
    expected = {thing.id: digest(thing) for thing in things}
    assert finish(world.driver.survey(things)) == expected

    adopting = world.plane.new_driver()
    try:
        assert finish(adopting.survey(things)) == expected
        assert adopting.observe(list(expected)) == expected
        assert diff({thing.id: thing for thing in things}, finish(adopting.survey(things))) == Plan()
    finally:
        adopting.close()


def test_every_part_that_somebody_takes_away_is_missed_and_mended(world: World):
    service = world.service("blue-backend", 8080)
    endpoint = world.endpoint("red-web", "10.0.0.100", service, {80: 8080}, ["10.0.0.10/32"])
    world.wire(service, endpoint)
    expected = {thing.id: digest(thing) for thing in (service, endpoint)}
    answer = Answer("blue-backend", 8080, endpoint.transit_address)
    assert world.reach("red-client", endpoint.address, 80) == answer
    sabotages = world.plane.sabotages()
    assert sabotages

    for sabotage in sabotages:
        sabotage.do()
        assert finish(world.driver.survey((service, endpoint))) != expected, f"{sabotage.what} was not noticed"
        assert world.sweep(service, endpoint) == {}, sabotage.what
        assert finish(world.driver.survey((service, endpoint))) == expected, f"{sabotage.what} was not mended"
        # A link that was down has its carrier a moment after it is up again; until then a client may be refused.
        tries = (world.reach("red-client", endpoint.address, 80) for _ in range(3))
        assert answer in tries, f"nothing passes after {sabotage.what}"


@pytest.mark.linux_only
def test_what_somebody_adds_to_an_edge_that_was_found_whole_goes_with_the_next_sweep(world: World):
    plane = world.plane
    assert isinstance(plane, LinuxPlane)
    service = world.service("blue-backend", 80)
    endpoint = world.endpoint("red-web", "10.0.0.100", service, {80: 80}, ["10.0.0.8/29"])
    world.wire(service, endpoint)
    assert world.sweep(service, endpoint) == {}
    assert world.sweep(service, endpoint) == {}
    whole = plane.dump()
    home = next(edge for edge in plane.edges() if f"local {endpoint.address} " in all_routes(plane, edge))
    names = re.findall(r"^\d+: ((?:sub|link)-[^:@]+)", plane.run_inside(home, ["ip", "-o", "link"]), re.MULTILINE)
    subnet, link = (next(name for name in names if name.startswith(kind)) for kind in ("sub-", "link-"))
    additions = (
        ["nft", f"add element inet landbridge allowed {{ {endpoint.address} . 10.0.0.99 }}"],
        ["ip", "route", "add", "local", "10.0.0.77", "dev", subnet, "table", "local", "proto", "static"],
        ["ip", "route", "add", "198.19.250.1/32", "dev", link, "proto", "static"],
    )

    for addition in additions:
        plane.run_inside(home, addition)
        assert plane.dump() != whole
        assert world.sweep(service, endpoint) == {}
        assert plane.dump() == whole, addition


@pytest.mark.linux_only
def test_an_edge_looks_as_before_whatever_was_counted_and_otherwise_when_it_has_changed(world: World):
    plane = world.plane
    assert isinstance(plane, LinuxPlane)
    service = world.service("blue-backend", 80)
    endpoint = world.endpoint("red-web", "10.0.0.100", service, {80: 80})
    world.wire(service, endpoint)
    before = fingerprints(plane)

    assert world.reach("red-client", endpoint.address, 80) is not None
    assert fingerprints(plane) == before

    for sabotage in plane.sabotages():
        if not sabotage.what.startswith("inet "):
            continue
        sabotage.do()
        assert fingerprints(plane) != before, sabotage.what
        assert world.sweep(service, endpoint) == {}


@pytest.mark.linux_only
def test_connections_of_what_was_only_damaged_go_on_when_it_is_mended(world: World):
    service = world.service("blue-stubborn", 80)
    endpoint = world.endpoint("red-web", "10.0.0.100", service, {80: 80}, ["10.0.0.8/29"])
    world.wire(service, endpoint)
    flow = world.probe.open("red-stubborn", endpoint.address, 80)
    assert flow.is_alive()
    in_sets_and_maps = [sabotage for sabotage in world.plane.sabotages() if sabotage.what.startswith("inet ")]
    assert in_sets_and_maps

    for sabotage in in_sets_and_maps:
        sabotage.do()
    assert world.sweep(service, endpoint) == {}

    assert flow.is_alive()


def all_routes(plane: LinuxPlane, edge: str) -> str:
    return plane.run_inside(edge, ["ip", "-4", "route", "show", "table", "all"])


def fingerprints(plane: LinuxPlane) -> Mapping[VpcId, bytes]:
    edges = Edges(plane.namespaces, plane.instance, plane.region, looks_only=True)
    try:
        return {vpc_id: SetContents(vpc_id, edge.sets).fingerprint() for vpc_id, edge in edges.all()}
    finally:
        edges.close()


def test_a_restarted_driver_mends_too(world: World):
    service = world.service("blue-backend", 80)
    endpoint = world.endpoint("red-web", "10.0.0.100", service, {80: 80})
    world.wire(service, endpoint)
    for sabotage in world.plane.sabotages()[:2]:
        sabotage.do()

    restarted = world.plane.new_driver()
    try:
        observed = finish(restarted.survey((service, endpoint)))
        plan = diff({service.id: service, endpoint.id: endpoint}, observed)
        assert plan != Plan()
        assert restarted.apply(plan) == {}
    finally:
        restarted.close()

    assert world.reach("red-client", endpoint.address, 80) == Answer("blue-backend", 80, endpoint.transit_address)


def test_what_differs_from_what_is_expected_is_brought_to_it(world: World):
    service = world.service("blue-backend", 80, 8080)
    endpoint = world.endpoint("red-web", "10.0.0.100", service, {80: 80})
    world.wire(service, endpoint)
    changed = replace(endpoint, forwards=(PortForward(80, 8080),))

    assert finish(world.driver.survey((service, changed)))[changed.id] != digest(changed)
    assert world.sweep(service, changed) == {}

    assert finish(world.driver.survey((service, changed)))[changed.id] == digest(changed)
    assert world.reach("red-client", endpoint.address, 80) == Answer("blue-backend", 8080, endpoint.transit_address)


def test_what_nobody_wants_any_more_is_found_by_a_new_driver_and_goes(world: World):
    service = world.service("blue-backend", 80)
    kept = world.endpoint("red-web", "10.0.0.100", service, {80: 80})
    stale = world.endpoint("red-web", "10.0.0.101", service, {80: 80})
    world.wire(service, kept, stale)
    assert world.reach("red-client", stale.address, 80) is not None

    sweeping = world.plane.new_driver()
    try:
        observed = finish(sweeping.survey((service, kept)))
        assert set(observed) == {service.id, kept.id, stale.id}
        plan = diff({service.id: service, kept.id: kept}, observed)
        assert plan.steps == (Remove(stale.id),)
        assert sweeping.apply(Plan(plan.steps, is_sweep=True)) == {}
    finally:
        sweeping.close()

    assert world.nobody_reaches(Attempt("red-client", stale.address, 80))
    assert world.reach("red-client", kept.address, 80) is not None


def test_what_belongs_to_another_instance_is_neither_reported_nor_touched(world: World):
    service = world.service("blue-backend", 80)
    endpoint = world.endpoint("red-web", "10.0.0.100", service, {80: 80})
    world.wire(service, endpoint)
    flow = world.probe.open("red-client", endpoint.address, 80)

    stranger = world.plane.new_driver("somebody-else")
    try:
        assert finish(stranger.survey((service, endpoint))) == {}
        assert stranger.observe([service.id, endpoint.id]) == {}
        stranger.apply(Plan((Remove(service.id), Remove(endpoint.id)), is_sweep=True))
    finally:
        stranger.close()

    assert flow.is_alive()
    assert finish(world.driver.survey((service, endpoint))) == {
        thing.id: digest(thing) for thing in (service, endpoint)
    }


def test_traffic_goes_on_while_a_new_driver_surveys_and_applies_everything_again(world: World):
    service = world.service("blue-backend", 80)
    endpoint = world.endpoint("red-web", "10.0.0.100", service, {80: 80}, ["10.0.0.8/29"])
    world.wire(service, endpoint)
    flow = world.probe.open("red-client", endpoint.address, 80)
    assert flow.is_alive()

    for _ in range(3):
        restarted = world.plane.new_driver()
        try:
            finish(restarted.survey((service, endpoint)))
            again = Plan((Ensure(service, is_repair=True), Ensure(endpoint, is_repair=True)), is_sweep=True)
            assert restarted.apply(again) == {}
        finally:
            restarted.close()
        assert flow.is_alive()
