"""Run every test here on every driver.

`linux-rootless` needs a process that entered a user namespace before it had a thread, so those tests run in a child
pytest as an ordinary user (`test_rootless.py`), which is told by the environment what to be.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance.linux_plane import LinuxPlane
from conformance.memory_plane import MemoryPlane
from conformance.world import Plane, World
from landbridge.drivers.linux import user_namespace

CHILD_OF_ROOTLESS_TEST = os.environ.get("LANDBRIDGE_CONFORMANCE") == "linux-rootless"

_state: Path | None = None
if CHILD_OF_ROOTLESS_TEST:
    assert not user_namespace.is_privileged()
    _state = Path(tempfile.mkdtemp(prefix="landbridge-conformance-"))
    _namespaces = user_namespace.enter(_state)
elif user_namespace.is_privileged():
    _namespaces = user_namespace.enter(Path(tempfile.gettempdir()))
else:
    _namespaces = None

ONLY_WITH_ROOT = pytest.mark.skipif(
    not user_namespace.is_privileged(),
    reason="the host's own namespaces need root; the same tests run without it, see test_rootless.py",
)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "linux_only: asks for something that only a kernel has")


def pytest_unconfigure(config: pytest.Config) -> None:
    del config
    if _state is not None:
        user_namespace.release(_state)
        shutil.rmtree(_state, ignore_errors=True)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "plane" not in metafunc.fixturenames:
        return
    if CHILD_OF_ROOTLESS_TEST:
        drivers = [pytest.param("linux-rootless", marks=pytest.mark.packets)]
    else:
        drivers = [pytest.param("linux-root", marks=[pytest.mark.packets, ONLY_WITH_ROOT])]
        if metafunc.definition.get_closest_marker("linux_only") is None:
            drivers.insert(0, pytest.param("memory"))
    metafunc.parametrize("plane", drivers, indirect=True, scope="session")


@pytest.fixture(scope="session")
def plane(request: pytest.FixtureRequest) -> Iterator[Plane]:
    if request.param == "memory":
        made: Plane = MemoryPlane()
    else:
        assert _namespaces is not None
        made = LinuxPlane(_namespaces)
    yield made
    made.close()


@pytest.fixture
def world(plane: Plane) -> Iterator[World]:
    made = World(plane)
    yield made
    made.clear()
