"""Who leads a pool, by a real PostgreSQL server; and hints that travel through it."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import psycopg
import pytest

from landbridge.control.leadership import LEASE_SECONDS
from landbridge.coordination.hints import Hint
from landbridge.coordination.postgresql import Candidate, NotifiedHints
from landbridge.dataplane.driver import Capabilities
from landbridge.dataplane.pools import Pool
from landbridge.domain.errors import OperatorError
from landbridge.domain.ids import PoolId
from landbridge.store.postgresql import Connect, PostgresqlStore
from tests.postgresql import PostgresqlServer

POOL, OTHER_POOL = PoolId("pool-1"), PoolId("pool-2")
PATIENCE_SECONDS = 20


@dataclass
class Field:
    """A database with two pools, and those who want to lead them."""

    connect: Connect
    candidates: list[Candidate] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    lost: threading.Event = field(default_factory=threading.Event)

    def candidate(self, pool_id: PoolId = POOL, monotonic: Callable[[], float] = time.monotonic) -> Candidate:
        def on_lost(reason: str) -> None:
            self.reasons.append(reason)
            self.lost.set()

        candidate = Candidate(self.connect, pool_id, monotonic, on_lost)
        self.candidates.append(candidate)
        candidate.start()
        return candidate

    def administer(self, statement: bytes) -> None:
        with self.connect() as connection:
            connection.execute(statement)

    def epoch(self) -> int:
        with self.connect() as connection:
            row = connection.execute("SELECT epoch FROM pools WHERE id = %s", (POOL,)).fetchone()
        assert row is not None
        return row[0]


@pytest.fixture
def database(postgresql: PostgresqlServer, new_postgresql_database: Callable[[], str]) -> Connect:
    return postgresql.connecting(new_postgresql_database())


@pytest.fixture
async def field_of_two(database: Connect) -> Field:
    store = PostgresqlStore.open(database)
    for pool_id in (POOL, OTHER_POOL):
        pool = Pool(pool_id, pool_id, Capabilities())
        await store.write(lambda tx, pool=pool: tx.put_pool(pool))
    store.close()
    return Field(database)


@pytest.fixture
def contest(field_of_two: Field) -> Iterator[Field]:
    yield field_of_two
    for candidate in field_of_two.candidates:
        candidate.stop()


def test_one_of_two_leads_and_the_other_takes_over_when_it_ends(contest: Field):
    first = contest.candidate()
    assert first.wait(PATIENCE_SECONDS)
    second = contest.candidate()
    assert not second.wait(1.0)
    assert (first.lease.is_held, second.lease.is_held) == (True, False)

    first.stop()

    assert second.wait(PATIENCE_SECONDS)
    assert (first.lease.is_held, second.lease.is_held) == (False, True)
    assert contest.epoch() == 2
    assert contest.reasons == [], "who ends by itself has lost nothing"


def test_each_pool_has_a_leader_of_its_own(contest: Field):
    candidates = [contest.candidate(pool_id) for pool_id in (POOL, OTHER_POOL)]

    assert [candidate.wait(PATIENCE_SECONDS) for candidate in candidates] == [True, True]


def test_a_leader_whose_session_is_ended_leads_no_more_and_another_does(contest: Field):
    first = contest.candidate()
    assert first.wait(PATIENCE_SECONDS)
    second = contest.candidate()

    # The lock's owner, and nobody else.
    contest.administer(b"SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")

    assert contest.lost.wait(PATIENCE_SECONDS)
    assert not first.lease.is_held
    assert second.wait(PATIENCE_SECONDS)
    assert "session" in contest.reasons[0]


def test_a_leader_that_slept_finds_out_by_the_epoch(contest: Field):
    first = contest.candidate()
    assert first.wait(PATIENCE_SECONDS)

    contest.administer(b"UPDATE pools SET epoch = epoch + 1 WHERE id = 'pool-1'")

    assert contest.lost.wait(PATIENCE_SECONDS)
    assert not first.lease.is_held
    assert contest.reasons == ["another agent leads the pool"]


def test_a_lease_ends_by_itself_while_the_database_says_nothing(contest: Field):
    clock = [1000.0]
    leader = contest.candidate(monotonic=lambda: clock[0])
    assert leader.wait(PATIENCE_SECONDS)
    with contest.connect() as connection, connection.transaction():
        connection.execute("LOCK TABLE pools IN ACCESS EXCLUSIVE MODE")
        assert leader.lease.is_held

        clock[0] += LEASE_SECONDS

        assert not leader.lease.is_held


@pytest.mark.parametrize(
    "reason", [psycopg.OperationalError("nobody there"), OperatorError("the password file is gone for a moment")]
)
def test_who_cannot_reach_the_database_goes_on_trying(field_of_two: Field, reason: Exception):
    refused = threading.Event()

    def connect() -> psycopg.Connection:
        if not refused.is_set():
            refused.set()
            raise reason
        return field_of_two.connect()

    candidate = Candidate(connect, POOL, time.monotonic, field_of_two.reasons.append)
    candidate.start()
    try:
        assert candidate.wait(PATIENCE_SECONDS)
    finally:
        candidate.stop()


async def until(is_there: Callable[[], bool]) -> None:
    for _ in range(2000):
        if is_there():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come")


async def test_hints_reach_other_processes_and_the_first_after_a_cut_connection_too(database: Connect):
    heard: list[Hint] = []
    sender, listener = NotifiedHints(database, lambda _hint: None), NotifiedHints(database, heard.append)
    try:
        await until(lambda: len(heard) == 1)
        assert heard == [Hint(intent_written=True)], "who begins to listen may have missed something"

        sender.send(Hint(reached={"an-endpoint": 7}))
        await until(lambda: Hint(reached={"an-endpoint": 7}) in heard)

        with database() as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
                "AND pid <> pg_backend_pid()"
            )
        await until(lambda: heard.count(Hint(intent_written=True)) == 2)
        sender.send(Hint(reached={"an-endpoint": 8}))
        await until(lambda: Hint(reached={"an-endpoint": 8}) in heard)
    finally:
        sender.close()
        listener.close()
