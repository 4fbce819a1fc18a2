"""Open the built-in identity of a state directory for the commands, whether or not its server runs."""

import contextlib
from collections.abc import Generator
from pathlib import Path

from landbridge.domain.errors import OperatorError
from landbridge.identity.administration import Administration
from landbridge.identity.state_keys import open_state_keys
from landbridge.state import StateDirectory, open_state
from landbridge.store.sqlite import SqliteStore


@contextlib.contextmanager
def local_accounts(path: Path, *, may_begin: bool = False) -> Generator[Administration]:
    """Give the accounts of a state directory; with `may_begin` a directory that is not there is made.

    Raises:
        OperatorError: there is no state, or it cannot be opened.
    """
    state = open_state(path) if may_begin else StateDirectory(path)
    if not may_begin and not state.database.exists():
        raise OperatorError(f"{path} holds no database: give the --state of a server, or make a project first")
    keys = open_state_keys(state.path)
    # A running server's schema is what it knows: it must not be migrated under it.
    has_server = state.server_pid() is not None
    with SqliteStore.open(state.database, has_server=has_server) as store:
        yield Administration(store, keys.sealing_key)
