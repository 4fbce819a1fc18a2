"""The client's command groups: `service` (from `cli_services`), `endpoint` and `connection`.

Commands say what to ask and what to print. Signing in, waiting and exit codes are in `cli_session`, the
calls in `client`. Importing this module loads click and the standard library only.
"""

from collections.abc import Callable
from typing import Literal

import click

from landbridge.cli.cut_off import cut_off
from landbridge.cli.health import endpoint_health, service_health
from landbridge.cli.output import print_connection, print_connections, print_endpoint, print_endpoints, print_json
from landbridge.cli.services import delete_each, service, unless_gone
from landbridge.cli.session import (
    follow,
    page_options,
    require_reached,
    session_options,
    signed_in,
    tag,
    wait_options,
    wants_all,
)
from landbridge.client.records import Connection, Endpoint, Tag
from landbridge.client.rest import Client, NoSuchName
from landbridge.client.waiting import CONNECTION_ACCEPTED, CONNECTION_REJECTED, ENDPOINT_CREATED, Goal
from landbridge.domain.lifecycle import EndpointStatus

__all__ = ["connection", "endpoint", "service"]


@click.group("endpoint")
def endpoint() -> None:
    """Connect a subnet to an endpoint service."""


service.add_command(service_health)
service.add_command(cut_off)
endpoint.add_command(endpoint_health)


@endpoint.command("create")
@click.option(
    "--service",
    "service_name_or_id",
    required=True,
    metavar="ID",
    help="Id or full name of the service.",
)
@click.option("--vpc-id", required=True, metavar="ID")
@click.option("--subnet-id", metavar="ID", help="Where the endpoint of an interface service gets its address.")
@click.option(
    "--route-table",
    "route_tables",
    multiple=True,
    metavar="ID",
    help="Of an endpoint of a gateway service; default: the VPC's default one. May be given again.",
)
@click.option("--ip", metavar="ADDRESS", help="A wanted address of the subnet; default: any free one.")
@click.option("--dns", is_flag=True, help="Give it a private domain name.")
@click.option("--whitelist", multiple=True, metavar="CIDR", help="Only these may use it. May be given again.")
@click.option("--tag", "tags", multiple=True, type=tag, metavar="KEY=VALUE", help="May be given again.")
@click.option("--description", metavar="TEXT")
@wait_options
@session_options
def create_endpoint(
    service_name_or_id: str,
    vpc_id: str,
    subnet_id: str | None,
    route_tables: tuple[str, ...],
    ip: str | None,
    dns: bool,
    whitelist: tuple[str, ...],
    tags: tuple[Tag, ...],
    description: str | None,
    wait: bool,
    timeout_seconds: float,
    cloud: str | None,
    as_json: bool,
) -> None:
    """Create an endpoint; with --wait until it is accepted, or waits for its provider."""
    with signed_in(cloud) as client:
        wanted = {
            "endpoint_service_id": client.target_service_id(service_name_or_id),
            "vpc_id": vpc_id,
            "subnet_id": subnet_id,
            "routetables": list(route_tables) or None,
            "port_ip": ip,
            "enable_dns": dns or None,
            "whitelist": list(whitelist) or None,
            "enable_whitelist": True if whitelist else None,
            "tags": list(tags) or None,
            "description": description,
        }
        created = client.create_endpoint({key: value for key, value in wanted.items() if value is not None})
        if not wait:
            _show_endpoint(created, as_json)
            if not as_json:
                _tell_who_must_accept(created)
            return
        what = f"endpoint {created['id']}"
        waited = follow(
            what,
            ENDPOINT_CREATED,
            lambda: unless_gone(lambda: client.endpoint(created["id"])),
            timeout_seconds,
            first=created,
        )
        last_seen = waited.resource or created
        _show_endpoint(last_seen, as_json)
        require_reached(what, waited)
        _tell_who_must_accept(last_seen)


@endpoint.command("list")
@click.option("--service-name", metavar="TEXT", help="Name of the service contains this.")
@click.option("--vpc-id", metavar="ID")
@click.option("--id", "endpoint_id", metavar="ID")
@page_options
@session_options
def list_endpoints(
    service_name: str | None,
    vpc_id: str | None,
    endpoint_id: str | None,
    limit: int | None,
    offset: int | None,
    sort_key: str | None,
    sort_dir: str | None,
    cloud: str | None,
    as_json: bool,
) -> None:
    """List the project's endpoints."""
    query = {
        "endpoint_service_name": service_name,
        "vpc_id": vpc_id,
        "id": endpoint_id,
        "limit": limit,
        "offset": offset,
        "sort_key": sort_key,
        "sort_dir": sort_dir,
    }
    with signed_in(cloud) as client:
        found = client.all_endpoints(query) if wants_all(query) else client.endpoints(query).records
    if as_json:
        print_json(found)
    else:
        print_endpoints(found)


@endpoint.command("show")
@click.argument("endpoint_id", metavar="ENDPOINT")
@session_options
def show_endpoint(endpoint_id: str, cloud: str | None, as_json: bool) -> None:
    """Show one endpoint."""
    with signed_in(cloud) as client:
        found = client.endpoint(endpoint_id)
    _show_endpoint(found, as_json)


