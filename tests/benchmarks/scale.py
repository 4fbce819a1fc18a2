"""Measure an estate of many endpoints: cold start, sweep, one more endpoint, verify, memory.

`python -m tests.benchmarks.scale [COUNT …] [--pools]` measures estates of these sizes (see `scale_world`), and with
`--pools` 100,000 endpoints over four pools with the pure core and the store alone; without any of these, everything. It
prints the figures and writes them to bench/scale.json, in the shape of results.json. Each estate is a real server with
a lab of its own, beside one that has no endpoint; clients in twenty VPCs really connect.
"""

import argparse
import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from landbridge.domain.ids import PoolId
from landbridge.domain.resources import Endpoint
from landbridge.store.sqlite import SqliteStore
from tests.benchmarks import scale_pools, scale_world
from tests.benchmarks.deployment import World
from tests.benchmarks.failures import BenchmarkBroken
from tests.benchmarks.figures import Row, below, median, ratio_at_most
from tests.benchmarks.processes import LANDBRIDGE
from tests.benchmarks.report import Report, describe_commit, describe_machine, describe_versions, say
from tests.benchmarks.scale_world import FIRST_CLIENT_PORT, FIRST_SERVER_PORT, Estate, lab, nic_name
from tests.benchmarks.tenants import Tenant

SIZES = (1_000, 10_000, 30_000)
OUTPUT = Path(__file__).resolve().parents[2] / "bench" / "scale.json"
ENDPOINTS_PER_INTERVAL_SECOND = 500
"""Decides on how often the servers sweep: often enough to measure it, and seldom enough to have an end."""
SHORTEST_INTERVAL_SECONDS = 2
COLD_START_SECONDS = {10_000: 15.0, 30_000: 40.0}
SWEEP_SECONDS = {10_000: 2.0}
GROWTH = 1.5
"""The most that one more endpoint may take, as a factor of what it takes where there is none."""
KIB_PER_ENDPOINT = 4.0
VERIFY_SECONDS = 600
_KERNEL = ("SUnreclaim", "Percpu", "VmallocUsed", "KernelStack", "PageTables")


@dataclass(slots=True)
class Measured:
    """What was measured of one estate."""

    estate: Estate
    cold_start_seconds: float = 0.0
    restart_seconds: float = 0.0
    sweep_seconds: Sequence[float] = ()
    first_sweep_seconds: float = 0.0
    one_more_ms: list[float] = field(default_factory=list[float])
    verify_seconds: float = 0.0
    process_kib: int = 0
    after_sweeps_kib: int = 0
    kernel_kib: int = 0


