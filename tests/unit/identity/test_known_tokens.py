from datetime import UTC, datetime, timedelta

import pytest

from landbridge.control.accounts import TokenFacts, User
from landbridge.domain.ids import DomainId
from landbridge.identity.known_tokens import KnownTokens

NOW = datetime(2026, 11, 22, 17, 0, tzinfo=UTC)
FACTS = TokenFacts(
    user=User("u1", "admin", DomainId("d1"), "acme"),
    scope=None,
    methods=("password",),
    issued_at=NOW,
    expires_at=NOW + timedelta(hours=1),
    audit_id="a1",
)


@pytest.mark.parametrize(
    ("seconds", "is_known"),
    [(-0.1, False), (0, True), (4.9, True), (5, False)],
)
def test_a_token_is_known_for_a_while_after_the_look(seconds: float, is_known: bool):
    known = KnownTokens(timedelta(seconds=5))
    known.keep("token", FACTS, NOW)

    found = known.get("token", NOW + timedelta(seconds=seconds))

    assert (found == FACTS) is is_known
    assert len(known) == is_known


def test_a_token_is_never_known_beyond_its_end():
    known = KnownTokens(timedelta(seconds=5))
    looked_at = FACTS.expires_at - timedelta(seconds=2)
    known.keep("token", FACTS, looked_at)

    assert known.get("token", FACTS.expires_at - timedelta(microseconds=1)) == FACTS
    assert known.get("token", FACTS.expires_at) is None


def test_another_token_is_not_known():
    known = KnownTokens(timedelta(seconds=5))
    known.keep("token", FACTS, NOW)

    assert known.get("token ", NOW) is None


def test_the_longest_known_token_gives_way_when_there_are_too_many():
    known = KnownTokens(timedelta(seconds=5), limit=2)

    for token in ("one", "two", "three"):
        known.keep(token, FACTS, NOW)

    assert len(known) == 2
    assert known.get("one", NOW) is None
    assert known.get("three", NOW) == FACTS
