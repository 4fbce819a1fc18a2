"""What is held back, what goes on beside it, and what the operator's consent covers."""

from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv4Network

import pytest

from landbridge.control.brake import Brake, removals_asked_for, waiting
from landbridge.dataplane.compile import Compiled
from landbridge.dataplane.model import Attachment, Binding, Digest, Target
from landbridge.dataplane.plan import Ensure, Plan, Remove
from landbridge.domain.ids import DomainId, EndpointId, PoolId, ProjectId, ServiceId, SubnetId, VpcId
from landbridge.domain.resources import Admission, Endpoint, Failure

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SUBNET = Attachment(VpcId("vpc"), SubnetId("subnet"), IPv4Network("10.0.0.0/24"), IPv4Address("10.0.0.1"), 1500)
UNKNOWN = tuple(EndpointId(f"unknown-{number}") for number in range(12))


def row(**changes: object) -> Endpoint:
    endpoint = Endpoint(
        id=EndpointId("known"),
        project_id=ProjectId("project"),
        domain_id=DomainId("domain"),
        pool_id=PoolId("pool"),
        service_id=ServiceId("service"),
        service_name="lab-1.service",
        vpc_id=VpcId("vpc"),
        subnet_id=SubnetId("subnet"),
        address=IPv4Address("10.0.0.9"),
        transit_address=IPv4Address("198.19.128.9"),
        marker=1,
        admission=Admission.PENDING,
        enable_dns=False,
        whitelist=(),
        enable_whitelist=False,
        description="",
        connection_description="",
        tags=(),
        created_at=NOW,
        updated_at=NOW,
        generation=3,
        observed_generation=3,
    )
    return replace(endpoint, **changes)


def binding(name: str, target: str = "198.19.128.1") -> Binding:
    return Binding(
        id=EndpointId(name),
        consumer=SUBNET,
        provider=SUBNET,
        address=IPv4Address("10.0.0.9"),
        transit_address=IPv4Address("198.19.128.9"),
        target_transit_address=IPv4Address(target),
        forwards=(),
        marker=1,
        mtu=1500,
    )


def removals(*ids: EndpointId) -> Plan:
    return Plan(tuple(Remove(id_) for id_ in ids), is_sweep=True)


def observed(*ids: EndpointId) -> dict[EndpointId, Digest]:
    return dict.fromkeys(ids, Digest("label"))


def holding(*also_wired: Binding | Target) -> Brake:
    brake = Brake()
    wired = {one.id: one for one in also_wired}
    brake.in_sweep(removals(*UNKNOWN), (), wired, observed(*UNKNOWN, *wired))
    assert brake.held_count == len(UNKNOWN)
    return brake


@pytest.mark.parametrize(
    "changes",
    [
        {"generation": 4},
        {"last_error": Failure("slug", "it failed")},
        {"delete_requested_at": NOW},
        {"cut_requested_at": NOW},
    ],
)
def test_what_is_on_its_way_was_asked_for(changes: dict[str, object]):
    plan = removals(EndpointId("known"))

    asked = removals_asked_for(plan, {EndpointId("known"): row(**changes)}, {}, NOW)

    assert asked == {"known"}


def test_a_row_that_never_was_wired_asks_for_no_removal():
    plan = removals(EndpointId("known"))

    asked = removals_asked_for(plan, {EndpointId("known"): row()}, {EndpointId("known"): Compiled()}, NOW)

    assert asked == set()


def test_what_has_nowhere_to_lead_to_any_more_goes_without_a_question():
    plan, failure = removals(EndpointId("known")), Compiled(failure=Failure("slug", "its service is gone"))

    asked = removals_asked_for(plan, {EndpointId("known"): row()}, {EndpointId("known"): failure}, NOW)

    assert asked == {"known"}


def test_while_removals_are_held_nothing_new_is_wired_and_what_is_known_is_repaired():
    known = binding("known")
    brake = holding(known)
    plan = Plan((Ensure(known, is_repair=True), Ensure(binding("new"))))

    allowed = brake.in_round(plan, ())

    assert allowed.steps == (Ensure(known, is_repair=True),)
    assert waiting(plan, allowed).keys() == {"new"}


def test_while_removals_are_held_nothing_moves_to_an_address_that_was_not_in_use():
    brake = holding(binding("known"))
    moved = Ensure(binding("known", target="198.19.128.2"), is_repair=True)

    assert brake.in_round(Plan((moved,)), ()).steps == ()


def test_a_held_sweep_leaves_alone_what_it_cannot_ascribe():
    brake = Brake()

    allowed = brake.in_sweep(removals(*UNKNOWN), (), {}, observed(*UNKNOWN))

    assert not allowed.is_sweep


def test_a_round_that_would_remove_much_that_nobody_asked_for_begins_to_hold():
    brake = Brake()
    brake.in_sweep(Plan(is_sweep=True), (), {}, observed(*UNKNOWN))

    allowed = brake.in_round(removals(*UNKNOWN), ())

    assert allowed.steps == ()
    assert brake.held_count == len(UNKNOWN)


def test_consent_covers_what_was_held_and_nothing_that_is_found_later():
    brake = holding()
    later = tuple(EndpointId(f"later-{number}") for number in range(11))

    assert brake.confirm() == len(UNKNOWN)
    allowed = brake.in_sweep(removals(*UNKNOWN, *later), (), {}, observed(*UNKNOWN, *later))

    assert {step.id for step in allowed.removals} == set(UNKNOWN)
    assert brake.held_count == len(later)


def test_consent_that_comes_while_a_sweep_is_under_way_is_for_the_next_one():
    brake = holding()

    brake.confirm()
    brake.swept()
    allowed = brake.in_sweep(removals(*UNKNOWN), (), {}, observed(*UNKNOWN))

    assert {step.id for step in allowed.removals} == set(UNKNOWN)


def test_consent_given_before_the_start_is_used_up_by_the_first_sweep():
    brake = Brake(confirms_first_sweep=True)
    first = brake.in_sweep(removals(*UNKNOWN), (), {}, observed(*UNKNOWN))
    brake.swept()

    second = brake.in_sweep(removals(*UNKNOWN), (), {}, observed(*UNKNOWN))

    assert (len(first.removals), len(second.removals)) == (len(UNKNOWN), 0)
