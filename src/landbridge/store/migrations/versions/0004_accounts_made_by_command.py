"""Let projects and users be made by command beside the lab file."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go from 0003 to 0004."""
    for table in ("projects", "users"):
        op.add_column(table, sa.Column("origin", sa.String(), server_default="lab", nullable=False))
