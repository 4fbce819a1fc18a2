"""`landbridge audit`: a tenant asks the API, an operator reads the state directory."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from landbridge.cli.main import main
from landbridge.store.sqlite import SqliteStore
from tests.examples import a_service
from tests.integration.cloud_on_loopback import cloud_on_loopback

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning:openstack.*", "ignore::PendingDeprecationWarning:openstack.*"
)


def run(*words: str, **settings: str) -> Result:
    nobody = {name: None for name in os.environ if name.startswith("OS_")}
    result = CliRunner().invoke(main, list(words), env={**nobody, **settings})
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def record(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": number,
        "recorded_at": "2026-03-01T12:00:00Z",
        "actor": {"kind": "user", "user_name": "acme-admin"},
        "action": "vpcep:endpoints:update",
        "change": "changed",
        "resource_type": "vpc-endpoint",
        "resource_id": "e1",
        "before": {"admission": "pending", "tags": []},
        "after": {"admission": "accepted", "tags": []},
    } | changes


def test_a_tenant_sees_what_differs_and_pages_are_put_together():
    with cloud_on_loopback() as cloud:
        first = {"audit_records": [record(3), record(2, actor={"kind": "other-project"})], "next_marker": "17-2"}
        last = {"audit_records": [record(1, change="created", before=None)], "next_marker": None}
        cloud.answer("GET", "/ext/audit", first, last)

        result = run("audit", "--resource", "e1", "--since", "2026-01-31T12:00:00+01:00", **cloud.settings)

        asked = [one.query for one in cloud.asked if one.path.endswith("/ext/audit")]
    assert result.exit_code == 0, result.output
    assert [one.get("marker") for one in asked] == [None, "17-2"]
    assert asked[0]["resource_id"] == "e1"
    assert asked[0]["since"] == "2026-01-31T11:00:00+00:00"
    lines = result.output.splitlines()
    assert [line.split()[1] for line in lines[1:]] == ["acme-admin", "other-project", "acme-admin"]
    assert "admission: pending → accepted" in lines[1]


def test_an_operator_sees_all_projects_and_who_ran_which_command(tmp_path: Path):
    made = run("project", "create", "acme", "--state", str(tmp_path), "--json")
    assert made.exit_code == 0, made.output
    with SqliteStore.open(tmp_path / "landbridge.sqlite3") as store:
        asyncio.run(store.write(lambda tx: tx.add_service(a_service())))

    result = run("audit", "--state", str(tmp_path), "--json")
    of_project = run("audit", "--state", str(tmp_path), "--project", a_service().project_id, "--type", "project")

    service, project = json.loads(result.output)
    assert (service["actor"], service["resource_type"]) == ({"kind": "system"}, "vpc-endpoint-service")
    assert (project["actor"]["kind"], project["action"]) == ("operator", "landbridge project create")
    assert project["actor"]["user_name"]
    assert project["after"]["name"] == "acme"
    assert len(of_project.output.splitlines()) == 1, "only the headers"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--project", "p"], "go with --state"),
        (["--since", "yesterday"], "is no moment"),
        (["--limit", "0"], "0 is not in the range"),
    ],
)
def test_a_wrong_use_is_named(words: list[str], message: str):
    result = run("audit", *words)

    assert result.exit_code == 2
    assert message in result.output


def test_a_directory_without_a_database_is_named(tmp_path: Path):
    result = run("audit", "--state", str(tmp_path))

    assert result.exit_code == 1
    assert "holds no database" in result.output
