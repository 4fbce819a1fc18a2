"""Say what is probed for an endpoint service, and what the findings mean.

Pure. A probe is a TCP connection to a backend, the way a consumer's packet would go; services that share a backend
share its probes. What is found never changes a status word of the contract: it is shown beside it.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from ipaddress import IPv4Address

from landbridge.dataplane.model import TRANSIT_RANGE
from landbridge.domain.ids import SubnetId, VpcId
from landbridge.domain.lifecycle import ServiceStatus, service_status
from landbridge.domain.resources import Backend, EndpointService, TcpProxy

CONNECT_SECONDS = 2.0
"""How long a probe waits for its connection."""

STALE_AFTER_INTERVALS = 6
"""A finding that is older than so many intervals says nothing any more."""

_WITH_HEADER = frozenset({TcpProxy.PROXY_OPEN, TcpProxy.OPEN})

LOCAL_HEADER = bytes.fromhex("0d0a0d0a000d0a515549540a 20 00 0000")
"""PROXY protocol, version 2, command LOCAL: a connection of the proxy itself, of no client."""


class Health(StrEnum):
    """Whether a backend takes connections."""

    PASSING = "passing"
    FAILING = "failing"
    UNKNOWN = "unknown"


class Cause(StrEnum):
    """Why a backend is failing, or why its health is not known."""

    REFUSED = "refused"
    """It answered with a reset: the host lives, and nothing listens on the port."""
    SILENT = "silent"
    """No answer came in time."""
    UNREACHABLE = "unreachable"
    """Nobody in its subnet has its address."""
    NOT_PROBED = "not-probed"
    """Not yet."""
    OFF = "off"
    """Probing is switched off."""
    AWAY = "away"
    """The data plane could not probe."""


_UNKNOWN = frozenset({Cause.NOT_PROBED, Cause.OFF, Cause.AWAY})


@dataclass(frozen=True, slots=True, order=True)
class Probe:
    """One thing to find out: equal for all services and endpoints that share it."""

    vpc_id: VpcId
    """The backend's VPC."""
    subnet_id: SubnetId
    address: IPv4Address
    """The backend's own address."""
    transit_address: IPv4Address
    """What stands for it; the connection goes there."""
    server_port: int
    mode: TcpProxy

    @property
    def first_bytes(self) -> bytes:
        """What the backend must read first: in some modes it takes no connection without a header."""
        return LOCAL_HEADER if self.mode in _WITH_HEADER else b""


@dataclass(frozen=True, slots=True)
class Result:
    """What one probe met; no cause: the connection was made."""

    cause: Cause | None = None
    latency_seconds: float | None = None
    """From the first packet to the connection; None without one."""
    detail: str = ""
    """What the operator may know beside the cause."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What is known about a probe."""

    health: Health
    cause: Cause | None = None
    checked_at: datetime | None = None
    since: datetime | None = None
    """Since when it has been so."""
    latency_seconds: float | None = None
    detail: str = ""


NOT_PROBED = Finding(Health.UNKNOWN, Cause.NOT_PROBED)
SWITCHED_OFF = Finding(Health.UNKNOWN, Cause.OFF)


def probes_of(service: EndpointService) -> tuple[Probe, ...]:
    """Return what is probed for a service: its backend, on each server port; nothing until the service is wired."""
    if service_status(service) is not ServiceStatus.AVAILABLE or service.observed_generation != service.generation:
        return ()
    backend = service.backend
    # A gateway service has networks behind it and no backend that could be asked.
    return tuple(probe_of(service, port) for port in server_ports(service)) if isinstance(backend, Backend) else ()


def probe_of(service: EndpointService, server_port: int) -> Probe:
    """Return the probe of one server port of an interface service."""
    backend = service.backend
    assert isinstance(backend, Backend)  # noqa: S101 - a gateway service has no ports
    return Probe(
        vpc_id=service.vpc_id,
        subnet_id=backend.subnet_id,
        address=backend.address,
        transit_address=backend.transit_address,
        server_port=server_port,
        mode=service.tcp_proxy,
    )


def server_ports(service: EndpointService) -> Collection[int]:
    """Return the backend's ports, sorted, none twice."""
    return sorted({mapping.server_port for mapping in service.ports})


def next_finding(before: Finding, result: Result, now: datetime) -> Finding:
    """Return what is known after a probe."""
    health = _health(result.cause)
    is_same = (before.health, before.cause) == (health, result.cause) and before.since is not None
    return Finding(health, result.cause, now, before.since if is_same else now, result.latency_seconds, result.detail)


def together(findings: Iterable[Finding]) -> Health:
    """Return the health of a whole service: failing if a port of it is, passing only if all are."""
    healths = {finding.health for finding in findings}
    if Health.FAILING in healths:
        return Health.FAILING
    return Health.PASSING if healths == {Health.PASSING} else Health.UNKNOWN


def reason(finding: Finding, probe: Probe) -> str:
    """Return why a backend is not passing and what to do, for its provider; empty if it is passing."""
    host, port = probe.address, probe.server_port
    reasons = {
        Cause.REFUSED: f"{host} refuses connections to port {port}: start what listens there",
        Cause.SILENT: f"{host} does not answer on port {port}: see whether it is up, has a route to {TRANSIT_RANGE}, "
        "and lets packets from there in",
        Cause.UNREACHABLE: f"no host in the backend's subnet has the address {host}: start it, or plug it in",
        Cause.NOT_PROBED: "it has not been probed yet: ask again in some seconds",
        Cause.OFF: "probing is switched off: the operator can switch it on (health_probes)",
        Cause.AWAY: "the data plane cannot probe it now: ask again in some seconds",
    }
    return reasons[finding.cause] if finding.cause is not None else ""


def _health(cause: Cause | None) -> Health:
    if cause is None:
        return Health.PASSING
    return Health.UNKNOWN if cause in _UNKNOWN else Health.FAILING
