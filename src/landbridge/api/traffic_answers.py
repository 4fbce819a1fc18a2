"""Describe and write the answers about traffic, an extension of the contract.

The models describe for the OpenAPI document, the functions write; tests hold the two together. An end of a connection
is one text, `ADDRESS:PORT`.
"""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from landbridge.api.answer_fields import Absent, Answer, Id, Moment, ProjectId, TcpPort
from landbridge.api.presentation import Json, moment
from landbridge.control.traffic import ConnectionPage, EndpointTraffic, SeenConnection, TrafficPage, WhoFound
from landbridge.dataplane.flows import TrafficCounters, moment_of

End = Annotated[str, Field(pattern=r"^([0-9]{1,3}\.){3}[0-9]{1,3}:[0-9]{1,5}$", examples=["10.0.0.20:43210"])]
"""An address and a port."""

Count = Annotated[int, Field(ge=0)]
Marker = Annotated[int, Field(gt=2**24)]


class _Counted(Answer):
    """What went through: bytes with IP headers, since this server began to look."""

    bytes_sent: Count
    packets_sent: Count
    bytes_received: Count
    packets_received: Count
    connections_opened: Count
    connections_open: Count


class EndpointTrafficAnswer(_Counted):
    """What went through an endpoint; `sent` is from clients to the backend."""

    endpoint_id: Id
    measured_at: Moment


class ServiceEndpointTraffic(_Counted):
    """What went through one endpoint of a service."""

    endpoint_id: Id
    marker_id: Marker


class ServiceTrafficAnswer(_Counted):
    """What went through all endpoints of a service, and through each of one page of them."""

    service_id: Id
    measured_at: Moment
    is_complete: bool
    endpoints: list[ServiceEndpointTraffic]
    next_marker: str | None


class _LiveConnection(Answer):
    """A connection that is open."""

    state: Literal["opening", "established", "closing"]
    protocol: str
    server_port: TcpPort | None
    opened_at: Moment | None
    age_seconds: float | None
    bytes_sent: Count
    packets_sent: Count
    bytes_received: Count
    packets_received: Count


class EndpointConnection(_LiveConnection):
    """An open connection, as the consumer sees it."""

    client: End
    endpoint: End
    source: End | None


class EndpointConnections(Answer):
    """One page of an endpoint's open connections, the oldest first."""

    connections: list[EndpointConnection]
    next_marker: str | None
    seen_at: Moment
    is_complete: bool


class ServiceConnection(_LiveConnection):
    """An open connection, as the provider sees it; `client` is absent where the backend does not hear it either."""

    endpoint_id: Id
    marker_id: Marker
    source: End | None
    client: End | Absent = None


class ServiceConnections(Answer):
    """One page of a service's open connections, the oldest first."""

    connections: list[ServiceConnection]
    next_marker: str | None
    seen_at: Moment
    is_complete: bool


class SomebodyAnswer(Answer):
    """Who was behind a source; `client` is absent where the backend did not hear it either."""

    known_by: Literal["connection", "flow-log", "address"]
    endpoint_id: Id
    marker_id: Marker
    domain_id: ProjectId
    opened_at: Moment | None
    ended_at: Moment | None
    client: End | Absent = None


class WhoAnswer(Answer):
    """Everybody who may have been behind a source at a moment; mostly it is one."""

    source: End
    at: Moment
    found: list[SomebodyAnswer]
    is_complete: bool


def endpoint_traffic_body(traffic: EndpointTraffic, measured_at: datetime) -> Json:
    """Return the traffic of an endpoint."""
    counted = _counted(traffic.counters, traffic.open_connections)
    return {"endpoint_id": traffic.endpoint.id, "measured_at": moment(measured_at), **counted}


def service_traffic_body(service_id: str, page: TrafficPage) -> Json:
    """Return the traffic of a service."""
    return {
        "service_id": service_id,
        "measured_at": moment(page.measured_at),
        "is_complete": page.is_complete,
        **_counted(page.total, page.open_connections),
        "endpoints": [
            {
                "endpoint_id": one.endpoint.id,
                "marker_id": one.endpoint.marker,
                **_counted(one.counters, one.open_connections),
            }
            for one in page.endpoints
        ],
        "next_marker": page.next_marker,
    }


def endpoint_connections_body(page: ConnectionPage) -> Json:
    """Return open connections for the consumer."""
    shown = [
        {
            "client": seen.client,
            "endpoint": seen.facts.listener,
            "source": seen.source or None,
            **_live(seen, page.seen_at),
        }
        for seen in page.connections
    ]
    return _page(page, shown)


def service_connections_body(page: ConnectionPage) -> Json:
    """Return open connections for the provider: no network facts of the consumer but what the backend hears."""
    shown = [
        {
            "endpoint_id": seen.endpoint.id,
            "marker_id": seen.endpoint.marker,
            "source": seen.source or None,
            **({"client": seen.client} if seen.client else {}),
            **_live(seen, page.seen_at),
        }
        for seen in page.connections
    ]
    return _page(page, shown)


def who_body(source: str, at: datetime, who: WhoFound) -> Json:
    """Return who was behind a source."""
    return {
        "source": source,
        "at": moment(at),
        "found": [
            {
                "known_by": one.known_by,
                "endpoint_id": one.endpoint_id,
                "marker_id": one.marker,
                "domain_id": one.domain_id,
                "opened_at": _moment(one.opened_at),
                "ended_at": _moment(one.ended_at),
                **({"client": one.client} if one.client else {}),
            }
            for one in who.found
        ],
        "is_complete": who.is_complete,
    }


def _counted(counters: TrafficCounters, open_connections: int) -> Json:
    return {
        "bytes_sent": counters.bytes_sent,
        "packets_sent": counters.packets_sent,
        "bytes_received": counters.bytes_received,
        "packets_received": counters.packets_received,
        "connections_opened": counters.opened,
        "connections_open": open_connections,
    }


def _live(seen: SeenConnection, now: datetime) -> Json:
    facts = seen.facts
    opened_at = moment_of(facts.opened_ns)
    return {
        "state": facts.state.value,
        "protocol": facts.protocol,
        "server_port": seen.server_port,
        "opened_at": _moment(opened_at),
        "age_seconds": None if opened_at is None else max(0.0, round((now - opened_at).total_seconds(), 3)),
        "bytes_sent": facts.bytes_sent,
        "packets_sent": facts.packets_sent,
        "bytes_received": facts.bytes_received,
        "packets_received": facts.packets_received,
    }


def _page(page: ConnectionPage, shown: list[Json]) -> Json:
    return {
        "connections": shown,
        "next_marker": page.next_marker,
        "seen_at": moment(page.seen_at),
        "is_complete": page.is_complete,
    }


def _moment(at: datetime | None) -> str | None:
    return None if at is None else moment(at)
