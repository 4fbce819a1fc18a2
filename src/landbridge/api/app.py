"""Put the routes together and stand guard around them.

Every answer carries its request id; every failure has the contract's shape, whatever went wrong; what is not a
`UserError` is logged in full under the request id and shown as an internal fault. HEAD is GET without the body.
"""

import re
import secrets
import time
from collections.abc import Collection
from typing import Protocol

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from landbridge.api.forwarding import Forwarding
from landbridge.api.operators import MetricsObserver
from landbridge.api.operators import router as operators_router
from landbridge.api.problems import (
    INTERNAL,
    PROBLEMS,
    Problem,
    keystone_response,
    network_response,
    problem_of,
    vpcep_response,
)
from landbridge.api.routes import (
    audit,
    connections,
    cut_off,
    description,
    endpoint_services,
    endpoints,
    health,
    identity,
    networks,
    permissions,
    ports,
    public_services,
    quotas,
    route_tables,
    tags,
    trace,
    traffic,
    versions,
)
from landbridge.api.services import Api
from landbridge.control.actors import Actor, acting_as
from landbridge.domain.errors import (
    BodyTooLarge,
    MethodNotAllowed,
    RouteNotFound,
    TooManyRequests,
    UserError,
)

_ROUTERS = (
    identity.router,
    endpoint_services.router,
    connections.router,
    permissions.router,
    endpoints.router,
    quotas.router,
    networks.router,
    ports.router,
    route_tables.router,
    public_services.router,
    health.router,
    trace.router,
    cut_off.router,
    traffic.router,
    description.router,
    audit.router,
    operators_router,
    # After all whose paths begin with a word: the first part of its paths is a variable.
    tags.router,
    versions.router,
)

_OF_VPC_API = re.compile(r"/v1/[^/]+/(vpcs|subnets|ports|routetables)(/|$)")


class RequestObserver(MetricsObserver, Protocol):
    """Who hears about requests: logs and metrics."""

    def request_finished(self, method: str, route: str, status: int, duration_seconds: float, request_id: str) -> None:
        """An answer has been sent."""
        ...

    def request_failed(self, method: str, route: str, request_id: str, error: Exception) -> None:
        """Something other than a user's mistake went wrong."""
        ...

    def request_changes(self, request_id: str, ids: Collection[str]) -> None:
        """A request has changed these things, and rounds will follow. May come from any thread."""
        ...


def unread_request(error: UserError) -> Response:
    """Return the answer to what never became a request, for the transport."""
    answer = vpcep_response(problem_of(error), error.message)
    request_id = _new_request_id()
    answer.headers["X-Request-Id"] = answer.headers["X-Openstack-Request-Id"] = request_id
    if isinstance(error, TooManyRequests):
        answer.headers["Retry-After"] = str(error.retry_after_seconds)
    return answer


def create_app(api: Api, observer: RequestObserver, forwarding: Forwarding | None = None) -> FastAPI:
    """Return the ASGI application; without `forwarding`, this process owns the data plane."""
    app = routed_app()
    app.state.api = api
    app.state.forwarding = forwarding
    app.state.observer = observer
    app.add_middleware(Guard, observer=observer)  # pyright: ignore[reportArgumentType]
    return app


def routed_app() -> FastAPI:
    """Return an app with all routes and nothing behind them: enough to describe it."""
    app = FastAPI(title="Landbridge", version="1", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.document = None
    app.router.redirect_slashes = False
    for router in _ROUTERS:
        # Their routes as they are: to include a router is to make them all anew, for each app, at its first request.
        app.router.routes.extend(router.routes)
    app.add_exception_handler(UserError, _user_error)
    app.add_exception_handler(HTTPException, _http_error)
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
        # Left by the transport where a process of ours has passed the request on: it is still the same one.
        request_id = scope.get("state", {}).get("request_id") or _new_request_id()
        method, state = scope["method"], {**scope.get("state", {}), "request_id": request_id}
        scope = {**scope, "state": state}
        if method == "HEAD":
            # Routes know GET; signatures are checked with the method that was sent.
            scope = {**scope, "method": "GET", "state": {**state, "sent_method": "HEAD"}}
        started = time.perf_counter()
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                ids = [(b"x-request-id", request_id.encode()), (b"x-openstack-request-id", request_id.encode())]
                message["headers"] = [*message.get("headers", []), *ids]
            elif method == "HEAD":
                message["body"] = b""
            await send(message)

        client = scope.get("client")
        # Whoever is behind it is not known yet. Set in any case: one task may serve several requests of a connection.
        actor = Actor(
            request_id=request_id,
            client_address="" if client is None else client[0],
            on_change=self._observer.request_changes,
        )
        try:
            with acting_as(actor):
                await self._app(scope, receive, send_with_id)
        except Exception as error:  # the supervisor: whatever went wrong, the client gets the contract's shape
            self._observer.request_failed(method, _route(scope), request_id, error)
            if status == 0:
                problem_text = f"internal error: quote {request_id} to the operator"
                answer = _failure(scope, INTERNAL, problem_text)
                await answer(scope, receive, send_with_id)
        duration = time.perf_counter() - started
        self._observer.request_finished(method, _route(scope), status, duration, request_id)


def _new_request_id() -> str:
    return f"req-{secrets.token_hex(16)}"


def _route(scope: Scope) -> str:
    return str(getattr(scope.get("route"), "path", "unknown"))


async def _user_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, UserError):
        raise error
    answer = _failure(request.scope, problem_of(error), error.message)
    if isinstance(error, BodyTooLarge):
        # The rest of the body is still on its way; only closing the connection keeps it unread.
        answer.headers["Connection"] = "close"
    if isinstance(error, TooManyRequests):
        answer.headers["Retry-After"] = str(error.retry_after_seconds)
    return answer


async def _http_error(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status == 405:
        problem, message = PROBLEMS[MethodNotAllowed.slug], f"{request.method} is not possible on this path"
    elif status == 404:
        problem, message = PROBLEMS[RouteNotFound.slug], "there is no such path"
    else:
        problem, message = Problem(status, "EndPoint.0002"), "the request cannot be served"
    answer = _failure(request.scope, problem, message)
    if isinstance(error, HTTPException):
        answer.headers.update(error.headers or {})
    return answer


def _failure(scope: Scope, problem: Problem, message: str) -> Response:
    path = scope["path"]
    if path == "/v3" or path.startswith("/v3/"):
        return keystone_response(problem, message)
    if _OF_VPC_API.match(path):
        return network_response(problem, message)
    return vpcep_response(problem, message, scope["app"].state.api.error_form)
