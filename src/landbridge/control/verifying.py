"""Find out whether the data plane equals the database, beside the server that keeps it so.

Neither stands still: what is in motion is waited for, a bounded time, and a difference counts only when nothing moved
while it was looked for, or when it is still there after the wait. Nothing is changed.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from functools import partial

from landbridge.control.health import Prober
from landbridge.control.protocols import Store
from landbridge.control.round import Scope, compile_scope, read_scope, wanted
from landbridge.dataplane.bridging import NO_BRIDGES, Bridged
from landbridge.dataplane.compile import Terms
from landbridge.dataplane.driver import Capabilities
from landbridge.dataplane.health import CONNECT_SECONDS, Cause, Finding, Health, Probe, Result, probe_of, reason
from landbridge.dataplane.model import Binding, Wired, WiredId
from landbridge.dataplane.verification import Difference, Looker
from landbridge.domain.draining import is_cut_due
from landbridge.domain.ids import EndpointId, PoolId
from landbridge.domain.resources import Endpoint, EndpointService

WAIT_SECONDS = 10.0
"""How long rows in motion are waited for."""
SAMPLE_SIZE = 16
"""How many endpoints a sample has."""
_PAUSE_SECONDS = 0.2
_PROBES_AT_ONCE = 64


class Probing(StrEnum):
    """Through which accepted endpoints connections are tried."""

    NONE = "none"
    SAMPLE = "sample"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A backend that took no connection, though nothing is wrong with the way to it as far as can be seen."""

    probe: Probe
    cause: Cause
    reason: str
    endpoints: tuple[EndpointId, ...]
    """Those of the probed endpoints that lead there."""


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found."""

    differences: Sequence[Difference]
    """Sorted; none: the data plane equals the database."""
    compared: int
    """How many endpoints and services should be wired."""
    waited_seconds: float
    probes: int = 0
    """How many connections were tried."""
    unanswered: Sequence[Unanswered] = ()


@dataclass(frozen=True, slots=True)
class _Expectation:
    """What should be wired at one moment."""

    scope: Scope
    wired: tuple[Wired, ...]

    def moving(self, now: datetime) -> dict[WiredId, int]:
        """Return the rows whose intent the data plane has not confirmed yet, with their generations."""
        rows: Mapping[WiredId, EndpointService | Endpoint] = {**self.scope.services, **self.scope.endpoints}
        return {id_: row.generation for id_, row in rows.items() if _is_moving(row, now)}


class Verifier:
    """Compares one pool's rows with its data plane. Not for use by two at once."""

    def __init__(
        self,
        store: Store,
        looker: Looker,
        prober: Prober,
        pool_id: PoolId,
        capabilities: Capabilities,
        terms: Callable[[], Terms],
        driver_thread: Executor,
        bridged: Bridged = NO_BRIDGES,
        wait_seconds: float = WAIT_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Have the looker called in `driver_thread` only; `terms` say how rows are compiled now."""
        self._store = store
        self._looker = looker
        self._prober = prober
        self._pool_id = pool_id
        self._capabilities = capabilities
        self._terms = terms
        self._driver_thread = driver_thread
        self._bridged = bridged
        self._wait_seconds = wait_seconds
        self._monotonic = monotonic
        self._pause = pause

    async def verify(self, probing: Probing = Probing.NONE) -> Verification:
        """Return what differs, and with probes also which backends take no connection.

        Raises:
            DriverError: the data plane cannot be read.
        """
        started = self._monotonic()
        expectation, differences = await self._settled_comparison(started + self._wait_seconds)
        waited = self._monotonic() - started
        found = Verification(differences, len(expectation.wired), waited)
        return found if probing is Probing.NONE else await self._with_probes(found, expectation, probing)

    async def _settled_comparison(self, deadline: float) -> tuple[_Expectation, list[Difference]]:
        before: set[Difference] | None = None
        first_moving: Mapping[WiredId, int] | None = None
        while True:
            expectation = await self._expectation()
            moving = expectation.moving(self._terms().now)
            first_moving = moving if first_moving is None else first_moving
            is_late = self._monotonic() >= deadline
            if moving and not is_late:
                await self._pause(_PAUSE_SECONDS)
                continue
            differences = await self._look(expectation.wired)
            if not differences and not moving:
                return expectation, []
            after = await self._expectation()
            is_still = not after.moving(self._terms().now) and after.scope.revision == expectation.scope.revision
            if is_still:
                return expectation, differences
            if is_late and before is not None:
                # Whatever is not the same in two looks has come or gone meanwhile.
                lasting = [one for one in differences if one in before]
                return expectation, sorted([*lasting, *_stuck(first_moving, after, self._terms().now)])
            before = set(differences)
            await self._pause(_PAUSE_SECONDS)

    async def _expectation(self) -> _Expectation:
        terms = self._terms()
        scope = await self._store.read(
            lambda tx: read_scope(tx, self._pool_id, 0, (), everything=True, bridged=self._bridged, terms=terms)
        )
        desired = wanted(compile_scope(scope, self._capabilities))
        return _Expectation(scope, tuple(wired for wired in desired.values() if wired is not None))

    async def _look(self, wired: Sequence[Wired]) -> list[Difference]:
        look = partial(self._looker.look, wired)
        return list(await asyncio.get_running_loop().run_in_executor(self._driver_thread, look))

    async def _with_probes(self, found: Verification, expectation: _Expectation, probing: Probing) -> Verification:
        bindings = sorted((one for one in expectation.wired if isinstance(one, Binding)), key=lambda one: one.id)
        if probing is Probing.SAMPLE:
            bindings = sample(bindings, SAMPLE_SIZE)
        users: dict[Probe, list[EndpointId]] = defaultdict(list)
        for binding in bindings:
            service = expectation.scope.providers[expectation.scope.endpoints[binding.id].service_id]
            for port in sorted({forward.server_port for forward in binding.forwards}):
                users[probe_of(service, port)].append(binding.id)
        lane = asyncio.Semaphore(_PROBES_AT_ONCE)

        async def tried(probe: Probe) -> Result:
            async with lane:
                return await self._prober.probe(probe, CONNECT_SECONDS)

        results = dict(zip(users, await asyncio.gather(*map(tried, users)), strict=True))
        away = [_no_way(probe, result, users[probe]) for probe, result in results.items() if result.cause is Cause.AWAY]
        unanswered = [
            Unanswered(probe, cause, reason(Finding(Health.FAILING, cause), probe), tuple(users[probe]))
            for probe, result in sorted(results.items(), key=lambda pair: pair[0])
            if (cause := result.cause) is not None and cause is not Cause.AWAY
        ]
        return replace(
            found, differences=sorted([*found.differences, *away]), probes=len(results), unanswered=unanswered
        )


def sample(bindings: Sequence[Binding], size: int) -> list[Binding]:
    """Return at most `size` of them, evenly spread and the same for the same ones."""
    if len(bindings) <= size:
        return list(bindings)
    return [bindings[number * len(bindings) // size] for number in range(size)]


def _is_moving(row: EndpointService | Endpoint, now: datetime) -> bool:
    return row.observed_generation != row.generation or (isinstance(row, Endpoint) and is_cut_due(row, now))


def _stuck(first: Mapping[WiredId, int], last: _Expectation, now: datetime) -> list[Difference]:
    """Say which rows have been in motion, with one and the same intent, the whole time."""
    rows: Mapping[WiredId, EndpointService | Endpoint] = {**last.scope.services, **last.scope.endpoints}
    return [
        Difference(
            "the database",
            f"{'endpoint' if isinstance(rows[id_], Endpoint) else 'service'} {id_}",
            f"generation {generation} carried out",
            f"generation {rows[id_].observed_generation}: no agent has carried it out",
            (id_,),
        )
        for id_, generation in last.moving(now).items()
        if first.get(id_) == generation
    ]


def _no_way(probe: Probe, result: Result, users: Sequence[EndpointId]) -> Difference:
    return Difference(
        f"the way to {probe.address} port {probe.server_port}",
        f"connection to {probe.transit_address}",
        "a connection from the hub to the backend",
        result.detail or "no way",
        tuple(sorted(users)),
    )
