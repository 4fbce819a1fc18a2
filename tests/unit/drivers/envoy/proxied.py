"""A listener to vary."""

from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any

from landbridge.domain.ids import EndpointId
from landbridge.drivers.envoy.listeners import ProxyListener

_LISTENER = ProxyListener(
    endpoint_id=EndpointId("4f2c1a9e-0000-4000-8000-000000000001"),
    namespace="/run/netns/lb.lab-1.edge.acme",
    namespace_identity=4026532500,
    address=IPv4Address("10.0.0.100"),
    client_port=443,
    source=IPv4Address("198.19.128.5"),
    target=IPv4Address("198.19.200.1"),
    server_port=8443,
    marker=16777217,
)


def listener(**changes: Any) -> ProxyListener:
    return replace(_LISTENER, **changes)
