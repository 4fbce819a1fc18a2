"""The command `landbridge trace`: what happens to a connection, hop by hop.

Exit codes: 0 it would get through; 1 it is stopped; 2 that cannot be said, or nobody could look.
"""

import sys

import click

from landbridge.cli.output import clean, print_json, print_table
from landbridge.cli.session import Ended, Misused, session_options, signed_in
from landbridge.client.records import Trace

_EXIT_CODES = {"passes": 0, "stopped": 1}
_NOT_KNOWN = 2


@click.command("trace")
@click.argument("endpoint_id", metavar="ENDPOINT")
@click.option(
    "--from", "client_host", metavar="HOST|IP", help="The client: its address, host name or port id; not for providers."
)
@click.option("--port", type=click.IntRange(1, 65535), metavar="N", help="Port of the endpoint; default: its lowest.")
@click.option("--probe", is_flag=True, help="Connect to the backend now.")
@session_options
def trace(
    endpoint_id: str, client_host: str | None, port: int | None, probe: bool, cloud: str | None, as_json: bool
) -> None:
    """Say what happens to a connection from a client to an endpoint, and what to do where it is stopped.

    Exit code 0: it would get through. 1: it is stopped. 2: that cannot be said.
    """
    wanted = {"from": client_host, "port": port, "probe": probe or None}
    try:
        with signed_in(cloud) as client:
            found = client.trace(endpoint_id, {key: value for key, value in wanted.items() if value is not None})
    except Ended as ended:
        raise Misused(ended.message) from ended
    if as_json:
        print_json(found)
    else:
        _print_trace(found)
    sys.exit(_EXIT_CODES.get(found["outcome"], _NOT_KNOWN))


def _print_trace(found: Trace) -> None:
    print_table(
        ("HOP", "VERDICT", "WHAT"),
        [(hop["hop"], hop["verdict"], hop["text"]) for hop in found["hops"]],
    )
    for hop in found["hops"]:
        if hop["advice"]:
            click.echo(clean(f"{hop['hop']}: {hop['advice']}"))
    outcomes = {"passes": "a connection would get through", "stopped": "a connection is stopped"}
    click.echo(outcomes.get(found["outcome"], "whether a connection gets through is not known"))
