"""Operations 13 to 17: who may connect, in all five forms (contract 3.13 to 3.17, 6.2)."""

import asyncio
from typing import Any

import pytest

from tests.integration.conftest import Tenant, World

SERVICES = "vpc-endpoint-services"
UNKNOWN = "00000000-0000-4000-8000-000000000000"


async def new_list(world: World, acme: Tenant) -> str:
    """Return the path of the empty permission list of an available service."""
    service = await acme.post(SERVICES, world.service_body(approval_enabled=False))
    await acme.until(f"{SERVICES}/{service['id']}", "available")
    return f"{SERVICES}/{service['id']}/permissions"


async def entries(acme: Tenant, path: str, **params: Any) -> list[str]:
    page = await acme.get(path, sort_dir="asc", limit=500, **params)
    return [item["permission"] for item in page["permissions"]]


def domain(name: object, description: str = "") -> dict[str, str]:
    return {"permission": f"iam:domain::{name}", "description": description}


async def connect(world: World, tenant: Tenant, path: str, subnet: str) -> int:
    service_id = path.split("/")[1]
    answer = await tenant.call("POST", "vpc-endpoints", world.endpoint_body(service_id, subnet=subnet))
    return answer.status_code


# Adding and removing


async def test_entries_are_kept_as_sent_and_answered_in_order(world: World, acme: Tenant):
    path = await new_list(world, acme)
    sent = ["iam:domain::b", "*", "iam:domain::*", "iam:domain::A", "organizations:orgPath::o-1/r-1/ou-*/?"]

    answer = await acme.post(f"{path}/action", {"action": "add", "permissions": sent})

    assert answer == {"permissions": sent, "permission_type": "domainId"}
    page = await acme.get(path)
    assert {item["permission"] for item in page["permissions"]} == set(sent)
    types = {item["permission"]: item["permission_type"] for item in page["permissions"]}
    assert [types[entry] for entry in sent] == ["domainId"] * 4 + ["orgPath"]


async def test_adding_twice_and_removing_what_is_absent_succeeds(world: World, acme: Tenant):
    path = await new_list(world, acme)

    for _ in range(2):
        await acme.post(f"{path}/action", {"action": "add", "permissions": ["iam:domain::a", "iam:domain::a"]})
    assert await entries(acme, path) == ["iam:domain::a"]
    for _ in range(2):
        answer = await acme.post(f"{path}/action", {"action": "remove", "permissions": ["iam:domain::a"]})
        assert answer["permissions"] == ["iam:domain::a"]
    assert await entries(acme, path) == []


@pytest.mark.parametrize("everybody", ["*", "iam:domain::*"])
async def test_both_wildcards_let_everybody_in_and_removing_one_refuses_later_endpoints_only(
    world: World, acme: Tenant, globex: Tenant, initech: Tenant, everybody: str
):
    path = await new_list(world, acme)
    assert await connect(world, globex, path, "globex-vpc/apps") == 400

    await acme.post(f"{path}/action", {"action": "add", "permissions": [everybody]})
    assert await entries(acme, path) == [everybody]
    assert await connect(world, globex, path, "globex-vpc/apps") == 200

    await acme.post(f"{path}/action", {"action": "remove", "permissions": [everybody]})
    assert await connect(world, initech, path, "initech-vpc/apps") == 400
    connections = await acme.get(path.replace("permissions", "connections"))
    assert connections["connections"][0]["status"] in {"creating", "accepted"}


async def test_an_organisation_path_lets_nobody_in(world: World, acme: Tenant, globex: Tenant):
    path = await new_list(world, acme)

    await acme.post(f"{path}/action", {"action": "add", "permissions": ["organizations:orgPath::*"]})

    assert await connect(world, globex, path, "globex-vpc/apps") == 400


@pytest.mark.parametrize(
    ("wanted", "sent", "fits"),
    [
        ("domainId", ["iam:domain::a", "*"], True),
        ("orgPath", ["organizations:orgPath::o-1"], True),
        ("", ["iam:domain::a"], True),
        (None, ["iam:domain::a", "organizations:orgPath::o-1"], True),
        ("orgPath", ["*"], False),
        ("domainId", ["iam:domain::a", "organizations:orgPath::o-1"], False),
        ("accountId", ["iam:domain::a"], False),
        (7, ["iam:domain::a"], False),
    ],
)
async def test_every_entry_must_fit_the_permission_type_if_there_is_one(
    world: World, acme: Tenant, wanted: Any, sent: list[str], fits: bool
):
    path = await new_list(world, acme)
    single = {"action": "add", "permissions": sent, "permission_type": wanted}
    batch = {"permissions": [{"permission": entry, "description": ""} for entry in sent], "permission_type": wanted}

    for form, body in (("action", single), ("batch-create", batch)):
        if fits:
            await acme.post(f"{path}/{form}", body)
        else:
            assert await acme.refused("POST", f"{path}/{form}", body) == (400, "EndPoint.3002")
    assert set(await entries(acme, path)) == (set(sent) if fits else set())


# Batches


async def test_a_batch_is_created_with_descriptions_and_shows_as_answered(world: World, acme: Tenant):
    path = await new_list(world, acme)

    answer = await acme.post(f"{path}/batch-create", {"permissions": [domain("a", "partner"), domain("b")]})

    assert list(answer) == ["permissions"]
    assert [(item["permission"], item["description"]) for item in answer["permissions"]] == [
        ("iam:domain::a", "partner"),
        ("iam:domain::b", ""),
    ]
    assert {item["permission_type"] for item in answer["permissions"]} == {"domainId"}
    listed = await acme.get(path)
    assert sorted(listed["permissions"], key=lambda item: item["permission"]) == answer["permissions"]


