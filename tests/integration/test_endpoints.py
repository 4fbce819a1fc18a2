"""Operations 10, 11, 13, 14, 19, 20, 21, 23: endpoints, connections, permissions."""

import asyncio
import ipaddress

import pytest

from landbridge.dataplane.driver import DriverError
from tests.integration.conftest import Tenant, World


async def pending_endpoint(world: World, provider: Tenant, consumer: Tenant, **changes):
    service = await world.available_service(provider)
    endpoint = await consumer.post("vpc-endpoints", world.endpoint_body(service["id"], **changes))
    return service, endpoint


async def decide(provider: Tenant, service: dict, endpoint: dict, action: str) -> dict:
    body = {"action": action, "endpoints": [endpoint["id"]]}
    answer = await provider.post(f"vpc-endpoint-services/{service['id']}/connections/action", body)
    (connection,) = answer["connections"]
    return connection


async def test_a_new_endpoint_waits_for_its_provider_without_showing_an_address(
    world: World, acme: Tenant, globex: Tenant
):
    service, endpoint = await pending_endpoint(world, acme, globex, enable_dns=True)

    assert endpoint["status"] == "pendingAcceptance"
    assert endpoint["endpoint_service_name"] == service["service_name"]
    assert endpoint["marker_id"] > 2**24
    assert "ip" not in endpoint
    assert "dns_names" not in endpoint
    assert endpoint["active_status"] == ["active"]
    assert endpoint["enable_status"] == "enable"
    assert endpoint["specification_name"] == "default"
    assert endpoint["whitelist"] == endpoint["tags"] == []


async def test_accept_reject_and_accept_again_show_in_both_views(world: World, acme: Tenant, globex: Tenant):
    service, endpoint = await pending_endpoint(world, acme, globex, enable_dns=True, port_ip="10.0.0.100")
    path = f"vpc-endpoints/{endpoint['id']}"

    for _ in range(2):
        assert (await decide(acme, service, endpoint, "receive"))["status"] in {"creating", "accepted"}
        accepted = await globex.until(path, "accepted")
        assert accepted["ip"] == "10.0.0.100"
        assert accepted["dns_names"] == [f"vpcep-{endpoint['id']}.lab-1.landbridge.internal"]
        assert world.driver.observe([endpoint["id"]])

        connection = await decide(acme, service, endpoint, "reject")
        assert (connection["status"], connection["error"]) == ("rejected", [])
        assert not world.driver.observe([endpoint["id"]])
        rejected = await globex.get(path)
        assert (rejected["status"], rejected["ip"]) == ("rejected", "10.0.0.100")


async def test_without_approval_an_endpoint_is_creating_and_then_accepted(world: World, acme: Tenant, globex: Tenant):
    service = await world.available_service(acme, approval_enabled=False)

    endpoint = await globex.post("vpc-endpoints", world.endpoint_body(service["id"]))

    assert endpoint["status"] == "creating"
    await globex.until(f"vpc-endpoints/{endpoint['id']}", "accepted")


async def test_receive_on_an_accepted_endpoint_succeeds_without_effect(world: World, acme: Tenant, globex: Tenant):
    service, endpoint = await pending_endpoint(world, acme, globex)
    await decide(acme, service, endpoint, "receive")
    before = await globex.until(f"vpc-endpoints/{endpoint['id']}", "accepted")

    await decide(acme, service, endpoint, "receive")

    assert await globex.get(f"vpc-endpoints/{endpoint['id']}") == before


async def test_a_deleted_endpoint_is_cut_when_the_answer_comes_and_then_gone(
    world: World, acme: Tenant, globex: Tenant
):
    service, endpoint = await pending_endpoint(world, acme, globex)
    await decide(acme, service, endpoint, "receive")
    await globex.until(f"vpc-endpoints/{endpoint['id']}", "accepted")

    answer = await globex.call("DELETE", f"vpc-endpoints/{endpoint['id']}")

    assert (answer.status_code, answer.content) == (204, b"")
    assert not world.driver.observe([endpoint["id"]])
    assert await globex.refused("GET", f"vpc-endpoints/{endpoint['id']}") == (404, "EndPoint.2006")
    assert (await acme.get(f"vpc-endpoint-services/{service['id']}/connections"))["total_count"] == 0


