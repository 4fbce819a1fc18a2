"""Write what the proxy should listen for as Envoy's resources.

Pure. Each listener has a cluster of its own, with the same name. All that may change in an endpoint's life (target,
port, fields of the header) is in the cluster: Envoy lets connections of a replaced cluster go on, but closes those of
a replaced listener.
"""

import hashlib
from enum import StrEnum
from ipaddress import IPv4Address
from socket import IPPROTO_TCP, SO_KEEPALIVE, SOL_SOCKET, TCP_KEEPCNT, TCP_KEEPIDLE, TCP_KEEPINTVL
from typing import Any

from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.duration_pb2 import Duration
from google.protobuf.wrappers_pb2 import BoolValue, UInt32Value

from landbridge.domain.ids import EndpointId
from landbridge.drivers.envoy import messages
from landbridge.drivers.envoy.listeners import ProxyListener, TlvDialects
from landbridge.drivers.envoy.startup import CONTROL_CLUSTER
from landbridge.drivers.envoy.versions import Versions, write_versions

_TYPE_PREFIX = "type.googleapis.com/"
_CONNECT_SECONDS = 10
# A peer that vanished is noticed within five minutes; one that is only silent is never cut.
_KEEPALIVE_IDLE_SECONDS, _KEEPALIVE_INTERVAL_SECONDS, _KEEPALIVE_PROBES = 120, 30, 6
# What one connection may hold in each direction when the other side does not take it.
_BUFFER_BYTES = 256 * 1024
_BACKLOG = 1024
# The budget of an endpoint is nftables' affair: Envoy's own limit (1,024) would be a second one.
_NO_LIMIT = 2**32 - 1
_LOG_DELAY_NANOSECONDS = 200_000_000


class ResourceType(StrEnum):
    """The kinds of resources that are sent, by the names that Envoy has for them."""

    CLUSTER = _TYPE_PREFIX + "envoy.config.cluster.v3.Cluster"
    LISTENER = _TYPE_PREFIX + "envoy.config.listener.v3.Listener"


