"""Put use cases, identity, limits and the loop on top of a store and a driver."""

import asyncio
import random
import uuid
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from landbridge.api.limits import RequestLimits
from landbridge.api.services import Api
from landbridge.bootstrap.diagnosis_wiring import BLIND, Eyes
from landbridge.bootstrap.identities import ChosenIdentity, choose_identity
from landbridge.bootstrap.memory import give_back_memory
from landbridge.bootstrap.traffic_wiring import TrafficParts, no_traffic
from landbridge.control.audit_log import AuditLog
from landbridge.control.capacity import Capacity, EdgeReports
from landbridge.control.connections import Connections
from landbridge.control.cut_offs import CutOffChoices
from landbridge.control.endpoint_changes import EndpointChanges
from landbridge.control.endpoint_services import EndpointServices
from landbridge.control.endpoints import Endpoints
from landbridge.control.gateway_following import FollowingGateways
from landbridge.control.health import HealthChecks
from landbridge.control.network_protocols import NetworkWiring, Unwired
from landbridge.control.networks import Networks
from landbridge.control.nics import Nics
from landbridge.control.permissions import Permissions
from landbridge.control.protocols import Clock, Store, WriteTransaction
from landbridge.control.publishing import PublicServices
from landbridge.control.quotas import Quotas
from landbridge.control.readiness import Readiness
from landbridge.control.reconciler import Reconciler
from landbridge.control.route_tables import RouteTables
from landbridge.control.service_changes import ServiceChanges
from landbridge.control.settlements import Settlements, Wakeups
from landbridge.control.tagging import Tagging
from landbridge.control.tracing import Counting, Tracing
from landbridge.control.traffic import Traffic
from landbridge.dataplane.bridging import NO_BRIDGES, Bridged
from landbridge.dataplane.compile import Terms
from landbridge.dataplane.driver import Driver
from landbridge.dataplane.pools import Pool
from landbridge.directory.builtin import BuiltinDirectory
from landbridge.domain.ids import PoolId
from landbridge.domain.resources import QuotaType
from landbridge.domain.validation import MODERN_TAGS, STANDARD_TAGS
from landbridge.identity.state_keys import StateKeys
from landbridge.observability import Telemetry
from landbridge.settings import DEFAULT_POOL, Settings

_POOL_NAMESPACE = uuid.UUID("6c1f6d0e-3f6b-4b0e-9d7c-5d1c8f0a2b11")
_REQUESTS_PER_SECOND = 200
_FAILED_SIGNINS_PER_MINUTE = 10


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the current moment, aware and in UTC."""
        return datetime.now(UTC)


class RandomIds:
    """Ids from the machine's source of chance."""

    def new(self) -> str:
        """Return a random UUID."""
        return str(uuid.uuid4())


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """What `landbridge serve` was told beside its settings."""

    state: Path
    lab_file: Path | None = None
    keep_lab: bool = False
    confirm_removals: bool = False
    config: Path | None = None
    """The settings file, for reading parts of it again."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a server is made of, once its store and its data plane are there."""

    api: Api
    reconciler: Reconciler
    identity: ChosenIdentity
    health: HealthChecks
    edge_reports: EdgeReports


@dataclass(frozen=True, slots=True)
class DataPlane:
    """The data plane of this process, and who looks at it."""

    driver: Driver
    driver_thread: Executor
    eyes: Eyes = BLIND
    traffic: TrafficParts | None = None
    wiring: NetworkWiring = field(default_factory=Unwired)
    bridged: Callable[[], Bridged] = lambda: NO_BRIDGES


def pool_of(region: str, name: str = DEFAULT_POOL) -> PoolId:
    """Return the id of a region's pool of this name."""
    return PoolId(str(uuid.uuid5(_POOL_NAMESPACE, region if name == DEFAULT_POOL else f"{region}/{name}")))


async def announce(store: Store, pool: Pool, *, only_if_new: bool = False) -> None:
    """Let everybody know of a pool, what it carries and where its agent answers.

    With `only_if_new`, what the pool's leader has said stays.
    """

    def work(tx: WriteTransaction) -> None:
        if not only_if_new or all(known.id != pool.id for known in tx.pools()):
            tx.put_pool(pool)

    await store.write(work)


