"""Tell what happens: every metric is declared here, and every log event is written here or in bootstrap.

INFO tells the story of changes; a round without changes is DEBUG. No ids in labels, no secrets anywhere.
"""

import logging
import sys
from collections.abc import Callable, Collection, Mapping

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from landbridge.control.actors import current_actor
from landbridge.control.readiness import Report, RoundHistory
from landbridge.control.request_hints import RequestHints
from landbridge.control.round import Outcome
from landbridge.control.traffic_protocols import TrackedConnections
from landbridge.dataplane.driver import DriverError
from landbridge.dataplane.flows import TrafficCounters
from landbridge.dataplane.health import Cause, Health, Result
from landbridge.dataplane.model import PORTS_PER_ADDRESS, WiredId
from landbridge.dataplane.plan import Ensure, Plan
from landbridge.dataplane.tracking import FullEdges
from landbridge.domain.ids import PoolId
from landbridge.domain.resources import Endpoint, EndpointService

_EDGES_SHOWN = 10
"""Of the edges, only the fullest are metrics of their own: there may be thousands."""
_REQUESTS_NAMED = 10
"""How many requests one line about a round names."""
_POOL_LOW = 0.9
"""From this share of a pool's transit addresses on, the log warns."""
_FAST_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


def configure_logging(level: str) -> None:
    """Write events to stderr: for people on a terminal, as JSON elsewhere."""
    people = sys.stderr.isatty()
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if people else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            with_request_id,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def with_request_id(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Say with everything that is written while a request is served which one it is."""
    request_id = current_actor().request_id
    if request_id:
        event.setdefault("request_id", request_id)
    return event


class Telemetry:
    """Hears about rounds, cuts and requests, and turns them into metrics and log events."""

    def __init__(self, driver: str, pool: str, *, owns_data_plane: bool = True) -> None:
        """`owns_data_plane` is false in a process that only answers requests."""
        self._driver = driver
        self.rounds = RoundHistory(owns_data_plane=owns_data_plane)
        self.requests = RequestHints()
        self._log: structlog.typing.FilteringBoundLogger = structlog.get_logger().bind(pool=pool)
        self.registry = CollectorRegistry()
        r = self.registry
        self._lag = Histogram(
            "landbridge_reconcile_lag_seconds",
            "From writing an intent to observing it in the data plane",
            ["kind"],
            buckets=_FAST_BUCKETS,
            registry=r,
        )
        self._rounds = Histogram(
            "landbridge_round_duration_seconds",
            "Duration of rounds and sweeps",
            ["driver", "kind", "outcome"],
            buckets=_FAST_BUCKETS,
            registry=r,
        )
        self._steps = Counter(
            "landbridge_plan_steps_total", "Steps given to the data plane", ["driver", "step"], registry=r
        )
        self._drift = Counter(
            "landbridge_drift_total", "Things found different though nobody asked", ["driver"], registry=r
        )
        self._failures = Counter(
            "landbridge_binding_failures_total",
            "Bindings and targets that a round could not wire",
            ["driver"],
            registry=r,
        )
        self._held = Gauge(
            "landbridge_sweep_held_removals", "Removals that wait for the operator's consent", registry=r
        )
        self._overdue = Counter(
            "landbridge_cuts_overdue_total",
            "Rejections, deletions and other takings away not confirmed within a second",
            registry=r,
        )
        self._requests = Histogram(
            "landbridge_http_request_duration_seconds",
            "Duration of requests",
            ["method", "route", "status"],
            buckets=_FAST_BUCKETS,
            registry=r,
        )
        self._refused = Counter(
            "landbridge_requests_refused_total", "Requests and sign-ins over a rate limit", ["limit"], registry=r
        )
        self._identity_failures = Counter(
            "landbridge_identity_failures_total", "Questions about users that Keystone did not answer", registry=r
        )
        self._backends = Gauge(
            "landbridge_backends", "Ports of backends that are probed, by their health", ["health"], registry=r
        )
        self._probes = Counter(
            "landbridge_backend_probes_total", "Probes of backends, by what came of them", ["result"], registry=r
        )
        self._proxy_up = Gauge("landbridge_proxy_up", "Whether the proxy's process runs", registry=r)
        self._proxy_restarts = Gauge(
            "landbridge_proxy_restarts", "How often the proxy was started again after it had died", registry=r
        )
        self._traffic = Counter(
            "landbridge_traffic_bytes_total", "Bytes through all endpoints, with IP headers", ["direction"], registry=r
        )
        self._opened = Counter(
            "landbridge_connections_opened_total", "Connections opened through all endpoints", registry=r
        )
        self._open = Gauge("landbridge_connections_open", "Connections open through all endpoints", registry=r)
        self._flow_events_lost = Counter(
            "landbridge_flow_events_lost_total", "Times the kernel dropped what it would have told", registry=r
        )
        self._flow_lines = Counter("landbridge_flow_log_lines_total", "Lines for the flow log", ["outcome"], registry=r)
        self._ready = Gauge("landbridge_ready", "Whether this process is ready, as /readyz says", registry=r)
        self._rounds_failed = Counter(
            "landbridge_rounds_failed_total", "Rounds and sweeps that could not be carried out", ["kind"], registry=r
        )
        self._transit = Gauge(
            "landbridge_transit_addresses",
            "Transit addresses of each pool, used and free",
            ["pool", "state"],
            registry=r,
        )
        self._tracked = Gauge(
            "landbridge_conntrack_entries", "Connections tracked in the fullest edges", ["edge"], registry=r
        )
        self._tracked_total = Gauge(
            "landbridge_conntrack_entries_all", "Connections tracked in all edges together", registry=r
        )
        self._track_limit = Gauge(
            "landbridge_conntrack_limit", "How many connections the kernel tracks in one edge", registry=r
        )
        self._track_left = Gauge(
            "landbridge_conntrack_left", "How many more connections the kernel tracks in the fullest edge", registry=r
        )
        self._fullest_endpoint = Gauge(
            "landbridge_endpoint_connections_most", "Open connections of the endpoint with the most", registry=r
        )
        self._endpoint_limit = Gauge(
            "landbridge_endpoint_connections_limit", "How many connections one endpoint may have", registry=r
        )
        self._ports_left = Gauge(
            "landbridge_endpoint_ports_left", "Source ports that the fullest endpoint has left at least", registry=r
        )
        self._low_pools: set[PoolId] = set()
        self._full_edges = frozenset[str]()
        self._measured = TrafficCounters()
        self._is_flow_log_away = False
        self._is_identity_away = False
        self._is_prober_away = False

    def round_finished(
        self, kind: str, plan: Plan, errors: Mapping[WiredId, DriverError], duration_seconds: float
    ) -> None:
        """A round went through, perhaps with failing bindings."""
        self.rounds.finished(kind)
        outcome = "partial" if errors else "complete"
        self._rounds.labels(self._driver, kind, outcome).observe(duration_seconds)
        for step in plan.steps:
            self._steps.labels(self._driver, "ensure" if isinstance(step, Ensure) else "remove").inc()
        for id_, error in errors.items():
            self._failures.labels(self._driver).inc()
            facts = {"reason": error.message, "detail": error.detail, "retry": error.retry.value}
            self._log.warning("binding.failed", id=id_, **facts, **self._asked_by(id_))
        log = self._log.info if plan.steps else self._log.debug
        milliseconds = round(duration_seconds * 1000, 1)
        counts = {"ensured": len(plan.ensures), "removed": len(plan.removals)}
        log(f"{kind}.finished", milliseconds=milliseconds, **counts, **self._all_asked_by(plan))

    def round_failed(self, kind: str, error: Exception) -> None:
        """A round could not be carried out; it will be tried again."""
        self.rounds.failed()
        self._rounds_failed.labels(kind).inc()
        self._log.error(f"{kind}.failed", exc_info=error)

    def drift_found(self, ids: Collection[WiredId]) -> None:
        """Things differ from the database though nobody asked for a change."""
        self._drift.labels(self._driver).inc(len(ids))
        self._log.warning("drift.found", count=len(ids), ids=sorted(ids)[:10])

    def sweep_held(self, removals: int, wired: int) -> None:
        """A sweep holds back this many removals that nobody asked for; 0: none."""
        self.rounds.held(removals)
        self._held.set(removals)
        if removals:
            self._log.error(
                "sweep.held",
                removals=removals,
                wired=wired,
                advice="see `landbridge plan`; if the removals are right, run `landbridge agent --confirm-removals`",
            )

    def observed(self, outcome: Outcome, lag_seconds: float) -> None:
        """A row's intent has been reached, or has failed."""
        row = outcome.row
        kind = "endpoint" if isinstance(row, Endpoint) else "service"
        facts: dict[str, object] = {f"{kind}_id": row.id, "generation": row.generation, **self._asked_by(row.id)}
        if outcome.failure is not None:
            self._log.warning(f"{kind}.failed", reason=outcome.failure.message, **facts)
            return
        self._lag.labels(kind).observe(lag_seconds)
        event = f"{kind}.removed" if row.delete_requested_at is not None else f"{kind}.applied"
        self._log.info(event, **facts)

    def cut_overdue(self, row: EndpointService | Endpoint) -> None:
        """A rejected or deleted endpoint, or a port that a service does not have any more, may still carry bytes."""
        self._overdue.inc()
        kind = "endpoint" if isinstance(row, Endpoint) else "service"
        facts: dict[str, object] = {f"{kind}_id": row.id, "generation": row.generation, **self._asked_by(row.id)}
        self._log.error("cut.overdue", **facts)

    def request_finished(self, method: str, route: str, status: int, duration_seconds: float, request_id: str) -> None:
        """An answer has been sent."""
        self._requests.labels(method, route, str(status)).observe(duration_seconds)
        milliseconds = round(duration_seconds * 1000, 1)
        self._log.debug(
            "request.finished",
            method=method,
            route=route,
            status=status,
            milliseconds=milliseconds,
            request_id=request_id,
        )

    def request_failed(self, method: str, route: str, request_id: str, error: Exception) -> None:
        """Something other than a user's mistake went wrong."""
        self._log.error("request.failed", method=method, route=route, request_id=request_id, exc_info=error)

    def identity_answered(self) -> None:
        """Keystone answered a question."""
        if self._is_identity_away:
            self._is_identity_away = False
            self._log.info("identity.answers")

    def identity_failed(self, reason: str) -> None:
        """Keystone did not answer a question. Only the first time is written down: there may be many."""
        self._identity_failures.inc()
        if not self._is_identity_away:
            self._is_identity_away = True
            self._log.error("identity.failed", reason=reason)

    def request_refused(self, limit: str) -> None:
        """A request was over a rate limit: `project` or `sign-in`. Counted only: a flood must not fill the log."""
        self._refused.labels(limit).inc()

    def watch_proxy(self, is_up: Callable[[], bool], restarts: Callable[[], int]) -> None:
        """Ask the proxy how it is whenever somebody asks for the metrics."""
        self._proxy_up.set_function(is_up)
        self._proxy_restarts.set_function(restarts)

    def traffic_measured(self, total: TrafficCounters, open_connections: int) -> None:
        """So much has gone through all endpoints since the start, and so many connections are open now."""
        before, self._measured = self._measured, total
        self._traffic.labels("sent").inc(total.bytes_sent - before.bytes_sent)
        self._traffic.labels("received").inc(total.bytes_received - before.bytes_received)
        self._opened.inc(total.opened - before.opened)
        self._open.set(open_connections)

    def flow_events_lost(self) -> None:
        """The kernel dropped what it would have told about ended connections."""
        self._flow_events_lost.inc()

    def flows_written(self, count: int) -> None:
        """So many lines were added to the flow log."""
        self._flow_lines.labels("written").inc(count)
        if self._is_flow_log_away:
            self._is_flow_log_away = False
            self._log.info("flow_log.written")

    def flows_lost(self, count: int, reason: str) -> None:
        """So many lines could not be added to the flow log. Only the first time is written down."""
        self._flow_lines.labels("lost").inc(count)
        if not self._is_flow_log_away:
            self._is_flow_log_away = True
            self._log.error("flow_log.failed", reason=reason)

    def probed(self, result: Result) -> None:
        """A backend was probed. That it could not be is written down the first time only."""
        self._probes.labels("passing" if result.cause is None else result.cause.value).inc()
        is_away = result.cause is Cause.AWAY
        if is_away and not self._is_prober_away:
            self._log.warning("probe.impossible", reason=result.detail)
        self._is_prober_away = is_away

    def backends_counted(self, counts: Mapping[Health, int]) -> None:
        """So many ports of backends are in each state."""
        for health, count in counts.items():
            self._backends.labels(health.value).set(count)

    def health_failed(self, error: Exception) -> None:
        """The loop that probes backends could not go on; it tries again."""
        self._log.error("health.failed", exc_info=error)

    def request_changes(self, request_id: str, ids: Collection[str]) -> None:
        """A request has changed these things, and rounds will follow. May come from any thread."""
        self.requests.changed(request_id, ids)

    def _asked_by(self, id_: WiredId) -> dict[str, str]:
        request_id = self.requests.request_of(id_)
        return {} if request_id is None else {"request_id": request_id}

    def _all_asked_by(self, plan: Plan) -> dict[str, object]:
        ids = (step.wired.id if isinstance(step, Ensure) else step.id for step in plan.steps)
        named = self.requests.requests_of(ids)
        if not named:
            return {}
        return {"request_ids": named[:_REQUESTS_NAMED], "request_count": len(named)}

    def readiness_reported(self, report: Report) -> None:
        """Somebody has asked whether this process is ready."""
        self._ready.set(report.is_ready)

    def transit_addresses_counted(self, in_use: Mapping[PoolId, int], size: int) -> None:
        """So many transit addresses of each pool have an owner, of `size` that it has."""
        for pool_id, used in in_use.items():
            self._transit.labels(pool_id, "used").set(used)
            self._transit.labels(pool_id, "free").set(size - used)
            is_low = used >= _POOL_LOW * size
            if is_low and pool_id not in self._low_pools:
                advice = "delete what is not needed, or begin another pool: what does not fit is refused"
                self._log.warning("pool.low", low_pool=pool_id, used=used, size=size, advice=advice)
            (self._low_pools.add if is_low else self._low_pools.discard)(pool_id)

    def tracked_counted(self, tracked: TrackedConnections) -> None:
        """So many connections does the kernel track in each edge."""
        self._tracked.clear()
        fullest = sorted(tracked.by_edge.items(), key=lambda pair: pair[1], reverse=True)[:_EDGES_SHOWN]
        for edge, count in fullest:
            self._tracked.labels(edge).set(count)
        self._tracked_total.set(sum(tracked.by_edge.values()))
        if tracked.limit is not None:
            self._track_limit.set(tracked.limit)
            self._track_left.set(tracked.limit - max(tracked.by_edge.values(), default=0))

    def edges_seen(self, tracked: TrackedConnections, full: FullEdges) -> None:
        """The edges track so many; those that are nearly full get no new endpoints until they have room."""
        for edge in sorted(full.edges - self._full_edges):
            advice = "raise net.netfilter.nf_conntrack_max: until this edge has room, it gets no new endpoints"
            self._log.warning(
                "edge.nearly_full", edge=edge, tracked=tracked.by_edge[edge], limit=tracked.limit, advice=advice
            )
        for edge in sorted(self._full_edges - full.edges):
            self._log.info("edge.has_room", edge=edge, tracked=tracked.by_edge.get(edge, 0), limit=tracked.limit)
        self._full_edges = full.edges

    def edges_unseen(self, error: Exception) -> None:
        """How full the edges are could not be seen, or not be told; it is tried again."""
        self._log.warning("edges.unseen", exc_info=error)

    def fullest_endpoint_counted(self, connections: int, limit: int) -> None:
        """So many connections has the endpoint with the most of them, and so many may each have."""
        self._fullest_endpoint.set(connections)
        self._endpoint_limit.set(limit)
        # All of them may lead to one server port.
        self._ports_left.set(PORTS_PER_ADDRESS - connections)

    def metrics_text(self) -> bytes:
        """Return all metrics in Prometheus' text form."""
        return generate_latest(self.registry)
