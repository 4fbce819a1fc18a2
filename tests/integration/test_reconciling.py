"""The loop: lost wake-ups, stale writers, drift, back-off, and sweeps that must not wipe a data plane."""

import asyncio
import contextlib
import shutil
import sqlite3
import time
from collections.abc import AsyncIterator, Collection
from pathlib import Path

import pytest

from landbridge.control.brake import UNASKED_REMOVALS_ALLOWED, removes_too_much
from landbridge.dataplane.driver import DRIFTED, DriverError, Retry, Surveying, finish
from landbridge.dataplane.model import Wired
from landbridge.dataplane.plan import Plan, Remove
from landbridge.domain.ids import EndpointId, ServiceId
from landbridge.drivers.memory import MemoryDriver
from tests.integration.conftest import Tenant, World, running


async def accepted_endpoint(world: World, acme: Tenant, globex: Tenant, **changes) -> tuple[dict, dict]:
    service = await world.available_service(acme, approval_enabled=False, **changes)
    endpoint = await globex.post("vpc-endpoints", world.endpoint_body(service["id"]))
    return service, await globex.until(f"vpc-endpoints/{endpoint['id']}", "accepted")


def intact(world: World) -> set[str]:
    return {id_ for id_, seen in finish(world.driver.survey(())).items() if seen != DRIFTED}


async def test_a_sweep_finds_what_is_lost_and_counts_it_as_drift(world: World, acme: Tenant, globex: Tenant):
    _, endpoint = await accepted_endpoint(world, acme, globex)
    world.driver.network.lose(endpoint["id"])
    assert endpoint["id"] not in intact(world)

    await world.parts.reconciler.sweep()

    assert endpoint["id"] in intact(world)
    assert b'landbridge_drift_total{driver="memory"} 1.0' in world.telemetry.metrics_text()


async def test_a_sweep_without_drift_changes_nothing(world: World, acme: Tenant, globex: Tenant):
    _, endpoint = await accepted_endpoint(world, acme, globex)
    before = await globex.get(f"vpc-endpoints/{endpoint['id']}")

    await world.parts.reconciler.sweep()

    assert await globex.get(f"vpc-endpoints/{endpoint['id']}") == before
    assert b'landbridge_drift_total{driver="memory"} 0.0' not in world.telemetry.metrics_text()


async def test_a_new_server_on_the_same_state_adopts_what_is_wired(tmp_path: Path, database_with_the_lab: Path):
    shutil.copy(database_with_the_lab, tmp_path)
    driver = MemoryDriver()
    async with running(tmp_path, driver) as first:
        acme = await first.login("acme-admin", "acme-password", "acme")
        globex = await first.login("globex-admin", "globex-password", "globex")
        _, endpoint = await accepted_endpoint(first, acme, globex)
    wired = driver.observe([endpoint["id"]])

    async with running(tmp_path, MemoryDriver(driver.network)) as second:
        await (await second.login("globex-admin", "globex-password", "globex")).until(
            f"vpc-endpoints/{endpoint['id']}", "accepted"
        )
        assert second.driver.observe([endpoint["id"]]) == wired
        assert b"landbridge_drift_total{" not in second.telemetry.metrics_text()


async def test_an_acknowledged_request_whose_wakeup_was_lost_is_carried_out_at_the_next_start(
    tmp_path: Path, database_with_the_lab: Path
):
    shutil.copy(database_with_the_lab, tmp_path)
    async with running(tmp_path) as first:
        acme = await first.login("acme-admin", "acme-password", "acme")
        first.loop.cancel()  # as if the process died between the commit and the round
        created = await acme.post("vpc-endpoint-services", first.service_body())
        assert (await acme.get(f"vpc-endpoint-services/{created['id']}"))["status"] == "creating"

    async with running(tmp_path) as second:
        acme = await second.login("acme-admin", "acme-password", "acme")
        await acme.until(f"vpc-endpoint-services/{created['id']}", "available")


