"""API and data plane in processes of their own, which share a database."""

import signal
import time
import urllib.error

import pytest

from tests.e2e.deployment import Deployment, HttpTenant, as_root_and_user


@pytest.fixture
def split(deployment: Deployment) -> Deployment:
    """An agent with the lab, and an API process beside it, on SQLite."""
    deployment.start_agent("--lab", str(deployment.lab))
    deployment.wait_for_log("server.ready")
    deployment.serve_api()
    deployment.start_backend()
    return deployment


def refused(tenant: HttpTenant, path: str) -> int:
    """Return the status of a refusal."""
    with pytest.raises(urllib.error.HTTPError) as refusal:
        tenant.send("GET", path)
    with refusal.value:
        return refusal.value.code


@as_root_and_user
def test_what_is_written_by_one_process_is_carried_and_cut_by_the_other_at_once(split: Deployment):
    endpoint = split.accepted_endpoint()
    acme = split.tenant("acme")
    connection = split.talk("10.0.0.100", 8080)
    assert connection.say("through") == "through"

    started = time.monotonic()
    path = f"vpc-endpoint-services/{endpoint['endpoint_service_id']}/connections/action"
    acme.send("POST", path, {"action": "reject", "endpoints": [endpoint["id"]]})

    # The answer waits for the agent to say that it is done: without hearing it, for a whole second.
    assert time.monotonic() - started < 0.9
    assert connection.say("one more byte") == ""


def test_only_the_agent_can_tell_about_traffic_and_the_api_asks_it(split: Deployment):
    endpoint = split.accepted_endpoint()
    globex = split.tenant("globex")
    connection = split.talk("10.0.0.100", 8080)
    assert connection.say("counted") == "counted"

    found = globex.send("GET", f"ext/vpc-endpoints/{endpoint['id']}/connections")
    traced = globex.send("POST", f"ext/vpc-endpoints/{endpoint['id']}/trace", {"from": "10.0.0.10", "probe": True})
    missing = refused(globex, "ext/vpc-endpoints/00000000-0000-4000-8000-000000000000/traffic")

    assert [one["client"].rpartition(":")[0] for one in found["connections"]] == ["10.0.0.10"]
    assert traced["outcome"] == "passes"
    assert missing == 404


def test_networks_made_through_the_api_are_wired_by_the_agent(split: Deployment):
    acme = split.tenant("acme")
    vpc = acme.send("POST", "vpcs", {"vpc": {"name": "made", "cidr": "172.20.0.0/16"}})["vpc"]
    wanted = {"name": "made", "vpc_id": vpc["id"], "cidr": "172.20.1.0/24", "gateway_ip": "172.20.1.1"}
    subnet = acme.send("POST", "subnets", {"subnet": wanted})["subnet"]
    acme.send("POST", "ports", {"port": {"name": "made-1", "network_id": subnet["id"]}})

    shown = split.run("lab", "exec", "--state", str(split.state), "made-1", "--", "ip", "-4", "address")

    assert "172.20.1." in shown.stdout, shown.stderr


def test_without_its_agent_the_api_takes_requests_and_says_what_it_cannot_tell(split: Deployment):
    endpoint = split.accepted_endpoint()
    (agent,) = split.agents
    connection = split.talk("10.0.0.100", 8080)
    agent.kill()
    agent.wait(10)

    away = refused(split.tenant("globex"), f"ext/vpc-endpoints/{endpoint['id']}/traffic")
    path = f"vpc-endpoint-services/{endpoint['endpoint_service_id']}"
    added = split.tenant("acme").send(
        "PUT", path, {"ports": [{"client_port": 8080, "server_port": 80}, {"client_port": 8081, "server_port": 80}]}
    )
    assert (away, len(added["ports"])) == (503, 2)
    assert connection.say("goes on") == "goes on"

    split.start_agent("--lab", str(split.lab))
    split.wait_for_log("server.ready", 2)
    assert split.talk("10.0.0.100", 8081).say("followed") == "followed"
    assert connection.say("still") == "still"


def test_a_second_agent_of_one_state_directory_is_refused(split: Deployment):
    second = split.start_agent("--lab", str(split.lab))

    assert second.wait(30) == 1
    assert f"the server with process id {split.agents[0].pid}" in split.log.read_text()


def test_an_agent_that_is_told_to_end_takes_its_lab_down(split: Deployment):
    (agent,) = split.agents

    agent.send_signal(signal.SIGTERM)

    assert agent.wait(20) == 0
    assert split.run("lab", "exec", "--state", str(split.state), "web-1", "--", "true").returncode != 0
