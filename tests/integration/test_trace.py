"""Traces over the API: who may ask, what each side is told, and what the last word is."""

import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from landbridge.api.policy import OPERATOR
from landbridge.bootstrap.diagnosis_wiring import Eyes
from landbridge.dataplane.driver import DriverError
from landbridge.dataplane.explain import Way
from landbridge.dataplane.health import Cause, Probe, Result
from landbridge.dataplane.hops import Confirmation, Step
from tests.integration.conftest import Tenant, World, running

SERVICES, ENDPOINTS = "vpc-endpoint-services", "vpc-endpoints"
ABSENT_ID = "00000000-0000-4000-8000-000000000000"
CLIENT = "10.0.0.10"


@dataclass
class Backends:
    """A prober that answers as a test says."""

    result: Result = field(default_factory=lambda: Result(latency_seconds=0.0005))
    probed: list[Probe] = field(default_factory=list)

    async def probe(self, probe: Probe, timeout_seconds: float) -> Result:
        assert timeout_seconds > 0
        self.probed.append(probe)
        return self.result

    def close(self) -> None:
        """Nothing is open."""


@dataclass
class Kernel:
    """A kernel that has what a test says."""

    found: Confirmation = field(default_factory=Confirmation)
    error: DriverError | None = None
    ways: list[Way] = field(default_factory=list)

    def confirm(self, way: Way) -> Confirmation:
        self.ways.append(way)
        if self.error is not None:
            raise self.error
        return self.found


@pytest.fixture
def eyes() -> Eyes:
    return Eyes(Backends(), Kernel())


@pytest.fixture
def backends(eyes: Eyes) -> Backends:
    assert isinstance(eyes.prober, Backends)
    return eyes.prober


@pytest.fixture
def kernel(eyes: Eyes) -> Kernel:
    assert isinstance(eyes.kernel, Kernel)
    return eyes.kernel


@pytest.fixture
async def world(tmp_path: Path, database_with_the_lab: Path, eyes: Eyes) -> AsyncIterator[World]:
    shutil.copy(database_with_the_lab, tmp_path)
    async with running(tmp_path, eyes=eyes) as running_world:
        yield running_world


@pytest.fixture
async def endpoint(world: World, acme: Tenant, globex: Tenant) -> Any:
    service = await world.available_service(acme, approval_enabled=False)
    created = await globex.post(ENDPOINTS, world.endpoint_body(service["id"], port_ip="10.0.0.77"))
    return await globex.until(f"{ENDPOINTS}/{created['id']}", "accepted")


def path_of(endpoint: Any) -> str:
    return f"ext/{ENDPOINTS}/{endpoint['id']}/trace"


def verdicts(trace: Any) -> dict[str, str]:
    return {hop["hop"]: hop["verdict"] for hop in trace["hops"]}


async def test_a_consumer_traces_its_endpoint_from_a_host_to_the_backend(endpoint: Any, globex: Tenant):
    trace = await globex.post(path_of(endpoint), {"from": CLIENT, "port": 8080, "probe": True})

    assert (trace["endpoint_id"], trace["outcome"]) == (endpoint["id"], "passes")
    assert (trace["from"], trace["port"]) == (CLIENT, 8080)
    assert verdicts(trace) == dict.fromkeys(
        [
            "subnet",
            "address",
            "admission",
            "whitelist",
            "budget",
            "port",
            "source",
            "link",
            "target",
            "backend",
        ],
        "passes",
    )
    assert {hop["confirmed"] for hop in trace["hops"]} == {True}


async def test_the_client_may_be_named_by_address_host_or_port_id(world: World, endpoint: Any, globex: Tenant):
    host = world.ids["hosts"]["client-1"]
    answers = [
        await globex.post(path_of(endpoint), {"from": text, "probe": True})
        for text in (host["ip"], "client-1", host["port_id"], host["port_id"].upper())
    ]

    assert {answer["from"] for answer in answers} == {host["ip"]}
    assert {answer["outcome"] for answer in answers} == {"passes"}


@pytest.mark.parametrize("name", [None, "", "web-1", "nobody", "10.0.0.256", "x" * 65, 7])
async def test_a_client_that_the_asker_cannot_name_is_refused(endpoint: Any, globex: Tenant, name: Any):
    body = {} if name is None else {"from": name}

    assert await globex.refused("POST", path_of(endpoint), body) == (400, "EndPoint.0002")