@endpoint.command("delete")
@click.argument("endpoint_ids", metavar="ENDPOINT...", nargs=-1, required=True)
@wait_options
@session_options
def delete_endpoints(
    endpoint_ids: tuple[str, ...], wait: bool, timeout_seconds: float, cloud: str | None, as_json: bool
) -> None:
    """Delete endpoints; with --wait until they are gone."""
    with signed_in(cloud) as client:
        delete_each(
            "endpoint", endpoint_ids, client.delete_endpoint, client.endpoint, as_json, timeout_seconds, wait=wait
        )


@click.group("connection")
def connection() -> None:
    """Decide, as a provider, about the endpoints of a service."""


@connection.command("list")
@click.argument("name_or_id", metavar="SERVICE")
@click.option("--status", type=click.Choice([one.value for one in EndpointStatus]))
@click.option("--marker", type=click.IntRange(min=0), metavar="N", help="The endpoint's marker_id.")
@page_options
@session_options
def list_connections(
    name_or_id: str,
    status: str | None,
    marker: int | None,
    limit: int | None,
    offset: int | None,
    sort_key: str | None,
    sort_dir: str | None,
    cloud: str | None,
    as_json: bool,
) -> None:
    """List the endpoints that are or want to be connected to a service."""
    query = {
        "status": status,
        "marker_id": marker,
        "limit": limit,
        "offset": offset,
        "sort_key": sort_key,
        "sort_dir": sort_dir,
    }
    with signed_in(cloud) as client:
        service_id = client.own_service_id(name_or_id)
        found = (
            client.all_connections(service_id, query)
            if wants_all(query)
            else client.connections(service_id, query).records
        )
    if as_json:
        print_json(found)
    else:
        print_connections(found)


@connection.command("show")
@click.argument("name_or_id", metavar="SERVICE")
@click.argument("endpoint_id", metavar="ENDPOINT")
@session_options
def show_connection(name_or_id: str, endpoint_id: str, cloud: str | None, as_json: bool) -> None:
    """Show one connection of a service."""
    with signed_in(cloud) as client:
        found = client.connection(client.own_service_id(name_or_id), endpoint_id)
        if found is None:
            raise NoSuchName(f"service {name_or_id} has no connection from endpoint {endpoint_id}")
    _show_connection(found, as_json)


@connection.command("accept")
@click.argument("name_or_id", metavar="SERVICE")
@click.argument("endpoint_id", metavar="ENDPOINT")
@wait_options
@session_options
def accept(
    name_or_id: str, endpoint_id: str, wait: bool, timeout_seconds: float, cloud: str | None, as_json: bool
) -> None:
    """Let an endpoint through; with --wait until packets can pass."""
    goal = CONNECTION_ACCEPTED if wait else None
    with signed_in(cloud) as client:
        _decide(client, name_or_id, endpoint_id, "receive", goal, timeout_seconds, _printer(as_json))


@connection.command("reject")
@click.argument("name_or_id", metavar="SERVICE")
@click.argument("endpoint_id", metavar="ENDPOINT")
@wait_options
@session_options
def reject(
    name_or_id: str, endpoint_id: str, wait: bool, timeout_seconds: float, cloud: str | None, as_json: bool
) -> None:
    """Keep an endpoint out, also one that was accepted; with --wait until it is cut."""
    goal = CONNECTION_REJECTED if wait else None
    with signed_in(cloud) as client:
        _decide(client, name_or_id, endpoint_id, "reject", goal, timeout_seconds, _printer(as_json))


def _decide(
    client: Client,
    name_or_id: str,
    endpoint_id: str,
    action: Literal["receive", "reject"],
    goal: Goal | None,
    timeout_seconds: float,
    show: Callable[[Connection], None],
) -> None:
    service_id = client.own_service_id(name_or_id)
    decided = client.decide_connection(service_id, endpoint_id, action)
    if goal is None:
        show(decided)
        return
    what = f"connection {endpoint_id}"
    waited = follow(what, goal, lambda: client.connection(service_id, endpoint_id), timeout_seconds, first=decided)
    show(waited.resource or decided)
    require_reached(what, waited)


def _printer(as_json: bool) -> Callable[[Connection], None]:
    return lambda found: _show_connection(found, as_json)


def _show_connection(found: Connection, as_json: bool) -> None:
    if as_json:
        print_json(found)
    else:
        print_connection(found)


def _show_endpoint(found: Endpoint, as_json: bool) -> None:
    if as_json:
        print_json(found)
    else:
        print_endpoint(found)


def _tell_who_must_accept(created: Endpoint) -> None:
    if created["status"] != EndpointStatus.PENDING_ACCEPTANCE.value:
        return
    service_id = created.get("endpoint_service_id", "SERVICE")
    click.echo(
        f"the provider of service {created.get('endpoint_service_name', service_id)} must accept it: "
        f"landbridge connection accept {service_id} {created['id']}",
        err=True,
    )
