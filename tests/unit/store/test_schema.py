from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text

from landbridge.domain.errors import OperatorError
from landbridge.store.migrating import configuration, upgrade_to_head
from landbridge.store.schema import HEAD, check_is_at_head, create, schema_version
from landbridge.store.tables import metadata


def declared_parts(connection: Connection) -> dict[str, list[str]]:
    """The parts of each CREATE statement, in an order that does not depend on who wrote it."""
    rows = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))
    return {name: sorted(part.strip(" )") for part in " ".join(sql.split()).split(",")) for name, sql in rows}


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
