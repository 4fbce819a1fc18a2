"""Operations 28, 29 and 30: tags (contract 3.28 to 3.30, 4.2, 6.4)."""

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.conftest import Tenant, World, running

UNKNOWN = "00000000-0000-4000-8000-000000000000"
SERVICES, ENDPOINTS = "endpoint_service", "endpoint"


async def tagged_service(world: World, tenant: Tenant, port: int, **tags: str) -> Any:
    """Create a service on a server port of its own."""
    ports = [{"client_port": 80, "server_port": port}]
    return await tenant.post("vpc-endpoint-services", world.service_body(ports=ports, tags=pairs(**tags)))


async def change(tenant: Tenant, kind: str, id_: str, action: str, tags: list[dict[str, str]]) -> None:
    answer = await tenant.call("POST", f"{kind}/{id_}/tags/action", {"action": action, "tags": tags})
    assert (answer.status_code, answer.content) == (204, b""), answer.text


async def search(tenant: Tenant, kind: str = SERVICES, **parts: Any) -> Any:
    return await tenant.post(f"{kind}/resource_instances/action", {"action": "filter"} | parts)


async def found(tenant: Tenant, kind: str = SERVICES, **parts: Any) -> set[str]:
    return {resource["resource_id"] for resource in (await search(tenant, kind, **parts))["resources"]}


def pairs(**tags: str) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in tags.items()]


# Operation 29


async def test_new_tags_follow_those_that_are_there_and_known_keys_get_new_values(world: World, acme: Tenant):
    service = await tagged_service(world, acme, 80, team="fin", stage="test")
    path = f"vpc-endpoint-services/{service['id']}"

    await change(acme, SERVICES, service["id"], "create", pairs(owner="ann", team="ops", area=""))

    expected = pairs(team="ops", stage="test", owner="ann", area="")
    assert (await acme.get(path))["tags"] == expected
    assert (await acme.get("vpc-endpoint-services"))["endpoint_services"][0]["tags"] == expected


async def test_tags_go_by_key_or_by_key_and_value_and_absent_ones_are_no_error(world: World, acme: Tenant):
    service = await tagged_service(world, acme, 80, a="1", b="2", c="3", d="")
    gone: list[dict[str, Any]] = [
        {"key": "a"},
        {"key": "b", "value": "other"},
        {"key": "c", "value": "3"},
        {"key": "d", "value": ""},
        {"key": "x", "value": None},
    ]

    await change(acme, SERVICES, service["id"], "delete", gone)
    await change(acme, SERVICES, service["id"], "delete", gone)

    assert (await acme.get(f"vpc-endpoint-services/{service['id']}"))["tags"] == pairs(b="2")


async def test_an_endpoints_tags_change_too_and_its_provider_sees_none_of_it(
    world: World, acme: Tenant, globex: Tenant
):
    service = await world.available_service(acme)
    endpoint = await globex.post("vpc-endpoints", world.endpoint_body(service["id"], tags=pairs(team="fin")))
    connections = f"vpc-endpoint-services/{service['id']}/connections"
    before = await acme.get(connections)

    await change(globex, ENDPOINTS, endpoint["id"], "create", pairs(team="ops"))

    assert (await globex.get(f"vpc-endpoints/{endpoint['id']}"))["tags"] == pairs(team="ops")
    assert await acme.get(connections) == before
    assert await acme.refused(
        "POST", f"{ENDPOINTS}/{endpoint['id']}/tags/action", {"action": "create", "tags": pairs(a="1")}
    ) == (404, "EndPoint.2006")


async def test_the_two_calls_with_which_terraform_replaces_all_tags_replace_all_tags(world: World, acme: Tenant):
    old = {f"old{number}": "x" for number in range(10)}
    service = await tagged_service(world, acme, 80, **old)
    new = pairs(**{f"new{number}": "y" for number in range(10)})

    await change(acme, SERVICES, service["id"], "delete", pairs(**old))
    await change(acme, SERVICES, service["id"], "create", new)

    assert (await acme.get(f"vpc-endpoint-services/{service['id']}"))["tags"] == new


async def test_tags_wake_no_data_plane_and_do_not_count_as_a_change_of_the_resource(world: World, acme: Tenant):
    service = await world.available_service(acme)
    before = await world.store.read(lambda tx: tx.changes_since(0))

    await change(acme, SERVICES, service["id"], "create", pairs(team="fin"))

    after = await world.store.read(lambda tx: tx.changes_since(0))
    assert after.revision == before.revision
    assert [item.generation for item in after.services] == [item.generation for item in before.services]
    shown = await acme.get(f"vpc-endpoint-services/{service['id']}")
    assert (shown["status"], shown["updated_at"]) == ("available", service["updated_at"])


async def test_of_twelve_simultaneous_tags_ten_find_room(world: World, acme: Tenant):
    service = await tagged_service(world, acme, 80)
    path = f"{SERVICES}/{service['id']}/tags/action"

    answers = await asyncio.gather(
        *(acme.call("POST", path, {"action": "create", "tags": pairs(**{f"k{n}": ""})}) for n in range(12))
    )

    assert sorted(answer.status_code for answer in answers) == [204] * 10 + [400] * 2
    assert {answer.json()["error_code"] for answer in answers if answer.content} == {"EndPoint.3069"}
    assert len((await acme.get(f"vpc-endpoint-services/{service['id']}"))["tags"]) == 10


