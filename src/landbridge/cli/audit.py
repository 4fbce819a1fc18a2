"""Show the audit log: a tenant asks the API for its project's, an operator reads all of it on the machine."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from landbridge.cli.output import print_json, print_table
from landbridge.cli.session import Ended, signed_in
from landbridge.client.audit import audit_records
from landbridge.control.audit import AuditQuery, AuditRecord, ResourceKind
from landbridge.domain.errors import LandbridgeError
from landbridge.domain.ids import ProjectId
from landbridge.settings import read_settings

_USUAL_LIMIT = 50
_Row = Mapping[str, Any]


class _Moment(click.ParamType[datetime]):
    """A moment in the form of RFC 3339."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return the moment in UTC."""
        if isinstance(value, datetime):
            return value
        try:
            at = datetime.fromisoformat(str(value))
        except ValueError:
            at = None
        if at is None or at.tzinfo is None:
            self.fail(f"{value} is no moment such as 2026-01-31T12:00:00Z", param, ctx)
        return at.astimezone(UTC)


@click.command("audit")
@click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    help="Read a server's state directory on this machine, all projects; by default the API is asked for one's own.",
)
@click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    help="With --state: the server's TOML file, where it names a database.",
)
@click.option("--project", metavar="ID", help="With --state: only the log of this project.")
@click.option("--request", metavar="ID", help="With --state: only what this request changed.")
@click.option("--resource", metavar="ID", help="Only changes of this service, endpoint, or other thing.")
@click.option("--type", "kind", type=click.Choice([kind.value for kind in ResourceKind]), help="Only of this kind.")
@click.option("--since", type=_Moment(), help="From this moment on, such as 2026-01-31T12:00:00Z.")
@click.option("--until", type=_Moment(), help="Before this moment.")
@click.option("--limit", type=click.IntRange(min=1), default=_USUAL_LIMIT, show_default=True, help="At most so many.")
@click.option("--os-cloud", "cloud", metavar="NAME", help="Cloud of clouds.yaml; default: OS_* variables.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
def audit(
    state: Path | None,
    config: Path | None,
    project: str | None,
    request: str | None,
    resource: str | None,
    kind: str | None,
    since: datetime | None,
    until: datetime | None,
    limit: int,
    cloud: str | None,
    as_json: bool,
) -> None:
    """Show what was changed, by whom and when, the newest first."""
    if state is None:
        if project is not None or request is not None or config is not None:
            raise click.UsageError("--config, --project and --request go with --state")
        filters = {
            "resource_id": resource,
            "resource_type": kind,
            "since": None if since is None else since.isoformat(),
            "until": None if until is None else until.isoformat(),
        }
        with signed_in(cloud) as client:
            rows: Sequence[_Row] = audit_records(client, filters, limit)
    else:
        query = AuditQuery(
            project_id=None if project is None else ProjectId(project),
            limit=limit,
            since=since,
            until=until,
            kind=None if kind is None else ResourceKind(kind),
            resource_id=resource,
            request_id=request,
        )
        rows = _local(state, config, query)
    if as_json:
        print_json(rows)
        return
    print_table(
        ("TIME", "WHO", "CHANGE", "TYPE", "ID", "WHAT"),
        [
            (
                row["recorded_at"],
                _who(row),
                row["change"],
                row["resource_type"],
                row["resource_id"],
                _what(row["before"], row["after"]),
            )
            for row in rows
        ],
    )


def _local(state: Path, config: Path | None, query: AuditQuery) -> Sequence[_Row]:
    from landbridge.bootstrap.local_audit import local_audit_records  # noqa: PLC0415 — the database takes a while

    try:
        return [_row(record) for record in local_audit_records(state, read_settings(config), query)]
    except LandbridgeError as error:
        raise Ended(str(error)) from error


def _row(record: AuditRecord) -> _Row:
    actor, entry = record.actor, record.entry
    known = {
        "user_id": actor.user_id,
        "user_name": actor.user_name,
        "domain_id": actor.domain_id,
        "project_id": actor.project_id,
        "request_id": actor.request_id,
        "client_address": actor.client_address,
    }
    return {
        "id": record.id,
        "recorded_at": record.recorded_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "project_id": entry.project_id,
        "actor": {"kind": actor.kind.value, **{name: value for name, value in known.items() if value}},
        "action": actor.action,
        "change": entry.change.value,
        "resource_type": entry.kind.value,
        "resource_id": entry.resource_id,
        "before": entry.before,
        "after": entry.after,
    }


def _who(row: _Row) -> str:
    actor = row["actor"]
    return str(actor.get("user_name") or actor["kind"])


def _what(before: _Row | None, after: _Row | None) -> str:
    """Return what differs, in one line; of what came or went, its name."""
    if before is None or after is None:
        facts = before or after or {}
        return str(facts.get("name") or facts.get("service_name") or facts.get("permission") or "")
    return ", ".join(f"{name}: {_text(before.get(name))} → {_text(after.get(name))}" for name in after)


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
