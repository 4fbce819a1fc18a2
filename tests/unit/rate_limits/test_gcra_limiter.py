"""The kept library, as the limits use it: real time, and rates so slow or fast that it does not matter."""

import time

from landbridge.rate_limits import GcraLimiter

HOUR = 3600


def test_a_burst_is_allowed_at_once_and_then_one_for_each_interval():
    limiter = GcraLimiter(limit=2, period_seconds=HOUR, burst=3)

    waits = [limiter.take("acme") for _ in range(4)]

    assert waits[:3] == [0.0, 0.0, 0.0]
    assert HOUR / 2 - 60 < waits[3] <= HOUR / 2


def test_looking_says_what_taking_would_and_takes_nothing():
    limiter = GcraLimiter(limit=1, period_seconds=HOUR, burst=2)
    assert [limiter.left("acme"), limiter.left("acme"), limiter.wait_seconds("acme")] == [2, 2, 0.0]

    limiter.take("acme")
    limiter.take("acme")

    assert limiter.left("acme") == 0
    assert HOUR - 60 < limiter.wait_seconds("acme") <= HOUR


def test_what_was_refused_does_not_count():
    limiter = GcraLimiter(limit=1, period_seconds=HOUR, burst=1)
    limiter.take("acme")

    waits = [limiter.take("acme") for _ in range(100)]

    assert max(waits) <= HOUR


def test_keys_do_not_share():
    limiter = GcraLimiter(limit=1, period_seconds=HOUR, burst=1)
    limiter.take("acme")

    assert limiter.take("globex") == 0.0


def test_time_gives_back():
    limiter = GcraLimiter(limit=1000, period_seconds=1, burst=1)
    assert limiter.take("acme") == 0.0

    deadline = time.monotonic() + 10
    while (wait := limiter.take("acme")) > 0:
        assert wait <= 0.001
        assert time.monotonic() < deadline


def test_of_more_keys_than_fit_the_oldest_starts_anew():
    limiter = GcraLimiter(limit=1, period_seconds=HOUR, burst=1, most_keys=100)

    for number in range(1000):
        limiter.take(f"192.0.2.{number}")

    assert limiter.take("192.0.2.999") > 0
    assert limiter.take("192.0.2.0") == 0.0