async def test_a_cut_that_the_data_plane_does_not_confirm_is_shown_and_counted_and_tried_again(
    world: World, acme: Tenant, globex: Tenant
):
    service, endpoint = await pending_endpoint(world, acme, globex)
    await decide(acme, service, endpoint, "receive")
    await globex.until(f"vpc-endpoints/{endpoint['id']}", "accepted")
    world.driver.fail_on(endpoint["id"], DriverError("the kernel is busy"))

    began = asyncio.get_running_loop().time()
    connection = await decide(acme, service, endpoint, "reject")
    waited = asyncio.get_running_loop().time() - began

    assert connection["status"] == "rejected"
    assert [error["error_code"] for error in connection["error"]] == ["EndPoint.0013"]
    assert 0.9 < waited < 5
    assert b"landbridge_cuts_overdue_total 1.0" in world.telemetry.metrics_text()
    world.driver.fail_on(endpoint["id"], None)
    for _ in range(500):
        (connection,) = (await acme.get(f"vpc-endpoint-services/{service['id']}/connections"))["connections"]
        if not connection["error"]:
            break
        await asyncio.sleep(0.01)
    assert connection["error"] == []
    assert not world.driver.observe([endpoint["id"]])


async def test_a_driver_that_fails_marks_that_one_endpoint_failed_and_its_neighbour_goes_on(
    world: World, acme: Tenant, globex: Tenant
):
    service, endpoint = await pending_endpoint(world, acme, globex)
    neighbour = await globex.post("vpc-endpoints", world.endpoint_body(service["id"]))
    world.driver.fail_on(endpoint["id"], DriverError("no such interface"))

    await decide(acme, service, endpoint, "receive")
    await decide(acme, service, neighbour, "receive")

    failed = await globex.until(f"vpc-endpoints/{endpoint['id']}", "failed")
    assert failed["error"][0]["error_message"] == "no such interface"
    await globex.until(f"vpc-endpoints/{neighbour['id']}", "accepted")
    world.driver.fail_on(endpoint["id"], None)
    await globex.until(f"vpc-endpoints/{endpoint['id']}", "accepted")


async def test_the_service_shows_and_counts_its_connections(world: World, acme: Tenant, globex: Tenant):
    service, endpoint = await pending_endpoint(world, acme, globex, description="branch office")
    path = f"vpc-endpoint-services/{service['id']}"

    (connection,) = (await acme.get(f"{path}/connections"))["connections"]

    assert connection["id"] == endpoint["id"]
    assert connection["marker_id"] == endpoint["marker_id"]
    assert connection["domain_id"] == globex.domain_id
    assert connection["description"] == "branch office"
    assert set(connection).isdisjoint({"ip", "vpc_id", "subnet_id"})
    assert (await acme.get(path))["connection_count"] == 0
    await decide(acme, service, endpoint, "receive")
    assert (await acme.get(path))["connection_count"] == 1


async def test_connections_filter_by_id_marker_and_status(world: World, acme: Tenant, globex: Tenant):
    service, endpoint = await pending_endpoint(world, acme, globex)
    path = f"vpc-endpoint-services/{service['id']}/connections"

    async def count(**params):
        return (await acme.get(path, **params))["total_count"]

    assert await count(id=endpoint["id"]) == 1
    assert await count(id="unknown") == 0
    assert await count(marker_id=endpoint["marker_id"]) == 1
    assert await count(marker_id=1) == 0
    assert await count(status="pendingAcceptance") == 1
    assert await count(status="accepted") == 0
    assert await acme.refused("GET", path, params={"marker_id": "x"}) == (400, "EndPoint.0021")
    assert await acme.refused("GET", path, params={"status": "open"}) == (400, "EndPoint.0019")


BAD_ACTIONS = [
    ({"action": "allow", "endpoints": ["e"]}, (400, "EndPoint.2027")),
    ({"endpoints": ["e"]}, (400, "EndPoint.2027")),
    ({"action": "receive", "endpoints": []}, (400, "EndPoint.2002")),
    ({"action": "receive"}, (400, "EndPoint.2002")),
    ({"action": "receive", "endpoints": ["e", "e"]}, (400, "EndPoint.2031")),
    ({"action": "receive", "endpoints": ["00000000-0000-4000-8000-000000000000"]}, (404, "EndPoint.2006")),
]


@pytest.mark.parametrize(("body", "expected"), BAD_ACTIONS)
async def test_a_bad_connection_action_is_refused_with_its_code(world: World, acme: Tenant, body, expected):
    service = await world.available_service(acme)

    assert await acme.refused("POST", f"vpc-endpoint-services/{service['id']}/connections/action", body) == expected


