"""Measure what an endpoint costs the bytes: a plain routed path, endpoints, and a userspace proxy if one is installed.

All ways end at the same kind of backend, with the same congestion control, and are measured in turns, round by round;
a ratio is the median of the rounds' own ratios, so that slow moments of the machine meet all ways.

- *routed*: client and backend in two subnets of one VPC, so one edge routes between them.
- *endpoint*: client and backend in two VPCs, so two edges, address translation and the check of every packet.
- *haproxy* or *socat*: as routed, with a proxy process on a host beside the client.
"""

import contextlib
import shutil
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.benchmarks.control_plane import Side
from tests.benchmarks.deployment import (
    BACKEND_ADDRESS,
    ECHO_PORT,
    GREET_PORT,
    PROXY_ADDRESS,
    SINK_PORT,
    BenchmarkBroken,
    OnHost,
)
from tests.benchmarks.figures import Goal, Row, median, ratio_at_least, ratio_at_most

ROUTED, ENDPOINT, CROWDED = "routed", "endpoint", "endpoint, 1,000 present"
NO_PROXY = "haproxy and socat are not installed, so there is no userspace proxy among the peers"

HAPROXY = """\
global
    maxconn 4096
defaults
    mode tcp
    option splice-auto
    timeout connect 5s
    timeout client 60s
    timeout server 60s
"""


@dataclass(frozen=True, slots=True)
class Way:
    """A way from a client to a backend."""

    name: str
    client: OnHost
    address: str


@dataclass(frozen=True, slots=True)
class Measure:
    """One thing to measure on every way."""

    what: str
    unit: str
    order: str
    """Of on_host/client.py, with the places of address and seconds in braces."""
    answer_key: str
    ratio_to_beat: float
    """An endpoint's to the routed way, as the first prototype had it (docs/reference/benchmarks.md)."""
    less_is_better: bool = False

    def goal(self, ratio: float) -> Goal:
        """Return the goal for an endpoint's ratio to the routed way."""
        judge = ratio_at_most if self.less_is_better else ratio_at_least
        return judge(self.ratio_to_beat, ratio)


MEASURES = (
    Measure("1 stream", "Gbit/s", f"stream {{address}} {SINK_PORT} 1 {{seconds}}", "gigabits_per_second", 0.66),
    Measure("8 streams", "Gbit/s", f"stream {{address}} {SINK_PORT} 8 {{seconds}}", "gigabits_per_second", 0.90),
    Measure("request/response, p50", "µs", f"echo {{address}} {ECHO_PORT} {{seconds}}", "p50_us", 1.17, True),
    Measure("connect + request, 4 clients", "/s", f"connect {{address}} {ECHO_PORT} 4 {{seconds}}", "per_second", 0.71),
)

Results = Mapping[str, Mapping[str, Sequence[float]]]
"""What was measured → way → one value for each round."""


def endpoint_way(side: Side, name: str) -> Way:
    """Publish the measured ports in a world, make an endpoint for them, and return the way through it."""
    service_id = side.world.publish(side.provider, [(port, port) for port in (SINK_PORT, ECHO_PORT)], "backend")
    address = side.world.fresh_address()
    body = side.world.endpoint_body(service_id, address)
    endpoint_id = side.consumer.call("POST", "vpc-endpoints", body)["id"]
    side.consumer.poll(f"vpc-endpoints/{endpoint_id}", "accepted")
    return Way(name, side.client, address)


def measure(ways: Sequence[Way], rounds: int, seconds: float) -> Results:
    """Measure everything on all ways, in turns."""
    results: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for way in ways:  # neighbours and caches
        for each in MEASURES:
            way.client.ask(each.order.format(address=way.address, seconds=0.1))
    for number in range(rounds):
        for each in MEASURES:
            for way in ways if number % 2 else reversed(ways):
                answer = way.client.ask(each.order.format(address=way.address, seconds=seconds))
                results[each.what][way.name].append(answer[each.answer_key])
    return results


def rows(results: Results) -> list[Row]:
    """Return a row for each measure and way; only endpoints have goals."""
    found: list[Row] = []
    for each in MEASURES:
        values_by_way = results[each.what]
        routed = values_by_way[ROUTED]
        found.append(Row(f"{each.what}, {ROUTED}", each.unit, median(routed), sample_count=len(routed)))
        for name in sorted(values_by_way.keys() - {ROUTED}):
            values = values_by_way[name]
            ratio = median([value / peer for value, peer in zip(values, routed, strict=True)])
            goals = (each.goal(ratio),) if name in {ENDPOINT, CROWDED} else ()
            what = f"{each.what}, {name}"
            found.append(Row(what, each.unit, median(values), ROUTED, median(routed), ratio, goals, len(values)))
    return found


@contextlib.contextmanager
def proxy_way(side: Side) -> Iterator[Way | None]:
    """Run a userspace proxy on the host beside the client, if one is installed, and yield the way through it."""
    name = next((tool for tool in ("haproxy", "socat") if shutil.which(tool)), None)
    if name is None:
        yield None
        return
    set_congestion_control = "echo $0 > /proc/sys/net/ipv4/tcp_congestion_control"
    words = ("sh", "-c", set_congestion_control, side.world.congestion_control)
    subprocess.run(side.world.exec_command("proxy", *words), check=True)
    commands = _haproxy(side) if name == "haproxy" else _socat()
    processes = [subprocess.Popen(side.world.exec_command("proxy", *command)) for command in commands]
    try:
        _wait_for_proxy(side)
        yield Way(name, side.neighbour, PROXY_ADDRESS)
    finally:
        for process in processes:
            process.terminate()
            process.wait(10)


def _haproxy(side: Side) -> list[list[str]]:
    configuration = side.world.home / "haproxy.cfg"
    sections = [
        f"listen port-{port}\n    bind :{port}\n    server backend {BACKEND_ADDRESS}:{port}\n"
        for port in (SINK_PORT, ECHO_PORT, GREET_PORT)
    ]
    configuration.write_text(HAPROXY + "".join(sections))
    return [["haproxy", "-db", "-q", "-f", str(configuration)]]


def _socat() -> list[list[str]]:
    return [
        ["socat", f"TCP-LISTEN:{port},fork,reuseaddr,backlog=1024", f"TCP:{BACKEND_ADDRESS}:{port},nodelay"]
        for port in (SINK_PORT, ECHO_PORT, GREET_PORT)
    ]


def _wait_for_proxy(side: Side) -> None:
    if side.neighbour.ask(f"probe {PROXY_ADDRESS} {GREET_PORT}")["first_byte_ns"] is None:
        raise BenchmarkBroken("the userspace proxy does not answer")
    time.sleep(0.2)  # the other ports' listeners
