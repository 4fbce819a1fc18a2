"""What all tests need: the system's own tools, which ordinary users' PATH leaves out (nft, ethtool).

Several processes share the suite. Tests that share something made with effort (a data plane, a server, a client) stay
together: a whole folder in these cases, else a file.
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


class _Sharing(LoadScopeScheduling):
    """Gives each process whole files, or whole folders, those with the most tests first."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        folder = file.rpartition("/")[0]
        return folder if folder in _FOLDERS_THAT_STAY_TOGETHER else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    return _Sharing(config, log)
