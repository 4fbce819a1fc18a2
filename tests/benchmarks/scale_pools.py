"""Measure the pure core and the store alone, with more endpoints than one machine carries.

An estate's endpoints are spread over four pools of one database. What each pool's agent would do is measured without
a data plane: read everything of its pool, compile it, compare it with what was wired; and the same for one endpoint
that has changed.
"""

import asyncio
import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from landbridge import lab as labs
from landbridge.bootstrap.composing import SystemClock, announce
from landbridge.bootstrap.lab_start import store_lab
from landbridge.control.protocols import ReadTransaction, WriteTransaction
from landbridge.control.round import compile_scope, read_scope, wanted
from landbridge.dataplane.driver import Capabilities
from landbridge.dataplane.model import Digest, WiredId, digest
from landbridge.dataplane.plan import diff
from landbridge.dataplane.pools import Pool
from landbridge.domain.ids import PoolId
from landbridge.domain.resources import Endpoint
from landbridge.store.sqlite import SqliteStore
from tests.benchmarks import scale_world
from tests.benchmarks.figures import Row, median, ratio_at_most
from tests.benchmarks.scale_world import Estate

ENDPOINTS, FEW = 100_000, 400
POOLS = tuple(PoolId(f"pool-{number}") for number in range(4))
GROWTH = 1.5
"""The most that a change of one endpoint may take, as a factor of what it takes among few."""

T = TypeVar("T")


@dataclass(slots=True)
class Measured:
    """Seconds; of the lists, one entry for each pool or each change."""

    fill: float = 0.0
    read: list[float] = field(default_factory=list[float])
    compiled: list[float] = field(default_factory=list[float])
    compared: list[float] = field(default_factory=list[float])
    changed: list[float] = field(default_factory=list[float])


def measure(endpoints: int = ENDPOINTS, changes: int = 40) -> tuple[Measured, Measured]:
    """Measure an estate of a few endpoints, and one of many, in turns where they are compared."""
    return asyncio.run(_measure(Estate(FEW), Estate(endpoints), changes))


async def _measure(small: Estate, large: Estate, changes: int) -> tuple[Measured, Measured]:
    with contextlib.ExitStack() as stack:
        few, many = (_Agents(stack.enter_context(_store()), estate) for estate in (small, large))
        for agents in (few, many):
            await agents.prepare()
        for number in range(changes):
            await few.change(number, changes)
            await many.change(number, changes)
        return few.measured, many.measured


@contextlib.contextmanager
def _store() -> Iterator[SqliteStore]:
    with (
        tempfile.TemporaryDirectory(prefix="landbridge-bench-pools-") as directory,
        SqliteStore.open(Path(directory) / "landbridge.sqlite3", clock=SystemClock()) as store,
    ):
        yield store


class _Agents:
    """What the agents of all pools do, one after the other."""

    def __init__(self, store: SqliteStore, estate: Estate) -> None:
        self._store = store
        self._estate = estate
        self._made: Sequence[Endpoint] = ()
        self.measured = Measured()

    async def prepare(self) -> None:
        """Fill the database, and look at everything once."""
        self._made = await self._fill()
        assert sum([await self._look(pool_id) for pool_id in POOLS]) == len(self._made)

    async def _fill(self) -> Sequence[Endpoint]:
        lab = labs.parse_lab(scale_world.lab(self._estate, "pools"))
        for pool_id in POOLS:
            await announce(self._store, Pool(pool_id, pool_id, Capabilities()))
        await store_lab(self._store, lab, b"k" * 32)
        began = time.perf_counter()
        made = await scale_world.fill(self._store, self._estate, labs.show(lab), POOLS)
        self.measured.fill = time.perf_counter() - began
        return made

    async def _look(self, pool_id: PoolId) -> int:
        """Do what a sweep does that finds everything as it should be; return how many endpoints it has looked at."""
        began = time.perf_counter()
        scope = await self._store.read(lambda tx: read_scope(tx, pool_id, 0, (), everything=True))
        read = time.perf_counter()
        desired = wanted(compile_scope(scope, Capabilities()))
        compiled = time.perf_counter()
        observed: Mapping[WiredId, Digest] = {id_: digest(wired) for id_, wired in desired.items() if wired is not None}
        prepared = time.perf_counter()
        plan = diff(desired, observed)
        ended = time.perf_counter()
        assert not plan.steps
        self.measured.read.append(read - began)
        self.measured.compiled.append(compiled - read)
        self.measured.compared.append(ended - prepared)
        return len(scope.endpoints)

    async def change(self, number: int, count: int) -> None:
        """Write a change of one of `count` endpoints, and do the round that brings it about but for the driver."""
        endpoint = self._made[number * len(self._made) // count]
        revision = await self._store.read(lambda tx: read_revision(tx, endpoint.pool_id))
        changed = replace(endpoint, generation=endpoint.generation + 1, accepted_generation=endpoint.generation + 1)
        began = time.perf_counter()
        await self._store.write(updating(changed))
        scope = await self._store.read(lambda tx: read_scope(tx, endpoint.pool_id, revision, ()))
        desired = wanted(compile_scope(scope, Capabilities()))
        plan = diff(desired, {})
        self.measured.changed.append(time.perf_counter() - began)
        assert [step.wired.id for step in plan.ensures] == [endpoint.id]


def read_revision(tx: ReadTransaction, pool_id: PoolId) -> int:
    """Return up to which revision everything of a pool has been read, if it is read now."""
    return tx.changes_since(1 << 60, pool_id).revision


def updating(endpoint: Endpoint) -> Callable[[WriteTransaction], None]:
    """Return the work that writes an endpoint."""
    return lambda tx: tx.update_endpoint(endpoint)


def rows(few: Measured, many: Measured, endpoints: int = ENDPOINTS) -> list[Row]:
    """Return the rows of the estate of many endpoints."""
    each = endpoints // len(POOLS)
    what = f"{endpoints:,} endpoints in four pools"

    def row(name: str, title: str, seconds: Sequence[float], unit: str = "s", **more: object) -> Row:
        factor = 1000 if unit == "ms" else 1
        values = [value * factor for value in seconds]
        return Row(f"{title}, {what}", unit, median(values), name=f"scale.pools.{name}", ours=values, **more)  # pyright: ignore[reportArgumentType]

    growth = median(many.changed) / median(few.changed)
    return [
        row("fill", "written, 500 at once", [many.fill]),
        row("read", f"a pool's {each:,} read", many.read),
        row("compile", f"a pool's {each:,} compiled", many.compiled),
        row("compare", f"a pool's {each:,} compared", many.compared),
        row(
            "change",
            "one changed: written, read, compiled, p50",
            many.changed,
            "ms",
            peer=f"{FEW} endpoints",
            peer_value=median(few.changed) * 1000,
            ratio=growth,
            goals=(ratio_at_most(GROWTH, growth),),
            peer_values=[value * 1000 for value in few.changed],
        ),
    ]
