"""Commands about health: whether backends take connections."""

import click

from landbridge.cli.output import print_json, print_record, print_table
from landbridge.cli.session import session_options, signed_in
from landbridge.client.records import ServiceHealth


@click.command("health")
@click.argument("name_or_id", metavar="SERVICE")
@session_options
def service_health(name_or_id: str, cloud: str | None, as_json: bool) -> None:
    """Show whether a service's backend takes connections, by port."""
    with signed_in(cloud) as client:
        found = client.service_health(client.own_service_id(name_or_id))
    if as_json:
        print_json(found)
    else:
        _print_service_health(found)


@click.command("health")
@click.argument("endpoint_id", metavar="ENDPOINT")
@session_options
def endpoint_health(endpoint_id: str, cloud: str | None, as_json: bool) -> None:
    """Show whether the backend behind an endpoint takes connections."""
    with signed_in(cloud) as client:
        found = client.endpoint_health(endpoint_id)
    if as_json:
        print_json(found)
    else:
        print_record({"id": found["id"], "health": found["health"]})


def _print_service_health(found: ServiceHealth) -> None:
    print_table(
        ("PORT", "CLIENT PORTS", "HEALTH", "SINCE", "CHECKED AT", "MS", "REASON"),
        [
            (
                str(port["server_port"]),
                " ".join(map(str, port["client_ports"])),
                port["health"],
                port.get("since", "-"),
                port.get("checked_at", "-"),
                str(port.get("latency_milliseconds", "-")),
                port.get("reason", ""),
            )
            for port in found["ports"]
        ],
    )
