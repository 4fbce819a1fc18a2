"""What a store on PostgreSQL promises beside the contract: several processes at once, and servers that go away."""

import asyncio
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from ipaddress import IPv4Network
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import Connection, Engine, event

from landbridge.control.protocols import Store, WriteTransaction
from landbridge.control.quotas import Quotas
from landbridge.domain.errors import DatabaseUnavailable, InvalidParameter, OperatorError, QuotaExceeded
from landbridge.domain.ids import EndpointId, ProjectId, ServiceId, VpcId
from landbridge.domain.resources import Endpoint, QuotaType, Vpc
from landbridge.store.postgresql import PostgresqlStore
from tests.benchmarks.crowd_rows import CrowdFacts, insert_endpoints
from tests.contract.test_store_contract import POOL, UMBRELLA, WEB, a_service, an_endpoint
from tests.postgresql import LOCKED_PASSWORD, LOCKED_USER, PostgresqlServer, connecting, running_postgresql

WIDE = replace(WEB, cidr=IPv4Network("10.0.0.0/16"))


@pytest.fixture
def url(postgresql: PostgresqlServer, new_postgresql_database: Callable[[], str]) -> str:
    return postgresql.url(new_postgresql_database())


@pytest.fixture
def store(url: str) -> Iterator[PostgresqlStore]:
    with PostgresqlStore.open(connecting(url)) as opened:
        yield opened


@pytest.fixture(scope="module")
def own_server() -> Iterator[PostgresqlServer]:
    """A server that tests may end; they leave it running."""
    with running_postgresql() as server:
        yield server


def put(name: str) -> Callable[[WriteTransaction], None]:
    return lambda tx: tx.put_vpc(Vpc(VpcId(name), ProjectId("p"), name, IPv4Network("10.0.0.0/16")))


async def present(store: Store) -> set[str]:
    return {vpc.id for vpc in await store.read(lambda tx: tx.vpcs())}


async def works_again(store: Store) -> None:
    """Wait until the store writes, as it says no for a moment after it has found nobody."""
    deadline = time.monotonic() + 30
    while True:
        try:
            await store.write(put("again"))
            return
        except DatabaseUnavailable:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.1)


def claimed_endpoint(tx: WriteTransaction) -> Endpoint:
    id_ = EndpointId(str(uuid4()))
    return an_endpoint(
        id=id_,
        address=tx.claim_endpoint_address(id_, WIDE, None),
        transit_address=tx.claim_transit_address(POOL, id_),
        marker=tx.claim_marker(),
    )


