"""The command line: what there is, and where it lives.

Each command imports what it needs when it runs, so that `landbridge lab exec` starts as fast as Python does.
"""

import gc
import json
import sys
from collections.abc import Callable, Mapping
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import Any, ParamSpec

import click

from landbridge.domain.errors import LandbridgeError, OperatorError
from landbridge.settings import default_state, read_settings

P = ParamSpec("P")

_ELSEWHERE = {
    "service": "traffic:service",
    "endpoint": "traffic:endpoint",
    "connection": "resources:connection",
    "audit": "audit:audit",
    "trace": "trace:trace",
    "verify": "verify:verify",
    "user": "administration:user",
    "key": "administration:key",
    "backup": "backups:backup",
    "restore": "backups:restore",
}
_PROJECT_ELSEWHERE = {
    "create": "administration:create_project",
    "list": "administration:list_projects",
    "delete": "administration:delete_project",
}


class _Commands(click.Group):
    """Finds commands that live in other modules (`MODULE:NAME`) without importing them for the others."""

    def __init__(self, *args: Any, elsewhere: Mapping[str, str], **options: Any) -> None:
        super().__init__(*args, **options)
        self._elsewhere = elsewhere

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *self._elsewhere])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in self._elsewhere:
            module, _, name = self._elsewhere[cmd_name].partition(":")
            command = getattr(import_module(f"landbridge.cli.{module}"), name)
            assert isinstance(command, click.Command)  # noqa: S101 — a mistake of ours, not of the user's
            return command
        return super().get_command(ctx, cmd_name)


