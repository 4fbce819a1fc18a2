"""Keep how many services and endpoints each project has, so that a list need not count them to say so.

Triggers keep the numbers: in the transaction of the change, whoever makes it, an older version included. Read: one row.
"""

from sqlalchemy import Connection, ScalarSelect, Table, bindparam, select

from landbridge.domain.ids import ProjectId
from landbridge.store.tables import row_counts

_OF_PROJECT = row_counts.c.project_id == bindparam("project_id")
_COUNT = select(row_counts.c.row_count).where(row_counts.c.table_name == bindparam("table_name"), _OF_PROJECT)


def kept_count(table: Table) -> ScalarSelect[int]:
    """Return how many rows of `services` or `endpoints` the project of `project_id` has, as a part of a statement.

    NULL: none.
    """
    return select(row_counts.c.row_count).where(row_counts.c.table_name == table.name, _OF_PROJECT).scalar_subquery()


def count_of_project(connection: Connection, table: Table, project_id: ProjectId) -> int:
    """Return how many rows of `services` or `endpoints` a project has, those that are being deleted included."""
    which = {"table_name": table.name, "project_id": project_id}
    return connection.execute(_COUNT, which).scalar_one_or_none() or 0
