"""What a round does can be led back to the request that asked for it."""

from structlog.testing import capture_logs

from landbridge.control.actors import Actor, acting_as
from landbridge.dataplane.driver import DriverError, Retry
from landbridge.dataplane.plan import Plan, Remove
from landbridge.domain.ids import EndpointId
from landbridge.observability import Telemetry, with_request_id
from tests.examples import an_endpoint

FIRST, SECOND = EndpointId("e1"), EndpointId("e2")


def test_a_round_names_the_requests_that_it_serves_and_a_failing_binding_its_own():
    with capture_logs() as events:
        telemetry = Telemetry("memory", "a-pool")
        telemetry.request_changes("req-1", [FIRST])
        telemetry.request_changes("req-2", [SECOND])

        errors = {SECOND: DriverError("no room", retry=Retry.SOON)}
        telemetry.round_finished("round", Plan((Remove(FIRST), Remove(SECOND))), errors, 0.001)

    failed, finished = events
    assert (failed["event"], failed["id"], failed["request_id"]) == ("binding.failed", SECOND, "req-2")
    assert (finished["request_ids"], finished["request_count"]) == (["req-1", "req-2"], 2)


def test_a_round_that_serves_very_many_requests_names_ten_of_them():
    with capture_logs() as events:
        telemetry = Telemetry("memory", "a-pool")
        steps = tuple(Remove(EndpointId(f"e{number}")) for number in range(300))
        for step in steps:
            telemetry.request_changes(f"req-{step.id}", [step.id])
        telemetry.round_finished("round", Plan(steps), {}, 0.001)

    assert (len(events[0]["request_ids"]), events[0]["request_count"]) == (10, 300)


def test_what_is_written_while_a_request_is_served_has_its_id():
    with acting_as(Actor(request_id="req-7")):
        assert with_request_id(None, "info", {"event": "x"}) == {"event": "x", "request_id": "req-7"}
        assert with_request_id(None, "info", {"request_id": "own"})["request_id"] == "own"
    assert with_request_id(None, "info", {"event": "x"}) == {"event": "x"}


def test_an_overdue_cut_names_its_request():
    with capture_logs() as events:
        telemetry = Telemetry("memory", "a-pool")
        telemetry.request_changes("req-1", [an_endpoint().id])
        telemetry.cut_overdue(an_endpoint())

    assert events[0]["request_id"] == "req-1"