def end_all_sessions(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


# Several processes at once


async def test_two_processes_never_give_an_address_twice_and_never_exceed_a_quota(url: str):
    quota = 60
    with PostgresqlStore.open(connecting(url)) as one, PostgresqlStore.open(connecting(url)) as other:

        async def create(store: Store) -> Endpoint:
            quotas = Quotas(store, {QuotaType.ENDPOINT: quota, QuotaType.ENDPOINT_SERVICE: 0})

            def work(tx: WriteTransaction) -> Endpoint:
                quotas.check(tx, UMBRELLA, QuotaType.ENDPOINT)
                endpoint = claimed_endpoint(tx)
                tx.add_endpoint(endpoint)
                return endpoint

            return await store.write(work)

        outcomes = await asyncio.gather(
            *(create(store) for _ in range(50) for store in (one, other)), return_exceptions=True
        )

        made = [outcome for outcome in outcomes if isinstance(outcome, Endpoint)]
        assert len(made) == quota
        assert {type(outcome) for outcome in outcomes} == {Endpoint, QuotaExceeded}
        for what in ("id", "address", "transit_address", "marker"):
            assert len({getattr(endpoint, what) for endpoint in made}) == quota


async def test_whoever_has_seen_a_revision_never_finds_an_older_change_later(url: str):
    ended = asyncio.Event()

    async def write(store: Store) -> None:
        for _ in range(40):
            await store.write(lambda tx: tx.add_endpoint(claimed_endpoint(tx)))

    async def follow(store: Store) -> set[str]:
        """Read what has changed since the last look, again and again, as a reconciler does."""
        seen: set[str] = set()
        revision = 0
        while True:
            is_last = ended.is_set()
            changes = await store.read(lambda tx, since=revision: tx.changes_since(since))
            seen |= {endpoint.id for endpoint in changes.endpoints}
            assert changes.revision >= revision
            revision = changes.revision
            if is_last:
                return seen

    stores = [PostgresqlStore.open(connecting(url)) for _ in range(3)]
    try:
        followers = [asyncio.create_task(follow(stores[2])) for _ in range(3)]
        try:
            await asyncio.gather(*(write(store) for store in stores[:2] for _ in range(4)))
        finally:
            ended.set()
        seen = await asyncio.gather(*followers)
        all_of_them = await stores[2].read(lambda tx: tx.changes_since(0))
    finally:
        for store in stores:
            store.close()

    there = {endpoint.id for endpoint in all_of_them.endpoints}
    assert len(there) == 320
    assert seen == [there, there, there]


async def test_nothing_waits_for_ever_and_commits_reach_the_disk(store: PostgresqlStore):
    asked: list[dict[str, str]] = []

    def ask(connection: Connection) -> None:
        names = ("synchronous_commit", "lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")
        asked.append({name: connection.exec_driver_sql(f"SHOW {name}").scalar_one() for name in names})

    event.listen(Engine, "commit", ask)
    try:
        await store.write(put("one"))
    finally:
        event.remove(Engine, "commit", ask)

    assert asked == [
        {
            "synchronous_commit": "on",
            "lock_timeout": "10s",
            "statement_timeout": "30s",
            "idle_in_transaction_session_timeout": "5s",
        }
    ]


async def test_a_server_that_forgets_commits_is_told_to_keep_ours(url: str):
    with psycopg.connect(url, autocommit=True) as connection:
        name = sql.Identifier(connection.info.dbname)
        connection.execute(sql.SQL("ALTER DATABASE {} SET synchronous_commit = off").format(name))

    with PostgresqlStore.open(connecting(url)) as store:
        await test_nothing_waits_for_ever_and_commits_reach_the_disk(store)


async def test_a_write_waits_for_the_one_of_another_process(url: str, store: PostgresqlStore):
    with PostgresqlStore.open(connecting(url)) as other:
        loop = asyncio.get_running_loop()
        second: list[asyncio.Task[None]] = []

        def work(tx: WriteTransaction) -> None:
            put("first")(tx)

            async def begin_second() -> None:
                second.append(asyncio.create_task(other.write(put("second"))))

            asyncio.run_coroutine_threadsafe(begin_second(), loop).result(10)
            _wait_until_somebody_waits(url)
            assert not second[0].done()

        await store.write(work)
        await second[0]
        assert await present(other) == {"first", "second"}


def _wait_until_somebody_waits(url: str) -> None:
    deadline = time.monotonic() + 10
    with psycopg.connect(url, autocommit=True) as connection:
        while (
            connection.execute("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted").fetchone() is None
        ):
            assert time.monotonic() < deadline
            time.sleep(0.01)


# Servers that go away


async def test_sessions_that_ended_while_nobody_used_them_disturb_neither_reads_nor_writes(
    url: str, store: PostgresqlStore
):
    await store.write(put("before"))
    await asyncio.gather(*(present(store) for _ in range(8)))

    end_all_sessions(url)
    await asyncio.gather(*(present(store) for _ in range(8)))
    await store.write(put("after"))
    end_all_sessions(url)
    await store.write(put("later"))

    assert await present(store) == {"before", "after", "later"}


async def test_a_session_that_ends_in_the_middle_fails_the_whole_group_and_the_next_one_works(
    url: str, store: PostgresqlStore
):
    def broken(tx: WriteTransaction) -> None:
        end_all_sessions(url)
        put("broken")(tx)

    outcomes = await asyncio.gather(
        store.write(put("one")), store.write(broken), store.write(put("two")), return_exceptions=True
    )

    # The first may have been a group of its own.
    assert [type(outcome) for outcome in outcomes[1:]] == [DatabaseUnavailable] * 2
    assert "nothing was changed" in str(outcomes[1])
    await store.write(put("next"))
    assert await present(store) == {"next"} | ({"one"} if outcomes[0] is None else set())


async def test_a_session_that_ends_while_it_commits_leaves_it_open_whether_it_did(url: str, store: PostgresqlStore):
    def end(_connection: Connection) -> None:
        end_all_sessions(url)

    event.listen(Engine, "commit", end)
    try:
        with pytest.raises(DatabaseUnavailable, match="look whether it was made"):
            await store.write(put("perhaps"))
    finally:
        event.remove(Engine, "commit", end)
    await store.write(put("next"))
    assert await present(store) == {"next"}


async def test_while_the_server_is_away_everything_is_refused_and_afterwards_all_is_there(
    own_server: PostgresqlServer,
):
    url = own_server.url(own_server.new_database())
    acknowledged: set[str] = set()
    refused: set[str] = set()
    with PostgresqlStore.open(connecting(url)) as store:

        async def write(task: int) -> None:
            for number in range(400):
                name = f"{task}-{number}"
                try:
                    await store.write(put(name))
                    acknowledged.add(name)
                except DatabaseUnavailable as error:
                    # Where the answer to the commit was lost, nobody can know.
                    if "nothing was changed" in str(error):
                        refused.add(name)
                if number == 20 and task == 0:
                    await asyncio.to_thread(own_server.stop, 9)
                    with pytest.raises(DatabaseUnavailable):
                        await present(store)
                    await asyncio.to_thread(own_server.start)
                    await works_again(store)
                    ended.set()
                if ended.is_set() and number > 25:
                    return
                await asyncio.sleep(0.001)

        ended = asyncio.Event()
        await asyncio.gather(*(write(task) for task in range(6)))
        await works_again(store)

        there = await present(store)
        assert acknowledged <= there
        assert refused
        assert refused.isdisjoint(there)


async def test_a_server_that_answers_nobody_is_not_asked_by_each_who_waits(store: PostgresqlStore, url: str):
    tries: list[float] = []
    is_away = False

    def connect() -> psycopg.Connection:
        if is_away:
            tries.append(time.monotonic())
            time.sleep(0.2)
            raise psycopg.OperationalError("timeout expired")
        return connecting(url)()

    with PostgresqlStore.open(connect) as other:
        is_away = True
        end_all_sessions(url)
        outcomes = await asyncio.gather(*(present(other) for _ in range(60)), return_exceptions=True)

        assert {type(outcome) for outcome in outcomes} == {DatabaseUnavailable}
        assert len(tries) < 30
        is_away = False
        await works_again(other)


# What it says


async def test_a_text_with_nul_is_the_callers_mistake(store: PostgresqlStore):
    for ask in (store.read(lambda tx: tx.users_named("an\x00n")), store.write(put("a\x00b"))):
        with pytest.raises(InvalidParameter, match="NUL"):
            await ask


@pytest.mark.parametrize(
    ("database", "user", "password", "advice"),
    [
        ("no-such", "landbridge", None, "create it"),
        ("postgres", "nobody-of-ours", None, "lets this user not in"),
        ("postgres", LOCKED_USER, None, "database_password_file"),
        ("postgres", LOCKED_USER, "wr0ng", "database_password_file"),
        ("postgres", LOCKED_USER, LOCKED_PASSWORD, "owner of the database"),
    ],
)
def test_a_database_that_cannot_be_used_is_refused_with_advice_and_without_secrets(
    postgresql: PostgresqlServer, database: str, user: str, password: str | None, advice: str
):
    def connect() -> psycopg.Connection:
        return psycopg.connect(postgresql.url(database, user), autocommit=True, password=password)

    with pytest.raises(OperatorError, match=advice) as refused:
        PostgresqlStore.open(connect)

    assert password is None or password not in str(refused.value)


def test_nobody_there_is_said_with_advice():
    with pytest.raises(OperatorError, match="see that the server runs"):
        PostgresqlStore.open(connecting("postgresql://landbridge@/x?host=/nonexistent"))


async def test_a_database_that_may_not_be_written_says_so(url: str):
    with PostgresqlStore.open(connecting(url)) as store:
        with psycopg.connect(url, autocommit=True) as connection:
            name = sql.Identifier(connection.info.dbname)
            connection.execute(sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = on").format(name))
        end_all_sessions(url)
        with pytest.raises(DatabaseUnavailable, match="nothing was changed") as refused:
            await store.write(put("a"))

    assert re.search("read-only", str(refused.value.__cause__))


def test_the_database_of_another_program_or_a_newer_version_is_refused(postgresql: PostgresqlServer, url: str):
    other = postgresql.new_database()
    with connecting(url)() as ours, connecting(postgresql.url(other))() as theirs:
        ours.execute("UPDATE alembic_version SET version_num = '9999'")
        theirs.execute("CREATE TABLE songs (title TEXT)")

    with pytest.raises(OperatorError, match="newer Landbridge"):
        PostgresqlStore.open(connecting(url))
    with pytest.raises(OperatorError, match="another database"):
        PostgresqlStore.open(connecting(postgresql.url(other)))
    postgresql.drop(other)


def test_a_database_whose_texts_are_not_unicode_is_refused(postgresql: PostgresqlServer):
    postgresql.administer(
        "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE_PROVIDER libc LC_COLLATE 'C' LC_CTYPE 'C'"
    )
    try:
        with pytest.raises(OperatorError, match="encoding=UTF8"):
            PostgresqlStore.open(connecting(postgresql.url("latin")))
    finally:
        postgresql.drop("latin")


async def test_reading_only_neither_creates_nor_writes(postgresql: PostgresqlServer, url: str):
    empty = postgresql.new_database()
    with pytest.raises(OperatorError, match="start the server once"):
        PostgresqlStore.open(connecting(postgresql.url(empty)), read_only=True)
    with connecting(postgresql.url(empty))() as connection:
        assert connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (0,)
    postgresql.drop(empty)

    with PostgresqlStore.open(connecting(url), read_only=True) as store:
        assert await present(store) == set()
        with pytest.raises(OperatorError, match="reading only"):
            await store.write(put("a"))


async def test_a_service_is_shown_without_reading_the_endpoints_of_all_others(url: str):
    shown = a_service()
    with PostgresqlStore.open(connecting(url)) as store:
        await store.write(lambda tx: tx.add_service(shown))
    # All of one service: where the server does not know which one is asked for, it takes it for that one.
    insert_endpoints(url, CrowdFacts(ProjectId("crowd"), ServiceId("crowded"), "crowded"), 3_000)
    before = rows_read_in_turn(url)

    with PostgresqlStore.open(connecting(url)) as store:
        for _ in range(20):
            assert await store.read(lambda tx: tx.own_service_and_count(shown.project_id, shown.id)) == (shown, 0)

    assert rows_read_in_turn(url) == before


def rows_read_in_turn(url: str) -> int:
    """Return how many rows of endpoints were read without an index, as soon as all sessions have told."""
    with psycopg.connect(url, autocommit=True) as connection:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            others = (
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            if connection.execute(others).fetchone() == (0,):
                break
            time.sleep(0.02)
        row = connection.execute("SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = 'endpoints'").fetchone()
    assert row is not None
    return int(row[0])
