"""Commands that keep a database safe: `landbridge backup` and `landbridge restore`."""

import shlex
import sys
from pathlib import Path

import click

from landbridge.domain.errors import LandbridgeError
from landbridge.settings import default_state, read_settings

_state_option = click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    default=default_state,
    help="The server's state directory; by default that of landbridge serve.",
)
_config_option = click.option(
    "--config", type=click.Path(dir_okay=False, path_type=Path), help="The server's TOML file."
)


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@_state_option
@_config_option
def backup(file: Path, state: Path, config: Path | None) -> None:
    """Copy the database and its key to FILE, which must be absent; the server may be running.

    FILE is as secret as the state directory.
    """
    from landbridge.bootstrap.backing_up import backup as back_up  # noqa: PLC0415 — the database takes a while to import

    try:
        made = back_up(read_settings(config), state, file)
    except LandbridgeError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)
    click.echo(f"{file} holds {_counted(made.services, made.endpoints)}, at schema {made.schema}")


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@_state_option
@_config_option
def restore(file: Path, state: Path, config: Path | None) -> None:
    """Let the database be that of FILE, which `landbridge backup` made; no server may be running.

    The database that was there is kept beside it.
    """
    from landbridge.bootstrap.backing_up import restore as put_back  # noqa: PLC0415 — the database takes a while to import

    try:
        done = put_back(read_settings(config), state, file)
    except LandbridgeError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)
    click.echo(f"restored {_counted(done.contents.services, done.contents.endpoints)}")
    if done.replaced is not None:
        click.echo(f"the database that was there is {done.replaced}")
    for remark in done.remarks:
        click.echo(remark, err=True)
    click.echo(f"look at `landbridge plan --state {shlex.quote(str(state))}` before you start the server", err=True)


def _counted(services: int, endpoints: int) -> str:
    return f"{services} service{'' if services == 1 else 's'} and {endpoints} endpoint{'' if endpoints == 1 else 's'}"
