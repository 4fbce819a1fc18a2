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
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

from tests.benchmarks import api_speed, commands, control_plane, data_path, load, peers, restart, scale, store
from tests.benchmarks.deployment import running
from tests.benchmarks.failures import BenchmarkBroken, NotCarried
from tests.benchmarks.figures import Row
from tests.benchmarks.report import Report, describe_commit, describe_machine, describe_versions, say

OUTPUT = Path(__file__).resolve().parents[2] / "bench" / "results.json"
_ENDING = (signal.SIGINT, signal.SIGTERM)
ENDPOINT_COUNT = 1000
"""Present while the control plane is measured."""
CROWD_MODES = {data_path.CLOSE: 5, data_path.TOA_OPEN: 4, data_path.PROXY_OPEN: 1}
"""How many services there are for the endpoints that only have to be there; the endpoints are spread evenly."""


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is measured."""

    latency_samples: int
    crowd: int
    """Endpoints that are present while the data path is measured."""
    rounds: int
    seconds_per_order: float
    exec_samples: int
    store_samples: int
    restarts: int
    estate: int
    """Endpoints of the estate that is measured; larger ones are measured by `tests.benchmarks.scale` alone."""
    api: api_speed.ApiExtent


FULL = Extent(120, 10_000, 41, 0.1, 100, 300, 3, ENDPOINT_COUNT, api_speed.FULL)
QUICK = Extent(20, ENDPOINT_COUNT, 9, 0.06, 20, 50, 1, 0, api_speed.QUICK)


def main() -> int:
    """Run as a command."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer samples: under three minutes instead of fifteen")
    parser.add_argument("--data-path", action="store_true", help="the data path alone")
    parser.add_argument("--api", action="store_true", help="the speed of the API alone")
    parser.add_argument("--crowd", type=int, metavar="COUNT", help="endpoints present; default: 10,000, quick 1,000")
    parser.add_argument("--output", type=Path, default=OUTPUT, metavar="FILE", help="default: bench/results.json")
    arguments = parser.parse_args()
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    for number in _ENDING:
        signal.signal(number, _end)
    began = time.monotonic()
    extent = QUICK if arguments.quick else FULL
    if arguments.crowd is not None:
        extent = replace(extent, crowd=arguments.crowd)
    report = Report(describe_machine(), describe_versions(), describe_commit(), arguments.quick)
    say(", ".join(f"{name} {value}" for name, value in (report.machine | report.versions).items()))
    try:
        with compiled_modules():
            if not arguments.data_path:
                measure_api(report, extent.api)
                if extent.estate:
                    report.section("Scale", scale.rows(*scale.measure(extent.estate)))
            if not arguments.api:
                run(report, extent, is_data_path_alone=arguments.data_path)
    except (BenchmarkBroken, NotCarried, subprocess.SubprocessError, OSError) as broken:
        print(f"error: {broken}", file=sys.stderr)
        return 1
    took = time.monotonic() - began
    arguments.output.write_text(json.dumps(report.as_json(took), ensure_ascii=False) + "\n")
    missed, is_open = report.missed(), report.open()
    say(f"\n{took:.0f} s. Figures in {arguments.output}. Goals not met: {len(missed)}, open: {len(is_open)}")
    for sentence in missed:
        say(f"  NOT MET: {sentence}")
    for sentence in is_open:
        say(f"  open, within the spread: {sentence}")
    return 0


