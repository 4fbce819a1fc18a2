"""Public services: published by the operator through the API, and gateway services of the lab file (contract 3.8)."""

import asyncio
import shutil
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest

from landbridge import lab as labs
from landbridge.bootstrap.lab_start import store_lab
from landbridge.domain.errors import OperatorError
from landbridge.domain.resources import PortMapping
from tests.integration.conftest import LAB, Tenant, World, running

PUBLIC, SERVICES, ENDPOINTS = "ext/public-services", "vpc-endpoint-services", "vpc-endpoints"
DNS, OBS = "com.landbridge.lab-1.dns", "com.landbridge.lab-1.obs"
DESCRIBED = labs.read_lab(LAB)
OBS_ENTRY = labs.PublicGatewayEntry(OBS, (IPv4Network("100.125.0.0/16"),), "lab")


@pytest.fixture
async def hooli(world: World) -> Tenant:
    """The operator."""
    return await world.login("hooli-admin", "hooli-password", "hooli")


def gateway(world: World, **changes: Any) -> dict[str, Any]:
    return {
        "service_name": "com.example.lab-1.store",
        "service_type": "gateway",
        "cidrs": ["100.125.0.0/17", "100.125.128.0/17"],
        "subnet_id": world.ids["public"]["subnet_id"],
    } | changes


def interface(world: World, host: str = "obs-1", **changes: Any) -> dict[str, Any]:
    return {
        "service_name": "com.example.lab-1.time",
        "owner": "Time Lords",
        "port_id": world.ids["hosts"][host]["port_id"],
        "ports": [{"client_port": 123, "server_port": 123}],
    } | changes


async def listed(tenant: Tenant, **params: Any) -> dict[str, Any]:
    """Return what the operator sees of the public services, by name."""
    return {item["service_name"]: item for item in (await tenant.get(PUBLIC, **params))["public_services"]}


async def available(tenant: Tenant, id_: str) -> Any:
    for _ in range(500):
        (found,) = (await tenant.get(PUBLIC, id=id_))["public_services"]
        if found["status"] == "available":
            return found
        await asyncio.sleep(0.002)
    raise AssertionError(f"the service stays {found['status']}")


async def start_again(world: World, *entries: Any, **changes: Any) -> None:
    """Do what a start with another lab file does."""
    offered = DESCRIBED.public_services + entries
    await store_lab(world.store, replace(DESCRIBED, **({"public_services": offered} | changes)), b"k" * 32)
    await world.parts.reconciler.sweep()


def endpoint_body(world: World, service: str, vpc: str = "globex-vpc") -> dict[str, Any]:
    return {"endpoint_service_id": service, "vpc_id": world.ids["vpcs"][vpc]["vpc_id"]}


async def test_a_gateway_service_shows_where_it_leads_to_the_operator_only(world: World, hooli: Tenant, globex: Tenant):
    created = await hooli.post(PUBLIC, gateway(world))
    shown = await available(hooli, created["id"])

    assert (created["status"], created["owner"], created["connection_count"]) == ("creating", "operator", 0)
    assert shown["cidrs"] == ["100.125.0.0/16"]
    assert (shown["subnet_id"], shown["vpc_id"]) == (world.ids["public"]["subnet_id"], world.ids["public"]["vpc_id"])
    assert (shown["origin"], shown["project_id"], shown["service_type"]) == ("api", hooli.project_id, "gateway")
    assert not {"port_id", "server_type", "ports", "tcp_proxy"} & shown.keys()
    page = await globex.get(f"{SERVICES}/public", endpoint_service_name="store")
    assert page["endpoint_services"] == [
        {
            "id": created["id"],
            "owner": "operator",
            "service_name": "com.example.lab-1.store",
            "service_type": "gateway",
            "created_at": created["created_at"],
            "is_charge": False,
            "enable_policy": False,
        }
    ]
    described = await globex.get(f"{SERVICES}/describe", id=created["id"])
    assert described["service_type"] == "gateway"


