"""Keep each project within what it may have: so many endpoint services, so many endpoints (contract 3.27, 10).

What is checked inside the write transaction holds however many requests come at once. What is being deleted frees its
place at once, and services offered to everybody take none (contract 12.6, 14).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from landbridge.control.protocols import ReadTransaction, Store, WriteTransaction
from landbridge.domain.errors import OperatorError, QuotaExceeded
from landbridge.domain.ids import ProjectId
from landbridge.domain.resources import QuotaType

_FOREIGN_ID = re.compile("[0-9a-f]{32}")
_THINGS: Mapping[QuotaType, str] = {QuotaType.ENDPOINT_SERVICE: "endpoint services", QuotaType.ENDPOINT: "endpoints"}


@dataclass(frozen=True, slots=True)
class Quota:
    """How many of something a project may have, and has."""

    type: QuotaType
    used: int
    """May be above `limit` where the quota was lowered afterwards."""
    limit: int


class Quotas:
    """Every project's quotas: its own where it has some, else the installation's."""

    def __init__(self, store: Store, defaults: Mapping[QuotaType, int]) -> None:
        self._store = store
        self._defaults = defaults

    async def list(self, project_id: ProjectId) -> Sequence[Quota]:
        """Return the project's quotas, one of each type."""

        def look(tx: ReadTransaction) -> Sequence[Quota]:
            own = tx.own_quotas(project_id)
            return [self._quota(tx, project_id, type_, own) for type_ in QuotaType]

        return await self._store.read(look)

    def check(self, tx: ReadTransaction, project_id: ProjectId, type_: QuotaType) -> None:
        """Refuse one more of this type, in the transaction that would add it.

        Raises:
            QuotaExceeded: the project has as many as it may have.
        """
        quota = self._quota(tx, project_id, type_, tx.own_quotas(project_id))
        if quota.used >= quota.limit:
            raise QuotaExceeded(
                f"project {project_id} has {quota.used} of {quota.limit} {_THINGS[type_]}: "
                "delete some, or have the operator raise the quota"
            )

    def _quota(
        self, tx: ReadTransaction, project_id: ProjectId, type_: QuotaType, own: Mapping[QuotaType, int]
    ) -> Quota:
        return Quota(type_, tx.used_quota(project_id, type_), own.get(type_, self._defaults[type_]))


def replace_quotas(tx: WriteTransaction, quotas_by_project: Mapping[ProjectId, Mapping[QuotaType, int]]) -> None:
    """Make these the projects' own quotas; of a type that is not named, the installation's counts again."""
    for project_id, own in quotas_by_project.items():
        for type_ in QuotaType:
            tx.put_quota(project_id, type_, own.get(type_))


@dataclass(frozen=True, slots=True)
class OwnQuotas:
    """What a project has, and which quotas of its own."""

    project_id: ProjectId
    used: Mapping[QuotaType, int]
    own: Mapping[QuotaType, int]
    """Of a type that is missing, the installation's counts."""


def change_quotas(tx: WriteTransaction, project: str, changes: Mapping[QuotaType, int | None]) -> OwnQuotas:
    """Change a project's own quotas and return them all; None takes one back, a type that is missing stays.

    `project` is a name or an id. An id of 32 hex digits may be one that only another identity service knows.

    Raises:
        OperatorError: there is no such project, or several have the name.
    """
    project_id = _project_id(tx, project)
    for type_, quota in changes.items():
        tx.put_quota(project_id, type_, quota)
    used = {type_: tx.used_quota(project_id, type_) for type_ in QuotaType}
    return OwnQuotas(project_id, used, tx.own_quotas(project_id))


def _project_id(tx: ReadTransaction, project: str) -> ProjectId:
    found = tx.project(ProjectId(project))
    named = [found] if found is not None else [each for each in tx.projects() if each.name == project]
    if len(named) > 1:
        ids = ", ".join(each.id for each in named)
        raise OperatorError(f"several projects are called {project}: give the id of one of them ({ids})")
    if named:
        return named[0].id
    if _FOREIGN_ID.fullmatch(project) is not None:
        return ProjectId(project)
    raise OperatorError(f"there is no project {project}: give the name or the id of one that exists")
