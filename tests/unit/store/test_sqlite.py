import asyncio
import sqlite3
import stat
from collections.abc import Callable, Iterator
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, event
from structlog.testing import capture_logs

from landbridge.control.protocols import WriteTransaction
from landbridge.domain.errors import DatabaseUnavailable, OperatorError
from landbridge.domain.ids import ProjectId, VpcId
from landbridge.domain.resources import Vpc
from landbridge.store.sqlite import SqliteStore


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a state%20dir?" / "landbridge.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    path.parent.mkdir()
    with SqliteStore.open(path) as store:
        yield store


@pytest.fixture
def on_begin() -> Iterator[Callable[[Callable[[Connection], None]], None]]:
    """Run something on each connection that begins a transaction."""
    added: list[tuple[str, Callable[[Connection], None]]] = []

    def add(action: Callable[[Connection], None], name: str = "begin") -> None:
        event.listen(Engine, name, action)
        added.append((name, action))

    yield add
    for name, action in added:
        event.remove(Engine, name, action)


def put(name: str, text: str = "") -> Callable[[WriteTransaction], None]:
    return lambda tx: tx.put_vpc(Vpc(VpcId(name), ProjectId("p"), text, IPv4Network("10.0.0.0/16")))


async def present(store: SqliteStore) -> set[str]:
    return {vpc.id for vpc in await store.read(lambda tx: tx.vpcs())}


async def test_the_file_is_where_it_was_asked_for_and_commits_reach_the_disk(store: SqliteStore, path: Path):
    await store.write(put("one"))

    with sqlite3.connect(path) as other:
        assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert other.execute("SELECT id FROM vpcs").fetchall() == [("one",)]
    other.close()
    asked: list[dict[str, int]] = []

    def ask(connection: Connection) -> None:
        pragmas = ("synchronous", "foreign_keys", "busy_timeout")
        asked.append({name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in pragmas})

    event.listen(Engine, "commit", ask)
    try:
        await store.write(put("two"))
    finally:
        event.remove(Engine, "commit", ask)
    assert asked == [{"synchronous": 2, "foreign_keys": 1, "busy_timeout": 5000}]


def test_nobody_but_its_owner_can_read_the_file_or_those_beside_it(tmp_path: Path):
    tmp_path.chmod(0o755)

    with SqliteStore.open(tmp_path / "landbridge.db"):
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}

    assert len(modes) == 3
    assert set(modes.values()) == {0o600}


async def test_a_commit_that_fails_fails_everybody_in_it_and_the_next_one_works(store: SqliteStore):
    def refuse(connection: Connection) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    event.listen(Engine, "commit", refuse)
    try:
        outcomes = await asyncio.gather(*(store.write(put(name)) for name in "abc"), return_exceptions=True)
    finally:
        event.remove(Engine, "commit", refuse)

    assert [type(outcome) for outcome in outcomes] == [OperatorError] * 3
    assert await present(store) == set()
    await store.write(put("d"))
    assert await present(store) == {"d"}


async def test_on_a_full_disk_what_was_acknowledged_is_there_and_what_was_refused_is_not(
    store: SqliteStore, on_begin: Callable[[Callable[[Connection], None]], None]
):
    on_begin(lambda connection: connection.exec_driver_sql("PRAGMA max_page_count = 120").close())
    names = [str(number) for number in range(100)]
    refusals: list[str] = []

    async def attempt(name: str) -> bool:
        try:
            await store.write(put(name, "x" * (20_000 if int(name) % 3 == 0 else 10)))
        except DatabaseUnavailable as error:
            refusals.append(str(error))
            return False
        return True

    with capture_logs() as logs:
        outcomes = await asyncio.gather(*(attempt(name) for name in names))
        more = [await attempt(name) for name in ("100", "102", "103")]

    acknowledged = {name for name, ok in zip([*names, "100", "102", "103"], [*outcomes, *more], strict=True) if ok}
    assert await present(store) == acknowledged
    assert refusals
    assert all("nothing was changed: try again" in refusal for refusal in refusals)
    assert next(log["reason"] for log in logs if log["event"] == "database.unavailable").startswith(
        "the database: the disk is full: make room"
    )


