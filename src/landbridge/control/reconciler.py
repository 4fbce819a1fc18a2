"""Keep the data plane equal to the database.

A wake-up starts a round over what changed since the last revision; a failed binding is tried again by itself after
its back-off; a sweep over everything runs at start-up and on a timer and makes lost wake-ups harmless. Rounds
never overlap. Removals that nobody asked for are held back if they are many (`brake`).

A sweep looks and repairs a part at a time. Between two parts a round runs if something was written, so that a cut never
waits for a sweep; what that round had to do with is newer than what the sweep has read, and the sweep leaves it alone.
Only the first look of a process has no rounds in between: until it has ended nobody knows what is wired.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Protocol, TypeVar

from landbridge.control.backoff import delay_seconds
from landbridge.control.brake import Brake, removals_asked_for, waiting
from landbridge.control.protocols import Clock, ReadTransaction, Store, WriteTransaction
from landbridge.control.round import (
    Outcome,
    Scope,
    compile_scope,
    needs_writing,
    outcomes,
    read_scope,
    settled,
    wanted,
    write_outcome,
)
from landbridge.control.settlements import Settlements, Wakeups
from landbridge.dataplane.bridging import NO_BRIDGES, Bridged
from landbridge.dataplane.compile import USUAL_TERMS, Terms
from landbridge.dataplane.driver import Driver, DriverError, Surveying, finish
from landbridge.dataplane.model import CONNECTIONS_PER_ENDPOINT, Digest, Wired, WiredId
from landbridge.dataplane.plan import Plan, batches, diff, id_of
from landbridge.domain.draining import is_cut_due, next_cut_at
from landbridge.domain.ids import PoolId
from landbridge.domain.resources import Endpoint, EndpointService

T = TypeVar("T")

PART_SECONDS = 0.05
"""How long a sweep looks at a stretch; one part of the driver's look takes a few milliseconds."""
STEPS_AT_ONCE = 100
"""How many steps of its plan a sweep takes at a stretch."""


class RoundObserver(Protocol):
    """Who hears about rounds: logs and metrics."""

    def round_finished(
        self, kind: str, plan: Plan, errors: Mapping[WiredId, DriverError], duration_seconds: float
    ) -> None:
        """A round went through, perhaps with failing bindings."""
        ...

    def round_failed(self, kind: str, error: Exception) -> None:
        """A round could not be carried out; it will be tried again."""
        ...

    def drift_found(self, ids: Collection[WiredId]) -> None:
        """Things differ from the database though nobody asked for a change."""
        ...

    def sweep_held(self, removals: int, wired: int) -> None:
        """A sweep holds back this many removals that nobody asked for; 0: none."""
        ...

    def observed(self, outcome: Outcome, lag_seconds: float) -> None:
        """A row's intent has been reached, or has failed."""
        ...


@dataclass(slots=True)
class _Retry:
    attempts: int
    due_at: float


def drift(plan: Plan, rows: Mapping[WiredId, EndpointService | Endpoint], now: datetime) -> Collection[WiredId]:
    """Return what a sweep has to change though nobody asked for a change since it was last reached."""
    reached = {
        id_
        for id_, row in rows.items()
        if row.observed_generation == row.generation
        and row.last_error is None
        and not (isinstance(row, Endpoint) and is_cut_due(row, now))
    }
    repaired = [step.wired.id for step in plan.ensures if step.wired.id in reached]
    return [*repaired, *(step.id for step in plan.removals if step.id not in rows)]


