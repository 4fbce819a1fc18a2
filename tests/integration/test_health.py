"""Health over the API: what providers and consumers are shown, and that no status word changes."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from landbridge.bootstrap.diagnosis_wiring import Eyes
from landbridge.dataplane.health import Cause, Probe, Result
from tests.integration.conftest import Tenant, World, running

SERVICES, ENDPOINTS = "vpc-endpoint-services", "vpc-endpoints"
PROVIDERS_ADDRESSES = ("10.0.0.20", "198.19.")
STRANGERS = "00000000-0000-4000-8000-000000000000"


@dataclass
class Backends:
    """A prober whose answers a test chooses by server port."""

    results: dict[int, Result] = field(default_factory=dict)
    probed: list[Probe] = field(default_factory=list)

    async def probe(self, probe: Probe, timeout_seconds: float) -> Result:
        assert timeout_seconds > 0
        self.probed.append(probe)
        return self.results.get(probe.server_port, Result(latency_seconds=0.0005))

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def backends() -> Backends:
    return Backends()


@pytest.fixture
async def world(tmp_path: Path, database_with_the_lab: Path, backends: Backends) -> AsyncIterator[World]:
    shutil.copy(database_with_the_lab, tmp_path)
    async with running(tmp_path, eyes=Eyes(prober=backends)) as running_world:
        yield running_world


async def probe_everything(world: World, backends: Backends, count: int) -> None:
    """Let the loop run until so many more probes were made."""
    wanted = len(backends.probed) + count
    loop = asyncio.create_task(world.parts.health.run())
    async with asyncio.timeout(10):
        while len(backends.probed) < wanted:  # noqa: ASYNC110 — nobody tells a test
            await asyncio.sleep(0.01)
        await world.parts.health.settled()
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)


async def connected(world: World, acme: Tenant, globex: Tenant, **changes: Any) -> tuple[Any, Any]:
    service = await world.available_service(acme, approval_enabled=False, **changes)
    endpoint = await globex.post(ENDPOINTS, world.endpoint_body(service["id"]))
    return service, await globex.until(f"{ENDPOINTS}/{endpoint['id']}", "accepted")


async def test_a_provider_sees_each_port_with_the_reason_and_a_consumer_one_word(
    world: World, backends: Backends, acme: Tenant, globex: Tenant
):
    ports = [{"client_port": 80, "server_port": 80}, {"client_port": 443, "server_port": 8443}]
    backends.results[8443] = Result(Cause.REFUSED)
    service, endpoint = await connected(world, acme, globex, ports=ports)
    before = await acme.get(f"{SERVICES}/{service['id']}"), await globex.get(f"{ENDPOINTS}/{endpoint['id']}")
    await probe_everything(world, backends, 4)

    health = await acme.get(f"ext/{SERVICES}/{service['id']}/health")

    assert (health["id"], health["health"]) == (service["id"], "failing")
    passing, failing = health["ports"]
    assert (passing["server_port"], passing["client_ports"], passing["health"]) == (80, [80], "passing")
    assert passing["latency_milliseconds"] == 0.5
    assert "cause" not in passing
    assert (failing["client_ports"], failing["health"], failing["cause"]) == ([443], "failing", "refused")
    assert "8443" in failing["reason"]
    assert failing["checked_at"] >= failing["since"]
    answer = await globex.call("GET", f"ext/{ENDPOINTS}/{endpoint['id']}/health")
    assert answer.json() == {"id": endpoint["id"], "health": "failing"}
    assert [text for text in PROVIDERS_ADDRESSES if text in answer.text] == []
    after = await acme.get(f"{SERVICES}/{service['id']}"), await globex.get(f"{ENDPOINTS}/{endpoint['id']}")
    assert after == before, "health changes no word of the contract"


async def test_health_follows_the_backend(world: World, backends: Backends, acme: Tenant):
    service = await world.available_service(acme)
    path = f"ext/{SERVICES}/{service['id']}/health"
    assert (await acme.get(path))["ports"][0]["cause"] == "not-probed"

    await probe_everything(world, backends, 3)

    assert (await acme.get(path))["health"] == "passing"
    assert {probe.server_port for probe in backends.probed} >= {80}


async def test_nobody_is_shown_the_health_of_what_is_not_theirs(world: World, acme: Tenant, globex: Tenant):
    service, endpoint = await connected(world, acme, globex)

    assert await globex.refused("GET", f"ext/{SERVICES}/{service['id']}/health") == (404, "EndPoint.0005")
    assert await acme.refused("GET", f"ext/{ENDPOINTS}/{endpoint['id']}/health") == (404, "EndPoint.2006")
    assert await acme.refused("GET", f"ext/{ENDPOINTS}/nonsense/health") == (400, "EndPoint.2017")
    assert await acme.refused("GET", f"ext/{SERVICES}/{STRANGERS}/health") == (404, "EndPoint.0005")


async def test_metrics_count_backends_by_health_and_show_no_ids(world: World, backends: Backends, acme: Tenant):
    service = await world.available_service(acme)
    await probe_everything(world, backends, 3)
    await world.parts.health.look()

    text = world.telemetry.metrics_text().decode()

    assert 'landbridge_backends{health="passing"} 3.0' in text
    assert 'landbridge_backends{health="failing"} 0.0' in text
    assert 'landbridge_backend_probes_total{result="passing"}' in text
    assert service["id"] not in text


async def test_probing_can_be_switched_off(tmp_path: Path, database_with_the_lab: Path, backends: Backends):
    shutil.copy(database_with_the_lab, tmp_path)
    async with running(tmp_path, eyes=Eyes(prober=backends), health_probes=False) as world:
        acme = await world.login("acme-admin", "acme-password", "acme")
        service = await world.available_service(acme)
        await asyncio.wait_for(world.parts.health.run(), 1)

        health = await acme.get(f"ext/{SERVICES}/{service['id']}/health")

    assert (health["health"], health["ports"][0]["cause"], backends.probed) == ("unknown", "off", [])


async def test_on_a_data_plane_that_carries_nothing_health_is_unknown_with_the_reason(
    tmp_path: Path, database_with_the_lab: Path
):
    shutil.copy(database_with_the_lab, tmp_path)
    async with running(tmp_path) as world:
        acme = await world.login("acme-admin", "acme-password", "acme")
        service = await world.available_service(acme)

        health = await acme.get(f"ext/{SERVICES}/{service['id']}/health")

    assert (health["health"], health["ports"][0]["cause"]) == ("unknown", "away")
    assert health["ports"][0]["reason"]
