"""Let networks be made through the VPC API beside the lab file, and give each VPC route tables."""

from uuid import NAMESPACE_OID, uuid5

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go from 0002 to 0003."""
    for table in ("vpcs", "subnets"):
        op.add_column(table, sa.Column("description", sa.String(), server_default="", nullable=False))
    op.add_column("subnets", sa.Column("dhcp_enabled", sa.Boolean(), server_default=sa.true(), nullable=False))
    op.add_column("subnets", sa.Column("dns_servers", sa.JSON(), server_default="[]", nullable=False))
    op.add_column("subnets", sa.Column("route_table_id", sa.String(), nullable=True))
    op.add_column("nics", sa.Column("device_owner", sa.String(), server_default="", nullable=False))
    op.add_column("nics", sa.Column("address_pairs", sa.JSON(), server_default="[]", nullable=False))
    op.add_column("nics", sa.Column("host", sa.String(), nullable=True))
    for table in ("vpcs", "subnets", "nics"):
        op.add_column(table, sa.Column("origin", sa.String(), server_default="lab", nullable=False))
    for table in ("vpcs", "subnets"):
        op.add_column(table, sa.Column("created_at", sa.DateTime(timezone=True), nullable=True))
        op.add_column(table, sa.Column("updated_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(op.f("ix_vpcs_project_id_id"), "vpcs", ["project_id", "id"])
    op.create_index(op.f("ix_nics_project_id_id"), "nics", ["project_id", "id"])
    op.create_index(op.f("ix_nics_subnet_id_id"), "nics", ["subnet_id", "id"])
    op.create_index(op.f("ix_nics_host"), "nics", ["host"], unique=True)
    op.create_table(
        "route_tables",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("vpc_id", sa.String(), nullable=False),
        sa.Column("project_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.Column("routes", sa.JSON(), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_route_tables")),
    )
    op.create_index(op.f("ix_route_tables_project_id_id"), "route_tables", ["project_id", "id"])
    op.create_index(op.f("ix_route_tables_vpc_id_id"), "route_tables", ["vpc_id", "id"])
    _give_each_vpc_its_default_table()


def _give_each_vpc_its_default_table() -> None:
    vpcs = sa.table(
        "vpcs",
        sa.column("id", sa.String()),
        sa.column("project_id", sa.String()),
        sa.column("routes", sa.JSON()),
    )
    tables = sa.table(
        "route_tables",
        sa.column("id", sa.String()),
        sa.column("vpc_id", sa.String()),
        sa.column("project_id", sa.String()),
        sa.column("name", sa.String()),
        sa.column("is_default", sa.Boolean()),
        sa.column("routes", sa.JSON()),
        sa.column("description", sa.String()),
    )
    connection = op.get_bind()
    for vpc in connection.execute(sa.select(vpcs)).all():
        connection.execute(
            sa.insert(tables).values(
                # As `domain.networking.default_route_table_id` derives it; that function may change, this may not.
                id=str(uuid5(NAMESPACE_OID, f"landbridge/route-table/{vpc.id}")),
                vpc_id=vpc.id,
                project_id=vpc.project_id,
                name="default",
                is_default=True,
                routes=[[destination, "lab", "", ""] for destination in vpc.routes],
                description="",
            )
        )
