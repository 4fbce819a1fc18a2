"""What a slow disk, lost hints and a clock that is set back cost, and that they break nothing."""

import asyncio
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import Connection, Engine, event

from landbridge.control.settlements import Settlements, Wakeups
from landbridge.dataplane.driver import DriverError
from landbridge.dataplane.model import WiredId
from landbridge.drivers.memory import MemoryDriver
from tests.integration.conftest import Tenant, World, running

HOUR = timedelta(hours=1)


# A slow disk


class Disk:
    """Each commit to it waits until it is let through."""

    def __init__(self) -> None:
        self.commits = 0
        self.is_reached = threading.Event()
        self._may_go_on = threading.Event()

    def __call__(self, _connection: Connection) -> None:
        if threading.current_thread().name == "landbridge-writer":
            self.commits += 1
            self.is_reached.set()
            assert self._may_go_on.wait(20)

    def let_through(self) -> None:
        """Be quick from now on."""
        self._may_go_on.set()


@contextmanager
def slow_disk() -> Iterator[Disk]:
    disk = Disk()
    event.listen(Engine, "commit", disk)
    try:
        yield disk
    finally:
        disk.let_through()
        event.remove(Engine, "commit", disk)


async def test_on_a_slow_disk_requests_wait_for_one_commit_together_and_readers_wait_for_none(
    world: World, acme: Tenant
):
    bodies = [world.service_body(ports=[{"client_port": 80, "server_port": 8000 + number}]) for number in range(20)]
    with slow_disk() as disk:
        requests = [asyncio.create_task(acme.post("vpc-endpoint-services", body)) for body in bodies]
        async with asyncio.timeout(20):
            await asyncio.to_thread(disk.is_reached.wait)
            listed = await acme.get("vpc-endpoint-services")
        acknowledged = sum(request.done() for request in requests)
        disk.let_through()
        services = await asyncio.gather(*requests)
        commits = disk.commits

    assert (listed["total_count"], acknowledged) == (0, 0)
    # The rounds that follow write, too.
    assert commits <= len(bodies) // 2
    for service in services:
        await acme.until(f"vpc-endpoint-services/{service['id']}", "available")


# Lost hints


class Deaf(Wakeups):
    """A bell that nobody hears once it is broken."""

    is_broken = False

    def ring(self) -> None:
        if not self.is_broken:
            super().ring()


class Mute(Settlements):
    """Nobody is told once it is broken."""

    is_broken = False

    def settle(self, id_: WiredId, generation: int) -> None:
        if not self.is_broken:
            super().settle(id_, generation)


async def connected(world: World, acme: Tenant, globex: Tenant) -> tuple[dict[str, Any], dict[str, Any]]:
    service = await world.available_service(acme, approval_enabled=False)
    endpoint = await globex.post("vpc-endpoints", world.endpoint_body(service["id"]))
    return service, await globex.until(f"vpc-endpoints/{endpoint['id']}", "accepted")


async def decide(acme: Tenant, service: dict[str, Any], endpoint: dict[str, Any], action: str) -> dict[str, Any]:
    body = {"action": action, "endpoints": [endpoint["id"]]}
    return (await acme.post(f"vpc-endpoint-services/{service['id']}/connections/action", body))["connections"][0]


async def test_a_wakeup_that_is_lost_costs_no_more_than_the_time_until_the_next_sweep(
    tmp_path: Path, database_with_the_lab: Path
):
    shutil.copy(database_with_the_lab, tmp_path)
    bell = Deaf()
    async with running(tmp_path, wakeups=bell, sweep_interval_seconds=0.2) as world:
        acme = await world.login("acme-admin", "acme-password", "acme")
        globex = await world.login("globex-admin", "globex-password", "globex")
        service, endpoint = await connected(world, acme, globex)
        bell.is_broken = True

        await decide(acme, service, endpoint, "reject")
        await globex.until(f"vpc-endpoints/{endpoint['id']}", "rejected")
        other = await globex.post("vpc-endpoints", world.endpoint_body(service["id"]))
        await globex.until(f"vpc-endpoints/{other['id']}", "accepted")

        assert world.driver.observe([endpoint["id"], other["id"]]).keys() == {other["id"]}
        assert b"landbridge_drift_total{" not in world.telemetry.metrics_text()


async def test_whoever_is_not_told_of_a_cut_hears_after_a_second_that_it_is_not_known_to_be_done(
    tmp_path: Path, database_with_the_lab: Path
):
    shutil.copy(database_with_the_lab, tmp_path)
    settlements = Mute()
    async with running(tmp_path, settlements=settlements) as world:
        acme = await world.login("acme-admin", "acme-password", "acme")
        globex = await world.login("globex-admin", "globex-password", "globex")
        service, endpoint = await connected(world, acme, globex)
        settlements.is_broken = True

        answered = await decide(acme, service, endpoint, "reject")

        # It was carried out, and that is what the next look shows.
        assert answered["status"] == "rejected"
        assert b"landbridge_cuts_overdue_total 1.0" in world.telemetry.metrics_text()
        assert world.driver.observe([endpoint["id"]]) == {}
        shown = await acme.get(f"vpc-endpoint-services/{service['id']}/connections")
        assert [(one["status"], one.get("error", [])) for one in shown["connections"]] == [("rejected", [])]


