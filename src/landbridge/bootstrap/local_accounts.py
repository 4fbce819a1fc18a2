"""Open the built-in identity of a state directory for the commands, whether or not its server runs."""

import contextlib
from collections.abc import Generator
from pathlib import Path

from landbridge.bootstrap.databases import open_beside
from landbridge.identity.administration import Administration
from landbridge.identity.state_keys import open_state_keys
from landbridge.settings import Settings
from landbridge.state import StateDirectory, open_state


@contextlib.contextmanager
def local_accounts(path: Path, settings: Settings, *, may_begin: bool = False) -> Generator[Administration]:
    """Give the accounts of an installation; with `may_begin` a state directory that is not there is made.

    Raises:
        OperatorError: there is no state, or it cannot be opened.
    """
    state = open_state(path) if may_begin else StateDirectory(path)
    with open_beside(settings, state, may_begin=may_begin) as store:
        keys = open_state_keys(state.path)
        yield Administration(store, keys.sealing_key)
