"""What `landbridge verify` says, and how it ends, beside a server that lives."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import backends
from tests.e2e.deployment import Deployment, as_root_and_user, as_user


def verified(deployment: Deployment, *options: str) -> tuple[int, Any]:
    done = deployment.run("verify", "--state", str(deployment.state), "--json", *options)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def take_out_the_address(deployment: Deployment) -> None:
    """Do by hand in the consumer's edge what an operator might, as the user whose edge it is."""
    holder = deployment.state / "holder.json"
    name = f"lb.{deployment.region}.edge.{deployment.ids()['vpcs']['globex-vpc']['vpc_id']}"
    if holder.exists():
        pid = str(json.loads(holder.read_text())["pid"])
        enter = ["nsenter", "--user", "--mount", "--preserve-credentials", f"--target={pid}"]
        inside = [*enter, "nsenter", f"--net={deployment.state / 'netns' / name}"]
    else:
        inside = ["nsenter", f"--net=/run/netns/{name}"]
    command = [*deployment.prefix, *inside, "ip", "route", "delete", "local", "10.0.0.100", "table", "local"]
    subprocess.run(command, check=True, timeout=10, env=deployment.environment())


@as_root_and_user
def test_a_running_server_is_equal_to_its_database_until_somebody_damages_it(deployment: Deployment):
    deployment.serve()
    deployment.start_backend()
    endpoint = deployment.accepted_endpoint()
    code, found = verified(deployment, "--probe", "all")
    assert (code, found["equal"], found["compared"], found["differences"]) == (0, True, 2, [])
    assert (found["probes"], found["unanswered"]) == (1, [])

    take_out_the_address(deployment)
    code, found = verified(deployment)

    assert (code, found["equal"]) == (1, False)
    (difference,) = found["differences"]
    assert (difference["what"], difference["found"]) == ("address 10.0.0.100", "nothing")
    assert difference["concerns"] == [endpoint["id"]]
    shown = deployment.run("verify", "--state", str(deployment.state))
    assert shown.returncode == 1
    assert shown.stdout.splitlines()[-1] == "1 difference: 2 endpoints and services compared"


@as_user
def test_a_backend_that_is_down_is_told_and_is_no_difference(deployment: Deployment):
    deployment.serve()
    endpoint = deployment.accepted_endpoint()

    code, found = verified(deployment, "--probe", "sample")

    assert (code, found["probes"]) == (0, 1)
    (silent,) = found["unanswered"]
    assert (silent["port"], silent["cause"], silent["endpoints"]) == (80, "refused", [endpoint["id"]])


@as_user
def test_a_change_that_nobody_carries_out_is_a_difference_once_it_was_waited_for(deployment: Deployment):
    deployment.serve("--keep")
    deployment.accepted_endpoint()
    deployment.stop()
    deployment.serve_api()
    globex = deployment.tenant("globex")
    (endpoint,) = globex.send("GET", "vpc-endpoints")["endpoints"]
    globex.send("DELETE", f"vpc-endpoints/{endpoint['id']}")

    code, found = verified(deployment)

    assert code == 1
    assert found["waited_seconds"] >= 10
    assert f"endpoint {endpoint['id']}" in {one["what"] for one in found["differences"]}


def _status(pid: int) -> str:
    try:
        return Path("/proc", str(pid), "status").read_text()
    except OSError:
        return ""


@as_root_and_user
def test_a_proxy_that_is_gone_is_a_listener_that_is_missing(deployment: Deployment):
    deployment.serve("--keep")
    backend = deployment.start_on_host("web-1", "python3", "-c", backends.PROXY_PROTOCOL, "80")
    assert backend.stdout is not None
    assert backend.stdout.readline() == "ready\n"
    deployment.accepted_endpoint(tcp_proxy="proxy_open")
    assert verified(deployment)[0] == 0
    deployment.stop()
    pid = json.loads((deployment.state / "proxy" / "process.json").read_text())["pid"]

    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while "State:\tZ" not in (status := _status(pid)) and status:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    code, found = verified(deployment)

    assert code == 1
    assert "proxy listener 10.0.0.100 . 8080" in {one["what"] for one in found["differences"]}


@pytest.mark.parametrize("missing", ["everything", "server"])
def test_where_there_is_nothing_to_look_at_it_says_what_to_do_and_makes_nothing(deployment: Deployment, missing: str):
    if missing == "server":
        deployment.serve()
        deployment.stop()

    state = deployment.state if missing == "server" else deployment.home / "no"

    done = deployment.run("verify", "--state", str(state))

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert not (deployment.home / "no").exists()
