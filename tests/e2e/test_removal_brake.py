"""A wrong or older database does not end living connections, until the operator says that it is right."""

import json
import signal

from tests.e2e.deployment import Deployment, as_root_and_user, as_user
from tests.e2e.held_removals import MORE_THAN_TRUSTED, confirm, more_endpoints, readiness


def planned(deployment: Deployment) -> list[dict[str, str]]:
    shown = deployment.run("plan", "--state", str(deployment.state), "--json")
    assert shown.returncode == 0, shown.stderr
    return json.loads(shown.stdout)


@as_root_and_user
def test_an_emptied_database_ends_nothing_until_the_operator_confirms(deployment: Deployment):
    deployment.serve()
    deployment.start_backend()
    first = deployment.accepted_endpoint()
    more_endpoints(deployment, first)
    connection = deployment.talk("10.0.0.100", 8080)
    deployment.stop(signal.SIGKILL)
    for path in deployment.state.glob("landbridge.sqlite3*"):
        path.unlink()

    deployment.serve()

    assert readiness(deployment) == (503, ["sweep-held"])
    assert connection.say("goes on") == "goes on"
    assert deployment.talk("10.0.0.100", 8080).say("new ones too") == "new ones too"
    assert confirm(deployment) == (0, f"{MORE_THAN_TRUSTED + 2} removals carried out\n")
    assert connection.say("not one more byte") == ""
    assert readiness(deployment) == (200, [])
    assert confirm(deployment) == (0, "no removals are held back\n")


@as_user
def test_an_older_database_gives_no_address_to_a_second_owner_while_the_first_one_lives(deployment: Deployment):
    deployment.serve()
    deployment.start_backend()
    old = deployment.accepted_endpoint()
    before = deployment.talk("10.0.0.100", 8080)
    backup = str(deployment.home / "backup")
    assert deployment.run("backup", backup, "--state", str(deployment.state)).returncode == 0
    newer = more_endpoints(deployment, old)
    unknown = deployment.talk(newer[0]["ip"], 8080)
    deployment.stop(signal.SIGKILL)

    restored = deployment.run("restore", backup, "--state", str(deployment.state))
    assert restored.returncode == 0, restored.stderr
    deployment.serve()
    acme, ids = deployment.tenant("acme"), deployment.ids()
    second = acme.send(
        "POST",
        "vpc-endpoints",
        {
            "endpoint_service_id": old["endpoint_service_id"],
            "vpc_id": ids["vpcs"]["acme-vpc"]["vpc_id"],
            "subnet_id": ids["subnets"]["acme-vpc/web"]["subnet_id"],
        },
    )

    steps = {step["id"]: step for step in planned(deployment)}
    assert unknown.say("goes on") == "goes on"
    assert steps[second["id"]]["what"].endswith(f" as {unknown.seen_source}")  # the address has a living owner
    assert steps[second["id"]]["step"] == "add"
    assert before.say("goes on") == "goes on"
    assert readiness(deployment) == (503, ["sweep-held"])
    assert confirm(deployment) == (0, f"{MORE_THAN_TRUSTED} removals carried out\n")
    assert unknown.say("not one more byte") == ""
    acme.until(f"vpc-endpoints/{second['id']}", "accepted")
    assert before.say("never noticed") == "never noticed"
    assert planned(deployment) == []


def test_what_tenants_take_away_goes_while_other_removals_are_held(deployment: Deployment):
    deployment.serve()
    deployment.start_backend()
    known = deployment.accepted_endpoint()
    backup = str(deployment.home / "backup")
    assert deployment.run("backup", backup, "--state", str(deployment.state)).returncode == 0
    newer = more_endpoints(deployment, known)
    connections = [deployment.talk("10.0.0.100", 8080), deployment.talk(newer[0]["ip"], 8080)]
    deployment.stop(signal.SIGKILL)
    assert deployment.run("restore", backup, "--state", str(deployment.state)).returncode == 0
    deployment.serve()

    path = f"vpc-endpoint-services/{known['endpoint_service_id']}/connections/action"
    deployment.tenant("acme").send("POST", path, {"action": "reject", "endpoints": [known["id"]]})

    assert [connection.say("on") for connection in connections] == ["", "on"]
    assert readiness(deployment) == (503, ["sweep-held"])


def test_consent_to_a_server_that_does_not_run_is_for_the_agent_that_starts(deployment: Deployment):
    deployment.serve()
    deployment.start_backend()
    first = deployment.accepted_endpoint()
    more_endpoints(deployment, first)
    connection = deployment.talk("10.0.0.100", 8080)
    deployment.stop(signal.SIGKILL)
    for path in deployment.state.glob("landbridge.sqlite3*"):
        path.unlink()

    deployment.start_agent("--confirm-removals", "--lab", str(deployment.lab))
    deployment.wait_for_log("server.ready", 2)

    assert connection.say("not one more byte") == ""
