"""Let services take policies and be public, endpoints carry a policy, and projects have quotas of their own."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go from 0001 to 0002."""
    op.add_column("services", sa.Column("enable_policy", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("services", sa.Column("public_owner", sa.String(), nullable=True))
    op.create_index(
        "ix_services_public",
        "services",
        ["created_at", "id"],
        sqlite_where=sa.text("public_owner IS NOT NULL"),
        postgresql_where=sa.text("public_owner IS NOT NULL"),
    )
    op.add_column("endpoints", sa.Column("policy_document", sa.String(), nullable=True))
    op.create_table(
        "quotas",
        sa.Column("project_id", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("quota", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project_id", "type", name=op.f("pk_quotas")),
        sqlite_with_rowid=False,
    )
    # What a project uses of its quotas is counted in these alone.
    counted = ["project_id", "delete_requested_at", "public_owner"]
    op.create_index(op.f("ix_services_project_id_delete_requested_at_public_owner"), "services", counted)
    op.create_index(op.f("ix_endpoints_project_id_delete_requested_at"), "endpoints", counted[:2])
