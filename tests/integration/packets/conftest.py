"""The networks for all tests here, made once for each module."""

from collections.abc import Iterator

import pytest

from landbridge.dataplane.model import Target
from landbridge.drivers.linux import user_namespace
from tests.integration.packets.ground import Ground, target
from tests.integration.packets.transfers import SILENT_KERNEL, engines

_HERE = "packets/test_"
_WITHOUT_ROOT = "test_toa_refused.py"
_SKIP = pytest.mark.skipif(
    not user_namespace.is_privileged(),
    reason="only root of the host may load programs; test_toa_refused shows what others get",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _HERE in item.path.as_posix() and item.path.name != _WITHOUT_ROOT:
            item.add_marker(pytest.mark.packets)
            item.add_marker(_SKIP)


@pytest.fixture(scope="module")
def prepared() -> Iterator[Ground]:
    ground = Ground(engines)
    ground.run(ground.namespace("client"), "nft", "-f", "-", text=SILENT_KERNEL)
    yield ground
    ground.close()


@pytest.fixture
def ground(prepared: Ground) -> Iterator[Ground]:
    yield prepared
    prepared.clear()
    for host in ("client", "backend"):
        prepared.run(prepared.namespace(host), "nft", "add table ip loss; delete table ip loss")


@pytest.fixture
def service() -> Target:
    return target()
