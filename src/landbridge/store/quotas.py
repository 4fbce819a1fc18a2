"""Count what a project has, and keep the quotas that are a project's own.

All rows of a project are counted already (`kept_counts`), so only those that do not count are counted here. They are
few, and a partial index has them: a project with ten thousand endpoints creates the next one as fast as the first.
"""

from collections.abc import Mapping

from sqlalchemy import Connection, bindparam, delete, func, insert, select

from landbridge.domain.ids import ProjectId
from landbridge.domain.resources import QuotaType
from landbridge.store.kept_counts import kept_count
from landbridge.store.tables import endpoints, is_beside_quota, is_deleting, quotas, services

_BESIDE = {
    QuotaType.ENDPOINT_SERVICE: (services, is_beside_quota),
    # What is being deleted while connections go on counts: it keeps its addresses, perhaps for a day.
    QuotaType.ENDPOINT: (endpoints, is_deleting & endpoints.c.grace_since_at.is_(None)),
}
"""Which rows of a project do not count."""
_USED = {
    type_: select(
        func.coalesce(kept_count(table), 0)
        - select(func.count())
        .select_from(table)
        .where(table.c.project_id == bindparam("project_id"), beside)
        .scalar_subquery()
    )
    for type_, (table, beside) in _BESIDE.items()
}
_OWN = select(quotas.c.type, quotas.c.quota).where(quotas.c.project_id == bindparam("project_id"))
_FORGET = delete(quotas).where(quotas.c.project_id == bindparam("project_id"), quotas.c.type == bindparam("type"))


class QuotaReading:
    """The quotas' part of a read transaction."""

    _connection: Connection

    def used_quota(self, project_id: ProjectId, type_: QuotaType) -> int:
        """Return how many services or endpoints count.

        Services offered to everybody do not, nor what is being deleted, but for endpoints whose connections go on.
        """
        return self._connection.execute(_USED[type_], {"project_id": project_id}).scalar_one()

    def own_quotas(self, project_id: ProjectId) -> Mapping[QuotaType, int]:
        """Return the quotas that were set for this very project; the others are the installation's."""
        return {QuotaType(type_): quota for type_, quota in self._connection.execute(_OWN, {"project_id": project_id})}


class QuotaWriting:
    """The quotas' part of a write transaction."""

    _connection: Connection

    def put_quota(self, project_id: ProjectId, type_: QuotaType, quota: int | None) -> None:
        """Store a quota of a project's own, or replace it; None: the installation's counts again."""
        self._connection.execute(_FORGET, {"project_id": project_id, "type": type_.value})
        if quota is not None:
            row = {"project_id": project_id, "type": type_.value, "quota": quota}
            self._connection.execute(insert(quotas), row)
