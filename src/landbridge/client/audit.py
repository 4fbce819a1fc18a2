"""Name what the client reads of the audit log, and ask for it.

As with `client.records`, nothing is converted: a record is the parsed JSON itself.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict, cast

from landbridge.client.rest import Client, Query, UnexpectedAnswer

_PAGE_SIZE = 500


class Actor(TypedDict, total=False):
    """Who it was, as far as this project may know."""

    kind: str
    user_id: str
    user_name: str
    request_id: str
    client_address: str


class AuditRecord(TypedDict):
    """One change."""

    id: int
    recorded_at: str
    actor: Actor
    action: str
    change: str
    resource_type: str
    resource_id: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None


def audit_records(client: Client, filters: Query, limit: int | None) -> Sequence[AuditRecord]:
    """Return the project's newest records that fit; with `limit`, so many at most."""
    found: list[AuditRecord] = []
    marker: str | None = None
    while limit is None or len(found) < limit:
        left = _PAGE_SIZE if limit is None else min(limit - len(found), _PAGE_SIZE)
        page = client.audit_page({**filters, "limit": left, "marker": marker})
        records, next_marker = page.get("audit_records"), page.get("next_marker")
        if not isinstance(records, list) or not (next_marker is None or isinstance(next_marker, str)):
            raise UnexpectedAnswer("the answer has no list of records: is this Landbridge?")
        found += cast("list[AuditRecord]", records)
        marker = next_marker
        if marker is None:
            break
    return found
