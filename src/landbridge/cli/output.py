"""Show what the client found: tables and records for people, JSON for programs, progress on stderr.

A terminal gets a drawn table. A pipe gets columns that are never cut, so that `grep` and `awk` see whole ids.
What other tenants wrote (names, descriptions) is shown without control characters: it must not steer the
reader's terminal. rich is imported only where something is drawn.
"""

import json
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager

import click

from landbridge.client.records import Connection, Endpoint, Permission, Service
from landbridge.client.rest import short_name

Report = Callable[[str], None]
"""Takes one line about how far a wait has come."""


def print_json(value: object) -> None:
    """Print the API's JSON and nothing else."""
    click.echo(json.dumps(value, indent=2))


def print_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print one line per row; headers too if there are none, so that an empty list can be told from silence."""
    clean_rows = [[clean(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _draw_table(headers, clean_rows)
        return
    widths = [max(len(cell) for cell in column) for column in zip(headers, *clean_rows, strict=True)]
    for row in (headers, *clean_rows):
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def print_record(fields: Mapping[str, str]) -> None:
    """Print one resource, a field per line."""
    print_table(("FIELD", "VALUE"), [(name, value) for name, value in fields.items() if value])


def print_services(services: Sequence[Service]) -> None:
    """Print services as a table."""
    print_table(
        ("ID", "NAME", "STATUS", "TYPE", "PORTS", "CONNECTIONS"),
        [
            (
                one["id"],
                short_name(one["service_name"]) or "-",
                one["status"],
                one.get("server_type", ""),
                _ports(one),
                str(one.get("connection_count", "")),
            )
            for one in services
        ],
    )


def print_service(service: Service) -> None:
    """Print one service with its fields."""
    print_record(
        {
            "id": service["id"],
            "name": service["service_name"],
            "status": service["status"],
            "reason": _reasons(service),
            "server type": service.get("server_type", ""),
            "ports": _ports(service),
            "port id": service.get("port_id", ""),
            "vip port id": service.get("vip_port_id") or "",
            "vpc id": service.get("vpc_id", ""),
            "approval": _yes_or_no(service.get("approval_enabled")),
            "tcp proxy": service.get("tcp_proxy", ""),
            "connections": str(service.get("connection_count", "")),
            "tags": _tags(service),
            "description": service.get("description", ""),
            "created at": service.get("created_at", ""),
            "updated at": service.get("updated_at", ""),
        }
    )


def print_endpoints(endpoints: Sequence[Endpoint]) -> None:
    """Print endpoints as a table."""
    print_table(
        ("ID", "STATUS", "IP", "SERVICE", "VPC"),
        [
            (
                one["id"],
                one["status"],
                one.get("ip") or "-",
                one.get("endpoint_service_name", ""),
                one.get("vpc_id", ""),
            )
            for one in endpoints
        ],
    )


def print_endpoint(endpoint: Endpoint) -> None:
    """Print one endpoint with its fields."""
    print_record(
        {
            "id": endpoint["id"],
            "status": endpoint["status"],
            "reason": _reasons(endpoint),
            "ip": endpoint.get("ip") or "",
            "dns names": " ".join(endpoint.get("dns_names") or ()),
            "service": endpoint.get("endpoint_service_name", ""),
            "service id": endpoint.get("endpoint_service_id", ""),
            "vpc id": endpoint.get("vpc_id", ""),
            "subnet id": endpoint.get("subnet_id") or "",
            "route tables": " ".join(endpoint.get("routetables") or ()),
            "marker": str(endpoint.get("marker_id", "")),
            "whitelist": " ".join(endpoint.get("whitelist") or ()),
            "whitelist on": _yes_or_no(endpoint.get("enable_whitelist")),
            "tags": _tags(endpoint),
            "description": endpoint.get("description", ""),
            "created at": endpoint.get("created_at", ""),
            "updated at": endpoint.get("updated_at", ""),
        }
    )


def print_connections(connections: Sequence[Connection]) -> None:
    """Print connections as a table."""
    print_table(
        ("ENDPOINT", "STATUS", "DOMAIN", "MARKER", "CREATED AT", "DESCRIPTION"),
        [
            (
                one["id"],
                one["status"],
                one.get("domain_id", ""),
                str(one.get("marker_id", "")),
                one.get("created_at", ""),
                one.get("description", ""),
            )
            for one in connections
        ],
    )


def print_connection(connection: Connection) -> None:
    """Print one connection with its fields."""
    print_record(
        {
            "endpoint": connection["id"],
            "status": connection["status"],
            "reason": _reasons(connection),
            "domain id": connection.get("domain_id", ""),
            "marker": str(connection.get("marker_id", "")),
            "description": connection.get("description", ""),
            "created at": connection.get("created_at", ""),
            "updated at": connection.get("updated_at", ""),
        }
    )


def print_permissions(permissions: Sequence[Permission]) -> None:
    """Print permissions as a table."""
    print_table(
        ("PERMISSION", "CREATED AT", "DESCRIPTION"),
        [(one["permission"], one.get("created_at", ""), one.get("description", "")) for one in permissions],
    )


@contextmanager
def progress() -> Generator[Report]:
    """Give a function that tells how a wait goes: a spinner on a terminal, else a line for every change."""
    if not sys.stderr.isatty():
        yield lambda line: click.echo(clean(line), err=True)
        return
    # rich takes a tenth of a second to import, and most commands draw nothing.
    from rich.console import Console  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    console = Console(stderr=True)
    last = ""
    with console.status("") as spinner:

        def report(line: str) -> None:
            nonlocal last
            last = clean(line)
            spinner.update(Text(last))

        yield report
    console.print(Text(last), soft_wrap=True)


def clean(text: str) -> str:
    """Return the text on one line, without characters that steer a terminal."""
    return "".join(
        character if character.isprintable() else " " if character.isspace() else "\N{REPLACEMENT CHARACTER}"
        for character in text
    )


def _draw_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    # rich takes a tenth of a second to import, and most commands draw nothing.
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=SIMPLE_HEAD, padding=0, show_edge=False)
    for number, header in enumerate(headers):
        # The first column has the id, which people copy: it is the last one to be folded.
        table.add_column(header, overflow="fold", no_wrap=number == 0)
    for row in rows:
        # Text, not str: rich would read [brackets] of a tenant as its own markup.
        table.add_row(*(Text(cell, style=_STATUS_STYLES.get(cell, "")) for cell in row))
    Console().print(table)


_STATUS_STYLES = {
    "available": "green",
    "accepted": "green",
    "creating": "yellow",
    "pendingAcceptance": "yellow",
    "deleting": "yellow",
    "passing": "green",
    "passes": "green",
    "unknown": "yellow",
    "rejected": "red",
    "failing": "red",
    "stopped": "red",
    "failed": "red",
}


def _reasons(resource: Service | Endpoint | Connection) -> str:
    """Return why the resource failed, or why it is not yet what its status promises."""
    return "; ".join(failure.get("error_message", "") for failure in resource.get("error") or ())


def _ports(service: Service) -> str:
    return " ".join(f"{one['client_port']}:{one['server_port']}" for one in service.get("ports") or ())


def _tags(resource: Service | Endpoint) -> str:
    return " ".join(f"{one['key']}={one['value']}" for one in resource.get("tags") or ())


def _yes_or_no(value: bool | None) -> str:
    return "" if value is None else "yes" if value else "no"
