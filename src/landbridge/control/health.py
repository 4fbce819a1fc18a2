"""Keep finding out which backends take connections, and tell their providers and consumers.

Each probe of a living service runs about every interval, jittered, so that many do not run at once. Backends that do
not answer are probed in a lane of their own: however many there are, the others do not wait for them. Nothing here
changes a status word, a quota or a counter of a tenant.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import heappop, heappush
from typing import Protocol

from landbridge.control.endpoint_services import own_or_public_service
from landbridge.control.endpoints import own_endpoint
from landbridge.control.protocols import Clock, ReadTransaction, Store
from landbridge.dataplane.health import (
    CONNECT_SECONDS,
    NOT_PROBED,
    STALE_AFTER_INTERVALS,
    SWITCHED_OFF,
    Cause,
    Finding,
    Health,
    Probe,
    Result,
    next_finding,
    probe_of,
    probes_of,
    server_ports,
    together,
)
from landbridge.domain.ids import EndpointId, PoolId, ProjectId, ServiceId
from landbridge.domain.resources import Backend, EndpointService

LANE_WIDTH = 256
"""Probes under way at once of backends that answer, and as many of others."""
LOOK_SECONDS = 1.0
"""How often it is looked for changed services."""
READ_AFRESH_SECONDS = 300.0
"""How often all services are read: some may have gone without a trace."""
FRESH_SECONDS = 1.0
"""A finding that is no older answers also whoever asks for a probe now."""
_JITTER = 0.2
_SPREAD_SECONDS = 0.005
"""New probes start within so many seconds for each of them, so that thousands do not start at once."""


class Prober(Protocol):
    """Who can open a connection the way a consumer's packets go."""

    async def probe(self, probe: Probe, timeout_seconds: float) -> Result:
        """Return what came of one connection; never raises for what a network or a backend does."""
        ...

    def close(self) -> None:
        """Let go of sockets."""
        ...


class HealthObserver(Protocol):
    """Who hears about probes: logs and metrics."""

    def probed(self, result: Result) -> None:
        """A probe ended."""
        ...

    def backends_counted(self, counts: Mapping[Health, int]) -> None:
        """So many probed backend ports are in each state."""
        ...

    def health_failed(self, error: Exception) -> None:
        """The loop could not go on; it tries again."""
        ...


@dataclass(frozen=True, slots=True)
class PortHealth:
    """What is known about one server port of a service."""

    client_ports: tuple[int, ...]
    probe: Probe
    finding: Finding


@dataclass(frozen=True, slots=True)
class ServiceHealth:
    """What a provider may know about its backend; no ports: a gateway service, which is not probed."""

    service_id: ServiceId
    health: Health
    ports: tuple[PortHealth, ...]


@dataclass(slots=True)
class _Check:
    """A probe that is repeated."""

    finding: Finding = NOT_PROBED
    due_at: float = 0.0
    """On the monotonic clock."""

    @property
    def was_silent(self) -> bool:
        return self.finding.cause in {Cause.SILENT, Cause.UNREACHABLE}