class Reconciler:
    """The one loop that owns a pool's data plane."""

    def __init__(
        self,
        store: Store,
        driver: Driver,
        pool_id: PoolId,
        clock: Clock,
        wakeups: Wakeups,
        settlements: Settlements,
        observer: RoundObserver,
        driver_thread: Executor,
        chance: Callable[[], float],
        sweep_interval_seconds: float = 300.0,
        confirm_removals: bool = False,
        bridged: Callable[[], Bridged] = lambda: NO_BRIDGES,
        connection_limit: int = CONNECTIONS_PER_ENDPOINT,
        monotonic: Callable[[], float] = time.monotonic,
        tidy: Callable[[], None] = lambda: None,
    ) -> None:
        """`tidy` is called in a thread after each sweep, which takes much memory and keeps little."""
        self._store = store
        self._driver = driver
        self._pool_id = pool_id
        self._clock = clock
        self._wakeups = wakeups
        self._settlements = settlements
        self._observer = observer
        self._driver_thread = driver_thread
        self._chance = chance
        self._sweep_interval_seconds = sweep_interval_seconds
        self._brake = Brake(confirms_first_sweep=confirm_removals)
        self._consent_used = asyncio.Event()
        self._bridged = bridged
        self._connection_limit = connection_limit
        self._monotonic = monotonic
        self._tidy = tidy
        self._revision = 0
        self._next_cut_at: datetime | None = None
        self._retries: dict[WiredId, _Retry] = {}
        self._round_attempts = 0
        self._must_sweep = True
        self._has_looked = False
        self._overtaken: set[WiredId] = set()

    async def run(self) -> None:
        """Run rounds until cancelled; sweep while it is unknown what the data plane carries."""
        next_sweep_at = self._monotonic() + self._sweep_interval_seconds
        while True:
            await self._wakeups.wait(self._seconds_to_wait(next_sweep_at))
            if self._must_sweep or self._monotonic() >= next_sweep_at:
                await self.sweep_supervised()
                next_sweep_at = self._monotonic() + self._sweep_interval_seconds
            else:
                await self.supervised("round", self.round)

    def look_again(self) -> None:
        """Sweep at once: what the data plane is attached to has changed."""
        self._must_sweep = True
        self._wakeups.ring()

    @property
    def held_removals(self) -> int:
        """How many removals wait for the operator's consent."""
        return self._brake.held_count

    async def confirm_removals(self) -> int:
        """Carry the removals out that are held back now; return how many they are, once a sweep has done so."""
        confirmed = self._brake.confirm()
        if confirmed:
            self._consent_used.clear()
            self.look_again()
            await self._consent_used.wait()
        return confirmed

    async def sweep_supervised(self) -> None:
        """Sweep; see `supervised`."""
        await self.supervised("sweep", self.sweep)
        await asyncio.to_thread(self._tidy)

    async def supervised(self, kind: str, work: Callable[[], Awaitable[None]]) -> None:
        """Run a round; whatever goes wrong is told, and tried again after a back-off."""
        try:
            await work()
            self._round_attempts = 0
        except Exception as error:  # the supervisor: one broken round must not end the loop
            self._round_attempts += 1
            self._must_sweep = True
            self._observer.round_failed(kind, error)
            await asyncio.sleep(delay_seconds(min(self._round_attempts, 6), self._chance()))
            self._wakeups.ring()

    def _seconds_to_wait(self, next_sweep_at: float) -> float:
        due = min((retry.due_at for retry in self._retries.values()), default=next_sweep_at)
        seconds = min(due, next_sweep_at) - self._monotonic()
        if self._next_cut_at is not None:
            seconds = min(seconds, (self._next_cut_at - self._clock.now()).total_seconds())
        return max(0.0, seconds)

    def _terms(self) -> Terms:
        return Terms(self._clock.now(), self._connection_limit)

    async def round(self) -> None:
        """Bring what changed since the last round, and what is due for another try, to the data plane."""
        started = self._monotonic()
        due = [id_ for id_, retry in self._retries.items() if retry.due_at <= started]
        bridged, terms, waiting = self._bridged(), self._terms(), self._retries.keys() - set(due)
        scope = await self._store.read(
            lambda tx: read_scope(
                tx, self._pool_id, self._revision, due, bridged=bridged, terms=terms, backing_off=waiting
            )
        )
        compiled = compile_scope(scope, self._driver.capabilities)
        vanished = set(due) - compiled.keys()
        for id_ in vanished:
            self._retries.pop(id_, None)
        plan, errors = Plan(), dict[WiredId, DriverError]()
        self._overtaken |= compiled.keys()
        if compiled:
            desired = wanted(compiled)
            was_holding = self._brake.held_count > 0

            def allowed(whole: Plan) -> Plan:
                rows = {**scope.services, **scope.endpoints}
                return self._brake.in_round(whole, removals_asked_for(whole, rows, compiled, terms.now))

            plan, errors, held = await self._in_driver_thread(lambda: self._bring_about(desired, allowed))
            await self._write_back(outcomes(scope, compiled, {**errors, **held}), terms.now, held)
            if self._brake.held_count and not was_holding:
                self.look_again()
        self._revision, self._next_cut_at = scope.revision, scope.next_cut_at
        if compiled:
            self._observer.round_finished("round", plan, errors, self._monotonic() - started)

    def _bring_about(
        self, desired: Mapping[WiredId, Wired | None], allowed: Callable[[Plan], Plan]
    ) -> tuple[Plan, dict[WiredId, DriverError], Mapping[WiredId, DriverError]]:
        whole = diff(desired, self._driver.observe(list(desired)))
        plan = allowed(whole)
        return plan, dict(self._driver.apply(plan)) if plan.steps else {}, waiting(whole, plan)

    async def sweep(self) -> None:
        """Compare everything with the data plane, deeply, and repair what differs."""
        started = self._monotonic()
        # Before anything is read: who asks for a look meanwhile wants another one.
        self._must_sweep = False
        self._overtaken.clear()
        bridged, terms = self._bridged(), self._terms()
        scope = await self._store.read(
            lambda tx: read_scope(tx, self._pool_id, 0, (), everything=True, bridged=bridged, terms=terms)
        )
        self._revision, self._next_cut_at = max(self._revision, scope.revision), scope.next_cut_at
        # In threads of their own: with many rows, whoever asks the API meanwhile would notice.
        compiled = await asyncio.to_thread(compile_scope, scope, self._driver.capabilities)
        desired = wanted(compiled)
        expected = [wired for wired in desired.values() if wired is not None]
        observed = await self._look(self._driver.survey(expected))
        self._has_looked = True
        services_of = {id_: row.service_id for id_, row in scope.endpoints.items()}
        scope, desired, observed = without(self._overtaken, scope, desired, observed)
        whole = Plan((await asyncio.to_thread(diff, desired, observed)).steps, is_sweep=True)
        rows = {**scope.services, **scope.endpoints}
        plan = self._brake.in_sweep(whole, removals_asked_for(whole, rows, compiled, terms.now), desired, observed)
        held = waiting(whole, plan)
        self._observer.sweep_held(self._brake.held_count, len(observed))
        # From nothing at all, everything has to be wired: that is a start, and nothing has drifted.
        if observed and (drifted := drift(plan, rows, terms.now)):
            self._observer.drift_found(drifted)
        errors = await self._take(plan)
        # A service has let go of what it left only when all its endpoints have: what came of some is not known here.
        theirs = {service_id for id_, service_id in services_of.items() if id_ in self._overtaken}
        scope, *_ = without(self._overtaken | theirs, scope, desired, observed)
        results = await asyncio.to_thread(outcomes, scope, compiled, {**errors, **held})
        await self._write_back(results, terms.now, held)
        self._brake.swept()
        self._observer.round_finished("sweep", plan, errors, self._monotonic() - started)
        if not self._brake.has_consent:
            self._consent_used.set()

    async def _look(self, surveying: Surveying) -> Mapping[WiredId, Digest]:
        """Go through with a survey, with rounds in between."""

        def stretch() -> Mapping[WiredId, Digest] | None:
            until = self._monotonic() + PART_SECONDS
            while self._monotonic() < until:
                try:
                    next(surveying)
                except StopIteration as ended:
                    return ended.value
            return None

        while (found := await self._in_driver_thread(stretch)) is None:
            if self._has_looked:
                await self._round_between()
        return found

    async def _take(self, plan: Plan) -> dict[WiredId, DriverError]:
        """Take the steps of a sweep's plan, with rounds in between; leave out what these have had to do with."""
        errors: dict[WiredId, DriverError] = {}
        for batch in batches(plan, STEPS_AT_ONCE):
            steps = tuple(step for step in batch.steps if id_of(step) not in self._overtaken)
            errors |= await self._in_driver_thread(partial(self._driver.apply, Plan(steps, batch.is_sweep)))
            await self._round_between()
        return {id_: error for id_, error in errors.items() if id_ not in self._overtaken}

    async def _round_between(self) -> None:
        if self._wakeups.take():
            await self.supervised("round", self.round)

    async def _write_back(
        self, results: Collection[Outcome], compiled_at: datetime, held: Collection[WiredId] = ()
    ) -> None:
        """Write down what was reached; of what is held nothing was, and the sweep that ends the hold tries it."""
        to_write = [
            outcome for outcome in results if outcome.row.id not in held and needs_writing(outcome, compiled_at)
        ]
        if to_write:
            await self._store.write(partial(_write_all, outcomes=to_write, now=compiled_at))
        now = self._clock.now()
        for outcome in results:
            if outcome.row.id in held:
                self._retries.pop(outcome.row.id, None)
            else:
                self._schedule(outcome)
        for row in settled(results):
            self._settlements.settle(row.id, row.generation)
        for outcome in to_write:
            self._observer.observed(outcome, max(0.0, (now - _asked_at(outcome.row, now)).total_seconds()))

    def _schedule(self, outcome: Outcome) -> None:
        id_ = outcome.row.id
        if not outcome.retry:
            self._retries.pop(id_, None)
            return
        attempts = self._retries[id_].attempts + 1 if id_ in self._retries else 1
        self._retries[id_] = _Retry(attempts, self._monotonic() + delay_seconds(attempts, self._chance()))

    async def _in_driver_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._driver_thread, work)


