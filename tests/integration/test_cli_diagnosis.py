"""`landbridge trace` and the health commands against a cloud on loopback: what they ask, print, and exit with."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from landbridge.cli import resources
from landbridge.cli.trace import trace
from tests.integration.cloud_on_loopback import Cloud, cloud_on_loopback

SERVICE_ID = "5b6e0000-0000-4000-8000-000000000001"
ENDPOINT_ID = "e0100000-0000-4000-8000-000000000001"
TRACE = f"/ext/vpc-endpoints/{ENDPOINT_ID}/trace"

# openstacksdk announces to its own developers what it will drop; Python hides that from everybody else.
pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning:openstack.*", "ignore::PendingDeprecationWarning:openstack.*"
)

Run = Callable[..., Result]


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with cloud_on_loopback() as running:
        yield running


@pytest.fixture
def run(cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command as a tenant of the cloud; further settings by keyword, None takes one away."""
    monkeypatch.chdir(tmp_path)
    group = click.Group(commands={"service": resources.service, "endpoint": resources.endpoint, "trace": trace})
    nobody = {name: None for name in os.environ if name.startswith("OS_")}

    def run_command(*words: str, **settings: str | None) -> Result:
        result = CliRunner().invoke(group, list(words), env={**nobody, **cloud.settings, **settings})
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return run_command


def a_trace(outcome: str, **verdicts: tuple[str, str, str]) -> dict[str, Any]:
    hops = [
        {"hop": hop, "verdict": verdict, "confirmed": True, "text": text, "advice": advice}
        for hop, (verdict, text, advice) in verdicts.items()
    ]
    return {"endpoint_id": ENDPOINT_ID, "outcome": outcome, "from": "10.0.0.10", "port": 80, "hops": hops}


PASSES = a_trace("passes", subnet=("passes", "10.0.0.10 is in subnet apps", ""))
STOPPED = a_trace(
    "stopped",
    subnet=("passes", "10.0.0.10 is in subnet apps", ""),
    backend=("stopped", "the backend takes no connections", "ask the provider"),
)


@pytest.mark.parametrize(
    ("answer", "status", "last_line"),
    [
        (PASSES, 0, "a connection would get through"),
        (STOPPED, 1, "a connection is stopped"),
        (a_trace("unknown"), 2, "whether a connection gets through is not known"),
    ],
)
def test_the_exit_status_is_the_outcome(cloud: Cloud, run: Run, answer: dict[str, Any], status: int, last_line: str):
    cloud.answer("POST", TRACE, answer)

    result = run("trace", ENDPOINT_ID, "--from", "client-1")

    assert result.exit_code == status, result.stderr
    assert result.stdout.splitlines()[-1] == last_line


def test_every_hop_is_a_line_and_every_advice_another(cloud: Cloud, run: Run):
    cloud.answer("POST", TRACE, STOPPED)

    lines = run("trace", ENDPOINT_ID, "--from", "10.0.0.10").stdout.splitlines()

    assert [line.split()[:2] for line in lines[:3]] == [
        ["HOP", "VERDICT"],
        ["subnet", "passes"],
        ["backend", "stopped"],
    ]
    assert lines[3] == "backend: ask the provider"


@pytest.mark.parametrize(
    ("words", "body"),
    [
        (["--from", "client-1"], {"from": "client-1"}),
        (["--from", "10.0.0.10", "--port", "443", "--probe"], {"from": "10.0.0.10", "port": 443, "probe": True}),
        ([], {}),
    ],
)
def test_only_what_was_given_is_sent(cloud: Cloud, run: Run, words: list[str], body: dict[str, Any]):
    cloud.answer("POST", TRACE, PASSES)

    assert run("trace", ENDPOINT_ID, *words).exit_code == 0

    assert cloud.asked[-1].body == body


def test_json_is_what_the_server_sent_and_the_exit_status_the_same(cloud: Cloud, run: Run):
    cloud.answer("POST", TRACE, STOPPED)

    result = run("trace", ENDPOINT_ID, "--from", "10.0.0.10", "--json")

    assert (json.loads(result.stdout), result.exit_code) == (STOPPED, 1)


def test_a_refusal_is_no_verdict(cloud: Cloud, run: Run):
    cloud.refuse("POST", TRACE, 404, "EndPoint.2006", "endpoint does not exist")

    refused = run("trace", ENDPOINT_ID, "--from", "10.0.0.10")
    nobody = run("trace", ENDPOINT_ID, OS_PASSWORD=None)

    assert (refused.exit_code, nobody.exit_code) == (2, 2)
    assert "EndPoint.2006" in refused.stderr


def test_a_word_of_the_server_cannot_steer_the_terminal(cloud: Cloud, run: Run):
    cloud.answer("POST", TRACE, a_trace("stopped", backend=("stopped", "\x1b[31mred", "do\x1b]0;this\x07")))

    assert "\x1b" not in run("trace", ENDPOINT_ID).stdout


def test_the_health_of_a_service_is_shown_by_port(cloud: Cloud, run: Run):
    failing = {
        "server_port": 8443,
        "client_ports": [443, 444],
        "health": "failing",
        "cause": "refused",
        "reason": "10.0.0.20 refuses connections to port 8443: start what listens there",
        "checked_at": "2026-11-23T10:00:10Z",
        "since": "2026-11-23T10:00:00Z",
    }
    passing = {"server_port": 80, "client_ports": [80], "health": "passing", "latency_milliseconds": 0.21}
    body = {"id": SERVICE_ID, "health": "failing", "ports": [passing, failing]}
    cloud.answer("GET", f"/ext/vpc-endpoint-services/{SERVICE_ID}/health", body)

    _, first, second = run("service", "health", SERVICE_ID).stdout.splitlines()

    assert first.split() == ["80", "80", "passing", "-", "-", "0.21"]
    assert second.startswith("8443")
    assert "443 444" in second
    assert second.endswith(failing["reason"])
    assert json.loads(run("service", "health", SERVICE_ID, "--json").stdout) == body


def test_the_health_of_an_endpoint_is_one_word(cloud: Cloud, run: Run):
    cloud.answer("GET", f"/ext/vpc-endpoints/{ENDPOINT_ID}/health", {"id": ENDPOINT_ID, "health": "unknown"})

    lines = run("endpoint", "health", ENDPOINT_ID).stdout.splitlines()

    assert lines[-1].split() == ["health", "unknown"]
