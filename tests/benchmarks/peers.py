"""Run the peers: plain routers, and proxies on the first of them, with the configurations of bench/peers."""

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from shutil import which

from landbridge.settings import Settings
from tests.benchmarks import inside as places
from tests.benchmarks.failures import BenchmarkBroken
from tests.benchmarks.load import Way
from tests.benchmarks.processes import ON_HOST, PYTHON_ON_HOST, OnHost, inside, run_inside

CONFIGURATIONS = Path(__file__).resolve().parents[2] / "bench" / "peers"
ROUTED, ENVOY, HAPROXY, NGINX, SOCAT = "routed-2", "envoy", "haproxy", "nginx", "socat"
REQUESTS_PORT, STREAMS_PORT = 9010, 9011
"""Of the backend; the proxies' ports are in their configurations."""
_PROXY_PORTS = {ENVOY: 7611, HAPROXY: 7621, NGINX: 7631, SOCAT: 7641}
_START_SECONDS = 20.0


def commands(directory: Path) -> Mapping[str, list[list[str]]]:
    """Return the command lines of each proxy that is installed."""
    envoy = Path(sys.executable).with_name("envoy")
    words = ["--concurrency", str(Settings().proxy_concurrency), "--log-level", "error", "--use-dynamic-base-id"]
    found: dict[str, list[list[str]]] = {}
    if envoy.exists():
        found[ENVOY] = [[str(envoy), *words, "-c", str(CONFIGURATIONS / "envoy.yaml")]]
    if program := which("haproxy"):
        found[HAPROXY] = [[program, "-db", "-q", "-f", str(CONFIGURATIONS / "haproxy.cfg")]]
    if program := which("nginx"):
        found[NGINX] = [[program, "-p", str(directory), "-c", str(CONFIGURATIONS / "nginx.conf")]]
    if program := which("socat"):
        found[SOCAT] = [
            [
                program,
                f"TCP-LISTEN:{_PROXY_PORTS[SOCAT] + port - REQUESTS_PORT},fork,reuseaddr,backlog=1024,nodelay",
                f"TCP:{places.BACKEND_ADDRESS}:{port},nodelay",
            ]
            for port in (REQUESTS_PORT, STREAMS_PORT)
        ]
    return found


@dataclass
class Peers:
    """The running peers."""

    ways: list[Way]
    missing: list[str]
    """Proxies that are not installed."""
    counters: dict[str, OnHost]
    """What reads the counters of the routers, see on_host/counters.py."""


@contextlib.contextmanager
def running(
    program: Path, processors: tuple[int, int], congestion_control: str, settings: Mapping[str, str]
) -> Iterator[Peers]:
    """Run all peers that are installed while the block runs; take their network away whatever happens."""
    prefix = f"lbt-bench-{os.getpid()}."
    with contextlib.ExitStack() as stack:
        state = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="landbridge-bench-peers-")))
        stack.callback(release, state)
        stack.callback(run_inside, state, "remove", prefix)
        run_inside(state, "plain", prefix)
        run_inside(state, "set", prefix, *(f"{name}={value}" for name, value in settings.items()))

        def start(place: str, *command: str) -> OnHost:
            process = OnHost(inside(state, "exec", prefix + place, *command))
            stack.callback(process.end)
            return process

        start(places.BACKEND, str(program), "serve", str(REQUESTS_PORT), congestion_control, str(processors[1]))
        client, near_client = (
            start(places.CLIENT, str(program), "client", congestion_control, str(processor)) for processor in processors
        )
        ways = [Way(ROUTED, client, near_client, places.BACKEND_ADDRESS, REQUESTS_PORT, STREAMS_PORT)]
        available = commands(state)
        for name, lines in available.items():
            for line in lines:
                stack.enter_context(_background(inside(state, "exec", prefix + places.NEAR, *line), state / name))
            port = _PROXY_PORTS[name]
            way = Way(name, client, near_client, places.NEAR_ADDRESS, port, port + 1)
            _wait_for(way, state / name)
            ways.append(way)
        missing = sorted(_PROXY_PORTS.keys() - available.keys())
        words = [*PYTHON_ON_HOST, str(ON_HOST / "counters.py")]
        counters = {f"{place}, peers": start(place, *words) for place in places.PLACES}
        yield Peers(ways, missing, counters)


def release(state: Path) -> None:
    """End what keeps the namespaces of a state directory, if an ordinary user made them."""
    run_inside(state, "release", "-")


@contextlib.contextmanager
def _background(command: list[str], log: Path) -> Iterator[None]:
    with log.open("ab") as output, subprocess.Popen(command, stdout=output, stderr=output, process_group=0) as process:
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait_for(way: Way, log: Path) -> None:
    """Ask until both ports of a proxy answer."""
    for port in (way.requests_port, way.streams_port):
        if way.client.ask(f"probe {way.address} {port} {_START_SECONDS}")["errors"]:
            raise BenchmarkBroken(f"{way.name} does not answer: {log.read_text(errors='replace')[-2000:]}")
