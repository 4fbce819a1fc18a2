"""Let a use case wait until the data plane has followed.

`Wakeups` tells the loop that something was written; `Settlements` tells a waiting use case how far a resource has
come. Both are hints: losing one costs time, never truth. Where the loop is in another process, `on_ring` and
`on_settled` carry them there.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Generator
from contextlib import contextmanager

from landbridge.dataplane.model import WiredId


class Wakeups:
    """A bell that the use cases ring after each commit. Rings while nobody listens are remembered as one."""

    def __init__(self, on_ring: Callable[[], None] = lambda: None) -> None:
        self._bell = asyncio.Event()
        self._on_ring = on_ring

    def ring(self) -> None:
        """Say that intent was written."""
        self._bell.set()
        self._on_ring()

    def hear(self) -> None:
        """Take over that another process has written intent."""
        self._bell.set()

    def take(self) -> bool:
        """Take a ring that nobody has taken yet; return whether there was one."""
        was_rung = self._bell.is_set()
        self._bell.clear()
        return was_rung

    async def wait(self, timeout_seconds: float | None) -> bool:
        """Wait for a ring and take it; return whether there was one before the time-out."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._bell.wait()
        except TimeoutError:
            return False
        self._bell.clear()
        return True


class Waiter:
    """Somebody who waits for one endpoint or service."""

    def __init__(self) -> None:
        self._reached = 0
        self._changed = asyncio.Event()

    def tell(self, generation: int) -> None:
        """Say that the data plane shows this generation."""
        self._reached = max(self._reached, generation)
        self._changed.set()

    async def reached(self, generation: int, timeout_seconds: float) -> bool:
        """Wait until the data plane shows `generation` or a later one; return whether it came in time."""
        try:
            async with asyncio.timeout(timeout_seconds):
                while self._reached < generation:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return False
        return True


class Settlements:
    """Who waits for which endpoint or service."""

    def __init__(self, on_settled: Callable[[WiredId, int], None] = lambda _id, _generation: None) -> None:
        self._on_settled = on_settled
        self._waiters: defaultdict[WiredId, set[Waiter]] = defaultdict(set)

    @contextmanager
    def expect(self, id_: WiredId) -> Generator[Waiter]:
        """Register before writing, so that a round that is faster than the writer is not missed."""
        waiter = Waiter()
        self._waiters[id_].add(waiter)
        try:
            yield waiter
        finally:
            self._waiters[id_].discard(waiter)
            if not self._waiters[id_]:
                del self._waiters[id_]

    def settle(self, id_: WiredId, generation: int) -> None:
        """Tell everybody who waits for the endpoint or service."""
        self.hear(id_, generation)
        self._on_settled(id_, generation)

    def hear(self, id_: WiredId, generation: int) -> None:
        """Take over how far another process has brought the endpoint or service."""
        for waiter in self._waiters.get(id_, ()):
            waiter.tell(generation)