class Site:
    """A server with an estate."""

    def __init__(self, estate: Estate) -> None:
        interval = max(SHORTEST_INTERVAL_SECONDS, estate.endpoints // ENDPOINTS_PER_INTERVAL_SECOND)
        settings = f"sweep_interval_seconds = {interval}\nhealth_probes = false\n"
        self.world = World(f"scale-{estate.endpoints}", "", more_settings=settings)
        self.measured = Measured(estate)
        self._estate = estate
        self._endpoints: Sequence[Endpoint] = ()
        self._tenant: Tenant | None = None

    def open(self) -> None:
        """Fill the database, and start a server on a machine that carries nothing of it yet."""
        self.world.lab.write_text(lab(self._estate, self.world.region))
        self.world.start()
        self.world.stop()
        self._endpoints = asyncio.run(self._fill())
        before = kernel_kib()
        self.measured.cold_start_seconds = self.world.start()
        self.measured.kernel_kib = kernel_kib() - before
        self.measured.process_kib = self.world.memory_kib
        (self.measured.first_sweep_seconds,) = self._sweeps(1)
        self.connect_clients()

    async def _fill(self) -> Sequence[Endpoint]:
        with SqliteStore.open(self.world.state / "landbridge.sqlite3") as store:
            pools = [pool.id for pool in await store.read(lambda tx: tx.pools())]
            return await scale_world.fill(store, self._estate, self.world.ids, pools)

    def connect_clients(self) -> None:
        """Have a client in each of some VPCs connect to a backend through an endpoint. Raises BenchmarkBroken."""
        if not self._endpoints:
            return
        chosen = [self._endpoints[vpc * scale_world.ENDPOINTS_PER_VPC] for vpc in self._estate.client_vpcs()]
        providers = {
            self._estate.service_of(vpc * scale_world.ENDPOINTS_PER_VPC)[0] for vpc in self._estate.client_vpcs()
        }
        backends = [
            self.world.on_host(nic_name(provider, 0), "backend.py", str(FIRST_SERVER_PORT)) for provider in providers
        ]
        for vpc, endpoint in zip(self._estate.client_vpcs(), chosen, strict=True):
            client = self.world.client(f"client-{vpc}")
            if client.ask(f"probe {endpoint.address} {FIRST_CLIENT_PORT}")["first_byte_ns"] is None:
                raise BenchmarkBroken(f"no byte passed through the endpoint {endpoint.id}")
            client.end()
        for backend in backends:
            backend.end()

    def _sweeps(self, count: int) -> Sequence[float]:
        """Wait for so many sweeps more, from the last start on; return how long each took, in seconds."""
        took: list[float] = []
        seen, total = (0, 0.0) if count == 1 else _swept(self.world.metrics())
        while len(took) < count:
            number, seconds = _swept(self.world.metrics())
            if number > seen:
                took += [(seconds - total) / (number - seen)] * (number - seen)
                seen, total = number, seconds
            time.sleep(0.2)
        return took[:count]

    def wait_for_sweeps(self, count: int) -> None:
        """Measure so many sweeps that find nothing to do."""
        self.measured.sweep_seconds = self._sweeps(count) if count > 1 else ()
        self.measured.after_sweeps_kib = self.world.memory_kib

    def one_more(self) -> None:
        """Make one more endpoint, time it until the data plane has it, and delete it."""
        tenant = self._tenant = self._tenant or self.world.tenant("estate")
        facts = self.world.ids
        service = scale_world.services(self._estate, facts, [PoolId("")])[0]
        body = {
            "endpoint_service_id": service.id,
            "vpc_id": facts["vpcs"]["consumer-0"]["vpc_id"],
            "subnet_id": facts["subnets"]["consumer-0/apps"]["subnet_id"],
        }
        began = time.monotonic()
        made = tenant.call("POST", "vpc-endpoints", body)
        tenant.poll(f"vpc-endpoints/{made['id']}", "accepted")
        self.measured.one_more_ms.append((time.monotonic() - began) * 1000)
        tenant.call("DELETE", f"vpc-endpoints/{made['id']}")

    def restart(self) -> None:
        """Kill the server and start it: it adopts what is carried."""
        self.world.kill()
        self.measured.restart_seconds = self.world.start()
        self._tenant = None
        self.connect_clients()

    def verify(self) -> None:
        """Compare everything with the database by the command. Raises BenchmarkBroken if it differs."""
        began = time.monotonic()
        command = [LANDBRIDGE, "verify", "--state", str(self.world.state)]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=VERIFY_SECONDS)
        if done.returncode:
            raise BenchmarkBroken(f"verify ended with {done.returncode}: {(done.stdout + done.stderr)[-1000:]}")
        self.measured.verify_seconds = time.monotonic() - began


def measure(size: int, samples: int = 40, sweeps: int = 3) -> tuple[Measured, Measured]:
    """Measure an estate of that size; return it and one without endpoints."""
    with _site(Estate(0)) as empty, _site(Estate(size)) as full:
        full.wait_for_sweeps(sweeps)
        for _ in range(samples):
            empty.one_more()
            full.one_more()
        empty.wait_for_sweeps(0)
        full.verify()
        full.restart()
        return empty.measured, full.measured


@contextlib.contextmanager
def _site(estate: Estate) -> Iterator[Site]:
    site = Site(estate)
    try:
        site.open()
        yield site
    finally:
        site.world.clean_up()


