"""Run all benchmarks, print figures and ratios, write them to bench/results.json.

Exit status 0 says that everything was measured, whatever the figures are; a goal that is not met is printed.
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from tests.benchmarks import commands, control_plane, data_path, restart, store
from tests.benchmarks.deployment import BenchmarkBroken, running
from tests.benchmarks.report import Report, describe_machine, say

OUTPUT = Path(__file__).resolve().parents[2] / "bench" / "results.json"
ENDPOINT_COUNT, SERVICE_COUNT = 1000, 10


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is measured."""

    latency_samples: int
    rounds: int
    seconds_per_round: float
    exec_samples: int
    store_samples: int
    restarts: int


FULL = Extent(120, 15, 0.5, 100, 300, 5)
QUICK = Extent(30, 5, 0.3, 30, 100, 2)


def main() -> int:
    """Run as a command."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer samples: under two minutes instead of six")
    parser.add_argument("--output", type=Path, default=OUTPUT, metavar="FILE", help="default: bench/results.json")
    arguments = parser.parse_args()
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, _end)
    began = time.monotonic()
    report = Report(describe_machine())
    say(", ".join(f"{name} {value}" for name, value in report.machine.items()))
    try:
        with compiled_modules():
            run(report, QUICK if arguments.quick else FULL)
    except (BenchmarkBroken, subprocess.SubprocessError, OSError) as broken:
        print(f"error: {broken}", file=sys.stderr)
        return 1
    took = round(time.monotonic() - began, 1)
    results = {"is_quick": arguments.quick, "seconds": took, **report.as_json()}
    arguments.output.write_text(json.dumps(results, ensure_ascii=False) + "\n")
    missed = report.missed()
    say(f"\n{took:.0f} s. Figures in {arguments.output}. Goals not met: {len(missed)}")
    for sentence in missed:
        say(f"  NOT MET: {sentence}")
    return 0


def run(report: Report, extent: Extent) -> None:
    """Measure everything, and report each section as soon as it is there.

    Raises:
        BenchmarkBroken: something did not work, so that there is nothing to measure.
    """
    # Of those that a namespace may have as its default (for proxies); not bbr, which paces on a guess of the speed.
    allowed = Path("/proc/sys/net/ipv4/tcp_allowed_congestion_control").read_text().split()
    congestion_control = "cubic" if "cubic" in allowed else "reno"
    writes = store.measure(extent.store_samples)
    report.section("Store", store.rows(writes))
    with contextlib.ExitStack() as stack:
        empty_world = stack.enter_context(running("empty", congestion_control))
        full_world = stack.enter_context(running("full", congestion_control))
        empty, full = control_plane.prepare(empty_world), control_plane.prepare(full_world)
        seconds = control_plane.fill(full, ENDPOINT_COUNT, SERVICE_COUNT)
        report.note(f"{ENDPOINT_COUNT:,} endpoints were created and accepted in {seconds:.1f} s.")

        before = empty_world.metrics(), full_world.metrics()
        control_plane.measure([empty, full], extent.latency_samples)
        after = empty_world.metrics(), full_world.metrics()
        report.section("Control plane", control_plane.rows(empty.samples, full.samples))
        inside = control_plane.inside_rows((before[0], after[0]), (before[1], after[1]))
        report.section("Where the time goes", control_plane.answer_rows(empty.samples, full.samples) + inside)

        executions = commands.measure(empty_world, extent.exec_samples)
        report.section("Lab", commands.rows(executions))

        crowded = data_path.endpoint_way(full, data_path.CROWDED)
        ways = [
            data_path.Way(data_path.ROUTED, empty.neighbour, data_path.BACKEND_ADDRESS),
            data_path.endpoint_way(empty, data_path.ENDPOINT),
            crowded,
        ]
        with data_path.proxy_way(empty) as proxy:
            if proxy is None:
                report.note(data_path.NO_PROXY)
            else:
                ways.append(proxy)
            carried = data_path.measure(ways, extent.rounds, extent.seconds_per_round)
        report.note(f"Congestion control on all ways: {congestion_control}.")
        report.section("Data path", data_path.rows(carried))

        worlds = {restart.EMPTY: empty_world, restart.FULL: full_world}
        restarts = restart.measure(worlds, crowded, extent.restarts)
        report.section("Restart", restart.rows(restarts))
    report.samples = {
        "store_milliseconds": writes,
        "control_plane_milliseconds": {restart.EMPTY: empty.samples, restart.FULL: full.samples},
        "lab_milliseconds": executions,
        "data_path": carried,
        "restart_seconds": restarts,
    }


@contextlib.contextmanager
def compiled_modules() -> Iterator[None]:
    """Let the processes that are started find compiled modules, as they do on any machine after the first start.

    Where nobody may write beside the sources, or PYTHONDONTWRITEBYTECODE is set, each start would compile everything
    again, and that would be what is measured.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryDirectory(prefix="landbridge-bench-pycache-", ignore_cleanup_errors=True) as directory:
        os.environ["PYTHONPYCACHEPREFIX"] = directory
        yield


def _end(_number: int, _frame: object) -> NoReturn:
    # As an exception, so that the servers are ended and the labs taken down.
    sys.exit(143)


if __name__ == "__main__":
    sys.exit(main())
