"""Remember for some seconds which tokens were found good.

Reading a token and looking its user up costs as much as the rest of a small request. Kept true: what is remembered is
used for `fresh_for` after the look and never beyond the token's end, so that much later at most is noticed what
changed. Only good tokens are remembered, and a bounded number of them: the longest known one gives way.
"""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta

from landbridge.control.accounts import TokenFacts


@dataclass(frozen=True, slots=True)
class _Known:
    facts: TokenFacts
    looked_at: datetime


class KnownTokens:
    """Tokens with what they say. A token and its facts take about 2 kB; the whole at most 8 MB."""

    def __init__(self, fresh_for: timedelta, limit: int = 4096) -> None:
        self._fresh_for = fresh_for
        self._limit = limit
        self._known: OrderedDict[str, _Known] = OrderedDict()

    def __len__(self) -> int:
        """Return how many tokens are remembered, fresh or not."""
        return len(self._known)

    def get(self, token: str, now: datetime) -> TokenFacts | None:
        """Return what a token says, or None if nobody looked lately."""
        known = self._known.get(token)
        if known is None:
            return None
        # The lower bound: a clock that was set back must not lengthen anything.
        if known.looked_at <= now < min(known.looked_at + self._fresh_for, known.facts.expires_at):
            return known.facts
        del self._known[token]
        return None

    def keep(self, token: str, facts: TokenFacts, looked_at: datetime) -> None:
        """Remember a token that was found good."""
        self._known[token] = _Known(facts, looked_at)
        if len(self._known) > self._limit:
            self._known.popitem(last=False)
