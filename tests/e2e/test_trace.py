"""Traces and health from the command line, on a running lab with real packets."""

import json
import time
from collections.abc import Callable
from subprocess import CompletedProcess
from typing import Any

import pytest

from tests.e2e.deployment import Deployment, as_user

PATIENTLY_SECONDS = 30
Run = Callable[..., CompletedProcess[str]]


@pytest.fixture
def landbridge(deployment: Deployment) -> Run:
    def run(project: str, *words: str) -> CompletedProcess[str]:
        credentials = {
            "OS_AUTH_URL": f"{deployment.url}/v3",
            "OS_USERNAME": f"{project}-admin",
            "OS_PASSWORD": f"{project}-password",
            "OS_PROJECT_NAME": project,
            "OS_USER_DOMAIN_NAME": project,
            "OS_PROJECT_DOMAIN_NAME": project,
        }
        return deployment.run(*words, env=deployment.environment() | credentials)

    return run


def trace(landbridge: Run, project: str, endpoint: Any, *words: str) -> tuple[int, dict[str, str]]:
    """Return the exit status, and the verdict of each hop."""
    done = landbridge(project, "trace", endpoint["id"], *words, "--json")
    assert done.stdout, done.stderr
    return done.returncode, {hop["hop"]: hop["verdict"] for hop in json.loads(done.stdout)["hops"]}


def until_health(landbridge: Run, service_id: str, health: str) -> Any:
    """Ask until the service has this health; it is probed every second."""
    deadline = time.monotonic() + PATIENTLY_SECONDS
    while True:
        found = json.loads(landbridge("acme", "service", "health", service_id, "--json").stdout)
        if found["health"] == health:
            return found
        assert time.monotonic() < deadline, found


@as_user
def test_a_trace_says_what_happens_while_the_backend_lives_and_when_it_is_dead(deployment: Deployment, landbridge: Run):
    config = deployment.home / "landbridge.toml"
    config.write_text("health_interval_seconds = 1\n")
    deployment.serve("--config", str(config))
    deployment.start_backend()
    endpoint = deployment.accepted_endpoint()
    service_id = endpoint["endpoint_service_id"]

    # Alive: everything passes, and a real connection does.
    status, verdicts = trace(landbridge, "globex", endpoint, "--from", "client-1", "--probe")
    assert (status, set(verdicts.values())) == (0, {"passes"})
    talk = deployment.talk("10.0.0.100", 8080)
    assert talk.say("through") == "through"
    found = until_health(landbridge, service_id, "passing")
    assert found["ports"][0]["latency_milliseconds"] > 0
    assert "passing" in landbridge("globex", "endpoint", "health", endpoint["id"]).stdout

    # Dead: what listens there has ended, and nothing else has changed.
    backend = deployment.started[0]
    backend.kill()
    backend.wait(10)
    found = until_health(landbridge, service_id, "failing")
    assert found["ports"][0]["cause"] == "refused"
    status, verdicts = trace(landbridge, "globex", endpoint, "--from", "10.0.0.10")
    assert status == 1
    assert [hop for hop, verdict in verdicts.items() if verdict == "stopped"] == ["backend"]
    shown = landbridge("globex", "trace", endpoint["id"], "--from", "client-1", "--probe")
    assert shown.returncode == 1
    assert "10.0.0.20" not in shown.stdout, "the consumer is told no address of the provider's"
    status, verdicts = trace(landbridge, "acme", endpoint)
    assert (status, verdicts["backend"], verdicts["subnet"]) == (1, "stopped", "skipped")

    # No client of this VPC, no port of this endpoint, no endpoint at all.
    status, verdicts = trace(landbridge, "globex", endpoint, "--from", "192.0.2.1")
    assert (status, verdicts["subnet"]) == (1, "stopped")
    status, verdicts = trace(landbridge, "globex", endpoint, "--from", "client-1", "--port", "81")
    assert (status, verdicts["port"]) == (1, "stopped")
    assert landbridge("globex", "trace", service_id, "--from", "client-1").returncode == 2