def run(report: Report, extent: Extent, *, is_data_path_alone: bool) -> None:
    """Measure everything, and report each section as soon as it is there.

    Raises:
        BenchmarkBroken: something did not work, so that there is nothing to measure.
        NotCarried: not even tcp_proxy close is carried here.
    """
    # Of those that a namespace may have as its default (for proxies); not bbr, which paces on a guess of the speed.
    allowed = Path("/proc/sys/net/ipv4/tcp_allowed_congestion_control").read_text().split()
    congestion_control = "cubic" if "cubic" in allowed else "reno"
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="landbridge-bench-load-")))
        program = load.build(directory)
        if not is_data_path_alone:
            report.section("Store", store.rows(store.measure(extent.store_samples)))
        empty_world = stack.enter_context(running("empty", congestion_control))
        full_world = stack.enter_context(running("full", congestion_control))
        empty, full = control_plane.prepare(empty_world), control_plane.prepare(full_world)
        services = _crowd_services(report, full)
        seconds = full_world.fill(full.consumer, services, min(ENDPOINT_COUNT, extent.crowd))
        report.note(f"{full_world.endpoint_count:,} endpoints were created and accepted in {seconds:.1f} s.")
        if not is_data_path_alone:
            before = empty_world.metrics(), full_world.metrics()
            control_plane.measure([empty, full], extent.latency_samples)
            after = empty_world.metrics(), full_world.metrics()
            report.section("Control plane", control_plane.rows(empty.samples, full.samples))
            inside = control_plane.inside_rows((before[0], after[0]), (before[1], after[1]))
            report.section("Where the time goes", control_plane.answer_rows(empty.samples, full.samples) + inside)
            report.section("Lab", commands.rows(commands.measure(empty_world, extent.exec_samples)))
        if extent.crowd > full_world.endpoint_count:
            more = extent.crowd - full_world.endpoint_count
            seconds = full_world.fill(full.consumer, services, more)
            report.note(f"{more:,} more endpoints were created and accepted in {seconds:.1f} s.")

        report.section("Data path", measure_data_path(report, extent, program, empty, full))

        if not is_data_path_alone:
            address = full_world.connect(full.consumer, full.open_service)
            took = restart.measure([empty_world, full_world], full.client, address, extent.restarts)
            rows = restart.rows(took[empty_world.name], took[full_world.name], full_world.endpoint_count)
            report.section("Restart", rows)


def measure_api(report: Report, extent: api_speed.ApiExtent) -> None:
    """Measure how many requests are answered, and how fast, before anything else runs here."""
    results = api_speed.measure(extent)
    report.section("API, requests per second", api_speed.rate_rows(results))
    report.section("API, latencies", api_speed.latency_rows(results))
    for sentence in api_speed.notes(extent):
        report.note(sentence)


def measure_data_path(
    report: Report, extent: Extent, program: Path, empty: control_plane.Side, full: control_plane.Side
) -> list[Row]:
    """Measure all modes and all peers in turns; note what else a reader has to know."""
    processors = load.processors()
    congestion_control = empty.world.congestion_control
    settings = data_path.settings(congestion_control)
    for side in (empty, full):
        side.world.set_everywhere(settings)
    with peers.running(program, processors, congestion_control, settings) as others:
        alone = data_path.prepare(empty, program, processors, is_crowded=False)
        crowded = data_path.prepare(full, program, processors, is_crowded=True)
        counters = data_path.counters({"no endpoints": empty, "many endpoints": full}, others.counters)
        losses = data_path.Losses(counters)
        ways = data_path.in_turns(others.ways, alone.ways, crowded.ways)
        began, busy_before = time.monotonic(), [side.world.processor_seconds() for side in (empty, full)]
        carried = load.measure(ways, extent.rounds, extent.seconds_per_order, losses.look)
        took, busy = time.monotonic() - began, [side.world.processor_seconds() for side in (empty, full)]
        for sentence in losses.sentences():
            report.note(sentence)
    shares = [100 * (after - before) / took for before, after in zip(busy_before, busy, strict=True)]
    report.note(
        f"In these {took:.0f} s the server without endpoints used {shares[0]:.0f} % of a core, "
        f"the one with {full.world.endpoint_count:,} {shares[1]:.0f} %."
    )
    report.note(
        f"{extent.rounds} rounds of {extent.seconds_per_order:g} s, each on all ways in turns; congestion control on "
        f"all of them: {congestion_control}; clients on processor {processors[0]}, backends on {processors[1]}."
    )
    if others.missing:
        report.note(f"Not installed, so not compared: {', '.join(others.missing)}.")
    for mode, reason in alone.reasons.items():
        report.note(f"Not carried here: {mode}. {reason}.")
    reasons = alone.reasons | {data_path.many(mode): reason for mode, reason in crowded.reasons.items()}
    return data_path.rows(carried, reasons, full.world.endpoint_count)


def _crowd_services(report: Report, full: control_plane.Side) -> list[tuple[str, str]]:
    """Publish them; return each one's id with the VPC that shall connect to it."""
    services: list[tuple[str, str]] = []
    for mode, count in CROWD_MODES.items():
        try:
            found = control_plane.crowd_services(full, mode, count)
            services += [(service_id, data_path.VPC_OF_MODE[mode]) for service_id in found]
        except NotCarried as refusal:
            report.note(f"There are no endpoints of {mode} among the many: {refusal}.")
    return services


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


def _end(number: int, _frame: object) -> NoReturn:
    # As an exception, so that the servers are ended and the labs taken down; a second Ctrl-C must not disturb that,
    # here or in the commands that do it.
    for each in _ENDING:
        signal.signal(each, signal.SIG_IGN)
    print("ended before everything was measured: taking down what was started", file=sys.stderr)
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
