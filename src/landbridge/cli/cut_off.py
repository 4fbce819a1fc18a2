"""The command about how the connections of a service end."""

import click

from landbridge.cli.output import print_json, print_table
from landbridge.cli.session import session_options, signed_in
from landbridge.client.cut_offs import Choice, CutOffCalls, CutOffs

_OCCASIONS = {
    "on_reject": "reject",
    "on_delete": "delete",
    "on_permission_removal": "permission removal",
    "on_whitelist_edit": "whitelist edit",
}


class _ChoiceType(click.ParamType[Choice]):
    """`kill`, `keep`, or `drain:SECONDS`."""

    name = "choice"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Choice:
        """Return the choice; whether its deadline is offered, the server says."""
        mode, colon, seconds = str(value).partition(":")
        if mode in {"kill", "keep"} and not colon:
            return {"mode": mode}
        if mode != "drain" or not (seconds.isascii() and seconds.isdigit() and len(seconds) < 10):
            self.fail(f"{value!r} is no choice: write kill, keep or drain:SECONDS", param, ctx)
        return {"mode": mode, "deadline_seconds": int(seconds)}


_CHOICE = _ChoiceType()
_FORM = "kill|keep|drain:SECONDS"


@click.command("cut-off")
@click.argument("name_or_id", metavar="SERVICE")
@click.option("--on-reject", type=_CHOICE, metavar=_FORM, help="When an endpoint is rejected.")
@click.option("--on-delete", type=_CHOICE, metavar="kill|drain:SECONDS", help="When its consumer deletes an endpoint.")
@click.option("--on-permission-removal", type=_CHOICE, metavar=_FORM, help="When a domain loses its last permission.")
@click.option("--on-whitelist-edit", type=_CHOICE, metavar=_FORM, help="When a client is taken out of a whitelist.")
@session_options
def cut_off(
    name_or_id: str,
    on_reject: Choice | None,
    on_delete: Choice | None,
    on_permission_removal: Choice | None,
    on_whitelist_edit: Choice | None,
    cloud: str | None,
    as_json: bool,
) -> None:
    """Show how open connections of a service end, and which are ending, after changing what is given.

    kill cuts them at once, drain after so many seconds, keep lets them end by themselves.
    """
    wanted = {
        "on_reject": on_reject,
        "on_delete": on_delete,
        "on_permission_removal": on_permission_removal,
        "on_whitelist_edit": on_whitelist_edit,
    }
    choices = {occasion: choice for occasion, choice in wanted.items() if choice is not None}
    with signed_in(cloud) as client:
        service_id, calls = client.own_service_id(name_or_id), CutOffCalls(client)
        found = calls.choose(service_id, choices) if choices else calls.of_service(service_id)
    if as_json:
        print_json(found)
    else:
        _print(found)


def _print(found: CutOffs) -> None:
    chosen = {
        "on_reject": found["on_reject"],
        "on_delete": found["on_delete"],
        "on_permission_removal": found["on_permission_removal"],
        "on_whitelist_edit": found["on_whitelist_edit"],
    }
    print_table(("ON", "OPEN CONNECTIONS"), [(_OCCASIONS[name], _text(choice)) for name, choice in chosen.items()])
    if not found["ending"]:
        return
    click.echo()
    print_table(
        ("ENDPOINT", "MARKER", "ENDING", "SINCE", "UNTIL"),
        [
            (
                one["endpoint_id"],
                str(one["marker_id"]),
                one["connections"],
                one["since_at"],
                one.get("until_at", "-"),
            )
            for one in found["ending"]
        ],
    )
    shown = len({one["endpoint_id"] for one in found["ending"]})
    if shown < found["ending_endpoint_count"]:
        click.echo(f"and those of {found['ending_endpoint_count'] - shown} more endpoints")


def _text(choice: Choice) -> str:
    seconds = choice.get("deadline_seconds")
    return choice["mode"] if seconds is None else f"{choice['mode']}:{seconds}"
