"""Keep which edges of each pool are nearly full."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go from 0009 to 0010."""
    op.add_column("pools", sa.Column("full_edges", sa.JSON(), nullable=True))
    op.add_column("pools", sa.Column("full_edges_seen_at", sa.DateTime(timezone=True), nullable=True))
