"""Write health and traces as the wire shows them."""

from landbridge.api.presentation import Json, moment
from landbridge.control.health import PortHealth, ServiceHealth
from landbridge.control.tracing import Trace
from landbridge.dataplane.health import Health, reason
from landbridge.dataplane.hops import Hop, Viewer
from landbridge.domain.ids import EndpointId


def service_health_body(known: ServiceHealth) -> Json:
    """Return what a provider is told about its backend."""
    return {
        "id": known.service_id,
        "health": known.health.value,
        "ports": [_port_body(port) for port in known.ports],
    }


def endpoint_health_body(id_: EndpointId, health: Health) -> Json:
    """Return what a consumer is told about the backend: nothing of the provider's."""
    return {"id": id_, "health": health.value}


def trace_body(trace: Trace) -> Json:
    """Return a trace, with what its viewer may know."""
    body: Json = {"endpoint_id": trace.endpoint_id, "outcome": trace.outcome.value}
    if trace.client is not None:
        body["from"] = str(trace.client)
    if trace.port is not None:
        body["port"] = trace.port
    body["hops"] = [_hop_body(hop, trace.viewer) for hop in trace.hops]
    return body


def _hop_body(hop: Hop, viewer: Viewer) -> Json:
    words = hop.told_to(viewer)
    return {
        "hop": hop.step.value,
        "verdict": hop.verdict.value,
        "confirmed": hop.is_confirmed,
        "text": words.text,
        "advice": words.advice,
    }


def _port_body(port: PortHealth) -> Json:
    finding = port.finding
    body: Json = {
        "server_port": port.probe.server_port,
        "client_ports": list(port.client_ports),
        "health": finding.health.value,
    }
    if finding.cause is not None:
        body |= {"cause": finding.cause.value, "reason": reason(finding, port.probe)}
    if finding.checked_at is not None:
        body["checked_at"] = moment(finding.checked_at)
    if finding.since is not None:
        body["since"] = moment(finding.since)
    if finding.latency_seconds is not None:
        body["latency_milliseconds"] = round(finding.latency_seconds * 1000, 2)
    return body