async def test_an_interface_service_may_have_its_backend_in_the_public_network_or_in_any_project(
    world: World, hooli: Tenant, globex: Tenant
):
    for number, host in enumerate(["obs-1", "web-1"]):
        name = f"com.example.lab-1.time-{number}"
        created = await hooli.post(PUBLIC, interface(world, host, service_name=name))
        shown = await available(hooli, created["id"])
        assert (shown["owner"], shown["server_type"], shown["tcp_proxy"]) == ("Time Lords", "VM", "close")
        assert shown["ports"] == [{"client_port": 123, "server_port": 123, "protocol": "TCP"}]
        endpoint = await globex.post(ENDPOINTS, world.endpoint_body(created["id"]))
        await globex.until(f"{ENDPOINTS}/{endpoint['id']}", "accepted")


async def test_a_virtual_ip_may_serve_everybody(world: World, hooli: Tenant):
    wish = interface(world, "web-2", server_type="VIP", vip_port_id=world.ids["vips"]["web-2/10.0.0.30"]["port_id"])

    shown = await available(hooli, (await hooli.post(PUBLIC, wish))["id"])

    assert (shown["server_type"], shown["vip_port_id"]) == ("VIP", wish["vip_port_id"])


async def test_what_the_operator_has_published_is_the_operators_project_s(world: World, hooli: Tenant, globex: Tenant):
    created = await hooli.post(PUBLIC, gateway(world))
    await available(hooli, created["id"])
    endpoint = await globex.post(ENDPOINTS, endpoint_body(world, created["id"]))

    own = await hooli.get(f"{SERVICES}/{created['id']}")
    connections = await hooli.get(f"{SERVICES}/{created['id']}/connections")

    assert (own["service_type"], own["ports"], own["connection_count"]) == ("gateway", [], 1)
    assert not {"port_id", "server_type", "vip_port_id"} & own.keys()
    assert [connection["id"] for connection in connections["connections"]] == [endpoint["id"]]
    assert await globex.refused("GET", f"{SERVICES}/{created['id']}") == (404, "EndPoint.0005")
    assert await hooli.refused("PUT", f"{SERVICES}/{created['id']}", {"description": "x"}) == (403, "EndPoint.0004")


async def test_an_operator_sees_how_every_public_service_does_and_nothing_of_tenants_services(
    world: World, hooli: Tenant, acme: Tenant
):
    await start_again(world, OBS_ENTRY)
    store = (await listed(hooli))[OBS]["id"]
    tenants = (await world.available_service(acme))["id"]

    assert await hooli.get(f"ext/{SERVICES}/{store}/health") == {"id": store, "health": "unknown", "ports": []}
    assert (await hooli.get(f"ext/{SERVICES}/{store}/traffic"))["endpoints"] == []
    assert (await hooli.get(f"ext/{SERVICES}/{store}/connections"))["connections"] == []
    for fact in ("health", "traffic", "connections"):
        assert await acme.refused("GET", f"ext/{SERVICES}/{store}/{fact}") == (404, "EndPoint.0005")
        assert await hooli.refused("GET", f"ext/{SERVICES}/{tenants}/{fact}") == (404, "EndPoint.0005")


async def test_the_list_has_those_of_the_lab_file_too_filtered_and_paged(world: World, hooli: Tenant):
    await start_again(world, OBS_ENTRY)
    created = await hooli.post(PUBLIC, interface(world))

    everything = await listed(hooli)
    assert {name: item["origin"] for name, item in everything.items()} == {
        "com.example.lab-1.time": "api",
        OBS: "lab",
        DNS: "lab",
        "com.landbridge.lab-1.iam": "lab",
    }
    assert everything[OBS]["cidrs"] == ["100.125.0.0/16"]
    assert list(await listed(hooli, id=created["id"])) == ["com.example.lab-1.time"]
    assert list(await listed(hooli, endpoint_service_name="LAB-1.dns")) == [DNS]
    assert len(await listed(hooli, limit=1, offset=1)) == 1


