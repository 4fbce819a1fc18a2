"""Operation 27, and that nobody gets more than the quota, however many requests come at once."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from landbridge import lab as labs
from landbridge.control.quotas import replace_quotas
from landbridge.dataplane.driver import DriverError
from landbridge.domain.ids import ProjectId, ServiceId
from landbridge.domain.resources import QuotaType
from tests.integration.conftest import LAB, Tenant, World
from tests.integration.live import LANDBRIDGE


async def set_quota(world: World, tenant: Tenant, type_: QuotaType, quota: int | None) -> None:
    await world.store.write(lambda tx: tx.put_quota(ProjectId(tenant.project_id), type_, quota))


async def shown(tenant: Tenant, **params: str) -> list[tuple[str, int, int]]:
    answer = await tenant.get("quotas", **params)
    assert list(answer) == ["quotas"]
    assert list(answer["quotas"]) == ["resources"]
    return [(item["type"], item["used"], item["quota"]) for item in answer["quotas"]["resources"]]


async def test_quotas_are_20_services_and_50_endpoints_unless_somebody_says_otherwise(world: World, acme: Tenant):
    assert await shown(acme) == [("endpoint_service", 0, 20), ("endpoint", 0, 50)]
    assert await shown(acme, type="endpoint") == [("endpoint", 0, 50)]
    assert await shown(acme, type="endpoint_service") == [("endpoint_service", 0, 20)]

    await set_quota(world, acme, QuotaType.ENDPOINT, 7)
    assert await shown(acme) == [("endpoint_service", 0, 20), ("endpoint", 0, 7)]
    await set_quota(world, acme, QuotaType.ENDPOINT, None)
    assert await shown(acme, type="endpoint") == [("endpoint", 0, 50)]


@pytest.mark.parametrize("type_", ["vpc", "ENDPOINT", "endpoint_services", "x" * 129])
async def test_an_unknown_type_is_refused(acme: Tenant, type_: str):
    expected = (400, "EndPoint.0002" if len(type_) > 128 else "EndPoint.3070")

    assert await acme.refused("GET", "quotas", params={"type": type_}) == expected


async def test_endpoints_count_in_every_state_but_deleting_and_only_in_their_own_project(
    world: World, acme: Tenant, globex: Tenant
):
    service = await world.available_service(acme)
    endpoints = [await globex.post("vpc-endpoints", world.endpoint_body(service["id"])) for _ in range(4)]
    accepted, rejected, broken, deleted = endpoints
    path = f"vpc-endpoint-services/{service['id']}/connections/action"
    world.driver.fail_on(broken["id"], DriverError("no such interface"))
    for endpoint, action in zip(endpoints, ("receive", "reject", "receive", "receive"), strict=True):
        await acme.post(path, {"action": action, "endpoints": [endpoint["id"]]})
    for endpoint, status in ((accepted, "accepted"), (rejected, "rejected"), (broken, "failed"), (deleted, "accepted")):
        await globex.until(f"vpc-endpoints/{endpoint['id']}", status)
    assert await shown(globex, type="endpoint") == [("endpoint", 4, 50)]

    world.driver.fail_on(deleted["id"], DriverError("busy"))
    await globex.call("DELETE", f"vpc-endpoints/{deleted['id']}")

    assert (await globex.get(f"vpc-endpoints/{deleted['id']}"))["status"] == "deleting"
    assert await shown(globex) == [("endpoint_service", 0, 20), ("endpoint", 3, 50)]
    assert await shown(acme) == [("endpoint_service", 1, 20), ("endpoint", 0, 50)]


async def test_a_service_that_is_being_deleted_gives_its_place_back_at_once(world: World, acme: Tenant):
    await set_quota(world, acme, QuotaType.ENDPOINT_SERVICE, 1)
    service = await acme.post("vpc-endpoint-services", world.service_body())
    world.driver.fail_on(service["id"], DriverError("busy"))
    assert await acme.refused("POST", "vpc-endpoint-services", world.service_body("web-2")) == (400, "Endpoint.1018")

    await acme.call("DELETE", f"vpc-endpoint-services/{service['id']}")

    await acme.post("vpc-endpoint-services", world.service_body())


async def test_one_more_than_the_quota_is_refused_with_both_numbers_and_leaves_nothing_behind(
    world: World, acme: Tenant, globex: Tenant
):
    service = await world.available_service(acme)
    await set_quota(world, globex, QuotaType.ENDPOINT, 1)
    await globex.post("vpc-endpoints", world.endpoint_body(service["id"], port_ip="10.0.0.100"))
    another = world.endpoint_body(service["id"], port_ip="10.0.0.101")

    answer = await globex.call("POST", "vpc-endpoints", another)

    assert (answer.status_code, answer.json()["error_code"]) == (400, "Endpoint.1018")
    assert "has 1 of 1 endpoints" in answer.json()["error_msg"]
    await set_quota(world, globex, QuotaType.ENDPOINT, 2)
    assert (await globex.post("vpc-endpoints", another))["status"] == "pendingAcceptance"


async def test_used_is_never_shown_above_a_quota_that_was_lowered(world: World, acme: Tenant, globex: Tenant):
    service = await world.available_service(acme)
    for _ in range(2):
        await globex.post("vpc-endpoints", world.endpoint_body(service["id"]))

    await set_quota(world, globex, QuotaType.ENDPOINT, 1)

    assert await shown(globex, type="endpoint") == [("endpoint", 1, 1)]


async def test_thirty_endpoints_at_once_get_no_more_places_than_there_are(world: World, acme: Tenant, globex: Tenant):
    service = await world.available_service(acme)
    await set_quota(world, globex, QuotaType.ENDPOINT, 7)
    body = world.endpoint_body(service["id"])

    answers = await asyncio.gather(*(globex.call("POST", "vpc-endpoints", body) for _ in range(30)))

    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [400] * 23
    assert {answer.json().get("error_code") for answer in answers} == {None, "Endpoint.1018"}
    assert (await globex.get("vpc-endpoints"))["total_count"] == 7


async def test_thirty_services_at_once_get_no_more_places_than_there_are(world: World, acme: Tenant):
    bodies = [world.service_body(ports=[{"client_port": 80, "server_port": 1000 + n}]) for n in range(30)]

    answers = await asyncio.gather(*(acme.call("POST", "vpc-endpoint-services", body) for body in bodies))

    assert sorted(answer.status_code for answer in answers) == [200] * 20 + [400] * 10
    assert await shown(acme, type="endpoint_service") == [("endpoint_service", 20, 20)]


async def test_a_service_that_is_offered_to_everybody_takes_no_place(world: World, acme: Tenant):
    service = await world.available_service(acme)

    def publish(tx) -> None:
        tx.update_service(replace(tx.service(ServiceId(service["id"])), public_owner="lab"))

    await world.store.write(publish)

    assert await shown(acme, type="endpoint_service") == [("endpoint_service", 0, 20)]


async def test_each_start_sets_the_quotas_of_the_lab_files_projects_to_what_it_says(world: World, acme: Tenant):
    text = LAB.read_text()
    with_quotas = text.replace("- name: acme\n", "- name: acme\n    quotas: {endpoint: 3}\n")
    await set_quota(world, acme, QuotaType.ENDPOINT_SERVICE, 1)

    await world.store.write(lambda tx: replace_quotas(tx, labs.quotas(labs.parse_lab(with_quotas))))
    assert await shown(acme) == [("endpoint_service", 0, 20), ("endpoint", 0, 3)]
    await world.store.write(lambda tx: replace_quotas(tx, labs.quotas(labs.parse_lab(text))))
    assert await shown(acme) == [("endpoint_service", 0, 20), ("endpoint", 0, 50)]


# The command, beside a living server


async def command(state: Path, *arguments: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(LANDBRIDGE, "project", "quota", *arguments, "--state", str(state)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    return process.returncode or 0, output.decode(), errors.decode()


async def test_the_command_shows_and_sets_quotas_which_count_at_once(world: World, acme: Tenant, tmp_path: Path):
    service = await world.available_service(acme)
    own = world.endpoint_body(service["id"], subnet="acme-vpc/apps")
    await acme.post("vpc-endpoints", own)

    done = await command(tmp_path, "acme", "--endpoints", "1", "--endpoint-services", "30")

    assert (done[0], done[2]) == (0, "")
    assert [line.split() for line in done[1].splitlines()] == [
        ["TYPE", "USED", "QUOTA"],
        ["endpoint_service", "1", "30"],
        ["endpoint", "1", "1"],
    ]
    assert await shown(acme) == [("endpoint_service", 1, 30), ("endpoint", 1, 1)]
    assert await acme.refused("POST", "vpc-endpoints", own) == (400, "Endpoint.1018")
    _, output, _ = await command(tmp_path, acme.project_id, "--endpoints", "default", "--json")
    assert json.loads(output) == {
        "project_id": acme.project_id,
        "quotas": [
            {"type": "endpoint_service", "used": 1, "quota": 30},
            {"type": "endpoint", "used": 1, "quota": None},
        ],
    }
    assert await shown(acme, type="endpoint") == [("endpoint", 1, 50)]


async def test_the_command_without_numbers_changes_nothing(world: World, acme: Tenant, tmp_path: Path):
    await set_quota(world, acme, QuotaType.ENDPOINT, 7)

    _, output, _ = await command(tmp_path, "acme")

    assert output.splitlines()[1:] == [
        "endpoint_service          0    default",
        "endpoint                  0          7",
    ]
    assert await shown(acme, type="endpoint") == [("endpoint", 0, 7)]


async def test_an_id_that_only_another_identity_service_knows_has_quotas_too(world: World, tmp_path: Path):
    assert (await command(tmp_path, "0" * 32, "--endpoints", "9"))[0] == 0

    assert await world.store.read(lambda tx: tx.own_quotas(ProjectId("0" * 32))) == {QuotaType.ENDPOINT: 9}


@pytest.mark.parametrize("number", ["-1", "many", "1000000000", "٣", ""])
async def test_what_is_no_number_is_refused_by_the_command(world: World, tmp_path: Path, number: str):
    status, _, errors = await command(tmp_path, "acme", f"--endpoints={number}")

    assert status == 2
    assert "write a whole number" in errors


async def test_a_project_or_a_state_that_is_not_there_is_named_by_the_command(world: World, tmp_path: Path):
    missing = await command(tmp_path, "umbrella", "--endpoints", "1")
    nowhere = await command(tmp_path / "nowhere", "acme")

    assert missing == (1, "", "error: there is no project umbrella: give the name or the id of one that exists\n")
    assert nowhere[0] == 1
    assert "holds no database" in nowhere[2]
    assert not (tmp_path / "nowhere").exists()
