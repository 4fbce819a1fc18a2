"""Remember which client is behind which connection of the proxy.

The kernel tracks two connections for each that a proxy carries, and only the proxy knows that they belong together. It
tells us; what it told before our own start is not known. Safe to use from several threads.
"""

import threading
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta

from landbridge.control.traffic_protocols import ProxiedConnection
from landbridge.domain.ids import EndpointId

MOST = 200_000
"""Connections that are remembered; the oldest are given up first."""
AFTERWARDS = timedelta(minutes=5)
"""How long an ended one is remembered: the kernel tells of its end a minute later or so."""


class ProxiedConnections:
    """Both ends of the connections that a proxy carries."""

    def __init__(self, now: Callable[[], datetime], most: int = MOST) -> None:
        self._now = now
        self._most = most
        self._lock = threading.Lock()
        self._sources: dict[tuple[EndpointId, str, int], str] = {}
        self._clients: dict[str, tuple[EndpointId, str, int]] = {}
        self._ended: deque[tuple[datetime, tuple[EndpointId, str, int], str]] = deque()

    def __len__(self) -> int:
        """Return how many connections are remembered."""
        return len(self._sources)

    def proxied(self, connection: ProxiedConnection) -> None:
        """Take note of a connection that is open, or has ended."""
        address, port = connection.client
        key = connection.endpoint_id, f"{address}:{port}", connection.client_port
        source_address, source_port = connection.source
        source = f"{source_address}:{source_port}"
        now = self._now()
        with self._lock:
            # Put last again: the oldest stand first.
            self._sources.pop(key, None)
            self._sources[key] = source
            self._clients[source] = key
            if connection.ended_at is not None:
                self._ended.append((now, key, source))
            while self._ended and now - self._ended[0][0] >= AFTERWARDS:
                _, ended, its_source = self._ended.popleft()
                # The same client may have another connection from the same port by now.
                if self._sources.get(ended) == its_source:
                    self._forget(ended)
            while len(self._sources) > self._most:
                self._forget(next(iter(self._sources)))

    def source_of(self, endpoint_id: EndpointId, client: str, client_port: int) -> str:
        """Return by what the backend knows a client's connection to an endpoint's port; empty if nobody told."""
        with self._lock:
            return self._sources.get((endpoint_id, client, client_port), "")

    def client_of(self, endpoint_id: EndpointId, source: str) -> str:
        """Return the client (`ADDRESS:PORT`) behind a connection to a backend; empty if nobody told."""
        with self._lock:
            key = self._clients.get(source)
        return key[1] if key is not None and key[0] == endpoint_id else ""

    def _forget(self, key: tuple[EndpointId, str, int]) -> None:
        source = self._sources.pop(key)
        if self._clients.get(source) == key:
            del self._clients[source]
