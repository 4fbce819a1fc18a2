"""Endpoints of gateway services: their route tables, the routes they put there, who may use them (contract 9.10)."""

import asyncio
from ipaddress import IPv4Address
from typing import Any

import pytest

from landbridge.dataplane.driver import DriverError
from landbridge.domain.ids import EndpointId, SubnetId
from landbridge.drivers.memory import Packet
from tests.integration.conftest import Tenant, World

ENDPOINTS = "vpc-endpoints"
OBS = "com.example.lab-1.obs"
STORE = IPv4Address("100.125.0.10")
ROUTE = {"type": "ecs", "destination": "192.168.0.0/24", "nexthop": "x", "description": ""}
STATEMENT = {"Effect": "Allow", "Action": ["obs:*:*"], "Resource": ["obs:*:*:*:*"], "Sid": "all"}


@pytest.fixture
async def hooli(world: World) -> Tenant:
    """The operator."""
    return await world.login("hooli-admin", "hooli-password", "hooli")


async def published(world: World, hooli: Tenant, **changes: Any) -> str:
    """Publish a gateway service and return its id when it is available."""
    wish = {
        "service_name": OBS,
        "service_type": "gateway",
        "cidrs": ["100.125.0.0/16"],
        "subnet_id": world.ids["public"]["subnet_id"],
    }
    id_ = (await hooli.post("ext/public-services", wish | changes))["id"]
    for _ in range(500):
        (found,) = (await hooli.get("ext/public-services", id=id_))["public_services"]
        if found["status"] == "available":
            return id_
        await asyncio.sleep(0.002)
    raise AssertionError(f"the service stays {found['status']}")


def body(world: World, service: str, vpc: str = "globex-vpc", **changes: Any) -> dict[str, Any]:
    return {"endpoint_service_id": service, "vpc_id": world.ids["vpcs"][vpc]["vpc_id"]} | changes


async def accepted(world: World, tenant: Tenant, service: str, **changes: Any) -> dict[str, Any]:
    endpoint = await tenant.post(ENDPOINTS, body(world, service, **changes))
    return await tenant.until(f"{ENDPOINTS}/{endpoint['id']}", "accepted")


def default_table(world: World, vpc: str = "globex-vpc") -> str:
    return world.ids["routetables"][vpc]["routetable_id"]


async def new_table(world: World, tenant: Tenant, name: str, *subnets: str, vpc: str = "globex-vpc") -> str:
    """Make a route table that these subnets of the lab have."""
    wish = {"routetable": {"name": name, "vpc_id": world.ids["vpcs"][vpc]["vpc_id"]}}
    id_ = (await tenant.post("routetables", wish))["routetable"]["id"]
    await associate(world, tenant, id_, *subnets)
    return id_


async def associate(world: World, tenant: Tenant, table: str, *subnets: str) -> None:
    ids = [world.ids["subnets"][subnet]["subnet_id"] for subnet in subnets]
    if ids:
        await tenant.post(f"routetables/{table}/action", {"routetable": {"subnets": {"associate": ids}}})


async def routes(tenant: Tenant, table: str) -> list[dict[str, str]]:
    return (await tenant.get(f"routetables/{table}"))["routetable"]["routes"]


async def endpoint_routes(tenant: Tenant, table: str) -> dict[str, str]:
    """Return the endpoint by the destination of each route that an endpoint has put into a table."""
    return {route["destination"]: route["nexthop"] for route in await routes(tenant, table) if route["type"] == "egw"}


def leaves(world: World, subnet: str, source: str) -> str | None:
    """Say with which source a client's packet comes out in the public network; None: nowhere."""
    subnet_id = SubnetId(world.ids["subnets"][subnet]["subnet_id"])
    delivery = world.driver.network.send(Packet(subnet_id, IPv4Address(source), 40000, STORE, 80))
    return None if delivery is None else str(delivery.packet.source)


async def generation(world: World, endpoint: dict[str, Any]) -> int:
    found = await world.store.read(lambda tx: tx.endpoint(EndpointId(endpoint["id"])))
    assert found is not None
    return found.generation


