"""How real connections end, as their provider has chosen, also when the server is killed meanwhile."""

import signal
import time
from typing import Any

from tests.e2e.deployment import Deployment, Talk, as_root_and_user, as_user

ADDRESS, PORT = "10.0.0.100", 8080


def connected(deployment: Deployment) -> tuple[Any, str]:
    """Return an accepted endpoint of a service whose backend answers, and the service's path."""
    deployment.serve()
    deployment.start_backend()
    endpoint = deployment.accepted_endpoint(ADDRESS, PORT)
    return endpoint, f"vpc-endpoint-services/{endpoint['endpoint_service_id']}"


def reject(deployment: Deployment, path: str, endpoint: Any) -> None:
    body = {"action": "reject", "endpoints": [endpoint["id"]]}
    answer = deployment.tenant("acme").send("POST", f"{path}/connections/action", body)
    assert [one["status"] for one in answer["connections"]] == ["rejected"]
    assert [one["error"] for one in answer["connections"]] == [[]]


def nobody_new(deployment: Deployment) -> bool:
    return deployment.talk(ADDRESS, PORT, timeout_seconds=0.5).seen_source == ""


def ends(talk: Talk) -> bool:
    """Keep a connection busy until it is dead."""
    deadline = time.monotonic() + 20
    while talk.say("still there?") != "":
        assert time.monotonic() < deadline, "it goes on beyond its deadline"
        time.sleep(0.05)
    return True


@as_root_and_user
def test_by_default_a_rejection_lets_not_one_more_byte_pass(deployment: Deployment):
    endpoint, path = connected(deployment)
    talk = deployment.talk(ADDRESS, PORT)
    assert talk.say("before") == "before"

    reject(deployment, path, endpoint)

    assert talk.say("after") == ""
    assert nobody_new(deployment)


@as_user
def test_what_was_killed_in_silence_does_not_come_back_with_the_right_to_it(deployment: Deployment):
    endpoint, path = connected(deployment)
    acme, globex = deployment.tenant("acme"), deployment.tenant("globex")
    rejected = deployment.talk(ADDRESS, PORT)
    assert rejected.say("before") == "before"

    reject(deployment, path, endpoint)
    acme.send("POST", f"{path}/connections/action", {"action": "receive", "endpoints": [endpoint["id"]]})
    globex.until(f"vpc-endpoints/{endpoint['id']}", "accepted")
    assert rejected.say("accepted again") == ""

    talk = deployment.talk(ADDRESS, PORT)
    assert talk.say("new") == "new"
    globex.send("PUT", f"vpc-endpoints/{endpoint['id']}", {"whitelist": ["10.0.0.250"], "enable_whitelist": True})
    globex.send("PUT", f"vpc-endpoints/{endpoint['id']}", {"enable_whitelist": False})
    assert talk.say("let in again") == ""
    assert deployment.talk(ADDRESS, PORT).say("and new") == "and new"


@as_user
def test_a_deadline_holds_though_the_server_is_killed_before_it(deployment: Deployment):
    endpoint, path = connected(deployment)
    choice = {"on_reject": {"mode": "drain", "deadline_seconds": 6}}
    deployment.tenant("acme").send("PUT", f"ext/{path}/cut-off", choice)
    talk = deployment.talk(ADDRESS, PORT)
    assert talk.say("before") == "before"

    reject(deployment, path, endpoint)
    assert talk.say("draining") == "draining"
    assert nobody_new(deployment)
    deployment.stop(signal.SIGKILL)
    assert talk.say("nobody decides now") == "nobody decides now"
    deployment.serve()

    assert ends(talk)
    acme = deployment.tenant("acme")
    shown = acme.send("GET", f"ext/{path}/cut-off")
    deadline = time.monotonic() + 5
    while shown["ending"]:
        assert time.monotonic() < deadline, "the cut is not confirmed"
        shown = acme.send("GET", f"ext/{path}/cut-off")
    assert shown["on_reject"] == choice["on_reject"]


@as_user
def test_who_leaves_a_whitelist_may_keep_what_is_open_and_an_endpoint_accepted_again_loses_nothing(
    deployment: Deployment,
):
    endpoint, path = connected(deployment)
    acme, globex = deployment.tenant("acme"), deployment.tenant("globex")
    choices = {"on_whitelist_edit": {"mode": "keep"}, "on_reject": {"mode": "keep"}}
    acme.send("PUT", f"ext/{path}/cut-off", choices)
    talk = deployment.talk(ADDRESS, PORT)
    assert talk.say("open to all") == "open to all"

    body = {"whitelist": ["10.0.0.250"], "enable_whitelist": True}
    assert globex.send("PUT", f"vpc-endpoints/{endpoint['id']}", body)["status"] == "accepted"
    assert talk.say("taken out, and open") == "taken out, and open"
    assert nobody_new(deployment)
    globex.send("PUT", f"vpc-endpoints/{endpoint['id']}", {"enable_whitelist": False})

    reject(deployment, path, endpoint)
    assert talk.say("rejected, and open") == "rejected, and open"
    assert nobody_new(deployment)
    acme.send("POST", f"{path}/connections/action", {"action": "receive", "endpoints": [endpoint["id"]]})
    globex.until(f"vpc-endpoints/{endpoint['id']}", "accepted")

    assert talk.say("accepted again") == "accepted again"
    assert deployment.talk(ADDRESS, PORT).say("and new") == "and new"
