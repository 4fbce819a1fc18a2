"""Each creation counts what its project has, so counting must cost next to nothing."""

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from landbridge.domain.ids import ProjectId
from landbridge.domain.resources import QuotaType
from landbridge.store.sqlite import SqliteStore

BESIDE = {QuotaType.ENDPOINT: "ix_endpoints_deleting", QuotaType.ENDPOINT_SERVICE: "ix_services_beside_quota"}


@pytest.mark.parametrize("type_", QuotaType)
async def test_only_what_does_not_count_is_counted_and_found_by_an_index_of_its_own(tmp_path: Path, type_: QuotaType):
    counted: list[tuple[str, Any]] = []

    def remember(*arguments: Any) -> None:
        statement, parameters = arguments[2], arguments[3]
        if "count" in statement:
            counted.append((statement, parameters))

    with SqliteStore.open(tmp_path / "landbridge.db") as store:
        event.listen(Engine, "before_cursor_execute", remember)
        try:
            assert await store.read(lambda tx: tx.used_quota(ProjectId("p"), type_)) == 0
        finally:
            event.remove(Engine, "before_cursor_execute", remember)
    assert counted

    with contextlib.closing(sqlite3.connect(tmp_path / "landbridge.db")) as connection:
        for statement, parameters in counted:
            steps = [step[3] for step in connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)]
            looks = [step for step in steps if step.startswith(("SEARCH", "SCAN")) and step != "SCAN CONSTANT ROW"]
            kept, beside = sorted(looks, key=lambda look: "row_counts" not in look)
            assert kept == "SEARCH row_counts USING PRIMARY KEY (table_name=? AND project_id=?)"
            assert f"USING INDEX {BESIDE[type_]} (project_id=?" in beside
