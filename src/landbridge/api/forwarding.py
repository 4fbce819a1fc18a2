"""Hand requests to whoever can answer them, where the data plane is another process's.

A route that looks at the data plane, or changes networks that are wired as they are made, is declared on a router with
one of these route classes. In the process that owns the data plane they change nothing.
"""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol

from fastapi import Request, Response
from fastapi.routing import APIRoute


class Forwarding(Protocol):
    """Who knows the other processes. Each returns their answer, or None: this process answers by itself."""

    async def to_data_plane(self, request: Request) -> Response | None:
        """Have the agent of the pool answer that what the path names lives in.

        Raises:
            TrafficUnavailable: it does not answer.
        """
        ...

    async def to_networks(self, request: Request) -> Response | None:
        """Have the agent answer that wires networks as they are made.

        Raises:
            TrafficUnavailable: it does not answer.
        """
        ...


class DataPlaneRoute(APIRoute):
    """A route that is answered next to the data plane."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what serves a request."""
        return _forwarding(super().get_route_handler(), lambda forwarding: forwarding.to_data_plane)


class NetworkRoute(APIRoute):
    """A route of the VPC API: what it changes may have to be wired."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what serves a request; looking needs nobody else."""
        handler = super().get_route_handler()
        return handler if self.methods == {"GET"} else _forwarding(handler, lambda forwarding: forwarding.to_networks)


def _forwarding(
    handler: Callable[[Request], Coroutine[Any, Any, Response]],
    way: Callable[[Forwarding], Callable[[Request], Awaitable[Response | None]]],
) -> Callable[[Request], Coroutine[Any, Any, Response]]:
    async def serve(request: Request) -> Response:
        forwarding: Forwarding | None = request.app.state.forwarding
        answer = None if forwarding is None else await way(forwarding)(request)
        return await handler(request) if answer is None else answer

    return serve
