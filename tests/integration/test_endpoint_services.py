"""Operations 3, 4, 5, 7: endpoint services (contract 3.3 to 3.7, 6.1)."""

import asyncio
import re

import pytest

from landbridge.domain.resources import EndpointService
from tests.integration.conftest import Tenant, World

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"


async def services_of(world: World, tenant: Tenant) -> list[EndpointService]:
    services = await world.store.read(lambda tx: tx.changes_since(0).services)
    return [service for service in services if service.project_id == tenant.project_id]


async def test_the_example_of_the_create_service_page_is_answered_with_all_its_fields(world: World, acme: Tenant):
    """Tag S: request and response of the page."""
    request = {
        "port_id": world.ids["hosts"]["web-1"]["port_id"],
        "vpc_id": world.ids["vpcs"]["acme-vpc"]["vpc_id"],
        "approval_enabled": False,
        "service_type": "interface",
        "server_type": "VM",
        "ports": [
            {"client_port": 8080, "server_port": 90, "protocol": "TCP"},
            {"client_port": 8081, "server_port": 80, "protocol": "TCP"},
        ],
    }

    answer = await acme.call("POST", "vpc-endpoint-services", request)

    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("application/json")
    assert answer.headers["X-Request-Id"] == answer.headers["x-openstack-request-id"]
    body = answer.json()
    assert {name: body[name] for name in request} == request
    assert re.fullmatch(UUID, body["id"])
    assert re.fullmatch(UUID, body["pool_id"])
    assert body["service_name"] == f"lab-1.{body['id']}"
    assert body["status"] == "creating"
    assert body["project_id"] == acme.project_id
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", body["created_at"])
    assert "error" not in body


async def test_absent_and_null_fields_take_their_defaults(world: World, acme: Tenant):
    nulls = dict.fromkeys(["service_name", "approval_enabled", "tcp_proxy", "tags", "description", "vip_port_id"])

    for index, extra in enumerate([{}, nulls, {"unknown_field": {"from": "a newer client"}}]):
        ports = [{"client_port": 1, "server_port": 100 + index}]
        body = await acme.post("vpc-endpoint-services", world.service_body(ports=ports, **extra))
        assert body["approval_enabled"] is True
        assert body["tcp_proxy"] == "close"
        assert body["service_type"] == "interface"
        assert body["tags"] == []
        assert body["description"] == ""
        assert body["cidr_type"] == "internal"
        assert body["ports"] == [{"client_port": 1, "server_port": 100 + index, "protocol": "TCP"}]
        assert "vip_port_id" not in body


async def test_a_service_becomes_available_and_shows_as_it_was_created(world: World, acme: Tenant):
    created = await acme.post(
        "vpc-endpoint-services",
        world.service_body(
            service_name="bill_ing-1",
            tags=[{"key": "team", "value": "fin"}, {"key": "empty", "value": ""}],
            description="x",
        ),
    )

    shown = await acme.until(f"vpc-endpoint-services/{created['id']}", "available")

    assert shown["service_name"] == f"lab-1.bill_ing-1.{created['id']}"
    assert shown["error"] == []
    assert shown["connection_count"] == 0
    same = set(created) - {"status", "updated_at", "connection_count"}
    assert {name: shown[name] for name in same} == {name: created[name] for name in same}


async def test_ports_keep_the_order_of_the_request(world: World, acme: Tenant):
    ports = [{"client_port": port, "server_port": 1000 + port, "protocol": "TCP"} for port in (9, 3, 7, 1)]

    body = await acme.post("vpc-endpoint-services", world.service_body(ports=ports))

    assert body["ports"] == ports
    assert (await acme.get(f"vpc-endpoint-services/{body['id']}"))["ports"] == ports


async def test_two_client_ports_may_lead_to_one_server_port(world: World, acme: Tenant):
    ports = [{"client_port": 80, "server_port": 8080}, {"client_port": 81, "server_port": 8080}]

    body = await acme.post("vpc-endpoint-services", world.service_body(ports=ports))

    await acme.until(f"vpc-endpoint-services/{body['id']}", "available")


