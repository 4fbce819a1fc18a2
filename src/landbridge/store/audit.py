"""Read the audit log. Adding to it is the business of `auditing`; nobody changes it."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, insert, select, tuple_

from landbridge.control.actors import Actor, ActorKind
from landbridge.control.audit import AuditEntry, AuditQuery, AuditRecord, Change, ResourceKind
from landbridge.store.rows import AnyRow, Values
from landbridge.store.tables import audit_log
from landbridge.store.types import UtcDateTime

# Inline: nobody asks for the ids, which would cost as much as the rest.
_ADD = insert(audit_log).inline()
_SHOWN_OF_ACTOR = ("user_id", "user_name", "domain_id", "project_id", "client_address")
_MOMENT = UtcDateTime()


class AuditReading:
    """The audit log's part of a read transaction."""

    _connection: Connection

    def audit_records(self, query: AuditQuery) -> Sequence[AuditRecord]:
        """Return the newest records that fit, `query.limit` at most, the newest first."""
        c = audit_log.c
        conditions: list[ColumnElement[bool]] = []
        if query.project_id is not None:
            conditions.append(c.project_id == query.project_id)
        if query.resource_id is not None:
            conditions.append(c.resource_id == query.resource_id)
        if query.kind is not None:
            conditions.append(c.resource_kind == query.kind.value)
        if query.request_id is not None:
            conditions.append(c.request_id == query.request_id)
        if query.since is not None:
            conditions.append(c.recorded_at >= query.since)
        if query.until is not None:
            conditions.append(c.recorded_at < query.until)
        if query.older_than is not None:
            place = query.older_than
            conditions.append(tuple_(c.recorded_at, c.id, types=[_MOMENT, c.id.type]) < (place.recorded_at, place.id))
        newest = select(audit_log).where(*conditions).order_by(c.recorded_at.desc(), c.id.desc()).limit(query.limit)
        return [_record(row) for row in self._connection.execute(newest)]


def add_records(connection: Connection, records: Sequence[Values]) -> None:
    """Add records, made of `entry_values` and the moment `recorded_at`; in one statement, however many there are."""
    if records:
        connection.execute(_ADD, records)


def entry_values(entry: AuditEntry, actor: Actor) -> Values:
    """Return the columns of a new record, all but its id and moment."""
    known: dict[str, Any] = {name: getattr(actor, name) for name in _SHOWN_OF_ACTOR}
    return {
        "project_id": entry.project_id,
        "actor_kind": actor.kind.value,
        "actor": {name: value for name, value in known.items() if value},
        "request_id": actor.request_id,
        "action": actor.action,
        "change": entry.change.value,
        "resource_kind": entry.kind.value,
        "resource_id": entry.resource_id,
        "before": entry.before,
        "after": entry.after,
    }


def _record(row: AnyRow) -> AuditRecord:
    actor = Actor(ActorKind(row.actor_kind), request_id=row.request_id, action=row.action, **row.actor)
    entry = AuditEntry(
        row.project_id, ResourceKind(row.resource_kind), row.resource_id, Change(row.change), row.before, row.after
    )
    return AuditRecord(row.id, row.recorded_at, actor, entry)