async def test_what_an_outdated_round_did_is_not_written_back(world: World, acme: Tenant):
    service = await world.available_service(acme)
    id_ = ServiceId(service["id"])
    stale = (await world.store.read(lambda tx: tx.service(id_))).generation - 1

    assert not await world.store.write(lambda tx: tx.record_service_outcome(id_, stale, None))
    assert await world.store.write(lambda tx: tx.record_service_outcome(id_, stale + 1, None))


async def test_a_failing_binding_is_tried_again_by_itself_until_it_works(world: World, acme: Tenant, globex: Tenant):
    service = await world.available_service(acme)
    endpoint = await globex.post("vpc-endpoints", world.endpoint_body(service["id"]))
    world.driver.fail_on(endpoint["id"], DriverError("busy", detail="transit 198.19.128.7"))
    body = {"action": "receive", "endpoints": [endpoint["id"]]}
    await acme.post(f"vpc-endpoint-services/{service['id']}/connections/action", body)

    failed = await globex.until(f"vpc-endpoints/{endpoint['id']}", "failed")
    assert "198.19" not in str(failed["error"])
    world.driver.fail_on(endpoint["id"], None)

    await globex.until(f"vpc-endpoints/{endpoint['id']}", "accepted")


async def test_what_can_never_work_is_not_tried_again_but_a_new_acceptance_tries_it(
    world: World, acme: Tenant, globex: Tenant
):
    service = await world.available_service(acme)
    endpoint = await globex.post("vpc-endpoints", world.endpoint_body(service["id"]))
    path = f"vpc-endpoint-services/{service['id']}/connections/action"
    body = {"action": "receive", "endpoints": [endpoint["id"]]}
    world.driver.fail_on(endpoint["id"], DriverError("no such device", Retry.NEVER))
    await acme.post(path, body)
    await globex.until(f"vpc-endpoints/{endpoint['id']}", "failed")

    world.driver.fail_on(endpoint["id"], None)
    await asyncio.sleep(0.3)
    assert (await globex.get(f"vpc-endpoints/{endpoint['id']}"))["status"] == "failed"
    await acme.post(path, body)
    await globex.until(f"vpc-endpoints/{endpoint['id']}", "accepted")


async def test_an_empty_database_does_not_wipe_a_data_plane(
    tmp_path: Path, database_with_the_lab: Path, world: World, acme: Tenant, globex: Tenant
):
    service = await world.available_service(acme, approval_enabled=False)
    endpoints = [
        await globex.post("vpc-endpoints", world.endpoint_body(service["id"]))
        for _ in range(UNASKED_REMOVALS_ALLOWED + 2)
    ]
    for endpoint in endpoints:
        await globex.until(f"vpc-endpoints/{endpoint['id']}", "accepted")
    ids = [EndpointId(endpoint["id"]) for endpoint in endpoints]
    other = tmp_path / "restored-from-nothing"
    other.mkdir()
    shutil.copy(database_with_the_lab, other)

    async with running(other, MemoryDriver(world.driver.network)) as emptied:
        assert len(emptied.driver.observe(ids)) == len(ids)
        assert b"landbridge_sweep_held_removals 13.0" in emptied.telemetry.metrics_text()
    async with running(other, MemoryDriver(world.driver.network), confirm_removals=True) as told:
        assert told.driver.observe(ids) == {}


def test_a_few_unasked_removals_are_taken_on_trust_and_asked_ones_always():
    def removals(count: int) -> Plan:
        return Plan(tuple(Remove(EndpointId(str(number))) for number in range(count)))

    everything = {str(number) for number in range(1000)}

    assert removes_too_much(removals(10), asked_for=(), wired_count=10) == 0
    assert removes_too_much(removals(11), asked_for=(), wired_count=11) == 11
    assert removes_too_much(removals(200), asked_for=(), wired_count=1000) == 0
    assert removes_too_much(removals(201), asked_for=(), wired_count=1000) == 201
    assert removes_too_much(removals(1000), asked_for=everything, wired_count=1000) == 0


