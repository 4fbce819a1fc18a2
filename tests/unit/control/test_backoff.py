"""When to try again."""

from hypothesis import given
from hypothesis import strategies as st

from landbridge.control.backoff import FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS, delay_seconds


def test_delays_double_from_attempt_to_attempt():
    assert [delay_seconds(attempt, chance=0.0) for attempt in (1, 2, 3)] == [0.05, 0.1, 0.2]


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_a_delay_is_never_shorter_than_half_the_first_nor_longer_than_the_longest(attempt: int, chance: float):
    assert FIRST_DELAY_SECONDS / 2 <= delay_seconds(attempt, chance) < LONGEST_DELAY_SECONDS + 1e-9


def test_chance_spreads_failures_that_have_one_cause():
    assert delay_seconds(5, chance=0.1) < delay_seconds(5, chance=0.9)