BAD_FIELDS = [
    ("port_id missing", {"port_id": None}, "EndPoint.3063"),
    ("port_id malformed", {"port_id": "nic-1"}, "EndPoint.3063"),
    ("port_id of a wrong type", {"port_id": 7}, "EndPoint.3063"),
    ("port_id unknown", {"port_id": "00000000-0000-4000-8000-000000000000"}, "EndPoint.3008"),
    ("vpc_id missing", {"vpc_id": None}, "EndPoint.0020"),
    ("vpc_id malformed", {"vpc_id": "x" * 36}, "EndPoint.0020"),
    ("vpc_id unknown", {"vpc_id": "00000000-0000-4000-8000-000000000000"}, "EndPoint.2001"),
    ("server_type missing", {"server_type": None}, "EndPoint.3021"),
    ("server_type unknown", {"server_type": "BMS"}, "EndPoint.3021"),
    ("service_name of 17 characters", {"service_name": "a" * 17}, "EndPoint.3076"),
    ("service_name with a dot", {"service_name": "a.b"}, "EndPoint.3076"),
    ("service_name of a wrong type", {"service_name": ["a"]}, "EndPoint.3076"),
    ("service_type unknown", {"service_type": "tunnel"}, "EndPoint.0002"),
    ("approval_enabled as text", {"approval_enabled": "true"}, "EndPoint.0002"),
    ("tcp_proxy unknown", {"tcp_proxy": "sometimes"}, "EndPoint.0002"),
    ("description with <", {"description": "a<b"}, "EndPoint.0002"),
    ("description with >", {"description": "a>b"}, "EndPoint.0002"),
    ("description over-long", {"description": "x" * 129}, "EndPoint.0002"),
    ("ip given", {"ip": "10.0.0.20"}, "EndPoint.3011"),
    ("ports missing", {"ports": None}, "EndPoint.0002"),
    ("ports empty", {"ports": []}, "EndPoint.0002"),
    ("ports no list", {"ports": {"client_port": 1, "server_port": 1}}, "EndPoint.0002"),
    ("server_port missing", {"ports": [{"client_port": 80}]}, "EndPoint.3043"),
    ("server_port 0", {"ports": [{"client_port": 80, "server_port": 0}]}, "EndPoint.3043"),
    ("server_port 65536", {"ports": [{"client_port": 80, "server_port": 65536}]}, "EndPoint.3043"),
    ("server_port as text", {"ports": [{"client_port": 80, "server_port": "80"}]}, "EndPoint.3043"),
    ("server_port as a fraction", {"ports": [{"client_port": 80, "server_port": 80.5}]}, "EndPoint.3043"),
    ("server_port as a truth", {"ports": [{"client_port": 80, "server_port": True}]}, "EndPoint.3043"),
    ("server_port enormous", {"ports": [{"client_port": 80, "server_port": 10**40}]}, "EndPoint.3043"),
    ("client_port missing", {"ports": [{"server_port": 80}]}, "EndPoint.3004"),
    ("client_port negative", {"ports": [{"client_port": -1, "server_port": 80}]}, "EndPoint.3004"),
    ("protocol UDP", {"ports": [{"client_port": 80, "server_port": 80, "protocol": "UDP"}]}, "EndPoint.3075"),
    ("client port twice", {"ports": [{"client_port": 80, "server_port": p} for p in (80, 81)]}, "EndPoint.3044"),
    ("201 ports", {"ports": [{"client_port": p, "server_port": p} for p in range(1, 202)]}, "EndPoint.3074"),
    ("11 tags", {"tags": [{"key": f"k{n}", "value": ""} for n in range(11)]}, "EndPoint.3069"),
    ("tag without key", {"tags": [{"value": "x"}]}, "EndPoint.3066"),
    ("tag with a blank key", {"tags": [{"key": " ", "value": "x"}]}, "EndPoint.3066"),
    ("tag key of 37", {"tags": [{"key": "k" * 37, "value": "x"}]}, "EndPoint.3072"),
    ("tag value of 44", {"tags": [{"key": "k", "value": "v" * 44}]}, "EndPoint.3073"),
    ("tag key twice", {"tags": [{"key": "k", "value": "1"}, {"key": "k", "value": "2"}]}, "EndPoint.3067"),
    ("tag with a space at its end", {"tags": [{"key": "k", "value": "v "}]}, "EndPoint.3068"),
    *[(f"tag with {c}", {"tags": [{"key": "k", "value": f"a{c}b"}]}, "EndPoint.3068") for c in "=*<>\\,|/"],
    ("vip_port_id malformed", {"vip_port_id": "vip"}, "EndPoint.3051"),
    ("NUL in a text", {"description": "a\0b"}, "EndPoint.1004"),
]