async def test_a_refused_change_leaves_all_tags_as_they_were(world: World, acme: Tenant):
    service = await tagged_service(world, acme, 80, **{f"k{n}": "old" for n in range(9)})
    path = f"{SERVICES}/{service['id']}/tags/action"
    for tags in (pairs(k1="new", good="", bad="<"), pairs(k1="new", one="", two="")):
        assert (await acme.refused("POST", path, {"action": "create", "tags": tags}))[0] == 400

    shown = await acme.get(f"vpc-endpoint-services/{service['id']}")

    assert shown["tags"] == pairs(**{f"k{n}": "old" for n in range(9)})


async def test_a_deleted_resource_a_strangers_one_and_an_unknown_one_are_equally_absent(
    world: World, acme: Tenant, globex: Tenant
):
    service = await world.available_service(acme)
    body = {"action": "create", "tags": pairs(a="1")}
    world.loop.cancel()  # nobody finishes the deletion
    assert (await acme.call("DELETE", f"vpc-endpoint-services/{service['id']}")).status_code == 204

    for tenant, id_ in ((acme, service["id"]), (globex, service["id"]), (acme, UNKNOWN), (acme, "no-uuid")):
        assert await tenant.refused("POST", f"{SERVICES}/{id_}/tags/action", body) == (404, "EndPoint.0005")
        assert await tenant.refused("POST", f"{ENDPOINTS}/{id_}/tags/action", body) == (404, "EndPoint.2006")
    assert await search(acme) == {"resources": [], "total_count": 0}


async def test_where_modern_tags_are_switched_on_operation_29_takes_them_and_creation_does_not(
    tmp_path: Path, database_with_the_lab: Path
):
    shutil.copy(database_with_the_lab, tmp_path)
    modern = pairs(**{f"{number:02}" + "k" * 126: "v=" + "v" * 253 for number in range(20)})
    async with running(tmp_path, tag_limits="modern") as world:
        acme = await world.login("acme-admin", "acme-password", "acme")
        service = await tagged_service(world, acme, 80)
        path = f"{SERVICES}/{service['id']}/tags/action"

        await change(acme, SERVICES, service["id"], "create", modern)

        assert (await acme.get(f"vpc-endpoint-services/{service['id']}"))["tags"] == modern
        further = {"action": "create", "tags": pairs(further="")}
        assert await acme.refused("POST", path, further) == (400, "EndPoint.3069")
        created = world.service_body(host="web-2", tags=modern[:1])
        assert await acme.refused("POST", "vpc-endpoint-services", created) == (400, "EndPoint.3072")


# Operation 28


async def test_a_projects_tags_are_its_keys_with_distinct_values_in_order(world: World, acme: Tenant, globex: Tenant):
    await tagged_service(world, acme, 80, team="ops", stage="")
    first = await tagged_service(world, acme, 81, team="fin", area="x")
    await tagged_service(world, acme, 82, team="fin")
    assert await acme.get(f"{SERVICES}/tags") == {
        "tags": [
            {"key": "area", "values": ["x"]},
            {"key": "stage", "values": [""]},
            {"key": "team", "values": ["fin", "ops"]},
        ]
    }

    await acme.call("DELETE", f"vpc-endpoint-services/{first['id']}")

    assert [tag["key"] for tag in (await acme.get(f"{SERVICES}/tags"))["tags"]] == ["stage", "team"]
    assert await acme.get(f"{ENDPOINTS}/tags") == {"tags": []}
    assert await globex.get(f"{SERVICES}/tags") == {"tags": []}


# Operation 30


async def test_a_found_service_shows_its_full_name_and_all_its_tags(world: World, acme: Tenant):
    service = await acme.post(
        "vpc-endpoint-services", world.service_body(service_name="billing", tags=pairs(team="fin", area="x"))
    )

    answer = await search(acme, limit="10", offset="0", tags=[{"key": "team", "values": ["fin"]}])

    assert answer == {
        "resources": [
            {
                "resource_id": service["id"],
                "resource_name": f"lab-1.billing.{service['id']}",
                "resource_detail": None,
                "tags": pairs(team="fin", area="x"),
            }
        ],
        "total_count": 1,
    }


async def test_an_endpoint_is_found_by_its_id_as_it_has_no_name(world: World, acme: Tenant, globex: Tenant):
    service = await world.available_service(acme)
    ids = [(await globex.post("vpc-endpoints", world.endpoint_body(service["id"])))["id"] for _ in range(2)]

    answer = await search(globex, ENDPOINTS, matches=[{"key": "resource_name", "value": ids[0].upper()}])

    assert [(item["resource_id"], item["resource_name"]) for item in answer["resources"]] == [(ids[0], ids[0])]
    assert await found(globex, ENDPOINTS) == set(ids)
    assert await found(acme, ENDPOINTS) == set()