# A clock that is set back


class Clock:
    """The system's, which may be set."""

    def __init__(self) -> None:
        self.offset = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.offset


async def test_after_the_clock_was_set_back_everything_is_carried_out_as_before(
    tmp_path: Path, database_with_the_lab: Path
):
    shutil.copy(database_with_the_lab, tmp_path)
    clock = Clock()
    async with running(tmp_path, clock=clock) as world:
        acme = await world.login("acme-admin", "acme-password", "acme")
        globex = await world.login("globex-admin", "globex-password", "globex")
        service, endpoint = await connected(world, acme, globex)

        clock.offset = -HOUR

        again = await world.login("acme-admin", "acme-password", "acme")
        assert (await decide(again, service, endpoint, "reject"))["status"] == "rejected"
        other = await globex.post("vpc-endpoints", world.endpoint_body(service["id"]))
        await globex.until(f"vpc-endpoints/{other['id']}", "accepted")
        changed = await globex.call("PUT", f"vpc-endpoints/{other['id']}", {"whitelist": ["10.0.0.10"]})
        assert changed.status_code == 200
        assert world.driver.observe([endpoint["id"], other["id"]]).keys() == {other["id"]}
        newest_first = [one["id"] for one in (await globex.get("vpc-endpoints"))["endpoints"]]
        assert set(newest_first) == {endpoint["id"], other["id"]}


async def test_a_binding_that_fails_is_tried_again_in_time_though_the_clock_was_set_back(
    tmp_path: Path, database_with_the_lab: Path
):
    shutil.copy(database_with_the_lab, tmp_path)
    clock, driver = Clock(), MemoryDriver()
    async with running(tmp_path, driver, clock=clock) as world:
        acme = await world.login("acme-admin", "acme-password", "acme")
        globex = await world.login("globex-admin", "globex-password", "globex")
        service = await world.available_service(acme)
        endpoint = await globex.post("vpc-endpoints", world.endpoint_body(service["id"]))
        driver.fail_on(endpoint["id"], DriverError("busy"))
        await decide(acme, service, endpoint, "receive")
        await globex.until(f"vpc-endpoints/{endpoint['id']}", "failed")

        clock.offset = -HOUR
        driver.fail_on(endpoint["id"], None)

        await globex.until(f"vpc-endpoints/{endpoint['id']}", "accepted")


async def test_a_deadline_is_kept_by_the_clock_so_one_that_is_set_back_prolongs_it(
    tmp_path: Path, database_with_the_lab: Path
):
    shutil.copy(database_with_the_lab, tmp_path)
    clock = Clock()
    async with running(tmp_path, clock=clock) as world:
        acme = await world.login("acme-admin", "acme-password", "acme")
        globex = await world.login("globex-admin", "globex-password", "globex")
        service, endpoint = await connected(world, acme, globex)
        choice = {"on_reject": {"mode": "drain", "deadline_seconds": 1}}
        await acme.call("PUT", f"ext/vpc-endpoint-services/{service['id']}/cut-off", choice)
        await decide(acme, service, endpoint, "reject")

        clock.offset = -HOUR
        await asyncio.sleep(1.5)
        assert world.driver.observe([endpoint["id"]]), "the hour has to pass once more"

        clock.offset = timedelta()
        world.parts.reconciler.look_again()
        await until(lambda: not world.driver.observe([endpoint["id"]]))


async def test_metrics_are_measured_again_though_the_clock_was_set_back(tmp_path: Path, database_with_the_lab: Path):
    shutil.copy(database_with_the_lab, tmp_path)
    clock = Clock()
    async with running(tmp_path, clock=clock) as world:
        acme = await world.login("acme-admin", "acme-password", "acme")
        before = await metrics(world.operators)

        clock.offset = -HOUR
        await world.available_service(acme)

        assert before["used"] < (await metrics(world.operators))["used"]


async def metrics(operators: httpx.AsyncClient) -> dict[str, float]:
    lines = (await operators.get("/metrics")).text.splitlines()
    used = [line for line in lines if line.startswith("landbridge_transit_addresses{") and 'state="used"' in line]
    return {"used": sum(float(line.rpartition(" ")[2]) for line in used)}


async def until(is_so: Callable[[], object]) -> None:
    for _ in range(2000):
        if is_so():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it does not come to be so")
