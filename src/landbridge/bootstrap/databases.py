"""Open the database that the settings name, and what processes of one installation share by it."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from landbridge.control.protocols import Clock
from landbridge.coordination.datagrams import DatagramHints
from landbridge.coordination.hints import Hint, Hints
from landbridge.domain.errors import OperatorError
from landbridge.settings import Settings
from landbridge.state import StateDirectory
from landbridge.store.sqlite import SqliteStore

if TYPE_CHECKING:
    import psycopg

    from landbridge.store.postgresql import PostgresqlStore

# PostgreSQL's library takes a fifth of a second to import, so only those who use it do.

_CONNECT_SECONDS = 2
_SILENCE_MILLISECONDS = 1500
_STORE_CONNECT_SECONDS = 5
_STORE_SILENCE_MILLISECONDS = 5000


def open_store(settings: Settings, state: StateDirectory, clock: Clock) -> "PostgresqlStore | SqliteStore":
    """Open the database for a server, creating or migrating it.

    Raises:
        OperatorError: it cannot be opened; the message says what to do.
    """
    if not settings.database:
        return SqliteStore.open(state.database, clock=clock)
    from landbridge.store.postgresql import PostgresqlStore  # noqa: PLC0415

    return PostgresqlStore.open(_store_connector(settings), clock=clock)


def open_to_look(settings: Settings, state: StateDirectory) -> "PostgresqlStore | SqliteStore":
    """Open the database for reading, beside servers that may be running.

    Raises:
        OperatorError: there is none, or it cannot be opened.
    """
    if not settings.database:
        _check_exists(state)
        return SqliteStore.open(state.database, read_only=True)
    from landbridge.store.postgresql import PostgresqlStore  # noqa: PLC0415

    return PostgresqlStore.open(_store_connector(settings), read_only=True)


def open_beside(
    settings: Settings, state: StateDirectory, *, may_begin: bool = False
) -> "PostgresqlStore | SqliteStore":
    """Open the database for a command, beside servers that may be running; with `may_begin` one that is empty too.

    Raises:
        OperatorError: there is none, it cannot be opened, or a server has to be started once first.
    """
    if not settings.database:
        if not may_begin:
            _check_exists(state, "; or make a project first")
        # A running server's schema is what it knows: it must not be migrated under it.
        return SqliteStore.open(state.database, has_server=state.server_pid() is not None)
    from landbridge.store.postgresql import PostgresqlStore  # noqa: PLC0415

    return PostgresqlStore.open(_store_connector(settings), may_migrate=False)


def _check_exists(state: StateDirectory, more: str = "") -> None:
    if not state.database.exists():
        raise OperatorError(
            f"{state.path} holds no database: "
            f"give the --state of a server, or the --config that names its database{more}"
        )


def open_hints(
    settings: Settings, state: Path, on_hint: Callable[[Hint], None], stack: contextlib.AsyncExitStack
) -> Hints:
    """Return what carries hints between the processes that use one database."""
    if settings.database:
        from landbridge.coordination.postgresql import NotifiedHints  # noqa: PLC0415

        notified = NotifiedHints(connector(settings), on_hint)
        stack.callback(notified.close)
        return notified
    datagrams = DatagramHints(state, on_hint)
    stack.callback(datagrams.close)
    return datagrams


def connector(settings: Settings) -> "Callable[[], psycopg.Connection]":
    """Return what opens connections beside the store's, each committing by itself, and noticing a dead peer soon."""
    return _connector(settings, _CONNECT_SECONDS, _SILENCE_MILLISECONDS)


def _store_connector(settings: Settings) -> "Callable[[], psycopg.Connection]":
    # More patient: a busy network must not fail requests.
    return _connector(settings, _STORE_CONNECT_SECONDS, _STORE_SILENCE_MILLISECONDS)


def _connector(
    settings: Settings, connect_seconds: int, silence_milliseconds: int
) -> "Callable[[], psycopg.Connection]":
    import psycopg  # noqa: PLC0415

    def connect() -> psycopg.Connection:
        return psycopg.connect(
            settings.database,
            autocommit=True,
            # None: libpq looks for one in its own places.
            password=_password(settings),
            fallback_application_name="landbridge",
            connect_timeout=connect_seconds,
            tcp_user_timeout=silence_milliseconds,
            keepalives_idle=1,
            keepalives_interval=1,
            keepalives_count=max(2, silence_milliseconds // 1000),
        )

    return connect


def _password(settings: Settings) -> str | None:
    """Return the password, read anew for each connection: it may have been changed meanwhile."""
    if not settings.database_password_file:
        return None
    try:
        return Path(settings.database_password_file).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise OperatorError(f"cannot read the database_password_file: {error}") from error
