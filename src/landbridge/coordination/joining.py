"""Join hints that follow each other closely into one message."""

import asyncio
from collections.abc import Callable

from landbridge.coordination.hints import Hint, joined

JOIN_SECONDS = 0.005
"""How long a hint waits for others at most."""


class Joiner:
    """Collects hints for some milliseconds, then hands them over as one. Lives in one event loop."""

    def __init__(self, hand_over: Callable[[Hint], None]) -> None:
        self._hand_over = hand_over
        self._waiting: list[Hint] = []

    def add(self, hint: Hint) -> None:
        """Hand a hint over within some milliseconds."""
        if not self._waiting:
            asyncio.get_running_loop().call_later(JOIN_SECONDS, self._flush)
        self._waiting.append(hint)

    def _flush(self) -> None:
        hints, self._waiting = self._waiting, []
        self._hand_over(joined(hints))
