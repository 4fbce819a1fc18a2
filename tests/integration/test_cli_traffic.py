"""The commands about traffic against a cloud on loopback."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from landbridge.cli.main import main
from tests.integration.cloud_on_loopback import Cloud, cloud_on_loopback

SERVICE_ID = "5b6e0000-0000-4000-8000-000000000001"
ENDPOINT_ID = "e0100000-0000-4000-8000-000000000001"
OF_ENDPOINT, OF_SERVICE = f"/ext/vpc-endpoints/{ENDPOINT_ID}", f"/ext/vpc-endpoint-services/{SERVICE_ID}"

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
    monkeypatch.chdir(tmp_path)
    nobody = {name: None for name in os.environ if name.startswith("OS_")}

    def run_command(*words: str) -> Result:
        result = CliRunner().invoke(main, list(words), env={**nobody, **cloud.settings})
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return run_command


def connection(number: int, age_seconds: float | None = 61.5) -> dict[str, Any]:
    return {
        "client": f"10.0.0.20:{number}",
        "endpoint": "10.0.0.100:8080",
        "source": f"198.19.128.2:{number}",
        "server_port": 80,
        "state": "established",
        "age_seconds": age_seconds,
        "bytes_sent": 300,
        "bytes_received": 4000,
        "endpoint_id": ENDPOINT_ID,
        "marker_id": 16777217,
    }


def page(*connections: dict[str, Any], next_marker: str | None = None, is_complete: bool = True) -> dict[str, Any]:
    return {"connections": list(connections), "next_marker": next_marker, "is_complete": is_complete}


def words(result: Result, line: int) -> list[str]:
    return result.stdout.splitlines()[line].split()


def test_traffic_shows_what_went_through(cloud: Cloud, run: Run):
    counted = dict.fromkeys(("bytes_sent", "packets_sent", "bytes_received", "packets_received"), 7)
    sent = {"endpoint_id": ENDPOINT_ID, "measured_at": "2026-01-31T12:00:05Z", **counted}
    cloud.answer("GET", f"{OF_ENDPOINT}/traffic", sent | {"connections_opened": 41, "connections_open": 0})

    result = run("endpoint", "traffic", ENDPOINT_ID)

    assert "connections opened  41" in result.stdout
    assert "connections open    0" in result.stdout


def test_all_pages_of_connections_become_one_table(cloud: Cloud, run: Run):
    first, second = page(connection(1), connection(2), next_marker="5-2"), page(connection(3, None))
    cloud.answer("GET", f"{OF_ENDPOINT}/connections", first, second)

    result = run("endpoint", "connections", ENDPOINT_ID)

    assert words(result, 1) == ["10.0.0.20:1", "10.0.0.100:8080", "80", "established", "1m01s", "300", "4000"]
    assert [words(result, line)[0] for line in (2, 3)] == ["10.0.0.20:2", "10.0.0.20:3"]
    assert words(result, 3)[4] == "-"
    assert [one.query.get("marker") for one in cloud.asked] == [None, "5-2"]


def test_a_limit_ends_the_walk(cloud: Cloud, run: Run):
    cloud.answer("GET", f"{OF_SERVICE}/connections", page(connection(1), connection(2), next_marker="5-2"))

    result = run("service", "connections", SERVICE_ID, "--limit", "2", "--json")

    assert json.loads(result.stdout) == [connection(1), connection(2)]
    assert [one.query for one in cloud.asked] == [{"limit": "2"}]


def test_what_is_missing_is_said_and_what_is_not_to_be_seen_is_a_dash(cloud: Cloud, run: Run):
    seen = connection(40001) | {"server_port": None}
    del seen["client"]
    cloud.answer("GET", f"{OF_SERVICE}/connections", page(seen, is_complete=False))

    result = run("service", "connections", SERVICE_ID)

    assert words(result, 1)[:5] == ["198.19.128.2:40001", "-", ENDPOINT_ID, "16777217", "-"]
    assert "there are more" in result.stderr


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.2, "0s"), (59, "59s"), (3600, "1h00m"), (90_000, "1d01h"), (8_000_000, "92d14h")]
)
def test_ages_are_shown_with_two_units(cloud: Cloud, run: Run, seconds: float, shown: str):
    cloud.answer("GET", f"{OF_ENDPOINT}/connections", page(connection(1, seconds)))

    assert words(run("endpoint", "connections", ENDPOINT_ID), 1)[4] == shown


def test_who_asks_for_a_source_at_a_moment(cloud: Cloud, run: Run):
    somebody = {"known_by": "flow-log", "endpoint_id": ENDPOINT_ID, "marker_id": 16777217, "domain_id": "d2"}
    found = {"source": "198.19.128.2:40001", "at": "t", "found": [somebody], "is_complete": False}
    cloud.answer("GET", f"{OF_SERVICE}/who", found)

    result = run("service", "who", SERVICE_ID, "198.19.128.2:40001", "--at", "2026-01-31T12:00:00Z")

    assert words(result, 1) == [ENDPOINT_ID, "16777217", "d2", "-", "-", "-", "flow-log"]
    assert "ask again" in result.stderr
    (asked,) = cloud.asked
    assert asked.query == {"address": "198.19.128.2", "port": "40001", "at": "2026-01-31T12:00:00Z"}


@pytest.mark.parametrize("source", ["198.19.128.2", "198.19.128.2:", ":1", "198.19.128.2:x", "198.19.128.2:65536"])
def test_a_source_without_address_or_port_is_misuse(run: Run, source: str):
    result = run("service", "who", SERVICE_ID, source)

    assert result.exit_code == 2
    assert "ADDRESS:PORT" in result.stderr


def test_a_cloud_without_the_extension_is_told_apart(cloud: Cloud, run: Run):
    cloud.answer("GET", f"{OF_ENDPOINT}/connections", {"connections": "none"})

    result = run("endpoint", "connections", ENDPOINT_ID)

    assert result.exit_code == 1
    assert "is this Landbridge?" in result.stderr
