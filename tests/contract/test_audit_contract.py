"""What the audit log promises, whichever database is under it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from landbridge.control.audit import AuditPlace, AuditQuery, Change
from landbridge.control.protocols import Store, WriteTransaction
from landbridge.store.postgresql import PostgresqlStore
from landbridge.store.sqlite import SqliteStore
from tests.contract.databases import engine_of
from tests.examples import a_service
from tests.postgresql import PostgresqlServer, connecting


@contextmanager
def opened(place: str) -> Iterator[Store]:
    store = SqliteStore.open(Path(place)) if place.startswith("/") else PostgresqlStore.open(connecting(place))
    with store:
        yield store


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return str(tmp_path / "landbridge.sqlite3")
    server: PostgresqlServer = request.getfixturevalue("postgresql")
    new_database: Callable[[], str] = request.getfixturevalue("new_postgresql_database")
    return server.url(new_database())


async def test_changes_are_recorded_with_the_transaction_and_read_page_by_page(place: str):
    service = a_service()
    with opened(place) as store:
        await store.write(lambda tx: tx.add_service(service))
        for generation in (2, 3):
            after = replace(service, description=f"no. {generation}", generation=generation)
            await store.write(lambda tx, after=after: tx.update_service(after))
        with pytest.raises(ZeroDivisionError):
            await store.write(lambda tx: _update_and_fail(tx, replace(service, description="never", generation=4)))

        query = AuditQuery(service.project_id, 2)
        first = await store.read(lambda tx: tx.audit_records(query))
        place_in_log = AuditPlace(first[-1].recorded_at, first[-1].id)
        rest = await store.read(lambda tx: tx.audit_records(replace(query, older_than=place_in_log)))

    assert [one.entry.after for one in first] == [{"description": "no. 3"}, {"description": "no. 2"}]
    assert [(one.entry.change, one.entry.before) for one in rest] == [(Change.CREATED, None)]


def _update_and_fail(tx: WriteTransaction, service: object) -> None:
    tx.update_service(service)  # pyright: ignore[reportArgumentType]
    raise ZeroDivisionError


async def test_no_record_can_be_changed_or_removed_past_the_store(place: str):
    with opened(place) as store:
        await store.write(lambda tx: tx.add_service(a_service()))

    with engine_of(place) as engine:
        statements = ["UPDATE audit_log SET action = ''", "DELETE FROM audit_log"]
        if engine.dialect.name == "postgresql":
            statements.append("TRUNCATE audit_log")
        for statement in statements:
            with pytest.raises(DBAPIError, match="append-only"), engine.begin() as connection:
                connection.execute(text(statement))
        with engine.connect() as connection:
            assert connection.execute(text("SELECT count(*) FROM audit_log")).scalar_one() == 1
