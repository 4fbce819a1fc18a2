"""What people type, on a real server: the demo, and the client commands."""

import json
import subprocess
import sys
from pathlib import Path

from tests.e2e.deployment import Deployment, as_root_and_user

PROJECT = Path(__file__).parent.parent.parent


@as_root_and_user
def test_the_demo_goes_through(deployment: Deployment):
    demo = subprocess.run(
        [*deployment.prefix, sys.executable, str(PROJECT / "demo" / "demo.py")],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        env=deployment.environment(),
    )

    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert "you are 198.19." in demo.stdout
    assert "pendingAcceptance" in demo.stdout


def test_services_endpoints_and_connections_are_managed_from_the_command_line(deployment: Deployment):
    deployment.serve()
    deployment.start_backend()
    ids = deployment.ids()

    def landbridge(project: str, *words: str, status: int = 0):
        credentials = {
            "OS_AUTH_URL": f"{deployment.url}/v3",
            "OS_USERNAME": f"{project}-admin",
            "OS_PASSWORD": f"{project}-password",
            "OS_PROJECT_NAME": project,
            "OS_USER_DOMAIN_NAME": project,
            "OS_PROJECT_DOMAIN_NAME": project,
        }
        done = deployment.run(*words, env=deployment.environment() | credentials)
        assert done.returncode == status, done.stdout + done.stderr
        return done

    made = landbridge(
        "acme", "service", "create", "--name", "web", "--server-type", "VM", "--port", "8080:80", "--wait", "--json",
        "--port-id", ids["hosts"]["web-1"]["port_id"], "--vpc-id", ids["vpcs"]["acme-vpc"]["vpc_id"],
    )  # fmt: skip
    service = json.loads(made.stdout)
    assert service["status"] == "available"
    assert "available" in made.stderr
    landbridge("acme", "service", "permit", "web", ids["projects"]["globex"]["domain_id"])
    made = landbridge(
        "globex", "endpoint", "create", "--service", service["id"], "--ip", "10.0.0.100", "--wait", "--json",
        "--vpc-id", ids["vpcs"]["globex-vpc"]["vpc_id"],
        "--subnet-id", ids["subnets"]["globex-vpc/apps"]["subnet_id"],
    )  # fmt: skip
    endpoint = json.loads(made.stdout)
    assert endpoint["status"] == "pendingAcceptance"
    landbridge("acme", "connection", "accept", "web", endpoint["id"], "--wait")
    assert deployment.talk("10.0.0.100", 8080).say("hello") == "hello"
    listed = landbridge("acme", "connection", "list", "web")
    assert endpoint["id"] in listed.stdout
    assert "accepted" in listed.stdout
    landbridge("acme", "connection", "reject", "web", endpoint["id"], "--wait")
    assert json.loads(landbridge("globex", "endpoint", "list", "--json").stdout)[0]["status"] == "rejected"
    landbridge("globex", "endpoint", "delete", endpoint["id"], "--wait")
    landbridge("acme", "service", "delete", "web", "--wait")
    assert json.loads(landbridge("acme", "service", "list", "--json").stdout) == []
    failed = landbridge(
        "acme", "service", "create", "--server-type", "VM", "--port", "1:80", "--tcp-proxy", "open", "--wait",
        "--port-id", ids["hosts"]["web-1"]["port_id"], "--vpc-id", ids["vpcs"]["acme-vpc"]["vpc_id"], status=1,
    )  # fmt: skip
    assert "tcp_proxy" in failed.stdout + failed.stderr
