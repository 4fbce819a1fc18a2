"""Operations 22, 24, 25, 26: who may use an endpoint, its policy, and its route tables, which it has not."""

import asyncio
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from landbridge.dataplane.driver import DriverError
from landbridge.domain.ids import EndpointId, ServiceId
from tests.integration.conftest import Tenant, World, running

ABSENT = "00000000-0000-4000-8000-000000000000"
POLICY = {"Version": "5.0", "Statement": [{"Effect": "Allow", "Action": ["*"], "Resource": ["*"]}]}


async def accepted_endpoint(world: World, acme: Tenant, globex: Tenant, **changes) -> dict:
    service = await world.available_service(acme, approval_enabled=False)
    endpoint = await globex.post("vpc-endpoints", world.endpoint_body(service["id"], **changes))
    return await globex.until(f"vpc-endpoints/{endpoint['id']}", "accepted")


async def service_with_policies(world: World, acme: Tenant, **changes) -> dict:
    service = await world.available_service(acme, **changes)
    await take_policies(world, service["id"])
    return service


async def take_policies(world: World, service_id: str, takes: bool = True) -> None:
    def work(tx):
        tx.update_service(replace(tx.service(ServiceId(service_id)), enable_policy=takes))

    await world.store.write(work)


async def change(tenant: Tenant, endpoint: dict, body: dict) -> dict:
    answer = await tenant.call("PUT", f"vpc-endpoints/{endpoint['id']}", body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def generation(world: World, endpoint: dict) -> int:
    return (await world.store.read(lambda tx: tx.endpoint(EndpointId(endpoint["id"])))).generation


# Operation 22


async def test_a_whitelist_is_carried_when_the_answer_comes(world: World, acme: Tenant, globex: Tenant):
    endpoint = await accepted_endpoint(world, acme, globex)
    before = world.driver.observe([endpoint["id"]])

    answer = await change(globex, endpoint, {"whitelist": ["10.0.0.11", "10.0.1.0/24"], "enable_whitelist": True})

    assert world.driver.observe([endpoint["id"]]) != before
    assert (answer["whitelist"], answer["enable_whitelist"]) == (["10.0.0.11", "10.0.1.0/24"], True)
    assert (answer["status"], answer["error"]) == ("accepted", [])
    shown = await globex.get(f"vpc-endpoints/{endpoint['id']}")
    assert answer == {name: value for name, value in shown.items() if name != "routetables"}


async def test_the_part_that_is_not_given_stays_and_an_empty_list_takes_all_out(
    world: World, acme: Tenant, globex: Tenant
):
    endpoint = await accepted_endpoint(world, acme, globex, whitelist=["10.0.0.10"], enable_whitelist=True)

    off = await change(globex, endpoint, {"enable_whitelist": False})
    assert (off["whitelist"], off["enable_whitelist"]) == (["10.0.0.10"], False)
    replaced = await change(globex, endpoint, {"whitelist": ["10.0.0.11"], "enable_whitelist": None})
    assert (replaced["whitelist"], replaced["enable_whitelist"]) == (["10.0.0.11"], False)
    emptied = await change(globex, endpoint, {"whitelist": []})
    assert (emptied["whitelist"], emptied["enable_whitelist"]) == ([], False)


@pytest.mark.parametrize(
    "body", [{}, {"whitelist": None, "colour": "red"}, {"whitelist": ["10.0.0.10"], "enable_whitelist": True}]
)
async def test_a_change_that_changes_nothing_succeeds_and_leaves_everything_as_it_is(
    world: World, acme: Tenant, globex: Tenant, body: dict
):
    endpoint = await accepted_endpoint(world, acme, globex, whitelist=["10.0.0.10"], enable_whitelist=True)
    before = await generation(world, endpoint)

    answer = await change(globex, endpoint, body)

    assert answer == {name: value for name, value in endpoint.items() if name != "routetables"}
    assert await generation(world, endpoint) == before


@pytest.mark.parametrize("action", [None, "reject"])
async def test_an_endpoint_that_waits_or_was_rejected_takes_a_whitelist_too(
    world: World, acme: Tenant, globex: Tenant, action: str | None
):
    service = await world.available_service(acme)
    endpoint = await globex.post("vpc-endpoints", world.endpoint_body(service["id"]))
    path = f"vpc-endpoint-services/{service['id']}/connections/action"
    if action is not None:
        await acme.post(path, {"action": action, "endpoints": [endpoint["id"]]})

    answer = await change(globex, endpoint, {"whitelist": ["10.0.0.10"], "enable_whitelist": True})

    assert answer["status"] == ("rejected" if action else "pendingAcceptance")
    await acme.post(path, {"action": "receive", "endpoints": [endpoint["id"]]})
    accepted = await globex.until(f"vpc-endpoints/{endpoint['id']}", "accepted")
    assert (accepted["whitelist"], accepted["enable_whitelist"]) == (["10.0.0.10"], True)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"whitelist": ["0.0.0.0/0"]}, "EndPoint.2044"),
        ({"whitelist": ["0.0.0.0"]}, "EndPoint.2044"),
        ({"whitelist": ["10.0.0.256"]}, "EndPoint.2044"),
        ({"whitelist": "10.0.0.1"}, "EndPoint.2044"),
        ({"whitelist": [7]}, "EndPoint.2044"),
        ({"whitelist": [f"10.0.0.{number}" for number in range(1, 22)]}, "EndPoint.2045"),
        ({"enable_whitelist": "true"}, "EndPoint.0002"),
        ({"enable_whitelist": 1}, "EndPoint.0002"),
        ([], "EndPoint.1004"),
    ],
)
async def test_a_bad_whitelist_is_refused_and_nothing_changes(
    world: World, acme: Tenant, globex: Tenant, body: dict, code: str
):
    endpoint = await accepted_endpoint(world, acme, globex)

    assert await globex.refused("PUT", f"vpc-endpoints/{endpoint['id']}", body) == (400, code)

    assert await globex.get(f"vpc-endpoints/{endpoint['id']}") == endpoint