class FalteringDriver(MemoryDriver):
    """Cannot be asked anything once, and then can."""

    failures = 1

    def observe(self, ids):
        if self.failures > 0 and ids:
            self.failures -= 1
            raise DriverError("the data plane is away")
        return super().observe(ids)


async def test_a_round_that_breaks_as_a_whole_is_followed_by_a_sweep(tmp_path: Path, database_with_the_lab: Path):
    shutil.copy(database_with_the_lab, tmp_path)
    driver = FalteringDriver()
    async with running(tmp_path, driver) as world:
        acme = await world.login("acme-admin", "acme-password", "acme")

        service = await acme.post("vpc-endpoint-services", world.service_body())

        await acme.until(f"vpc-endpoint-services/{service['id']}", "available")
    assert driver.failures == 0


class Dawdling(MemoryDriver):
    """Looks for as long as it is told to, and sees what there is at the end of its look."""

    def __init__(self) -> None:
        super().__init__()
        self.has_time = False
        self.is_looking = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def survey(self, expected: Collection[Wired]) -> Surveying:
        while self.has_time:
            self._loop.call_soon_threadsafe(self.is_looking.set)
            time.sleep(0.002)
            yield
        return (yield from super().survey(expected))


@contextlib.asynccontextmanager
async def looking(world: World, driver: Dawdling) -> AsyncIterator[None]:
    """Run the block while a sweep looks; end the sweep."""
    driver.has_time = True
    try:
        world.parts.reconciler.look_again()
        async with asyncio.timeout(10):
            await driver.is_looking.wait()
        yield
    finally:
        driver.has_time = False
    counted = swept(world)
    for _ in range(5000):
        if swept(world) != counted:
            return
        await asyncio.sleep(0.002)
    raise AssertionError("the sweep does not end")


def swept(world: World) -> bytes:
    """Return the line of the metrics that counts the sweeps."""
    lines = world.telemetry.metrics_text().splitlines()
    return next(
        line
        for line in lines
        if line.startswith(b'landbridge_round_duration_seconds_count{driver="memory",kind="sweep"')
    )


async def test_rounds_run_while_a_sweep_looks_and_the_sweep_leaves_alone_what_they_did(
    tmp_path: Path, database_with_the_lab: Path
):
    shutil.copy(database_with_the_lab, tmp_path)
    driver = Dawdling()
    async with running(tmp_path, driver) as world:
        acme = await world.login("acme-admin", "acme-password", "acme")
        globex = await world.login("globex-admin", "globex-password", "globex")
        service, old = await accepted_endpoint(world, acme, globex)

        async with looking(world, driver):
            assert (await reject(acme, service, old))["status"] == "rejected"
            new = await globex.post("vpc-endpoints", world.endpoint_body(service["id"]))
            await globex.until(f"vpc-endpoints/{new['id']}", "accepted")

        assert driver.observe([old["id"], new["id"]]).keys() == {new["id"]}
        assert (await globex.get(f"vpc-endpoints/{old['id']}"))["status"] == "rejected"
        assert (await globex.get(f"vpc-endpoints/{new['id']}"))["status"] == "accepted"
        assert b"landbridge_drift_total{" not in world.telemetry.metrics_text()


async def test_a_sweep_repairs_what_no_round_had_to_do_with_meanwhile(tmp_path: Path, database_with_the_lab: Path):
    shutil.copy(database_with_the_lab, tmp_path)
    driver = Dawdling()
    async with running(tmp_path, driver) as world:
        acme = await world.login("acme-admin", "acme-password", "acme")
        globex = await world.login("globex-admin", "globex-password", "globex")
        service, damaged = await accepted_endpoint(world, acme, globex)
        driver.network.lose(damaged["id"])

        async with looking(world, driver):
            other = await globex.post("vpc-endpoints", world.endpoint_body(service["id"]))
            await globex.until(f"vpc-endpoints/{other['id']}", "accepted")

        assert {damaged["id"], other["id"]} <= intact(world)
        assert b'landbridge_drift_total{driver="memory"} 1.0' in world.telemetry.metrics_text()


