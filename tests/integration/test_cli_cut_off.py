"""The command about how connections end against a cloud on loopback."""

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
OTHER_ID = "e0100000-0000-4000-8000-000000000002"
CUT_OFF = f"/ext/vpc-endpoint-services/{SERVICE_ID}/cut-off"

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
        result = CliRunner().invoke(main, ["service", "cut-off", *words], env={**nobody, **cloud.settings})
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return run_command


def cut_offs(*ending: dict[str, Any], count: int = 0, **chosen: Any) -> dict[str, Any]:
    usual = {"on_reject": {"mode": "kill"}, "on_delete": {"mode": "kill"}, "on_whitelist_edit": {"mode": "kill"}}
    usual["on_permission_removal"] = {"mode": "keep"}
    return {"service_id": SERVICE_ID, **usual, **chosen, "ending": list(ending), "ending_endpoint_count": count}


def ending(endpoint_id: str, connections: str = "all", **more: Any) -> dict[str, Any]:
    known = {"endpoint_id": endpoint_id, "marker_id": 16777217, "connections": connections}
    return known | {"since_at": "2026-01-31T12:00:00Z"} | more


def lines(result: Result) -> list[list[str]]:
    return [line.split() for line in result.stdout.splitlines()]


def test_without_a_choice_nothing_is_changed_and_all_four_are_shown(cloud: Cloud, run: Run):
    cloud.answer("GET", CUT_OFF, cut_offs(on_reject={"mode": "drain", "deadline_seconds": 600}))

    result = run(SERVICE_ID)

    assert lines(result)[1:] == [
        ["reject", "drain:600"],
        ["delete", "kill"],
        ["permission", "removal", "keep"],
        ["whitelist", "edit", "kill"],
    ]
    assert [one.method for one in cloud.asked] == ["GET"]


def test_only_what_is_given_is_sent_and_the_answer_is_shown(cloud: Cloud, run: Run):
    cloud.answer("PUT", CUT_OFF, cut_offs(on_delete={"mode": "drain", "deadline_seconds": 3600}))

    result = run(SERVICE_ID, "--on-delete", "drain:3600", "--on-whitelist-edit", "keep", "--on-reject", "kill")

    assert lines(result)[2] == ["delete", "drain:3600"]
    (asked,) = cloud.asked
    assert asked.method == "PUT"
    assert asked.body == {
        "on_reject": {"mode": "kill"},
        "on_delete": {"mode": "drain", "deadline_seconds": 3600},
        "on_whitelist_edit": {"mode": "keep"},
    }


def test_what_is_ending_is_shown_with_its_deadline_and_the_rest_is_counted(cloud: Cloud, run: Run):
    draining = ending(ENDPOINT_ID, until_at="2026-01-31T12:10:00Z")
    kept = [ending(OTHER_ID, "removed-clients"), ending(OTHER_ID)]
    cloud.answer("GET", CUT_OFF, cut_offs(draining, *kept, count=7))

    result = run(SERVICE_ID)

    since = "2026-01-31T12:00:00Z"
    assert lines(result)[7:10] == [
        [ENDPOINT_ID, "16777217", "all", since, "2026-01-31T12:10:00Z"],
        [OTHER_ID, "16777217", "removed-clients", since, "-"],
        [OTHER_ID, "16777217", "all", since, "-"],
    ]
    assert "those of 5 more endpoints" in result.stdout


def test_json_is_what_the_server_sent(cloud: Cloud, run: Run):
    sent = cut_offs(ending(ENDPOINT_ID), count=1, something_new=[1, None])
    cloud.answer("GET", CUT_OFF, sent)

    result = run(SERVICE_ID, "--json")

    assert json.loads(result.stdout) == sent


def test_a_service_may_be_named(cloud: Cloud, run: Run):
    named = {"id": SERVICE_ID, "service_name": f"lab-1.web.{SERVICE_ID}", "status": "available"}
    cloud.answer("GET", "/vpc-endpoint-services", {"endpoint_services": [named], "total_count": 1})
    cloud.answer("GET", CUT_OFF, cut_offs())

    assert run("web").exit_code == 0

    assert cloud.asked[-1].path == CUT_OFF


@pytest.mark.parametrize(
    "choice", ["", "sometimes", "kill:1", "keep:", "drain", "drain:", "drain:-1", "drain:1.5", "drain:²", "drain:1 h"]
)
def test_what_is_no_choice_is_misuse_and_nothing_is_asked(cloud: Cloud, run: Run, choice: str):
    result = run(SERVICE_ID, "--on-reject", choice)

    assert result.exit_code == 2
    assert "write kill, keep or drain:SECONDS" in result.stderr
    assert cloud.asked == []


def test_a_choice_that_is_not_offered_is_told_in_the_servers_words(cloud: Cloud, run: Run):
    cloud.refuse("PUT", CUT_OFF, 400, "EndPoint.0002", "on_delete.mode must be kill or drain")

    result = run(SERVICE_ID, "--on-delete", "keep")

    assert result.exit_code == 1
    assert "on_delete.mode must be kill or drain" in result.stderr


def test_a_cloud_without_the_extension_is_told_apart(cloud: Cloud, run: Run):
    cloud.answer("GET", CUT_OFF, {"endpoint_service": "none"})

    result = run(SERVICE_ID)

    assert result.exit_code == 1
    assert "is this Landbridge?" in result.stderr