def without(
    overtaken: Collection[WiredId],
    scope: Scope,
    desired: Mapping[WiredId, Wired | None],
    observed: Mapping[WiredId, Digest],
) -> tuple[Scope, Mapping[WiredId, Wired | None], Mapping[WiredId, Digest]]:
    """Return what a sweep has read without the things with which rounds have had to do since."""
    if not overtaken:
        return scope, desired, observed
    return (
        replace(
            scope,
            services={id_: row for id_, row in scope.services.items() if id_ not in overtaken},
            endpoints={id_: row for id_, row in scope.endpoints.items() if id_ not in overtaken},
        ),
        {id_: wired for id_, wired in desired.items() if id_ not in overtaken},
        {id_: digest for id_, digest in observed.items() if id_ not in overtaken},
    )


def _write_all(tx: WriteTransaction, outcomes: Collection[Outcome], now: datetime) -> None:
    for outcome in outcomes:
        write_outcome(tx, outcome, now)


def _asked_at(row: EndpointService | Endpoint, now: datetime) -> datetime:
    """Return when a row's last intent became due: when it was written, or at its deadline."""
    deadline = next_cut_at(row) if isinstance(row, Endpoint) else None
    return row.updated_at if deadline is None or deadline > now else max(deadline, row.updated_at)


def plan_everything(
    tx: ReadTransaction, driver: Driver, pool_id: PoolId, bridged: Bridged = NO_BRIDGES, terms: Terms = USUAL_TERMS
) -> Plan:
    """Return what a sweep would do now, without doing it (`landbridge plan`)."""
    scope = read_scope(tx, pool_id, 0, (), everything=True, bridged=bridged, terms=terms)
    desired = wanted(compile_scope(scope, driver.capabilities))
    observed = finish(driver.survey([wired for wired in desired.values() if wired is not None]))
    return Plan(diff(desired, observed).steps, is_sweep=True)