async def test_an_entry_of_a_batch_that_is_there_already_stays_and_is_answered_as_it_is(world: World, acme: Tenant):
    path = await new_list(world, acme)
    (first,) = (await acme.post(f"{path}/batch-create", {"permissions": [domain("a", "first")]}))["permissions"]

    again = await acme.post(f"{path}/batch-create", {"permissions": [domain("b"), domain("a", "second")]})

    assert again["permissions"][1] == first
    assert len(await entries(acme, path)) == 2


async def test_a_batch_is_deleted_whole_or_not_at_all(world: World, acme: Tenant):
    path = await new_list(world, acme)
    created = (await acme.post(f"{path}/batch-create", {"permissions": [domain("a"), domain("b")]}))["permissions"]
    ids = [{"id": item["id"]} for item in created]

    refused = await acme.refused("POST", f"{path}/batch-delete", {"permissions": [*ids, {"id": UNKNOWN}]})
    assert refused == (404, "EndPoint.0005")
    assert len(await entries(acme, path)) == 2

    assert await acme.post(f"{path}/batch-delete", {"permissions": [*ids, ids[0]]}) == {"permissions": []}
    assert await entries(acme, path) == []


async def test_an_entry_of_another_service_is_as_absent_as_an_unknown_one(world: World, acme: Tenant):
    path = await new_list(world, acme)
    other = await acme.post(SERVICES, world.service_body(ports=[{"client_port": 1, "server_port": 81}]))
    elsewhere = f"{SERVICES}/{other['id']}/permissions"
    (entry,) = (await acme.post(f"{elsewhere}/batch-create", {"permissions": [domain("a")]}))["permissions"]

    deletion = {"permissions": [{"id": entry["id"]}]}
    assert await acme.refused("POST", f"{path}/batch-delete", deletion) == (404, "EndPoint.0005")
    description = {"permission": {"description": "x"}}
    assert await acme.refused("PUT", f"{path}/{entry['id']}", description) == (404, "EndPoint.0005")
    assert (await acme.get(elsewhere))["permissions"] == [entry]


async def test_a_description_can_be_changed_and_cleared(world: World, acme: Tenant):
    path = await new_list(world, acme)
    (entry,) = (await acme.post(f"{path}/batch-create", {"permissions": [domain("a", "old")]}))["permissions"]

    for text in ("new text", ""):
        answer = await acme.call("PUT", f"{path}/{entry['id']}", {"permission": {"description": text}})

        assert (answer.status_code, answer.json()) == (200, {"permissions": [entry | {"description": text}]})
        assert (await acme.get(path))["permissions"] == answer.json()["permissions"]


@pytest.mark.parametrize(
    ("form", "body", "code"),
    [
        ("batch-create", {"permissions": []}, "EndPoint.3036"),
        ("batch-create", {}, "EndPoint.3036"),
        ("batch-create", {"permissions": [{"description": "x"}]}, "EndPoint.3002"),
        ("batch-create", {"permissions": [domain("a", "<")]}, "EndPoint.0002"),
        ("batch-create", {"permissions": [domain("a", "d" * 129)]}, "EndPoint.0002"),
        ("batch-create", {"permissions": [{"permission": "*", "description": 1}]}, "EndPoint.0002"),
        ("batch-create", {"permissions": [domain("a"), domain("a", "x")]}, "EndPoint.0002"),
        ("batch-create", {"permissions": [domain(number) for number in range(501)]}, "EndPoint.0016"),
        ("batch-delete", {"permissions": []}, "EndPoint.3036"),
        ("batch-delete", {"permissions": [{}]}, "EndPoint.0002"),
        ("batch-delete", {"permissions": [{"id": UNKNOWN}] * 501}, "EndPoint.0016"),
        ("action", {"action": "remove", "permissions": ["*"] * 501}, "EndPoint.0016"),
    ],
)
async def test_a_bad_batch_is_refused_with_its_code(world: World, acme: Tenant, form: str, body: dict, code: str):
    path = await new_list(world, acme)

    assert await acme.refused("POST", f"{path}/{form}", body) == (400, code)
    assert await entries(acme, path) == []


# The limit


async def test_a_service_never_has_more_than_500_entries_however_many_come_at_once(world: World, acme: Tenant):
    path = await new_list(world, acme)
    batches = [[domain(f"{batch}x{number}") for number in range(100)] for batch in range(8)]

    answers = await asyncio.gather(
        *(acme.call("POST", f"{path}/batch-create", {"permissions": batch}) for batch in batches)
    )

    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [400] * 3
    assert {answer.json().get("error_code") for answer in answers} == {None, "EndPoint.3049"}
    assert len(await entries(acme, path)) == 500
    await acme.post(f"{path}/action", {"action": "add", "permissions": (await entries(acme, path))[:3]})


# The list


async def test_the_list_is_filtered_by_a_part_sorted_and_paged(world: World, acme: Tenant):
    path = await new_list(world, acme)
    for name in ("6e9d1", "6E9D2", "other"):
        await acme.post(f"{path}/action", {"action": "add", "permissions": [f"iam:domain::{name}"]})

    assert await entries(acme, path, permission="iam:domain::6e9d") == ["iam:domain::6e9d1", "iam:domain::6E9D2"]
    for key in ("create_at", "created_at", "update_at", "updated_at"):
        assert (await entries(acme, path, sort_key=key))[0] == "iam:domain::6e9d1"
    page = await acme.get(path, limit=1, offset=1)
    assert ([item["permission"] for item in page["permissions"]], page["total_count"]) == (["iam:domain::6E9D2"], 3)
    assert await acme.get(path, offset=3) == {"permissions": [], "total_count": 3}
