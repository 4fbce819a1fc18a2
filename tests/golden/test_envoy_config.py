"""What Envoy is told is written here whole, and Envoy itself finds it valid."""

import json
import subprocess
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict

from landbridge.domain.ids import EndpointId
from landbridge.drivers.envoy.binary import find_envoy
from landbridge.drivers.envoy.listeners import ProxyListener, TlvDialects
from landbridge.drivers.envoy.startup import Budget, Files, bootstrap
from landbridge.drivers.envoy.xds import Renderer

GOLDEN = Path(__file__).parent / "envoy"

FIRST = ProxyListener(
    endpoint_id=EndpointId("4f2c1a9e-0000-4000-8000-000000000001"),
    namespace="/run/netns/lb.lab-1.edge.acme",
    namespace_identity=4026532500,
    address=IPv4Address("10.0.0.100"),
    client_port=443,
    source=IPv4Address("198.19.128.5"),
    target=IPv4Address("198.19.200.1"),
    server_port=8443,
    marker=16777217,
)
# Another VPC with the same addresses, without root: its namespaces are in the state directory.
SECOND = ProxyListener(
    endpoint_id=EndpointId("4f2c1a9e-0000-4000-8000-000000000002"),
    namespace="/home/ann/state/netns/lb.lab-1.edge.other",
    namespace_identity=4026532501,
    address=IPv4Address("10.0.0.100"),
    client_port=443,
    source=IPv4Address("198.19.128.6"),
    target=IPv4Address("198.19.200.2"),
    server_port=22,
    marker=4294967295,
)
CASES = {
    "marker-only": (TlvDialects(), [FIRST]),
    "another-marker-type": (TlvDialects(marker_type=0xE7), [FIRST]),
    "all-dialects-and-overlapping-vpcs": (TlvDialects(aws=True, azure=True, gcp=True), [FIRST, SECOND]),
}


def rendered(case: str) -> dict[str, Any]:
    dialects, listeners = CASES[case]
    renderer = Renderer(dialects)
    return {
        "clusters": [_fields(renderer.cluster(each)) for each in listeners],
        "listeners": [_fields(renderer.listener(each)) for each in listeners],
    }


def _fields(message: Any) -> dict[str, Any]:
    return MessageToDict(message, preserving_proto_field_name=True)


def started_with(directory: Path) -> dict[str, Any]:
    return json.loads(bootstrap(Files(directory), Budget(descriptors=1_048_576, listeners=6000, connections=518_032)))


@pytest.mark.parametrize("case", CASES)
def test_resources_are_written_as_they_were(case: str):
    assert rendered(case) == json.loads((GOLDEN / f"{case}.json").read_text())


def test_the_bootstrap_is_written_as_it_was():
    assert started_with(Path("/state/envoy")) == json.loads((GOLDEN / "bootstrap.json").read_text())


@pytest.mark.parametrize("case", CASES)
def test_envoy_finds_it_valid(case: str, tmp_path: Path):
    contents, resources = started_with(Path("/state/envoy")), rendered(case)
    contents["static_resources"]["clusters"] += resources["clusters"]
    contents["static_resources"]["listeners"] = resources["listeners"]
    file = tmp_path / "whole.json"
    file.write_text(json.dumps(contents))

    done = subprocess.run(
        [find_envoy(), "--mode", "validate", "--config-path", file, "--disable-hot-restart", "--log-level", "error"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 0, done.stderr
