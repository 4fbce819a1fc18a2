"""Write a listener into the versions of its resources, and read it back.

Pure. A version holds the values that its resource was made of, so that who has forgotten everything learns from Envoy
itself what Envoy has. It also holds the form: a short text that changes when the same values are written differently,
by another release or another configuration. So equal versions mean equal resources.
"""

import json
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any, cast

from landbridge.domain.ids import EndpointId
from landbridge.drivers.envoy.listeners import ProxyListener


@dataclass(frozen=True, slots=True)
class Versions:
    """The versions of both resources of one listener."""

    cluster: str
    listener: str


def write_versions(listener: ProxyListener, cluster_form: str, listener_form: str) -> Versions:
    """Return the versions of a listener's resources, written in these forms."""
    way_out = [str(listener.source), str(listener.target), listener.server_port, listener.marker]
    place = [listener.namespace, listener.namespace_identity, str(listener.address)]
    return Versions(_text([cluster_form, *way_out]), _text([listener_form, *place]))


def read_versions(name: str, versions: Versions) -> ProxyListener | None:
    """Return the listener of this name whose resources have these versions; None when we did not write them."""
    endpoint_id, colon, client_port = name.rpartition(":")
    if not colon:
        return None
    try:
        _, source, target, server_port, marker = cast("list[Any]", json.loads(versions.cluster))
        _, namespace, identity, address = cast("list[Any]", json.loads(versions.listener))
        return ProxyListener(
            endpoint_id=EndpointId(endpoint_id),
            namespace=str(namespace),
            namespace_identity=int(identity),
            address=IPv4Address(address),
            client_port=int(client_port),
            source=IPv4Address(source),
            target=IPv4Address(target),
            server_port=int(server_port),
            marker=int(marker),
        )
    except (ValueError, TypeError):
        return None


def _text(values: list[str | int]) -> str:
    return json.dumps(values, separators=(",", ":"))