@pytest.mark.parametrize("port", [0, 65536, -1])
async def test_a_port_that_is_none_is_refused(endpoint: Any, globex: Tenant, port: int):
    assert await globex.refused("POST", path_of(endpoint), {"from": CLIENT, "port": port}) == (400, "EndPoint.3004")


async def test_an_address_outside_the_vpc_is_stopped_at_its_subnet(endpoint: Any, globex: Tenant):
    trace = await globex.post(path_of(endpoint), {"from": "192.0.2.7", "probe": True})

    assert trace["outcome"] == "stopped"
    assert [hop for hop, verdict in verdicts(trace).items() if verdict == "stopped"] == ["subnet"]


async def test_a_provider_traces_a_connection_without_hearing_of_the_consumers_addresses(
    world: World, endpoint: Any, acme: Tenant
):
    answer = await acme.call("POST", path_of(endpoint), {"probe": True})

    trace = answer.json()
    assert trace["outcome"] == "passes"
    assert {hop for hop, verdict in verdicts(trace).items() if verdict == "skipped"} == {"subnet", "whitelist"}
    globex_vpc = world.ids["vpcs"]["globex-vpc"]["vpc_id"]
    for secret in (endpoint["ip"], "10.0.0.0/24", globex_vpc, "client-1"):
        assert secret not in answer.text
    assert await acme.refused("POST", path_of(endpoint), {"from": CLIENT}) == (400, "EndPoint.0002")


async def test_a_consumer_hears_nothing_of_the_providers_addresses(
    world: World, endpoint: Any, globex: Tenant, backends: Backends, kernel: Kernel
):
    backends.result = Result(Cause.REFUSED)
    kernel.found = Confirmation(missing={Step.TARGET: ["in the edge of VPC a, backends lacks 198.19.128.1 . 80"]})

    answer = await globex.call("POST", path_of(endpoint), {"from": CLIENT, "probe": True})

    stopped = [hop for hop in answer.json()["hops"] if hop["verdict"] == "stopped"]
    assert [hop["hop"] for hop in stopped] == ["target", "backend"]
    assert all(hop["advice"] for hop in stopped)
    web_1 = world.ids["hosts"]["web-1"]["ip"]
    for secret in (web_1, world.ids["vpcs"]["acme-vpc"]["vpc_id"], "backends lacks", "port 80 of"):
        assert secret not in answer.text


async def test_an_operator_traces_everybodys_endpoints_and_sees_what_is_in_the_kernel(
    world: World, endpoint: Any, kernel: Kernel
):
    (admin,) = await world.store.read(lambda tx: tx.users_named("initech-admin"))
    project_id = world.ids["projects"]["initech"]["project_id"]
    user = replace(admin, id="operator" * 4, name="the-operator", roles={project_id: frozenset({OPERATOR})})
    await world.store.write(lambda tx: tx.put_user(replace(user, access_keys=())))
    operator = await world.login("the-operator", "initech-password", "initech")
    kernel.found = Confirmation(missing={Step.SOURCE: ["in the edge of VPC b, exits lacks 77"]})

    trace = await operator.post(path_of(endpoint), {"from": CLIENT, "probe": True})

    assert [hop for hop, verdict in verdicts(trace).items() if verdict == "stopped"] == ["source"]
    assert "exits lacks 77" in next(hop["text"] for hop in trace["hops"] if hop["hop"] == "source")
    assert await operator.refused("POST", f"ext/{ENDPOINTS}/{ABSENT_ID}/trace", {"from": CLIENT}) == (
        404,
        "EndPoint.2006",
    )


async def test_nobody_else_may_trace(world: World, endpoint: Any):
    stranger = await world.login("initech-admin", "initech-password", "initech")

    assert await stranger.refused("POST", path_of(endpoint), {"from": CLIENT}) == (404, "EndPoint.2006")
    assert await stranger.refused("POST", path_of({"id": "nonsense"}), {"from": CLIENT}) == (400, "EndPoint.2017")


async def test_an_endpoint_that_waits_or_was_rejected_says_who_decides(world: World, acme: Tenant, globex: Tenant):
    service = await world.available_service(acme, approval_enabled=True)
    pending = await globex.post(ENDPOINTS, world.endpoint_body(service["id"]))

    trace = await globex.post(path_of(pending), {"from": CLIENT})

    (admission,) = [hop for hop in trace["hops"] if hop["verdict"] == "stopped"]
    assert admission["hop"] == "admission"
    assert f"landbridge connection accept {service['id']} {pending['id']}" in admission["advice"]
    await acme.post(
        f"{SERVICES}/{service['id']}/connections/action", {"action": "reject", "endpoints": [pending["id"]]}
    )
    rejected = await acme.post(path_of(pending), {})
    assert "rejected" in next(hop["text"] for hop in rejected["hops"] if hop["hop"] == "admission")


