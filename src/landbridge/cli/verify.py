"""Say whether the data plane equals the database, for people and for programs."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from landbridge.domain.errors import LandbridgeError
from landbridge.settings import default_state, read_settings

if TYPE_CHECKING:
    from landbridge.control.verifying import Unanswered, Verification
    from landbridge.dataplane.verification import Difference

EQUAL, DIFFERS, COULD_NOT_LOOK = 0, 1, 2


@click.command()
@click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    help="The state directory; by default /var/lib/landbridge for root, ~/.local/state/landbridge for others.",
)
@click.option("--config", type=click.Path(dir_okay=False, path_type=Path), help="The server's TOML file.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON only.")
@click.option(
    "--probe",
    type=click.Choice(["none", "sample", "all"]),
    default="none",
    help="Also connect to the backends of some or all accepted endpoints; by default none.",
)
def verify(state: Path | None, config: Path | None, as_json: bool, probe: str) -> None:
    """Compare the data plane with the database; change nothing.

    Ends with 0 if they are equal, with 1 if they differ, with 2 if one of them cannot be looked at.
    """
    from landbridge.bootstrap.verifying import verify as look  # noqa: PLC0415 - see `landbridge.cli.main`
    from landbridge.control.verifying import Probing  # noqa: PLC0415

    try:
        found = look(read_settings(config), state or default_state(), Probing(probe))
    except LandbridgeError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(COULD_NOT_LOOK)
    if as_json:
        click.echo(json.dumps(described(found), indent=1))
    else:
        for line in lines(found):
            click.echo(line)
    sys.exit(DIFFERS if found.differences else EQUAL)


def described(found: "Verification") -> dict[str, Any]:
    """Return what was found as JSON has it."""
    return {
        "equal": not found.differences,
        "compared": found.compared,
        "waited_seconds": round(found.waited_seconds, 3),
        "differences": [_described_difference(one) for one in found.differences],
        "probes": found.probes,
        "unanswered": [_described_backend(one) for one in found.unanswered],
    }


def lines(found: "Verification") -> list[str]:
    """Return a line for each difference and each backend that does not answer, and one that sums up."""
    written = [
        f"{one.where}: {one.what}: wanted {one.wanted}, found {one.found}{_concerning(one.concerns)}"
        for one in found.differences
    ]
    written += [f"no difference, but no answer: {one.reason}{_concerning(one.endpoints)}" for one in found.unanswered]
    things = f"{found.compared} endpoints and services"
    count = len(found.differences)
    verdict = "equal" if not count else f"{count} difference{'s' if count > 1 else ''}"
    probed = f", {found.probes - len(found.unanswered)} of {found.probes} probes answered" if found.probes else ""
    return [*written, f"{verdict}: {things} compared{probed}"]


def _described_difference(one: "Difference") -> dict[str, Any]:
    return {
        "what": one.what,
        "where": one.where,
        "wanted": one.wanted,
        "found": one.found,
        "concerns": list(one.concerns),
    }


def _described_backend(one: "Unanswered") -> dict[str, Any]:
    return {
        "address": str(one.probe.address),
        "port": one.probe.server_port,
        "cause": str(one.cause),
        "reason": one.reason,
        "endpoints": list(one.endpoints),
    }


def _concerning(ids: tuple[str, ...]) -> str:
    most = 3
    shown = ", ".join(ids[:most])
    more = f" and {len(ids) - most} more" if len(ids) > most else ""
    return f" ({shown}{more})" if ids else ""
