"""What the pages for operators show can be run."""

import contextlib
import re
import sqlite3
from pathlib import Path

import pytest
import yaml
from sqlalchemy import create_engine, text

from landbridge.control.actors import SYSTEM
from landbridge.control.audit import AuditEntry, Change, ResourceKind
from landbridge.domain.ids import ProjectId
from landbridge.observability import Telemetry
from landbridge.store.audit import add_records, entry_values
from landbridge.store.schema import create
from tests.examples import NOW

REFERENCE = Path(__file__).parents[3] / "docs" / "reference"


def test_every_alert_is_about_metrics_that_there_are_and_says_what_it_means():
    document = yaml.safe_load((REFERENCE / "alerts.yml").read_text())
    (group,) = document["groups"]
    there = {
        metric.name + "_total" * (metric.type == "counter")
        for metric in Telemetry("memory", "a-pool").registry.collect()
    }

    for rule in group["rules"]:
        assert set(re.findall(r"landbridge_\w+", rule["expr"])) <= there, rule["alert"]
        assert rule["annotations"]["summary"]


def test_the_statements_that_remove_old_records_do_so_and_close_the_log_again(tmp_path: Path):
    page = (REFERENCE / "audit.md").read_text()
    for_sqlite = re.findall(r"```sql\n(.*?)```", page, re.DOTALL)[0]
    path = tmp_path / "landbridge.sqlite3"
    engine = create_engine(f"sqlite:///{path}")
    entry = AuditEntry(ProjectId("p"), ResourceKind.VPC, "v1", Change.CREATED, None, {"name": "web"})
    with engine.begin() as connection:
        create(connection)
        old = entry_values(entry, SYSTEM) | {"recorded_at": NOW.replace(year=2020)}
        add_records(connection, [old, old | {"recorded_at": NOW}])
    engine.dispose()

    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(for_sqlite)
        assert connection.execute("SELECT id FROM audit_log").fetchall() == [(2,)]
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            connection.execute("DELETE FROM audit_log")


def test_a_fresh_database_has_the_statements_of_the_page(tmp_path: Path):
    engine = create_engine(f"sqlite:///{tmp_path / 'landbridge.sqlite3'}")
    with engine.begin() as connection:
        create(connection)
        made = connection.execute(text("SELECT sql FROM sqlite_master WHERE name = 'audit_log_no_delete'")).scalar_one()
    engine.dispose()

    assert made in (REFERENCE / "audit.md").read_text()
