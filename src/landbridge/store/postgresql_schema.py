"""Bring a PostgreSQL database to the schema that this version knows, beside processes that go on working with it.

Each migration is a transaction of its own, and one process at a time migrates. What a migration must lock it waits for
only a moment, lets go of all it has, and tries again: whoever waits for a table keeps everybody else from it.
"""

import time
from typing import Final

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from landbridge.domain.errors import OperatorError
from landbridge.store.schema import HEAD, check_is_known, create, migrate_once, schema_version

_LOCK_WAIT: Final = "500ms"
_ATTEMPTS: Final = 60
_PAUSE_SECONDS: Final = 0.5
_BUSY: Final = ("55P03", "40P01")
"""A lock was not given in time; two transactions waited for each other."""
_TAKE_TURN: Final = text("SELECT pg_advisory_xact_lock(hashtextextended('landbridge.schema', 0))")
_TEXTS: Final = text(
    """
    SELECT table_name, column_name FROM information_schema.columns
    WHERE table_schema = current_schema() AND data_type = 'character varying'
    AND collation_name IS DISTINCT FROM 'C' AND table_name <> 'alembic_version'
    """
)


def prepare(engine: Engine, *, may_migrate: bool) -> None:
    """Create the tables of an empty database, or run the missing migrations if that is allowed.

    Raises:
        OperatorError: a newer version made the schema, or others do not let go of the tables.
    """
    attempts_left = _ATTEMPTS
    while True:
        try:
            if not _step(engine, may_migrate=may_migrate):
                return
        except DBAPIError as error:
            attempts_left -= 1
            if getattr(error.orig, "sqlstate", None) not in _BUSY:
                raise
            if attempts_left == 0:
                raise OperatorError(
                    "the database cannot be migrated: others have used its tables without a pause; "
                    "see pg_stat_activity, end what hangs there, and start again"
                ) from error
            time.sleep(_PAUSE_SECONDS)


def _step(engine: Engine, *, may_migrate: bool) -> bool:
    """Do one migration, or create everything; return whether there may be more to do."""
    # Looking needs no lock and makes nobody wait: most starts find everything done.
    with engine.begin() as connection:
        version = schema_version(connection)
        check_is_known(version)
        if version == HEAD or (version is not None and not may_migrate):
            return False
        connection.execute(text("SET LOCAL lock_timeout = '60s'"))
        connection.execute(_TAKE_TURN)
        connection.execute(text(f"SET LOCAL lock_timeout = '{_LOCK_WAIT}'"))
        version = schema_version(connection)
        check_is_known(version)
        if version == HEAD:
            return False
        if version is None:
            create(connection)
        else:
            migrate_once(connection)
        _compare_texts_by_their_bytes(connection)
        return version is not None


def _compare_texts_by_their_bytes(connection: Connection) -> None:
    """Let new texts be ordered and lowered as SQLite does, whatever language the database was made for."""
    for table, column in connection.execute(_TEXTS).all():
        connection.execute(text(f'ALTER TABLE "{table}" ALTER COLUMN "{column}" TYPE VARCHAR COLLATE "C"'))


def check_is_suitable(connection: Connection) -> None:
    """Refuse a server or database in which not everything means what it should.

    Raises:
        OperatorError: it is too old, or its texts are not Unicode.
    """
    encoding = connection.execute(text("SHOW server_encoding")).scalar_one()
    if encoding != "UTF8":
        raise OperatorError(f"the database has the encoding {encoding}: create one with --encoding=UTF8")
    number = int(connection.execute(text("SHOW server_version_num")).scalar_one())
    if number < 130000:
        raise OperatorError(f"the server is PostgreSQL {number // 10000}: use 13 or a newer one")
