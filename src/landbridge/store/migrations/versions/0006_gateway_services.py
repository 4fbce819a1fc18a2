"""Let services be gateways, and endpoints have route tables in place of an address; say who published a service."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_OF_A_BACKEND = {
    "server_type": sa.String(),
    "nic_id": sa.String(),
    "backend_address": sa.BigInteger(),
    "transit_address": sa.BigInteger(),
}


def upgrade() -> None:
    """Go from 0005 to 0006."""
    permissions = _taken_out("permissions")
    with op.batch_alter_table("services") as services:
        for name, type_ in _OF_A_BACKEND.items():
            services.alter_column(name, existing_type=type_, nullable=True)
        services.add_column(sa.Column("service_type", sa.String(), server_default="interface", nullable=False))
        services.add_column(sa.Column("networks", sa.JSON(), server_default="[]", nullable=False))
        services.add_column(sa.Column("origin", sa.String(), server_default="api", nullable=False))
    op.execute("UPDATE services SET origin = 'lab' WHERE public_owner IS NOT NULL")
    _put_back("permissions", permissions)
    with op.batch_alter_table("endpoints") as endpoints:
        endpoints.alter_column("subnet_id", existing_type=sa.String(), nullable=True)
        endpoints.alter_column("address", existing_type=sa.BigInteger(), nullable=True)
        endpoints.add_column(sa.Column("route_table_ids", sa.JSON(), server_default="[]", nullable=False))
    op.create_index(
        "ix_endpoints_gateways",
        "endpoints",
        ["vpc_id"],
        sqlite_where=sa.text("subnet_id IS NULL"),
        postgresql_where=sa.text("subnet_id IS NULL"),
    )


def _taken_out(table_name: str) -> list[dict[str, object]]:
    """Take the rows that refer to services out: SQLite replaces the whole table, and would not let go of its rows."""
    if op.get_bind().dialect.name != "sqlite":
        return []
    table = sa.Table(table_name, sa.MetaData(), autoload_with=op.get_bind())
    rows = [dict(row) for row in op.get_bind().execute(sa.select(table)).mappings()]
    op.get_bind().execute(sa.delete(table))
    return rows


def _put_back(table_name: str, rows: list[dict[str, object]]) -> None:
    if rows:
        op.bulk_insert(sa.Table(table_name, sa.MetaData(), autoload_with=op.get_bind()), rows)
