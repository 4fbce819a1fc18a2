"""What one more endpoint costs does not depend on how many there are already."""

import sqlite3
from collections import defaultdict
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event

from landbridge import lab as labs
from landbridge.domain.ids import PoolId
from landbridge.store.sqlite import SqliteStore
from tests.benchmarks import scale_world
from tests.integration.conftest import running

FEW, MANY = scale_world.Estate(200), scale_world.Estate(3_000)
INSTRUCTIONS_AT_ONCE = 10
CHANCE = 30
"""How many times these a statement may take more by chance: trees are deeper, pages are split."""


@dataclass
class Effort:
    """How many instructions of SQLite's machine each statement took at most, in tens."""

    most: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    _running: dict[int, list[Any]] = field(default_factory=dict)

    def watch(self, connection: sqlite3.Connection, _record: object) -> None:
        self._running[id(connection)] = ["", 0]
        connection.set_progress_handler(lambda: self._step(id(connection)), INSTRUCTIONS_AT_ONCE)

    def begin(self, *arguments: Any) -> None:
        cursor, statement = arguments[1], arguments[2]
        self._running[id(cursor.connection)] = [statement, 0]

    def _step(self, connection: int) -> None:
        current = self._running[connection]
        current[1] += 1
        self.most[current[0]] = max(self.most[current[0]], current[1])


@contextmanager
def measured() -> Generator[Effort]:
    effort = Effort()
    event.listen(Engine, "connect", effort.watch)
    event.listen(Engine, "before_cursor_execute", effort.begin)
    try:
        yield effort
    finally:
        event.remove(Engine, "connect", effort.watch)
        event.remove(Engine, "before_cursor_execute", effort.begin)


async def test_one_more_endpoint_takes_no_more_steps_of_the_database_among_many(tmp_path: Path):
    few, many = [await steps_of_one_more(tmp_path / str(estate.endpoints), estate) for estate in (FEW, MANY)]

    assert len(few) > 20, "these are the statements of a whole life"
    grown = {text: (few.get(text, 0), steps) for text, steps in many.items() if steps > few.get(text, 0) + CHANCE}
    assert not grown, grown


async def steps_of_one_more(state: Path, estate: scale_world.Estate) -> Mapping[str, int]:
    """Return how many steps each statement takes while an endpoint is made, carried and deleted in an estate."""
    state.mkdir()  # noqa: ASYNC240 - nobody waits for it
    lab = labs.parse_lab(scale_world.lab(estate, "effort"))
    async with running(state, lab=lab) as empty:
        pass
    with SqliteStore.open(state / "landbridge.sqlite3") as store:
        pools: list[PoolId] = [pool.id for pool in await store.read(lambda tx: tx.pools())]
        await scale_world.fill(store, estate, empty.ids, pools)
    with measured() as effort:
        async with running(state, lab=lab) as world:
            tenant = await world.login("estate-admin", "estate-password", "estate")
            body = {
                "endpoint_service_id": scale_world.services(estate, world.ids, pools)[0].id,
                "vpc_id": world.ids["vpcs"]["consumer-0"]["vpc_id"],
                "subnet_id": world.ids["subnets"]["consumer-0/apps"]["subnet_id"],
            }
            for _ in range(2):  # the first time, what was read of everything at the start may be what is measured
                effort.most.clear()
                path = f"vpc-endpoints/{(await tenant.post('vpc-endpoints', body))['id']}"
                await tenant.until(path, "accepted")
                await tenant.call("DELETE", path)
                while (await tenant.call("GET", path)).status_code != 404:
                    pass
            return dict(effort.most)
