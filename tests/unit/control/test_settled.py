"""Which rows a round has brought where they should be, so that whoever waits for them may be answered."""

import pytest

from landbridge.control.round import Outcome, settled
from landbridge.domain.resources import Failure
from tests.examples import a_service, an_endpoint

REFUSED = Failure("data-plane-failure", "busy")
SERVICE, ENDPOINT = a_service(), an_endpoint()


def test_a_round_without_failures_settles_everything():
    assert settled([Outcome(SERVICE), Outcome(ENDPOINT)]) == [SERVICE, ENDPOINT]


def test_a_service_is_not_settled_while_an_endpoint_of_it_stands_as_it_was():
    results = [Outcome(SERVICE), Outcome(ENDPOINT, REFUSED)]

    assert settled(results) == []


def test_an_endpoint_of_another_service_is_no_reason_to_wait():
    other = a_service(id="5b6e0000-0000-4000-8000-000000000002")

    assert settled([Outcome(other), Outcome(ENDPOINT, REFUSED)]) == [other]


@pytest.mark.parametrize("failure", [None, REFUSED])
def test_what_carries_nothing_at_all_is_settled_whatever_else_is_wrong_with_it(failure: Failure | None):
    results = [Outcome(SERVICE, failure, is_unwired=True), Outcome(ENDPOINT, failure, is_unwired=True)]

    assert settled(results) == [SERVICE, ENDPOINT]


def test_a_service_that_was_refused_is_not_settled_though_its_endpoints_are():
    assert settled([Outcome(SERVICE, REFUSED), Outcome(ENDPOINT)]) == [ENDPOINT]
