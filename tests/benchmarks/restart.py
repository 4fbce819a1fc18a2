"""Measure how long a server that was killed takes to be back, with its data plane adopted.

Adopting compares every endpoint with what is in the kernel, so it grows with their number; afterwards a byte through an
endpoint proves that the data plane is still the one that was there.
"""

import time
from collections.abc import Mapping, Sequence

from tests.benchmarks.data_path import Way
from tests.benchmarks.deployment import ECHO_PORT, BenchmarkBroken, World
from tests.benchmarks.figures import Row, median

EMPTY, FULL = "0 endpoints", "1,000 endpoints"


def measure(worlds: Mapping[str, World], carried: Way, repetitions: int) -> Mapping[str, Sequence[float]]:
    """Kill and start the servers in turns; return the seconds until each answered."""
    seconds: dict[str, list[float]] = {name: [] for name in worlds}
    for _ in range(repetitions):
        for name, world in worlds.items():
            world.kill()
            time.sleep(0.2)
            seconds[name].append(world.start())
            time.sleep(0.5)
    if not carried.client.ask(f"echo {carried.address} {ECHO_PORT} 0.05")["count"]:
        raise BenchmarkBroken("no byte passed through an endpoint after the restarts")
    return seconds


def rows(seconds: Mapping[str, Sequence[float]]) -> list[Row]:
    """Return the rows of what was measured."""
    empty, full = median(seconds[EMPTY]), median(seconds[FULL])
    what = "kill → start → ready"
    return [
        Row(f"{what}, {EMPTY}", "s", empty, sample_count=len(seconds[EMPTY])),
        Row(f"{what}, {FULL}", "s", full, EMPTY, empty, full / empty, sample_count=len(seconds[FULL])),
    ]