async def test_who_is_not_in_the_whitelist_is_told_by_whom(endpoint: Any, globex: Tenant):
    body = {"whitelist": ["10.0.0.250"], "enable_whitelist": True}
    assert (await globex.call("PUT", f"{ENDPOINTS}/{endpoint['id']}", body)).status_code == 200

    trace = await globex.post(path_of(endpoint), {"from": CLIENT, "probe": True})

    assert [hop for hop, verdict in verdicts(trace).items() if verdict == "stopped"] == ["whitelist"]
    allowed = await globex.post(path_of(endpoint), {"from": "10.0.0.250", "probe": True})
    assert allowed["outcome"] == "passes"


async def test_the_backend_is_probed_only_if_that_is_asked_for(endpoint: Any, globex: Tenant, backends: Backends):
    without = await globex.post(path_of(endpoint), {"from": CLIENT})
    assert (without["outcome"], verdicts(without)["backend"], backends.probed) == ("unknown", "unknown", [])

    backends.result = Result(Cause.SILENT)
    asked_for = await globex.post(path_of(endpoint), {"from": CLIENT, "probe": True})

    assert (asked_for["outcome"], verdicts(asked_for)["backend"], len(backends.probed)) == ("stopped", "stopped", 1)


async def test_only_what_the_traced_port_needs_is_looked_for(
    world: World, acme: Tenant, globex: Tenant, kernel: Kernel
):
    ports = [{"client_port": 80, "server_port": 80}, {"client_port": 443, "server_port": 8443}]
    service = await world.available_service(acme, approval_enabled=False, ports=ports)
    endpoint = await globex.post(ENDPOINTS, world.endpoint_body(service["id"]))
    await globex.until(f"{ENDPOINTS}/{endpoint['id']}", "accepted")

    trace = await globex.post(path_of(endpoint), {"from": CLIENT, "port": 443})
    nowhere = await globex.post(path_of(endpoint), {"from": CLIENT, "port": 81})

    (way, other) = kernel.ways
    assert way.forward is not None
    assert (way.forward.client_port, way.forward.server_port, trace["port"]) == (443, 8443, 443)
    assert (other.forward, verdicts(nowhere)["port"], nowhere["outcome"]) == (None, "stopped", "stopped")


async def test_while_the_kernel_cannot_be_asked_nothing_is_claimed(endpoint: Any, globex: Tenant, kernel: Kernel):
    kernel.error = DriverError("the data plane cannot be read", detail="ENOBUFS in lb.lab-1.edge.x")

    answer = await globex.call("POST", path_of(endpoint), {"from": CLIENT, "probe": True})

    assert answer.json()["outcome"] == "unknown"
    assert "the data plane cannot be read" in answer.text
    assert "ENOBUFS" not in answer.text


async def test_a_data_plane_that_carries_nothing_leaves_the_outcome_open(tmp_path: Path, database_with_the_lab: Path):
    shutil.copy(database_with_the_lab, tmp_path)
    async with running(tmp_path) as world:
        acme = await world.login("acme-admin", "acme-password", "acme")
        globex = await world.login("globex-admin", "globex-password", "globex")
        service = await world.available_service(acme, approval_enabled=False)
        endpoint = await globex.post(ENDPOINTS, world.endpoint_body(service["id"]))
        await globex.until(f"{ENDPOINTS}/{endpoint['id']}", "accepted")

        trace = await globex.post(path_of(endpoint), {"from": CLIENT, "probe": True})

    assert (trace["outcome"], {hop["confirmed"] for hop in trace["hops"]}) == ("unknown", {False})


async def test_whoever_is_consumer_and_provider_sees_both_sides(world: World, acme: Tenant):
    service = await world.available_service(acme, approval_enabled=False)
    endpoint = await acme.post(ENDPOINTS, world.endpoint_body(service["id"], subnet="acme-other/web"))
    await acme.until(f"{ENDPOINTS}/{endpoint['id']}", "accepted")

    answer = await acme.call("POST", path_of(endpoint), {"from": "other-1", "probe": True})

    assert answer.json()["outcome"] == "passes"
    assert "port 8080 leads to port 80 of the backend" in answer.text
