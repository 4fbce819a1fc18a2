"""When backends are probed, and what is shown of it; time passes only when a test says so."""

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from ipaddress import IPv4Address
from typing import Any

import pytest

from landbridge.control.health import LANE_WIDTH, HealthChecks
from landbridge.control.queries import Changes
from landbridge.dataplane.health import Cause, Health, Probe, Result, probe_of
from landbridge.domain.errors import EndpointNotFound, ServiceNotFound
from landbridge.domain.ids import EndpointId, PoolId, ProjectId, ServiceId
from landbridge.domain.resources import Endpoint, EndpointService, PortMapping
from tests.examples import NOW, a_service, an_endpoint

STRANGER = ProjectId("5" * 32)


def available(**changes: Any) -> EndpointService:
    return a_service(observed_generation=1, **changes)


def many(count: int) -> list[EndpointService]:
    """Return services on hosts of their own."""
    backend = a_service().backend
    return [
        available(
            id=ServiceId(f"service-{number}"),
            backend=replace(backend, transit_address=IPv4Address("198.19.128.1") + number),
        )
        for number in range(count)
    ]


@dataclass
class Database:
    """As much of a store as health reads."""

    services: dict[ServiceId, EndpointService] = field(default_factory=dict)
    endpoints: dict[EndpointId, Endpoint] = field(default_factory=dict)
    revision: int = 1
    changed: dict[ServiceId, int] = field(default_factory=dict)

    def put(self, *services: EndpointService) -> None:
        """Store what a tenant wants; the revision tells of it."""
        self.revision += 1
        for service in services:
            self.services[service.id] = service
            self.changed[service.id] = self.revision

    def observe(self, service: EndpointService) -> None:
        """Store what a round reached; no revision tells of it."""
        self.services[service.id] = replace(service, observed_generation=service.generation)

    async def read(self, look: Callable[[Any], Any]) -> Any:
        return look(self)

    def changes_since(self, revision: int, pool_id: PoolId | None = None) -> Changes:
        found = [service for service in self.services.values() if self.changed[service.id] > revision]
        return Changes(self.revision, found, [])

    def services_by_id(self, ids: Collection[ServiceId]) -> dict[ServiceId, EndpointService]:
        return {id_: self.services[id_] for id_ in ids if id_ in self.services}

    def service(self, id_: ServiceId) -> EndpointService | None:
        return self.services.get(id_)

    def own_service(self, project_id: ProjectId, id_: ServiceId) -> EndpointService | None:
        found = self.services.get(id_)
        return found if found is not None and found.project_id == project_id else None

    def own_endpoint(self, project_id: ProjectId, id_: EndpointId) -> Endpoint | None:
        found = self.endpoints.get(id_)
        return found if found is not None and found.project_id == project_id else None


@dataclass
class Time:
    """A wall clock and a monotonic one that go together."""

    seconds: float = 0.0

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds


@dataclass
class Backends:
    """A prober whose backends do what a test says; a silent one answers when it is let go."""

    results: dict[IPv4Address, Result] = field(default_factory=dict)
    silent: set[IPv4Address] = field(default_factory=set)
    probed: list[Probe] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def probe(self, probe: Probe, timeout_seconds: float) -> Result:
        assert timeout_seconds > 0
        self.probed.append(probe)
        if probe.transit_address in self.silent:
            await self.gate.wait()
            return Result(Cause.SILENT)
        await asyncio.sleep(0)
        return self.results.get(probe.transit_address, Result(latency_seconds=0.001))

    def close(self) -> None:
        """Nothing is open."""


@dataclass
class Heard:
    results: list[Result] = field(default_factory=list)
    counts: Mapping[Health, int] = field(default_factory=dict)
    errors: list[Exception] = field(default_factory=list)

    def probed(self, result: Result) -> None:
        self.results.append(result)

    def backends_counted(self, counts: Mapping[Health, int]) -> None:
        self.counts = counts

    def health_failed(self, error: Exception) -> None:
        self.errors.append(error)


@dataclass
class Stage:
    database: Database = field(default_factory=Database)
    time: Time = field(default_factory=Time)
    backends: Backends = field(default_factory=Backends)
    heard: Heard = field(default_factory=Heard)
    chance: Iterator[float] = field(default_factory=lambda: iter(lambda: 0.5, None))

    def checks(self, *, is_on: bool = True, has_prober: bool = True, interval_seconds: float = 10.0) -> HealthChecks:
        return HealthChecks(
            self.database,  # pyright: ignore[reportArgumentType] — as much of a store as is read
            self.backends if has_prober else None,
            self.time,
            self.heard,
            lambda: next(self.chance),
            interval_seconds,
            is_on,
            self.time.monotonic,
        )

    async def pass_seconds(self, checks: HealthChecks, seconds: float) -> None:
        self.time.seconds += seconds
        await checks.look()
        checks.start_due()
        await checks.settled()