def compose(
    settings: Settings,
    public_url: str,
    store: Store,
    keys: StateKeys,
    telemetry: Telemetry,
    options: ServeOptions,
    data_plane: DataPlane,
    wakeups: Wakeups | None = None,
    settlements: Settlements | None = None,
    clock: Clock | None = None,
) -> Parts:
    """Put use cases, identity and the loop on top of a store and a data plane.

    `wakeups` and `settlements` are given where other processes hear of them; the usual clock is the system's.
    """
    clock, ids = clock or SystemClock(), RandomIds()
    wakeups, settlements = wakeups or Wakeups(), settlements or Settlements()
    directory = BuiltinDirectory(store)
    wiring, turn, bridged = data_plane.wiring, asyncio.Lock(), data_plane.bridged
    driver, driver_thread, eyes = data_plane.driver, data_plane.driver_thread, data_plane.eyes
    seen = data_plane.traffic or no_traffic(clock, driver_thread)
    pool_id = pool_of(settings.region, settings.pool)
    reconciler = Reconciler(
        store,
        driver,
        pool_id,
        clock,
        wakeups,
        settlements,
        telemetry,
        driver_thread,
        random.random,
        settings.sweep_interval_seconds,
        options.confirm_removals,
        bridged,
        settings.connections_per_endpoint,
        tidy=give_back_memory,
    )
    quotas = Quotas(
        store,
        {
            QuotaType.ENDPOINT_SERVICE: settings.quota_endpoint_services,
            QuotaType.ENDPOINT: settings.quota_endpoints,
        },
    )
    gateways = FollowingGateways(store, clock, wakeups, settlements, telemetry)
    health = HealthChecks(
        store,
        eyes.prober,
        clock,
        telemetry,
        random.random,
        settings.health_interval_seconds,
        settings.health_probes,
        pool_id=pool_id,
    )
    chosen = choose_identity(settings, store, keys, clock, ids, telemetry)
    api = Api(
        region=settings.region,
        dns_domain=settings.dns_domain,
        public_url=public_url,
        error_form=settings.error_form,
        clock=clock,
        identity=chosen.identity,
        issuer=chosen.issuer,
        limits=_request_limits(settings, telemetry, is_lab=options.lab_file is not None),
        endpoint_services=EndpointServices(store, directory, clock, ids, wakeups, settings.region, quotas),
        service_changes=ServiceChanges(store, directory, clock, wakeups, settlements, telemetry, settings.region),
        endpoints=Endpoints(
            store, directory, clock, ids, wakeups, settlements, telemetry, quotas, settings.whitelist_limit
        ),
        endpoint_changes=EndpointChanges(store, clock, wakeups, settlements, telemetry, settings.whitelist_limit),
        connections=Connections(store, clock, wakeups, settlements, telemetry),
        permissions=Permissions(store, clock, ids, wakeups, settlements, telemetry),
        cut_offs=CutOffChoices(store),
        networks=Networks(store, clock, ids, wiring, turn, gateways),
        nics=Nics(store, clock, ids, wakeups, wiring, turn, settings.region),
        route_tables=RouteTables(store, clock, ids, gateways),
        quotas=quotas,
        tagging=Tagging(store, MODERN_TAGS if settings.tag_limits == "modern" else STANDARD_TAGS),
        public_services=PublicServices(store, directory, clock, ids, wakeups),
        traffic=Traffic(store, clock, seen.source, seen.thread, seen.flows, telemetry, seen.proxied),
        health=health,
        tracing=Tracing(
            store,
            health,
            driver.capabilities,
            eyes.kernel,
            driver_thread,
            bridged,
            lambda: Terms(clock.now(), settings.connections_per_endpoint),
            Counting(seen.source, seen.thread),
        ),
        audit=AuditLog(store),
        readiness=Readiness(store, telemetry.rounds, settings.sweep_interval_seconds),
        capacity=Capacity(store, seen.source, seen.thread, telemetry, clock, settings.connections_per_endpoint),
    )
    edge_reports = EdgeReports(store, seen.source, seen.thread, telemetry, clock, pool_id)
    return Parts(api, reconciler, chosen, health, edge_reports)


def _request_limits(settings: Settings, telemetry: Telemetry, *, is_lab: bool) -> RequestLimits:
    """Return the limits that were set; where nobody set any, the usual ones, and none in a lab."""
    requests_per_second = settings.rate_requests_per_second
    failed_signins = settings.rate_failed_signins_per_minute
    if requests_per_second is None:
        requests_per_second = 0 if is_lab else _REQUESTS_PER_SECOND
    if failed_signins is None:
        failed_signins = 0 if is_lab else _FAILED_SIGNINS_PER_MINUTE
    if not requests_per_second and not failed_signins:
        return RequestLimits(None, None, telemetry)
    from landbridge.rate_limits import GcraLimiter  # noqa: PLC0415 — 75 ms that a lab need not wait

    burst = settings.rate_burst or 2 * requests_per_second
    return RequestLimits(
        GcraLimiter(requests_per_second, 1, burst) if requests_per_second else None,
        GcraLimiter(failed_signins, 60, failed_signins) if failed_signins else None,
        telemetry,
    )
