"""Who may use an endpoint: what a change means for the data plane."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv4Network

import pytest

from landbridge.control.endpoint_changes import check_may_be_changed, with_access
from landbridge.domain.errors import EndpointCreating, EndpointDeleting, EndpointFailed
from landbridge.domain.ids import DomainId, EndpointId, PoolId, ProjectId, ServiceId, SubnetId, VpcId
from landbridge.domain.resources import Admission, Endpoint, Failure

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(minutes=1)
ENDPOINT = Endpoint(
    id=EndpointId("e"),
    project_id=ProjectId("p"),
    domain_id=DomainId("d"),
    pool_id=PoolId("pool"),
    service_id=ServiceId("s"),
    service_name="lab-1.s",
    vpc_id=VpcId("v"),
    subnet_id=SubnetId("n"),
    address=IPv4Address("10.0.0.100"),
    transit_address=IPv4Address("198.19.128.1"),
    marker=2**24 + 1,
    admission=Admission.ACCEPTED,
    enable_dns=False,
    whitelist=(IPv4Network("10.0.0.0/24"),),
    enable_whitelist=True,
    description="",
    connection_description="",
    tags=(),
    created_at=NOON,
    updated_at=NOON,
    generation=3,
    observed_generation=3,
    accepted_generation=2,
)
OPEN = replace(ENDPOINT, enable_whitelist=False)


def networks(*texts: str) -> tuple[IPv4Network, ...]:
    return tuple(map(IPv4Network, texts))


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
def test_a_cut_is_asked_for_where_somebody_is_shut_out(before: Endpoint, whitelist, is_enabled, is_cut: bool):
    changed = with_access(before, whitelist, is_enabled, LATER)

    assert (changed.cut_requested_at is not None) is is_cut
    assert (changed.generation, changed.updated_at) == (4, LATER)
    assert changed.accepted_generation == before.accepted_generation


def test_an_access_that_stays_the_same_is_no_change():
    assert with_access(ENDPOINT, None, None, LATER) is ENDPOINT
    assert with_access(ENDPOINT, networks("10.0.0.0/24"), True, LATER) is ENDPOINT


@pytest.mark.parametrize("admission", [Admission.PENDING, Admission.REJECTED])
def test_who_has_not_been_accepted_needs_no_cut(admission: Admission):
    changed = with_access(replace(ENDPOINT, admission=admission), (), None, LATER)

    assert (changed.cut_requested_at, changed.generation) == (None, 4)


def test_a_cut_that_is_still_due_keeps_its_moment():
    due = replace(ENDPOINT, cut_requested_at=NOON)

    assert with_access(due, (), None, LATER).cut_requested_at == NOON
    assert with_access(due, None, False, LATER).cut_requested_at == NOON


@pytest.mark.parametrize(
    ("endpoint", "error"),
    [
        (replace(ENDPOINT, observed_generation=1), EndpointCreating),
        (replace(ENDPOINT, delete_requested_at=NOON), EndpointDeleting),
        (replace(ENDPOINT, last_error=Failure("data-plane-failure", "broken")), EndpointFailed),
    ],
)
def test_an_endpoint_between_two_states_or_broken_cannot_be_changed(endpoint: Endpoint, error: type[Exception]):
    with pytest.raises(error, match="endpoint e"):
        check_may_be_changed(endpoint)

    for admission in Admission:
        check_may_be_changed(replace(ENDPOINT, admission=admission))