def rows(empty: Measured, full: Measured) -> list[Row]:
    """Return the rows of one estate, beside the one without endpoints."""
    size = full.estate.endpoints
    what = f"{size:,} endpoints"

    def row(name: str, title: str, unit: str, value: float, **more: Any) -> Row:
        return Row(f"{title}, {what}", unit, value, name=f"scale.{size}.{name}", **more)

    cold, sweep = full.cold_start_seconds, median(full.sweep_seconds)
    alone, crowded = median(empty.one_more_ms), median(full.one_more_ms)
    growth = crowded / alone
    bytes_each = (full.process_kib - empty.process_kib) * 1024 / size
    return [
        row("cold_start", "cold start", "s", cold, goals=_limit(COLD_START_SECONDS, size, cold)),
        row("cold_start_endpoints", "of it endpoints", "s", full.first_sweep_seconds),
        row("restart", "restart, data plane adopted", "s", full.restart_seconds),
        row(
            "sweep",
            "sweep, nothing to do",
            "s",
            sweep,
            goals=_limit(SWEEP_SECONDS, size, sweep),
            ours=full.sweep_seconds,
        ),
        row(
            "one_more",
            "one more, p50",
            "ms",
            crowded,
            peer="0 endpoints",
            peer_value=alone,
            ratio=growth,
            goals=(ratio_at_most(GROWTH, growth),),
            ours=full.one_more_ms,
            peer_values=empty.one_more_ms,
        ),
        row("verify", "verify", "s", full.verify_seconds),
        row(
            "process_memory",
            "memory of the process for each",
            "kB",
            bytes_each / 1000,
            goals=(below(KIB_PER_ENDPOINT, bytes_each / 1000, "kB"),),
        ),
        row(
            "process_memory_later",
            "the same after sweeps",
            "kB",
            (full.after_sweeps_kib - empty.after_sweeps_kib) * 1.024 / size,
        ),
        row("kernel_memory", "memory of the kernel for each", "kB", full.kernel_kib * 1.024 / size),
    ]


def _limit(limits: Mapping[int, float], size: int, value: float) -> tuple[Any, ...]:
    return (below(limits[size], value, "s"),) if size in limits else ()


def kernel_kib() -> int:
    """Return the memory that the kernel has for itself, in KiB (proc_meminfo(5))."""
    lines = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    return sum(int(words[1]) for words in lines if words[0].rstrip(":") in _KERNEL)


def _swept(metrics: str) -> tuple[int, float]:
    """Return how many sweeps there were, and how many seconds they took together."""
    found = {"count": 0.0, "sum": 0.0}
    for line in metrics.splitlines():
        for part in found:
            if line.startswith(f"landbridge_round_duration_seconds_{part}") and 'kind="sweep"' in line:
                found[part] = float(line.rpartition(" ")[2])
    return int(found["count"]), found["sum"]


def main() -> int:
    """Run as a command."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.scale", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("sizes", nargs="*", type=int, metavar="COUNT", help="default: 1,000, 10,000 and 30,000")
    parser.add_argument("--pools", action="store_true", help="100,000 endpoints over four pools, core and store alone")
    parser.add_argument("--output", type=Path, default=OUTPUT, metavar="FILE", help="default: bench/scale.json")
    arguments = parser.parse_args()
    is_everything = not arguments.sizes and not arguments.pools
    began = time.monotonic()
    report = Report(describe_machine(), describe_versions(), describe_commit(), is_quick=False)
    say(", ".join(f"{name} {value}" for name, value in (report.machine | report.versions).items()))
    try:
        if arguments.pools or is_everything:
            report.section("Core and store alone", scale_pools.rows(*scale_pools.measure()))
        for size in SIZES if is_everything else arguments.sizes:
            report.section(f"{size:,} endpoints", rows(*measure(size)))
    except (BenchmarkBroken, subprocess.SubprocessError, OSError) as broken:
        print(f"error: {broken}", file=sys.stderr)
        return 1
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(report.as_json(time.monotonic() - began), ensure_ascii=False) + "\n")
    for sentence in report.missed():
        say(f"  NOT MET: {sentence}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