async def change_tables(tenant: Tenant, endpoint: dict[str, Any], *tables: str) -> Any:
    answer = await tenant.call("PUT", f"{ENDPOINTS}/{endpoint['id']}/routetables", {"routetables": list(tables)})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_gateway_endpoint_has_route_tables_in_place_of_an_address(world: World, hooli: Tenant, globex: Tenant):
    service = await published(world, hooli)

    created = await globex.post(ENDPOINTS, body(world, service, enable_dns=True, description="store"))
    shown = await globex.until(f"{ENDPOINTS}/{created['id']}", "accepted")

    assert created["status"] == "creating"
    assert (shown["service_type"], shown["endpoint_service_name"]) == ("gateway", OBS)
    assert shown["routetables"] == [default_table(world)]
    assert shown["marker_id"] > 2**24
    assert (shown["whitelist"], shown["enable_whitelist"], shown["enable_dns"]) == ([], False, True)
    assert not {"ip", "subnet_id", "dns_names"} & shown.keys()
    page = await globex.get(ENDPOINTS, id=shown["id"])
    assert page["endpoints"] == [shown]
    quotas = (await globex.get("quotas", type="endpoint"))["quotas"]["resources"]
    assert quotas == [{"type": "endpoint", "used": 1, "quota": 50}]


async def test_its_routes_are_in_the_table_as_long_as_it_is_and_the_others_stay(
    world: World, hooli: Tenant, globex: Tenant
):
    service = await published(world, hooli, cidrs=["100.125.0.0/24", "100.125.128.0/17"])
    table = default_table(world)
    await globex.call("PUT", f"routetables/{table}", {"routetable": {"routes": {"add": [ROUTE]}}})

    endpoint = await accepted(world, globex, service)
    assert await routes(globex, table) == [
        ROUTE,
        {"type": "egw", "destination": "100.125.0.0/24", "nexthop": endpoint["id"], "description": ""},
        {"type": "egw", "destination": "100.125.128.0/17", "nexthop": endpoint["id"], "description": ""},
    ]

    await globex.call("DELETE", f"{ENDPOINTS}/{endpoint['id']}")
    assert await routes(globex, table) == [ROUTE]


async def test_the_routes_of_an_endpoint_are_not_changed_by_hand_and_nothing_is_hidden_behind_them(
    world: World, hooli: Tenant, globex: Tenant
):
    service = await published(world, hooli)
    await accepted(world, globex, service)
    path = f"routetables/{default_table(world)}"
    before = await globex.get(path)

    for change in [
        {"del": [{"destination": "100.125.0.0/16"}]},
        {"mod": [{"destination": "100.125.0.0/16", "nexthop": "x"}]},
        {"add": [ROUTE | {"destination": "100.125.0.0/16"}]},
        {"add": [ROUTE | {"destination": "100.125.7.0/24"}]},
    ]:
        refused = await globex.call("PUT", path, {"routetable": {"routes": change}})
        assert (refused.status_code, refused.json()["code"]) == (409, "VPC.2612"), change
    forged = await globex.call("PUT", path, {"routetable": {"routes": {"add": [ROUTE | {"type": "egw"}]}}})
    assert (forged.status_code, forged.json()["code"]) == (400, "VPC.2600")
    assert await globex.get(path) == before

    wider = await globex.call("PUT", path, {"routetable": {"routes": {"add": [ROUTE | {"destination": "0.0.0.0/0"}]}}})
    assert wider.status_code == 409, "0.0.0.0/0 contains 198.19.128.0/17"
    allowed = ROUTE | {"destination": "100.64.0.0/10"}
    wide = await globex.call("PUT", path, {"routetable": {"routes": {"add": [allowed]}}})
    assert wide.status_code == 200, wide.text


async def test_only_subnets_with_the_chosen_table_leave_each_endpoint_with_its_own_source(
    world: World, hooli: Tenant, globex: Tenant, initech: Tenant
):
    service = await published(world, hooli)
    table = await new_table(world, globex, "leaving", "globex-vpc/tiny")

    await accepted(world, globex, service, routetables=[table])
    await accepted(world, initech, service, vpc="initech-vpc")

    assert leaves(world, "globex-vpc/apps", "10.0.0.10") is None
    sources = {leaves(world, "globex-vpc/tiny", "10.0.9.2"), leaves(world, "initech-vpc/apps", "10.0.0.10")}
    assert len(sources) == 2
    assert None not in sources


