"""Measure a durable write of the store, alone and in company, beside a bare fsync in the same directory.

The write replaces one row; it is on disk when it returns, so a disk that syncs slowly makes both slow. That a group of
writers shares one sync is what the second figure shows.
"""

import asyncio
import contextlib
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from landbridge.control.accounts import ProjectRecord
from landbridge.control.protocols import WriteTransaction
from landbridge.domain.ids import DomainId, ProjectId
from landbridge.store.sqlite import SqliteStore
from tests.benchmarks.figures import Row, median, percentile

CONCURRENT = 50
ALONE, TOGETHER, GROUP, FSYNC = "alone", "one of 50 concurrent", "50 concurrent", "fsync"
PAGE_BYTES = 4096


def measure(sample_count: int) -> Mapping[str, Sequence[float]]:
    """Return milliseconds of single writes, of groups of 50, and of bare syncs, measured in turns."""
    with tempfile.TemporaryDirectory(prefix="landbridge-bench-store-") as directory:
        return asyncio.run(_measure(Path(directory), sample_count))


async def _measure(directory: Path, sample_count: int) -> Mapping[str, Sequence[float]]:
    samples: dict[str, list[float]] = {ALONE: [], TOGETHER: [], GROUP: [], FSYNC: []}
    descriptor = os.open(directory / "bare", os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        with contextlib.closing(SqliteStore.open(directory / "store.sqlite3")) as store:
            for number in range(sample_count):
                samples[FSYNC].append(_bare_sync(descriptor))
                samples[ALONE].append(await _timed_write(store, number))
                if number % 5 == 0:
                    began = time.monotonic()
                    samples[TOGETHER] += await asyncio.gather(*(_timed_write(store, i) for i in range(CONCURRENT)))
                    samples[GROUP].append((time.monotonic() - began) * 1000)
    finally:
        os.close(descriptor)
    return samples


def _bare_sync(descriptor: int) -> float:
    began = time.monotonic()
    os.write(descriptor, bytes(PAGE_BYTES))
    os.fsync(descriptor)
    return (time.monotonic() - began) * 1000


async def _timed_write(store: SqliteStore, number: int) -> float:
    record = ProjectRecord(ProjectId(f"{number:032x}"), f"p{number}", DomainId("d" * 32), "d")
    began = time.monotonic()
    await store.write(partial(_put, record))
    return (time.monotonic() - began) * 1000


def _put(record: ProjectRecord, tx: WriteTransaction) -> None:
    tx.put_project(record)


def rows(samples: Mapping[str, Sequence[float]]) -> list[Row]:
    """Return the rows of what was measured."""
    result: list[Row] = []
    for what in (ALONE, TOGETHER):
        for percent in (50, 99):
            took, sync = percentile(samples[what], percent), percentile(samples[FSYNC], percent)
            name = f"store write, {what}, p{percent}"
            result.append(
                Row(
                    name,
                    "ms",
                    took,
                    "bare fsync",
                    sync,
                    took / sync,
                    sample_count=len(samples[what]),
                    ours=samples[what],
                    peer_values=samples[FSYNC],
                )
            )
    per_second, syncs = CONCURRENT * 1000 / median(samples[GROUP]), 1000 / median(samples[FSYNC])
    name = f"store writes, {GROUP}"
    result.append(
        Row(name, "/s", per_second, "bare fsync", syncs, per_second / syncs, sample_count=len(samples[GROUP]))
    )
    return result
