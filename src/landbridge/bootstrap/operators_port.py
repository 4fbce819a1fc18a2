"""Answer the operator's questions on a port of their own (`api/operators.py`).

Where nobody chose the port, it follows from that of the API, so that several servers on one machine do not meet; should
it be taken all the same, the server goes on without: tenants come first. A port that somebody chose must be free.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass

import structlog
import uvicorn

from landbridge.domain.errors import OperatorError
from landbridge.settings import Settings

NOWHERE = "none"
_ABOVE_THE_API = 1000
_BACKLOG = 64
_GRACE_SECONDS = 1


def default_address(api_port: int) -> tuple[str, int]:
    """Return where the operator's port is when nobody chose it: on loopback, 1000 above the API's, or below."""
    above = api_port + _ABOVE_THE_API
    return "127.0.0.1", above if above <= 65535 else api_port - _ABOVE_THE_API


@dataclass(frozen=True, slots=True)
class OperatorsPort:
    """A socket that listens already; None: there is none."""

    listener: socket.socket | None

    @classmethod
    def open(cls, settings: Settings, api_port: int) -> "OperatorsPort":
        """Listen where the settings say; `api_port` is where the API listens, 0 where it has no port.

        Raises:
            OperatorError: the address that was chosen is malformed, or taken.
        """
        chosen = settings.metrics_listen
        if chosen == NOWHERE:
            return cls(None)
        host, port = _address(chosen) if chosen else default_address(api_port)
        try:
            listener = _listening(host, port)
        except OSError as error:
            if chosen:
                raise OperatorError(
                    f"cannot listen on metrics_listen {chosen}: {error.strerror}; choose another one, or none"
                ) from error
            structlog.get_logger().warning(
                "metrics.unavailable",
                address=f"{host}:{port}",
                reason=error.strerror,
                advice="set metrics_listen to a free HOST:PORT, or to none",
            )
            return cls(None)
        return cls(listener)

    @property
    def url(self) -> str | None:
        """Where it can be reached from this machine."""
        if self.listener is None:
            return None
        host, port = self.listener.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def close(self) -> None:
        """Listen no more."""
        if self.listener is not None:
            self.listener.close()

    @contextlib.asynccontextmanager
    async def answering(self, app: object) -> AsyncGenerator[None]:
        """Answer while the block runs."""
        if self.listener is None:
            yield
            return
        server = _Quiet(_configuration(app))
        serving = asyncio.create_task(server.serve(sockets=[self.listener]), name="operators-port")
        structlog.get_logger().info("metrics.listening", url=self.url)
        try:
            yield
        finally:
            server.should_exit = True
            await serving


class _Quiet(uvicorn.Server):
    """A server beside the one that hears the signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave the signals to the other server."""
        yield


def _configuration(app: object) -> uvicorn.Config:
    return uvicorn.Config(
        app,  # pyright: ignore[reportArgumentType] — an ASGI application
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


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    host = host.strip("[]")
    if not host or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise OperatorError(f"metrics_listen is {text!r}: write HOST:PORT, such as 127.0.0.1:9770, or none")
    return host, int(port)


def _listening(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    listener.set_inheritable(False)
    return listener
