"""Refuse a write that somebody recorded and sends again.

X-Sdk-Date has whole seconds, so lawful identical requests carry one signature: it is good for five seconds from when
it was first seen, then never again. A write whose body is not signed passes once, as another body could come with it.
What has to be remembered ends by itself: after X-Sdk-Date plus the tolerated clock difference the date is refused.

The memory is bounded, and stays closed at the bound: whoever has most signatures in it loses the older half of them,
and from then on that user's writes must be dated later than the last one forgotten. So a flood shortens only the time
that the flooding user's own requests may be under way. Counted per user: access keys one may have many of.

Not done here: one process does not know what another has seen, nor what it saw itself before a restart.
"""

import heapq
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from landbridge.domain.errors import Unauthenticated
from landbridge.identity.signature import ClaimedSignature

REPEAT_WINDOW: Final = timedelta(seconds=5)
"""How long after its first sight a write's signature may come again."""

CAPACITY: Final = 100_000
"""How many signatures are remembered: 12 MB, 41 MB if nearly each has a second of its own. That is 111 writes a second
with a clock difference of 15 minutes; the bound is felt by those who send more."""


@dataclass(slots=True)
class _Holding:
    """The signatures of one user, by the second at which they were signed."""

    first_seen_by_second: dict[int, dict[bytes, float]] = field(default_factory=dict[int, dict[bytes, float]])
    seconds: list[int] = field(default_factory=list[int])
    """A heap of the keys above: the oldest date goes first."""
    signature_count: int = 0
    forgotten_until: int = 0
    """Signatures of this second or an earlier one may have been forgotten before their time."""


class ReplayMemory:
    """Which writes were seen lately. Not for several threads."""

    def __init__(self, clock_skew: timedelta, capacity: int = CAPACITY) -> None:
        self._clock_skew_seconds = clock_skew.total_seconds()
        self._capacity = capacity
        self._holding_by_user: dict[str, _Holding] = {}
        self._signature_count = 0

    def __len__(self) -> int:
        """Return how many signatures are remembered."""
        return self._signature_count

    def admit(self, user_id: str, claimed: ClaimedSignature, now: datetime) -> None:
        """Let a write pass whose signature has been verified, and remember it.

        Raises:
            Unauthenticated: its signature was first seen too long ago, or may have been.
        """
        moment = now.timestamp()
        second = int(claimed.signed_at.timestamp())
        holding = self._holding_by_user.setdefault(user_id, _Holding())
        self._forget_expired(holding, moment)
        signature = bytes.fromhex(claimed.signature)
        first_seen = holding.first_seen_by_second.get(second, {}).get(signature)
        if first_seen is not None:
            # Both ways: a server clock that was set back must not open the window again.
            is_in_time = abs(moment - first_seen) <= REPEAT_WINDOW.total_seconds()
            if not (is_in_time and claimed.is_body_signed):
                raise Unauthenticated("this write was sent before: sign it again to send it again")
            return
        if second <= holding.forgotten_until:
            raise Unauthenticated(
                "too many writes were signed lately to know whether this one was sent before: "
                "set the client's clock and sign it again"
            )
        self._remember(holding, second, signature, moment)

    def _remember(self, holding: _Holding, second: int, signature: bytes, moment: float) -> None:
        if second not in holding.first_seen_by_second:
            holding.first_seen_by_second[second] = {}
            heapq.heappush(holding.seconds, second)
        holding.first_seen_by_second[second][signature] = moment
        holding.signature_count += 1
        self._signature_count += 1
        if self._signature_count > self._capacity:
            self._make_room(moment)

    def _make_room(self, moment: float) -> None:
        for user_id, holding in list(self._holding_by_user.items()):
            self._forget_expired(holding, moment)
            if not holding.seconds and self._is_expired(holding.forgotten_until, moment):
                del self._holding_by_user[user_id]
        # A tenth is left free, so that this look at everybody is not repeated for each of the next writes.
        largest_first = [(-holding.signature_count, user_id) for user_id, holding in self._holding_by_user.items()]
        heapq.heapify(largest_first)
        while self._signature_count > self._capacity * 9 // 10:
            _, user_id = largest_first[0]
            holding = self._holding_by_user[user_id]
            kept_count = holding.signature_count // 2
            while holding.signature_count > kept_count:
                holding.forgotten_until = self._forget_oldest_second(holding)
            heapq.heapreplace(largest_first, (-holding.signature_count, user_id))

    def _forget_expired(self, holding: _Holding, moment: float) -> None:
        while holding.seconds and self._is_expired(holding.seconds[0], moment):
            self._forget_oldest_second(holding)

    def _forget_oldest_second(self, holding: _Holding) -> int:
        second = heapq.heappop(holding.seconds)
        forgotten_count = len(holding.first_seen_by_second.pop(second))
        holding.signature_count -= forgotten_count
        self._signature_count -= forgotten_count
        return second

    def _is_expired(self, second: int, moment: float) -> bool:
        return second + self._clock_skew_seconds < moment
