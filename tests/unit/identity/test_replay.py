"""What is remembered of verified writes, for how long, and who pays when the memory is full."""

import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from landbridge.domain.errors import Unauthenticated
from landbridge.identity.replay import ReplayMemory
from landbridge.identity.signature import ClaimedSignature

NOW = datetime(2026, 11, 22, 17, 0, tzinfo=UTC)
SKEW = timedelta(minutes=15)
SECOND = timedelta(seconds=1)


def write(number: int = 0, signed_at: datetime = NOW, *, is_body_signed: bool = True) -> ClaimedSignature:
    return ClaimedSignature(
        access_key="KEY",
        signed_headers=("x-sdk-date",),
        signed_at=signed_at,
        is_body_signed=is_body_signed,
        scope=None,
        string_to_sign=b"",
        signature=hashlib.sha256(f"{number} {signed_at}".encode()).hexdigest(),
    )


def is_admitted(memory: ReplayMemory, user_id: str, claimed: ClaimedSignature, now: datetime) -> bool:
    try:
        memory.admit(user_id, claimed, now)
    except Unauthenticated:
        return False
    return True


def test_identical_writes_pass_for_five_seconds_after_the_first_and_never_again():
    memory = ReplayMemory(SKEW)

    for seconds in (0, 0.2, 5):
        memory.admit("u1", write(), NOW + timedelta(seconds=seconds))
    for seconds in (5.001, 60, 900):
        with pytest.raises(Unauthenticated, match="sent before: sign it again"):
            memory.admit("u1", write(), NOW + timedelta(seconds=seconds))


def test_the_five_seconds_begin_at_the_first_sight_not_at_the_date_of_the_request():
    memory, late = ReplayMemory(SKEW), NOW + timedelta(minutes=10)

    memory.admit("u1", write(), late)

    assert is_admitted(memory, "u1", write(), late + 5 * SECOND)
    assert not is_admitted(memory, "u1", write(), late + 6 * SECOND)


def test_a_repeat_does_not_prolong_the_five_seconds():
    memory = ReplayMemory(SKEW)

    assert is_admitted(memory, "u1", write(), NOW)
    assert is_admitted(memory, "u1", write(), NOW + 4 * SECOND)
    assert not is_admitted(memory, "u1", write(), NOW + 8 * SECOND)


def test_a_write_whose_body_is_not_signed_passes_once():
    memory, unsigned = ReplayMemory(SKEW), write(is_body_signed=False)

    memory.admit("u1", unsigned, NOW)

    assert not is_admitted(memory, "u1", unsigned, NOW)


def test_a_server_clock_that_is_set_back_does_not_let_a_write_pass_again():
    memory = ReplayMemory(SKEW)

    memory.admit("u1", write(), NOW)

    assert not is_admitted(memory, "u1", write(), NOW - timedelta(minutes=1))


def test_a_signature_is_remembered_as_long_as_its_date_is_accepted_and_no_longer():
    memory, ahead = ReplayMemory(SKEW), write(signed_at=NOW + SKEW)
    memory.admit("u1", ahead, NOW)

    assert not is_admitted(memory, "u1", ahead, NOW + 2 * SKEW)
    assert len(memory) == 1
    memory.admit("u1", write(1, NOW + 2 * SKEW), NOW + 2 * SKEW + SECOND)
    assert len(memory) == 1


def test_a_flood_never_remembers_more_than_the_capacity():
    memory = ReplayMemory(SKEW, capacity=50)

    for number in range(1000):
        memory.admit("u1", write(number, NOW + number * SECOND / 2), NOW + number * SECOND / 2)
        assert len(memory) <= 50


def test_a_forgotten_write_is_refused_like_a_remembered_one():
    memory = ReplayMemory(SKEW, capacity=50)
    writes = [write(number, NOW + number * SECOND) for number in range(200)]
    for claimed in writes:
        memory.admit("u1", claimed, claimed.signed_at)

    for claimed in writes:
        assert not is_admitted(memory, "u1", claimed, NOW + 300 * SECOND)


def test_at_the_bound_an_older_date_is_refused_and_the_answer_says_what_to_do():
    memory = ReplayMemory(SKEW, capacity=50)
    for number in range(51):
        memory.admit("u1", write(number, NOW + number * SECOND), NOW + number * SECOND)

    with pytest.raises(Unauthenticated, match="set the client's clock and sign it again"):
        memory.admit("u1", write(1000, NOW), NOW + 51 * SECOND)


def test_at_the_bound_writes_with_a_right_clock_go_on_passing():
    memory = ReplayMemory(SKEW, capacity=50)

    for number in range(1000):
        moment = NOW + number * SECOND / 5
        assert is_admitted(memory, "u1", write(number, moment.replace(microsecond=0)), moment)


def test_a_flood_locks_nobody_else_out_and_forgets_nobody_elses_writes():
    memory, old = ReplayMemory(SKEW, capacity=100), NOW - timedelta(minutes=10)
    for number in range(10):
        memory.admit("quiet", write(number, old), NOW)

    for number in range(1000):
        is_admitted(memory, "loud", write(number, NOW + SKEW), NOW)
        is_admitted(memory, "loud", write(number, NOW - number * SECOND / 2), NOW)

    assert is_admitted(memory, "quiet", write(10, old), NOW + 6 * SECOND)
    assert not any(is_admitted(memory, "quiet", write(number, old), NOW + 6 * SECOND) for number in range(10))


def test_what_was_forgotten_is_no_longer_held_against_a_user_once_it_has_expired():
    memory = ReplayMemory(SKEW, capacity=50)
    for number in range(51):
        memory.admit("u1", write(number), NOW)
    later = NOW + SKEW + 10 * SECOND

    assert not is_admitted(memory, "u1", write(100), NOW)
    assert is_admitted(memory, "u1", write(101, later - SKEW), later)


@settings(deadline=None)
@given(
    arrivals=st.lists(
        st.tuples(
            st.sampled_from(["u1", "u2", "u3"]),
            st.integers(0, 5),
            st.integers(-20, 20),
            st.sampled_from([0, 0, 1, 6]),
        ),
        max_size=120,
    ),
    capacity=st.integers(1, 12),
)
def test_whatever_arrives_no_write_passes_later_than_five_seconds_after_its_first_time(arrivals, capacity):
    skew, now = timedelta(seconds=20), NOW
    memory = ReplayMemory(skew, capacity)
    first_passed_at: dict[tuple[str, str], datetime] = {}

    for user_id, number, offset, pause in arrivals:
        now += pause * SECOND
        claimed = write(number, NOW + offset * SECOND)
        # An older or newer date does not get as far as the memory.
        if abs(now - claimed.signed_at) <= skew and is_admitted(memory, user_id, claimed, now):
            first = first_passed_at.setdefault((user_id, claimed.signature), now)
            assert now - first <= 5 * SECOND
        assert len(memory) <= capacity
