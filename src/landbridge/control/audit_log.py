"""Answer what was changed, by whom and when."""

from landbridge.control.audit import AuditPage, AuditPlace, AuditQuery
from landbridge.control.protocols import Store


class AuditLog:
    """What may be asked about the past."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def page(self, query: AuditQuery) -> AuditPage:
        """Return the newest records that fit, `query.limit` at most."""
        records = await self._store.read(lambda tx: tx.audit_records(query))
        has_more = len(records) == query.limit
        last = AuditPlace(records[-1].recorded_at, records[-1].id) if records and has_more else None
        return AuditPage(records, None if last is None else last.marker())
