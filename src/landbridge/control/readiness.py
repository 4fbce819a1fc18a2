"""Say whether this process can do its work now, and if not, why.

`RoundHistory` hears about rounds (see `observability`); `Readiness` adds whether the database answers. Nothing here
mends anything: who asks is a balancer that sends requests elsewhere, or a person. A standby that leads no pool is
ready: it waits, and that is its work.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from landbridge.control.protocols import Store
from landbridge.domain.errors import LandbridgeError

FAILED_ROUNDS_ALLOWED = 2
"""One more in a row, and the data plane does not follow any more."""
_SWEEPS_MISSED = 3
_DATABASE_SECONDS = 3.0
_FRESH_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a process is not ready."""

    code: str
    """Stable, such as `sweep-held`."""
    message: str
    """What it means, and what to do. For the operator only."""


@dataclass(frozen=True, slots=True)
class Report:
    """Whether a process is ready; it is exactly if there is no reason why not."""

    reasons: tuple[Reason, ...]
    facts: Mapping[str, Any]
    """What else an operator may want to know; none of it makes a process unready."""

    @property
    def is_ready(self) -> bool:
        """Whether there is no reason why not."""
        return not self.reasons


class RoundHistory:
    """What has become of the rounds of this process. Written and read in the event loop."""

    def __init__(self, *, owns_data_plane: bool = True, monotonic: Callable[[], float] = time.monotonic) -> None:
        """`owns_data_plane` is false in a process that only answers requests: there are no rounds to miss."""
        self._owns_data_plane = owns_data_plane
        self._monotonic = monotonic
        self._swept_at: float | None = None
        self._failed_in_row = 0
        self._held_removals = 0
        self._is_leader: bool | None = None

    def finished(self, kind: str) -> None:
        """Note that a round or a sweep went through."""
        self._failed_in_row = 0
        if kind == "sweep":
            self._swept_at = self._monotonic()

    def failed(self) -> None:
        """Note that a round or a sweep could not be carried out."""
        self._failed_in_row += 1

    def held(self, removals: int) -> None:
        """Note how many removals wait for the operator's consent; 0: none."""
        self._held_removals = removals

    def leads(self, *, is_leader: bool) -> None:
        """Note whether this process leads its pool; where nobody ever says so, there is nobody else to lead it."""
        self._is_leader = is_leader

    def reasons(self, sweep_interval_seconds: float) -> list[Reason]:
        """Return why the data plane of this process is not in order."""
        if not self._owns_data_plane or self._is_leader is False:
            return []
        found: list[Reason] = []
        if self._swept_at is None:
            text = "the data plane has not been compared with the database since the start: wait, or see sweep.failed"
            found.append(Reason("not-swept", f"{text} in the log"))
        elif self._monotonic() - self._swept_at > _SWEEPS_MISSED * sweep_interval_seconds:
            minutes = (self._monotonic() - self._swept_at) / 60
            text = f"the last sweep ended {minutes:.0f} minutes ago: see sweep.failed in the log"
            found.append(Reason("sweep-overdue", text))
        if self._failed_in_row > FAILED_ROUNDS_ALLOWED:
            text = f"the last {self._failed_in_row} rounds failed: see round.failed and sweep.failed in the log"
            found.append(Reason("rounds-failing", text))
        if self._held_removals:
            text = f"{self._held_removals} removals that nobody asked for are held back, and nothing new is wired"
            text = f"{text}: see sweep.held in the log"
            found.append(Reason("sweep-held", text))
        return found

    def facts(self) -> Mapping[str, Any]:
        """Return what is no reason by itself."""
        facts: dict[str, Any] = {"owns_data_plane": self._owns_data_plane}
        if self._is_leader is not None:
            facts["is_leader"] = self._is_leader
        return facts


class Readiness:
    """Whether this process is ready. Who asks often gets an answer that is a second old at most."""

    def __init__(
        self,
        store: Store,
        history: RoundHistory,
        sweep_interval_seconds: float,
        monotonic: Callable[[], float] = time.monotonic,
        database_seconds: float = _DATABASE_SECONDS,
    ) -> None:
        """`database_seconds` is how long the database may take to answer."""
        self._store = store
        self._database_seconds = database_seconds
        self._history = history
        self._sweep_interval_seconds = sweep_interval_seconds
        self._monotonic = monotonic
        self._asking: asyncio.Task[Reason | None] | None = None
        self._answered_at: float | None = None

    async def report(self) -> Report:
        """Return whether this process is ready, and why not."""
        reason = await self._database()
        reasons = self._history.reasons(self._sweep_interval_seconds)
        return Report((*([] if reason is None else [reason]), *reasons), self._history.facts())

    async def _database(self) -> Reason | None:
        # One question at a time: those that are not answered would take all readers of the store.
        is_old = self._answered_at is not None and self._monotonic() - self._answered_at > _FRESH_SECONDS
        if self._asking is None or (self._asking.done() and is_old):
            self._answered_at = None
            self._asking = asyncio.create_task(self._ask(), name="readiness")
        try:
            async with asyncio.timeout(self._database_seconds):
                return await asyncio.shield(self._asking)
        except TimeoutError:
            text = f"the database has not answered for {self._database_seconds:g} s: see that it runs and has room"
            return Reason("database-silent", text)

    async def _ask(self) -> Reason | None:
        try:
            await self._store.read(lambda tx: tx.pools())
        except LandbridgeError as error:
            return Reason("database-refuses", str(error))
        finally:
            self._answered_at = self._monotonic()
        return None
