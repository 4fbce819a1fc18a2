"""Measure how long tenants wait: for an available service, for a first byte after a creation, after an acceptance.

Two servers run side by side, one without endpoints and one with 1,000; samples alternate between them, so that noise of
the machine meets both. Every measured endpoint has an address that its client never asked for before: a stale
neighbour entry of an earlier one would make the wait longer or shorter than a real one.

The first endpoint between two VPCs also makes the link between them, and the last one takes it away. So the server
without endpoints does more for each sample than the one with 1,000; what the 1,000 themselves cost shows in comparison
with one other endpoint, which is measured too.
"""

import re
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.benchmarks.deployment import BACKEND_ADDRESS, GREET_PORT, SECOND_GREET_PORT, World
from tests.benchmarks.failures import BenchmarkBroken
from tests.benchmarks.figures import Row, latency_rows, median
from tests.benchmarks.processes import OnHost
from tests.benchmarks.tenants import Tenant

WARM_UPS = 3
REST_SECONDS = 0.03
"""Between samples: what is left to do after the one before must not be counted to the next."""
AVAILABLE_MS, CREATED_MS, ACCEPTED_MS = 100.0, 250.0, 50.0
SERVICES, CREATED, ACCEPTED, BARE = (
    "POST service → available",
    "POST endpoint → first byte",
    "accept → first byte",
    "bare TCP connect → first byte",
)
ANSWERED = " (the POST's answer alone)"
WITH_ANOTHER = ", 1 endpoint"


@dataclass
class Side:
    """One of the two servers, with everything that a sample needs at hand."""

    world: World
    provider: Tenant
    consumer: Tenant
    client: OnHost
    neighbour: OnHost
    open_service: str
    """Takes everybody."""
    asking_service: str
    """Its provider has to accept each endpoint."""
    samples: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Milliseconds, by what was measured."""
    _numbers: int = 0

    def fresh_server_port(self) -> int:
        """Return a server port that no sample had."""
        self._numbers += 1
        return 10_000 + self._numbers


def prepare(world: World) -> Side:
    """Publish the services that the samples use, and start their clients."""
    world.start_backend()
    provider, consumer = world.tenant("acme"), world.tenant("globex")
    return Side(
        world,
        provider,
        consumer,
        world.client("client"),
        world.client("neighbour"),
        open_service=world.publish(provider, [(GREET_PORT, GREET_PORT)], "backend"),
        asking_service=world.publish(provider, [(GREET_PORT, SECOND_GREET_PORT)], "backend", needs_approval=True),
    )


def crowd_services(side: Side, mode: str, count: int) -> list[str]:
    """Publish that many services with three ports each, for endpoints that only have to be there; return their ids."""
    found: list[str] = []
    for _ in range(count):
        ports = [(80 + place, side.fresh_server_port()) for place in range(3)]
        found.append(side.world.publish(side.provider, ports, "other", mode=mode))
    return found


def measure(sides: Sequence[Side], sample_count: int) -> None:
    """Take the samples of everything, alternating between the sides."""
    for number in range(WARM_UPS + sample_count):
        for side in sides if number % 2 else reversed(sides):
            sample_service(side)
            sample_created_endpoint(side)
            sample_accepted_endpoint(side)
            sample_bare_connect(side)
            if side.world.endpoint_count == 0:
                sample_beside_another(side)
        if number + 1 == WARM_UPS:
            for side in sides:
                side.samples.clear()


def sample_service(side: Side) -> None:
    """Publish a service, poll until it is available, and delete it again."""
    time.sleep(REST_SECONDS)
    body = side.world.service_body([(80, side.fresh_server_port())], "backend", needs_approval=False)
    began = time.monotonic()
    service_id = side.provider.call("POST", "vpc-endpoint-services", body)["id"]
    answered = time.monotonic()
    path = f"vpc-endpoint-services/{service_id}"
    side.provider.poll(path, "available")
    side.samples[SERVICES].append((time.monotonic() - began) * 1000)
    side.samples[SERVICES + ANSWERED].append((answered - began) * 1000)
    side.provider.call("DELETE", path)


def sample_created_endpoint(side: Side, beside: str = "") -> None:
    """Create an endpoint that needs no acceptance, and wait in its VPC for the first byte through it."""
    time.sleep(REST_SECONDS)
    address = side.world.fresh_address()
    body = side.world.endpoint_body(side.open_service, address)
    began = time.monotonic()
    side.client.start(f"probe {address} {GREET_PORT}")
    endpoint_id = side.consumer.call("POST", "vpc-endpoints", body)["id"]
    _end_of_sample(side, CREATED + beside, began, time.monotonic())
    side.consumer.call("DELETE", f"vpc-endpoints/{endpoint_id}")


def sample_accepted_endpoint(side: Side, beside: str = "") -> None:
    """Accept an endpoint that has been waiting, and wait in its VPC for the first byte through it."""
    address = side.world.fresh_address()
    body = side.world.endpoint_body(side.asking_service, address)
    endpoint_id = side.consumer.call("POST", "vpc-endpoints", body)["id"]
    time.sleep(REST_SECONDS)
    decision = {"action": "receive", "endpoints": [endpoint_id]}
    began = time.monotonic()
    side.client.start(f"probe {address} {GREET_PORT}")
    side.provider.call("POST", f"vpc-endpoint-services/{side.asking_service}/connections/action", decision)
    _end_of_sample(side, ACCEPTED + beside, began, time.monotonic())
    side.consumer.call("DELETE", f"vpc-endpoints/{endpoint_id}")


def sample_beside_another(side: Side) -> None:
    """Take the endpoints' samples while another endpoint is there, which keeps the link between the VPCs."""
    other = side.consumer.call("POST", "vpc-endpoints", side.world.endpoint_body(side.open_service))["id"]
    side.consumer.poll(f"vpc-endpoints/{other}", "accepted")
    sample_created_endpoint(side, WITH_ANOTHER)
    sample_accepted_endpoint(side, WITH_ANOTHER)
    side.consumer.call("DELETE", f"vpc-endpoints/{other}")


