"""How connections end, as their provider has chosen: at once, at a deadline, or by themselves (an extension)."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from landbridge.dataplane.driver import DriverError
from landbridge.domain.ids import EndpointId, SubnetId
from landbridge.domain.resources import Endpoint
from landbridge.drivers.memory import MemoryDriver, Packet, TcpFlag
from tests.integration.conftest import Tenant, World, running

SERVICES = "vpc-endpoint-services"
CLIENT, OTHER = "10.0.0.10", "10.0.0.11"
KILL, KEEP = {"mode": "kill"}, {"mode": "keep"}
LONG, SHORT = {"mode": "drain", "deadline_seconds": 3600}, {"mode": "drain", "deadline_seconds": 1}


async def connected(world: World, acme: Tenant, globex: Tenant, **changes: Any) -> tuple[dict, dict]:
    """Return an available service and an accepted endpoint of it."""
    service = await world.available_service(acme, approval_enabled=False)
    endpoint = await globex.post("vpc-endpoints", world.endpoint_body(service["id"], **changes))
    return service, await globex.until(f"vpc-endpoints/{endpoint['id']}", "accepted")


async def choose(tenant: Tenant, service: dict, **choices: Any) -> dict:
    answer = await tenant.call("PUT", f"ext/{SERVICES}/{service['id']}/cut-off", choices)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def shown(tenant: Tenant, service: dict) -> dict:
    return await tenant.get(f"ext/{SERVICES}/{service['id']}/cut-off")


async def decide(tenant: Tenant, service: dict, endpoint: dict, action: str) -> dict:
    body = {"action": action, "endpoints": [endpoint["id"]]}
    answer = await tenant.post(f"{SERVICES}/{service['id']}/connections/action", body)
    return answer["connections"][0]


async def reject(acme: Tenant, globex: Tenant, service: dict, endpoint: dict) -> None:
    del globex
    assert (await decide(acme, service, endpoint, "reject"))["status"] == "rejected"


async def delete(acme: Tenant, globex: Tenant, service: dict, endpoint: dict) -> None:
    del acme, service
    assert (await globex.call("DELETE", f"vpc-endpoints/{endpoint['id']}")).status_code in {200, 204}


async def shut_out(acme: Tenant, globex: Tenant, service: dict, endpoint: dict) -> None:
    del acme, service
    body = {"whitelist": [OTHER], "enable_whitelist": True}
    answer = await globex.call("PUT", f"vpc-endpoints/{endpoint['id']}", body)
    assert (answer.status_code, answer.json()["status"]) == (200, "accepted")


async def forbid(acme: Tenant, globex: Tenant, service: dict, endpoint: dict) -> None:
    del globex, endpoint
    await acme.post(f"{SERVICES}/{service['id']}/permissions/action", {"action": "remove", "permissions": ["*"]})


End = Callable[[Tenant, Tenant, dict, dict], Awaitable[None]]
ENDS: dict[str, End] = {
    "on_reject": reject,
    "on_delete": delete,
    "on_whitelist_edit": shut_out,
    "on_permission_removal": forbid,
}


def passes(world: World, endpoint: dict, source_port: int, *, is_new: bool, client: str = CLIENT) -> bool:
    """Say whether a packet of a client gets to the backend: of a new connection, or of one that is open."""
    flags = TcpFlag.SYN if is_new else TcpFlag.ACK
    address = IPv4Address(endpoint["ip"])
    packet = Packet(SubnetId(endpoint["subnet_id"]), IPv4Address(client), source_port, address, 8080, flags=flags)
    return world.driver.network.send(packet) is not None


async def row_of(world: World, endpoint: dict) -> Endpoint | None:
    return await world.store.read(lambda tx: tx.endpoint(EndpointId(endpoint["id"])))


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    for _ in range(800):
        if await condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come about in 8 seconds")


# The choice


async def test_what_is_chosen_is_kept_and_what_is_not_named_stays(world: World, acme: Tenant):
    service = await world.available_service(acme)
    before = await shown(acme, service)
    assert before == {
        "service_id": service["id"],
        "on_reject": KILL,
        "on_delete": KILL,
        "on_permission_removal": KEEP,
        "on_whitelist_edit": KILL,
        "ending": [],
        "ending_endpoint_count": 0,
    }

    assert await choose(acme, service, on_delete=LONG) == before | {"on_delete": LONG}
    assert await choose(acme, service, on_reject=KEEP, on_delete=KILL) == before | {"on_reject": KEEP}

    assert await shown(acme, service) == before | {"on_reject": KEEP}
    assert await acme.get(f"{SERVICES}/{service['id']}") == service, "no field of the contract says anything of it"


async def test_nobody_else_sees_or_changes_what_a_provider_chose(world: World, acme: Tenant, globex: Tenant):
    service, _ = await connected(world, acme, globex)
    path = f"ext/{SERVICES}/{service['id']}/cut-off"

    assert await globex.refused("GET", path) == (404, "EndPoint.0005")
    assert await globex.refused("PUT", path, {"on_reject": KEEP}) == (404, "EndPoint.0005")


@pytest.mark.parametrize(
    "body",
    [
        {"on_reject": {"mode": "drain"}},
        {"on_reject": {"mode": "drain", "deadline_seconds": 0}},
        {"on_reject": {"mode": "drain", "deadline_seconds": 86401}},
        {"on_reject": {"mode": "drain", "deadline_seconds": "60"}},
        {"on_reject": {"mode": "drain", "deadline_seconds": True}},
        {"on_reject": {"mode": "kill", "deadline_seconds": 60}},
        {"on_reject": {"mode": "sometimes"}},
        {"on_reject": {}},
        {"on_reject": "kill"},
        {"on_delete": KEEP},
    ],
)
async def test_a_choice_that_is_not_offered_is_refused_and_nothing_changes(world: World, acme: Tenant, body: dict):
    service = await world.available_service(acme)
    path = f"ext/{SERVICES}/{service['id']}/cut-off"

    assert await acme.refused("PUT", path, body | {"on_whitelist_edit": KEEP}) == (400, "EndPoint.0002")

    assert (await shown(acme, service))["on_whitelist_edit"] == KILL


# What it does


@pytest.mark.parametrize("occasion", ENDS)
@pytest.mark.parametrize("choice", [KILL, LONG, KEEP], ids=["kill", "drain", "keep"])
async def test_when_the_answer_comes_nothing_new_is_opened_and_what_is_open_is_as_was_chosen(
    world: World, acme: Tenant, globex: Tenant, occasion: str, choice: dict
):
    if (occasion, choice) == ("on_delete", KEEP):
        return  # not offered
    service, endpoint = await connected(world, acme, globex)
    await choose(acme, service, **{occasion: choice})
    assert passes(world, endpoint, 50000, is_new=True)

    await ENDS[occasion](acme, globex, service, endpoint)

    # Who is accepted and only loses a permission that is kept has lost nothing.
    is_untouched = (occasion, choice) == ("on_permission_removal", KEEP)
    assert passes(world, endpoint, 50001, is_new=True) is is_untouched
    assert passes(world, endpoint, 50000, is_new=False) is (choice is not KILL)
    ending = (await shown(acme, service))["ending"]
    assert bool(ending) is (choice is not KILL and not is_untouched)
    for one in ending:
        assert (one["endpoint_id"], one["marker_id"]) == (endpoint["id"], endpoint["marker_id"])
        assert ("until_at" in one) is (choice is LONG)
        assert one["connections"] == ("removed-clients" if occasion == "on_whitelist_edit" else "all")


@pytest.mark.parametrize("occasion", ENDS)
async def test_at_the_deadline_everything_is_cut_and_nothing_is_ending_any_more(
    world: World, acme: Tenant, globex: Tenant, occasion: str
):
    service, endpoint = await connected(world, acme, globex)
    await choose(acme, service, **{occasion: SHORT})
    assert passes(world, endpoint, 50000, is_new=True)

    await ENDS[occasion](acme, globex, service, endpoint)
    assert passes(world, endpoint, 50000, is_new=False)

    async def is_over() -> bool:
        return (await shown(acme, service))["ending_endpoint_count"] == 0

    await eventually(is_over)
    assert not passes(world, endpoint, 50000, is_new=False)
    assert passes(world, endpoint, 50002, is_new=True, client=OTHER) is (occasion == "on_whitelist_edit")
    assert b"landbridge_cuts_overdue_total 0.0" in world.telemetry.metrics_text()
    row = await row_of(world, endpoint)
    assert (row is None) is (occasion == "on_delete")
    if row is not None:
        assert (row.grace, row.former_clients, row.cut_requested_at) == (None, (), None)


async def test_an_endpoint_that_is_accepted_again_while_it_drains_is_as_before_and_nothing_is_cut(
    world: World, acme: Tenant, globex: Tenant
):
    service, endpoint = await connected(world, acme, globex)
    await choose(acme, service, on_reject=SHORT)
    assert passes(world, endpoint, 50000, is_new=True)
    await decide(acme, service, endpoint, "reject")

    await decide(acme, service, endpoint, "receive")

    await globex.until(f"vpc-endpoints/{endpoint['id']}", "accepted")
    await asyncio.sleep(1.2)  # beyond the deadline that the rejection gave
    assert passes(world, endpoint, 50000, is_new=False)
    assert passes(world, endpoint, 50001, is_new=True)
    assert (await shown(acme, service))["ending"] == []


async def test_rejecting_again_with_another_choice_cuts_what_still_drains(world: World, acme: Tenant, globex: Tenant):
    service, endpoint = await connected(world, acme, globex)
    await choose(acme, service, on_reject=KEEP)
    assert passes(world, endpoint, 50000, is_new=True)
    await decide(acme, service, endpoint, "reject")
    await decide(acme, service, endpoint, "reject")
    assert passes(world, endpoint, 50000, is_new=False)

    await choose(acme, service, on_reject=KILL)
    assert passes(world, endpoint, 50000, is_new=False), "a choice is about what comes later"
    await decide(acme, service, endpoint, "reject")

    assert not passes(world, endpoint, 50000, is_new=False)


async def test_an_endpoint_that_drains_while_it_is_deleted_keeps_its_address_until_it_is_gone(
    world: World, acme: Tenant, globex: Tenant
):
    service, endpoint = await connected(world, acme, globex, port_ip="10.0.0.77")
    await choose(acme, service, on_delete=SHORT)
    again = world.endpoint_body(service["id"], port_ip="10.0.0.77")

    await delete(acme, globex, service, endpoint)
    await delete(acme, globex, service, endpoint)

    assert (await globex.get(f"vpc-endpoints/{endpoint['id']}"))["status"] == "deleting"
    assert await globex.refused("POST", "vpc-endpoints", again) == (400, "EndPoint.2042")

    async def is_gone() -> bool:
        return await row_of(world, endpoint) is None

    await eventually(is_gone)
    assert (await globex.call("POST", "vpc-endpoints", again)).status_code == 200


@pytest.mark.parametrize("end", [reject, delete], ids=["rejected", "deleting"])
async def test_with_its_service_every_connection_ends(world: World, acme: Tenant, globex: Tenant, end: End):
    service, endpoint = await connected(world, acme, globex)
    await choose(acme, service, on_reject=LONG, on_delete=LONG)
    assert passes(world, endpoint, 50000, is_new=True)
    await end(acme, globex, service, endpoint)
    assert passes(world, endpoint, 50000, is_new=False)

    assert (await acme.call("DELETE", f"{SERVICES}/{service['id']}")).status_code in {200, 204}

    async def is_over() -> bool:
        row = await row_of(world, endpoint)
        return row is None if end is delete else row is not None and row.grace is None

    await eventually(is_over)
    assert not passes(world, endpoint, 50000, is_new=False)
    assert world.driver.observe([endpoint["id"], service["id"]]) == {}


async def test_a_service_that_is_deleted_stays_until_its_endpoints_are_cut(world: World, acme: Tenant, globex: Tenant):
    service, endpoint = await connected(world, acme, globex)
    await choose(acme, service, on_reject=LONG)
    await decide(acme, service, endpoint, "reject")
    world.driver.fail_on(endpoint["id"], DriverError("busy"))

    await acme.call("DELETE", f"{SERVICES}/{service['id']}")
    await asyncio.sleep(0.3)
    assert (await acme.get(f"{SERVICES}/{service['id']}"))["status"] == "deleting"
    world.driver.fail_on(endpoint["id"], None)

    async def is_gone() -> bool:
        return (await acme.call("GET", f"{SERVICES}/{service['id']}")).status_code == 404

    await eventually(is_gone)
    assert world.driver.observe([endpoint["id"], service["id"]]) == {}


# Permissions


async def test_only_endpoints_of_domains_that_lose_their_last_permission_are_rejected(
    world: World, acme: Tenant, globex: Tenant
):
    service = await world.available_service(acme, approval_enabled=False)
    entries = f"{SERVICES}/{service['id']}/permissions/action"
    own = await acme.post("vpc-endpoints", world.endpoint_body(service["id"], subnet="acme-vpc/web"))
    kept = await globex.post("vpc-endpoints", world.endpoint_body(service["id"]))
    covered = f"iam:domain::{globex.domain_id}"
    await choose(acme, service, on_permission_removal=KILL)

    await acme.post(entries, {"action": "add", "permissions": [covered]})
    await acme.post(entries, {"action": "remove", "permissions": ["*"]})

    statuses = {one["id"]: one["status"] for one in (await _connections(acme, service))}
    assert statuses == {own["id"]: "accepted", kept["id"]: "accepted"}
    await acme.post(entries, {"action": "remove", "permissions": [covered]})
    statuses = {one["id"]: one["status"] for one in (await _connections(acme, service))}
    assert statuses == {own["id"]: "accepted", kept["id"]: "rejected"}


async def _connections(tenant: Tenant, service: dict) -> list[dict]:
    return (await tenant.get(f"{SERVICES}/{service['id']}/connections"))["connections"]


async def test_who_was_let_stay_without_permission_stays_when_others_lose_theirs(
    world: World, acme: Tenant, globex: Tenant
):
    service, endpoint = await connected(world, acme, globex)
    entries = f"{SERVICES}/{service['id']}/permissions/action"
    await forbid(acme, globex, service, endpoint)
    await acme.post(entries, {"action": "add", "permissions": ["iam:domain::somebody"]})

    await choose(acme, service, on_permission_removal=KILL)
    await acme.post(entries, {"action": "remove", "permissions": ["iam:domain::somebody"]})

    assert (await globex.get(f"vpc-endpoints/{endpoint['id']}"))["status"] == "accepted"


async def test_a_permission_deleted_by_its_id_counts_as_one_removed_by_its_text(
    world: World, acme: Tenant, globex: Tenant
):
    service, endpoint = await connected(world, acme, globex)
    await choose(acme, service, on_permission_removal=KILL)
    assert passes(world, endpoint, 50000, is_new=True)
    path = f"{SERVICES}/{service['id']}/permissions"
    (entry,) = (await acme.get(path))["permissions"]

    answer = await acme.call("POST", f"{path}/batch-delete", {"permissions": [{"id": entry["id"]}]})

    assert answer.status_code in {200, 204}
    assert (await globex.get(f"vpc-endpoints/{endpoint['id']}"))["status"] == "rejected"
    assert not passes(world, endpoint, 50000, is_new=False)


async def test_an_endpoint_that_waits_for_its_provider_loses_its_turn_with_its_permission(
    world: World, acme: Tenant, globex: Tenant
):
    service = await world.available_service(acme)
    endpoint = await globex.post("vpc-endpoints", world.endpoint_body(service["id"]))
    await choose(acme, service, on_permission_removal=LONG)

    await forbid(acme, globex, service, endpoint)

    assert (await globex.get(f"vpc-endpoints/{endpoint['id']}"))["status"] == "rejected"
    assert (await shown(acme, service))["ending"] == []


# Deadlines


async def test_a_deadline_that_passes_while_no_server_runs_is_kept_at_the_next_start(
    tmp_path: Path, database_with_the_lab: Path
):
    shutil.copy(database_with_the_lab, tmp_path)
    driver = MemoryDriver()
    async with running(tmp_path, driver) as first:
        acme = await first.login("acme-admin", "acme-password", "acme")
        globex = await first.login("globex-admin", "globex-password", "globex")
        service, endpoint = await connected(first, acme, globex)
        await choose(acme, service, on_reject=SHORT)
        assert passes(first, endpoint, 50000, is_new=True)
        await decide(acme, service, endpoint, "reject")
        first.loop.cancel()
        assert passes(first, endpoint, 50000, is_new=False)
    await asyncio.sleep(1.1)

    async with running(tmp_path, MemoryDriver(driver.network)) as second:
        assert not passes(second, endpoint, 50000, is_new=False)
        assert (await shown(acme_of(second, acme), service))["ending"] == []
        assert b"landbridge_drift_total{" not in second.telemetry.metrics_text(), "nobody has tampered with it"


async def test_a_deadline_that_is_still_ahead_outlives_a_restart(tmp_path: Path, database_with_the_lab: Path):
    shutil.copy(database_with_the_lab, tmp_path)
    driver = MemoryDriver()
    async with running(tmp_path, driver) as first:
        acme = await first.login("acme-admin", "acme-password", "acme")
        globex = await first.login("globex-admin", "globex-password", "globex")
        service, endpoint = await connected(first, acme, globex)
        await choose(acme, service, on_reject={"mode": "drain", "deadline_seconds": 2})
        assert passes(first, endpoint, 50000, is_new=True)
        await decide(acme, service, endpoint, "reject")

    async with running(tmp_path, MemoryDriver(driver.network)) as second:
        assert passes(second, endpoint, 50000, is_new=False)

        async def is_cut() -> bool:
            return not passes(second, endpoint, 50000, is_new=False)

        await eventually(is_cut)


def acme_of(world: World, tenant: Tenant) -> Tenant:
    return Tenant(world.http, tenant.project_id, tenant.domain_id, tenant.token)


async def test_a_deadline_that_the_data_plane_does_not_keep_shows_as_overdue_and_is_tried_again(
    world: World, acme: Tenant, globex: Tenant
):
    service, endpoint = await connected(world, acme, globex)
    await choose(acme, service, on_reject=SHORT)
    assert passes(world, endpoint, 50000, is_new=True)
    await decide(acme, service, endpoint, "reject")
    world.driver.fail_on(endpoint["id"], DriverError("busy"))

    async def is_overdue() -> bool:
        (connection,) = await _connections(acme, service)
        return [error["code"] for error in connection["error"]] == ["EndPoint.0013"]

    await eventually(is_overdue)
    assert (await shown(acme, service))["ending_endpoint_count"] == 1
    world.driver.fail_on(endpoint["id"], None)

    async def is_confirmed() -> bool:
        return (await _connections(acme, service))[0]["error"] == []

    await eventually(is_confirmed)
    assert not passes(world, endpoint, 50000, is_new=False)
