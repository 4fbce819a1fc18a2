"""Run one client command: its shared options, the signed-in client, the wait, and the exit code.

Exit codes: 0 done; 1 the API refused, could not be reached, or the wait ended badly; 2 the command was used
wrongly or nobody said who is asking. Nothing heavy is imported before a command runs.
"""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import IO, Any, TypeVar, cast

import click

from landbridge.cli.output import clean, progress
from landbridge.client.records import Failure, PortMapping, Tag
from landbridge.client.rest import Client, ClientError, InvalidId, NoCredentials, Query, failure_text
from landbridge.client.waiting import Goal, Resource, Verdict, Waited, wait_for

Command = TypeVar("Command", bound=Callable[..., object])

DEFAULT_TIMEOUT_SECONDS = 120.0


class Ended(click.ClickException):
    """The command ends here with one sentence on stderr."""

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the sentence; lines after the first are a list of candidates."""
        print_error(self.message, file)


class Misused(Ended):
    """The same, and the reason is in how the command was called."""

    exit_code = 2


def print_error(message: str, file: IO[Any] | None = None) -> None:
    """Say on stderr what went wrong."""
    click.echo("error: " + "\n".join(clean(line) for line in message.split("\n")), file=file, err=file is None)


@contextmanager
def signed_in(cloud: str | None) -> Generator[Client]:
    """Give the client for one command; whatever goes wrong in the block ends the command with a sentence."""
    # openstacksdk takes a second to import: `--help` and the server must not wait for it.
    from landbridge.client.session import open_client  # noqa: PLC0415

    try:
        with open_client(cloud) as client:
            yield client
    except (NoCredentials, InvalidId) as error:
        raise Misused(str(error)) from error
    except ClientError as error:
        raise Ended(str(error)) from error


def follow(
    what: str,
    goal: Goal,
    look: Callable[[], Resource | None],
    timeout_seconds: float,
    first: Resource | None = None,
) -> Waited[Resource]:
    """Wait for the goal and tell on stderr how it goes; `require_reached` judges the end."""
    with progress() as report:
        return wait_for(
            goal,
            look,
            lambda status, elapsed: report(f"{what}: {status} ({_duration(elapsed)})"),
            timeout_seconds,
            first=first,
        )


def require_reached(what: str, waited: Waited[Any]) -> None:
    """End the command with exit code 1 unless the wait ended well."""
    match waited.verdict:
        case Verdict.REACHED:
            return
        case Verdict.TIMED_OUT:
            raise Ended(f"gave up after {_duration(waited.waited_seconds)}: {what} is still {waited.status}")
        case Verdict.FAILED:
            resource = cast("Mapping[str, object]", waited.resource or {})
            why = failure_text(cast("list[Failure]", resource.get("error") or []))
            raise Ended(f"{what} is {waited.status}" + (f": {why}" if why else ""))


def _duration(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def session_options(command: Command) -> Command:
    """Add the options that every client command has."""
    command = click.option("--json", "as_json", is_flag=True, help="Print the API's JSON.")(command)
    return click.option("--os-cloud", "cloud", metavar="NAME", help="Cloud of clouds.yaml; default: OS_* variables.")(
        command
    )


def wait_options(command: Command) -> Command:
    """Add --wait and --timeout."""
    command = click.option(
        "--timeout",
        "timeout_seconds",
        metavar="SECONDS",
        type=click.FloatRange(min=0),
        default=DEFAULT_TIMEOUT_SECONDS,
        show_default=True,
        help="How long --wait waits.",
    )(command)
    return click.option("--wait", is_flag=True, help="Wait until it is done; progress goes to stderr.")(command)


def page_options(command: Command) -> Command:
    """Add paging and sorting; without --limit all records are fetched."""
    for option in (
        click.option("--sort-dir", type=click.Choice(["asc", "desc"])),
        click.option(
            "--sort-key", type=click.Choice(["created_at", "updated_at", "create_at", "update_at"]), metavar="KEY"
        ),
        click.option("--offset", type=click.IntRange(min=0), metavar="N", help="Skip the first N."),
        click.option("--limit", type=click.IntRange(min=0), metavar="N", help="At most N; default: all."),
    ):
        command = option(command)
    return command


def wants_all(query: Query) -> bool:
    """Say whether a list command shall fetch page after page."""
    return query.get("limit") is None


def port_mapping(text: str) -> PortMapping:
    """Read CLIENT:SERVER."""
    client_port, _, server_port = text.partition(":")
    ports = [int(port) if port.isascii() and port.isdigit() else 0 for port in (client_port, server_port)]
    if not all(1 <= port <= 65535 for port in ports):
        raise click.BadParameter(f"{text!r} is not CLIENT:SERVER with two ports from 1 to 65535, such as 443:8443")
    return {"client_port": ports[0], "server_port": ports[1], "protocol": "TCP"}


def tag(text: str) -> Tag:
    """Read KEY=VALUE."""
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise click.BadParameter(f"{text!r} is not KEY=VALUE")
    return {"key": key, "value": value}
