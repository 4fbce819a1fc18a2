"""Measure how long a server that was killed takes to be back, with its data plane adopted.

Adopting compares every endpoint with what is in the kernel, so it grows with their number; afterwards a byte through an
endpoint proves that the data plane is still the one that was there.
"""

import time
from collections.abc import Mapping, Sequence

from tests.benchmarks.deployment import GREET_PORT, World
from tests.benchmarks.failures import BenchmarkBroken
from tests.benchmarks.figures import Row, median
from tests.benchmarks.processes import OnHost

REST_SECONDS = 0.5


def measure(worlds: Sequence[World], client: OnHost, address: str, repetitions: int) -> Mapping[str, Sequence[float]]:
    """Kill and start the servers in turns; return the seconds until each answered, by the world's name.

    `address` is that of an endpoint that was there before, and `client` is in its VPC.
    """
    seconds: dict[str, list[float]] = {world.name: [] for world in worlds}
    for _ in range(repetitions):
        for world in worlds:
            world.kill()
            seconds[world.name].append(world.start())
            time.sleep(REST_SECONDS)
    if client.ask(f"probe {address} {GREET_PORT}")["first_byte_ns"] is None:
        raise BenchmarkBroken("no byte passed through an endpoint after the restarts")
    return seconds


def rows(empty: Sequence[float], full: Sequence[float], crowd: int) -> list[Row]:
    """Return the rows of what was measured on the server without endpoints and on the one with many."""
    what, alone, crowded = "kill → start → ready", median(empty), median(full)
    return [
        Row(f"{what}, 0 endpoints", "s", alone, sample_count=len(empty), name="restart.empty", ours=empty),
        Row(
            f"{what}, {crowd:,} endpoints",
            "s",
            crowded,
            "0 endpoints",
            alone,
            crowded / alone,
            sample_count=len(full),
            name="restart.many",
            ours=full,
            peer_values=empty,
        ),
    ]