async def test_one_that_nobody_is_connected_to_is_taken_back_and_may_be_published_anew(
    world: World, hooli: Tenant, globex: Tenant
):
    created = await hooli.post(PUBLIC, gateway(world))
    await available(hooli, created["id"])
    endpoint = await globex.post(ENDPOINTS, endpoint_body(world, created["id"]))
    await globex.until(f"{ENDPOINTS}/{endpoint['id']}", "accepted")
    assert await hooli.refused("DELETE", f"{PUBLIC}/{created['id']}") == (400, "EndPoint.3006")

    await globex.call("DELETE", f"{ENDPOINTS}/{endpoint['id']}")
    assert (await hooli.call("DELETE", f"{PUBLIC}/{created['id'].upper()}")).status_code == 204

    assert await listed(hooli, id=created["id"]) == {}
    again = await hooli.post(PUBLIC, gateway(world))
    assert again["id"] != created["id"]
    for _ in range(500):
        gone = await hooli.call("GET", f"{SERVICES}/{created['id']}")
        if gone.status_code == 404:
            break
        await asyncio.sleep(0.002)
    assert gone.status_code == 404


async def test_two_at_the_same_moment_never_get_one_network_or_one_name(world: World, hooli: Tenant):
    parts = [f"100.125.{number}.0/24" for number in (0, 0, 1)]
    wishes = [gateway(world, service_name=f"com.example.lab-1.s{n}", cidrs=[part]) for n, part in enumerate(parts)]
    same_name = [interface(world, ports=[{"client_port": 1, "server_port": port}]) for port in (1, 2, 3)]

    answers = await asyncio.gather(*(hooli.call("POST", PUBLIC, wish) for wish in [*wishes, *same_name]))

    codes = [answer.json().get("error_code", "") for answer in answers]
    assert sorted(codes[:3]) == ["", "", "EndPoint.3046"]
    assert sorted(codes[3:]) == ["", "EndPoint.3076", "EndPoint.3076"]


async def test_nobody_but_an_operator_publishes_or_takes_back(world: World, hooli: Tenant, acme: Tenant):
    created = await hooli.post(PUBLIC, gateway(world))

    assert await acme.refused("POST", PUBLIC, gateway(world)) == (403, "EndPoint.0004")
    assert await acme.refused("GET", PUBLIC) == (403, "EndPoint.0004")
    assert await acme.refused("DELETE", f"{PUBLIC}/{created['id']}") == (403, "EndPoint.0004")


async def test_tenants_see_nothing_of_the_public_network_in_the_vpc_api(world: World, hooli: Tenant, acme: Tenant):
    ids = world.ids["public"]

    for tenant in (hooli, acme):
        vpcs = (await tenant.get("vpcs"))["vpcs"]
        subnets = (await tenant.get("subnets"))["subnets"]
        ports = (await tenant.get("ports"))["ports"]
        tables = (await tenant.get("routetables"))["routetables"]
        assert ids["vpc_id"] not in {vpc["id"] for vpc in vpcs} | {table["vpc_id"] for table in tables}
        assert ids["subnet_id"] not in {subnet["id"] for subnet in subnets}
        assert world.ids["hosts"]["obs-1"]["port_id"] not in {port["id"] for port in ports}
        assert (await tenant.call("GET", f"vpcs/{ids['vpc_id']}")).status_code == 404
        into = {"subnet": {"name": "x", "cidr": "100.125.9.0/24", "vpc_id": ids["vpc_id"], "gateway_ip": "100.125.9.1"}}
        assert (await tenant.call("POST", "subnets", into)).status_code == 404
    refused = await acme.refused(
        "POST", SERVICES, world.service_body() | {"port_id": world.ids["hosts"]["obs-1"]["port_id"]}
    )
    assert refused == (400, "EndPoint.3008")


async def test_a_gateway_service_of_the_lab_file_is_carried_and_follows_the_file(world: World, globex: Tenant):
    await start_again(world, OBS_ENTRY)
    described = await globex.get(f"{SERVICES}/describe", endpoint_service_name=OBS)
    endpoint = await globex.post(ENDPOINTS, endpoint_body(world, described["id"]))
    await globex.until(f"{ENDPOINTS}/{endpoint['id']}", "accepted")
    wired = world.driver.observe([endpoint["id"]])

    await start_again(world, replace(OBS_ENTRY, cidrs=(IPv4Network("100.125.0.0/17"),), owner="somebody"))

    assert world.driver.observe([endpoint["id"]]) != wired
    page = await globex.get(f"{SERVICES}/public", endpoint_service_name="obs")
    assert (page["endpoint_services"][0]["id"], page["endpoint_services"][0]["owner"]) == (described["id"], "somebody")
    table = world.ids["routetables"]["globex-vpc"]["routetable_id"]
    (route,) = (await globex.get(f"routetables/{table}"))["routetable"]["routes"]
    assert (route["destination"], route["nexthop"]) == ("100.125.0.0/17", endpoint["id"])