async def test_an_endpoint_of_another_service_or_one_being_deleted_cannot_be_decided(
    world: World, acme: Tenant, globex: Tenant
):
    service, endpoint = await pending_endpoint(world, acme, globex)
    other = await world.available_service(acme, host="web-2")
    body = {"action": "receive", "endpoints": [endpoint["id"]]}

    refused = await acme.refused("POST", f"vpc-endpoint-services/{other['id']}/connections/action", body)
    assert refused == (400, "EndPoint.2013")
    assert await globex.refused("POST", f"vpc-endpoint-services/{service['id']}/connections/action", body) == (
        404,
        "EndPoint.0005",
    )
    world.driver.fail_on(endpoint["id"], DriverError("busy"))
    await decide(acme, service, endpoint, "receive")
    await globex.until(f"vpc-endpoints/{endpoint['id']}", "failed")


async def test_only_permitted_domains_may_connect_and_the_owner_always_may(
    world: World, acme: Tenant, globex: Tenant, initech: Tenant
):
    service = await acme.post("vpc-endpoint-services", world.service_body())
    path = f"vpc-endpoint-services/{service['id']}"
    await acme.until(path, "available")
    body = world.endpoint_body(service["id"])

    assert await globex.refused("POST", "vpc-endpoints", body) == (400, "EndPoint.2012")
    own = await acme.post("vpc-endpoints", world.endpoint_body(service["id"], subnet="acme-vpc/apps"))
    assert own["status"] == "pendingAcceptance"
    entry = f"iam:domain::{globex.domain_id}"
    assert await acme.post(f"{path}/permissions/action", {"action": "add", "permissions": [entry]}) == {
        "permissions": [entry],
        "permission_type": "domainId",
    }
    connected = await globex.post("vpc-endpoints", body)
    foreign = world.endpoint_body(service["id"], subnet="initech-vpc/apps")
    assert await initech.refused("POST", "vpc-endpoints", foreign) == (400, "EndPoint.2012")
    await acme.post(f"{path}/permissions/action", {"action": "remove", "permissions": [entry]})
    assert await globex.refused("POST", "vpc-endpoints", body) == (400, "EndPoint.2012")
    await decide(acme, service, connected, "receive")
    await globex.until(f"vpc-endpoints/{connected['id']}", "accepted")  # a removal refuses later creates only


@pytest.mark.parametrize("entry", ["*", "iam:domain::*"])
async def test_a_wildcard_lets_everybody_connect_and_is_kept_as_it_was_sent(
    world: World, acme: Tenant, globex: Tenant, entry: str
):
    service = await acme.post("vpc-endpoint-services", world.service_body())
    path = f"vpc-endpoint-services/{service['id']}"
    await acme.until(path, "available")

    for _ in range(2):
        await acme.post(f"{path}/permissions/action", {"action": "add", "permissions": [entry]})

    page = await acme.get(f"{path}/permissions")
    assert [item["permission"] for item in page["permissions"]] == [entry]
    await globex.post("vpc-endpoints", world.endpoint_body(service["id"]))


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"action": "grant", "permissions": ["*"]}, "EndPoint.3035"),
        ({"permissions": ["*"]}, "EndPoint.3035"),
        ({"action": "add", "permissions": []}, "EndPoint.3036"),
        ({"action": "add"}, "EndPoint.3036"),
        ({"action": "add", "permissions": ["everybody"]}, "EndPoint.3002"),
        ({"action": "add", "permissions": ["iam:domain::"]}, "EndPoint.3002"),
        ({"action": "add", "permissions": ["iam:domain::" + "a" * 65]}, "EndPoint.3002"),
        ({"action": "add", "permissions": ["iam:domain::a\n"]}, "EndPoint.3002"),
        ({"action": "add", "permissions": [7]}, "EndPoint.3002"),
        ({"action": "add", "permissions": [f"iam:domain::{n}" for n in range(501)]}, "EndPoint.3049"),
    ],
)
async def test_a_bad_permission_is_refused_with_its_code(world: World, acme: Tenant, body: dict, code: str):
    service = await world.available_service(acme)
    path = f"vpc-endpoint-services/{service['id']}/permissions"

    assert await acme.refused("POST", f"{path}/action", body) == (400, code)
    assert (await acme.get(path))["total_count"] == 1
    assert await acme.refused("GET", path, params={"limit": 501}) == (400, "EndPoint.0006")