async def test_nothing_is_carried_out_before_the_first_look_has_ended(tmp_path: Path, database_with_the_lab: Path):
    shutil.copy(database_with_the_lab, tmp_path)
    driver = Dawdling()
    driver.has_time = True
    async with running(tmp_path, driver, sweeps_first=False) as world:
        acme = await world.login("acme-admin", "acme-password", "acme")
        world.parts.reconciler.look_again()
        async with asyncio.timeout(10):
            await driver.is_looking.wait()
        service = await acme.post("vpc-endpoint-services", world.service_body())
        await asyncio.sleep(0.2)
        assert (await acme.get(f"vpc-endpoint-services/{service['id']}"))["status"] == "creating"

        driver.has_time = False

        await acme.until(f"vpc-endpoint-services/{service['id']}", "available")


async def reject(acme: Tenant, service: dict, endpoint: dict) -> dict:
    body = {"action": "reject", "endpoints": [endpoint["id"]]}
    answer = await acme.post(f"vpc-endpoint-services/{service['id']}/connections/action", body)
    return answer["connections"][0]


def copy_database(source: Path, target: Path) -> None:
    target.parent.mkdir()
    with contextlib.closing(sqlite3.connect(source)) as reading, contextlib.closing(sqlite3.connect(target)) as copy:
        reading.backup(copy)


async def accepted_after_a_copy(world: World, source: Path, target: Path) -> tuple[str, list[EndpointId]]:
    """Copy the database while endpoints wait for their acceptance, then accept them; return their service and ids."""
    acme = await world.login("acme-admin", "acme-password", "acme")
    globex = await world.login("globex-admin", "globex-password", "globex")
    service = await world.available_service(acme)
    body = world.endpoint_body(service["id"])
    ids = [EndpointId((await globex.post("vpc-endpoints", body))["id"]) for _ in range(UNASKED_REMOVALS_ALLOWED + 1)]
    for _ in range(2000):
        rows = await world.store.read(lambda tx: tx.endpoints_by_id(ids))
        if all(row.observed_generation == row.generation for row in rows.values()):
            break
        await asyncio.sleep(0.005)
    copy_database(source, target)
    path = f"vpc-endpoint-services/{service['id']}"
    for id_ in ids:
        await acme.post(f"{path}/connections/action", {"action": "receive", "endpoints": [id_]})
        await globex.until(f"vpc-endpoints/{id_}", "accepted")
    return path, ids


async def test_an_older_database_ends_no_endpoints_that_were_accepted_since(
    tmp_path: Path, database_with_the_lab: Path
):
    shutil.copy(database_with_the_lab, tmp_path)
    older, driver = tmp_path / "older" / "landbridge.sqlite3", MemoryDriver()
    async with running(tmp_path, driver) as world:
        _, ids = await accepted_after_a_copy(world, tmp_path / "landbridge.sqlite3", older)

    async with running(older.parent, MemoryDriver(driver.network)) as world:
        assert world.driver.observe(ids).keys() == set(ids)
        assert world.parts.reconciler.held_removals == len(ids)

        assert await world.parts.reconciler.confirm_removals() == len(ids)

        assert world.driver.observe(ids) == {}
        assert b"landbridge_sweep_held_removals 0.0" in world.telemetry.metrics_text()