@pytest.mark.parametrize(("change", "code"), [case[1:] for case in BAD_FIELDS], ids=[case[0] for case in BAD_FIELDS])
async def test_a_bad_field_is_refused_with_its_code_and_leaves_nothing_behind(
    world: World, acme: Tenant, change: dict, code: str
):
    assert await acme.refused("POST", "vpc-endpoint-services", world.service_body(**change)) == (400, code)

    assert (await acme.get("vpc-endpoint-services"))["total_count"] == 0
    await acme.post("vpc-endpoint-services", world.service_body())  # the twin without the mistake passes


async def test_limits_are_inclusive(world: World, acme: Tenant):
    body = world.service_body(
        service_name="a" * 16,
        description="d" * 128,
        tags=[{"key": f"{n}" + "k" * 35, "value": "v" * 43} for n in range(10)],
        ports=[{"client_port": p, "server_port": 65536 - p} for p in range(1, 200)]
        + [{"client_port": 65535, "server_port": 1}],
    )

    created = await acme.post("vpc-endpoint-services", body)

    assert len(created["ports"]) == 200
    assert created["tags"] == body["tags"]


async def test_gateway_services_are_refused_to_tenants(world: World, acme: Tenant):
    for service_type in ("gateway", "Gateway"):
        body = world.service_body(service_type=service_type)
        assert await acme.refused("POST", "vpc-endpoint-services", body) == (403, "EndPoint.0004")


async def test_a_port_of_another_vpc_is_refused(world: World, acme: Tenant):
    body = world.service_body(host="other-1", vpc="acme-vpc")

    assert await acme.refused("POST", "vpc-endpoint-services", body) == (400, "EndPoint.3042")
    await acme.post("vpc-endpoint-services", world.service_body(host="other-1", vpc="acme-other"))


async def test_another_projects_vpc_and_port_are_as_absent_ones(world: World, acme: Tenant):
    foreign_vpc = world.service_body(vpc="globex-vpc", host="client-1")
    foreign_port = world.service_body(host="client-1")

    assert await acme.refused("POST", "vpc-endpoint-services", foreign_vpc) == (400, "EndPoint.2001")
    assert await acme.refused("POST", "vpc-endpoint-services", foreign_port) == (400, "EndPoint.3008")


@pytest.mark.parametrize(("vpc", "host"), [("acme-reserved", "reserved-1"), ("acme-routed", "routed-1")])
async def test_a_vpc_whose_subnet_or_route_overlaps_the_transit_range_is_refused(
    world: World, acme: Tenant, vpc: str, host: str
):
    body = world.service_body(host=host, vpc=vpc)

    assert await acme.refused("POST", "vpc-endpoint-services", body) == (400, "EndPoint.3009")


async def test_a_server_port_is_unique_among_living_services_on_one_port_id(world: World, acme: Tenant):
    first = await acme.post("vpc-endpoint-services", world.service_body())
    same = world.service_body(ports=[{"client_port": 9999, "server_port": 80}])

    assert await acme.refused("POST", "vpc-endpoint-services", same) == (400, "EndPoint.3044")
    await acme.post("vpc-endpoint-services", world.service_body(ports=[{"client_port": 8080, "server_port": 81}]))
    await acme.post("vpc-endpoint-services", world.service_body(host="web-2"))
    assert (await acme.call("DELETE", f"vpc-endpoint-services/{first['id']}")).status_code == 204
    await acme.post("vpc-endpoint-services", same)


async def test_of_simultaneous_requests_for_one_server_port_exactly_one_succeeds(world: World, acme: Tenant):
    answers = await asyncio.gather(
        *(acme.call("POST", "vpc-endpoint-services", world.service_body()) for _ in range(8))
    )

    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 7
    assert {answer.json().get("error_code") for answer in answers} == {None, "EndPoint.3044"}
    assert (await acme.get("vpc-endpoint-services"))["total_count"] == 1


