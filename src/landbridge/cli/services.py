"""Commands of a provider about endpoint services and who may connect to them."""

from collections.abc import Callable, Sequence
from typing import Literal

import click

from landbridge.cli.output import print_json, print_permissions, print_service, print_services
from landbridge.cli.session import (
    Ended,
    follow,
    page_options,
    port_mapping,
    print_error,
    require_reached,
    session_options,
    signed_in,
    tag,
    wait_options,
    wants_all,
)
from landbridge.client.records import PortMapping, Service, Tag
from landbridge.client.rest import ApiError, Client, permission_entry
from landbridge.client.waiting import DELETED, SERVICE_AVAILABLE, Resource
from landbridge.domain.lifecycle import ServiceStatus
from landbridge.domain.resources import ServerType, TcpProxy


@click.group("service")
def service() -> None:
    """Publish backends as endpoint services."""


@service.command("create")
@click.option("--port-id", required=True, metavar="ID", help="NIC of the backend.")
@click.option("--vpc-id", required=True, metavar="ID", help="VPC of the backend.")
@click.option(
    "--server-type",
    required=True,
    type=click.Choice([one.value for one in ServerType], case_sensitive=False),
    metavar="VM|VIP|LB",
    help="What the backend is: a machine, a virtual IP, a load balancer.",
)
@click.option(
    "--port",
    "ports",
    required=True,
    multiple=True,
    type=port_mapping,
    metavar="CLIENT:SERVER",
    help="Endpoint's port : backend's port.",
)
@click.option("--name", metavar="NAME", help="Short name, at most 16 letters, digits, _ and -.")
@click.option("--vip-port-id", metavar="ID", help="The virtual IP itself, for server type VIP.")
@click.option("--approval/--no-approval", default=None, help="Must each endpoint be accepted? The default is yes.")
@click.option(
    "--tcp-proxy", type=click.Choice([one.value for one in TcpProxy]), help="How the backend learns who connects."
)
@click.option("--tag", "tags", multiple=True, type=tag, metavar="KEY=VALUE", help="May be given again.")
@click.option("--description", metavar="TEXT")
@wait_options
@session_options
def create_service(
    port_id: str,
    vpc_id: str,
    server_type: str,
    ports: tuple[PortMapping, ...],
    name: str | None,
    vip_port_id: str | None,
    approval: bool | None,
    tcp_proxy: str | None,
    tags: tuple[Tag, ...],
    description: str | None,
    wait: bool,
    timeout_seconds: float,
    cloud: str | None,
    as_json: bool,
) -> None:
    """Publish a backend; with --wait until it is available."""
    wanted = {
        "port_id": port_id,
        "vpc_id": vpc_id,
        "server_type": server_type,
        "ports": list(ports),
        "service_name": name,
        "vip_port_id": vip_port_id,
        "approval_enabled": approval,
        "tcp_proxy": tcp_proxy,
        "tags": list(tags) or None,
        "description": description,
    }
    with signed_in(cloud) as client:
        created = client.create_service({key: value for key, value in wanted.items() if value is not None})
        if not wait:
            _show(created, as_json)
            return
        what = f"service {created['id']}"
        waited = follow(
            what,
            SERVICE_AVAILABLE,
            lambda: unless_gone(lambda: client.service(created["id"])),
            timeout_seconds,
            first=created,
        )
        _show(waited.resource or created, as_json)
        require_reached(what, waited)


@service.command("list")
@click.option("--name", metavar="TEXT", help="Name contains this.")
@click.option("--id", "service_id", metavar="ID")
@click.option("--status", type=click.Choice([one.value for one in ServiceStatus]))
@page_options
@session_options
def list_services(
    name: str | None,
    service_id: str | None,
    status: str | None,
    limit: int | None,
    offset: int | None,
    sort_key: str | None,
    sort_dir: str | None,
    cloud: str | None,
    as_json: bool,
) -> None:
    """List the project's endpoint services."""
    query = {
        "endpoint_service_name": name,
        "id": service_id,
        "status": status,
        "limit": limit,
        "offset": offset,
        "sort_key": sort_key,
        "sort_dir": sort_dir,
    }
    with signed_in(cloud) as client:
        found = client.all_services(query) if wants_all(query) else client.services(query).records
    if as_json:
        print_json(found)
    else:
        print_services(found)


@service.command("show")
@click.argument("name_or_id", metavar="SERVICE")
@session_options
def show_service(name_or_id: str, cloud: str | None, as_json: bool) -> None:
    """Show one service, given by id, full name or short name."""
    with signed_in(cloud) as client:
        found = client.service(client.own_service_id(name_or_id))
    _show(found, as_json)


