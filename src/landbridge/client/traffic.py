"""Name what the client reads of the extension about traffic, and ask for it.

As with `client.records`, nothing is converted: a record is the parsed JSON itself.
"""

from collections.abc import Callable, Mapping
from typing import TypedDict, cast

from landbridge.client.rest import Client, Query, UnexpectedAnswer

_PAGE_SIZE = 500
_CONNECTIONS = "connections"


class Counted(TypedDict):
    """What went through."""

    bytes_sent: int
    packets_sent: int
    bytes_received: int
    packets_received: int
    connections_opened: int
    connections_open: int


class EndpointTraffic(Counted):
    """What went through an endpoint."""

    endpoint_id: str
    measured_at: str


class LiveConnection(TypedDict, total=False):
    """An open connection; what the other side has nothing to do with is absent."""

    endpoint_id: str
    marker_id: int
    client: str
    endpoint: str
    source: str | None
    server_port: int | None
    state: str
    protocol: str
    opened_at: str | None
    age_seconds: float | None
    bytes_sent: int
    bytes_received: int


class Somebody(TypedDict, total=False):
    """Who was behind a source."""

    known_by: str
    endpoint_id: str
    marker_id: int
    domain_id: str
    opened_at: str | None
    ended_at: str | None
    client: str


class Found(TypedDict):
    """The answer to "who was it"."""

    source: str
    at: str
    found: list[Somebody]
    is_complete: bool


class Connections(TypedDict):
    """Open connections, and whether these are all."""

    connections: list[LiveConnection]
    is_complete: bool


class TrafficCalls:
    """The calls about traffic."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def of_endpoint(self, endpoint_id: str) -> EndpointTraffic:
        """Return what went through an endpoint."""
        return cast("EndpointTraffic", cast("object", self._client.extension("vpc-endpoints", endpoint_id, "traffic")))

    def connections_of_endpoint(self, endpoint_id: str, limit: int | None) -> Connections:
        """Return an endpoint's open connections, the oldest first; with `limit`, so many at most."""
        return _all_pages(
            lambda query: self._client.extension("vpc-endpoints", endpoint_id, _CONNECTIONS, query), limit
        )

    def connections_of_service(self, service_id: str, limit: int | None) -> Connections:
        """Return a service's open connections, the oldest first; with `limit`, so many at most."""
        return _all_pages(
            lambda query: self._client.extension("vpc-endpoint-services", service_id, _CONNECTIONS, query), limit
        )

    def who(self, service_id: str, address: str, port: int, at: str | None) -> Found:
        """Return who was behind a source that a backend of the service saw; at a moment (RFC 3339), or now."""
        query: Query = {"address": address, "port": port, "at": at}
        found = self._client.extension("vpc-endpoint-services", service_id, "who", query)
        return cast("Found", cast("object", found))


def _all_pages(ask: Callable[[Query], Mapping[str, object]], limit: int | None) -> Connections:
    found: list[LiveConnection] = []
    is_complete, marker = True, None
    while limit is None or len(found) < limit:
        left = _PAGE_SIZE if limit is None else min(limit - len(found), _PAGE_SIZE)
        page = ask({"limit": left, "marker": marker})
        connections, marker = page.get("connections"), page.get("next_marker")
        if not isinstance(connections, list) or not (marker is None or isinstance(marker, str)):
            raise UnexpectedAnswer("the answer has no list of connections: is this Landbridge?")
        found += cast("list[LiveConnection]", connections)
        is_complete = is_complete and page.get("is_complete") is True
        if marker is None:
            break
    return {"connections": found, "is_complete": is_complete}