BAD_ENDPOINTS = [
    ("endpoint_service_id missing", {"endpoint_service_id": None}, (400, "EndPoint.2029")),
    ("endpoint_service_id malformed", {"endpoint_service_id": "web"}, (400, "EndPoint.3062")),
    (
        "endpoint_service_id unknown",
        {"endpoint_service_id": "00000000-0000-4000-8000-000000000000"},
        (400, "EndPoint.2003"),
    ),
    ("vpc_id missing", {"vpc_id": None}, (400, "EndPoint.2011")),
    ("vpc_id malformed", {"vpc_id": "net"}, (400, "EndPoint.0020")),
    ("vpc_id unknown", {"vpc_id": "00000000-0000-4000-8000-000000000000"}, (400, "EndPoint.2001")),
    ("subnet_id missing", {"subnet_id": None}, (400, "EndPoint.2010")),
    ("subnet_id malformed", {"subnet_id": "net"}, (400, "EndPoint.0023")),
    ("subnet_id unknown", {"subnet_id": "00000000-0000-4000-8000-000000000000"}, (404, "EndPoint.4008")),
    ("port_ip malformed", {"port_ip": "10.0.0.256"}, (400, "EndPoint.2041")),
    ("port_ip of IPv6", {"port_ip": "fd00::1"}, (400, "EndPoint.2041")),
    ("port_ip outside the subnet", {"port_ip": "10.0.1.5"}, (400, "EndPoint.2043")),
    ("port_ip of a host", {"port_ip": "10.0.0.10"}, (400, "EndPoint.2042")),
    ("port_ip of the gateway", {"port_ip": "10.0.0.1"}, (400, "EndPoint.2042")),
    ("enable_dns as text", {"enable_dns": "true"}, (400, "EndPoint.2033")),
    ("whitelist with a name", {"whitelist": ["client-1"]}, (400, "EndPoint.2044")),
    ("whitelist with everybody", {"whitelist": ["0.0.0.0/0"]}, (400, "EndPoint.2044")),
    ("whitelist of 21", {"whitelist": [f"10.0.0.{n}" for n in range(21)]}, (400, "EndPoint.2045")),
    ("specification unknown", {"specification_name": "large"}, (400, "EndPoint.0015")),
    ("description with <", {"description": "<b>"}, (400, "EndPoint.0002")),
    ("policy given", {"policy_statement": [{"Effect": "Allow"}]}, (400, "EndPoint.2048")),
    ("tag twice", {"tags": [{"key": "k", "value": ""}] * 2}, (400, "EndPoint.3067")),
]


@pytest.mark.parametrize(
    ("change", "expected"), [case[1:] for case in BAD_ENDPOINTS], ids=[case[0] for case in BAD_ENDPOINTS]
)
async def test_a_bad_endpoint_field_is_refused_with_its_code_and_leaves_nothing_behind(
    world: World, acme: Tenant, globex: Tenant, change: dict, expected
):
    service = await world.available_service(acme)
    good = world.endpoint_body(service["id"])

    assert await globex.refused("POST", "vpc-endpoints", good | change) == expected

    assert (await globex.get("vpc-endpoints"))["total_count"] == 0
    await globex.post("vpc-endpoints", good)


async def test_a_subnet_of_another_vpc_or_project_is_refused(world: World, acme: Tenant, globex: Tenant):
    service = await world.available_service(acme)
    other_vpc = world.endpoint_body(service["id"], subnet="globex-reserved/overlapping") | {
        "vpc_id": world.ids["vpcs"]["globex-vpc"]["vpc_id"]
    }
    foreign = world.endpoint_body(service["id"]) | {"subnet_id": world.ids["subnets"]["acme-vpc/web"]["subnet_id"]}

    assert await globex.refused("POST", "vpc-endpoints", other_vpc) == (400, "EndPoint.2037")
    assert await globex.refused("POST", "vpc-endpoints", foreign) == (404, "EndPoint.4008")


async def test_a_consumers_vpc_that_overlaps_the_transit_range_is_refused(world: World, acme: Tenant, globex: Tenant):
    service = await world.available_service(acme)
    body = world.endpoint_body(service["id"], subnet="globex-reserved/overlapping")

    assert await globex.refused("POST", "vpc-endpoints", body) == (400, "EndPoint.3009")


async def test_only_an_available_service_can_be_connected_to(world: World, acme: Tenant, globex: Tenant):
    created = await acme.post("vpc-endpoint-services", world.service_body(tcp_proxy="open"))
    path = f"vpc-endpoint-services/{created['id']}"
    await acme.until(path, "failed")
    await acme.post(f"{path}/permissions/action", {"action": "add", "permissions": ["*"]})

    refused = await globex.refused("POST", "vpc-endpoints", world.endpoint_body(created["id"]))

    assert refused == (400, "EndPoint.2004")


