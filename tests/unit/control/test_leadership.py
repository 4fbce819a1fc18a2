"""An agent changes a data plane only while the database confirms that it leads."""

from collections.abc import Collection, Mapping

import pytest

from landbridge.control.leadership import LEASE_SECONDS, Lease, LeasedDriver, LeaseLost
from landbridge.dataplane.driver import Capabilities, DriverError
from landbridge.dataplane.model import Digest, Wired, WiredId
from landbridge.dataplane.plan import Plan, Remove
from landbridge.domain.ids import EndpointId


class Watch:
    """A monotonic clock that stands still unless it is told to go on."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Recorded:
    """A data plane that takes note of plans, and lets time pass while it takes them."""

    capabilities = Capabilities()

    def __init__(self, watch: Watch, seconds: float = 0.0) -> None:
        self.watch = watch
        self.seconds = seconds
        self.plans: list[Plan] = []

    def observe(self, ids: Collection[WiredId]) -> Mapping[WiredId, Digest]:
        return {}

    def survey(self, expected: Collection[Wired]) -> Mapping[WiredId, Digest]:
        return {}

    def apply(self, plan: Plan) -> Mapping[WiredId, DriverError]:
        self.plans.append(plan)
        self.watch.now += self.seconds
        return {step.id: DriverError("refused") for step in plan.removals if step.id == "bad"}

    def close(self) -> None:
        raise AssertionError("nobody closes it here")


def removals(*names: str) -> tuple[Remove, ...]:
    return tuple(Remove(EndpointId(name)) for name in names)


def test_a_lease_is_held_for_two_seconds_from_the_question_on():
    watch = Watch()
    lease = Lease(watch)
    assert not lease.is_held

    asked_at = watch.now
    watch.now += 0.5  # the answer takes its time
    lease.renew(asked_at)

    assert lease.is_held
    watch.now = asked_at + LEASE_SECONDS
    assert not lease.is_held


def test_an_older_answer_does_not_shorten_a_lease():
    watch = Watch()
    lease = Lease(watch)
    lease.renew(watch.now)
    lease.renew(watch.now - 1.0)

    watch.now += LEASE_SECONDS - 0.1

    assert lease.is_held


def test_a_lost_lease_never_comes_back():
    watch = Watch()
    lease = Lease(watch)
    lease.renew(watch.now)
    lease.lose()
    lease.renew(watch.now)

    assert not lease.is_held


def test_a_plan_is_applied_in_batches_and_leftovers_go_with_the_last():
    watch = Watch()
    lease, driver = Lease(watch), Recorded(watch)
    lease.renew(watch.now)

    errors = LeasedDriver(driver, lease, batch_steps=2).apply(Plan(removals("a", "bad", "c"), is_sweep=True))

    assert driver.plans == [Plan(removals("a", "bad")), Plan(removals("c"), is_sweep=True)]
    assert list(errors) == ["bad"]


def test_a_sweep_without_steps_still_takes_leftovers_away():
    watch = Watch()
    lease, driver = Lease(watch), Recorded(watch)
    lease.renew(watch.now)

    LeasedDriver(driver, lease).apply(Plan(is_sweep=True))

    assert driver.plans == [Plan(is_sweep=True)]


def test_at_most_the_batch_in_flight_is_applied_after_the_lease_ran_out():
    watch = Watch()
    lease, driver = Lease(watch), Recorded(watch, seconds=1.5)
    lease.renew(watch.now)

    with pytest.raises(LeaseLost):
        LeasedDriver(driver, lease, batch_steps=1).apply(Plan(removals("a", "b", "c", "d")))

    assert driver.plans == [Plan(removals("a")), Plan(removals("b"))]


def test_without_a_lease_nothing_is_applied():
    watch = Watch()
    driver = Recorded(watch)

    with pytest.raises(LeaseLost):
        LeasedDriver(driver, Lease(watch)).apply(Plan(removals("a")))

    assert driver.plans == []