async def test_a_cut_by_whitelist_that_the_data_plane_does_not_confirm_is_shown_and_tried_again(
    world: World, acme: Tenant, globex: Tenant
):
    endpoint = await accepted_endpoint(world, acme, globex)
    world.driver.fail_on(endpoint["id"], DriverError("the kernel is busy"))

    began = asyncio.get_running_loop().time()
    answer = await change(globex, endpoint, {"enable_whitelist": True})
    waited = asyncio.get_running_loop().time() - began

    assert [error["error_code"] for error in answer["error"]] == ["EndPoint.0013"]
    assert 0.9 < waited < 5
    assert b"landbridge_cuts_overdue_total 1.0" in world.telemetry.metrics_text()
    world.driver.fail_on(endpoint["id"], None)
    for _ in range(500):
        shown = await globex.get(f"vpc-endpoints/{endpoint['id']}")
        if not shown["error"]:
            break
        await asyncio.sleep(0.01)
    assert (shown["status"], shown["error"], shown["enable_whitelist"]) == ("accepted", [], True)


async def test_a_wider_whitelist_that_the_data_plane_refuses_shows_as_a_failure_not_as_a_cut(
    world: World, acme: Tenant, globex: Tenant
):
    endpoint = await accepted_endpoint(world, acme, globex, enable_whitelist=True)
    world.driver.fail_on(endpoint["id"], DriverError("the kernel is busy"))

    answer = await change(globex, endpoint, {"enable_whitelist": False})

    assert (answer["status"], answer["error"][0]["error_code"]) == ("failed", "EndPoint.2022")
    assert b"landbridge_cuts_overdue_total 1.0" not in world.telemetry.metrics_text()


# The states in which nothing can be changed, and endpoints that are not there

CHANGES = [
    ("PUT", "", {"whitelist": []}),
    ("PUT", "/policy", {"policy_document": POLICY}),
    ("DELETE", "/policy", None),
    ("PUT", "/routetables", {"routetables": [ABSENT]}),
]


@pytest.mark.parametrize(("method", "path", "body"), CHANGES)
async def test_an_endpoint_of_somebody_else_is_as_absent_as_an_unknown_one(
    world: World, acme: Tenant, globex: Tenant, method: str, path: str, body: dict | None
):
    endpoint = await accepted_endpoint(world, acme, globex)

    for id_ in (endpoint["id"], ABSENT):
        assert await acme.refused(method, f"vpc-endpoints/{id_}{path}", body) == (404, "EndPoint.2006")


