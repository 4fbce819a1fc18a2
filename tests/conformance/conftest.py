"""Run every test here on every driver.

`linux-rootless` needs a process that entered a user namespace before it had a thread, so those tests run in a child
pytest as an ordinary user (`test_rootless.py`), which is told by the environment what to be.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conformance.bridge_plane import BridgePlane
from conformance.linux_plane import LinuxPlane
from conformance.memory_plane import MemoryPlane
from conformance.rootless_run import RootlessRun, may_administer
from conformance.world import Plane, World
from landbridge.drivers.linux import user_namespace

IS_CHILD = os.environ.get("LANDBRIDGE_CONFORMANCE") == "linux-rootless"
ROOTLESS_TEST = "test_rootless.py"
BRIDGES_TEST = "test_bridges.py"
ROOTLESS_RUN = pytest.StashKey[RootlessRun]()

# Without root nobody can plug anything into the machine's own bridges.
collect_ignore = [ROOTLESS_TEST, BRIDGES_TEST] if IS_CHILD else []

_state: Path | None = None
if IS_CHILD:
    assert not may_administer(), "a process that may do everything proves nothing"
    _state = Path(tempfile.mkdtemp(prefix="landbridge-conformance-"))
    _namespaces = user_namespace.enter(_state)
    assert may_administer(), "but in its own namespaces it may"
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
    config.addinivalue_line("markers", "gateway_only: asks for something that only a subnet's gateway does")
    config.addinivalue_line("markers", "bridge_only: asks for something that only an attached subnet has")


def pytest_unconfigure(config: pytest.Config) -> None:
    run = config.stash.get(ROOTLESS_RUN, None)
    if run is not None:
        run.clean_up()
    if _state is not None:
        user_namespace.release(_state)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name == ROOTLESS_TEST)  # last, so that its child has had its time


def pytest_runtest_setup(item: pytest.Item) -> None:
    # The child runs beside the other tests here: both wait most of the time.
    is_wanted = any(each.path.name == ROOTLESS_TEST for each in item.session.items)
    if is_wanted and ROOTLESS_RUN not in item.config.stash:
        item.config.stash[ROOTLESS_RUN] = RootlessRun()


@pytest.fixture
def rootless_run(request: pytest.FixtureRequest) -> RootlessRun:
    return request.config.stash[ROOTLESS_RUN]


@pytest.fixture
def linux_test_names() -> set[str]:
    """Collect the names of all tests of the Linux driver afresh: this very run may be of some tests only."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        str(Path(__file__).parent),
        "--collect-only",
        "-q",
        "-p",
        "no:cacheprovider",
    ]
    listed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    return {line.replace("linux-root", "linux-rootless") for line in listed.splitlines() if "[linux-root" in line}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "plane" not in metafunc.fixturenames:
        return
    rootless = pytest.param("linux-rootless", marks=pytest.mark.packets)
    drivers = [rootless] if IS_CHILD else list(_drivers(metafunc))
    metafunc.parametrize("plane", drivers, indirect=True, scope="session")


# What depends on how a subnet is attached. The other promises are the same elements in the same edges.
_ON_BRIDGES = frozenset(
    {
        "test_backends.py",
        BRIDGES_TEST,
        "test_edge.py",
        "test_hostile.py",
        "test_isolation.py",
        "test_mtu.py",
        "test_plans.py",
        "test_probing.py",
        "test_reaching.py",
        "test_survey.py",
    }
)


def _drivers(metafunc: pytest.Metafunc) -> Iterator[Any]:
    def is_marked(name: str) -> bool:
        return metafunc.definition.get_closest_marker(name) is not None

    with_packets = [pytest.mark.packets, ONLY_WITH_ROOT]
    if not is_marked("linux_only") and not is_marked("bridge_only"):
        yield pytest.param("memory")
    if not is_marked("bridge_only"):
        yield pytest.param("linux-root", marks=with_packets)
    if metafunc.definition.path.name in _ON_BRIDGES and not is_marked("gateway_only"):
        yield pytest.param("linux-bridge", marks=with_packets)


@pytest.fixture(scope="session")
def plane(request: pytest.FixtureRequest) -> Iterator[Plane]:
    if request.param == "memory":
        made: Plane = MemoryPlane()
    else:
        assert _namespaces is not None
        made = BridgePlane(_namespaces) if request.param == "linux-bridge" else LinuxPlane(_namespaces)
    yield made
    made.close()


@pytest.fixture
def world(plane: Plane) -> Iterator[World]:
    made = World(plane)
    yield made
    made.clear()