async def test_services_on_one_address_share_its_transit_address(world: World, acme: Tenant):
    for number in (80, 81):
        await world.available_service(acme, ports=[{"client_port": 80, "server_port": number}])

    services = await services_of(world, acme)

    assert len(services) == 2
    assert len({service.backend.transit_address for service in services}) == 1


async def test_the_target_of_a_virtual_ip_is_its_own_address(world: World, acme: Tenant):
    vip = world.ids["vips"]["web-2/10.0.0.30"]["port_id"]
    by_vip_port = world.service_body(host="web-2", server_type="VIP", vip_port_id=vip)
    by_port = world.service_body(server_type="vip", ports=[{"client_port": 1, "server_port": 81}]) | {"port_id": vip}

    first = await acme.post("vpc-endpoint-services", by_vip_port)
    second = await acme.post("vpc-endpoint-services", by_port)

    assert first["vip_port_id"] == vip
    assert first["port_id"] == world.ids["hosts"]["web-2"]["port_id"]
    assert second["server_type"] == "VIP"
    services = await services_of(world, acme)
    assert {str(service.backend.address) for service in services} == {"10.0.0.30"}


async def test_a_virtual_ip_service_needs_a_virtual_ip(world: World, acme: Tenant):
    without = world.service_body(server_type="VIP")
    nic_as_vip = world.service_body(server_type="VIP", vip_port_id=world.ids["hosts"]["web-2"]["port_id"])

    assert await acme.refused("POST", "vpc-endpoint-services", without) == (400, "EndPoint.3051")
    assert await acme.refused("POST", "vpc-endpoint-services", nic_as_vip) == (400, "EndPoint.3051")


@pytest.mark.parametrize("mode", ["toa_open", "proxy_open", "open"])
async def test_a_mode_that_is_not_carried_yet_fails_the_service_and_says_so(world: World, acme: Tenant, mode: str):
    created = await acme.post("vpc-endpoint-services", world.service_body(tcp_proxy=mode))
    assert created["status"] == "creating"

    failed = await acme.until(f"vpc-endpoint-services/{created['id']}", "failed")

    (error,) = failed["error"]
    assert error["code"] == error["error_code"] == "EndPoint.0002"
    assert mode in error["message"]
    assert error["message"] == error["error_message"]
    assert (await acme.call("DELETE", f"vpc-endpoint-services/{created['id']}")).status_code == 204


async def test_a_deleted_service_is_deleting_and_then_gone(world: World, acme: Tenant):
    service = await world.available_service(acme)
    path = f"vpc-endpoint-services/{service['id']}"

    answer = await acme.call("DELETE", path)

    assert (answer.status_code, answer.content) == (204, b"")
    for _ in range(500):
        later = await acme.call("GET", path)
        if later.status_code == 404:
            break
        assert later.json()["status"] == "deleting"
        await asyncio.sleep(0.002)
    assert later.json()["error_code"] == "EndPoint.0005"
    assert await acme.refused("DELETE", path) == (404, "EndPoint.0005")


async def test_a_service_with_connected_endpoints_cannot_be_deleted(world: World, acme: Tenant, globex: Tenant):
    service = await world.available_service(acme, approval_enabled=False)
    path = f"vpc-endpoint-services/{service['id']}"
    endpoint = await globex.post("vpc-endpoints", world.endpoint_body(service["id"]))

    assert await acme.refused("DELETE", path) == (400, "EndPoint.3006")
    await globex.until(f"vpc-endpoints/{endpoint['id']}", "accepted")
    assert await acme.refused("DELETE", path) == (400, "EndPoint.3006")
    await globex.call("DELETE", f"vpc-endpoints/{endpoint['id']}")
    assert (await acme.call("DELETE", path)).status_code == 204


async def test_other_projects_see_a_service_neither_by_id_nor_in_lists(world: World, acme: Tenant, globex: Tenant):
    service = await world.available_service(acme)

    assert await globex.refused("GET", f"vpc-endpoint-services/{service['id']}") == (404, "EndPoint.0005")
    assert await globex.refused("DELETE", f"vpc-endpoint-services/{service['id']}") == (404, "EndPoint.0005")
    assert (await globex.get("vpc-endpoint-services")) == {"endpoint_services": [], "total_count": 0}


