"""Run Alembic without its configuration file and without its words on the terminal."""

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection


def configuration() -> Config:
    """Return Alembic's configuration: our scripts, wherever the package is installed."""
    config = Config()
    config.set_main_option("script_location", "landbridge.store:migrations")
    config.set_main_option("path_separator", "os")
    return config


def upgrade_to_head(connection: Connection) -> None:
    """Run all missing migrations in the connection's transaction."""
    _upgrade(connection, "head")


def upgrade_by_one(connection: Connection) -> None:
    """Run the next missing migration in the connection's transaction."""
    _upgrade(connection, "+1")


def _upgrade(connection: Connection, target: str) -> None:
    config = configuration()
    config.attributes["connection"] = connection
    command.upgrade(config, target)
