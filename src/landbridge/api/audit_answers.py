"""Describe and write the answers about the audit log, an extension of the contract.

Who changed something is shown to that somebody's own project only. The models describe for the OpenAPI document, the
functions write; tests hold the two together.
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from landbridge.api.answer_fields import Absent, Answer, Moment
from landbridge.api.presentation import Json, moment
from landbridge.control.actors import ActorKind
from landbridge.control.audit import AuditPage, AuditRecord, Change, ResourceKind

_ActorWord = Literal["user", "other-project", "operator", "system"]


class AuditActorAnswer(Answer):
    """Who it was. Users of other projects, operators and the server itself are not named."""

    kind: _ActorWord
    user_id: str | Absent = None
    user_name: str | Absent = None
    request_id: str | Absent = None
    client_address: str | Absent = None


class AuditRecordAnswer(Answer):
    """One change: of what was created `before` is null, of what was deleted `after`; else both hold what differs."""

    id: Annotated[int, Field(ge=1)]
    recorded_at: Moment
    actor: AuditActorAnswer
    action: Annotated[str, Field(examples=["vpcep:endpoints:create"])]
    change: Change
    resource_type: ResourceKind
    resource_id: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class AuditRecords(Answer):
    """One page of the log, the newest first."""

    audit_records: list[AuditRecordAnswer]
    next_marker: str | None


def audit_page_body(page: AuditPage) -> Json:
    """Return one page of a project's log."""
    return {"audit_records": [_record(one) for one in page.records], "next_marker": page.next_marker}


def _record(record: AuditRecord) -> Json:
    entry = record.entry
    return {
        "id": record.id,
        "recorded_at": moment(record.recorded_at),
        "actor": _actor(record),
        "action": record.actor.action if record.is_actor_shown or record.actor.kind is ActorKind.OPERATOR else "",
        "change": entry.change.value,
        "resource_type": entry.kind.value,
        "resource_id": entry.resource_id,
        "before": entry.before,
        "after": entry.after,
    }


def _actor(record: AuditRecord) -> Json:
    actor = record.actor
    if actor.kind is not ActorKind.USER:
        return {"kind": actor.kind.value}
    if not record.is_actor_shown:
        return {"kind": "other-project"}
    known = {
        "user_id": actor.user_id,
        "user_name": actor.user_name,
        "request_id": actor.request_id,
        "client_address": actor.client_address,
    }
    return {"kind": actor.kind.value, **{name: value for name, value in known.items() if value}}
