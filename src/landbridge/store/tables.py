"""Declare the tables as they are at the head of the migrations.

What must never happen twice is a constraint here, not a check in Python: a marker, a transit address in its pool, an
address in its subnet, a server port on its NIC, an access key. A test compares this page with what the migrations
make.

A gateway service has networks and a subnet, and null for everything else of a backend; its endpoints have route tables,
and null for subnet and address.

An address row without an owner is one that was freed: it stays, because the order of freeing decides who is next.
Endpoints have no foreign key to their service: they outlive it.
"""

from sqlalchemy import (
    DDL,
    JSON,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    event,
    false,
    true,
)

from landbridge.store.append_only import append_only_statements
from landbridge.store.counting_triggers import counting_statements
from landbridge.store.types import Address, UtcDateTime

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

counters = Table(
    "counters",
    metadata,
    Column("name", String, primary_key=True),
    Column("value", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

services = Table(
    "services",
    metadata,
    Column("id", String, primary_key=True),
    Column("project_id", String, nullable=False),
    Column("domain_id", String, nullable=False),
    Column("pool_id", String, nullable=False),
    Column("name", String, nullable=False),
    Column("vpc_id", String, nullable=False),
    Column("server_type", String),
    Column("nic_id", String),
    Column("vip_nic_id", String),
    Column("backend_subnet_id", String, nullable=False),
    Column("backend_address", Address),
    Column("transit_address", Address),
    Column("ports", JSON, nullable=False),
    Column("approval_enabled", Boolean, nullable=False),
    Column("tcp_proxy", String, nullable=False),
    Column("description", String, nullable=False),
    Column("tags", JSON, nullable=False),
    Column("enable_policy", Boolean, nullable=False, server_default=false()),
    Column("public_owner", String),
    Column("service_type", String, nullable=False, server_default="interface"),
    Column("networks", JSON, nullable=False, server_default="[]"),
    Column("origin", String, nullable=False, server_default="api"),
    Column("cut_offs", JSON, nullable=False, server_default="{}"),
    Column("former_backends", JSON(none_as_null=True)),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("observed_generation", BigInteger, nullable=False),
    Column("delete_requested_at", UtcDateTime),
    Column("last_error_slug", String),
    Column("last_error_message", String),
    Column("revision", BigInteger, nullable=False),
    Index(None, "project_id", "created_at", "id"),
    Index(None, "pool_id", "vpc_id", "backend_address"),
    Index(None, "vpc_id"),
    Index(None, "pool_id", "revision"),
)
Index(
    "ix_services_public",
    services.c.created_at,
    services.c.id,
    sqlite_where=services.c.public_owner.is_not(None),
    postgresql_where=services.c.public_owner.is_not(None),
)

Index(
    "ix_services_former_backends",
    services.c.pool_id,
    services.c.vpc_id,
    sqlite_where=services.c.former_backends.is_not(None),
    postgresql_where=services.c.former_backends.is_not(None),
)

is_beside_quota = services.c.delete_requested_at.is_not(None) | services.c.public_owner.is_not(None)
"""Of a service: it does not count."""
Index("ix_services_beside_quota", services.c.project_id, sqlite_where=is_beside_quota, postgresql_where=is_beside_quota)

endpoints = Table(
    "endpoints",
    metadata,
    Column("id", String, primary_key=True),
    Column("project_id", String, nullable=False),
    Column("domain_id", String, nullable=False),
    Column("pool_id", String, nullable=False),
    Column("service_id", String, nullable=False),
    Column("service_name", String, nullable=False),
    Column("vpc_id", String, nullable=False),
    Column("subnet_id", String),
    Column("address", Address),
    Column("transit_address", Address, nullable=False),
    Column("marker", BigInteger, nullable=False),
    Column("admission", String, nullable=False),
    Column("enable_dns", Boolean, nullable=False),
    Column("whitelist", JSON, nullable=False),
    Column("enable_whitelist", Boolean, nullable=False),
    Column("description", String, nullable=False),
    Column("connection_description", String, nullable=False),
    Column("tags", JSON, nullable=False),
    Column("policy_document", String),
    Column("route_table_ids", JSON, nullable=False, server_default="[]"),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("observed_generation", BigInteger, nullable=False),
    Column("accepted_generation", BigInteger),
    Column("cut_requested_at", UtcDateTime),
    Column("delete_requested_at", UtcDateTime),
    Column("grace_since_at", UtcDateTime),
    Column("grace_until_at", UtcDateTime),
    Column("former_clients", JSON(none_as_null=True)),
    Column("next_cut_at", UtcDateTime),
    Column("last_error_slug", String),
    Column("last_error_message", String),
    Column("revision", BigInteger, nullable=False),
    UniqueConstraint("marker"),
    UniqueConstraint("subnet_id", "address"),
    UniqueConstraint("pool_id", "transit_address"),
    Index(None, "project_id", "created_at", "id"),
    Index(None, "service_id", "created_at", "id"),
    Index(None, "pool_id", "revision"),
)

Index(
    "ix_endpoints_gateways",
    endpoints.c.vpc_id,
    sqlite_where=endpoints.c.subnet_id.is_(None),
    postgresql_where=endpoints.c.subnet_id.is_(None),
)

Index(
    "ix_endpoints_pool_id_next_cut_at",
    endpoints.c.pool_id,
    endpoints.c.next_cut_at,
    sqlite_where=endpoints.c.next_cut_at.is_not(None),
    postgresql_where=endpoints.c.next_cut_at.is_not(None),
)

is_deleting = endpoints.c.delete_requested_at.is_not(None)
Index(
    "ix_endpoints_deleting",
    endpoints.c.project_id,
    endpoints.c.grace_since_at,
    sqlite_where=is_deleting,
    postgresql_where=is_deleting,
)

still_open = endpoints.c.grace_since_at.is_not(None) | endpoints.c.former_clients.is_not(None)
"""Connections go on that may not be made any more."""
Index("ix_endpoints_ending", endpoints.c.service_id, sqlite_where=still_open, postgresql_where=still_open)

permissions = Table(
    "permissions",
    metadata,
    Column("id", String, primary_key=True),
    Column("service_id", String, ForeignKey("services.id"), nullable=False),
    Column("permission", String, nullable=False),
    Column("permission_type", String, nullable=False),
    Column("description", String, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    UniqueConstraint("service_id", "permission"),
    Index(None, "service_id", "created_at", "id"),
)

quotas = Table(
    "quotas",
    metadata,
    Column("project_id", String, primary_key=True),
    Column("type", String, primary_key=True),
    Column("quota", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""Only where a project's quota differs from the installation's."""

server_port_claims = Table(
    "server_port_claims",
    metadata,
    Column("nic_id", String, primary_key=True),
    Column("server_port", Integer, primary_key=True),
    Column("protocol", String, primary_key=True),
    Column("service_id", String, nullable=False),
    Index(None, "service_id"),
    sqlite_with_rowid=False,
)

target_addresses = Table(
    "target_addresses",
    metadata,
    Column("pool_id", String, primary_key=True),
    Column("vpc_id", String, primary_key=True),
    Column("address", Address, primary_key=True),
    Column("transit_address", Address, nullable=False),
    UniqueConstraint("pool_id", "transit_address"),
    sqlite_with_rowid=False,
)

left_targets = Table(
    "left_targets",
    metadata,
    Column("pool_id", String, primary_key=True),
    Column("vpc_id", String, primary_key=True),
    Column("address", Address, primary_key=True),
    Column("service_id", String, primary_key=True),
    Index(None, "service_id"),
    sqlite_with_rowid=False,
)
"""Backend addresses that a service has left, and that the data plane may still lead to."""

pools = Table(
    "pools",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("epoch", BigInteger, nullable=False, server_default="0"),
    Column("carries", JSON, nullable=False),
    Column("refusals", JSON, nullable=False),
    Column("agent", String, nullable=False),
    Column("wires_networks", Boolean, nullable=False),
    Column("full_edges", JSON),
    Column("full_edges_seen_at", UtcDateTime),
)
"""The epoch is raised by each agent that begins to lead a pool. The last two are what it says of its edges."""

transit_addresses = Table(
    "transit_addresses",
    metadata,
    Column("pool_id", String, primary_key=True),
    Column("address", Address, primary_key=True),
    Column("owner_kind", String),
    Column("owner_id", String),
    Column("freed_order", BigInteger),
    sqlite_with_rowid=False,
)
Index(
    "ix_transit_addresses_freed",
    transit_addresses.c.pool_id,
    transit_addresses.c.freed_order,
    sqlite_where=transit_addresses.c.freed_order.is_not(None),
    postgresql_where=transit_addresses.c.freed_order.is_not(None),
)

subnet_addresses = Table(
    "subnet_addresses",
    metadata,
    Column("subnet_id", String, primary_key=True),
    Column("address", Address, primary_key=True),
    Column("owner_kind", String),
    Column("owner_id", String),
    Column("freed_order", BigInteger),
    sqlite_with_rowid=False,
)
Index(
    "ix_subnet_addresses_freed",
    subnet_addresses.c.subnet_id,
    subnet_addresses.c.freed_order,
    sqlite_where=subnet_addresses.c.freed_order.is_not(None),
    postgresql_where=subnet_addresses.c.freed_order.is_not(None),
)

markers = Table(
    "markers",
    metadata,
    Column("marker", BigInteger, primary_key=True, autoincrement=False),
    Column("freed_at", UtcDateTime),
    Index(None, "freed_at"),
)

vpcs = Table(
    "vpcs",
    metadata,
    Column("id", String, primary_key=True),
    Column("project_id", String, nullable=False),
    Column("name", String, nullable=False),
    Column("cidr", String, nullable=False),
    Column("routes", JSON, nullable=False),
    Column("description", String, nullable=False, server_default=""),
    Column("origin", String, nullable=False, server_default="lab"),
    Column("created_at", UtcDateTime),
    Column("updated_at", UtcDateTime),
    Index(None, "project_id", "id"),
)

subnets = Table(
    "subnets",
    metadata,
    Column("id", String, primary_key=True),
    Column("vpc_id", String, nullable=False),
    Column("name", String, nullable=False),
    Column("cidr", String, nullable=False),
    Column("gateway", Address, nullable=False),
    Column("mtu", Integer, nullable=False),
    Column("description", String, nullable=False, server_default=""),
    Column("dhcp_enabled", Boolean, nullable=False, server_default=true()),
    Column("dns_servers", JSON, nullable=False, server_default="[]"),
    Column("route_table_id", String),
    Column("origin", String, nullable=False, server_default="lab"),
    Column("created_at", UtcDateTime),
    Column("updated_at", UtcDateTime),
    Index(None, "vpc_id"),
)

nics = Table(
    "nics",
    metadata,
    Column("id", String, primary_key=True),
    Column("subnet_id", String, nullable=False),
    Column("vpc_id", String, nullable=False),
    Column("project_id", String, nullable=False),
    Column("address", Address, nullable=False),
    Column("name", String, nullable=False),
    Column("is_virtual_ip", Boolean, nullable=False),
    Column("device_owner", String, nullable=False, server_default=""),
    Column("address_pairs", JSON, nullable=False, server_default="[]"),
    Column("host", String),
    Column("origin", String, nullable=False, server_default="lab"),
    Index(None, "project_id", "id"),
    Index(None, "subnet_id", "id"),
    Index(None, "host", unique=True),
)

route_tables = Table(
    "route_tables",
    metadata,
    Column("id", String, primary_key=True),
    Column("vpc_id", String, nullable=False),
    Column("project_id", String, nullable=False),
    Column("name", String, nullable=False),
    Column("is_default", Boolean, nullable=False),
    Column("routes", JSON, nullable=False),
    Column("description", String, nullable=False),
    Column("created_at", UtcDateTime),
    Column("updated_at", UtcDateTime),
    Index(None, "project_id", "id"),
    Index(None, "vpc_id", "id"),
)

projects = Table(
    "projects",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("domain_id", String, nullable=False),
    Column("domain_name", String, nullable=False),
    Column("origin", String, nullable=False, server_default="lab"),
)

users = Table(
    "users",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("domain_id", String, nullable=False),
    Column("domain_name", String, nullable=False),
    Column("password_hash", String, nullable=False),
    Column("origin", String, nullable=False, server_default="lab"),
    UniqueConstraint("name", "domain_id"),
)

user_roles = Table(
    "user_roles",
    metadata,
    Column("user_id", String, ForeignKey("users.id"), primary_key=True),
    Column("project_id", String, primary_key=True),
    Column("role", String, primary_key=True),
    Index(None, "project_id"),
    sqlite_with_rowid=False,
)

access_keys = Table(
    "access_keys",
    metadata,
    Column("access_key", String, primary_key=True),
    Column("user_id", String, ForeignKey("users.id"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("sealed_secret", LargeBinary, nullable=False),
    Index(None, "user_id"),
)

audit_log = Table(
    "audit_log",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("recorded_at", UtcDateTime, nullable=False),
    Column("project_id", String, nullable=False),
    Column("actor_kind", String, nullable=False),
    Column("actor", JSON, nullable=False),
    Column("request_id", String, nullable=False),
    Column("action", String, nullable=False),
    Column("change", String, nullable=False),
    Column("resource_kind", String, nullable=False),
    Column("resource_id", String, nullable=False),
    Column("before", JSON(none_as_null=True)),
    Column("after", JSON(none_as_null=True)),
    Index("ix_audit_log_project", "project_id", "recorded_at", "id"),
    Index("ix_audit_log_resource", "resource_id", "recorded_at", "id"),
    # Numbers of rows that an operator has taken out are not given again.
    sqlite_autoincrement=True,
)
"""Rows are added and never changed: triggers forbid it, which only an operator can take away."""
row_counts = Table(
    "row_counts",
    metadata,
    Column("table_name", String, primary_key=True),
    Column("project_id", String, primary_key=True),
    Column("row_count", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""How many services and endpoints each project has; triggers keep them."""
for _trigger in counting_statements("sqlite"):
    event.listen(metadata, "after_create", DDL(_trigger).execute_if(dialect="sqlite"))
for _trigger in counting_statements("postgresql"):
    event.listen(metadata, "after_create", DDL(_trigger).execute_if(dialect="postgresql"))

for _trigger in append_only_statements("sqlite"):
    event.listen(audit_log, "after_create", DDL(_trigger).execute_if(dialect="sqlite"))
for _trigger in append_only_statements("postgresql"):
    event.listen(audit_log, "after_create", DDL(_trigger).execute_if(dialect="postgresql"))
