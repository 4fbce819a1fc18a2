"""Let one agent at a time change a pool's data plane.

A database's lock makes an agent the leader, and frees itself with the leader's session; but a leader that was stopped
and goes on later cannot know at once that its session is gone. So it also holds a *lease*: the time since it last asked
the database and got an answer. A plan is applied in batches, and each one needs a lease that is younger than two
seconds. At most the batch in flight is applied after another agent took over, and that one's first sweep repairs it.
"""

import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from landbridge.dataplane.driver import Capabilities, Driver, DriverError, Surveying
from landbridge.dataplane.model import Digest, Wired, WiredId
from landbridge.dataplane.plan import Plan, batches

LEASE_SECONDS = 2.0
"""How long a leader may act on one answer of the database."""
BATCH_STEPS = 256
"""How many steps are taken on one look at the lease: some tens of milliseconds of work."""


class LeaseLost(Exception):
    """This agent leads no more: it must change nothing."""


class Lease:
    """How long ago the database said that this agent leads. Any thread may use it."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._asked_at: float | None = None
        self._is_lost = False

    def renew(self, asked_at: float) -> None:
        """Note an answer to a question that was asked at this moment of the monotonic clock."""
        with self._lock:
            if self._asked_at is None or asked_at > self._asked_at:
                self._asked_at = asked_at

    def lose(self) -> None:
        """Never hold it again: somebody else leads, or may."""
        with self._lock:
            self._is_lost = True

    @property
    def is_held(self) -> bool:
        """Whether this agent leads for certain."""
        with self._lock:
            if self._is_lost or self._asked_at is None:
                return False
            return self._monotonic() - self._asked_at < LEASE_SECONDS


@dataclass(frozen=True, slots=True)
class LeasedDriver:
    """A data plane that is changed under a lease only, a batch at a time (`dataplane.driver.Driver`)."""

    driver: Driver
    lease: Lease
    batch_steps: int = BATCH_STEPS

    @property
    def capabilities(self) -> Capabilities:
        """What the data plane can carry."""
        return self.driver.capabilities

    def observe(self, ids: Collection[WiredId]) -> Mapping[WiredId, Digest]:
        """Look; that needs no lease."""
        return self.driver.observe(ids)

    def survey(self, expected: Collection[Wired]) -> Surveying:
        """Look deeply; that needs no lease."""
        return self.driver.survey(expected)

    def apply(self, plan: Plan) -> Mapping[WiredId, DriverError]:
        """Take the plan's steps, in order, as long as the lease is held.

        Raises:
            LeaseLost: the lease ran out; a beginning of the plan has been applied.
        """
        errors: dict[WiredId, DriverError] = {}
        for batch in batches(plan, self.batch_steps):
            if not self.lease.is_held:
                raise LeaseLost("the database has not confirmed for two seconds that this agent leads")
            errors |= self.driver.apply(batch)
        return errors

    def close(self) -> None:
        """Let go of the data plane."""
        self.driver.close()
