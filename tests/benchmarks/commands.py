"""Measure what `landbridge lab exec HOST -- true` adds to `true`.

The start of a Python interpreter is measured beside it, as no command that is written in Python can be faster.
"""

import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence

from tests.benchmarks.deployment import World
from tests.benchmarks.figures import Row, below, percentile

GOAL_MS = 150.0
LAB_EXEC, TRUE, PYTHON = "lab exec HOST -- true", "true", "python -c pass"


def measure(world: World, sample_count: int) -> Mapping[str, Sequence[float]]:
    """Run the three commands in turns; return milliseconds by command."""
    commands = {
        LAB_EXEC: world.exec_command("client", "true"),
        TRUE: ["true"],
        PYTHON: [sys.executable, "-c", "pass"],
    }
    samples: dict[str, list[float]] = defaultdict(list)
    for number in range(sample_count + 1):
        for name, command in commands.items():
            began = time.monotonic()
            subprocess.run(command, check=True)
            took = (time.monotonic() - began) * 1000
            if number:  # the first one fills caches
                samples[name].append(took)
    return samples


def rows(samples: Mapping[str, Sequence[float]]) -> list[Row]:
    """Return the rows of what was measured."""
    result: list[Row] = []
    for percent in (50, 99):
        took = percentile(samples[LAB_EXEC], percent)
        for peer in (TRUE, PYTHON):
            peer_took = percentile(samples[peer], percent)
            goals = (below(GOAL_MS, took, "ms"),) if peer == TRUE else ()
            name = f"{LAB_EXEC}, p{percent}"
            count = len(samples[LAB_EXEC])
            samples_of = {"ours": samples[LAB_EXEC], "peer_values": samples[peer]}
            result.append(Row(name, "ms", took, peer, peer_took, took / peer_took, goals, count, **samples_of))
    return result
