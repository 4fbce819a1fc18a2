"""What a driver promises about plans."""

import re
from collections import Counter
from dataclasses import replace
from ipaddress import IPv4Address

from conformance.topology import unattached
from conformance.world import Answer, World
from landbridge.dataplane.driver import DriverError, finish
from landbridge.dataplane.model import Binding, Target, digest
from landbridge.dataplane.plan import Ensure, Plan, Remove, diff
from landbridge.domain.ids import EndpointId, ServiceId


def test_a_failing_binding_does_not_stop_its_neighbours(world: World):
    service = world.service("blue-backend", 80)
    first, bad, last = (
        replace(
            world.endpoint("red-web", address, service, {80: 80}),
            id=EndpointId(digit * 8 + "-0000-4000-8000-" + digit * 12),
        )
        for address, digit in (("10.0.0.100", "0"), ("10.9.0.100", "7"), ("10.0.0.101", "f"))
    )
    bad = replace(bad, consumer=unattached())

    errors = world.apply({thing.id: thing for thing in (service, first, bad, last)})

    assert set(errors) == {bad.id}
    assert isinstance(errors[bad.id], DriverError)
    assert bad.id not in world.driver.observe([bad.id])
    for endpoint in (first, last):
        assert world.reach("red-client", endpoint.address, 80) == Answer("blue-backend", 80, endpoint.transit_address)


def test_a_failing_target_does_not_stop_its_neighbours(world: World):
    good = world.service("blue-backend", 80)
    endpoint = world.endpoint("red-web", "10.0.0.100", good, {80: 80})
    bad = replace(
        world.service("green-backend", 80),
        id=ServiceId("00000000-0000-4000-8000-000000000000"),
        attachment=unattached(),
    )

    errors = world.apply({thing.id: thing for thing in (good, bad, endpoint)})

    assert set(errors) == {bad.id}
    assert world.reach("red-client", endpoint.address, 80) == Answer("blue-backend", 80, endpoint.transit_address)


def test_a_plan_that_is_applied_again_changes_nothing(world: World):
    service = world.service("blue-backend", 80)
    endpoint = world.endpoint("red-web", "10.0.0.100", service, {80: 80}, ["10.0.0.0/28"])
    gone = world.endpoint("red-web", "10.0.0.101", service, {80: 80})
    world.wire(service, endpoint, gone)
    plan = Plan((Remove(gone.id), Ensure(service), Ensure(endpoint)))
    assert world.driver.apply(plan) == {}
    flow, before = world.probe.open("red-client", endpoint.address, 80), world.plane.dump()

    assert world.driver.apply(plan) == {}

    assert world.plane.dump() == before
    assert flow.is_alive()


def test_removing_everything_leaves_what_was_there_before(world: World):
    before = world.plane.dump()
    service = world.service("blue-backend", 80)
    endpoint = world.endpoint("red-web", "10.0.0.100", service, {80: 80}, ["10.0.0.0/28"])
    world.wire(service, endpoint)
    assert world.plane.dump() != before

    world.unwire(service, endpoint)

    assert world.plane.dump() == before


def test_any_prefix_of_a_plan_is_a_state_from_which_the_next_round_converges(world: World):
    old_service, service = world.service("green-backend", 80), world.service("blue-backend", 80)
    old = world.endpoint("red-web", "10.0.0.100", old_service, {80: 80})
    new = world.endpoint("red-web", "10.0.0.100", service, {80: 80})
    steps = (Remove(old.id), Remove(old_service.id), Ensure(service), Ensure(new))
    desired: dict[EndpointId | ServiceId, Target | Binding | None] = {
        old.id: None, old_service.id: None, service.id: service, new.id: new
    }  # fmt: skip

    for length in range(len(steps) + 1):
        world.wire(old_service, old)
        assert world.reach("red-client", IPv4Address("10.0.0.100"), 80) is not None
        assert world.driver.apply(Plan(steps[:length])) == {}

        assert world.apply(desired) == {}

        assert world.reach("red-client", new.address, 80) == Answer("blue-backend", 80, new.transit_address)
        assert finish(world.driver.survey((service, new))) == {thing.id: digest(thing) for thing in (service, new)}
        world.unwire(service, new)


class Killed(Exception):
    """The process that had the driver is dead."""


class Fuse:
    """Lets so many effects happen once it is lit; after that none ever."""

    def __init__(self) -> None:
        self.left: int | None = None

    def __call__(self) -> None:
        if self.left is None:
            return
        if self.left == 0:
            raise Killed
        self.left -= 1


def contents(dump: str) -> Counter[str]:
    """Return what a data plane carries, whatever the order and the numbers of interfaces."""
    return Counter(re.findall(r"[\w.:/-]+", re.sub(r"(?m)^\d+: |@if\d+|link-netns\S* \S+", "", dump)))


def test_a_plan_may_be_cut_before_any_of_its_effects_and_the_next_process_gets_to_its_end(world: World):
    old_service, service = world.service("green-backend", 80), world.service("blue-backend", 80)
    old = world.endpoint("red-web", "10.0.0.100", old_service, {80: 80})
    new = world.endpoint("red-web", "10.0.0.100", service, {80: 80, 8080: 80}, ["10.0.0.0/28"])
    kept = world.endpoint("red-web", "10.0.0.101", service, {80: 80})
    before, after = (old_service, service, old, kept), (service, new, kept)
    desired = {thing.id: thing for thing in after}
    plan = Plan((Remove(old.id), Remove(old_service.id), Ensure(new)))
    world.wire(*after)
    whole = contents(world.plane.dump())
    world.unwire(*after)

    effects, is_cut = 0, True
    while is_cut:
        world.sweep(*before)
        fuse = Fuse()
        dying = world.plane.new_driver(before_effect=fuse)
        assert len(finish(dying.survey(before))) == len(before)
        fuse.left = effects
        try:
            is_cut = bool(dying.apply(plan))
        except Killed:
            is_cut = True
        dying.close()

        restarted = world.plane.new_driver()
        repair = diff(desired, finish(restarted.survey(after)))
        assert restarted.apply(Plan(repair.steps, is_sweep=True)) == {}

        assert finish(restarted.survey(after)) == {thing.id: digest(thing) for thing in after}
        assert contents(world.plane.dump()) == whole, f"cut before effect {effects}"
        assert world.reach("red-client", new.address, 8080) == Answer("blue-backend", 80, new.transit_address)
        restarted.close()
        effects += 1
    assert effects > len(plan.steps)


def test_what_is_observed_is_what_was_applied(world: World):
    service = world.service("blue-backend", 80)
    endpoint = world.endpoint("red-web", "10.0.0.100", service, {80: 80})
    ids = [service.id, endpoint.id]
    assert world.driver.observe(ids) == {}

    world.wire(service, endpoint)
    assert world.driver.observe(ids) == {service.id: digest(service), endpoint.id: digest(endpoint)}
    assert world.driver.observe([endpoint.id]) == {endpoint.id: digest(endpoint)}

    world.unwire(endpoint)
    assert world.driver.observe(ids) == {service.id: digest(service)}
