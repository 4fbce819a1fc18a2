"""Create all tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go from nothing to 0001."""
    op.create_table(
        "counters",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_counters")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "endpoints",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("project_id", sa.String(), nullable=False),
        sa.Column("domain_id", sa.String(), nullable=False),
        sa.Column("pool_id", sa.String(), nullable=False),
        sa.Column("service_id", sa.String(), nullable=False),
        sa.Column("service_name", sa.String(), nullable=False),
        sa.Column("vpc_id", sa.String(), nullable=False),
        sa.Column("subnet_id", sa.String(), nullable=False),
        sa.Column("address", sa.BigInteger(), nullable=False),
        sa.Column("transit_address", sa.BigInteger(), nullable=False),
        sa.Column("marker", sa.BigInteger(), nullable=False),
        sa.Column("admission", sa.String(), nullable=False),
        sa.Column("enable_dns", sa.Boolean(), nullable=False),
        sa.Column("whitelist", sa.JSON(), nullable=False),
        sa.Column("enable_whitelist", sa.Boolean(), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("connection_description", sa.String(), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("observed_generation", sa.BigInteger(), nullable=False),
        sa.Column("accepted_generation", sa.BigInteger(), nullable=True),
        sa.Column("cut_requested_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("delete_requested_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error_slug", sa.String(), nullable=True),
        sa.Column("last_error_message", sa.String(), nullable=True),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_endpoints")),
        sa.UniqueConstraint("marker", name=op.f("uq_endpoints_marker")),
        sa.UniqueConstraint("pool_id", "transit_address", name=op.f("uq_endpoints_pool_id_transit_address")),
        sa.UniqueConstraint("subnet_id", "address", name=op.f("uq_endpoints_subnet_id_address")),
    )
    op.create_index(
        op.f("ix_endpoints_project_id_created_at_id"), "endpoints", ["project_id", "created_at", "id"], unique=False
    )
    op.create_index(op.f("ix_endpoints_revision"), "endpoints", ["revision"], unique=False)
    op.create_index(
        op.f("ix_endpoints_service_id_created_at_id"), "endpoints", ["service_id", "created_at", "id"], unique=False
    )
    op.create_table(
        "markers",
        sa.Column("marker", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("freed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("marker", name=op.f("pk_markers")),
    )
    op.create_index(op.f("ix_markers_freed_at"), "markers", ["freed_at"], unique=False)
    op.create_table(
        "nics",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("subnet_id", sa.String(), nullable=False),
        sa.Column("vpc_id", sa.String(), nullable=False),
        sa.Column("project_id", sa.String(), nullable=False),
        sa.Column("address", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("is_virtual_ip", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_nics")),
    )
    op.create_table(
        "projects",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("domain_id", sa.String(), nullable=False),
        sa.Column("domain_name", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_projects")),
    )
    op.create_table(
        "server_port_claims",
        sa.Column("nic_id", sa.String(), nullable=False),
        sa.Column("server_port", sa.Integer(), nullable=False),
        sa.Column("protocol", sa.String(), nullable=False),
        sa.Column("service_id", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("nic_id", "server_port", "protocol", name=op.f("pk_server_port_claims")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_server_port_claims_service_id"), "server_port_claims", ["service_id"], unique=False)
    op.create_table(
        "services",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("project_id", sa.String(), nullable=False),
        sa.Column("domain_id", sa.String(), nullable=False),
        sa.Column("pool_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("vpc_id", sa.String(), nullable=False),
        sa.Column("server_type", sa.String(), nullable=False),
        sa.Column("nic_id", sa.String(), nullable=False),
        sa.Column("vip_nic_id", sa.String(), nullable=True),
        sa.Column("backend_subnet_id", sa.String(), nullable=False),
        sa.Column("backend_address", sa.BigInteger(), nullable=False),
        sa.Column("transit_address", sa.BigInteger(), nullable=False),
        sa.Column("ports", sa.JSON(), nullable=False),
        sa.Column("approval_enabled", sa.Boolean(), nullable=False),
        sa.Column("tcp_proxy", sa.String(), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("observed_generation", sa.BigInteger(), nullable=False),
        sa.Column("delete_requested_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error_slug", sa.String(), nullable=True),
        sa.Column("last_error_message", sa.String(), nullable=True),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_services")),
    )
    op.create_index(
        op.f("ix_services_pool_id_vpc_id_backend_address"),
        "services",
        ["pool_id", "vpc_id", "backend_address"],
        unique=False,
    )
    op.create_index(
        op.f("ix_services_project_id_created_at_id"), "services", ["project_id", "created_at", "id"], unique=False
    )
    op.create_index(op.f("ix_services_revision"), "services", ["revision"], unique=False)
    op.create_table(
        "subnet_addresses",
        sa.Column("subnet_id", sa.String(), nullable=False),
        sa.Column("address", sa.BigInteger(), nullable=False),
        sa.Column("owner_kind", sa.String(), nullable=True),
        sa.Column("owner_id", sa.String(), nullable=True),
        sa.Column("freed_order", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("subnet_id", "address", name=op.f("pk_subnet_addresses")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_subnet_addresses_freed",
        "subnet_addresses",
        ["subnet_id", "freed_order"],
        unique=False,
        sqlite_where=sa.text("freed_order IS NOT NULL"),
        postgresql_where=sa.text("freed_order IS NOT NULL"),
    )
    op.create_table(
        "subnets",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("vpc_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("cidr", sa.String(), nullable=False),
        sa.Column("gateway", sa.BigInteger(), nullable=False),
        sa.Column("mtu", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subnets")),
    )
    op.create_index(op.f("ix_subnets_vpc_id"), "subnets", ["vpc_id"], unique=False)
    op.create_table(
        "target_addresses",
        sa.Column("pool_id", sa.String(), nullable=False),
        sa.Column("vpc_id", sa.String(), nullable=False),
        sa.Column("address", sa.BigInteger(), nullable=False),
        sa.Column("transit_address", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("pool_id", "vpc_id", "address", name=op.f("pk_target_addresses")),
        sa.UniqueConstraint("pool_id", "transit_address", name=op.f("uq_target_addresses_pool_id_transit_address")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "transit_addresses",
        sa.Column("pool_id", sa.String(), nullable=False),
        sa.Column("address", sa.BigInteger(), nullable=False),
        sa.Column("owner_kind", sa.String(), nullable=True),
        sa.Column("owner_id", sa.String(), nullable=True),
        sa.Column("freed_order", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("pool_id", "address", name=op.f("pk_transit_addresses")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_transit_addresses_freed",
        "transit_addresses",
        ["pool_id", "freed_order"],
        unique=False,
        sqlite_where=sa.text("freed_order IS NOT NULL"),
        postgresql_where=sa.text("freed_order IS NOT NULL"),
    )
    op.create_table(
        "users",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("domain_id", sa.String(), nullable=False),
        sa.Column("domain_name", sa.String(), nullable=False),
        sa.Column("password_hash", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("name", "domain_id", name=op.f("uq_users_name_domain_id")),
    )
    op.create_table(
        "vpcs",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("project_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("cidr", sa.String(), nullable=False),
        sa.Column("routes", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_vpcs")),
    )
    op.create_table(
        "access_keys",
        sa.Column("access_key", sa.String(), nullable=False),
        sa.Column("user_id", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("sealed_secret", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_access_keys_user_id")),
        sa.PrimaryKeyConstraint("access_key", name=op.f("pk_access_keys")),
    )
    op.create_index(op.f("ix_access_keys_user_id"), "access_keys", ["user_id"], unique=False)
    op.create_table(
        "permissions",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("service_id", sa.String(), nullable=False),
        sa.Column("permission", sa.String(), nullable=False),
        sa.Column("permission_type", sa.String(), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["service_id"], ["services.id"], name=op.f("fk_permissions_service_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_permissions")),
        sa.UniqueConstraint("service_id", "permission", name=op.f("uq_permissions_service_id_permission")),
    )
    op.create_index(
        op.f("ix_permissions_service_id_created_at_id"), "permissions", ["service_id", "created_at", "id"], unique=False
    )
    op.create_table(
        "user_roles",
        sa.Column("user_id", sa.String(), nullable=False),
        sa.Column("project_id", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_user_roles_user_id")),
        sa.PrimaryKeyConstraint("user_id", "project_id", "role", name=op.f("pk_user_roles")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_user_roles_project_id"), "user_roles", ["project_id"], unique=False)
