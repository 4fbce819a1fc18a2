"""Operations 8 and 9 for the services that the lab file offers to everybody (contract 3.8, 3.9, 12.6)."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from landbridge import lab as labs
from landbridge.bootstrap.lab_start import store_lab
from landbridge.domain.errors import OperatorError
from landbridge.domain.resources import PortMapping
from tests.integration.conftest import LAB, Tenant, World, running

SERVICES = "vpc-endpoint-services"
DNS, IAM = "com.landbridge.lab-1.dns", "com.landbridge.lab-1.iam"
DESCRIBED = labs.read_lab(LAB)
DNS_ENTRY, IAM_ENTRY = DESCRIBED.public_services


@pytest.fixture
async def hooli(world: World) -> Tenant:
    """Whose host is behind the public services."""
    return await world.login("hooli-admin", "hooli-password", "hooli")


async def names(tenant: Tenant, **params: Any) -> list[str]:
    page = await tenant.get(f"{SERVICES}/public", **params)
    return sorted(item["service_name"] for item in page["endpoint_services"])


async def start_again(world: World, *entries: labs.PublicServiceEntry, **changes: Any) -> None:
    """Do what a start with another lab file does."""
    lab = replace(DESCRIBED, public_services=entries, **changes)
    await store_lab(world.store, lab, b"k" * 32)
    await world.parts.reconciler.sweep()


def path_of(world: World, name: str) -> str:
    return f"{SERVICES}/{world.ids['public_services'][name]['service_id']}"


async def test_everybody_sees_public_services_with_their_owner(world: World, acme: Tenant, globex: Tenant):
    shown = world.ids["public_services"][DNS]

    page = await globex.get(f"{SERVICES}/public", endpoint_service_name="DNS")

    (item,) = page["endpoint_services"]
    created_at = item.pop("created_at")
    assert created_at.endswith("Z")
    assert item == {
        "id": shown["service_id"],
        "owner": "lab",
        "service_name": DNS,
        "service_type": "interface",
        "is_charge": False,
        "enable_policy": False,
    }
    assert page["total_count"] == 1
    assert await acme.get(f"{SERVICES}/public", endpoint_service_name="dns") == await globex.get(
        f"{SERVICES}/public", endpoint_service_name="dns"
    )


async def test_the_list_is_filtered_sorted_and_paged_and_shows_no_tenants_service(world: World, acme: Tenant):
    tenants = await world.available_service(acme, service_name="dns")

    assert await names(acme) == [DNS, IAM]
    assert await names(acme, id=world.ids["public_services"][IAM]["service_id"]) == [IAM]
    assert await names(acme, id=tenants["id"]) == []
    assert await names(acme, endpoint_service_name="lab-1.iam") == [IAM]
    for direction in ("asc", "desc"):
        pages = [await names(acme, limit=1, offset=skip, sort_dir=direction, sort_key="update_at") for skip in range(3)]
        assert sorted(pages[0] + pages[1]) == [DNS, IAM]
        assert pages[2] == []
    assert await acme.refused("GET", f"{SERVICES}/public", params={"limit": 1001}) == (400, "EndPoint.0006")


async def test_a_public_service_is_described_by_its_name_with_dots_and_by_its_id(world: World, globex: Tenant):
    by_name = await globex.get(f"{SERVICES}/describe", endpoint_service_name=DNS)
    by_id = await globex.get(f"{SERVICES}/describe", id=world.ids["public_services"][DNS]["service_id"])

    assert by_name == by_id
    assert (by_name["service_name"], by_name["public_border_group"]) == (DNS, "center")
    for name in (DNS.upper(), "com.landbridge.lab-1", f"{DNS}.more"):
        unknown = await globex.refused("GET", f"{SERVICES}/describe", params={"endpoint_service_name": name})
        assert unknown == (404, "EndPoint.0005")


async def test_everybody_connects_at_once_without_a_permission_and_without_approval(world: World, globex: Tenant):
    described = await globex.get(f"{SERVICES}/describe", endpoint_service_name=DNS)

    endpoint = await globex.post("vpc-endpoints", world.endpoint_body(described["id"]))

    assert endpoint["status"] == "creating"
    accepted = await globex.until(f"vpc-endpoints/{endpoint['id']}", "accepted")
    assert accepted["endpoint_service_name"] == DNS


async def test_the_project_of_the_backend_sees_it_and_its_connections_and_changes_nothing_of_it(
    world: World, hooli: Tenant, globex: Tenant
):
    path = path_of(world, DNS)
    endpoint = await globex.post("vpc-endpoints", world.endpoint_body(path.rpartition("/")[2]))
    before = await hooli.get(path)

    for method, rest, body in [
        ("PUT", "", {"description": "x"}),
        ("PUT", "/name", {"endpoint_service_name": "x"}),
        ("DELETE", "", None),
        ("POST", "/permissions/action", {"action": "add", "permissions": ["*"]}),
        ("POST", "/permissions/action", {"action": "remove", "permissions": ["*"]}),
        ("POST", "/permissions/batch-create", {"permissions": [{"permission": "*", "description": ""}]}),
        ("POST", "/permissions/batch-delete", {"permissions": [{"id": "x"}]}),
        ("PUT", "/permissions/x", {"permission": {"description": ""}}),
    ]:
        assert await hooli.refused(method, path + rest, body) == (403, "EndPoint.0004")
    assert await hooli.get(path) == before | {"connection_count": 1}
    assert (await hooli.get(f"{path}/permissions"))["total_count"] == 0
    assert [item["id"] for item in (await hooli.get(f"{path}/connections"))["connections"]] == [endpoint["id"]]
    await hooli.post(f"{path}/connections/action", {"action": "reject", "endpoints": [endpoint["id"]]})
    assert (await globex.get(f"vpc-endpoints/{endpoint['id']}"))["status"] == "rejected"


async def test_others_find_no_such_service_of_theirs(world: World, acme: Tenant):
    path = path_of(world, DNS)

    assert await acme.refused("GET", path) == (404, "EndPoint.0005")
    assert await acme.refused("DELETE", path) == (404, "EndPoint.0005")
    assert (await acme.get(SERVICES))["total_count"] == 0


async def test_the_same_file_again_changes_nothing(world: World):
    before = await world.store.read(lambda tx: tx.changes_since(0).services)

    await start_again(world, DNS_ENTRY, IAM_ENTRY)

    assert await world.store.read(lambda tx: tx.changes_since(0).services) == before


async def test_what_changed_in_the_file_changes_and_connected_endpoints_follow(world: World, globex: Tenant):
    id_ = world.ids["public_services"][DNS]["service_id"]
    endpoint = await globex.post("vpc-endpoints", world.endpoint_body(id_))
    await globex.until(f"vpc-endpoints/{endpoint['id']}", "accepted")
    wired = world.driver.observe([endpoint["id"]])

    await start_again(world, replace(DNS_ENTRY, ports=(PortMapping(53, 5353),), owner="operator"), IAM_ENTRY)

    page = await globex.get(f"{SERVICES}/public", id=id_)
    assert page["endpoint_services"][0]["owner"] == "operator"
    assert world.driver.observe([endpoint["id"]]) != wired
    assert (await globex.get(f"vpc-endpoints/{endpoint['id']}"))["status"] == "accepted"


async def test_a_server_port_may_pass_from_one_public_service_to_another(world: World, globex: Tenant):
    await start_again(world, replace(DNS_ENTRY, ports=IAM_ENTRY.ports), replace(IAM_ENTRY, ports=DNS_ENTRY.ports))

    assert await names(globex) == [DNS, IAM]


async def test_a_service_that_left_the_file_ends_with_its_host_and_comes_back_under_the_same_id(
    world: World, globex: Tenant
):
    before = await globex.get(f"{SERVICES}/describe", endpoint_service_name=DNS)
    hostless = tuple(vpc for vpc in DESCRIBED.vpcs if vpc.project != "hooli")

    await start_again(world, vpcs=hostless)
    assert await names(globex) == []
    gone = await globex.refused("GET", f"{SERVICES}/describe", params={"endpoint_service_name": DNS})
    assert gone == (404, "EndPoint.0005")

    await start_again(world, DNS_ENTRY, IAM_ENTRY)
    again = await globex.get(f"{SERVICES}/describe", endpoint_service_name=DNS)
    assert again["id"] == before["id"]
    endpoint = await globex.post("vpc-endpoints", world.endpoint_body(again["id"]))
    await globex.until(f"vpc-endpoints/{endpoint['id']}", "accepted")


async def test_a_service_that_comes_back_before_it_is_gone_lives_on(world: World, globex: Tenant):
    world.loop.cancel()
    lab = replace(DESCRIBED, public_services=(IAM_ENTRY,))
    await store_lab(world.store, lab, b"k" * 32)
    assert await names(globex) == [IAM]

    await start_again(world, DNS_ENTRY, IAM_ENTRY)

    assert await names(globex) == [DNS, IAM]
    described = await globex.get(f"{SERVICES}/describe", endpoint_service_name=DNS)
    await globex.post("vpc-endpoints", world.endpoint_body(described["id"]))


async def test_a_connected_service_cannot_leave_the_file(world: World, globex: Tenant):
    id_ = world.ids["public_services"][DNS]["service_id"]
    endpoint = await globex.post("vpc-endpoints", world.endpoint_body(id_))

    with pytest.raises(OperatorError, match=rf"{DNS} has connected endpoints \(1\): put it back"):
        await start_again(world, IAM_ENTRY)
    assert await names(globex) == [DNS, IAM]

    await globex.call("DELETE", f"vpc-endpoints/{endpoint['id']}")
    await start_again(world, IAM_ENTRY)
    assert await names(globex) == [IAM]


async def test_a_server_port_that_a_tenants_service_has_refuses_the_start(world: World, hooli: Tenant):
    ports = [{"client_port": 1, "server_port": 9999}]
    await hooli.post(SERVICES, world.service_body(host="dns-1", vpc="hooli-vpc", ports=ports))

    with pytest.raises(OperatorError, match=f"{DNS} cannot be published: .*server_port 9999"):
        await start_again(world, replace(DNS_ENTRY, ports=(PortMapping(53, 9999),)), IAM_ENTRY)


async def test_public_services_count_in_no_quota(tmp_path: Path, database_with_the_lab: Path):
    shutil.copy(database_with_the_lab, tmp_path)
    async with running(tmp_path, quota_endpoint_services=1) as world:
        hooli = await world.login("hooli-admin", "hooli-password", "hooli")

        await hooli.post(SERVICES, world.service_body(host="dns-1", vpc="hooli-vpc"))

        refused = await hooli.refused("POST", SERVICES, world.service_body(host="dns-1", vpc="hooli-vpc"))
        assert refused == (400, "Endpoint.1018")
