"""Facts → status word (contract section 5)."""

from dataclasses import replace

from landbridge.domain.lifecycle import (
    EndpointStatus,
    ServiceStatus,
    counts_as_connected,
    endpoint_status,
    service_status,
    shows_address,
)
from landbridge.domain.resources import Admission, Failure
from tests.examples import NOW, a_service, an_endpoint

FAILURE = Failure("data-plane-failure", "no such interface")


def test_a_service_is_creating_until_the_data_plane_has_seen_it():
    assert service_status(a_service(observed_generation=0)) is ServiceStatus.CREATING
    assert service_status(a_service(observed_generation=1)) is ServiceStatus.AVAILABLE


def test_an_available_service_stays_available_while_a_change_is_carried_out():
    assert service_status(a_service(generation=2, observed_generation=1)) is ServiceStatus.AVAILABLE


def test_a_failed_service_says_so_and_a_deleting_one_is_deleting_even_if_it_failed():
    failed = a_service(last_error=FAILURE)

    assert service_status(failed) is ServiceStatus.FAILED
    assert service_status(replace(failed, delete_requested_at=NOW)) is ServiceStatus.DELETING


def test_accepted_is_said_only_when_the_data_plane_has_reached_the_acceptance():
    accepted = an_endpoint(admission=Admission.ACCEPTED, generation=2, accepted_generation=2)

    assert endpoint_status(replace(accepted, observed_generation=1)) is EndpointStatus.CREATING
    assert endpoint_status(replace(accepted, observed_generation=2)) is EndpointStatus.ACCEPTED


def test_a_later_change_keeps_an_accepted_endpoint_accepted():
    changed = an_endpoint(admission=Admission.ACCEPTED, generation=3, accepted_generation=2, observed_generation=2)

    assert endpoint_status(changed) is EndpointStatus.ACCEPTED


def test_pending_and_rejected_show_at_once():
    assert endpoint_status(an_endpoint(admission=Admission.PENDING)) is EndpointStatus.PENDING_ACCEPTANCE
    assert endpoint_status(an_endpoint(admission=Admission.REJECTED)) is EndpointStatus.REJECTED


def test_deleting_wins_over_everything():
    endpoint = an_endpoint(admission=Admission.ACCEPTED, last_error=FAILURE, delete_requested_at=NOW)

    assert endpoint_status(endpoint) is EndpointStatus.DELETING


def test_the_address_shows_when_accepted_and_after_a_later_rejection_but_never_before():
    pending = an_endpoint(admission=Admission.PENDING)
    accepted = an_endpoint(admission=Admission.ACCEPTED, accepted_generation=1, observed_generation=1)

    assert not shows_address(pending)
    assert not shows_address(replace(pending, admission=Admission.REJECTED))
    assert shows_address(accepted)
    assert shows_address(replace(accepted, admission=Admission.REJECTED, generation=2))


def test_creating_and_accepted_endpoints_keep_a_service_in_use_and_no_others():
    accepted = an_endpoint(admission=Admission.ACCEPTED, accepted_generation=1, observed_generation=1)

    assert counts_as_connected(accepted)
    assert counts_as_connected(replace(accepted, observed_generation=0))
    assert not counts_as_connected(replace(accepted, admission=Admission.REJECTED))
    assert not counts_as_connected(replace(accepted, admission=Admission.PENDING))
    assert not counts_as_connected(replace(accepted, last_error=FAILURE))
    assert not counts_as_connected(replace(accepted, delete_requested_at=NOW))
