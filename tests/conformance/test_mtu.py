"""A provider's subnet may carry smaller packets than its hosts believe."""

from dataclasses import replace

import pytest

from conformance.linux_plane import LinuxPlane
from conformance.linux_probe import LinuxProbe
from conformance.topology import BULK_PORT
from conformance.world import World
from landbridge.dataplane.model import Binding

pytestmark = pytest.mark.linux_only

TEN_MEGABYTES = 10_000_000
OFFLOADS = [word for name in ("tso", "gso", "gro", "tx", "rx") for word in (name, "off")]


@pytest.fixture
def endpoint(world: World) -> Binding:
    """An endpoint whose backend's subnet carries 1400 bytes, with every packet really as large as it is on a wire."""
    plane, service = world.plane, world.service("narrow-backend", BULK_PORT)
    assert isinstance(plane, LinuxPlane)
    for host in ("red-client", "narrow-backend"):
        plane.run_inside(plane.namespace_of(host), ["ethtool", "-K", "eth0", *OFFLOADS])
    endpoint = world.endpoint("red-web", "10.0.0.100", service, {BULK_PORT: BULK_PORT})
    world.wire(service, endpoint)
    return endpoint


def moved(world: World, endpoint: Binding, *, is_upload: bool, timeout: float) -> float | None:
    probe = world.probe
    assert isinstance(probe, LinuxProbe)
    return probe.transfer(
        "red-client", endpoint.address, BULK_PORT, TEN_MEGABYTES, is_upload=is_upload, timeout=timeout
    )


@pytest.mark.parametrize("is_upload", [True, False], ids=["upload", "download"])
def test_ten_megabytes_pass_through_the_narrow_subnet_and_stall_with_segments_too_large_for_it(
    world: World, endpoint: Binding, *, is_upload: bool
):
    assert endpoint.mtu == 1400
    assert moved(world, endpoint, is_upload=is_upload, timeout=10) is not None

    world.wire(replace(endpoint, mtu=1500))

    assert moved(world, endpoint, is_upload=is_upload, timeout=1.5) is None
