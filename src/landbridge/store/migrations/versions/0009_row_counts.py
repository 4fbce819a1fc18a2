"""Keep how many services and endpoints each project has."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_TRIGGERS = {
    "sqlite": [
        (
            "CREATE TRIGGER services_one_more AFTER INSERT ON services BEGIN INSERT INTO row_counts "
            "(table_name, project_id, row_count) VALUES ('services', NEW.project_id, 1) ON CONFLICT "
            "(table_name, project_id) DO UPDATE SET row_count = row_counts.row_count + 1; END"
        ),
        (
            "CREATE TRIGGER services_one_less AFTER DELETE ON services BEGIN UPDATE row_counts SET row_count "
            "= row_count - 1 WHERE table_name = 'services' AND project_id = OLD.project_id; END"
        ),
        (
            "CREATE TRIGGER endpoints_one_more AFTER INSERT ON endpoints BEGIN INSERT INTO row_counts "
            "(table_name, project_id, row_count) VALUES ('endpoints', NEW.project_id, 1) ON CONFLICT "
            "(table_name, project_id) DO UPDATE SET row_count = row_counts.row_count + 1; END"
        ),
        (
            "CREATE TRIGGER endpoints_one_less AFTER DELETE ON endpoints BEGIN UPDATE row_counts SET "
            "row_count = row_count - 1 WHERE table_name = 'endpoints' AND project_id = OLD.project_id; END"
        ),
    ],
    "postgresql": [
        (
            "CREATE FUNCTION count_rows_of_project() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF TG_OP = "
            "'INSERT' THEN INSERT INTO row_counts (table_name, project_id, row_count) VALUES (TG_TABLE_NAME, "
            "NEW.project_id, 1) ON CONFLICT (table_name, project_id) DO UPDATE SET row_count = "
            "row_counts.row_count + 1; ELSE UPDATE row_counts SET row_count = row_count - 1 WHERE table_name "
            "= TG_TABLE_NAME AND project_id = OLD.project_id; END IF; RETURN NULL; END $$"
        ),
        (
            "CREATE TRIGGER services_are_counted AFTER INSERT OR DELETE ON services FOR EACH ROW EXECUTE "
            "FUNCTION count_rows_of_project()"
        ),
        (
            "CREATE TRIGGER endpoints_are_counted AFTER INSERT OR DELETE ON endpoints FOR EACH ROW EXECUTE "
            "FUNCTION count_rows_of_project()"
        ),
    ],
}


def upgrade() -> None:
    """Go from 0008 to 0009."""
    op.create_table(
        "row_counts",
        sa.Column("table_name", sa.String(), nullable=False),
        sa.Column("project_id", sa.String(), nullable=False),
        sa.Column("row_count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("table_name", "project_id", name=op.f("pk_row_counts")),
        sqlite_with_rowid=False,
    )
    # Triggers first: making them keeps others from writing, so the numbers below are right when those go on.
    for statement in _TRIGGERS[op.get_bind().dialect.name]:
        op.execute(statement)
    op.execute("INSERT INTO row_counts SELECT 'services', project_id, count(*) FROM services GROUP BY project_id")
    op.execute("INSERT INTO row_counts SELECT 'endpoints', project_id, count(*) FROM endpoints GROUP BY project_id")