async def test_a_round_beside_held_removals_takes_nothing_away_that_nobody_asked_for(
    tmp_path: Path, database_with_the_lab: Path
):
    shutil.copy(database_with_the_lab, tmp_path)
    older, driver = tmp_path / "older" / "landbridge.sqlite3", MemoryDriver()
    async with running(tmp_path, driver) as world:
        path, ids = await accepted_after_a_copy(world, tmp_path / "landbridge.sqlite3", older)

    async with running(older.parent, MemoryDriver(driver.network)) as world:
        acme = await world.login("acme-admin", "acme-password", "acme")
        changed = {"ports": [{"client_port": 8080, "server_port": 80}, {"client_port": 8081, "server_port": 80}]}
        await acme.call("PUT", path, changed)
        # All endpoints of a changed service are in the round.
        await acme.until(path, "available")

        assert world.driver.observe(ids).keys() == set(ids)
        assert world.parts.reconciler.held_removals == len(ids)


@pytest.mark.parametrize("how", ["reject", "delete"])
async def test_a_held_sweep_still_takes_away_what_was_asked_for(tmp_path: Path, database_with_the_lab: Path, how: str):
    shutil.copy(database_with_the_lab, tmp_path)
    backup = tmp_path / "backup"
    backup.mkdir()
    driver = MemoryDriver()
    async with running(tmp_path, driver) as world:
        acme = await world.login("acme-admin", "acme-password", "acme")
        globex = await world.login("globex-admin", "globex-password", "globex")
        service, endpoint = await accepted_endpoint(world, acme, globex)
        with (
            contextlib.closing(sqlite3.connect(tmp_path / "landbridge.sqlite3")) as source,
            contextlib.closing(sqlite3.connect(backup / "landbridge.sqlite3")) as copy,
        ):
            source.backup(copy)
        for _ in range(UNASKED_REMOVALS_ALLOWED + 2):
            unknown = await globex.post("vpc-endpoints", world.endpoint_body(service["id"]))
            await globex.until(f"vpc-endpoints/{unknown['id']}", "accepted")

    async with running(backup, MemoryDriver(driver.network)) as world:
        acme = await world.login("acme-admin", "acme-password", "acme")
        globex = await world.login("globex-admin", "globex-password", "globex")
        world.loop.cancel()  # so that not a round but the sweep is what comes next
        id_ = EndpointId(endpoint["id"])
        waiting = (
            reject(acme, service, endpoint)
            if how == "reject"
            else globex.call("DELETE", f"vpc-endpoints/{endpoint['id']}")
        )
        answer = asyncio.create_task(waiting)
        for _ in range(2000):
            if (await world.store.read(lambda tx: tx.endpoint(id_))).cut_requested_at is not None:
                break
            await asyncio.sleep(0.005)
        await world.parts.reconciler.sweep()
        await answer

        assert world.driver.observe([id_]) == {}
        assert b"landbridge_sweep_held_removals 12.0" in world.telemetry.metrics_text()


async def test_an_overdue_cut_ends_even_if_its_service_is_deleted_meanwhile(world: World, acme: Tenant, globex: Tenant):
    service, endpoint = await accepted_endpoint(world, acme, globex)
    world.driver.fail_on(endpoint["id"], DriverError("busy"))
    assert [error["code"] for error in (await reject(acme, service, endpoint))["error"]] == ["EndPoint.0013"]
    await acme.call("DELETE", f"vpc-endpoint-services/{service['id']}")

    world.driver.fail_on(endpoint["id"], None)

    orphan = await globex.until(f"vpc-endpoints/{endpoint['id']}", "failed")
    assert [error["error_code"] for error in orphan["error"]] == ["EndPoint.2003"]
    assert world.driver.observe([EndpointId(endpoint["id"])]) == {}


async def test_a_cut_is_tried_again_even_if_the_driver_says_never(world: World, acme: Tenant, globex: Tenant):
    service, endpoint = await accepted_endpoint(world, acme, globex)
    world.driver.fail_on(endpoint["id"], DriverError("broken", Retry.NEVER))
    await reject(acme, service, endpoint)

    world.driver.fail_on(endpoint["id"], None)

    for _ in range(300):
        if not world.driver.observe([EndpointId(endpoint["id"])]):
            break
        await asyncio.sleep(0.01)
    assert world.driver.observe([EndpointId(endpoint["id"])]) == {}
