"""Read what Envoy says of connections.

Pure. Envoy tells of a connection when it has reached the backend and when it has ended; of one that never reached its
backend there is nothing to tell, since nobody saw a source port.
"""

from collections.abc import Iterator
from datetime import UTC, timedelta
from ipaddress import IPv4Address
from typing import Any

from landbridge.domain.ids import EndpointId
from landbridge.drivers.envoy import messages
from landbridge.drivers.envoy.listeners import ProxiedConnection


class Unreadable(Exception):
    """An entry is not what Envoy writes for listeners of ours."""


def connections(message: Any) -> Iterator[ProxiedConnection | Unreadable]:
    """Yield the connections in one message of the access log service, or why an entry cannot be read.

    `message` is a `StreamAccessLogsMessage`.
    """
    for entry in message.tcp_logs.log_entry:
        common = entry.common_properties
        if not common.HasField("upstream_local_address"):
            continue
        try:
            yield _connection(entry)
        except (ValueError, OverflowError) as error:
            yield Unreadable(str(error))


def _connection(entry: Any) -> ProxiedConnection:
    common, amounts = entry.common_properties, entry.connection_properties
    endpoint_id, colon, client_port = str(common.upstream_cluster).rpartition(":")
    if not colon:
        raise ValueError(f"there is no listener {common.upstream_cluster!r}")
    opened_at = common.start_time.ToDatetime(tzinfo=UTC)
    has_ended = common.access_log_type == messages.AccessLogType.Value("TcpConnectionEnd")
    lasted = timedelta(microseconds=common.duration.ToMicroseconds())
    return ProxiedConnection(
        endpoint_id=EndpointId(endpoint_id),
        client_port=int(client_port),
        client=_place(common.downstream_remote_address),
        source=_place(common.upstream_local_address),
        opened_at=opened_at,
        ended_at=opened_at + lasted if has_ended else None,
        bytes_sent=int(amounts.received_bytes),
        bytes_received=int(amounts.sent_bytes),
    )


def _place(address: Any) -> tuple[IPv4Address, int]:
    return IPv4Address(address.socket_address.address), int(address.socket_address.port_value)
