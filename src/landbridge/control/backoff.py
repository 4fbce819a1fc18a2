"""Decide when to try a failed thing again.

Pure: the random number is an argument. Delays double from attempt to attempt, are capped, and are spread over
their upper half so that many failures of one cause do not come back together.
"""

FIRST_DELAY_SECONDS = 0.1
LONGEST_DELAY_SECONDS = 60.0


def delay_seconds(attempt: int, chance: float) -> float:
    """Return how long to wait after the `attempt`-th failure in a row (1, 2, …); `chance` is in [0, 1)."""
    doubled = FIRST_DELAY_SECONDS * 2 ** min(attempt - 1, 16)
    capped = min(doubled, LONGEST_DELAY_SECONDS)
    return capped * (0.5 + chance / 2)
