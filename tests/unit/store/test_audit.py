"""What the store records of changes: all of them, exactly if they happened, and never changed again."""

import contextlib
import inspect
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from landbridge.control.accounts import AccessKey, ProjectRecord, UserRecord
from landbridge.control.actors import Actor, ActorKind, acting_as, operator
from landbridge.control.audit import INSTALLATION, AuditPlace, AuditQuery, AuditRecord, Change, ResourceKind
from landbridge.control.protocols import ReadTransaction, WriteTransaction
from landbridge.domain.errors import PortsConflict
from landbridge.domain.ids import DomainId, PermissionId, ProjectId
from landbridge.domain.resources import Admission, Failure, Permission, PermissionType, QuotaType, Tag
from landbridge.domain.tagging import ResourceType
from landbridge.store.auditing import AuditedWriting
from landbridge.store.sqlite import SqliteStore
from tests.examples import NOW, a_service, an_endpoint

PROVIDER, CONSUMER = a_service().project_id, an_endpoint().project_id
ACME_ADMIN = Actor(ActorKind.USER, "u1", "acme-admin", "d1", PROVIDER, "req-1", "192.0.2.7", "vpcep:connections:update")

NO_CHANGE_OF_INTENT = {
    "claim_server_ports",
    "release_server_ports",
    "claim_target_address",
    "release_left_targets",
    "claim_endpoint_address",
    "claim_transit_address",
    "claim_marker",
    "claim_nic_address",
    "free_nic_address",
    "free_addresses_of_forgotten_nics",
    "claim_edge_addresses",
    "record_service_outcome",
    "record_endpoint_outcome",
    "record_graces",
    "remove_nic",  # by way of forget_nic
    "put_pool",
    "put_full_edges",
}
"""Addresses go with what has them; outcomes are what rounds have seen; pools describe themselves and their edges."""


