"""What all tests need: the system's own tools, which ordinary users' PATH leaves out (nft, ethtool).

Several processes share the suite. Tests that share something made with effort (a data plane, a server, a client) stay
together: a whole folder in these cases, else a file.
"""

import os
from pathlib import Path

import pytest

from tests.keystone import keystone

__all__ = ["keystone"]

os.environ["PATH"] += ":/usr/local/sbin:/usr/sbin:/sbin"

_HERE = Path(__file__).parent
_FOLDERS_THAT_STAY_TOGETHER = frozenset({_HERE / "conformance", _HERE / "integration" / "huawei_sdk"})


# First, because the plugin that reads the marks was there before this file.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        folder = item.path.parent
        together = folder if folder in _FOLDERS_THAT_STAY_TOGETHER else item.path
        item.add_marker(pytest.mark.xdist_group(str(together.relative_to(_HERE))))