@pytest.fixture
def stage() -> Stage:
    return Stage()


async def test_a_new_service_is_probed_soon_and_then_once_an_interval(stage: Stage):
    stage.database.put(available())
    checks = stage.checks()
    await checks.look()

    await stage.pass_seconds(checks, 1)
    assert len(stage.backends.probed) == 1
    await stage.pass_seconds(checks, 5)
    assert len(stage.backends.probed) == 1
    await stage.pass_seconds(checks, 5)
    assert len(stage.backends.probed) == 2


async def test_chance_moves_the_next_probe_by_a_fifth_of_the_interval_at_most(stage: Stage):
    stage.database.put(available())
    stage.chance = iter([0.0, 0.0, 0.999, 0.5])  # the first start, then the next two intervals
    checks = stage.checks()
    await stage.pass_seconds(checks, 1)

    await stage.pass_seconds(checks, 7.9)
    assert len(stage.backends.probed) == 1
    await stage.pass_seconds(checks, 0.2)
    assert len(stage.backends.probed) == 2
    await stage.pass_seconds(checks, 11.9)
    assert len(stage.backends.probed) == 2
    await stage.pass_seconds(checks, 0.2)
    assert len(stage.backends.probed) == 3


async def test_many_new_services_do_not_start_at_once(stage: Stage):
    stage.database.put(*many(1000))
    numbers = iter(range(10**6))
    stage.chance = iter(lambda: (next(numbers) % 100) / 100, None)
    checks = stage.checks()
    await checks.look()

    started = [len(checks.start_due())]
    while len(started) < 60:
        stage.time.seconds += 0.1
        started.append(len(checks.start_due()))
        await checks.settled()

    assert sum(started) == 1000
    assert max(started) <= 40


async def test_services_on_one_backend_are_probed_by_one_probe(stage: Stage):
    other = available(id=ServiceId("other"), ports=(PortMapping(9000, 80),))
    stage.database.put(available(), other)
    checks = stage.checks()
    await checks.look()
    await stage.pass_seconds(checks, 1)

    assert len(stage.backends.probed) == 1
    for service in (available(), other):
        assert (await checks.of_service(service.project_id, service.id)).health is Health.PASSING


async def test_a_service_is_probed_as_soon_as_it_is_wired_though_no_revision_tells_of_it(stage: Stage):
    service = a_service()
    stage.database.put(service)
    checks = stage.checks()
    await stage.pass_seconds(checks, 1)
    assert stage.backends.probed == []

    stage.database.observe(service)
    await stage.pass_seconds(checks, 1)
    await stage.pass_seconds(checks, 1)

    assert len(stage.backends.probed) == 1


async def test_what_is_gone_is_probed_no_more(stage: Stage):
    service = available()
    stage.database.put(service)
    checks = stage.checks()
    await checks.look()
    await stage.pass_seconds(checks, 1)

    stage.database.put(replace(service, delete_requested_at=NOW))
    await stage.pass_seconds(checks, 1)
    del stage.database.services[service.id]
    for _ in range(5):
        await stage.pass_seconds(checks, 10)

    assert len(stage.backends.probed) == 1
    assert sum(stage.heard.counts.values()) == 0


async def test_what_vanished_without_a_trace_is_probed_no_more_after_a_while(stage: Stage):
    service = available()
    stage.database.put(service)
    checks = stage.checks()
    await checks.look()
    del stage.database.services[service.id]

    await stage.pass_seconds(checks, 400)
    probed = len(stage.backends.probed)
    await stage.pass_seconds(checks, 100)

    assert len(stage.backends.probed) == probed


async def test_dead_backends_do_not_delay_the_others(stage: Stage):
    living, *dead = many(1000)
    stage.backends.silent = {service.backend.transit_address for service in dead}
    stage.backends.gate.set()
    stage.database.put(living, *dead)
    checks = stage.checks()
    await checks.look()
    await stage.pass_seconds(checks, 10)
    stage.backends.probed.clear()

    # From now on dead backends keep their probes waiting, and all are due.
    stage.backends.gate.clear()
    stage.time.seconds += 13
    assert len(checks.start_due()) == 1000
    while checks.finding(probe_of(living, 80)).checked_at != stage.time.now():  # noqa: ASYNC110 — time stands still
        await asyncio.sleep(0)

    assert checks.finding(probe_of(living, 80)).health is Health.PASSING
    assert len(stage.backends.probed) == LANE_WIDTH + 1
    stage.backends.gate.set()
    await checks.settled()
    assert len(stage.backends.probed) == 1000


