"""The audit log through the API: what was changed, by whom, told to whom."""

from typing import Any

import pytest

from tests.integration.conftest import Tenant, World


async def log(tenant: Tenant, **wanted: Any) -> Any:
    return (await tenant.get("ext/audit", **wanted))["audit_records"]


async def test_a_change_is_in_the_log_with_the_user_the_address_and_the_request(world: World, acme: Tenant):
    answer = await acme.call("POST", "vpc-endpoint-services", world.service_body())
    service_id = answer.json()["id"]

    (record,) = await log(acme, resource_id=service_id)

    assert record["actor"] == {
        "kind": "user",
        "user_id": record["actor"]["user_id"],
        "user_name": "acme-admin",
        "request_id": answer.headers["X-Request-Id"],
        "client_address": "127.0.0.1",
    }
    assert (record["action"], record["change"]) == ("vpcep:epservices:create", "created")
    assert record["resource_type"] == "vpc-endpoint-service"
    assert record["before"] is None
    assert record["after"]["port_id"] == world.ids["hosts"]["web-1"]["port_id"]


async def test_a_life_of_an_endpoint_is_told_to_both_sides_each_with_what_it_may_know(
    world: World, acme: Tenant, globex: Tenant
):
    service = await world.available_service(acme, approval_enabled=True)
    body = world.endpoint_body(service["id"], description="of the consumer")
    endpoint = await globex.post("vpc-endpoints", body)
    path = f"vpc-endpoint-services/{service['id']}/connections/action"
    await globex.until(f"vpc-endpoints/{endpoint['id']}", "pendingAcceptance")
    await acme.post(path, {"endpoints": [endpoint["id"]], "action": "receive"})
    shown = await globex.until(f"vpc-endpoints/{endpoint['id']}", "accepted")
    assert (await globex.call("DELETE", f"vpc-endpoints/{endpoint['id']}")).status_code == 204

    of_consumer = await log(globex, resource_id=endpoint["id"])
    of_provider = await log(acme, resource_id=endpoint["id"])

    assert [one["change"] for one in of_consumer] == ["deleted", "changed", "created"]
    accepted = of_consumer[1]
    assert accepted["actor"] == {"kind": "other-project"}
    assert (accepted["action"], accepted["before"], accepted["after"]) == (
        "",
        {"admission": "pending"},
        {"admission": "accepted"},
    )
    (decision,) = of_provider
    assert (decision["resource_type"], decision["actor"]["user_name"]) == ("connection", "acme-admin")
    assert decision["after"] == {"admission": "accepted"}
    text = str(of_provider)
    assert not any(secret in text for secret in (shown["vpc_id"], shown["ip"], "of the consumer", "globex"))


async def test_what_was_refused_is_not_in_the_log(world: World, acme: Tenant):
    before = await log(acme)

    refused = await acme.refused("POST", "vpc-endpoint-services", world.service_body(port_id="nothing"))

    assert refused[0] >= 400
    assert await log(acme) == before


async def test_nobody_reads_the_log_of_another_project(world: World, acme: Tenant, globex: Tenant):
    await acme.post("vpc-endpoint-services", world.service_body())

    stranger = Tenant(world.http, acme.project_id, acme.domain_id, globex.token)

    assert await stranger.refused("GET", "ext/audit") == (403, "EndPoint.0004")
    assert all(one["resource_type"] != "vpc-endpoint-service" for one in await log(globex))


async def test_networks_made_by_the_lab_file_are_the_operators_who_is_not_named(world: World, acme: Tenant):
    records = await log(acme, resource_type="vpc", resource_id=world.ids["vpcs"]["acme-vpc"]["vpc_id"])

    assert [(one["actor"], one["action"]) for one in records] == [({"kind": "operator"}, "lab file")]


async def test_the_log_is_read_page_by_page(world: World, acme: Tenant):
    service = await acme.post("vpc-endpoint-services", world.service_body())
    for number in range(4):
        await acme.until(f"vpc-endpoint-services/{service['id']}", "available")
        answer = await acme.call("PUT", f"vpc-endpoint-services/{service['id']}", {"description": f"no. {number}"})
        assert answer.status_code == 200, answer.text

    pages = [await acme.get("ext/audit", limit=2, resource_id=service["id"])]
    while pages[-1]["next_marker"]:
        pages.append(await acme.get("ext/audit", limit=2, resource_id=service["id"], marker=pages[-1]["next_marker"]))

    told = [one["after"]["description"] for page in pages for one in page["audit_records"]]
    assert told == ["no. 3", "no. 2", "no. 1", "no. 0", ""]


@pytest.mark.parametrize(
    "wanted",
    [
        {"limit": 0},
        {"limit": 1001},
        {"limit": "x"},
        {"marker": "x"},
        {"since": "yesterday"},
        {"until": "2026-01-31T12:00:00"},
        {"resource_type": "secret"},
    ],
)
async def test_a_question_that_makes_no_sense_is_refused(acme: Tenant, wanted: dict[str, str]):
    status, _ = await acme.refused("GET", "ext/audit", params=wanted)

    assert status == 400