@pytest.mark.parametrize(("method", "path", "body"), [("GET", "", None), ("DELETE", "", None), *CHANGES])
@pytest.mark.parametrize("id_", ["web", "0" * 36, "a" * 300])
async def test_what_is_no_id_of_an_endpoint_is_refused_as_such(
    globex: Tenant, method: str, path: str, body: dict | None, id_: str
):
    assert await globex.refused(method, f"vpc-endpoints/{id_}{path}", body) == (400, "EndPoint.2017")


async def refused_changes(tenant: Tenant, endpoint: dict) -> set[tuple[int, str]]:
    """Send every change that depends on the state, and return what came of it."""
    return {
        await tenant.refused(method, f"vpc-endpoints/{endpoint['id']}{path}", body)
        for method, path, body in CHANGES
        if path != "/routetables"
    }


async def endpoint_with_policy(world: World, acme: Tenant, globex: Tenant) -> dict:
    service = await service_with_policies(world, acme, approval_enabled=False)
    endpoint = await globex.post("vpc-endpoints", world.endpoint_body(service["id"], policy_document=POLICY))
    return await globex.until(f"vpc-endpoints/{endpoint['id']}", "accepted")


async def test_a_failed_endpoint_cannot_be_changed(world: World, acme: Tenant, globex: Tenant):
    service = await service_with_policies(world, acme)
    endpoint = await globex.post("vpc-endpoints", world.endpoint_body(service["id"], policy_document=POLICY))
    world.driver.fail_on(endpoint["id"], DriverError("no such interface"))
    await acme.post(
        f"vpc-endpoint-services/{service['id']}/connections/action",
        {"action": "receive", "endpoints": [endpoint["id"]]},
    )
    await globex.until(f"vpc-endpoints/{endpoint['id']}", "failed")

    assert await refused_changes(globex, endpoint) == {(400, "EndPoint.2047")}


async def test_an_endpoint_that_is_being_created_cannot_be_changed(world: World, acme: Tenant, globex: Tenant):
    service = await service_with_policies(world, acme, approval_enabled=False)
    world.loop.cancel()  # so that nothing is carried out
    endpoint = await globex.post("vpc-endpoints", world.endpoint_body(service["id"], policy_document=POLICY))
    assert endpoint["status"] == "creating"

    assert await refused_changes(globex, endpoint) == {(400, "EndPoint.2019")}


async def test_an_endpoint_that_is_being_deleted_cannot_be_changed(world: World, acme: Tenant, globex: Tenant):
    endpoint = await endpoint_with_policy(world, acme, globex)
    world.driver.fail_on(endpoint["id"], DriverError("busy"))
    await globex.call("DELETE", f"vpc-endpoints/{endpoint['id']}")

    assert await refused_changes(globex, endpoint) == {(400, "EndPoint.2018")}


# Operations 24 and 25


async def test_a_policy_is_kept_and_shown_as_it_was_sent_until_it_is_removed(
    world: World, acme: Tenant, globex: Tenant
):
    service = await service_with_policies(world, acme)
    endpoint = await globex.post("vpc-endpoints", world.endpoint_body(service["id"]))
    path = f"vpc-endpoints/{endpoint['id']}"
    before = await generation(world, endpoint)
    assert "policy_document" not in endpoint

    answer = await globex.call("PUT", f"{path}/policy", {"policy_document": POLICY})
    assert (answer.status_code, answer.json()["policy_document"]) == (200, POLICY)
    assert await globex.get(path) == answer.json()
    assert (await globex.get("vpc-endpoints"))["endpoints"] == [answer.json()]

    answer = await globex.call("DELETE", f"{path}/policy")
    assert (answer.status_code, "policy_document" in answer.json()) == (200, False)
    assert await globex.get(path) == answer.json()
    assert await globex.refused("DELETE", f"{path}/policy") == (400, "EndPoint.2049")
    assert await generation(world, endpoint) == before


