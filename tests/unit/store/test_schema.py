from ipaddress import IPv4Network
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text

from landbridge.domain.errors import OperatorError
from landbridge.domain.ids import ProjectId, SubnetId, VpcId
from landbridge.domain.networking import default_route_table
from landbridge.domain.resources import Origin, Vpc
from landbridge.store.migrating import configuration, upgrade_to_head
from landbridge.store.schema import HEAD, check_is_at_head, create, schema_version
from landbridge.store.sqlite import SystemClock
from landbridge.store.tables import metadata
from landbridge.store.writing import Writing


def declared_parts(connection: Connection) -> dict[str, list[str]]:
    """The parts of each CREATE statement, in an order that does not depend on who wrote it."""
    rows = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))
    return {name: sorted(part.strip(" )") for part in " ".join(sql.split()).split(",")) for name, sql in rows}


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
