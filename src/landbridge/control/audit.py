"""Say what the audit log holds: one record for each thing that a transaction changed, with who, before and after.

A record belongs to one project's log. It is written in the transaction of the change, so it exists exactly if the
change does, and it is never changed. What rounds write back are observations, and no changes: the facts in
`audit_facts` leave them out, so nothing is left to record. The store keeps what is decided here.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from landbridge.control.actors import Actor, ActorKind
from landbridge.domain.errors import InvalidParameter
from landbridge.domain.ids import ProjectId

Facts = Mapping[str, Any]
"""What is known of a thing, as JSON: names as the API writes them, nothing secret."""

INSTALLATION = ProjectId("")
"""The log of what belongs to no project; only the operator reads it."""

LONGEST_PAGE = 1000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LARGEST_ID = 2**63 - 1
_LATEST = datetime(9000, 1, 1, tzinfo=UTC)


class ResourceKind(StrEnum):
    """What was changed."""

    SERVICE = "vpc-endpoint-service"
    ENDPOINT = "vpc-endpoint"
    CONNECTION = "connection"
    """An endpoint as its provider sees it."""
    PERMISSION = "permission"
    QUOTA = "quota"
    VPC = "vpc"
    SUBNET = "subnet"
    PORT = "port"
    ROUTE_TABLE = "routetable"
    PROJECT = "project"
    USER = "user"


class Change(StrEnum):
    """What happened to it."""

    CREATED = "created"
    CHANGED = "changed"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """What is to be recorded of one change."""

    project_id: ProjectId
    """Whose log it belongs to."""
    kind: ResourceKind
    resource_id: str
    change: Change
    before: Facts | None
    """All facts of what was deleted, the differing ones of what was changed; None for what was created."""
    after: Facts | None
    """All facts of what was created, the differing ones of what was changed; None for what was deleted."""


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """An entry as it was recorded."""

    id: int
    """Unique, and higher than that of every change before."""
    recorded_at: datetime
    actor: Actor
    entry: AuditEntry

    @property
    def is_actor_shown(self) -> bool:
        """Whether readers of the log may know who it was: another project's users are none of their business."""
        return self.actor.kind is ActorKind.USER and self.actor.project_id == self.entry.project_id


@dataclass(frozen=True, slots=True)
class AuditPlace:
    """A place in the log: between this record and the older ones."""

    recorded_at: datetime
    id: int

    def marker(self) -> str:
        """Return it as a text."""
        return f"{(self.recorded_at - _EPOCH) // _MICROSECOND}-{self.id}"

    @classmethod
    def of_marker(cls, text: str) -> "AuditPlace":
        """Return the place that a marker names.

        Raises:
            InvalidParameter: it is no marker.
        """
        moment, _, number = text.partition("-")
        if all(part.isascii() and part.isdigit() and len(part) <= 19 for part in (moment, number)):
            microseconds, id_ = int(moment), int(number)
            if microseconds <= (_LATEST - _EPOCH) // _MICROSECOND and id_ <= _LARGEST_ID:
                return cls(_EPOCH + timedelta(microseconds=microseconds), id_)
        raise InvalidParameter("marker must be the next_marker of the page before")


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """Which records are wanted, the newest first; None asks for any."""

    project_id: ProjectId | None
    limit: int
    older_than: AuditPlace | None = None
    since: datetime | None = None
    """From this moment on."""
    until: datetime | None = None
    """Before this moment."""
    kind: ResourceKind | None = None
    resource_id: str | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Some records, the newest first."""

    records: Sequence[AuditRecord]
    next_marker: str | None
    """Where the next page begins; None: there is none."""


@dataclass(slots=True)
class _Touched:
    project_id: ProjectId
    before: Facts | None
    after: Facts | None


class Trail:
    """What one transaction has changed so far. A thing that is changed twice is one entry: first state, last state."""

    def __init__(self) -> None:
        self._touched: dict[tuple[ResourceKind, str, ProjectId], _Touched] = {}

    def changed(
        self, kind: ResourceKind, id_: str, project_id: ProjectId, before: Facts | None, after: Facts | None
    ) -> None:
        """Note a change. No facts: it was not there, or is not any more; a thing that is being deleted is not."""
        known = self._touched.get((kind, id_, project_id))
        if known is None:
            self._touched[kind, id_, project_id] = _Touched(project_id, before, after)
        else:
            known.after = after

    def entries(self) -> Iterator[AuditEntry]:
        """Yield what is to be recorded, in the order of the changes; what is as it was is left out."""
        for (kind, id_, _), touched in self._touched.items():
            before, after = touched.before, touched.after
            if before == after:
                continue
            if before is None or after is None:
                change = Change.CREATED if before is None else Change.DELETED
            else:
                change = Change.CHANGED
                before, after = _differing(before, after)
            yield AuditEntry(touched.project_id, kind, id_, change, before, after)


def _differing(before: Facts, after: Facts) -> tuple[Facts, Facts]:
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return {name: before.get(name) for name in names}, {name: after.get(name) for name in names}
