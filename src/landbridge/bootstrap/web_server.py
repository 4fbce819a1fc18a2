"""Stand between the network and the API: the listening socket, TLS, proxies, and uvicorn.

Everything that can be wrong with the settings of a server is said when it opens, before a lab is brought up. SIGHUP
reads the certificate again, and what a caller names; with neither it is not handled, and ends the process as always.
"""

import asyncio
import contextlib
import ipaddress
import resource
import signal
import socket
from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Self

import structlog
import uvicorn

from landbridge.api.app import unread_request
from landbridge.bootstrap.operators_port import OperatorsPort
from landbridge.domain.errors import OperatorError
from landbridge.settings import Settings
from landbridge.transport.certificates import Certificates, Loaded
from landbridge.transport.connections import BoundedConnection, ConnectionBounds
from landbridge.transport.proxies import ForwardedRequests, Network, trusted_networks, url_of

_BACKLOG = 512
_GRACE_SECONDS = 3


@dataclass(frozen=True, slots=True)
class WebServer:
    """A socket that listens already, and what is needed to answer on it. Clients that come early wait."""

    listener: socket.socket
    certificates: Certificates | None
    trusted: tuple[Network, ...]
    settings: Settings
    operators: OperatorsPort
    """Where the operator asks, apart from the tenants."""

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """Check the settings and listen.

        Raises:
            OperatorError: it cannot; the message says what to do.
        """
        trusted = trusted_networks(settings.trusted_proxies)
        certificates = None
        if settings.tls_cert:
            certificates = Certificates(Path(settings.tls_cert), Path(settings.tls_key))
            _tell_certificate(certificates.loaded, settings)
        listener = _listening_socket(settings.listen)
        try:
            operators = OperatorsPort.open(settings, listener.getsockname()[1])
        except OperatorError:
            listener.close()
            raise
        server = cls(listener, certificates, trusted, settings, operators)
        if certificates is None and not server._is_loopback():
            structlog.get_logger().warning(
                "listen.unprotected",
                listen=settings.listen,
                advice="passwords and tokens can be read on the way: give --tls-cert and --tls-key, or listen on "
                "127.0.0.1 behind a TLS proxy on this machine and name it with --trusted-proxy",
            )
        return server

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.listener.close()
        self.operators.close()

    @property
    def public_url(self) -> str:
        """How clients reach this server, as far as the settings and the socket say it; no slash at the end."""
        if self.settings.public_url:
            return self.settings.public_url.rstrip("/")
        host, port = self.listener.getsockname()[:2]
        return url_of("http" if self.certificates is None else "https", host, port)

    async def answer(
        self,
        app: object,
        until: asyncio.Future[Any],
        is_ready: Callable[[], bool],
        on_hangup: Callable[[], None] | None = None,
    ) -> None:
        """Answer requests until a signal comes or `until` is done; `is_ready` has the last word before the first.

        `on_hangup` is what else there is to read again on SIGHUP.
        """
        server = uvicorn.Server(self._configuration(app))
        until.add_done_callback(lambda _: setattr(server, "should_exit", True))
        with self._reloading(on_hangup):
            if is_ready():
                await server.serve(sockets=[self.listener])

    def _configuration(self, app: object) -> uvicorn.Config:
        forwarded = ForwardedRequests(
            app,
            self.trusted,
            tells_public_url=not self.settings.public_url,
            is_listening_everywhere=self._listens_on().is_unspecified,
        )
        descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        # The other half is for edges, the database and links.
        bounds = ConnectionBounds(self.settings.request_timeout_seconds, most_connections=descriptors // 2)
        certificates = self.certificates
        return uvicorn.Config(
            forwarded,
            interface="asgi3",
            http=partial(BoundedConnection, bounds, unread_request),  # pyright: ignore[reportArgumentType] — makes one
            ws="none",
            lifespan="off",
            log_config=None,
            # What it warns about is what strangers send.
            log_level="error",
            access_log=False,
            server_header=False,
            # `forwarded` does this, and knows whom to believe.
            proxy_headers=False,
            timeout_graceful_shutdown=_GRACE_SECONDS,
            ssl_context_factory=None if certificates is None else lambda _config, _default: certificates.context,
        )

    @contextlib.contextmanager
    def _reloading(self, on_hangup: Callable[[], None] | None) -> Generator[None]:
        if self.certificates is None and on_hangup is None:
            yield
            return

        def reload() -> None:
            if self.certificates is not None:
                self._reload(self.certificates)
            if on_hangup is not None:
                on_hangup()

        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, reload)
        try:
            yield
        finally:
            # Not the default, which would end the process before its lab is taken down.
            loop.add_signal_handler(signal.SIGHUP, lambda: None)

    def _reload(self, certificates: Certificates) -> None:
        try:
            loaded = certificates.reload()
        except OperatorError as error:
            structlog.get_logger().error("tls.kept", reason=str(error), advice="the old certificate stays in use")
        else:
            _tell_certificate(loaded, self.settings)

    def _listens_on(self) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
        return ipaddress.ip_address(self.listener.getsockname()[0])

    def _is_loopback(self) -> bool:
        return self._listens_on().is_loopback


def _tell_certificate(loaded: Loaded, settings: Settings) -> None:
    log = structlog.get_logger()
    log.info("tls.loaded", expires_at=loaded.expires_at.isoformat(), sha256=loaded.fingerprint)
    if loaded.is_key_open:
        log.warning("tls.key_open", key=settings.tls_key, advice=f"others may read it: chmod o= {settings.tls_key}")
    if loaded.expires_at <= datetime.now(UTC):
        log.warning("tls.expired", expires_at=loaded.expires_at.isoformat(), advice="clients will refuse it: renew it")


def _listening_socket(listen: str) -> socket.socket:
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    if not host or not port.isdigit() or int(port) > 65535:
        raise OperatorError(f"--listen is {listen!r}: write HOST:PORT, such as 127.0.0.1:8770")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, int(port)))
        # Only a listening socket keeps others off the port. Clients that come early wait until the server is ready.
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise OperatorError(f"cannot listen on {listen}: {error.strerror}; give another --listen") from error
    listener.set_inheritable(False)
    return listener
