from datetime import UTC, datetime
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, Table, create_engine, insert, text

from landbridge.domain.errors import OperatorError
from landbridge.domain.ids import ProjectId, ServiceId, SubnetId, VpcId
from landbridge.domain.networking import default_route_table
from landbridge.domain.resources import Origin, ServiceType, Vpc
from landbridge.store.migrating import configuration, upgrade_to_head
from landbridge.store.schema import HEAD, check_is_at_head, create, schema_version
from landbridge.store.sqlite import SystemClock
from landbridge.store.tables import metadata
from landbridge.store.writing import Writing


def declared_parts(connection: Connection) -> dict[str, list[str]]:
    """The parts of each CREATE statement, in an order and with quotes that do not depend on who wrote it."""
    rows = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))
    plain = {name: " ".join(sql.replace('"', "").split()) for name, sql in rows}
    return {name: sorted(part.strip(" )") for part in sql.split(",")) for name, sql in plain.items()}


def _configured(connection: Connection) -> Config:
    config = configuration()
    config.attributes["connection"] = connection
    return config


def test_the_head_that_is_known_is_the_head_of_the_scripts():
    assert ScriptDirectory.from_config(configuration()).get_heads() == [HEAD]


def test_a_created_database_is_the_one_that_the_migrations_make():
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        upgrade_to_head(connection)
        migrated = declared_parts(connection)
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, metadata) == []
        assert schema_version(connection) == HEAD
    engine.dispose()
    with engine.begin() as connection:
        create(connection)
        assert declared_parts(connection) == migrated
        check_is_at_head(schema_version(connection))
    engine.dispose()


def test_migrating_says_nothing(capfd: pytest.CaptureFixture[str]):
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        upgrade_to_head(connection)
    engine.dispose()

    assert capfd.readouterr() == ("", "")


def test_an_older_schema_is_refused_with_the_way_out():
    with pytest.raises(OperatorError, match="start the server once"):
        check_is_at_head(None)


def test_scripts_are_part_of_the_package():
    scripts = Path(configuration().get_main_option("script_location", "").replace(":", "/"))
    assert scripts.name == "migrations"


def test_services_of_an_older_schema_keep_their_permissions_and_are_the_labs_if_they_are_public():
    engine = create_engine("sqlite://")
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    service: dict[str, object] = {
        **dict.fromkeys(["project_id", "domain_id", "pool_id", "name", "vpc_id", "backend_subnet_id", "nic_id"], "x"),
        "server_type": "VM",
        "backend_address": 1,
        "transit_address": 2,
        "ports": [],
        "approval_enabled": False,
        "tcp_proxy": "close",
        "description": "",
        "tags": [],
        "created_at": noon,
        "updated_at": noon,
        **dict.fromkeys(["generation", "observed_generation", "revision"], 1),
    }
    with engine.begin() as connection:
        # As the store opens it: rows that refer to a service would go with its table.
        connection.connection.cursor().execute("PRAGMA foreign_keys = ON")
    with engine.begin() as connection:
        command.upgrade(_configured(connection), "0004")
        services, permissions = (
            Table(name, MetaData(), autoload_with=connection, resolve_fks=False) for name in ("services", "permissions")
        )
        connection.execute(insert(services), service | {"id": "s1"})
        connection.execute(insert(services), service | {"id": "s2", "public_owner": "lab"})
        connection.execute(insert(permissions).values(["y", "s1", "*", "domainId", "all", noon]))
        upgrade_to_head(connection)
    with engine.begin() as connection:
        assert connection.execute(text("PRAGMA foreign_keys")).scalar_one() == 1
        reading = Writing(connection, SystemClock())
        tenants, public = reading.service(ServiceId("s1")), reading.service(ServiceId("s2"))

        assert tenants is not None
        assert public is not None
        assert (tenants.origin, public.origin) == (Origin.API, Origin.LAB)
        assert tenants.service_type is ServiceType.INTERFACE
        (entry,) = reading.all_permissions(ServiceId("s1"))
        assert (entry.permission, entry.description) == ("*", "all")
        assert connection.execute(text("PRAGMA foreign_key_check")).all() == []
    engine.dispose()


def test_networks_of_an_older_schema_are_the_lab_files_and_get_their_default_route_tables():
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        command.upgrade(_configured(connection), "0002")
        connection.execute(text("INSERT INTO vpcs VALUES ('v1', 'p1', 'shop', '10.0.0.0/16', '[\"192.168.0.0/24\"]')"))
        connection.execute(text("INSERT INTO subnets VALUES ('s1', 'v1', 'web', '10.0.0.0/24', 167772161, 1500)"))
        upgrade_to_head(connection)
        directory = Writing(connection, SystemClock())
        vpc = Vpc(VpcId("v1"), ProjectId("p1"), "shop", IPv4Network("10.0.0.0/16"), (IPv4Network("192.168.0.0/24"),))
        subnet = directory.subnet(SubnetId("s1"))

        assert directory.vpc(vpc.id) == vpc
        assert list(directory.route_tables(vpc.id)) == [default_route_table(vpc)]
        assert subnet is not None
        assert (subnet.origin, subnet.dhcp_enabled, subnet.dns_servers) == (Origin.LAB, True, ())
    engine.dispose()