def sample_bare_connect(side: Side) -> None:
    """Connect to the backend from its own VPC: what a first byte costs when nobody has to do anything for it."""
    time.sleep(REST_SECONDS)
    began = time.monotonic()
    side.neighbour.start(f"probe {BACKEND_ADDRESS} {GREET_PORT}")
    _record_first_byte(side, BARE, began, side.neighbour.result()["first_byte_ns"])


def _end_of_sample(side: Side, what: str, began: float, answered: float) -> None:
    _record_first_byte(side, what, began, side.client.result()["first_byte_ns"])
    side.samples[what + ANSWERED].append((answered - began) * 1000)


def _record_first_byte(side: Side, what: str, began: float, first_byte_ns: int | None) -> None:
    if first_byte_ns is None:
        raise BenchmarkBroken(f"{what}: no byte came\n{side.world.log_tail()}")
    side.samples[what].append(first_byte_ns / 1e6 - began * 1000)


def rows(empty: Mapping[str, Sequence[float]], full: Mapping[str, Sequence[float]]) -> list[Row]:
    """Return the rows of what both sides measured."""
    result = latency_rows(SERVICES, empty[SERVICES], full[SERVICES], AVAILABLE_MS)
    result += latency_rows(CREATED, empty[CREATED], full[CREATED], CREATED_MS, empty[CREATED + WITH_ANOTHER])
    bare = median([*empty[BARE], *full[BARE]])
    result.append(Row(f"{BARE}, p50", "ms", bare, sample_count=len(empty[BARE]) + len(full[BARE])))
    # What is promised is the time above the bare connect, so that is taken off before anything is compared.
    above = [
        [value - bare for value in samples]
        for samples in (empty[ACCEPTED], full[ACCEPTED], empty[ACCEPTED + WITH_ANOTHER])
    ]
    result += latency_rows(f"{ACCEPTED}, above bare", above[0], above[1], ACCEPTED_MS, above[2])
    return result


def answer_rows(empty: Mapping[str, Sequence[float]], full: Mapping[str, Sequence[float]]) -> list[Row]:
    """Return how much of each wait was the request itself; the rest is the data plane's."""
    result: list[Row] = []
    for what in (SERVICES, CREATED, ACCEPTED):
        alone, crowded = median(empty[what + ANSWERED]), median(full[what + ANSWERED])
        name = f"{what}{ANSWERED}, p50, 1,000 endpoints"
        count = len(full[what + ANSWERED])
        result.append(Row(name, "ms", crowded, "0 endpoints", alone, crowded / alone, sample_count=count))
    return result


def mean_of_metric(before: str, after: str, name: str, labels: str = "") -> tuple[float, int]:
    """Return mean and number of what a histogram observed between two readings of /metrics, over matching labels."""
    sums, counts = ([_total(text, f"{name}_{part}", labels) for text in (before, after)] for part in ("sum", "count"))
    count = counts[1] - counts[0]
    return ((sums[1] - sums[0]) / count if count else 0.0), int(count)


def _total(text: str, name: str, labels: str) -> float:
    pattern = re.compile(rf"^{re.escape(name)}\{{(.*)\}} (\S+)$", re.MULTILINE)
    return sum(float(value) for found, value in pattern.findall(text) if labels in found)


def inside_rows(empty: tuple[str, str], full: tuple[str, str]) -> list[Row]:
    """Return what the servers say of themselves, from readings of /metrics before and after the samples."""
    result: list[Row] = []
    for what, name, labels in (
        ("in the server: mean round", "landbridge_round_duration_seconds", 'kind="round"'),
        ("in the server: mean intent → observed, service", "landbridge_reconcile_lag_seconds", 'kind="service"'),
        ("in the server: mean intent → observed, endpoint", "landbridge_reconcile_lag_seconds", 'kind="endpoint"'),
        ("in the server: mean POST", "landbridge_http_request_duration_seconds", 'method="POST"'),
        ("in the server: mean GET", "landbridge_http_request_duration_seconds", 'method="GET"'),
        ("in the server: mean DELETE", "landbridge_http_request_duration_seconds", 'method="DELETE"'),
    ):
        alone, _ = mean_of_metric(*empty, name, labels)
        crowded, count = mean_of_metric(*full, name, labels)
        if alone and crowded:
            result.append(
                Row(
                    f"{what}, 1,000 endpoints",
                    "ms",
                    crowded * 1000,
                    "0 endpoints",
                    alone * 1000,
                    crowded / alone,
                    sample_count=count,
                )
            )
    return result
