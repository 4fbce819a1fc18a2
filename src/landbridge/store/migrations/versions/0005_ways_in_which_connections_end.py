"""Let providers choose how connections end, and services keep the places where older connections go on."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go from 0004 to 0005."""
    op.add_column("services", sa.Column("cut_offs", sa.JSON(), server_default="{}", nullable=False))
    op.add_column("services", sa.Column("former_backends", sa.JSON(), nullable=True))
    for name in ("grace_since_at", "grace_until_at"):
        op.add_column("endpoints", sa.Column(name, sa.DateTime(timezone=True), nullable=True))
    op.add_column("endpoints", sa.Column("former_clients", sa.JSON(), nullable=True))
    op.add_column("endpoints", sa.Column("next_cut_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_services_former_backends",
        "services",
        ["pool_id", "vpc_id"],
        sqlite_where=sa.text("former_backends IS NOT NULL"),
        postgresql_where=sa.text("former_backends IS NOT NULL"),
    )
    op.create_index(
        "ix_endpoints_next_cut_at",
        "endpoints",
        ["next_cut_at"],
        sqlite_where=sa.text("next_cut_at IS NOT NULL"),
        postgresql_where=sa.text("next_cut_at IS NOT NULL"),
    )
    op.create_index(
        "ix_endpoints_still_deleting",
        "endpoints",
        ["project_id", "delete_requested_at", "grace_since_at"],
        sqlite_where=sa.text("grace_since_at IS NOT NULL"),
        postgresql_where=sa.text("grace_since_at IS NOT NULL"),
    )
    still_open = "grace_since_at IS NOT NULL OR former_clients IS NOT NULL"
    op.create_index(
        "ix_endpoints_ending",
        "endpoints",
        ["service_id"],
        sqlite_where=sa.text(still_open),
        postgresql_where=sa.text(still_open),
    )
    op.create_table(
        "left_targets",
        sa.Column("pool_id", sa.String(), nullable=False),
        sa.Column("vpc_id", sa.String(), nullable=False),
        sa.Column("address", sa.BigInteger(), nullable=False),
        sa.Column("service_id", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("pool_id", "vpc_id", "address", "service_id", name=op.f("pk_left_targets")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_left_targets_service_id"), "left_targets", ["service_id"])
