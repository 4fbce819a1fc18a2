"""Answer what API processes hand over to an agent: the same API, on a unix socket or an address of its own.

Tenants do not reach it. It checks tokens and signatures all the same: whoever reaches it can do no more than a tenant.
"""

import asyncio
import os
import re
import signal
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import uvicorn

from landbridge.bootstrap.forwarding import CLIENT_HEADER, REQUEST_HEADER, UNIX
from landbridge.bootstrap.operators_port import OperatorsPort
from landbridge.domain.errors import OperatorError
from landbridge.settings import Settings

_BACKLOG = 128
_GRACE_SECONDS = 3
_SOCKET = re.compile(r"agent-([0-9]+)\.sock")

Scope = MutableMapping[str, Any]
Asgi = Callable[[Scope, Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class AgentsPort:
    """A unix socket in the state directory that listens already, and the operator's port of an agent."""

    listener: socket.socket
    path: Path
    settings: Settings
    operators: OperatorsPort

    @classmethod
    def open(cls, settings: Settings, state: Path) -> Self:
        """Listen under this process's id: the one that leads says in the pool's row where it is.

        Raises:
            OperatorError: it cannot.
        """
        _forget_dead(state)
        path = state / f"agent-{os.getpid()}.sock"
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        handle = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            path.unlink(missing_ok=True)
            # Through the handle: an address has room for 108 bytes only.
            listener.bind(f"/proc/self/fd/{handle}/{path.name}")
            path.chmod(0o660)
            listener.listen(_BACKLOG)
        except OSError as error:
            listener.close()
            raise OperatorError(f"cannot listen on {path}: {error.strerror}; see who owns the directory") from error
        finally:
            os.close(handle)
        try:
            operators = OperatorsPort.open(settings, _port_of(settings.listen) + 1)
        except OperatorError:
            listener.close()
            raise
        return cls(listener, path, settings, operators)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.listener.close()
        self.path.unlink(missing_ok=True)
        self.operators.close()

    @property
    def public_url(self) -> str:
        """How clients reach the API; nothing that an agent answers says it."""
        return self.settings.public_url.rstrip("/") or f"http://{self.settings.listen}"

    @property
    def address(self) -> str:
        """Where API processes reach it, as a pool's row says it."""
        return f"{UNIX}{self.path}"

    async def answer(
        self,
        app: Asgi,
        until: asyncio.Future[Any],
        is_ready: Callable[[], bool],
        on_hangup: Callable[[], None] | None = None,
    ) -> None:
        """Answer API processes until a signal comes or `until` is done; `is_ready` has the last word before."""
        server = uvicorn.Server(
            uvicorn.Config(
                behind_the_api(app),  # pyright: ignore[reportArgumentType] — an ASGI application
                interface="asgi3",
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="error",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=_GRACE_SECONDS,
            )
        )
        until.add_done_callback(lambda _: setattr(server, "should_exit", True))
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, on_hangup or (lambda: None))
        if is_ready():
            await server.serve(sockets=[self.listener])


def _forget_dead(state: Path) -> None:
    """Remove the sockets of agents that were killed."""
    for path in state.glob("agent-*.sock"):
        found = _SOCKET.fullmatch(path.name)
        if found is not None and not Path(f"/proc/{found[1]}").exists():
            path.unlink(missing_ok=True)


def _port_of(listen: str) -> int:
    port = listen.rpartition(":")[2]
    return int(port) if port.isascii() and port.isdigit() else 0


def behind_the_api(app: Asgi) -> Asgi:
    """Return an app that believes what an API process says of the client's address and the request's id."""
    names = {CLIENT_HEADER.encode(), REQUEST_HEADER.encode()}

    async def serve(
        scope: Scope, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
    ) -> None:
        if scope["type"] == "http":
            said = {name: value.decode("latin-1") for name, value in scope["headers"] if name in names}
            client, request_id = said.get(CLIENT_HEADER.encode()), said.get(REQUEST_HEADER.encode())
            scope = {
                **scope,
                "headers": [pair for pair in scope["headers"] if pair[0] not in names],
                "client": None if client is None else (client, 0),
                "state": {**scope.get("state", {}), **({} if request_id is None else {"request_id": request_id})},
            }
        await app(scope, receive, send)

    return serve