@pytest.mark.parametrize(
    ("cause", "health"),
    [(None, Health.PASSING), (Cause.REFUSED, Health.FAILING), (Cause.AWAY, Health.UNKNOWN)],
)
async def test_provider_and_consumer_see_the_same_health_and_the_provider_why(
    stage: Stage, cause: Cause | None, health: Health
):
    service, endpoint = available(), an_endpoint()
    stage.database.put(service)
    stage.database.endpoints[endpoint.id] = endpoint
    stage.backends.results[service.backend.transit_address] = Result(cause)
    checks = stage.checks()
    await checks.look()
    await stage.pass_seconds(checks, 1)

    for_provider = await checks.of_service(service.project_id, service.id)

    assert for_provider.health is health
    assert [(port.client_ports, port.probe.server_port) for port in for_provider.ports] == [((8080,), 80)]
    assert for_provider.ports[0].finding.cause is cause
    assert await checks.of_endpoint(endpoint.project_id, endpoint.id) is health


async def test_nobody_sees_the_health_of_what_is_not_theirs(stage: Stage):
    service, endpoint = available(), an_endpoint()
    stage.database.put(service)
    stage.database.endpoints[endpoint.id] = endpoint
    checks = stage.checks()

    with pytest.raises(ServiceNotFound):
        await checks.of_service(STRANGER, service.id)
    with pytest.raises(EndpointNotFound):
        await checks.of_endpoint(STRANGER, endpoint.id)


@pytest.mark.parametrize(
    ("is_on", "has_prober", "cause"),
    [(True, True, Cause.NOT_PROBED), (False, True, Cause.OFF), (True, False, Cause.AWAY)],
)
async def test_health_that_nobody_looked_at_is_unknown_with_the_reason(
    stage: Stage, is_on: bool, has_prober: bool, cause: Cause
):
    service = available()
    stage.database.put(service)

    finding = (
        (await stage.checks(is_on=is_on, has_prober=has_prober).of_service(service.project_id, service.id))
        .ports[0]
        .finding
    )

    assert (finding.health, finding.cause) == (Health.UNKNOWN, cause)


async def test_a_finding_that_is_too_old_says_nothing(stage: Stage):
    service = available()
    stage.database.put(service)
    checks = stage.checks()
    await checks.look()
    await stage.pass_seconds(checks, 1)
    assert checks.finding(probe_of(service, 80)).health is Health.PASSING

    stage.time.seconds += 61

    assert checks.finding(probe_of(service, 80)).cause is Cause.NOT_PROBED


async def test_whoever_asks_for_a_probe_gets_one_at_most_once_a_second(stage: Stage):
    service = available()
    stage.database.put(service)
    checks, probe = stage.checks(), probe_of(service, 80)
    await checks.look()

    findings = await asyncio.gather(*(checks.probe_now(probe) for _ in range(5)))
    findings.append(await checks.probe_now(probe))
    assert ({finding.health for finding in findings}, len(stage.backends.probed)) == ({Health.PASSING}, 1)

    stage.time.seconds += 2
    await checks.probe_now(probe)
    assert len(stage.backends.probed) == 2


async def test_a_probe_that_was_asked_for_is_answered_also_if_probing_is_off(stage: Stage):
    checks = stage.checks(is_on=False)

    finding = await checks.probe_now(probe_of(available(), 80))

    assert finding.health is Health.PASSING


async def test_the_loop_survives_a_database_that_cannot_be_read_and_ends_its_probes_with_itself(stage: Stage):
    stage.database.put(available())
    stage.backends.silent = {available().backend.transit_address}
    reading, failures = stage.database.read, iter([True])

    async def read(look: Callable[[Any], Any]) -> Any:
        if next(failures, False):
            raise RuntimeError("the disk is away")
        return await reading(look)

    stage.database.read = read  # pyright: ignore[reportAttributeAccessIssue]
    checks = stage.checks()
    loop = asyncio.create_task(checks.run())
    while not stage.backends.probed:
        stage.time.seconds += 0.5
        await asyncio.sleep(0.005)
    loop.cancel()
    with suppress(asyncio.CancelledError):
        await loop

    assert [str(error) for error in stage.heard.errors] == ["the disk is away"]
    await asyncio.wait_for(checks.settled(), 5)
