"""Habits of clients that no page of the API tells (contract 12.2 to 12.6), each with the rule that it makes."""

import asyncio
import re
from typing import Any

import pytest

from landbridge.dataplane.driver import DriverError
from tests.integration.conftest import Tenant, World

# Endpoints


async def accepted_endpoint(world: World, acme: Tenant, globex: Tenant, **changes: Any) -> Any:
    service = await world.available_service(acme, approval_enabled=False)
    endpoint = await globex.post("vpc-endpoints", world.endpoint_body(service["id"], **changes))
    return await globex.until(f"vpc-endpoints/{endpoint['id']}", "accepted")


async def gone(tenant: Tenant, path: str) -> Any:
    """Poll as a provider does after DELETE: nothing but `deleting` may be seen before 404."""
    for _ in range(500):
        answer = await tenant.call("GET", path)
        if answer.status_code == 404:
            return answer
        assert answer.json()["status"] == "deleting"
        await asyncio.sleep(0.01)
    raise AssertionError(f"{path} is still there")


@pytest.mark.parametrize(
    ("approval", "first", "then"),
    [(False, {"creating"}, "accepted"), (True, {"pendingAcceptance"}, "pendingAcceptance")],
    ids=["without approval", "with approval"],
)
async def test_creation_is_followed_by_what_terraform_waits_for(
    world: World, acme: Tenant, globex: Tenant, approval: bool, first: set[str], then: str
):
    service = await world.available_service(acme, approval_enabled=approval)

    endpoint = await globex.post("vpc-endpoints", world.endpoint_body(service["id"]))

    assert endpoint["status"] in first
    await globex.until(f"vpc-endpoints/{endpoint['id']}", then)


async def test_a_new_endpoint_is_the_first_of_the_list_without_parameters(world: World, acme: Tenant, globex: Tenant):
    service = await world.available_service(acme)
    for _ in range(3):
        newest = await globex.post("vpc-endpoints", world.endpoint_body(service["id"]))
        listed = await globex.get("vpc-endpoints")
        assert listed["endpoints"][0] == newest
    connections = await acme.get(f"vpc-endpoint-services/{service['id']}/connections")
    assert (connections["connections"][0]["id"], connections["connections"][0]["status"]) == (
        newest["id"],
        "pendingAcceptance",
    )


async def test_a_chosen_address_is_shown_back_and_there_is_one_domain_name_once_accepted(
    world: World, acme: Tenant, globex: Tenant
):
    endpoint = await accepted_endpoint(world, acme, globex, port_ip="10.0.0.100", enable_dns=True)

    assert endpoint["ip"] == "10.0.0.100"
    assert len(endpoint["dns_names"]) == 1


