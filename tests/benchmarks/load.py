"""Build the load generator, give it orders, and measure ways in turns, round by round.

The generator is compiled (bench/load/nb.c): what an interpreter costs at both ends would hide what is between them.
"""

import os
import subprocess
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.failures import BenchmarkBroken
from tests.benchmarks.processes import OnHost

SOURCE = Path(__file__).resolve().parents[2] / "bench" / "load" / "nb.c"
CLIENTS = 4
"""That connect at the same time."""
_WARM_UP_SECONDS = 0.1
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Way:
    """A way from a client to a backend."""

    name: str
    client: OnHost
    near_client: OnHost
    """The same, but on the backends' processor."""
    address: str
    requests_port: int
    streams_port: int


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure of an order's answer."""

    name: str
    what: str
    unit: str
    answer_key: str
    less_is_better: bool = False


@dataclass(frozen=True, slots=True)
class Order:
    """What a client is told to do, and what its answer says."""

    text: str
    measures: tuple[Measure, ...]
    is_near: bool = False
    """Sent from the backends' processor: nobody is woken on another one, so all that is measured is work."""


CONNECT = Measure("connect", f"connect + request, {CLIENTS} clients", "/s", "per_second")
RR_P50 = Measure("rr_p50", "request/response, p50", "µs", "p50", less_is_better=True)
RR_P99 = Measure("rr_p99", "request/response, p99", "µs", "p99", less_is_better=True)
STREAM_1 = Measure("stream_1", "1 stream", "Gbit/s", "gigabits_per_second")
STREAM_8 = Measure("stream_8", "8 streams", "Gbit/s", "gigabits_per_second")
RR_NEAR = Measure("rr_one_core_p50", "request/response on one core, p50", "µs", "p50", less_is_better=True)
MEASURES = (STREAM_1, STREAM_8, RR_P50, RR_P99, RR_NEAR, CONNECT)

ORDERS = (
    Order("stream {address} {streams_port} {seconds} 1", (STREAM_1,)),
    Order("stream {address} {streams_port} {seconds} 8", (STREAM_8,)),
    Order("rr {address} {requests_port} {seconds} 1", (RR_P50, RR_P99)),
    Order("rr {address} {requests_port} {seconds} 1", (RR_NEAR,), is_near=True),
    Order(f"connect {{address}} {{requests_port}} {{seconds}} {CLIENTS}", (CONNECT,)),
)

Results = Mapping[str, Mapping[str, Sequence[float]]]
"""Name of the measure → way → one value for each round."""


def build(directory: Path) -> Path:
    """Compile the generator into a directory and return the program."""
    program = directory / "nb"
    command = ["gcc", "-O2", "-pthread", str(SOURCE), "-o", str(program)]
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True)
    except FileNotFoundError as missing:
        raise BenchmarkBroken("there is no gcc: run scripts/bench-packages as root") from missing
    if done.returncode:
        raise BenchmarkBroken(f"the load generator was not built: {done.stderr}")
    return program


def processors() -> tuple[int, int]:
    """Return where the clients and where the backends run: two processors, as if they were two machines."""
    available = sorted(os.sched_getaffinity(0))
    return (available[0], available[1]) if len(available) > 1 else (-1, -1)


def measure(ways: Sequence[Way], rounds: int, seconds: float, after_order: Callable[[], None]) -> Results:
    """Carry all orders out on all ways in turns; the order of the ways changes with each round."""
    results: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for way in ways:  # neighbours and caches
        for order in ORDERS:
            ask(way, order, _WARM_UP_SECONDS)
    for number in range(rounds):
        for order in ORDERS:
            for way in ways if number % 2 else reversed(ways):
                answer = measured(way, order, seconds)
                for each in order.measures:
                    results[each.name][way.name].append(answer[each.answer_key])
            after_order()
    return results


def measured(way: Way, order: Order, seconds: float) -> Mapping[str, float]:
    """Carry one order out on one way and return the answer. On a busy machine one may pass without a result."""
    for _ in range(_ATTEMPTS):
        answer = ask(way, order, seconds)
        if not answer["errors"] and all(answer[each.answer_key] for each in order.measures):
            return answer
    raise BenchmarkBroken(f"the way {way.name} does not carry {order.text}: {answer}")


def ask(way: Way, order: Order, seconds: float) -> Mapping[str, float]:
    """Carry one order out on one way and return the answer."""
    text = order.text.format(
        address=way.address, requests_port=way.requests_port, streams_port=way.streams_port, seconds=seconds
    )
    return (way.near_client if order.is_near else way.client).ask(text)