class Ticking:
    """A clock that goes on by a second with each look."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def now(self) -> datetime:
        self.moment += timedelta(seconds=1)
        return self.moment


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with SqliteStore.open(tmp_path / "landbridge.db", clock=Ticking()) as opened:
        yield opened


async def records(store: SqliteStore, project_id: ProjectId | None = None, **wanted: object) -> Sequence[AuditRecord]:
    query = replace(AuditQuery(project_id, 100), **wanted)  # pyright: ignore[reportArgumentType]
    return await store.read(lambda tx: tx.audit_records(query))


def test_every_method_that_changes_something_is_recorded_or_known_to_be_no_change_of_intent():
    def methods(protocol: type) -> set[str]:
        return {name for name, _ in inspect.getmembers(protocol, inspect.isfunction) if not name.startswith("_")}

    writing = methods(WriteTransaction) - methods(ReadTransaction)
    recorded = {name for name in writing if name in vars(AuditedWriting)}

    assert writing - recorded == NO_CHANGE_OF_INTENT


async def test_a_change_is_recorded_with_who_and_what_differs(store: SqliteStore):
    service = a_service()
    with acting_as(ACME_ADMIN):
        await store.write(lambda tx: tx.add_service(service))
        await store.write(lambda tx: tx.update_service(replace(service, approval_enabled=False, generation=2)))

    changed, created = await records(store, PROVIDER)

    assert (created.entry.change, created.entry.before) == (Change.CREATED, None)
    assert created.entry.after is not None
    assert created.entry.after["port_id"] == "c1d20000-0000-4000-8000-000000000001"
    assert changed.entry.change is Change.CHANGED
    assert (changed.entry.before, changed.entry.after) == ({"approval_enabled": True}, {"approval_enabled": False})
    assert changed.actor == ACME_ADMIN
    assert changed.id > created.id
    assert changed.recorded_at > created.recorded_at


async def test_a_change_that_fails_is_not_recorded_and_its_neighbours_are(store: SqliteStore):
    def fails(tx: WriteTransaction) -> None:
        tx.add_service(a_service())
        raise PortsConflict("taken")

    with pytest.raises(PortsConflict):
        await store.write(fails)
    await store.write(lambda tx: tx.add_endpoint(an_endpoint()))

    assert [one.entry.kind for one in await records(store)] == [ResourceKind.ENDPOINT]


async def test_the_request_to_delete_is_the_deletion_and_what_rounds_write_back_is_none(store: SqliteStore):
    service, endpoint = a_service(), an_endpoint()

    def make(tx: WriteTransaction) -> None:
        tx.add_service(service)
        tx.add_endpoint(endpoint)

    def follow(tx: WriteTransaction) -> None:
        tx.record_service_outcome(service.id, 1, None)
        tx.record_endpoint_outcome(endpoint.id, 1, Failure("pool-full", "none is free"))
        tx.record_graces(endpoint)

    await store.write(make)
    await store.write(follow)
    await store.write(lambda tx: tx.update_endpoint(replace(endpoint, delete_requested_at=NOW, generation=2)))
    await store.write(lambda tx: tx.remove_endpoint(endpoint.id))

    found = await records(store, CONSUMER)
    assert [one.entry.change for one in found] == [Change.DELETED, Change.CREATED]
    assert found[0].entry.after is None
    assert found[0].actor.kind is ActorKind.SYSTEM
    assert len(await records(store)) == 3


async def test_a_providers_decision_is_in_both_logs_and_tells_neither_side_more_than_the_api(store: SqliteStore):
    endpoint = an_endpoint(description="the consumer's own", connection_description="the provider's own")
    await store.write(lambda tx: tx.add_service(a_service()))
    await store.write(lambda tx: tx.add_endpoint(endpoint))
    with acting_as(ACME_ADMIN):
        await store.write(lambda tx: tx.update_endpoint(replace(endpoint, admission=Admission.ACCEPTED, generation=2)))
        await store.write(lambda tx: tx.put_connection_description(endpoint.id, "known to us"))

    (of_consumer, created) = await records(store, CONSUMER)
    described, of_provider, _service = await records(store, PROVIDER)

    assert of_consumer.entry.kind is ResourceKind.ENDPOINT
    assert of_consumer.entry.after == {"admission": "accepted"}
    assert not of_consumer.is_actor_shown
    assert of_provider.entry.kind is ResourceKind.CONNECTION
    assert of_provider.entry.after == {"admission": "accepted"}
    assert of_provider.is_actor_shown
    assert described.entry.after == {"description": "known to us"}
    assert created.entry.after is not None
    assert "the provider's own" not in str(created.entry.after)
    assert "198.19" not in str(created.entry.after)


async def test_a_thing_that_one_transaction_changes_twice_has_one_record_and_an_unchanged_one_none(store: SqliteStore):
    service = a_service()
    await store.write(lambda tx: tx.add_service(service))

    def twice(tx: WriteTransaction) -> None:
        tx.update_service(replace(service, description="first", generation=2))
        tx.put_tags(ResourceType.ENDPOINT_SERVICE, service.id, [Tag("a", "b")])

    await store.write(twice)
    await store.write(lambda tx: tx.put_tags(ResourceType.ENDPOINT_SERVICE, service.id, [Tag("a", "b")]))

    latest, _created = await records(store, PROVIDER)
    assert latest.entry.after == {"description": "first", "tags": [{"key": "a", "value": "b"}]}


async def test_permissions_are_recorded_one_by_one(store: SqliteStore):
    service = a_service()
    entry = Permission(PermissionId("p1"), service.id, "*", PermissionType.DOMAIN_ID, "", NOW)

    def add(tx: WriteTransaction) -> None:
        tx.add_service(service)
        tx.add_permission(entry)
        tx.add_permission(replace(entry, id=PermissionId("p2")))

    await store.write(add)
    await store.write(lambda tx: tx.put_permission_description(entry.id, "everybody"))
    await store.write(lambda tx: tx.remove_permission(service.id, "*"))
    await store.write(lambda tx: tx.remove_permission(service.id, "nobody"))

    found = await records(store, PROVIDER, kind=ResourceKind.PERMISSION)
    assert [(one.entry.change, one.entry.resource_id) for one in found] == [
        (Change.DELETED, "p1"),
        (Change.CHANGED, "p1"),
        (Change.CREATED, "p1"),
    ]


async def test_of_users_nothing_secret_is_recorded_and_each_project_hears_of_its_own_roles_only(store: SqliteStore):
    key = AccessKey("ACMEKEY", b"sealed-secret")
    user = UserRecord("u9", "mallory", DomainId("d1"), "acme", "hash-1", {PROVIDER: frozenset({"admin"})}, (key,))
    with acting_as(operator("landbridge user create", "root")):
        await store.write(lambda tx: tx.put_project(ProjectRecord(PROVIDER, "acme", DomainId("d1"), "acme")))
        await store.write(lambda tx: tx.put_user(user))
        await store.write(
            lambda tx: tx.put_user(
                replace(user, password_hash="hash-2", roles={**user.roles, CONSUMER: frozenset({"reader"})})
            )
        )
        await store.write(lambda tx: tx.put_quota(PROVIDER, QuotaType.ENDPOINT, 7))

    everything = str(await records(store))
    (of_consumer,) = await records(store, CONSUMER)
    of_provider = await records(store, PROVIDER, kind=ResourceKind.USER)
    of_all = await records(store, INSTALLATION)

    assert not any(secret in everything for secret in ("hash-1", "hash-2", "sealed-secret"))
    assert of_consumer.entry.after == {"name": "mallory", "domain_name": "acme", "roles": ["reader"]}
    assert [one.entry.change for one in of_provider] == [Change.CREATED]
    assert of_all[0].entry.after == {"roles": {PROVIDER: ["admin"], CONSUMER: ["reader"]}, "password": "set anew"}
    assert of_all[0].actor.action == "landbridge user create"


async def test_no_record_can_be_changed_or_removed(store: SqliteStore, tmp_path: Path):
    await store.write(lambda tx: tx.add_service(a_service()))

    with contextlib.closing(sqlite3.connect(tmp_path / "landbridge.db")) as connection:
        for statement in ("UPDATE audit_log SET action = ''", "DELETE FROM audit_log"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                connection.execute(statement)
    assert len(await records(store)) == 1


async def test_pages_go_on_where_the_last_one_ended_and_new_records_do_not_move_them(store: SqliteStore):
    service = a_service()
    await store.write(lambda tx: tx.add_service(service))
    for generation in range(2, 7):
        after = replace(service, description=f"no. {generation}", generation=generation)
        await store.write(lambda tx, after=after: tx.update_service(after))

    first = await records(store, PROVIDER, limit=2)
    place = AuditPlace.of_marker(AuditPlace(first[-1].recorded_at, first[-1].id).marker())
    await store.write(lambda tx: tx.update_service(replace(service, description="later", generation=7)))
    rest = await records(store, PROVIDER, older_than=place)

    assert [one.id for one in (*first, *rest)] == [6, 5, 4, 3, 2, 1]
    between = await records(store, PROVIDER, since=rest[2].recorded_at, until=rest[0].recorded_at)
    assert [one.id for one in between] == [3, 2]
    assert await records(store, PROVIDER, resource_id="another") == []
    assert await records(store, CONSUMER) == []


@pytest.mark.parametrize("column", ["project_id", "resource_id"])
async def test_a_page_is_read_from_an_index_however_long_the_log_is(store: SqliteStore, tmp_path: Path, column: str):
    await records(store)

    statement = f"SELECT * FROM audit_log WHERE {column} = 'x' ORDER BY recorded_at DESC, id DESC"  # noqa: S608
    with contextlib.closing(sqlite3.connect(tmp_path / "landbridge.db")) as connection:
        plan = connection.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()

    index = f"ix_audit_log_{column.removesuffix('_id')}"
    assert [step[3] for step in plan] == [f"SEARCH audit_log USING INDEX {index} ({column}=?)"]