async def test_a_change_of_its_tables_is_carried_when_the_answer_comes(world: World, hooli: Tenant, globex: Tenant):
    service = await published(world, hooli)
    default, table = default_table(world), await new_table(world, globex, "leaving", "globex-vpc/tiny")
    endpoint = await accepted(world, globex, service)
    assert leaves(world, "globex-vpc/apps", "10.0.0.10") is not None

    assert await change_tables(globex, endpoint, table, table) == {"routetables": [table]}

    assert leaves(world, "globex-vpc/apps", "10.0.0.10") is None
    assert leaves(world, "globex-vpc/tiny", "10.0.9.2") is not None
    assert await endpoint_routes(globex, default) == {}
    assert await endpoint_routes(globex, table) == {"100.125.0.0/16": endpoint["id"]}
    shown = await globex.get(f"{ENDPOINTS}/{endpoint['id']}")
    assert (shown["status"], shown["routetables"], shown["error"]) == ("accepted", [table], [])

    await change_tables(globex, endpoint, default, table)
    assert leaves(world, "globex-vpc/apps", "10.0.0.10") is not None
    assert leaves(world, "globex-vpc/tiny", "10.0.9.2") is not None


async def test_the_same_tables_again_change_nothing(world: World, hooli: Tenant, globex: Tenant):
    endpoint = await accepted(world, globex, await published(world, hooli))
    before = await generation(world, endpoint)

    await change_tables(globex, endpoint, default_table(world))

    assert await generation(world, endpoint) == before
    assert await globex.get(f"{ENDPOINTS}/{endpoint['id']}") == endpoint


async def test_a_subnet_that_gets_another_table_is_let_in_or_cut_off_when_the_answer_comes(
    world: World, hooli: Tenant, globex: Tenant
):
    table = await new_table(world, globex, "leaving")
    endpoint = await accepted(world, globex, await published(world, hooli), routetables=[table])
    assert leaves(world, "globex-vpc/apps", "10.0.0.10") is None
    assert leaves(world, "globex-vpc/tiny", "10.0.9.2") is None

    await associate(world, globex, table, "globex-vpc/tiny")
    assert leaves(world, "globex-vpc/tiny", "10.0.9.2") is not None
    assert leaves(world, "globex-vpc/apps", "10.0.0.10") is None

    tiny = world.ids["subnets"]["globex-vpc/tiny"]["subnet_id"]
    back = {"routetable": {"subnets": {"disassociate": [tiny]}}}
    await globex.post(f"routetables/{table}/action", back)
    assert leaves(world, "globex-vpc/tiny", "10.0.9.2") is None
    shown = await globex.get(f"{ENDPOINTS}/{endpoint['id']}")
    assert (shown["status"], shown["error"]) == ("accepted", [])


async def test_an_association_that_concerns_no_gateway_leaves_it_alone(world: World, hooli: Tenant, globex: Tenant):
    endpoint = await accepted(world, globex, await published(world, hooli))
    before = await generation(world, endpoint)

    await associate(world, globex, default_table(world), "globex-vpc/tiny")

    assert await generation(world, endpoint) == before


async def test_a_new_subnet_leaves_by_the_endpoints_of_its_table(world: World, hooli: Tenant, globex: Tenant):
    endpoint = await accepted(world, globex, await published(world, hooli))
    before = await generation(world, endpoint)
    wish = {"name": "late", "cidr": "10.0.20.0/24", "vpc_id": world.ids["vpcs"]["globex-vpc"]["vpc_id"]}

    made = (await globex.post("subnets", {"subnet": wish | {"gateway_ip": "10.0.20.1"}}))["subnet"]
    for _ in range(500):
        packet = Packet(SubnetId(made["id"]), IPv4Address("10.0.20.7"), 40000, STORE, 80)
        if world.driver.network.send(packet) is not None:
            break
        await asyncio.sleep(0.002)
    else:
        raise AssertionError("nobody leaves from the new subnet")
    assert await generation(world, endpoint) == before + 1

    gone = await globex.call("DELETE", f"vpcs/{wish['vpc_id']}/subnets/{made['id']}")
    assert gone.status_code == 204, gone.text
    assert world.driver.network.send(packet) is None
    assert (await globex.get(f"{ENDPOINTS}/{endpoint['id']}"))["status"] == "accepted"


async def test_an_endpoint_that_no_subnet_can_use_is_accepted_all_the_same(world: World, hooli: Tenant, globex: Tenant):
    table = await new_table(world, globex, "nobody")

    endpoint = await accepted(world, globex, await published(world, hooli), routetables=[table])

    assert world.driver.observe([endpoint["id"]]) == {}
    assert await endpoint_routes(globex, table) == {"100.125.0.0/16": endpoint["id"]}


