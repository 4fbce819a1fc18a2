from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from typing import Any

from google.protobuf.json_format import ParseDict

from landbridge.drivers.envoy import messages
from landbridge.drivers.envoy.access_log import Unreadable, connections
from landbridge.drivers.envoy.listeners import ProxiedConnection


def address(text: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": text, "port_value": port}}


def entry(kind: str, **changes: Any) -> dict[str, Any]:
    common = {
        "access_log_type": kind,
        "upstream_cluster": "endpoint-1:443",
        "downstream_remote_address": address("10.0.0.10", 51000),
        "upstream_local_address": address("198.19.128.5", 40000),
        "start_time": "2026-01-02T03:04:05Z",
        "duration": "1.5s",
    }
    amounts = {"received_bytes": "8", "sent_bytes": "9"}
    return {"common_properties": common | changes, "connection_properties": amounts}


def read(*entries: dict[str, Any]) -> list[ProxiedConnection | Unreadable]:
    message = ParseDict({"tcp_logs": {"log_entry": list(entries)}}, messages.StreamAccessLogsMessage())
    return list(connections(message))


def test_an_ended_connection_says_how_long_it_was_and_how_much_it_carried():
    opened_at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

    assert read(entry("TcpConnectionEnd")) == [
        ProxiedConnection(
            endpoint_id="endpoint-1",
            client_port=443,
            client=(IPv4Address("10.0.0.10"), 51000),
            source=(IPv4Address("198.19.128.5"), 40000),
            opened_at=opened_at,
            ended_at=opened_at + timedelta(seconds=1.5),
            bytes_sent=8,
            bytes_received=9,
        )
    ]


def test_an_open_connection_has_no_end():
    (found,) = read(entry("TcpUpstreamConnected"))

    assert isinstance(found, ProxiedConnection)
    assert found.ended_at is None


def test_a_connection_that_never_reached_its_backend_is_none():
    lost = entry("TcpConnectionEnd")
    del lost["common_properties"]["upstream_local_address"]

    assert read(lost) == []


def test_an_entry_that_cannot_be_read_is_told_apart_and_stops_no_other():
    found = read(
        entry("TcpConnectionEnd", upstream_cluster="nobody"),
        entry("TcpConnectionEnd", downstream_remote_address=address("somewhere", 1)),
        entry("TcpConnectionEnd"),
    )

    assert [type(each) for each in found] == [Unreadable, Unreadable, ProxiedConnection]