async def test_a_connected_gateway_service_leaves_neither_the_file_nor_its_type(world: World, globex: Tenant):
    await start_again(world, OBS_ENTRY)
    described = await globex.get(f"{SERVICES}/describe", endpoint_service_name=OBS)
    endpoint = await globex.post(ENDPOINTS, endpoint_body(world, described["id"]))
    as_interface = labs.PublicServiceEntry(OBS, "obs-1", (PortMapping(80, 80),), "lab")

    for entries in [(), (as_interface,)]:
        with pytest.raises(OperatorError, match=rf"{OBS} has connected endpoints \(1\): put it back"):
            await start_again(world, *entries)

    await globex.call("DELETE", f"{ENDPOINTS}/{endpoint['id']}")
    await start_again(world, as_interface)
    after = await globex.get(f"{SERVICES}/describe", endpoint_service_name=OBS)
    assert (after["service_type"], after["id"] != described["id"]) == ("interface", True)


async def test_a_file_under_which_a_gateway_endpoint_would_lead_nowhere_is_refused(world: World, globex: Tenant):
    narrow = replace(OBS_ENTRY, cidrs=(IPv4Network("100.125.0.0/24"),))
    await start_again(world, narrow)
    described = await globex.get(f"{SERVICES}/describe", endpoint_service_name=OBS)
    endpoint = await globex.post(ENDPOINTS, endpoint_body(world, described["id"]))
    await globex.until(f"{ENDPOINTS}/{endpoint['id']}", "accepted")

    def with_vpc(**changes: Any) -> tuple[labs.VpcEntry, ...]:
        return tuple(replace(vpc, **changes) if vpc.name == "globex-vpc" else vpc for vpc in DESCRIBED.vpcs)

    for vpcs in (
        with_vpc(cidr=IPv4Network("100.64.0.0/10"), subnets=()),
        with_vpc(routes=(IPv4Network("100.125.0.128/25"),)),
    ):
        with pytest.raises(OperatorError, match=endpoint["id"]):
            await start_again(world, narrow, vpcs=vpcs)
    await start_again(world, narrow)
    assert (await globex.get(f"{ENDPOINTS}/{endpoint['id']}"))["status"] == "accepted"


async def test_what_was_published_by_api_survives_a_restart_and_a_file_that_wants_the_same_is_refused(
    world: World, hooli: Tenant
):
    by_api = await hooli.post(PUBLIC, gateway(world, cidrs=["100.125.7.0/24"]))
    await start_again(world)
    assert (await available(hooli, by_api["id"]))["origin"] == "api"

    with pytest.raises(OperatorError, match=f"{OBS} cannot be published: .*com.example.lab-1.store"):
        await start_again(world, OBS_ENTRY)
    same_name = labs.PublicServiceEntry("com.example.lab-1.store", "obs-1", (PortMapping(80, 80),), "lab")
    with pytest.raises(OperatorError, match="there is a public service"):
        await start_again(world, same_name)
    with pytest.raises(OperatorError, match="leads through subnet"):
        await start_again(world, public=None)

    assert (await hooli.call("DELETE", f"{PUBLIC}/{by_api['id']}")).status_code == 204
    await start_again(world, OBS_ENTRY)
    assert await hooli.refused("POST", PUBLIC, gateway(world)) == (400, "EndPoint.3046")


async def test_public_services_by_api_count_in_no_quota(tmp_path: Path, database_with_the_lab: Path):
    shutil.copy(database_with_the_lab, tmp_path)
    async with running(tmp_path, quota_endpoint_services=1) as world:
        hooli = await world.login("hooli-admin", "hooli-password", "hooli")
        await hooli.post(PUBLIC, gateway(world))
        await hooli.post(PUBLIC, interface(world))

        await hooli.post(SERVICES, world.service_body(host="dns-1", vpc="hooli-vpc"))