async def test_two_endpoints_share_a_vpc_by_different_tables_and_a_taken_table_is_refused(
    world: World, hooli: Tenant, globex: Tenant
):
    service = await published(world, hooli)
    default, table = default_table(world), await new_table(world, globex, "leaving", "globex-vpc/tiny")
    one = await accepted(world, globex, service)
    other = await accepted(world, globex, service, routetables=[table])

    again = await globex.refused("PUT", f"{ENDPOINTS}/{other['id']}/routetables", {"routetables": [table, default]})
    assert again == (400, "EndPoint.2039")
    assert (await globex.get(f"{ENDPOINTS}/{other['id']}"))["routetables"] == [table]

    assert leaves(world, "globex-vpc/apps", "10.0.0.10") != leaves(world, "globex-vpc/tiny", "10.0.9.2")
    await globex.call("DELETE", f"{ENDPOINTS}/{one['id']}")
    assert leaves(world, "globex-vpc/apps", "10.0.0.10") is None
    assert leaves(world, "globex-vpc/tiny", "10.0.9.2") is not None
    await change_tables(globex, other, table, default)


async def test_gateway_services_with_other_networks_share_a_table(world: World, hooli: Tenant, globex: Tenant):
    one = await published(world, hooli, cidrs=["100.125.0.0/24"])
    other = await published(world, hooli, cidrs=["100.125.1.0/24"], service_name="com.example.lab-1.sfs")

    first, second = await accepted(world, globex, one), await accepted(world, globex, other)

    assert await endpoint_routes(globex, default_table(world)) == {
        "100.125.0.0/24": first["id"],
        "100.125.1.0/24": second["id"],
    }


async def test_a_table_or_vpc_of_an_endpoint_stays_until_the_endpoint_is_gone(
    world: World, hooli: Tenant, globex: Tenant
):
    service = await published(world, hooli)
    vpc = (await globex.post("vpcs", {"vpc": {"name": "alone", "cidr": "10.9.0.0/16"}}))["vpc"]["id"]
    wish = {"routetable": {"name": "x", "vpc_id": vpc}}
    table = (await globex.post("routetables", wish))["routetable"]["id"]
    endpoint = await globex.post(ENDPOINTS, {"endpoint_service_id": service, "vpc_id": vpc, "routetables": [table]})
    await globex.until(f"{ENDPOINTS}/{endpoint['id']}", "accepted")

    def code(answer: Any) -> tuple[int, str]:
        return answer.status_code, answer.json()["code"]

    assert code(await globex.call("DELETE", f"routetables/{table}")) == (409, "VPC.2609")
    grown = await globex.call("PUT", f"vpcs/{vpc}", {"vpc": {"cidr": "100.64.0.0/10"}})
    assert code(grown) == (409, "VPC.2613")

    default = next(
        item["id"] for item in (await globex.get("routetables", vpc_id=vpc))["routetables"] if item["default"]
    )
    await change_tables(globex, endpoint, default)
    assert (await globex.call("DELETE", f"routetables/{table}")).status_code == 204
    assert code(await globex.call("DELETE", f"vpcs/{vpc}")) == (409, "VPC.2614")
    await globex.call("DELETE", f"{ENDPOINTS}/{endpoint['id']}")
    assert (await globex.call("DELETE", f"vpcs/{vpc}")).status_code == 204


async def test_nothing_of_it_remains_after_a_rejection_and_all_of_it_comes_back_after_an_acceptance(
    world: World, hooli: Tenant, globex: Tenant
):
    service = await published(world, hooli)
    endpoint = await accepted(world, globex, service)
    path = f"vpc-endpoint-services/{service}/connections/action"

    await hooli.post(path, {"action": "reject", "endpoints": [endpoint["id"]]})
    assert leaves(world, "globex-vpc/apps", "10.0.0.10") is None
    assert await endpoint_routes(globex, default_table(world)) == {}
    # Its place in the table is kept: an acceptance must be possible at any time.
    assert await globex.refused("POST", ENDPOINTS, body(world, service)) == (400, "EndPoint.2039")
    hidden = {"routetable": {"routes": {"add": [ROUTE | {"destination": "100.125.7.0/24"}]}}}
    refused = await globex.call("PUT", f"routetables/{default_table(world)}", hidden)
    assert (refused.status_code, refused.json()["code"]) == (409, "VPC.2612")

    await hooli.post(path, {"action": "receive", "endpoints": [endpoint["id"]]})
    await globex.until(f"{ENDPOINTS}/{endpoint['id']}", "accepted")
    assert leaves(world, "globex-vpc/apps", "10.0.0.10") is not None
    assert await endpoint_routes(globex, default_table(world)) == {"100.125.0.0/16": endpoint["id"]}


