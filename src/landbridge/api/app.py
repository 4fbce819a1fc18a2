"""Put the routes together and stand guard around them.

Every answer carries its request id; every failure has the contract's shape, whatever went wrong; what is not a
`UserError` is logged in full under the request id and shown as an internal fault.
"""

import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from landbridge.api.problems import INTERNAL, PROBLEMS, Problem, keystone_response, problem_of, vpcep_response
from landbridge.api.routes import connections, endpoint_services, endpoints, identity, versions
from landbridge.api.services import Api
from landbridge.domain.errors import BodyTooLarge, MethodNotAllowed, RouteNotFound, UserError


class RequestObserver(Protocol):
    """Who hears about requests: logs and metrics."""

    def request_finished(self, method: str, route: str, status: int, duration_seconds: float, request_id: str) -> None:
        """An answer has been sent."""
        ...

    def request_failed(self, method: str, route: str, request_id: str, error: Exception) -> None:
        """Something other than a user's mistake went wrong."""
        ...

    def metrics_text(self) -> bytes:
        """Return all metrics in Prometheus' text form."""
        ...


def create_app(api: Api, observer: RequestObserver) -> FastAPI:
    """Return the ASGI application."""
    app = FastAPI(title="Landbridge", version="1", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.api = api
    app.router.redirect_slashes = False
    app.include_router(identity.router)
    app.include_router(endpoint_services.router)
    app.include_router(connections.router)
    app.include_router(endpoints.router)
    app.add_api_route("/metrics", _metrics(observer), methods=["GET"])
    app.include_router(versions.router)
    app.add_exception_handler(UserError, _user_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_middleware(Guard, observer=observer)  # pyright: ignore[reportArgumentType]
    return app


class Guard:
    """Give each request an id, and each failure a shape."""

    def __init__(self, app: ASGIApp, observer: RequestObserver) -> None:
        self._app = app
        self._observer = observer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = f"req-{secrets.token_hex(16)}"
        started = time.perf_counter()
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                ids = [(b"x-request-id", request_id.encode()), (b"x-openstack-request-id", request_id.encode())]
                message["headers"] = [*message.get("headers", []), *ids]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except Exception as error:  # the supervisor: whatever went wrong, the client gets the contract's shape
            self._observer.request_failed(scope["method"], _route(scope), request_id, error)
            if status == 0:
                answer = _failure(scope["path"], INTERNAL, f"internal error: quote {request_id} to the operator")
                await answer(scope, receive, send_with_id)
        duration = time.perf_counter() - started
        self._observer.request_finished(scope["method"], _route(scope), status, duration, request_id)


def _route(scope: Scope) -> str:
    return str(getattr(scope.get("route"), "path", "unknown"))


async def _user_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, UserError):
        raise error
    answer = _failure(request.url.path, problem_of(error), error.message)
    if isinstance(error, BodyTooLarge):
        # The rest of the body is still on its way; only closing the connection keeps it unread.
        answer.headers["Connection"] = "close"
    return answer


async def _http_error(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status == 405:
        problem, message = PROBLEMS[MethodNotAllowed.slug], f"{request.method} is not possible on this path"
    elif status == 404:
        problem, message = PROBLEMS[RouteNotFound.slug], "there is no such path"
    else:
        problem, message = Problem(status, "EndPoint.0002"), "the request cannot be served"
    return _failure(request.url.path, problem, message)


def _failure(path: str, problem: Problem, message: str) -> Response:
    if path == "/v3" or path.startswith("/v3/"):
        return keystone_response(problem, message)
    return vpcep_response(problem, message)


def _metrics(observer: RequestObserver) -> Callable[[Request], Awaitable[Response]]:
    async def metrics(request: Request) -> Response:
        """Show metrics to whoever asks from this machine; tenants elsewhere see no such path."""
        if request.client is None or request.client.host not in {"127.0.0.1", "::1"}:
            raise RouteNotFound("there is no such path")
        return Response(observer.metrics_text(), media_type="text/plain; version=0.0.4")

    return metrics
