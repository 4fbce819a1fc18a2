"""What an endpoint still carries while its connections end."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network

import pytest

from landbridge.domain.cutting import EVERYBODY, KEEP, KILL, CutMode, CutOff, FormerClients, Grace
from landbridge.domain.draining import (
    accepted,
    after_the_cut,
    cut_due_since,
    deleting,
    is_carried,
    is_cut_due,
    next_cut_at,
    rejected,
    sources,
    with_whitelist,
)
from landbridge.domain.lifecycle import EndpointStatus, endpoint_status
from landbridge.domain.resources import Admission, Endpoint, Failure
from tests.examples import an_endpoint

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER, AT_LAST = NOON + timedelta(seconds=10), NOON + timedelta(seconds=60)
DRAIN = CutOff(CutMode.DRAIN, 60)
DRAINING = Grace(NOON, AT_LAST)


def networks(*texts: str) -> tuple[IPv4Network, ...]:
    return tuple(map(IPv4Network, texts))


ENDPOINT = an_endpoint(
    admission=Admission.ACCEPTED,
    whitelist=networks("10.0.0.0/24"),
    enable_whitelist=True,
    generation=3,
    observed_generation=3,
    accepted_generation=2,
)
OPEN = replace(ENDPOINT, enable_whitelist=False)
PENDING = replace(ENDPOINT, admission=Admission.PENDING, accepted_generation=None)

# Rejecting and accepting


@pytest.mark.parametrize(("cut_off", "grace"), [(KILL, None), (DRAIN, DRAINING), (KEEP, Grace(NOON, None))])
def test_a_rejection_shows_at_once_and_asks_the_data_plane_in_every_mode(cut_off: CutOff, grace: Grace | None):
    after = rejected(ENDPOINT, cut_off, NOON)

    assert endpoint_status(after) is EndpointStatus.REJECTED
    assert (after.generation, after.cut_requested_at, after.updated_at) == (4, NOON, NOON)
    assert after.grace == grace
    assert is_carried(after, LATER) is (grace is not None)


def test_whoever_goes_on_after_a_rejection_opens_nothing_new():
    after = rejected(ENDPOINT, DRAIN, NOON)

    assert sources(after, LATER).allowed == ENDPOINT.whitelist
    assert sources(after, LATER).barred == EVERYBODY
    assert (is_carried(after, AT_LAST - timedelta(seconds=1)), is_carried(after, AT_LAST)) == (True, False)


def test_an_endpoint_that_never_carried_anything_needs_no_grace():
    after = rejected(PENDING, DRAIN, NOON)

    assert (after.admission, after.grace, after.cut_requested_at) == (Admission.REJECTED, None, None)


def test_rejecting_twice_is_no_change_unless_what_goes_on_is_now_to_be_killed():
    drained = rejected(ENDPOINT, DRAIN, NOON)

    assert rejected(drained, DRAIN, LATER) is drained
    assert rejected(drained, KEEP, LATER) is drained
    killed = rejected(drained, KILL, LATER)
    assert (killed.grace, killed.generation) == (None, 5)
    assert killed.cut_requested_at is not None
    assert rejected(killed, KILL, LATER) is killed


def test_an_endpoint_that_is_accepted_again_is_as_it_was_and_nothing_is_cut():
    again = accepted(rejected(ENDPOINT, DRAIN, NOON), LATER)

    assert (again.admission, again.grace, again.cut_requested_at) == (Admission.ACCEPTED, None, None)
    assert sources(again, LATER) == sources(ENDPOINT, LATER)
    assert accepted(again, LATER) is again


def test_a_failed_endpoint_is_tried_again_by_accepting_it():
    failed = replace(ENDPOINT, last_error=Failure("data-plane-failure", "broken"))

    again = accepted(failed, LATER)

    assert (again.last_error, again.generation, again.accepted_generation) == (None, 4, 4)


# Deleting


def test_a_deletion_with_a_deadline_carries_on_until_then():
    after = deleting(ENDPOINT, DRAIN, NOON)

    assert endpoint_status(after) is EndpointStatus.DELETING
    assert (after.delete_requested_at, after.cut_requested_at, after.grace) == (NOON, NOON, DRAINING)
    assert is_carried(after, LATER)
    assert sources(after, LATER).barred == EVERYBODY
    assert deleting(after, KILL, LATER) is after


@pytest.mark.parametrize("endpoint", [PENDING, rejected(ENDPOINT, KILL, NOON)], ids=["pending", "rejected"])
def test_what_carries_nothing_is_deleted_at_once(endpoint: Endpoint):
    after = deleting(endpoint, DRAIN, LATER)

    assert after.grace is None
    assert not is_carried(after, LATER)


def test_a_deletion_does_not_put_off_a_deadline_and_gives_one_to_what_had_none():
    until = LATER + timedelta(seconds=60)
    kept = rejected(ENDPOINT, KEEP, NOON)
    drained = rejected(ENDPOINT, DRAIN, NOON)

    assert deleting(kept, DRAIN, LATER).grace == Grace(LATER, until)
    assert deleting(drained, DRAIN, LATER).grace == DRAINING
    assert deleting(drained, CutOff(CutMode.DRAIN, 1), NOON).grace == Grace(NOON, NOON + timedelta(seconds=1))
    assert deleting(drained, KILL, LATER).grace is None


# Whitelists


@pytest.mark.parametrize(
    ("before", "whitelist", "is_enabled", "is_cut"),
    [
        (ENDPOINT, networks("10.0.0.0/25"), None, True),
        (ENDPOINT, networks("10.0.0.0/25", "10.0.0.128/25"), None, False),
        (ENDPOINT, networks("10.0.0.0/23"), None, False),
        (ENDPOINT, (), None, True),
        (ENDPOINT, None, False, False),
        (OPEN, None, True, True),
        (OPEN, networks("10.0.0.7"), None, False),
    ],
    ids=["narrower", "the same in two parts", "wider", "nobody", "off", "on", "a list that is off"],
)
@pytest.mark.parametrize("cut_off", [KILL, DRAIN, KEEP])
def test_a_cut_is_asked_for_where_somebody_is_shut_out(before, whitelist, is_enabled, is_cut: bool, cut_off: CutOff):
    changed = with_whitelist(before, whitelist, is_enabled, cut_off, LATER)

    assert (changed.cut_requested_at is not None) is is_cut
    assert bool(changed.former_clients) is (is_cut and cut_off is not KILL)
    assert (changed.generation, changed.updated_at) == (4, LATER)
    assert changed.accepted_generation == before.accepted_generation


def test_an_access_that_stays_the_same_is_no_change():
    assert with_whitelist(ENDPOINT, None, None, DRAIN, LATER) is ENDPOINT
    assert with_whitelist(ENDPOINT, networks("10.0.0.0/24"), True, DRAIN, LATER) is ENDPOINT


@pytest.mark.parametrize("admission", [Admission.PENDING, Admission.REJECTED])
def test_who_carries_nothing_needs_no_cut(admission: Admission):
    changed = with_whitelist(replace(ENDPOINT, admission=admission), (), None, DRAIN, LATER)

    assert (changed.cut_requested_at, changed.former_clients, changed.generation) == (None, (), 4)


def test_a_cut_that_is_still_due_keeps_its_moment():
    due = replace(ENDPOINT, cut_requested_at=NOON)

    assert with_whitelist(due, (), None, KILL, LATER).cut_requested_at == NOON
    assert with_whitelist(due, None, False, KILL, LATER).cut_requested_at == NOON


def test_a_whitelist_that_shrinks_while_the_endpoint_drains_cuts_those_it_takes_out():
    drained = rejected(ENDPOINT, DRAIN, NOON)

    after = with_whitelist(drained, networks("10.0.0.0/25"), None, KILL, LATER)

    assert after.cut_requested_at is not None
    assert sources(after, LATER).allowed == networks("10.0.0.0/25")
    assert after.grace == DRAINING


# Deadlines


def test_the_earliest_deadline_comes_first_and_each_is_cleared_when_it_has_been_carried_out():
    soon = FormerClients(networks("10.0.9.0/24"), Grace(NOON, LATER))
    endpoint = replace(rejected(ENDPOINT, DRAIN, NOON), former_clients=(soon,), cut_requested_at=None)

    assert next_cut_at(endpoint) == LATER
    assert (is_cut_due(endpoint, NOON), is_cut_due(endpoint, LATER)) == (False, True)
    assert (cut_due_since(endpoint, NOON), cut_due_since(endpoint, AT_LAST)) == (None, LATER)
    first = after_the_cut(endpoint, LATER, is_unwired=False)
    assert (first.former_clients, first.grace, next_cut_at(first)) == ((), DRAINING, AT_LAST)
    assert after_the_cut(first, AT_LAST, is_unwired=False).grace is None
    assert after_the_cut(endpoint, NOON, is_unwired=False) == endpoint


def test_where_nothing_is_wired_any_more_nothing_goes_on():
    endpoint = replace(ENDPOINT, grace=Grace(NOON, None), former_clients=(FormerClients(EVERYBODY, DRAINING),))

    assert after_the_cut(endpoint, NOON, is_unwired=True) == ENDPOINT


def test_a_cut_that_was_asked_for_is_due_from_then_on():
    assert cut_due_since(replace(ENDPOINT, cut_requested_at=NOON), LATER) == NOON
    assert cut_due_since(ENDPOINT, LATER) is None
    assert next_cut_at(replace(ENDPOINT, grace=Grace(NOON, None))) is None
