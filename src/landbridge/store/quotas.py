"""Count what a project has, and keep the quotas that are a project's own.

Counting reads one partial index per type and no row, so that a project with ten thousand endpoints creates the next
one as fast as the first.
"""

from collections.abc import Mapping

from sqlalchemy import Connection, bindparam, delete, func, insert, select

from landbridge.domain.ids import ProjectId
from landbridge.domain.resources import QuotaType
from landbridge.store.tables import endpoints, quotas, services

_LIVING = (
    select(func.count())
    .select_from(endpoints)
    .where(endpoints.c.project_id == bindparam("project_id"), endpoints.c.delete_requested_at.is_(None))
    .scalar_subquery()
)
_STILL_DELETING = (
    select(func.count())
    .select_from(endpoints)
    .where(
        endpoints.c.project_id == bindparam("project_id"),
        endpoints.c.delete_requested_at.is_not(None),
        endpoints.c.grace_since_at.is_not(None),
    )
    .scalar_subquery()
)
"""Endpoints that are being deleted while connections go on: they keep their addresses, perhaps for a day."""
_USED = {
    QuotaType.ENDPOINT_SERVICE: select(func.count())
    .select_from(services)
    .where(
        services.c.project_id == bindparam("project_id"),
        services.c.delete_requested_at.is_(None),
        services.c.public_owner.is_(None),
    ),
    # One question, as each one costs more than its answer.
    QuotaType.ENDPOINT: select(_LIVING + _STILL_DELETING),
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
