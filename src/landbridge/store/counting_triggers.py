"""Write the statements that keep `row_counts` in step with the rows of `services` and `endpoints`.

A row's project never changes, so only what comes and goes counts.
"""

from collections.abc import Sequence
from typing import Literal

_ONE_MORE = "INSERT INTO row_counts (table_name, project_id, row_count) VALUES"
_OR_ADD = "ON CONFLICT (table_name, project_id) DO UPDATE SET row_count = row_counts.row_count + 1"
_ONE_LESS = "UPDATE row_counts SET row_count = row_count - 1 WHERE"

_POSTGRESQL_FUNCTION = (
    "CREATE FUNCTION count_rows_of_project() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
    f"IF TG_OP = 'INSERT' THEN {_ONE_MORE} (TG_TABLE_NAME, NEW.project_id, 1) {_OR_ADD}; "
    f"ELSE {_ONE_LESS} table_name = TG_TABLE_NAME AND project_id = OLD.project_id; "
    "END IF; RETURN NULL; END $$"
)


def counting_statements(dialect: Literal["sqlite", "postgresql"]) -> Sequence[str]:
    """Return what is to be run after all tables were created, one statement each."""
    if dialect == "postgresql":
        triggers = [
            f"CREATE TRIGGER {table}_are_counted AFTER INSERT OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION count_rows_of_project()"
            for table in ("services", "endpoints")
        ]
        return [_POSTGRESQL_FUNCTION, *triggers]
    statements: list[str] = []
    for table in ("services", "endpoints"):
        more = f"{_ONE_MORE} ('{table}', NEW.project_id, 1) {_OR_ADD}"
        less = f"{_ONE_LESS} table_name = '{table}' AND project_id = OLD.project_id"
        statements.append(f"CREATE TRIGGER {table}_one_more AFTER INSERT ON {table} BEGIN {more}; END")
        statements.append(f"CREATE TRIGGER {table}_one_less AFTER DELETE ON {table} BEGIN {less}; END")
    return statements