async def test_a_cut_that_the_data_plane_does_not_confirm_is_shown(world: World, hooli: Tenant, globex: Tenant):
    service = await published(world, hooli)
    table = await new_table(world, globex, "leaving", "globex-vpc/tiny")
    endpoint = await accepted(world, globex, service)
    world.driver.fail_on(EndpointId(endpoint["id"]), DriverError("busy"))

    await change_tables(globex, endpoint, table)

    shown = await globex.get(f"{ENDPOINTS}/{endpoint['id']}")
    assert [error["error_code"] for error in shown["error"]] == ["EndPoint.0013"]
    world.driver.fail_on(EndpointId(endpoint["id"]), None)
    for _ in range(1000):
        if not (await globex.get(f"{ENDPOINTS}/{endpoint['id']}"))["error"]:
            break
        await asyncio.sleep(0.005)
    assert leaves(world, "globex-vpc/apps", "10.0.0.10") is None


async def test_a_whitelist_cannot_be_switched_on_and_one_that_changes_nothing_is_taken(
    world: World, hooli: Tenant, globex: Tenant
):
    endpoint = await accepted(world, globex, await published(world, hooli))
    path = f"{ENDPOINTS}/{endpoint['id']}"

    assert await globex.refused("PUT", path, {"enable_whitelist": True}) == (400, "EndPoint.2044")
    assert await globex.refused("PUT", path, {"whitelist": ["10.0.0.1"]}) == (400, "EndPoint.2044")
    unchanged = await globex.call("PUT", path, {"whitelist": [], "enable_whitelist": False})
    assert unchanged.status_code == 200


async def test_a_policy_is_statements_where_the_service_takes_policies(world: World, hooli: Tenant, globex: Tenant):
    service = await published(world, hooli, enable_policy=True)
    endpoint = await accepted(world, globex, service, policy_statement=[STATEMENT])
    path = f"{ENDPOINTS}/{endpoint['id']}"
    assert endpoint["policy_statement"] == [STATEMENT]

    denied = STATEMENT | {"Effect": "Deny"}
    answer = await globex.call("PUT", f"{path}/policy", {"policy_statement": [denied, STATEMENT]})
    assert answer.json()["policy_statement"] == [denied, STATEMENT]
    answer = await globex.call("PUT", f"{path}/policy", {"policy_document": {"Version": "5.0"}})
    assert answer.json()["policy_document"] == {"Version": "5.0"}
    assert "policy_statement" not in answer.json()
    for wrong in [
        {"policy_statement": []},
        {"policy_statement": [STATEMENT] * 11},
        {"policy_statement": [{"Effect": "Maybe"}]},
        {"policy_statement": [STATEMENT | {"Action": []}]},
        {"policy_statement": [STATEMENT | {"Resource": "x"}]},
        {"policy_statement": [STATEMENT], "policy_document": {"a": 1}},
        {},
    ]:
        assert await globex.refused("PUT", f"{path}/policy", wrong) == (400, "EndPoint.2048"), wrong
    assert (await globex.call("DELETE", f"{path}/policy")).status_code == 200
    assert not {"policy_statement", "policy_document"} & (await globex.get(path)).keys()


async def test_a_policy_is_refused_where_the_service_takes_none(world: World, hooli: Tenant, globex: Tenant):
    wish = body(world, await published(world, hooli), policy_statement=[STATEMENT])

    assert await globex.refused("POST", ENDPOINTS, wish) == (400, "EndPoint.2048")


async def test_a_vpc_is_not_led_to_networks_that_are_reached_through_itself(
    world: World, hooli: Tenant, globex: Tenant
):
    subnet = world.ids["subnets"]["globex-vpc/apps"]["subnet_id"]
    service = await published(world, hooli, cidrs=["172.16.0.0/12"], subnet_id=subnet)

    assert await globex.refused("POST", ENDPOINTS, body(world, service)) == (400, "EndPoint.3009")


async def test_ids_in_capitals_are_ids(world: World, hooli: Tenant, globex: Tenant):
    service = await published(world, hooli)

    endpoint = await accepted(world, globex, service, routetables=[default_table(world).upper()])

    assert endpoint["routetables"] == [default_table(world)]
