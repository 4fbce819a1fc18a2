"""diff(desired, observed) → plan."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from landbridge.dataplane.compile import compile_endpoint, compile_service
from landbridge.dataplane.driver import Capabilities
from landbridge.dataplane.model import Binding, Digest, digest
from landbridge.dataplane.plan import Ensure, Plan, Remove, batches, diff
from landbridge.domain.ids import EndpointId
from landbridge.domain.resources import Admission
from tests.examples import ATTACHMENTS, a_service, an_endpoint

TARGET = compile_service(a_service(), ATTACHMENTS, Capabilities()).wired
BINDING = compile_endpoint(an_endpoint(admission=Admission.ACCEPTED), a_service(), ATTACHMENTS, Capabilities()).wired


def binding(number: int, mtu: int = 1500) -> Binding:
    return replace(BINDING, id=EndpointId(f"e{number:07}-0000-4000-8000-000000000000"), mtu=mtu)


def test_equal_worlds_need_no_step():
    assert diff({BINDING.id: BINDING}, {BINDING.id: digest(BINDING)}).steps == ()


def test_what_is_missing_is_added_and_what_differs_is_repaired():
    missing = diff({BINDING.id: BINDING}, {})
    different = diff({BINDING.id: BINDING}, {BINDING.id: Digest("drifted")})

    assert missing.steps == (Ensure(BINDING),)
    assert different.steps == (Ensure(BINDING, is_repair=True),)


def test_removals_come_first_and_targets_before_bindings():
    old = binding(9)

    plan = diff({BINDING.id: BINDING, TARGET.id: TARGET, old.id: None}, {old.id: digest(old)})

    assert plan.steps == (Remove(old.id), Ensure(TARGET), Ensure(BINDING))


def test_observed_things_that_nobody_desires_are_removed():
    assert diff({}, {BINDING.id: digest(BINDING)}).steps == (Remove(BINDING.id),)


def test_every_field_counts_for_the_digest():
    changes = {
        "address": TARGET.address,
        "transit_address": TARGET.address,
        "target_transit_address": TARGET.address,
        "forwards": (),
        "marker": 7,
        "mtu": 1400,
        "allowed_sources": (),
        "id": EndpointId("another"),
        "consumer": BINDING.provider,
        "provider": BINDING.consumer,
    }

    digests = {digest(replace(BINDING, **{name: value})) for name, value in changes.items()}

    assert len(digests | {digest(BINDING)}) == len(changes) + 1


worlds = st.dictionaries(st.integers(0, 9), st.sampled_from([1500, 1400, 1300]))


@given(worlds, worlds)
def test_applying_a_plan_to_what_was_observed_gives_what_was_desired(wanted: dict, present: dict):
    desired = {binding(n, mtu).id: binding(n, mtu) for n, mtu in wanted.items()}
    observed = {binding(n, mtu).id: digest(binding(n, mtu)) for n, mtu in present.items()}

    plan = diff(desired, observed)
    after = dict(observed)
    for step in plan.steps:
        if isinstance(step, Remove):
            del after[step.id]
        else:
            after[step.wired.id] = digest(step.wired)

    assert after == {id_: digest(value) for id_, value in desired.items()}
    assert diff(desired, after).steps == ()


def test_a_plan_cut_into_batches_has_all_its_steps_in_their_order_and_sweeps_with_the_last():
    plan = Plan(tuple(Ensure(binding(number)) for number in range(5)), is_sweep=True)

    pieces = list(batches(plan, 2))

    assert [len(piece.steps) for piece in pieces] == [2, 2, 1]
    assert sum((piece.steps for piece in pieces), ()) == plan.steps
    assert [piece.is_sweep for piece in pieces] == [False, False, True]


def test_a_plan_without_steps_is_one_batch_because_a_sweep_takes_out_what_it_cannot_ascribe():
    assert list(batches(Plan(is_sweep=True), 100)) == [Plan(is_sweep=True)]