async def test_the_same_policy_again_changes_nothing(world: World, acme: Tenant, globex: Tenant):
    endpoint = await endpoint_with_policy(world, acme, globex)

    answer = await globex.call("PUT", f"vpc-endpoints/{endpoint['id']}/policy", {"policy_document": POLICY})

    assert answer.json() == endpoint


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"policy_document": None},
        {"policy_document": {}},
        {"policy_document": "{}"},
        {"policy_document": [POLICY]},
        {"policy_document": {"a": "x" * 20480}},
        {"policy_statement": [{"Effect": "Allow", "Action": ["obs:*:*"], "Resource": ["*"]}]},
    ],
    ids=["nothing", "null", "empty", "text", "list", "large", "statement"],
)
async def test_a_bad_policy_is_refused_and_the_old_one_stays(world: World, acme: Tenant, globex: Tenant, body: dict):
    endpoint = await endpoint_with_policy(world, acme, globex)

    assert await globex.refused("PUT", f"vpc-endpoints/{endpoint['id']}/policy", body) == (400, "EndPoint.2048")

    assert await globex.get(f"vpc-endpoints/{endpoint['id']}") == endpoint


async def test_a_number_that_python_would_not_write_is_refused_and_breaks_nothing(
    world: World, acme: Tenant, globex: Tenant
):
    endpoint = await endpoint_with_policy(world, acme, globex)
    content = b'{"policy_document": {"a": ' + b"9" * 5000 + b"}}"

    status, code = await globex.refused("PUT", f"vpc-endpoints/{endpoint['id']}/policy", content=content)

    assert (status, code) in {(400, "EndPoint.2048"), (400, "EndPoint.1004")}


async def test_an_endpoint_whose_service_takes_no_policies_is_refused_one_before_the_policy_is_looked_at(
    world: World, acme: Tenant, globex: Tenant
):
    endpoint = await accepted_endpoint(world, acme, globex)
    path = f"vpc-endpoints/{endpoint['id']}/policy"

    for body in ({"policy_document": POLICY}, {"policy_document": 7}, {}):
        answer = await globex.call("PUT", path, body)
        assert (answer.status_code, answer.json()["error_code"]) == (400, "EndPoint.2048")
        assert "takes no endpoint policies" in answer.json()["error_msg"]
    assert await globex.refused("DELETE", path) == (400, "EndPoint.2049")


async def test_a_policy_can_still_be_removed_after_its_service_stopped_to_take_them(
    world: World, acme: Tenant, globex: Tenant
):
    endpoint = await endpoint_with_policy(world, acme, globex)
    await take_policies(world, endpoint["endpoint_service_id"], takes=False)

    assert (await globex.call("DELETE", f"vpc-endpoints/{endpoint['id']}/policy")).status_code == 200


async def test_an_endpoint_can_be_created_with_a_policy_where_its_service_takes_one(
    world: World, acme: Tenant, globex: Tenant
):
    service = await world.available_service(acme)
    with_policy = world.endpoint_body(service["id"], policy_document=POLICY)

    assert await globex.refused("POST", "vpc-endpoints", with_policy) == (400, "EndPoint.2048")
    await take_policies(world, service["id"])
    assert (await globex.post("vpc-endpoints", with_policy))["policy_document"] == POLICY
    too_large = with_policy | {"policy_document": {"a": "x" * 20480}}
    assert await globex.refused("POST", "vpc-endpoints", too_large) == (400, "EndPoint.2048")
    assert (await globex.get("vpc-endpoints"))["total_count"] == 1


# Operation 26


@pytest.mark.parametrize("body", [{"routetables": [ABSENT]}, {"routetables": []}, {}, {"routetables": "main"}])
async def test_an_interface_endpoint_has_no_route_tables_and_none_is_looked_up(
    world: World, acme: Tenant, globex: Tenant, body: dict
):
    endpoint = await accepted_endpoint(world, acme, globex)

    refused = await globex.refused("PUT", f"vpc-endpoints/{endpoint['id']}/routetables", body)

    assert refused == (400, "EndPoint.0002")


async def test_a_whitelist_may_be_as_long_as_the_settings_say(tmp_path: Path, database_with_the_lab: Path):
    shutil.copy(database_with_the_lab, tmp_path)
    entries = [f"10.0.0.{number}" for number in range(1, 62)]
    async with running(tmp_path, whitelist_limit=60) as world:
        acme = await world.login("acme-admin", "acme-password", "acme")
        globex = await world.login("globex-admin", "globex-password", "globex")
        endpoint = await accepted_endpoint(world, acme, globex, whitelist=entries[:60])

        assert (await change(globex, endpoint, {"whitelist": entries[1:]}))["whitelist"] == entries[1:]
        path = f"vpc-endpoints/{endpoint['id']}"
        assert await globex.refused("PUT", path, {"whitelist": entries}) == (400, "EndPoint.2045")