def _sentences(command: Callable[P, None]) -> Callable[P, None]:
    """Show mistakes as one sentence and exit with 1, never as a traceback."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except LandbridgeError as error:
            click.echo(f"error: {error}", err=True)
            sys.exit(1)

    return run


_state_option = click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    help="The state directory; by default /var/lib/landbridge for root, ~/.local/state/landbridge for others.",
)
_lab_option = click.option(
    "--lab",
    "lab_file",
    type=click.Path(path_type=Path),
    required=True,
    help="The lab file.",
)


def _checked_quota(_context: click.Context, _parameter: click.Parameter, text: str | None) -> str | None:
    if text is None or text == "default" or (text.isascii() and text.isdigit() and len(text) < 10):
        return text
    raise click.BadParameter("write a whole number from 0 to 999999999, or the word default")


@click.group(cls=_Commands, elsewhere=_ELSEWHERE, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="landbridge")
def main() -> None:
    """Join virtual private clouds by private endpoints."""
    # Importing makes hundreds of thousands of objects that stay: looking among them for garbage is a fifth of its time.
    # A command ends soon; a server switches the collector on again.
    gc.disable()
    click.get_current_context().call_on_close(gc.enable)


@main.command()
@click.option("--config", type=click.Path(dir_okay=False, path_type=Path), help="A TOML file with settings.")
@_state_option
@click.option("--listen", help="HOST:PORT of all APIs; by default 127.0.0.1:8770.")
@click.option("--public-url", help="How clients reach this server; by default the address of --listen.")
@click.option("--tls-cert", metavar="FILE", help="The certificate and its chain, PEM; read again on SIGHUP.")
@click.option("--tls-key", metavar="FILE", help="The certificate's private key, PEM, without a passphrase.")
@click.option(
    "--trusted-proxy",
    "trusted_proxies",
    metavar="ADDRESS",
    multiple=True,
    help="Believe X-Forwarded-* of this address or network; may be given again.",
)
@click.option("--driver", type=click.Choice(["linux", "memory"]), help="The data plane; by default linux.")
@click.option("--log-level", type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"]), help="By default INFO.")
@click.option("--lab", "lab_file", type=click.Path(path_type=Path), help="Bring up the local cloud of this file.")
@click.option("--keep", is_flag=True, help="Leave the lab running when the server ends.")
@click.option("--confirm-removals", is_flag=True, help="Let the first sweep remove much that nobody asked for.")
@_sentences
def serve(
    config: Path | None,
    state: Path | None,
    listen: str | None,
    public_url: str | None,
    tls_cert: str | None,
    tls_key: str | None,
    trusted_proxies: tuple[str, ...],
    driver: str | None,
    log_level: str | None,
    lab_file: Path | None,
    keep: bool,
    confirm_removals: bool,
) -> None:
    """Run the API and the reconciler in this process."""
    from landbridge.bootstrap.composing import ServeOptions  # noqa: PLC0415 — see the module docstring
    from landbridge.bootstrap.serving import serve as run  # noqa: PLC0415

    settings = read_settings(
        config,
        listen=listen,
        public_url=public_url,
        tls_cert=tls_cert,
        tls_key=tls_key,
        trusted_proxies=trusted_proxies,
        driver=driver,
        log_level=log_level,
    )
    run(settings, ServeOptions(state or default_state(), lab_file, keep, confirm_removals, config))


@main.command()
@click.option("--config", type=click.Path(dir_okay=False, path_type=Path), help="A TOML file with settings.")
@_state_option
@click.option("--driver", type=click.Choice(["linux", "memory"]), help="The data plane; by default linux.")
@click.option("--log-level", type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"]), help="By default INFO.")
@click.option("--lab", "lab_file", type=click.Path(path_type=Path), help="Bring up the local cloud of this file.")
@click.option("--keep", is_flag=True, help="Leave the lab running when the agent ends.")
@click.option("--confirm-removals", is_flag=True, help="Let the first sweep remove much that nobody asked for.")
@_sentences
def agent(
    config: Path | None,
    state: Path | None,
    driver: str | None,
    log_level: str | None,
    lab_file: Path | None,
    keep: bool,
    confirm_removals: bool,
) -> None:
    """Own a data plane; the API is `landbridge api`.

    With --confirm-removals beside a running agent or server of the same state directory: let that one remove what it
    holds back now, and end.
    """
    if confirm_removals and _has_consented(config, state or default_state()):
        return
    from landbridge.bootstrap.composing import ServeOptions  # noqa: PLC0415 — see the module docstring
    from landbridge.bootstrap.serving import agent as run  # noqa: PLC0415

    settings = read_settings(config, driver=driver, log_level=log_level)
    run(settings, ServeOptions(state or default_state(), lab_file, keep, confirm_removals, config))


def _has_consented(config: Path | None, state: Path) -> bool:
    """Tell the agent that runs beside us, if one does, that its held removals are right."""
    from landbridge.bootstrap.confirming import confirm_beside  # noqa: PLC0415 — see the module docstring
    from landbridge.state import StateDirectory  # noqa: PLC0415

    settings = read_settings(config)
    consent = confirm_beside(StateDirectory(state), settings.pool, shares_database=bool(settings.database))
    if consent is None:
        return False
    if consent.held:
        raise OperatorError(f"{consent.held} removals are held still, or others: look at `landbridge plan`, and repeat")
    click.echo(f"{consent.confirmed} removals carried out" if consent.confirmed else "no removals are held back")
    return True


@main.command()
@click.option("--config", type=click.Path(dir_okay=False, path_type=Path), help="A TOML file with settings.")
@_state_option
@click.option("--listen", help="HOST:PORT of all APIs; by default 127.0.0.1:8770.")
@click.option("--public-url", help="How clients reach this server; by default the address of --listen.")
@click.option("--log-level", type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"]), help="By default INFO.")
@_sentences
def api(
    config: Path | None, state: Path | None, listen: str | None, public_url: str | None, log_level: str | None
) -> None:
    """Answer tenants, without any privilege; data planes are owned by `landbridge agent`."""
    from landbridge.bootstrap.api_process import api as run  # noqa: PLC0415 — see the module docstring
    from landbridge.bootstrap.composing import ServeOptions  # noqa: PLC0415

    settings = read_settings(config, listen=listen, public_url=public_url, log_level=log_level)
    run(settings, ServeOptions(state or default_state(), config=config))


@main.command()
@_state_option
@click.option("--config", type=click.Path(dir_okay=False, path_type=Path), help="The server's TOML file.")
@click.option("--json", "as_json", is_flag=True, help="Print the steps as JSON.")
@_sentences
def plan(state: Path | None, config: Path | None, as_json: bool) -> None:
    """Show what the next sweep would do; do nothing."""
    from landbridge.bootstrap.planning import plan as make_plan  # noqa: PLC0415 — see the module docstring
    from landbridge.cli.plan import plan_lines, plan_steps  # noqa: PLC0415

    steps = make_plan(read_settings(config), state or default_state())
    if as_json:
        click.echo(json.dumps(plan_steps(steps), indent=1))
    else:
        for line in plan_lines(steps):
            click.echo(line)


@main.group(cls=_Commands, elsewhere=_PROJECT_ELSEWHERE)
def project() -> None:
    """The projects of a server, in its state directory."""


@project.command()
@click.argument("name", metavar="PROJECT")
@click.option("--endpoint-services", metavar="NUMBER", callback=_checked_quota, help="How many it may have.")
@click.option("--endpoints", metavar="NUMBER", callback=_checked_quota, help="How many it may have.")
@_state_option
@click.option("--config", type=click.Path(dir_okay=False, path_type=Path), help="The server's TOML file.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON only.")
@_sentences
def quota(
    name: str,
    endpoint_services: str | None,
    endpoints: str | None,
    state: Path | None,
    config: Path | None,
    as_json: bool,
) -> None:
    """Show what PROJECT, a name or an id, has and may have, after setting what is given.

    A NUMBER is a whole number, or the word default: what the server's settings say.
    """
    from landbridge.cli.quotas import quotas_after  # noqa: PLC0415 — see the module docstring
    from landbridge.domain.resources import QuotaType  # noqa: PLC0415

    wishes = {QuotaType.ENDPOINT_SERVICE: endpoint_services, QuotaType.ENDPOINT: endpoints}
    click.echo(quotas_after(state or default_state(), read_settings(config), name, wishes, as_json=as_json))


@main.group()
def lab() -> None:
    """The local cloud of a lab file."""


@lab.command()
@_lab_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON only.")
@_sentences
def show(lab_file: Path, as_json: bool) -> None:
    """Print all ids and namespaces of a lab file; needs no server."""
    from landbridge import lab as labs  # noqa: PLC0415 — see the module docstring

    described = labs.read_lab(lab_file)
    click.echo(json.dumps(labs.show(described), indent=1) if as_json else labs.show_table(described))


@lab.command(name="exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@_state_option
@click.argument("host")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def exec_(state: Path | None, host: str, command: tuple[str, ...]) -> None:
    """Become COMMAND on a host of the running lab."""
    from landbridge.cli.lab_exec import lab_exec  # noqa: PLC0415 — see the module docstring

    lab_exec(state or default_state(), host, command[1:] if command[0] == "--" and command[1:] else command)


@lab.command()
@_state_option
@_sentences
def down(state: Path | None) -> None:
    """Take down the lab of a server that was killed."""
    from landbridge.bootstrap.lab_down import lab_down  # noqa: PLC0415 — see the module docstring

    where = state or default_state()
    if not where.is_dir():
        raise OperatorError(f"there is no state directory {where}: give the --state of the server")
    if not lab_down(where):
        click.echo(f"no lab runs from {where}", err=True)


@main.command()
@_state_option
@_sentences
def detach(state: Path | None) -> None:
    """Take everything out of the bridges that a server without a lab attached its networks to."""
    from landbridge.bootstrap.detaching import detach as take_out  # noqa: PLC0415 — see the module docstring

    where = state or default_state()
    if not where.is_dir():
        raise OperatorError(f"there is no state directory {where}: give the --state of the server")
    if not take_out(where):
        click.echo(f"nothing is attached from {where}", err=True)


if __name__ == "__main__":
    main()