@service.command("delete")
@click.argument("names_or_ids", metavar="SERVICE...", nargs=-1, required=True)
@wait_options
@session_options
def delete_services(
    names_or_ids: tuple[str, ...], wait: bool, timeout_seconds: float, cloud: str | None, as_json: bool
) -> None:
    """Delete services; with --wait until they are gone."""
    with signed_in(cloud) as client:
        # All names first: a misspelt one must not leave half of the work done.
        service_ids = [client.own_service_id(name_or_id) for name_or_id in names_or_ids]
        delete_each("service", service_ids, client.delete_service, client.service, as_json, timeout_seconds, wait=wait)


@service.command("permit")
@click.argument("name_or_id", metavar="SERVICE")
@click.argument("entries", metavar="ENTRY...", nargs=-1, required=True)
@session_options
def permit(name_or_id: str, entries: tuple[str, ...], cloud: str | None, as_json: bool) -> None:
    """Let domains connect.

    An ENTRY is a domain id, iam:domain::ID, organizations:orgPath::PATH or * (everybody).
    """
    with signed_in(cloud) as client:
        _change_permissions(client, name_or_id, "add", entries, as_json)


@service.command("forbid")
@click.argument("name_or_id", metavar="SERVICE")
@click.argument("entries", metavar="ENTRY...", nargs=-1, required=True)
@session_options
def forbid(name_or_id: str, entries: tuple[str, ...], cloud: str | None, as_json: bool) -> None:
    """Take permissions back; endpoints that exist stay connected, unless `cut-off` of the service says otherwise."""
    with signed_in(cloud) as client:
        _change_permissions(client, name_or_id, "remove", entries, as_json)


@service.command("permissions")
@click.argument("name_or_id", metavar="SERVICE")
@click.option("--containing", metavar="TEXT", help="Entry contains this.")
@page_options
@session_options
def list_permissions(
    name_or_id: str,
    containing: str | None,
    limit: int | None,
    offset: int | None,
    sort_key: str | None,
    sort_dir: str | None,
    cloud: str | None,
    as_json: bool,
) -> None:
    """List who may connect to a service, besides its own domain."""
    query = {"permission": containing, "limit": limit, "offset": offset, "sort_key": sort_key, "sort_dir": sort_dir}
    with signed_in(cloud) as client:
        service_id = client.own_service_id(name_or_id)
        found = (
            client.all_permissions(service_id, query)
            if wants_all(query)
            else client.permissions(service_id, query).records
        )
    if as_json:
        print_json(found)
    else:
        print_permissions(found)


def unless_gone(look: Callable[[], Resource]) -> Resource | None:
    """Return what is there, None if it is gone (404)."""
    try:
        return look()
    except ApiError as error:
        if error.status == 404:
            return None
        raise


def delete_each(
    kind: str,
    ids: Sequence[str],
    delete: Callable[[str], None],
    look: Callable[[str], Resource],
    as_json: bool,
    timeout_seconds: float,
    *,
    wait: bool,
) -> None:
    """Delete all that can be deleted, tell about the others, and end with exit code 1 if there were any."""
    refused = 0
    deleting: list[str] = []
    for one in dict.fromkeys(ids):
        try:
            delete(one)
        except ApiError as error:
            refused += 1
            print_error(f"{kind} {one}: {error}")
        else:
            deleting.append(one)
    for one in deleting:
        if wait:
            what = f"{kind} {one}"
            waited = follow(what, DELETED, lambda one=one: unless_gone(lambda: look(one)), timeout_seconds)
            require_reached(what, waited)
        if not as_json:
            click.echo(f"{kind} {one} {'deleted' if wait else 'is being deleted'}")
    if refused:
        raise Ended(f"{refused} of {len(deleting) + refused} could not be deleted")


def _change_permissions(
    client: Client, name_or_id: str, action: Literal["add", "remove"], entries: Sequence[str], as_json: bool
) -> None:
    service_id = client.own_service_id(name_or_id)
    changed = client.change_permissions(service_id, action, [permission_entry(entry) for entry in entries])
    if as_json:
        print_json(changed)
        return
    for entry in changed["permissions"]:
        click.echo(f"{entry} {'may now connect' if action == 'add' else 'may no longer connect'}")


def _show(found: Service, as_json: bool) -> None:
    if as_json:
        print_json(found)
    else:
        print_service(found)
