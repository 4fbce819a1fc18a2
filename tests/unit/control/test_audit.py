"""What becomes a record, and how pages are named."""

from datetime import UTC, datetime

import pytest

from landbridge.control.audit import AuditPlace, Change, ResourceKind, Trail
from landbridge.control.request_hints import RequestHints
from landbridge.domain.errors import InvalidParameter
from landbridge.domain.ids import ProjectId

ACME = ProjectId("acme")


def test_what_comes_and_goes_in_one_transaction_leaves_no_record():
    trail = Trail()
    trail.changed(ResourceKind.VPC, "v1", ACME, None, {"name": "web"})
    trail.changed(ResourceKind.VPC, "v1", ACME, {"name": "web"}, None)

    assert list(trail.entries()) == []


def test_only_what_differs_is_kept_of_a_change_and_everything_of_a_deletion():
    trail = Trail()
    trail.changed(ResourceKind.VPC, "v1", ACME, {"name": "web", "cidr": "10.0.0.0/16"}, {"name": "db", "cidr": None})
    trail.changed(ResourceKind.VPC, "v2", ACME, {"name": "web", "cidr": "10.0.0.0/16"}, None)

    changed, deleted = trail.entries()

    assert (changed.before, changed.after) == (
        {"name": "web", "cidr": "10.0.0.0/16"},
        {"name": "db", "cidr": None},
    )
    assert (deleted.change, deleted.before) == (Change.DELETED, {"name": "web", "cidr": "10.0.0.0/16"})


def test_a_marker_names_the_place_that_it_was_made_of():
    place = AuditPlace(datetime(2026, 3, 1, 12, 0, 0, 123456, UTC), 42)

    assert AuditPlace.of_marker(place.marker()) == place


@pytest.mark.parametrize("text", ["", "1", "-", "1-", "a-b", "1-2-3", "²-1", "9" * 20 + "-1", "9" * 19 + "-1", "-1-1"])
def test_what_is_no_marker_is_refused(text: str):
    with pytest.raises(InvalidParameter, match="next_marker"):
        AuditPlace.of_marker(text)


def test_the_last_request_behind_a_thing_is_remembered_and_old_ones_are_given_up():
    hints = RequestHints(most=2)
    hints.changed("req-1", ["a", "b"])
    hints.changed("req-2", ["b"])
    hints.changed("", ["b"])
    hints.changed("req-3", ["c"])

    assert hints.request_of("a") is None
    assert hints.requests_of(["b", "c", "b", "unknown"]) == ["req-2", "req-3"]