@pytest.mark.parametrize("id_", ["nothing", "lab-1.web.x", "%00", "a" * 5000, "..%2f..", "%ff"])
async def test_an_id_that_cannot_be_is_as_an_unknown_one(acme: Tenant, id_: str):
    status, code = await acme.refused("GET", f"vpc-endpoint-services/{id_}")

    assert (status, code) == (404, "EndPoint.0005")


async def test_lists_filter_sort_and_page(world: World, acme: Tenant):
    names = ["Bill-a", "bill-b", "other"]
    ids = [
        (
            await acme.post(
                "vpc-endpoint-services",
                world.service_body(service_name=name, ports=[{"client_port": 1, "server_port": 100 + index}]),
            )
        )["id"]
        for index, name in enumerate(names)
    ]

    async def listed(**params):
        page = await acme.get("vpc-endpoint-services", **params)
        return [item["id"] for item in page["endpoint_services"]], page["total_count"]

    assert await listed() == (ids[::-1], 3)
    assert await listed(endpoint_service_name="BILL") == ([ids[1], ids[0]], 2)
    assert await listed(endpoint_service_name=f"lab-1.other.{ids[2]}") == ([ids[2]], 1)
    assert await listed(endpoint_service_name="%") == ([], 0)
    assert await listed(id=ids[0]) == ([ids[0]], 1)
    assert await listed(sort_dir="asc", sort_key="create_at") == (ids, 3)
    assert await listed(limit=1, offset=1) == ([ids[1]], 3)
    assert await listed(limit=0) == ([], 3)
    assert await listed(offset=100) == ([], 3)
    assert await listed(status="failed") == ([], 0)


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"limit": "-1"}, "EndPoint.0006"),
        ({"limit": "ten"}, "EndPoint.0006"),
        ({"limit": "1001"}, "EndPoint.0006"),
        ({"limit": "1" * 400}, "EndPoint.0006"),
        ({"offset": "-1"}, "EndPoint.0010"),
        ({"offset": "1.5"}, "EndPoint.0010"),
        ({"sort_key": "name"}, "EndPoint.0017"),
        ({"sort_dir": "up"}, "EndPoint.0018"),
        ({"status": "gone"}, "EndPoint.0019"),
        ({"endpoint_service_name": "x" * 129}, "EndPoint.0002"),
    ],
)
async def test_a_bad_filter_is_refused_with_its_code(acme: Tenant, params: dict, code: str):
    assert await acme.refused("GET", "vpc-endpoint-services", params=params) == (400, code)


async def test_list_and_show_agree_and_a_list_has_exactly_one_array(world: World, acme: Tenant):
    service = await world.available_service(acme)

    page = await acme.get("vpc-endpoint-services")

    assert page["endpoint_services"] == [await acme.get(f"vpc-endpoint-services/{service['id']}")]
    assert [name for name, value in page.items() if isinstance(value, list)] == ["endpoint_services"]
    assert page["endpoint_services"][0]["domain_id"] == acme.domain_id
    assert page["endpoint_services"][0]["public_border_group"]


async def test_any_tenant_may_describe_a_service_by_id_or_full_name_and_learns_little(
    world: World, acme: Tenant, globex: Tenant
):
    service = await world.available_service(acme, service_name="web")

    by_id = await globex.get("vpc-endpoint-services/describe", id=service["id"])
    by_name = await globex.get("vpc-endpoint-services/describe", endpoint_service_name=service["service_name"])

    assert by_id == by_name
    assert by_id["id"] == service["id"]
    assert set(by_id).isdisjoint({"project_id", "domain_id", "port_id", "vpc_id", "ports"})
    for params, expected in [
        ({}, (400, "EndPoint.0002")),
        ({"id": service["id"], "endpoint_service_name": service["service_name"]}, (400, "EndPoint.0002")),
        ({"id": "unknown"}, (404, "EndPoint.0005")),
        ({"endpoint_service_name": f"lab-1.other.{service['id']}"}, (404, "EndPoint.0005")),
    ]:
        assert await globex.refused("GET", "vpc-endpoint-services/describe", params=params) == expected
