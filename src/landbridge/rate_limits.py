"""Count in this process how often something happens, by throttled-py's GCRA (generic cell rate algorithm).

Each key may happen `burst` times at once and `limit` times in `period_seconds` for ever. The memory is bounded: of more
than `MOST_KEYS` keys, the one that was not seen for the longest time starts anew. Which keys there are, and what is
said to whom, is `api.limits`'s.
"""

from datetime import timedelta
from typing import Final

from throttled import MemoryStore, RateLimiterRegistry, RateLimiterType, per_duration

MOST_KEYS: Final = 100_000
"""About 30 MB when all are in use."""


class GcraLimiter:
    """Allows so many events of a key (`api.limits.Limiter`). Not shared between processes."""

    def __init__(self, limit: int, period_seconds: int, burst: int, most_keys: int = MOST_KEYS) -> None:
        quota = per_duration(timedelta(seconds=period_seconds), limit, burst)
        kind = RateLimiterRegistry.get(RateLimiterType.GCRA.value)
        self._limiter = kind(quota, MemoryStore(options={"MAX_SIZE": most_keys}))
        self._burst = burst
        self._interval_seconds = period_seconds / limit

    def take(self, key: str) -> float:
        """Count one event; return 0.0, or in how many seconds it could be: then it was not counted."""
        result = self._limiter.limit(key)
        # Above zero in any case: 0.0 means that it was counted.
        return max(result.state.retry_after, 0.001) if result.limited else 0.0

    def left(self, key: str) -> int:
        """Return how many events could be at once now, without counting one."""
        return self._limiter.peek(key).remaining

    def wait_seconds(self, key: str) -> float:
        """Return in how many seconds the next event could be, 0.0 if now, without counting one."""
        # The library's own retry_after of a peek is the time since the last slot, not until the next one (3.5.0).
        full_in_seconds = self._limiter.peek(key).reset_after
        return max(0.0, full_in_seconds - (self._burst - 1) * self._interval_seconds)
