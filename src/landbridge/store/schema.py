"""Bring a database to the schema that this version knows, or say why that cannot be.

Looking is cheap: Alembic is only loaded when there is something to migrate. A migration is one transaction, so a
crash leaves the old schema or the new one.
"""

from importlib import import_module
from pathlib import Path

from sqlalchemy import Column, Connection, MetaData, PrimaryKeyConstraint, String, Table, insert, inspect, select

from landbridge.domain.errors import OperatorError
from landbridge.store.tables import metadata

HEAD = "0011"
"""The newest migration; a test compares it with the scripts."""

# As Alembic makes it.
_VERSIONS = Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)
_SCRIPTS = Path(__file__).parent / "migrations" / "versions"


def schema_version(connection: Connection) -> str | None:
    """Return which migration a database is at, or None for an empty one.

    Raises:
        OperatorError: the database is not one of ours.
    """
    names = inspect(connection).get_table_names()
    if "alembic_version" in names:
        return connection.execute(select(_VERSIONS.c.version_num)).scalar_one_or_none()
    if names:
        raise OperatorError(
            "the database holds something else than Landbridge's tables: "
            "choose another state directory, or another database"
        )
    return None


def check_is_at_head(version: str | None) -> None:
    """Refuse a schema other than this version's.

    Raises:
        OperatorError: the schema is older or newer.
    """
    check_is_known(version)
    if version != HEAD:
        raise OperatorError(f"the database is at schema {version}, this version needs {HEAD}: start the server once")


def check_is_known(version: str | None) -> None:
    """Refuse the schema of a newer Landbridge.

    Raises:
        OperatorError: this version has no such migration.
    """
    if version is not None and not any(_SCRIPTS.glob(f"{version}_*.py")):
        raise OperatorError(
            f"the database is at schema {version}, which a newer Landbridge made; this one knows up to {HEAD}: "
            "use the newer version or restore an older backup"
        )


def create(connection: Connection) -> None:
    """Make all tables of an empty database, in the connection's transaction.

    The result is the one that the migrations make (a test compares), without the half second that loading Alembic
    takes.
    """
    metadata.create_all(connection, checkfirst=False)
    _VERSIONS.create(connection)
    connection.execute(insert(_VERSIONS).values(version_num=HEAD))


def migrate(connection: Connection) -> None:
    """Run all missing migrations in the connection's transaction."""
    import_module("landbridge.store.migrating").upgrade_to_head(connection)


def migrate_once(connection: Connection) -> None:
    """Run the next missing migration in the connection's transaction."""
    import_module("landbridge.store.migrating").upgrade_by_one(connection)
