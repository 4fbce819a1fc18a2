"""Commands that show traffic: of an endpoint `traffic` and `connections`, of a service `connections` and `who`.

They are commands of the groups `endpoint` and `service`, which come from here with all their other commands.
"""

from collections.abc import Sequence

import click

from landbridge.cli.output import print_json, print_record, print_table
from landbridge.cli.resources import endpoint
from landbridge.cli.services import service
from landbridge.cli.session import session_options, signed_in
from landbridge.client.traffic import Connections, TrafficCalls

__all__ = ["endpoint", "service"]

_limit_option = click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most N; default: all.")


@endpoint.command("traffic")
@click.argument("endpoint_id", metavar="ENDPOINT")
@session_options
def endpoint_traffic(endpoint_id: str, cloud: str | None, as_json: bool) -> None:
    """Show how much went through an endpoint, and how many connections are open."""
    with signed_in(cloud) as client:
        found = TrafficCalls(client).of_endpoint(endpoint_id)
    if as_json:
        print_json(found)
        return
    print_record(
        {
            "endpoint": found["endpoint_id"],
            "measured at": found["measured_at"],
            "bytes sent": str(found["bytes_sent"]),
            "packets sent": str(found["packets_sent"]),
            "bytes received": str(found["bytes_received"]),
            "packets received": str(found["packets_received"]),
            "connections opened": str(found["connections_opened"]),
            "connections open": str(found["connections_open"]),
        }
    )


@endpoint.command("connections")
@click.argument("endpoint_id", metavar="ENDPOINT")
@_limit_option
@session_options
def endpoint_connections(endpoint_id: str, limit: int | None, cloud: str | None, as_json: bool) -> None:
    """List the open connections of an endpoint, the oldest first."""
    with signed_in(cloud) as client:
        found = TrafficCalls(client).connections_of_endpoint(endpoint_id, limit)
    _show(
        found,
        ("CLIENT", "ENDPOINT", "SERVER PORT", "STATE", "AGE", "SENT", "RECEIVED"),
        [
            (
                one.get("client", ""),
                one.get("endpoint", ""),
                str(one.get("server_port") or "-"),
                one.get("state", ""),
                _age(one.get("age_seconds")),
                str(one.get("bytes_sent", "")),
                str(one.get("bytes_received", "")),
            )
            for one in found["connections"]
        ],
        as_json=as_json,
    )


@service.command("connections")
@click.argument("name_or_id", metavar="SERVICE")
@_limit_option
@session_options
def service_connections(name_or_id: str, limit: int | None, cloud: str | None, as_json: bool) -> None:
    """List the open connections of a service as its backend sees them, the oldest first."""
    with signed_in(cloud) as client:
        found = TrafficCalls(client).connections_of_service(client.own_service_id(name_or_id), limit)
    _show(
        found,
        ("SOURCE", "SERVER PORT", "ENDPOINT", "MARKER", "CLIENT", "STATE", "AGE", "SENT", "RECEIVED"),
        [
            (
                one.get("source") or "-",
                str(one.get("server_port") or "-"),
                one.get("endpoint_id", ""),
                str(one.get("marker_id", "")),
                one.get("client") or "-",
                one.get("state", ""),
                _age(one.get("age_seconds")),
                str(one.get("bytes_sent", "")),
                str(one.get("bytes_received", "")),
            )
            for one in found["connections"]
        ],
        as_json=as_json,
    )


@service.command("who")
@click.argument("name_or_id", metavar="SERVICE")
@click.argument("source", metavar="ADDRESS:PORT")
@click.option("--at", metavar="TIME", help="When, such as 2026-01-31T12:00:00Z; default: now.")
@session_options
def service_who(name_or_id: str, source: str, at: str | None, cloud: str | None, as_json: bool) -> None:
    """Say who is or was behind a source address and port that a backend of the service saw."""
    address, port = _source(source)
    with signed_in(cloud) as client:
        found = TrafficCalls(client).who(client.own_service_id(name_or_id), address, port, at)
    if as_json:
        print_json(found)
        return
    print_table(
        ("ENDPOINT", "MARKER", "DOMAIN", "CLIENT", "OPENED AT", "ENDED AT", "KNOWN BY"),
        [
            (
                one.get("endpoint_id", ""),
                str(one.get("marker_id", "")),
                one.get("domain_id", ""),
                one.get("client") or "-",
                one.get("opened_at") or "-",
                one.get("ended_at") or "-",
                one.get("known_by", ""),
            )
            for one in found["found"]
        ],
    )
    if not found["is_complete"]:
        click.echo("there was no time to look everywhere: ask again", err=True)


def _show(found: Connections, headers: Sequence[str], rows: Sequence[Sequence[str]], *, as_json: bool) -> None:
    if as_json:
        print_json(found["connections"])
    else:
        print_table(headers, rows)
    if not found["is_complete"]:
        click.echo("there was no time to look at all connections: there are more", err=True)


def _age(seconds: float | None) -> str:
    """Return a duration as people say it: its two largest units."""
    if seconds is None:
        return "-"
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02}h"


def _source(text: str) -> tuple[str, int]:
    address, _, port = text.rpartition(":")
    if not address or not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
        raise click.BadParameter(f"{text!r} is not ADDRESS:PORT, such as 198.19.128.5:40001")
    return address, int(port)