async def test_each_kind_of_filter_finds_its_resources(world: World, acme: Tenant):
    fin = (await tagged_service(world, acme, 80, team="fin", stage="prod"))["id"]
    ops = (await tagged_service(world, acme, 81, team="ops"))["id"]
    bare = (await tagged_service(world, acme, 82))["id"]
    team = {"key": "team", "values": []}
    stage = {"key": "stage", "values": []}
    fin_only = {"key": "team", "values": ["fin"]}

    assert await found(acme, tags=[team]) == {fin, ops}
    assert await found(acme, tags=[team, stage]) == {fin}
    assert await found(acme, tags=[{"key": " team ", "values": ["*p", "fin "]}]) == {fin, ops}
    assert await found(acme, tags_any=[stage, {"key": "team", "values": ["ops"]}]) == {fin, ops}
    assert await found(acme, not_tags=[fin_only]) == {ops, bare}
    assert await found(acme, not_tags=[team, stage]) == {ops, bare}
    assert await found(acme, not_tags_any=[team, stage]) == {bare}
    assert await found(acme, without_any_tag=True) == {bare}
    assert await found(acme, without_any_tag=True, tags=[{"key": ""}], not_tags=7) == {bare}
    assert await found(acme, without_any_tag=False, tags=[], tags_any=None, sys_tags=[{"key": 7}]) == {fin, ops, bare}
    assert await found(acme, tags=[team], matches=[{"key": "resource_name", "value": ops.upper()}]) == {ops}
    assert await found(acme, matches=[{"key": "resource_name", "value": ""}]) == set()


@pytest.mark.parametrize("number", [int, str])
async def test_pages_end_with_an_empty_one_and_the_total_is_that_of_all(world: World, acme: Tenant, number: type):
    ids = [(await tagged_service(world, acme, port, team="fin"))["id"] for port in range(80, 85)]
    seen: list[str] = []

    for offset in (0, 2, 4, 6):
        page = await search(acme, limit=number(2), offset=number(offset))
        assert page["total_count"] == 5
        seen += [item["resource_id"] for item in page["resources"]]

    assert page["resources"] == []
    assert seen == ids[::-1]  # the newest first, as everywhere
    assert len(await found(acme, limit="1000", offset=0)) == 5


async def test_count_answers_nothing_but_the_total_and_ignores_the_page(world: World, acme: Tenant):
    for port in (80, 81):
        await tagged_service(world, acme, port, team="fin")
    await tagged_service(world, acme, 82)
    body = {"action": "count", "limit": -7, "offset": "x", "tags": [{"key": "team", "values": []}]}

    assert await acme.post(f"{SERVICES}/resource_instances/action", body) == {"total_count": 2}


async def test_another_projects_resources_are_neither_found_nor_counted(world: World, acme: Tenant, globex: Tenant):
    service = await tagged_service(world, acme, 80, team="fin")
    match = [{"key": "resource_name", "value": service["id"]}]

    assert await search(globex, matches=match) == {"resources": [], "total_count": 0}
    assert await globex.post(f"{SERVICES}/resource_instances/action", {"action": "count"}) == {"total_count": 0}


# Whatever is sent


async def test_a_resource_type_that_does_not_exist_is_refused_before_anything_else_is_looked_at(acme: Tenant):
    for path in ("endpoints/x/tags/action", "vpc/resource_instances/action"):
        assert await acme.refused("POST", path, content=b"{") == (400, "EndPoint.3070")
    assert await acme.refused("GET", "vpcs-of-mine/tags") == (400, "EndPoint.3070")
    assert await acme.refused("GET", "vpc-endpoints/tags") == (400, "EndPoint.2017")  # an endpoint's id


async def test_readers_may_look_for_tags_and_not_change_them(world: World, acme: Tenant):
    service = await tagged_service(world, acme, 80, team="fin")
    reader = Tenant(
        acme.http, acme.project_id, acme.domain_id, (await world.login("acme-reader", "reader-password", "acme")).token
    )
    body = {"action": "create", "tags": pairs(a="1")}

    assert await found(reader) == {service["id"]}
    assert len((await reader.get(f"{SERVICES}/tags"))["tags"]) == 1
    assert await reader.refused("POST", f"{SERVICES}/{service['id']}/tags/action", body) == (403, "EndPoint.0004")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=40),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["key", "value", "values", "x"]), inner, max_size=4)
    ),
    max_leaves=8,
)
FIELDS = ["action", "tags", "tags_any", "not_tags", "not_tags_any", "without_any_tag", "matches", "limit", "offset"]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(field=st.sampled_from(FIELDS), value=json_values, action=st.sampled_from(["filter", "count", "delete"]))
async def test_no_json_value_in_any_field_gives_a_fault(acme: Tenant, field: str, value: object, action: str):
    body = json.dumps({"action": action, "tags": [{"key": "k", "values": []}]} | {field: value}).encode()

    for path in (f"{SERVICES}/resource_instances/action", f"{SERVICES}/{UNKNOWN}/tags/action"):
        answer = await acme.call("POST", path, content=body)
        assert answer.status_code in {200, 400, 404}, answer.text
