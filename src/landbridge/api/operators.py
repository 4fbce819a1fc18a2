"""Answer the operator's questions: metrics, and whether this process serves and is ready.

They are asked on a port of their own, which tenants do not reach. Balancers in front of the tenants' port may ask the
last two there as well; on that port nobody hears more than the codes of the reasons.
"""

import contextlib
from typing import Protocol

from fastapi import APIRouter, FastAPI, Request
from starlette.responses import JSONResponse, Response

from landbridge.api.operations import operation
from landbridge.api.policy import PUBLIC
from landbridge.api.services import Api
from landbridge.control.readiness import Report
from landbridge.domain.errors import TrafficUnavailable

_NOT_READY = 503


class MetricsObserver(Protocol):
    """Who knows the metrics."""

    def readiness_reported(self, report: Report) -> None:
        """Somebody has asked whether this process is ready."""
        ...

    def metrics_text(self) -> bytes:
        """Return all metrics in Prometheus' text form."""
        ...


router = APIRouter()
"""What balancers ask on the tenants' port."""


@operation(router, "GET", "/healthz", action=PUBLIC, is_documented=False)
async def show_health() -> Response:
    """Say that this process answers."""
    return JSONResponse({"status": "ok"})


@operation(router, "GET", "/readyz", action=PUBLIC, is_documented=False)
async def show_readiness(request: Request) -> Response:
    """Say whether this process is ready."""
    report = await _report(request)
    return _readiness(report, {"reasons": [{"code": reason.code} for reason in report.reasons]})


def create_operators_app(api: Api, observer: MetricsObserver) -> FastAPI:
    """Return the ASGI application of the operator's port."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.state.api = api
    app.state.observer = observer
    app.add_api_route("/healthz", show_health)
    app.add_api_route("/readyz", _show_readiness_in_full)
    app.add_api_route("/metrics", _show_metrics)
    return app


async def _show_readiness_in_full(request: Request) -> Response:
    report = await _report(request)
    reasons = [{"code": reason.code, "message": reason.message} for reason in report.reasons]
    return _readiness(report, {"reasons": reasons, **report.facts})


async def _show_metrics(request: Request) -> Response:
    api: Api = request.app.state.api
    with contextlib.suppress(TrafficUnavailable):  # then traffic shows as it was at the last look
        await api.traffic.measure()
    await api.capacity.measure()
    await _report(request)
    return Response(request.app.state.observer.metrics_text(), media_type="text/plain; version=0.0.4")


async def _report(request: Request) -> Report:
    report = await request.app.state.api.readiness.report()
    observer: MetricsObserver = request.app.state.observer
    observer.readiness_reported(report)
    return report


def _readiness(report: Report, body: dict[str, object]) -> Response:
    status = {"status": "ready" if report.is_ready else "not-ready"}
    return JSONResponse(status | body, status_code=200 if report.is_ready else _NOT_READY)