async def test_creation_and_show_agree_and_types_are_what_go_reads(world: World, acme: Tenant, globex: Tenant):
    service = await world.available_service(acme)
    created = await globex.post(
        "vpc-endpoints",
        world.endpoint_body(service["id"], tags=[{"key": "k", "value": "v"}], whitelist=["10.0.0.10"]),
    )

    assert await globex.get(f"vpc-endpoints/{created['id']}") == created
    assert created["endpoint_service_name"] == service["service_name"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", created["created_at"])
    assert type(created["marker_id"]) is int
    assert type(created["enable_dns"]) is type(created["enable_whitelist"]) is bool
    for name in ("active_status", "tags", "whitelist", "error"):
        assert type(created[name]) is list


async def test_a_whitelist_that_is_sent_without_being_enabled_is_kept_and_lets_everybody_pass(
    world: World, acme: Tenant, globex: Tenant
):
    endpoint = await accepted_endpoint(world, acme, globex, whitelist=["10.0.0.11"], enable_dns=False)

    assert (endpoint["whitelist"], endpoint["enable_whitelist"]) == (["10.0.0.11"], False)
    (row,) = await world.store.read(lambda tx: tx.changes_since(0).endpoints)
    assert not row.enable_whitelist


async def test_absent_null_and_empty_parts_mean_the_same(world: World, acme: Tenant, globex: Tenant):
    service = await world.available_service(acme)
    parts = ("port_ip", "description", "tags", "whitelist", "specification_name", "ip_version", "policy_document")
    plain = world.endpoint_body(service["id"])
    nulls = plain | dict.fromkeys(parts) | {"enable_dns": None, "enable_whitelist": None, "routetables": None}
    empty = plain | dict.fromkeys(parts, "") | {"tags": [], "whitelist": [], "policy_document": {}, "routetables": []}

    shown = [await globex.post("vpc-endpoints", body) for body in (plain, nulls, empty)]

    own = {"id", "marker_id", "created_at", "updated_at"}
    without_own = [{name: value for name, value in item.items() if name not in own} for item in shown]
    assert without_own[0] == without_own[1] == without_own[2]


async def test_fields_of_newer_clients_are_ignored(world: World, acme: Tenant, globex: Tenant):
    service = await world.available_service(acme)
    newer = {"enterprise_project_id": "0", "net_type": ["main"], "ip_version": "ipv4", "billing": {"mode": 1}}

    endpoint = await globex.post("vpc-endpoints", world.endpoint_body(service["id"], **newer))

    assert newer.keys().isdisjoint(endpoint)


@pytest.mark.parametrize("newer", [{"ip_version": "dualstack"}, {"ipv6_address": "fd00::1"}])
async def test_ipv6_which_nobody_would_get_is_refused(world: World, acme: Tenant, globex: Tenant, newer: dict):
    service = await world.available_service(acme)

    refused = await globex.refused("POST", "vpc-endpoints", world.endpoint_body(service["id"], **newer))

    assert refused == (400, "EndPoint.0002")


async def test_a_pager_walks_the_list_to_an_empty_page(world: World, acme: Tenant, globex: Tenant):
    service = await world.available_service(acme)
    ids = [(await globex.post("vpc-endpoints", world.endpoint_body(service["id"])))["id"] for _ in range(12)]

    seen: list[str] = []
    page = await globex.get("vpc-endpoints")
    size = len(page["endpoints"])
    while page["endpoints"]:
        assert [name for name, value in page.items() if isinstance(value, list)] == ["endpoints"]
        seen += [endpoint["id"] for endpoint in page["endpoints"]]
        page = await globex.get("vpc-endpoints", limit=size, offset=len(seen))

    assert seen == ids[::-1]
    assert page == {"endpoints": [], "total_count": 12}


async def test_endpoints_are_found_by_full_name_vpc_and_border_group(world: World, acme: Tenant, globex: Tenant):
    endpoint = await accepted_endpoint(world, acme, globex)

    async def found(**params: str) -> list[str]:
        return [item["id"] for item in (await globex.get("vpc-endpoints", **params))["endpoints"]]

    assert await found(endpoint_service_name=endpoint["endpoint_service_name"]) == [endpoint["id"]]
    assert await found(vpc_id=endpoint["vpc_id"], id=endpoint["id"], limit="10", offset="0") == [endpoint["id"]]
    assert await found(public_border_group=endpoint["public_border_group"]) == [endpoint["id"]]
    assert await found(public_border_group="edge") == []


async def test_a_deleted_endpoint_is_only_seen_as_deleting_and_then_404(world: World, acme: Tenant, globex: Tenant):
    endpoint = await accepted_endpoint(world, acme, globex)
    path = f"vpc-endpoints/{endpoint['id']}"
    world.driver.fail_on(endpoint["id"], DriverError("busy"))

    assert (await globex.call("DELETE", path)).status_code == 204
    assert (await globex.get(path))["status"] == "deleting"
    assert (await globex.call("DELETE", path)).status_code == 204
    world.driver.fail_on(endpoint["id"], None)
    answer = await gone(globex, path)

    assert answer.json()["error_code"] == "EndPoint.2006"
    assert await globex.refused("DELETE", path) == (404, "EndPoint.2006")


async def test_a_service_can_be_deleted_right_after_its_last_endpoint(world: World, acme: Tenant, globex: Tenant):
    endpoint = await accepted_endpoint(world, acme, globex)
    service = f"vpc-endpoint-services/{endpoint['endpoint_service_id']}"
    assert await acme.refused("DELETE", service) == (400, "EndPoint.3006")

    await globex.call("DELETE", f"vpc-endpoints/{endpoint['id']}")

    assert (await acme.call("DELETE", service)).status_code == 204


async def test_an_endpoint_may_be_in_its_services_own_vpc(world: World, acme: Tenant):
    service = await world.available_service(acme, approval_enabled=False)

    own = await acme.post("vpc-endpoints", world.endpoint_body(service["id"], subnet="acme-vpc/web"))

    await acme.until(f"vpc-endpoints/{own['id']}", "accepted")


async def test_an_update_as_terraform_sends_it_leaves_the_endpoint_accepted(world: World, acme: Tenant, globex: Tenant):
    endpoint = await accepted_endpoint(world, acme, globex)
    path = f"vpc-endpoints/{endpoint['id']}"

    answer = await globex.call("PUT", path, {"enable_whitelist": True, "whitelist": ["10.0.0.11"]})

    assert answer.status_code == 200
    shown = await globex.get(path)
    assert (shown["status"], shown["whitelist"], shown["enable_whitelist"]) == ("accepted", ["10.0.0.11"], True)
    assert "policy_document" not in shown


async def test_quotas_are_read_below_two_names_and_are_exactly_two(acme: Tenant):
    resources = (await acme.get("quotas"))["quotas"]["resources"]

    assert [set(item) for item in resources] == [{"type", "used", "quota"}] * 2
    assert {item["type"] for item in resources} == {"endpoint_service", "endpoint"}


# Services


SERVICES = "vpc-endpoint-services"


async def test_create_and_show_of_a_service_agree_as_text(world: World, acme: Tenant):
    vip = world.ids["vips"]["web-2/10.0.0.30"]["port_id"]
    created = await acme.post(SERVICES, world.service_body(host="web-2", server_type="VIP", vip_port_id=vip))

    shown = await acme.until(f"{SERVICES}/{created['id']}", "available")

    for name in ("vip_port_id", "approval_enabled", "created_at", "pool_id", "tags", "connection_count"):
        assert shown[name] == created[name]
    assert shown["connection_count"] == 0


async def test_services_on_one_load_balancer_port_follow_each_other_without_waiting(world: World, acme: Tenant):
    for _ in range(8):
        service = await acme.post(SERVICES, world.service_body(server_type="LB"))
        assert (await acme.call("DELETE", f"{SERVICES}/{service['id']}")).status_code == 204


async def test_a_service_is_found_by_its_whole_name_alone_and_its_name_is_no_id(world: World, acme: Tenant):
    service = await world.available_service(acme, service_name="web")
    await world.available_service(acme, service_name="web-2", ports=[{"client_port": 1, "server_port": 81}])

    for name in ("web", service["service_name"]):
        assert await acme.refused("GET", f"{SERVICES}/{name}") == (404, "EndPoint.0005")
    page = await acme.get(SERVICES, endpoint_service_name=service["service_name"])
    assert [item["id"] for item in page["endpoint_services"]] == [service["id"]]


async def test_a_deletion_that_is_refused_says_endpoint_300_until_the_endpoint_is_gone(
    world: World, acme: Tenant, globex: Tenant
):
    endpoint = await accepted_endpoint(world, acme, globex)
    path = f"{SERVICES}/{endpoint['endpoint_service_id']}"

    refused = await acme.call("DELETE", path)
    assert "EndPoint.300" in refused.text
    await globex.call("DELETE", f"vpc-endpoints/{endpoint['id']}")

    assert (await acme.call("DELETE", path)).status_code == 204
    await gone(acme, path)


async def test_permissions_take_domains_that_do_not_exist(world: World, acme: Tenant):
    service = await world.available_service(acme)
    path = f"{SERVICES}/{service['id']}/permissions"
    entries = [f"iam:domain::{acme.project_id}", "iam:domain::1234", "organizations:orgPath::1234"]

    for entry in entries:
        await acme.post(f"{path}/action", {"action": "add", "permissions": [entry]})

    page = await acme.get(path, sort_dir="asc", sort_key="create_at")
    by_type = {item["permission"]: item["permission_type"] for item in page["permissions"]}
    assert [by_type[entry] for entry in entries] == ["domainId", "domainId", "orgPath"]


async def test_an_update_is_answered_available_and_names_are_cut_at_dots(world: World, acme: Tenant):
    service = await world.available_service(acme, service_name="tf-old")
    path = f"{SERVICES}/{service['id']}"
    new_name = "tf-tf-test-abcde"
    assert len(new_name) == 16

    for body in ({}, {"description": "", "service_name": new_name}, {"description": "set"}):
        answer = await acme.call("PUT", path, body)
        assert (answer.status_code, answer.json()["status"]) == (200, "available")

    shown = await acme.get(path)
    assert shown["service_name"] == f"lab-1.{new_name}.{service['id']}"
    assert shown["service_name"].split(".")[1] == new_name
    cut = re.search(r"[\w-]+\.([\w-]+)\.[\w-]+", shown["service_name"])
    assert cut is not None
    assert cut[1] == new_name


async def test_the_list_of_services_shows_what_terraform_compares(world: World, acme: Tenant, globex: Tenant):
    endpoint = await accepted_endpoint(world, acme, globex)
    path = f"{SERVICES}/{endpoint['endpoint_service_id']}"
    await acme.call("PUT", path, {"description": "shown"})

    page = await acme.get(SERVICES, status="available", server_type="VM", id=endpoint["endpoint_service_id"])

    (item,) = page["endpoint_services"]
    assert item["description"] == "shown"
    assert (item["public_border_group"], item["tcp_proxy"], item["connection_count"]) == ("center", "close", 1)
    assert item["enable_policy"] is False
    assert item["updated_at"].endswith("Z")


@pytest.mark.parametrize(
    ("params", "count"),
    [
        ({"public_border_group": "center"}, 1),
        ({"public_border_group": "edge-1"}, 0),
        ({"net_type": "vm"}, 1),
        ({"net_type": "LB"}, 0),
        ({"net_type": "LB", "server_type": "VM"}, 0),
        ({"server_type": "vm", "net_type": "VM"}, 1),
        ({"server_type": "BMS"}, 0),
    ],
)
async def test_filters_of_edges_and_backends_match_or_match_nothing(
    world: World, acme: Tenant, params: dict[str, str], count: int
):
    await world.available_service(acme)

    page = await acme.get(SERVICES, **params)

    assert (len(page["endpoint_services"]), page["total_count"]) == (count, count)


async def test_connections_are_found_by_marker_and_status_and_a_decision_shows_at_once(
    world: World, acme: Tenant, globex: Tenant
):
    service = await world.available_service(acme)
    endpoint = await globex.post("vpc-endpoints", world.endpoint_body(service["id"]))
    await globex.post("vpc-endpoints", world.endpoint_body(service["id"]))
    path = f"{SERVICES}/{service['id']}/connections"

    for action, allowed in [
        ("receive", {"creating", "accepted"}),
        ("reject", {"rejected"}),
        ("receive", {"creating", "accepted"}),
    ]:
        await acme.post(f"{path}/action", {"action": action, "endpoints": [endpoint["id"]]})
        (only,) = (await acme.get(path, id=endpoint["id"]))["connections"]
        assert only["status"] in allowed
    await globex.until(f"vpc-endpoints/{endpoint['id']}", "accepted")

    by_marker = await acme.get(path, marker_id=str(endpoint["marker_id"]))
    by_status = await acme.get(path, status="accepted")
    assert [item["id"] for item in by_marker["connections"]] == [endpoint["id"]]
    assert by_marker == by_status


async def test_public_services_are_found_by_words_that_tests_look_for(acme: Tenant):
    for word in ("dns", "iam"):
        page = await acme.get(f"{SERVICES}/public", endpoint_service_name=word)
        (item,) = page["endpoint_services"]
        assert item["is_charge"] is False
        assert item["owner"]
        assert re.search(r"[\w-]+\.([\w-]+)\.[\w-]+", item["service_name"])
