"""What backends hear of the client in each `tcp_proxy` mode, through the API and on real packets."""

import json
import os
import signal
import time
from typing import Any

import pytest

from tests.e2e import backends
from tests.e2e.deployment import Deployment, Talk, as_root_and_user, envoy_of


def start(deployment: Deployment, program: str, port: int = 80) -> None:
    backend = deployment.start_on_host("web-1", "python3", "-c", program, str(port))
    assert backend.stdout is not None
    assert backend.stdout.readline() == "ready\n"


def told(talk: Talk) -> Any:
    """Return what the backend said it was told."""
    assert talk.seen_source, "the connection carried nothing"
    return json.loads(talk.seen_source)


@as_root_and_user
def test_a_backend_with_proxy_protocol_hears_client_endpoint_and_marker(deployment: Deployment):
    deployment.serve()
    start(deployment, backends.PROXY_PROTOCOL)

    endpoint = deployment.accepted_endpoint(tcp_proxy="proxy_open")
    talk = deployment.talk("10.0.0.100", 8080)

    said = told(talk)
    assert said["client"][0] == "10.0.0.10"
    assert said["endpoint"] == ["10.0.0.100", 8080]
    assert said["source"][0].startswith("198.19."), "the backend sees the endpoint's transit address"
    assert said["tlvs"][str(0xE5)] == int(endpoint["marker_id"]).to_bytes(4, "big").hex()
    assert talk.say("hello") == "hello"


@as_root_and_user
def test_rejecting_cuts_connections_through_the_proxy_before_the_answer_comes(deployment: Deployment):
    deployment.serve()
    start(deployment, backends.PROXY_PROTOCOL)
    endpoint = deployment.accepted_endpoint(tcp_proxy="proxy_open")
    talk = deployment.talk("10.0.0.100", 8080)
    assert talk.say("before") == "before"

    path = f"vpc-endpoint-services/{endpoint['endpoint_service_id']}/connections/action"
    deployment.tenant("acme").send("POST", path, {"action": "reject", "endpoints": [endpoint["id"]]})

    assert talk.say("after") == ""
    assert deployment.talk("10.0.0.100", 8080, timeout_seconds=0.5).seen_source == ""


@as_root_and_user
def test_connections_through_the_proxy_survive_a_killed_server(deployment: Deployment):
    deployment.serve()
    start(deployment, backends.PROXY_PROTOCOL)
    deployment.accepted_endpoint(tcp_proxy="proxy_open")
    talk = deployment.talk("10.0.0.100", 8080)
    proxy = envoy_of(deployment)

    deployment.stop(signal.SIGKILL)
    assert talk.say("while it is dead") == "while it is dead"
    assert told(deployment.talk("10.0.0.100", 8080))["client"][0] == "10.0.0.10"
    deployment.serve()

    assert talk.say("after its restart") == "after its restart"
    assert envoy_of(deployment) == proxy, "the proxy was adopted"
    planned = deployment.run("plan", "--state", str(deployment.state), "--json")
    assert (planned.returncode, json.loads(planned.stdout)) == (0, []), planned.stderr


@as_root_and_user
@pytest.mark.parametrize("with_server", [False, True], ids=["proxy-alone", "proxy-and-server"])
def test_after_the_proxy_was_killed_new_connections_pass_and_others_never_noticed(
    deployment: Deployment, with_server: bool
):
    deployment.serve()
    start(deployment, backends.PROXY_PROTOCOL)
    deployment.start_backend(81)
    deployment.accepted_endpoint(tcp_proxy="proxy_open")
    deployment.accepted_endpoint("10.0.0.101", server_port=81)
    proxied, direct = deployment.talk("10.0.0.100", 8080), deployment.talk("10.0.0.101", 8080)
    assert (proxied.say("before"), direct.say("before")) == ("before", "before")

    if with_server:
        deployment.stop(signal.SIGKILL)
    os.kill(envoy_of(deployment), signal.SIGKILL)
    assert direct.say("close never breaks") == "close never breaks"
    if with_server:
        deployment.serve()

    assert proxied.say("ended with its proxy") == ""
    deadline = time.monotonic() + 20
    while not (talk := deployment.talk("10.0.0.100", 8080)).seen_source:
        assert time.monotonic() < deadline, "the proxy did not come back"
    assert told(talk)["client"][0] == "10.0.0.10"
    assert direct.say("still there") == "still there"


@pytest.mark.parametrize("new_deployment", ["root"], indirect=True)
def test_a_backend_that_reads_the_option_hears_the_client(deployment: Deployment):
    deployment.serve()
    start(deployment, backends.TCP_OPTION)

    deployment.accepted_endpoint(tcp_proxy="toa_open")
    talk = deployment.talk("10.0.0.100", 8080)

    said = told(talk)
    ((client, port),) = said["options"]
    assert client == "10.0.0.10"
    assert said["source"][0].startswith("198.19.")
    assert said["source"][1] == port, "the port is kept while it is free"
    assert talk.say("hello") == "hello"


@pytest.mark.parametrize("new_deployment", ["root"], indirect=True)
def test_a_backend_with_both_hears_the_same_client_twice(deployment: Deployment):
    deployment.serve()
    start(deployment, backends.PROXY_PROTOCOL)

    endpoint = deployment.accepted_endpoint(tcp_proxy="open")
    talk = deployment.talk("10.0.0.100", 8080)

    said = told(talk)
    assert said["client"][0] == "10.0.0.10"
    assert said["options"] == [said["client"]]
    assert said["endpoint"] == ["10.0.0.100", 8080]
    assert said["source"][0].startswith("198.19.")
    assert said["tlvs"][str(0xE5)] == int(endpoint["marker_id"]).to_bytes(4, "big").hex()
    assert talk.say("hello") == "hello"


@pytest.mark.parametrize("new_deployment", ["user"], indirect=True)
@pytest.mark.parametrize("tcp_proxy", ["toa_open", "open"])
def test_without_root_the_option_is_refused_at_once_with_a_reason(deployment: Deployment, tcp_proxy: str):
    deployment.serve()
    ids, acme = deployment.ids(), deployment.tenant("acme")

    service = acme.send(
        "POST",
        "vpc-endpoint-services",
        {
            "port_id": ids["hosts"]["web-1"]["port_id"],
            "vpc_id": ids["vpcs"]["acme-vpc"]["vpc_id"],
            "server_type": "VM",
            "tcp_proxy": tcp_proxy,
            "ports": [{"client_port": 80, "server_port": 80}],
        },
    )

    failed = acme.until(f"vpc-endpoint-services/{service['id']}", "failed")
    (error,) = failed["error"]
    assert "root" in error["error_message"]
