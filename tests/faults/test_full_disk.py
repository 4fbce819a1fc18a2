"""A disk that is full refuses changes, and costs nothing else."""

import contextlib
import json
import shutil
import signal
import subprocess
import urllib.error
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.deployment import Deployment, HttpTenant

SIZE_MIB = 24
MOST_REQUESTS = 2_000

root_only = pytest.mark.parametrize("new_deployment", ["root"], indirect=True)


@pytest.fixture
def on_a_small_disk(new_deployment: Callable[..., Deployment]) -> Iterator[Deployment]:
    """A deployment whose state directory is a disk of its own."""
    deployment = new_deployment()
    deployment.state.mkdir(mode=0o700)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MIB}m,mode=700", "landbridge-test", str(deployment.state)]
    subprocess.run(mount, check=True)
    yield deployment
    # First everything that has files there.
    deployment.clean_up()
    subprocess.run(["umount", str(deployment.state)], check=True)


def fill(disk: Path) -> Path:
    """Take all the room that there is; return the file that has it."""
    filler = disk / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(65536))
    assert shutil.disk_usage(disk).free == 0
    return filler


def create_until_refused(acme: HttpTenant, body: Any) -> tuple[set[str], Any]:
    """Create services until one is refused; return the ids of the others, and the refusal."""
    made: set[str] = set()
    for number in range(MOST_REQUESTS):
        try:
            ports = [{"client_port": 1, "server_port": 1_000 + number}]
            made.add(acme.send("POST", "vpc-endpoint-services", body | {"ports": ports})["id"])
        except urllib.error.HTTPError as error:
            with error:
                return made, {"status": error.code} | json.load(error)
    raise AssertionError("the disk is never full")


@root_only
def test_on_a_full_disk_changes_are_refused_nothing_is_lost_and_it_goes_on_when_there_is_room(
    on_a_small_disk: Deployment,
):
    deployment = on_a_small_disk
    config = deployment.home / "settings.toml"
    config.write_text("quota_endpoint_services = 5000\nrate_requests_per_second = 0\n")
    deployment.serve("--config", str(config))
    deployment.start_backend()
    endpoint = deployment.accepted_endpoint()
    talk = deployment.talk(endpoint["ip"], 8080)
    acme, globex, ids = deployment.tenant("acme"), deployment.tenant("globex"), deployment.ids()
    body = {
        "port_id": ids["hosts"]["web-1"]["port_id"],
        "vpc_id": ids["vpcs"]["acme-vpc"]["vpc_id"],
        "server_type": "VM",
        "description": "x" * 100,
    }

    filler = fill(deployment.state)
    made, refusal = create_until_refused(acme, body)

    assert refusal["status"] == 503
    assert refusal["error_code"] == refusal["error"]["code"] == "EndPoint.0001"
    assert refusal["error_msg"] == "the database cannot be used at the moment, nothing was changed: try again"
    assert "the database: the disk is full: make room" in deployment.log.read_text()
    assert globex.send("GET", f"vpc-endpoints/{endpoint['id']}")["status"] == "accepted"
    assert talk.say("on a full disk") == "on a full disk"

    deployment.stop(signal.SIGKILL)
    assert talk.say("without a server") == "without a server"
    filler.unlink()
    deployment.serve("--config", str(config))

    listed = acme.send("GET", "vpc-endpoint-services?limit=1000")["endpoint_services"]
    assert {one["id"] for one in listed} == made | {endpoint["endpoint_service_id"]}
    more = acme.send("POST", "vpc-endpoint-services", body | {"ports": [{"client_port": 1, "server_port": 999}]})
    acme.until(f"vpc-endpoint-services/{more['id']}", "available")
    assert talk.say("with room") == "with room"
