"""Tell what happens: every metric is declared here, and every log event is written here or in bootstrap.

INFO tells the story of changes; a round without changes is DEBUG. No ids in labels, no secrets anywhere.
"""

import logging
import sys
from collections.abc import Callable, Collection, Mapping

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from landbridge.control.round import Outcome
from landbridge.dataplane.driver import DriverError
from landbridge.dataplane.flows import TrafficCounters
from landbridge.dataplane.health import Cause, Health, Result
from landbridge.dataplane.model import WiredId
from landbridge.dataplane.plan import Ensure, Plan
from landbridge.domain.resources import Endpoint, EndpointService

_FAST_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


def configure_logging(level: str) -> None:
    """Write events to stderr: for people on a terminal, as JSON elsewhere."""
    people = sys.stderr.isatty()
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if people else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


class Telemetry:
    """Hears about rounds, cuts and requests, and turns them into metrics and log events."""

    def __init__(self, driver: str, pool: str) -> None:
        self._driver = driver
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
        self._measured = TrafficCounters()
        self._is_flow_log_away = False
        self._is_identity_away = False
        self._is_prober_away = False

    def round_finished(
        self, kind: str, plan: Plan, errors: Mapping[WiredId, DriverError], duration_seconds: float
    ) -> None:
        """A round went through, perhaps with failing bindings."""
        outcome = "partial" if errors else "complete"
        self._rounds.labels(self._driver, kind, outcome).observe(duration_seconds)
        for step in plan.steps:
            self._steps.labels(self._driver, "ensure" if isinstance(step, Ensure) else "remove").inc()
        for id_, error in errors.items():
            self._failures.labels(self._driver).inc()
            facts = {"reason": error.message, "detail": error.detail, "retry": error.retry.value}
            self._log.warning("binding.failed", id=id_, **facts)
        log = self._log.info if plan.steps else self._log.debug
        milliseconds = round(duration_seconds * 1000, 1)
        log(f"{kind}.finished", ensured=len(plan.ensures), removed=len(plan.removals), milliseconds=milliseconds)

    def round_failed(self, kind: str, error: Exception) -> None:
        """A round could not be carried out; it will be tried again."""
        self._log.error(f"{kind}.failed", exc_info=error)

    def drift_found(self, ids: Collection[WiredId]) -> None:
        """Things differ from the database though nobody asked for a change."""
        self._drift.labels(self._driver).inc(len(ids))
        self._log.warning("drift.found", count=len(ids), ids=sorted(ids)[:10])

    def sweep_held(self, removals: int, wired: int) -> None:
        """A sweep holds back this many removals that nobody asked for; 0: none."""
        self._held.set(removals)
        if removals:
            self._log.error(
                "sweep.held",
                removals=removals,
                wired=wired,
                advice="look at `landbridge plan`; if the removals are right, restart serve with --accept-removals",
            )

    def observed(self, outcome: Outcome, lag_seconds: float) -> None:
        """A row's intent has been reached, or has failed."""
        row = outcome.row
        kind = "endpoint" if isinstance(row, Endpoint) else "service"
        facts: dict[str, object] = {f"{kind}_id": row.id, "generation": row.generation}
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
        facts: dict[str, object] = {f"{kind}_id": row.id, "generation": row.generation}
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

    def metrics_text(self) -> bytes:
        """Return all metrics in Prometheus' text form."""
        return generate_latest(self.registry)
