"""What must be there after requests whose answers came, were refusals, or never came."""

from tests.soak.ledger import ABSENT, Answer, Ledger


def ledger(*requests: tuple[str, Answer]) -> Ledger:
    """Return a ledger after requests that bring one thing into a state."""
    made = Ledger()
    for state, answer in requests:
        made.note("thing", state, answer)
    return made


def test_what_was_acknowledged_must_be_there():
    noted = ledger(("accepted", Answer.ACKNOWLEDGED))
    assert noted.compare({}) == ["thing is absent, and must be accepted"]
    assert noted.compare({"thing": "accepted"}) == []


def test_what_was_refused_must_not_be_there():
    assert ledger(("accepted", Answer.REFUSED)).compare({"thing": "accepted"}) == [
        "thing is accepted, and must be absent"
    ]
    assert ledger(("accepted", Answer.REFUSED)).compare({}) == []


def test_what_was_never_answered_may_be_there_or_not_and_nothing_else():
    def noted() -> Ledger:
        return ledger(("accepted", Answer.UNKNOWN))

    assert noted().compare({}) == []
    assert noted().compare({"thing": "accepted"}) == []
    assert noted().compare({"thing": "rejected"}) == ["thing is rejected, and must be absent or accepted"]


def test_a_refused_change_leaves_what_was_acknowledged_before():
    noted = ledger(("accepted", Answer.ACKNOWLEDGED), ("rejected", Answer.REFUSED))
    assert noted.compare({"thing": "rejected"}) == ["thing is rejected, and must be accepted"]


def test_what_nobody_asked_for_must_not_be_there():
    assert Ledger().compare({"stranger": "accepted"}) == ["stranger is accepted, and nobody asked for it"]


def test_what_was_found_is_known_for_sure_from_then_on():
    noted = ledger(("accepted", Answer.UNKNOWN))
    assert noted.surely("thing") is None
    assert noted.compare({}) == []
    assert noted.surely("thing") == ABSENT
    assert noted.compare({"thing": "accepted"}) == ["thing is accepted, and must be absent"]


def test_a_difference_is_told_at_each_look():
    noted = ledger(("accepted", Answer.ACKNOWLEDGED))
    assert noted.compare({}) == noted.compare({}) != []
