"""The route of the audit log, an extension of the contract: what was changed in a project, by whom and when."""

from datetime import UTC, datetime

from fastapi import APIRouter, Request

from landbridge.api import audit_answers as answers
from landbridge.api.audit_answers import audit_page_body
from landbridge.api.auth import ApiDep, CallerDep
from landbridge.api.operations import Parameter, operation
from landbridge.api.parameters import choice
from landbridge.api.presentation import Json
from landbridge.api.requests import Query
from landbridge.control.audit import LONGEST_PAGE, AuditPlace, AuditQuery, ResourceKind
from landbridge.domain.errors import InvalidLimit, InvalidParameter
from landbridge.domain.ids import ProjectId

_MOMENT = {"type": "string", "format": "date-time"}
_LIST = (
    Parameter("since", "Only changes from this moment on (RFC 3339).", _MOMENT),
    Parameter("until", "Only changes before this moment (RFC 3339).", _MOMENT),
    Parameter("resource_type", "Only changes of things of this kind.", choice(*ResourceKind)),
    Parameter("resource_id", "Only changes of the thing with this very id.", {"type": "string", "maxLength": 128}),
    Parameter(
        "limit",
        f"How many records at most, 1 to {LONGEST_PAGE}.",
        {"type": "integer", "minimum": 1, "maximum": LONGEST_PAGE, "default": 100},
    ),
    Parameter("marker", "The `next_marker` of the page before.", {"type": "string", "maxLength": 64}),
)

router = APIRouter(prefix="/v1/{project_id}/ext/audit", tags=["audit"])


@operation(router, "GET", "", action="vpcep:ext:audit:list", answer=answers.AuditRecords, query=_LIST)
async def list_audit_records(request: Request, caller: CallerDep, api: ApiDep) -> Json:
    """List what was changed in the project, the newest first."""
    return audit_page_body(await api.audit.page(_query(Query(request), caller.project_id)))


def _query(query: Query, project_id: ProjectId) -> AuditQuery:
    marker, kind = query.text("marker", longest=64), query.text("resource_type")
    if kind is not None and kind not in set(ResourceKind):
        raise InvalidParameter(f"resource_type must be one of {', '.join(ResourceKind)}")
    return AuditQuery(
        project_id=project_id,
        limit=_limit(query.text("limit")),
        older_than=None if marker is None else AuditPlace.of_marker(marker),
        since=_moment("since", query.text("since")),
        until=_moment("until", query.text("until")),
        kind=None if kind is None else ResourceKind(kind),
        resource_id=query.text("resource_id"),
    )


def _limit(text: str | None) -> int:
    if text is None:
        return 100
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and 1 <= int(text) <= LONGEST_PAGE):
        raise InvalidLimit(f"limit must be a number from 1 to {LONGEST_PAGE}")
    return int(text)


def _moment(name: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None or not 1970 <= at.year <= 9000:
        raise InvalidParameter(f"{name} must be a moment in the form of RFC 3339, such as 2026-01-31T12:00:00Z")
    return at.astimezone(UTC)
