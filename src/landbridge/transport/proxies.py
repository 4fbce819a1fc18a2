"""Believe what proxies say about a request, if they are trusted, and nobody else.

From a trusted peer, X-Forwarded-For gives the client's address (its right-most entry that is no trusted proxy),
X-Forwarded-Proto the scheme and X-Forwarded-Host the Host header, which signatures cover. What is found out is left in
the request's ASGI state: `peer`, the address that really connected, and `public_url`, how the client reached us,
where no setting says that.
"""

import ipaddress
import re
from collections.abc import Sequence
from typing import Any

from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from landbridge.domain.errors import OperatorError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_HOST = re.compile(r"([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?")
_FORWARDED_HOST = b"x-forwarded-host"


def trusted_networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Return the networks of trusted proxies.

    Raises:
        OperatorError: one is no address and no CIDR. `*` is none either: everybody could then invent addresses.
    """
    try:
        return tuple(ipaddress.ip_network(text) for text in texts)
    except ValueError as error:
        raise OperatorError(
            f"trusted_proxies: {error}; write addresses such as 10.0.0.5 or networks such as 10.0.0.0/24"
        ) from error


class ForwardedRequests:
    """ASGI middleware around the whole application.

    `tells_public_url`: no setting says how clients reach us. `is_listening_everywhere`: then the address that a client
    connected to says it, not the one we listen on.
    """

    def __init__(
        self, app: Any, trusted: Sequence[Network], *, tells_public_url: bool, is_listening_everywhere: bool
    ) -> None:
        self._app = app
        self._trusted = tuple(trusted)
        self._forwarded = ProxyHeadersMiddleware(self._from_proxy, [str(network) for network in trusted])
        self._tells_public_url = tells_public_url
        self._is_listening_everywhere = is_listening_everywhere

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        peer = _plain(scope.get("client"))
        state = scope.setdefault("state", {})
        state["peer"] = peer[0] if peer is not None else None
        scope["client"] = peer
        if peer is not None and self._trusted and _is_in(peer[0], self._trusted):
            await self._forwarded(scope, receive, send)
            return
        if self._tells_public_url and self._is_listening_everywhere and scope.get("server"):
            host, port = scope["server"]
            state["public_url"] = url_of(scope["scheme"], _plain_host(host), port)
        await self._app(scope, receive, send)

    async def _from_proxy(self, scope: Any, receive: Any, send: Any) -> None:
        """Go on with a request of a trusted proxy, whose client and scheme are known by now."""
        client = scope.get("client")
        if client is not None and not _is_address(client[0]):
            # A proxy that passed something else on: what it says about the client is nothing to count by.
            scope["client"] = (scope["state"]["peer"], 0)
        scope["client"] = _plain(scope["client"])
        host = _forwarded_host(scope["headers"])
        if host is not None:
            others = [(name, value) for name, value in scope["headers"] if name != b"host"]
            scope["headers"] = [(b"host", host.encode("ascii")), *others]
        host = host or _header(scope["headers"], b"host")
        if self._tells_public_url and host is not None and _HOST.fullmatch(host):
            scope["state"]["public_url"] = f"{scope['scheme']}://{host}"
        await self._app(scope, receive, send)


def url_of(scheme: str, host: str, port: int) -> str:
    """Return the URL of an address, an IPv6 one in brackets."""
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _forwarded_host(headers: Sequence[tuple[bytes, bytes]]) -> str | None:
    """Return what the nearest proxy says, the last of a list."""
    text = (_header(headers, _FORWARDED_HOST) or "").rpartition(",")[2].strip()
    return text if _HOST.fullmatch(text) else None


def _header(headers: Sequence[tuple[bytes, bytes]], wanted: bytes) -> str | None:
    values = [value for name, value in headers if name == wanted]
    return values[-1].decode("latin-1") if values else None


def _plain(client: Any) -> tuple[str, int] | None:
    return (_plain_host(client[0]), client[1]) if client else None


def _plain_host(host: str) -> str:
    """Write an IPv4 address that came in through an IPv6 socket as what it is, so that it is recognised."""
    return host[7:] if host.startswith("::ffff:") and "." in host else host


def _is_in(host: str, networks: Sequence[Network]) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return any(address in network for network in networks)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
