"""Find what changed in a pool, and what does not count for a quota, without looking at the rest."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_CUT = sa.text("next_cut_at IS NOT NULL")
_DELETING = sa.text("delete_requested_at IS NOT NULL")
_BESIDE_QUOTA = sa.text("delete_requested_at IS NOT NULL OR public_owner IS NOT NULL")


def upgrade() -> None:
    """Go from 0010 to 0011. New ones first: an older release may ask meanwhile, and finds any way."""
    for table in ("services", "endpoints"):
        op.create_index(op.f(f"ix_{table}_pool_id_revision"), table, ["pool_id", "revision"])
    op.create_index(
        "ix_endpoints_pool_id_next_cut_at",
        "endpoints",
        ["pool_id", "next_cut_at"],
        sqlite_where=_CUT,
        postgresql_where=_CUT,
    )
    op.create_index(
        "ix_endpoints_deleting",
        "endpoints",
        ["project_id", "grace_since_at"],
        sqlite_where=_DELETING,
        postgresql_where=_DELETING,
    )
    op.create_index(
        "ix_services_beside_quota",
        "services",
        ["project_id"],
        sqlite_where=_BESIDE_QUOTA,
        postgresql_where=_BESIDE_QUOTA,
    )
    op.drop_index(op.f("ix_services_revision"), "services")
    op.drop_index(op.f("ix_services_project_id_delete_requested_at_public_owner"), "services")
    op.drop_index(op.f("ix_endpoints_revision"), "endpoints")
    op.drop_index(op.f("ix_endpoints_project_id_delete_requested_at"), "endpoints")
    op.drop_index("ix_endpoints_next_cut_at", "endpoints")
    op.drop_index("ix_endpoints_still_deleting", "endpoints")