class HealthChecks:
    """The loop that probes, and the use cases that show what it found."""

    def __init__(
        self,
        store: Store,
        prober: Prober | None,
        clock: Clock,
        observer: HealthObserver,
        chance: Callable[[], float],
        interval_seconds: float = 10.0,
        is_on: bool = True,
        monotonic: Callable[[], float] = time.monotonic,
        pool_id: PoolId | None = None,
    ) -> None:
        """Probe a pool's backends by `prober`; None: the data plane carries nothing that could be probed."""
        self._store = store
        self._prober = prober
        self._clock = clock
        self._observer = observer
        self._chance = chance
        self._interval_seconds = interval_seconds
        self._is_on = is_on
        self._pool_id = pool_id
        self._monotonic = monotonic
        self._revision = 0
        self._read_afresh_at = 0.0
        self._unready: set[ServiceId] = set()
        self._probes: dict[ServiceId, tuple[Probe, ...]] = {}
        self._checks: dict[Probe, _Check] = {}
        self._schedule: list[tuple[float, Probe]] = []
        self._running: dict[Probe, asyncio.Task[Finding]] = {}
        self._lanes = {silent: asyncio.Semaphore(LANE_WIDTH) for silent in (True, False)}

    # What is known

    async def of_service(self, project_id: ProjectId, id_: ServiceId, *, sees_public: bool = False) -> ServiceHealth:
        """Return the health of a project's own service, by port; for whoever `sees_public`, of a public one too.

        Raises:
            ServiceNotFound: unknown, or of another project.
        """
        service = await self._store.read(lambda tx: own_or_public_service(tx, project_id, id_, sees_public=sees_public))
        return self._health_of(service)

    async def of_endpoint(self, project_id: ProjectId, id_: EndpointId) -> Health:
        """Return whether the backend behind a project's own endpoint takes connections; no more is its business.

        Raises:
            EndpointNotFound: unknown, or of another project.
        """

        def look(tx: ReadTransaction) -> EndpointService | None:
            return tx.service(own_endpoint(tx, project_id, id_).service_id)

        service = await self._store.read(look)
        return Health.UNKNOWN if service is None else self._health_of(service).health

    def finding(self, probe: Probe) -> Finding:
        """Return what is known about a probe."""
        check = self._checks.get(probe)
        if check is None:
            return NOT_PROBED if self._is_on and self._prober is not None else self._why_never()
        return self._unless_stale(check.finding, self._clock.now())

    async def probe_now(self, probe: Probe) -> Finding:
        """Probe at once, unless that is under way or was done within the last second."""
        if self._prober is None:
            return self._why_never()
        known = self.finding(probe)
        now = self._clock.now()
        if known.checked_at is not None and now - known.checked_at < timedelta(seconds=FRESH_SECONDS):
            return known
        # Shielded: whoever asked may hang up, and others wait for the same answer.
        return await asyncio.shield(self._start(probe))

    def _unless_stale(self, finding: Finding, now: datetime) -> Finding:
        patience = timedelta(seconds=STALE_AFTER_INTERVALS * self._interval_seconds)
        is_stale = finding.checked_at is not None and now - finding.checked_at > patience
        return NOT_PROBED if is_stale else finding

    def _why_never(self) -> Finding:
        if self._prober is None:
            return Finding(Health.UNKNOWN, Cause.AWAY, detail="this data plane carries no packets")
        return SWITCHED_OFF

    def _health_of(self, service: EndpointService) -> ServiceHealth:
        if not isinstance(service.backend, Backend):
            return ServiceHealth(service.id, Health.UNKNOWN, ())
        ports: list[PortHealth] = []
        for server_port in server_ports(service):
            probe = probe_of(service, server_port)
            clients = (mapping.client_port for mapping in service.ports if mapping.server_port == server_port)
            ports.append(PortHealth(tuple(sorted(clients)), probe, self.finding(probe)))
        return ServiceHealth(service.id, together(port.finding for port in ports), tuple(ports))

    # The loop

    async def run(self) -> None:
        """Probe until cancelled; does nothing if there is nobody to probe, or it is switched off."""
        if self._prober is None or not self._is_on:
            return
        try:
            look_at = 0.0
            while True:
                now = self._monotonic()
                if now >= look_at:
                    await self._supervised_look()
                    look_at = now + LOOK_SECONDS
                self.start_due()
                next_at = min(look_at, self._schedule[0][0]) if self._schedule else look_at
                await asyncio.sleep(max(0.01, next_at - self._monotonic()))
        finally:
            running = list(self._running.values())
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _supervised_look(self) -> None:
        try:
            await self.look()
        except Exception as error:  # a supervisor: an unreadable database must not end the loop
            self._observer.health_failed(error)

    async def look(self) -> None:
        """Learn which services there are, and which of their probes are new or not needed any more."""
        now = self._monotonic()
        is_afresh = now >= self._read_afresh_at
        revision, unready = 0 if is_afresh else self._revision, list(self._unready)

        def read(tx: ReadTransaction) -> tuple[int, dict[ServiceId, EndpointService]]:
            changes = tx.changes_since(revision, self._pool_id)
            found = {service.id: service for service in changes.services}
            return changes.revision, dict(tx.services_by_id(unready)) | found

        self._revision, changed = await self._store.read(read)
        if is_afresh:
            self._read_afresh_at = now + READ_AFRESH_SECONDS
            gone = self._probes.keys() - changed.keys()
        else:
            gone = self._unready - changed.keys()
        for id_ in gone:
            self._probes.pop(id_, None)
            self._unready.discard(id_)
        for id_, service in changed.items():
            probes = probes_of(service)
            self._probes[id_] = probes
            if not probes and isinstance(service.backend, Backend):
                # When it is ready, no revision tells of it.
                self._unready.add(id_)
            else:
                self._unready.discard(id_)
        if changed or gone:
            self._schedule_new()
        self._observer.backends_counted(self._counts())

    def start_due(self) -> Collection[Probe]:
        """Start the probes whose time has come, and return them."""
        now = self._monotonic()
        due: list[Probe] = []
        while self._schedule and self._schedule[0][0] <= now:
            at, probe = heappop(self._schedule)
            check = self._checks.get(probe)
            if check is not None and check.due_at == at:
                due.append(probe)
        for probe in due:
            self._start(probe)
        return due

    async def settled(self) -> None:
        """Wait until no probe is under way."""
        while self._running:
            await asyncio.gather(*self._running.values(), return_exceptions=True)

    def _schedule_new(self) -> None:
        uses = Counter(probe for probes in self._probes.values() for probe in probes)
        for probe in self._checks.keys() - uses.keys():
            del self._checks[probe]
        new = uses.keys() - self._checks.keys()
        spread = min(self._interval_seconds, len(new) * _SPREAD_SECONDS)
        for probe in new:
            self._checks[probe] = _Check()
            self._be_due(probe, spread * self._chance())

    def _be_due(self, probe: Probe, in_seconds: float) -> None:
        check = self._checks.get(probe)
        if check is not None:
            check.due_at = self._monotonic() + in_seconds
            heappush(self._schedule, (check.due_at, probe))

    def _start(self, probe: Probe) -> asyncio.Task[Finding]:
        task = self._running.get(probe)
        if task is None:
            task = self._running[probe] = asyncio.create_task(self._check(probe), name="probe")
            task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Finding]) -> None:
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            self._observer.health_failed(error)

    async def _check(self, probe: Probe) -> Finding:
        assert self._prober is not None  # noqa: S101 - nothing is started without one
        known = self._checks.get(probe, _Check())
        try:
            async with self._lanes[known.was_silent]:
                result = await self._prober.probe(probe, CONNECT_SECONDS)
            self._observer.probed(result)
            finding = next_finding(known.finding, result, self._clock.now())
            # Looked up anew: what was probed may be nobody's any more.
            check = self._checks.get(probe)
            if check is not None:
                check.finding = finding
            return finding
        finally:
            self._running.pop(probe, None)
            self._be_due(probe, self._interval_seconds * (1 + _JITTER * (2 * self._chance() - 1)))

    def _counts(self) -> Mapping[Health, int]:
        now = self._clock.now()
        counts = Counter(self._unless_stale(check.finding, now).health for check in self._checks.values())
        return {health: counts[health] for health in Health}