async def test_addresses_markers_and_transit_addresses_are_unique_and_a_full_subnet_is_refused(
    world: World, acme: Tenant, globex: Tenant
):
    service = await world.available_service(acme)
    body = world.endpoint_body(service["id"], subnet="globex-vpc/tiny")

    answers = await asyncio.gather(*(globex.call("POST", "vpc-endpoints", body) for _ in range(6)))

    assert sorted(answer.status_code for answer in answers) == [200] * 4 + [400] * 2
    assert {answer.json().get("error_code") for answer in answers} == {None, "EndPoint.2016"}
    endpoints = await world.store.read(lambda tx: tx.changes_since(0).endpoints)
    assert {endpoint.address for endpoint in endpoints} == {
        ipaddress.IPv4Address(f"10.0.9.{last}") for last in (3, 4, 5, 6)
    }
    assert len({endpoint.marker for endpoint in endpoints}) == 4
    assert len({endpoint.transit_address for endpoint in endpoints}) == 4


async def test_a_chosen_address_is_free_again_only_after_the_data_plane_let_go(
    world: World, acme: Tenant, globex: Tenant
):
    service, endpoint = await pending_endpoint(world, acme, globex, port_ip="10.0.0.100")
    same = world.endpoint_body(service["id"], port_ip="10.0.0.100")
    await decide(acme, service, endpoint, "receive")
    await globex.until(f"vpc-endpoints/{endpoint['id']}", "accepted")
    world.driver.fail_on(endpoint["id"], DriverError("busy"))

    await globex.call("DELETE", f"vpc-endpoints/{endpoint['id']}")
    assert (await globex.get(f"vpc-endpoints/{endpoint['id']}"))["status"] == "deleting"
    assert await globex.refused("POST", "vpc-endpoints", same) == (400, "EndPoint.2042")

    world.driver.fail_on(endpoint["id"], None)
    for _ in range(500):
        if (await globex.call("GET", f"vpc-endpoints/{endpoint['id']}")).status_code == 404:
            break
        await asyncio.sleep(0.01)
    await globex.post("vpc-endpoints", same)


async def test_endpoints_of_a_deleted_service_fail_with_2003_and_can_be_deleted(
    world: World, acme: Tenant, globex: Tenant
):
    service, endpoint = await pending_endpoint(world, acme, globex)

    assert (await acme.call("DELETE", f"vpc-endpoint-services/{service['id']}")).status_code == 204

    orphan = await globex.until(f"vpc-endpoints/{endpoint['id']}", "failed")
    assert orphan["error"][0]["error_code"] == "EndPoint.2003"
    assert orphan["endpoint_service_name"] == service["service_name"]
    assert (await globex.call("DELETE", f"vpc-endpoints/{endpoint['id']}")).status_code == 204
    assert (await globex.call("GET", f"vpc-endpoints/{endpoint['id']}")).status_code == 404


async def test_endpoint_lists_filter_and_page(world: World, acme: Tenant, globex: Tenant, initech: Tenant):
    service, first = await pending_endpoint(world, acme, globex)
    second = await globex.post("vpc-endpoints", world.endpoint_body(service["id"]))
    await initech.post("vpc-endpoints", world.endpoint_body(service["id"], subnet="initech-vpc/apps"))

    async def listed(**params):
        page = await globex.get("vpc-endpoints", **params)
        return [item["id"] for item in page["endpoints"]], page["total_count"]

    assert await listed() == ([second["id"], first["id"]], 2)
    assert await listed(id=first["id"]) == ([first["id"]], 1)
    assert await listed(vpc_id=first["vpc_id"], limit=1) == ([second["id"]], 2)
    assert await listed(vpc_id="00000000-0000-4000-8000-000000000000") == ([], 0)
    assert await listed(endpoint_service_name=service["service_name"].upper()) == ([second["id"], first["id"]], 2)
    assert await acme.refused("GET", f"vpc-endpoints/{first['id']}") == (404, "EndPoint.2006")
    assert await acme.refused("DELETE", f"vpc-endpoints/{first['id']}") == (404, "EndPoint.2006")


async def test_a_strangers_endpoint_is_as_an_absent_one_to_a_provider(
    world: World, acme: Tenant, globex: Tenant, initech: Tenant
):
    _, endpoint = await pending_endpoint(world, acme, globex)
    body = {"port_id": world.ids["hosts"]["client-2"]["port_id"], "vpc_id": world.ids["vpcs"]["initech-vpc"]["vpc_id"]}
    other = await initech.post("vpc-endpoint-services", world.service_body() | body)
    action = {"action": "receive", "endpoints": [endpoint["id"]]}

    refused = await initech.refused("POST", f"vpc-endpoint-services/{other['id']}/connections/action", action)

    assert refused == (404, "EndPoint.2006")