async def test_a_stop_iteration_reaches_its_caller_as_an_error(store: SqliteStore):
    for ask in (store.read, store.write):
        with pytest.raises(RuntimeError, match="StopIteration"):
            await ask(lambda _tx: next(iter([])))


async def test_a_closed_store_refuses_writes_and_closing_twice_is_no_error(store: SqliteStore):
    store.close()
    store.close()

    with pytest.raises(OperatorError, match="closed"):
        await store.write(put("a"))


async def test_what_waits_when_the_store_is_closed_still_happens(path: Path):
    path.parent.mkdir()
    with SqliteStore.open(path) as store:
        tasks = [asyncio.create_task(store.write(put(name))) for name in "abc"]
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)

    with SqliteStore.open(path) as store:
        assert await present(store) == {"a", "b", "c"}


def test_a_loop_that_was_closed_does_not_stop_the_writer(store: SqliteStore):
    async def leave() -> None:
        asyncio.get_running_loop().call_soon(asyncio.get_running_loop().stop)
        await store.write(put("a"))

    loop = asyncio.new_event_loop()
    task = loop.create_task(leave())
    loop.run_forever()
    task.cancel()
    loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
    loop.close()

    asyncio.run(store.write(put("b")))
    assert "b" in asyncio.run(present(store))


async def test_reading_only_works_beside_a_server_and_after_it_but_never_writes(path: Path):
    path.parent.mkdir()
    with SqliteStore.open(path) as server:
        await server.write(put("a"))
        with SqliteStore.open(path, read_only=True) as beside:
            assert await present(beside) == {"a"}
            await server.write(put("b"))
            assert await present(beside) == {"a", "b"}
            with pytest.raises(OperatorError, match="reading only"):
                await beside.write(put("c"))
    with SqliteStore.open(path, read_only=True) as after:
        assert await present(after) == {"a", "b"}


def test_reading_only_neither_creates_nor_migrates(path: Path):
    path.parent.mkdir()
    with pytest.raises(OperatorError, match="state directory exists"):
        SqliteStore.open(path, read_only=True)
    assert list(path.parent.iterdir()) == []

    sqlite3.connect(path).close()
    path.touch()
    with pytest.raises(OperatorError, match="start the server once"):
        SqliteStore.open(path, read_only=True)


def test_the_database_of_a_newer_version_is_refused(path: Path):
    path.parent.mkdir()
    SqliteStore.open(path).close()
    with sqlite3.connect(path) as other:
        other.execute("UPDATE alembic_version SET version_num = '9999'")
    other.close()

    for read_only in (False, True):
        with pytest.raises(OperatorError, match="newer Landbridge"):
            SqliteStore.open(path, read_only=read_only)


def test_the_database_of_another_program_is_refused(path: Path):
    path.parent.mkdir()
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE songs (title TEXT)")
    other.close()

    with pytest.raises(OperatorError, match="another state directory"):
        SqliteStore.open(path)


def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(path: Path):
    path.parent.mkdir()
    path.write_bytes(b"Dear diary, " * 1000)

    with pytest.raises(OperatorError, match="restore a backup"):
        SqliteStore.open(path)
    assert path.read_bytes() == b"Dear diary, " * 1000


def test_a_damaged_database_is_refused(path: Path):
    path.parent.mkdir()
    SqliteStore.open(path).close()
    content = bytearray(path.read_bytes())
    content[100:4096] = b"\xff" * 3996
    path.write_bytes(content)

    with pytest.raises(OperatorError, match="damaged"):
        SqliteStore.open(path)


@pytest.mark.parametrize("place", ["missing/landbridge.db", ".", "file/landbridge.db"])
def test_a_place_where_no_file_can_be_is_refused_with_advice(tmp_path: Path, place: str):
    (tmp_path / "file").touch()

    with pytest.raises(OperatorError, match="state directory"):
        SqliteStore.open(tmp_path / place)