class Renderer:
    """Writes resources for one configuration of the header."""

    def __init__(self, dialects: TlvDialects) -> None:
        self._dialects = dialects
        # Another release or another configuration writes the sample differently, so it gives other versions. That
        # saves writing all resources only to find out that Envoy has them.
        self._cluster_form = _digest(self.cluster(_SAMPLE))
        self._listener_form = _digest(self.listener(_SAMPLE))

    def versions(self, listener: ProxyListener) -> Versions:
        """Return the versions of a listener's resources."""
        return write_versions(listener, self._cluster_form, self._listener_form)

    def resource(self, resource_type: ResourceType, listener: ProxyListener) -> Any:
        """Return one resource of a listener as discovery responses carry it."""
        versions = self.versions(listener)
        if resource_type is ResourceType.CLUSTER:
            version, contents = versions.cluster, self.cluster(listener)
        else:
            version, contents = versions.listener, self.listener(listener)
        return messages.Resource(name=listener.name, version=version, resource=_packed(contents))

    def cluster(self, listener: ProxyListener) -> Any:
        """Return the way to the backend: a connection with a header, from the endpoint's transit address."""
        backend = messages.Endpoint(address=_address(listener.target, listener.server_port))
        fields = self._dialects.fields(listener.endpoint_id, listener.marker)
        header = messages.ProxyProtocolConfig(
            version="V2",
            added_tlvs=[messages.TlvEntry(type=type_, value=value) for type_, value in fields],
        )
        transport = messages.ProxyProtocolUpstreamTransport(
            config=header,
            transport_socket=messages.TransportSocket(
                name="envoy.transport_sockets.raw_buffer", typed_config=_packed(messages.RawBuffer())
            ),
        )
        return messages.Cluster(
            name=listener.name,
            type="STATIC",
            connect_timeout=Duration(seconds=_CONNECT_SECONDS),
            per_connection_buffer_limit_bytes=UInt32Value(value=_BUFFER_BYTES),
            load_assignment=messages.ClusterLoadAssignment(
                cluster_name=listener.name,
                endpoints=[messages.LocalityLbEndpoints(lb_endpoints=[messages.LbEndpoint(endpoint=backend)])],
            ),
            circuit_breakers=messages.CircuitBreakers(
                thresholds=[
                    messages.CircuitBreakers.Thresholds(
                        max_connections=UInt32Value(value=_NO_LIMIT),
                        max_pending_requests=UInt32Value(value=_NO_LIMIT),
                        max_requests=UInt32Value(value=_NO_LIMIT),
                    )
                ]
            ),
            upstream_bind_config=messages.BindConfig(
                source_address=messages.SocketAddress(address=str(listener.source), port_value=0)
            ),
            upstream_connection_options=messages.UpstreamConnectionOptions(
                tcp_keepalive=messages.TcpKeepalive(
                    keepalive_probes=UInt32Value(value=_KEEPALIVE_PROBES),
                    keepalive_time=UInt32Value(value=_KEEPALIVE_IDLE_SECONDS),
                    keepalive_interval=UInt32Value(value=_KEEPALIVE_INTERVAL_SECONDS),
                )
            ),
            transport_socket=messages.TransportSocket(
                name="envoy.transport_sockets.upstream_proxy_protocol", typed_config=_packed(transport)
            ),
        )

    def listener(self, listener: ProxyListener) -> Any:
        """Return the place where clients connect: the endpoint's address and port in the consumer's edge."""
        proxy = messages.TcpProxy(
            stat_prefix="proxy",
            cluster=listener.name,
            idle_timeout=Duration(),  # never: silence is not ours to judge
            access_log=[
                messages.AccessLog(name="envoy.access_loggers.tcp_grpc", typed_config=_packed(_connection_log()))
            ],
            access_log_options=messages.TcpProxy.TcpAccessLogOptions(flush_access_log_on_connected=True),
        )
        place = _address(listener.address, listener.client_port)
        place.socket_address.network_namespace_filepath = listener.namespace
        return messages.Listener(
            name=listener.name,
            address=place,
            # The address may come a moment later, when many are put in at once.
            freebind=BoolValue(value=True),
            tcp_backlog_size=UInt32Value(value=_BACKLOG),
            per_connection_buffer_limit_bytes=UInt32Value(value=_BUFFER_BYTES),
            socket_options=[
                messages.SocketOption(level=level, name=name, int_value=value, state="STATE_PREBIND")
                for level, name, value in (
                    (SOL_SOCKET, SO_KEEPALIVE, 1),
                    (IPPROTO_TCP, TCP_KEEPIDLE, _KEEPALIVE_IDLE_SECONDS),
                    (IPPROTO_TCP, TCP_KEEPINTVL, _KEEPALIVE_INTERVAL_SECONDS),
                    (IPPROTO_TCP, TCP_KEEPCNT, _KEEPALIVE_PROBES),
                )
            ],
            filter_chains=[
                messages.FilterChain(
                    filters=[messages.Filter(name="envoy.filters.network.tcp_proxy", typed_config=_packed(proxy))]
                )
            ],
        )


_SAMPLE = ProxyListener(
    EndpointId("sample"), "/", 1, IPv4Address("10.0.0.2"), 1, IPv4Address("10.0.0.3"), IPv4Address("10.0.0.4"), 2, 3
)


def _connection_log() -> Any:
    return messages.TcpGrpcAccessLogConfig(
        common_config=messages.CommonGrpcAccessLogConfig(
            log_name="connections",
            transport_api_version=messages.API_VERSION_3,
            grpc_service=messages.GrpcService(envoy_grpc=messages.GrpcService.EnvoyGrpc(cluster_name=CONTROL_CLUSTER)),
            buffer_flush_interval=Duration(nanos=_LOG_DELAY_NANOSECONDS),
        )
    )


def _address(address: IPv4Address, port: int) -> Any:
    return messages.Address(socket_address=messages.SocketAddress(address=str(address), port_value=port))


def _packed(message: Any) -> Packed:
    packed = Packed()
    packed.Pack(message, deterministic=True)
    return packed


def _digest(message: Any) -> str:
    return hashlib.sha256(message.SerializeToString(deterministic=True)).hexdigest()[:12]
