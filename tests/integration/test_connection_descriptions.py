"""Operation 12: the provider's own text about its connections (contract 3.12)."""

from typing import Any

import pytest

from tests.integration.conftest import Tenant, World

SERVICES = "vpc-endpoint-services"
UNKNOWN = "00000000-0000-4000-8000-000000000000"


async def two_connections(world: World, acme: Tenant, globex: Tenant) -> tuple[str, list[str]]:
    """Return the path of an available service and the ids of two endpoints of it."""
    service = await world.available_service(acme)
    body = world.endpoint_body(service["id"], description="from the consumer")
    ids = [(await globex.post("vpc-endpoints", body))["id"] for _ in range(2)]
    return f"{SERVICES}/{service['id']}", ids


async def describe(acme: Tenant, path: str, *pairs: tuple[str, str]) -> Any:
    body = {"connections": [{"id": id_, "description": text} for id_, text in pairs]}
    answer = await acme.call("PUT", f"{path}/connections/description", body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_descriptions_are_answered_in_order_and_shown_to_the_provider_alone(
    world: World, acme: Tenant, globex: Tenant
):
    path, (first, second) = await two_connections(world, acme, globex)
    before = await globex.get(f"vpc-endpoints/{first}")

    answer = await describe(acme, path, (second, ""), (first, "branch office"))

    assert [(item["id"], item["description"]) for item in answer["connections"]] == [
        (second, ""),
        (first, "branch office"),
    ]
    for item in answer["connections"]:
        assert (await acme.get(f"{path}/connections", id=item["id"]))["connections"] == [item]
    assert await globex.get(f"vpc-endpoints/{first}") == before
    assert before["description"] == "from the consumer"


async def test_the_endpoints_own_description_is_the_first_one(world: World, acme: Tenant, globex: Tenant):
    path, _ = await two_connections(world, acme, globex)

    connections = (await acme.get(f"{path}/connections"))["connections"]

    assert {item["description"] for item in connections} == {"from the consumer"}


@pytest.mark.parametrize("last", ["unknown", "of another service", "bad text", "named twice"])
async def test_all_are_described_or_none(world: World, acme: Tenant, globex: Tenant, last: str):
    path, (first, second) = await two_connections(world, acme, globex)
    other = await world.available_service(acme, ports=[{"client_port": 1, "server_port": 81}])
    elsewhere = (await globex.post("vpc-endpoints", world.endpoint_body(other["id"])))["id"]
    id_, text, expected = {
        "unknown": (UNKNOWN, "", (404, "EndPoint.2006")),
        "of another service": (elsewhere, "", (400, "EndPoint.2013")),
        "bad text": (second, "a > b", (400, "EndPoint.0002")),
        "named twice": (first, "again", (400, "EndPoint.0002")),
    }[last]
    before = await acme.get(f"{path}/connections")

    body = {"connections": [{"id": first, "description": "new"}, {"id": id_, "description": text}]}
    assert await acme.refused("PUT", f"{path}/connections/description", body) == expected
    assert await acme.get(f"{path}/connections") == before


async def test_a_foreign_endpoint_is_as_absent_as_an_unknown_one(world: World, acme: Tenant, globex: Tenant):
    path, _ = await two_connections(world, acme, globex)
    its_service = await globex.post(SERVICES, world.service_body(host="client-1", vpc="globex-vpc"))
    await globex.until(f"{SERVICES}/{its_service['id']}", "available")
    foreign = await globex.post("vpc-endpoints", world.endpoint_body(its_service["id"]))

    for id_ in (foreign["id"], UNKNOWN):
        body = {"connections": [{"id": id_, "description": "x"}]}
        assert await acme.refused("PUT", f"{path}/connections/description", body) == (404, "EndPoint.2006")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"connections": []}, "EndPoint.0002"),
        ({}, "EndPoint.0002"),
        ({"connections": [{"id": UNKNOWN}]}, "EndPoint.0002"),
        ({"connections": [{"description": "x"}]}, "EndPoint.0002"),
        ({"connections": [{"id": UNKNOWN, "description": "d" * 129}]}, "EndPoint.0002"),
        ({"connections": [{"id": UNKNOWN, "description": ""}] * 501}, "EndPoint.0016"),
    ],
)
async def test_a_bad_list_is_refused_with_its_code(world: World, acme: Tenant, body: dict, code: str):
    service = await world.available_service(acme)

    refused = await acme.refused("PUT", f"{SERVICES}/{service['id']}/connections/description", body)

    assert refused == (400, code)
