"""Name the protobuf messages that Envoy understands and that are used here.

Generated message classes have no types that a checker could read, so they come in through this one door, as `Any`.
"""

from importlib import import_module
from typing import Any

_LISTENER = "envoy.config.listener.v3"
_CORE = "envoy.config.core.v3"
_CLUSTER = "envoy.config.cluster.v3"
_ENDPOINT = "envoy.config.endpoint.v3"


def _message(module: str, name: str) -> Any:
    return getattr(import_module(module), name)


Address = _message(f"{_CORE}.address_pb2", "Address")
SocketAddress = _message(f"{_CORE}.address_pb2", "SocketAddress")
BindConfig = _message(f"{_CORE}.address_pb2", "BindConfig")
TcpKeepalive = _message(f"{_CORE}.address_pb2", "TcpKeepalive")
SocketOption = _message(f"{_CORE}.socket_option_pb2", "SocketOption")
TransportSocket = _message(f"{_CORE}.base_pb2", "TransportSocket")
GrpcService = _message(f"{_CORE}.grpc_service_pb2", "GrpcService")
ProxyProtocolConfig = _message(f"{_CORE}.proxy_protocol_pb2", "ProxyProtocolConfig")
TlvEntry = _message(f"{_CORE}.proxy_protocol_pb2", "TlvEntry")
API_VERSION_3 = _message(f"{_CORE}.config_source_pb2", "V3")

Listener = _message(f"{_LISTENER}.listener_pb2", "Listener")
FilterChain = _message(f"{_LISTENER}.listener_components_pb2", "FilterChain")
Filter = _message(f"{_LISTENER}.listener_components_pb2", "Filter")
TcpProxy = _message("envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2", "TcpProxy")
AccessLog = _message("envoy.config.accesslog.v3.accesslog_pb2", "AccessLog")
_GRPC_LOGGERS = "envoy.extensions.access_loggers.grpc.v3.als_pb2"
TcpGrpcAccessLogConfig = _message(_GRPC_LOGGERS, "TcpGrpcAccessLogConfig")
CommonGrpcAccessLogConfig = _message(_GRPC_LOGGERS, "CommonGrpcAccessLogConfig")

Cluster = _message(f"{_CLUSTER}.cluster_pb2", "Cluster")
UpstreamConnectionOptions = _message(f"{_CLUSTER}.cluster_pb2", "UpstreamConnectionOptions")
CircuitBreakers = _message(f"{_CLUSTER}.circuit_breaker_pb2", "CircuitBreakers")
ClusterLoadAssignment = _message(f"{_ENDPOINT}.endpoint_pb2", "ClusterLoadAssignment")
LocalityLbEndpoints = _message(f"{_ENDPOINT}.endpoint_components_pb2", "LocalityLbEndpoints")
LbEndpoint = _message(f"{_ENDPOINT}.endpoint_components_pb2", "LbEndpoint")
Endpoint = _message(f"{_ENDPOINT}.endpoint_components_pb2", "Endpoint")
RawBuffer = _message("envoy.extensions.transport_sockets.raw_buffer.v3.raw_buffer_pb2", "RawBuffer")
ProxyProtocolUpstreamTransport = _message(
    "envoy.extensions.transport_sockets.proxy_protocol.v3.upstream_proxy_protocol_pb2",
    "ProxyProtocolUpstreamTransport",
)

_DISCOVERY = "envoy.service.discovery.v3.discovery_pb2"
DeltaDiscoveryRequest = _message(_DISCOVERY, "DeltaDiscoveryRequest")
DeltaDiscoveryResponse = _message(_DISCOVERY, "DeltaDiscoveryResponse")
Resource = _message(_DISCOVERY, "Resource")
_LOG_SERVICE = "envoy.service.accesslog.v3.als_pb2"
StreamAccessLogsMessage = _message(_LOG_SERVICE, "StreamAccessLogsMessage")
StreamAccessLogsResponse = _message(_LOG_SERVICE, "StreamAccessLogsResponse")
AccessLogType = _message("envoy.data.accesslog.v3.accesslog_pb2", "AccessLogType")
