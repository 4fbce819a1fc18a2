"""What all tests need: the system's own tools, which ordinary users' PATH leaves out (nft, ethtool).

Several processes share the suite. Tests that share something made with effort (a data plane, a server, a client) stay
together: a whole folder in these cases, else a file. What takes longest comes first, and what shares nothing is shared
out one by one, so that no process is busy alone at the end.
"""

import os
from typing import Any

import pytest
from xdist.scheduler.loadscope import LoadScopeScheduling

from tests.keystone import keystone
from tests.postgresql import new_postgresql_database, postgresql, postgresql_template

__all__ = ["keystone", "new_postgresql_database", "postgresql", "postgresql_template"]

os.environ["PATH"] += ":/usr/local/sbin:/usr/sbin:/sbin"

_FOLDERS_THAT_STAY_TOGETHER = frozenset(
    {"tests/conformance", "tests/integration/huawei_sdk", "tests/integration/packets"}
)
_FOLDERS_THAT_SHARE_NOTHING = frozenset({"tests/e2e", "tests/faults"})
_FIRST = ("tests/conformance", "tests/e2e", "tests/faults", "tests/integration", "tests/contract", "tests")


class _Sharing(LoadScopeScheduling):
    """Gives each process whole files, whole folders or single tests, in the order of their collection."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        folder = file.rpartition("/")[0]
        if folder in _FOLDERS_THAT_SHARE_NOTHING:
            return nodeid
        return folder if folder in _FOLDERS_THAT_STAY_TOGETHER else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    config.option.loadscopereorder = False
    return _Sharing(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what takes longest first."""
    items.sort(key=lambda item: next((at for at, name in enumerate(_FIRST) if item.nodeid.startswith(name)), 0))
