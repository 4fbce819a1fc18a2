"""The VPC API over ASGI: VPCs, subnets, ports and route tables, and what services and endpoints forbid."""

import asyncio
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import pytest

from landbridge import lab as labs
from landbridge.control.network_protocols import Unwired
from landbridge.control.network_rules import check_room
from landbridge.control.networks import NewSubnet, NewVpc
from landbridge.control.nics import NewNic, Nics
from landbridge.control.settlements import Wakeups
from landbridge.dataplane.fabric import Host
from landbridge.directory.lab_contents import replace_contents
from landbridge.domain.errors import OperatorError
from landbridge.domain.ids import DomainId, ProjectId, SubnetId, VpcId
from landbridge.domain.network_errors import TooManyNetworks, WiringFailed
from landbridge.domain.resources import Caller, Nic, Subnet
from landbridge.store.sqlite import SqliteStore
from tests.integration.conftest import LAB, Tenant, World, running

DESCRIBED = labs.read_lab(LAB)


async def make_vpc(tenant: Tenant, **fields: Any) -> Any:
    return (await tenant.post("vpcs", {"vpc": {"name": "shop", "cidr": "10.0.0.0/16"} | fields}))["vpc"]


async def make_subnet(tenant: Tenant, vpc_id: str, **fields: Any) -> Any:
    body = {"name": "web", "cidr": "10.0.0.0/24", "gateway_ip": "10.0.0.1", "vpc_id": vpc_id} | fields
    return (await tenant.post("subnets", {"subnet": body}))["subnet"]


async def make_port(tenant: Tenant, subnet_id: str, **fields: Any) -> Any:
    return (await tenant.post("ports", {"port": {"network_id": subnet_id} | fields}))["port"]


async def make_network(tenant: Tenant) -> tuple[Any, Any]:
    vpc = await make_vpc(tenant)
    return vpc, await make_subnet(tenant, vpc["id"])


async def refusal(tenant: Tenant, method: str, path: str, body: Any = None) -> tuple[int, str, str]:
    """Status, code and message of something that must be refused, in every shape that clients read."""
    answer = await tenant.call(method, path, body)
    found = answer.json()
    assert found["error"] == {"code": found["code"], "message": found["message"]}
    assert (found["error_code"], found["error_msg"]) == (found["code"], found["message"])
    return answer.status_code, found["code"], found["message"]


async def test_a_vpc_is_made_listed_shown_changed_and_deleted(acme: Tenant):
    vpc = await make_vpc(acme, description="a shop")

    assert (vpc["status"], vpc["cidr"], vpc["tenant_id"]) == ("OK", "10.0.0.0/16", acme.project_id)
    assert await acme.get(f"vpcs/{vpc['id']}") == {"vpc": vpc}
    assert vpc in (await acme.get("vpcs"))["vpcs"]
    assert (await acme.get("vpcs", id=vpc["id"]))["vpcs"] == [vpc]
    answer = await acme.call("PUT", f"vpcs/{vpc['id']}", {"vpc": {"name": "store"}})
    assert (answer.json()["vpc"]["name"], answer.json()["vpc"]["description"]) == ("store", "a shop")
    assert (await acme.call("PUT", f"vpcs/{vpc['id']}", {"vpc": {}})).status_code == 200
    answer = await acme.call("DELETE", f"vpcs/{vpc['id']}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert (await refusal(acme, "GET", f"vpcs/{vpc['id']}"))[:2] == (404, "VPC.0003")


async def test_a_subnet_is_made_listed_shown_changed_and_deleted(acme: Tenant):
    vpc = await make_vpc(acme)
    body = {"name": "web", "cidr": "10.0.7.0/24", "vpc_id": vpc["id"], "primary_dns": "10.9.0.1", "dhcp_enable": False}
    subnet = (await acme.post("subnets", {"subnet": body}))["subnet"]
    path = f"vpcs/{vpc['id']}/subnets/{subnet['id']}"

    assert (subnet["status"], subnet["gateway_ip"], subnet["dhcp_enable"]) == ("ACTIVE", "10.0.7.1", False)
    assert (subnet["primary_dns"], subnet["secondary_dns"], subnet["dnsList"]) == ("10.9.0.1", "", ["10.9.0.1"])
    assert subnet["neutron_network_id"] == subnet["neutron_subnet_id"] == subnet["id"]
    assert await acme.get(f"subnets/{subnet['id']}") == {"subnet": subnet}
    assert (await acme.get("subnets", vpc_id=vpc["id"]))["subnets"] == [subnet]
    changed = await acme.call("PUT", path, {"subnet": {"name": "api", "dnsList": ["10.9.0.2", "10.9.0.3"]}})
    assert changed.json() == {"subnet": {"id": subnet["id"], "status": "ACTIVE"}}
    shown = (await acme.get(f"subnets/{subnet['id']}"))["subnet"]
    assert (shown["name"], shown["primary_dns"], shown["dhcp_enable"]) == ("api", "10.9.0.2", False)
    assert (await acme.call("DELETE", path)).status_code == 204
    assert (await refusal(acme, "GET", f"subnets/{subnet['id']}"))[:2] == (404, "VPC.0202")


async def test_a_port_is_made_listed_shown_changed_and_deleted(acme: Tenant):
    _, subnet = await make_network(acme)
    port = await make_port(acme, subnet["id"], name="web-9", fixed_ips=[{"ip_address": "10.0.0.9"}])
    path = f"ports/{port['id']}"

    assert port["fixed_ips"] == [{"ip_address": "10.0.0.9", "subnet_id": subnet["id"]}]
    assert (port["status"], port["device_owner"], port["network_id"]) == ("ACTIVE", "", subnet["id"])
    assert await acme.get(path) == {"port": port}
    for filters in (
        {"id": port["id"]},
        {"name": "web-9", "network_id": subnet["id"]},
        {"mac_address": port["mac_address"]},
        {"fixed_ips": "ip_address=10.0.0.9", "network_id": subnet["id"], "status": "ACTIVE"},
    ):
        assert (await acme.get("ports", **filters))["ports"] == [port], filters
    assert (await acme.get("ports", name="web"))["ports"] == []
    pairs = [{"ip_address": "10.0.0.30", "mac_address": ""}, {"ip_address": "10.0.3.0/24", "mac_address": ""}]
    changed = await acme.call("PUT", path, {"port": {"name": "web", "allowed_address_pairs": pairs}})
    assert (changed.json()["port"]["name"], changed.json()["port"]["allowed_address_pairs"]) == ("web", pairs)
    assert (await acme.call("DELETE", path)).status_code == 204
    assert (await refusal(acme, "GET", path))[:2] == (404, "VPC.0704")


async def test_lists_go_on_behind_the_marker(acme: Tenant):
    vpc = await make_vpc(acme)
    made = {(await make_subnet(acme, vpc["id"], cidr=f"10.0.{n}.0/24", gateway_ip=None))["id"] for n in range(5)}

    seen: list[str] = []
    marker = ""
    while page := (await acme.get("subnets", vpc_id=vpc["id"], limit=2, marker=marker))["subnets"]:
        assert len(page) <= 2
        seen += [subnet["id"] for subnet in page]
        marker = seen[-1]

    assert (seen, set(seen)) == (sorted(seen), made)
    assert (await acme.get("subnets", limit=0))["subnets"] == []
    assert (await refusal(acme, "GET", "vpcs?limit=-1"))[0] == 400
    assert (await refusal(acme, "GET", "vpcs?marker=a&marker=b"))[0] == 400


@pytest.mark.parametrize(
    ("vpc", "code"),
    [
        pytest.param({"name": "a b"}, "VPC.0101", id="name with a space"),
        pytest.param({"name": "x" * 65}, "VPC.0101", id="long name"),
        pytest.param({"description": "<b>"}, "VPC.0101", id="description with <"),
        pytest.param({"cidr": "10.0.0.1/16"}, "VPC.0101", id="host bits"),
        pytest.param({"cidr": "10.0.0.0"}, "VPC.0101", id="no prefix"),
        pytest.param({"cidr": "10.0.0.0/30"}, "VPC.0101", id="too narrow"),
        pytest.param({"cidr": "224.0.0.0/8"}, "VPC.0101", id="multicast"),
        pytest.param({"cidr": 10}, "VPC.0101", id="cidr that is no text"),
    ],
)
async def test_a_bad_vpc_is_refused(acme: Tenant, vpc: dict[str, Any], code: str):
    body = {"vpc": {"name": "shop", "cidr": "10.0.0.0/16"} | vpc}

    assert (await refusal(acme, "POST", "vpcs", body))[:2] == (400, code)


@pytest.mark.parametrize(
    ("subnet", "status", "code"),
    [
        pytest.param({"name": ""}, 400, "VPC.0201", id="no name"),
        pytest.param({"cidr": "10.1.0.0/24"}, 400, "VPC.0203", id="outside the VPC"),
        pytest.param({"cidr": "10.0.0.0/16"}, 400, "VPC.0204", id="over another subnet"),
        pytest.param({"cidr": "10.0.5.0/30"}, 400, "VPC.0212", id="too narrow"),
        pytest.param({"cidr": "somewhere"}, 400, "VPC.0212", id="no range"),
        pytest.param({"gateway_ip": "10.0.9.1"}, 400, "VPC.0201", id="gateway elsewhere"),
        pytest.param({"gateway_ip": "10.0.5.255"}, 400, "VPC.0201", id="gateway at the broadcast address"),
        pytest.param({"dnsList": ["dns"]}, 400, "VPC.0201", id="no DNS address"),
        pytest.param({"dnsList": [f"10.9.0.{n}" for n in range(6)]}, 400, "VPC.0201", id="six DNS servers"),
        pytest.param({"vpc_id": "a0000000-0000-4000-8000-000000000009"}, 404, "VPC.0003", id="unknown VPC"),
        pytest.param({"dhcp_enable": "true"}, 400, "VPC.0201", id="text for a boolean"),
    ],
)
async def test_a_bad_subnet_is_refused(acme: Tenant, subnet: dict[str, Any], status: int, code: str):
    vpc, _ = await make_network(acme)
    body = {"subnet": {"name": "api", "cidr": "10.0.5.0/24", "vpc_id": vpc["id"]} | subnet}

    assert (await refusal(acme, "POST", "subnets", body))[:2] == (status, code)
    assert len((await acme.get("subnets", vpc_id=vpc["id"]))["subnets"]) == 1


@pytest.mark.parametrize(
    ("port", "status", "code"),
    [
        pytest.param({"fixed_ips": [{"ip_address": "10.0.0.1"}]}, 409, "VPC.0701", id="the gateway's address"),
        pytest.param({"fixed_ips": [{"ip_address": "10.0.0.255"}]}, 400, "VPC.0705", id="the broadcast address"),
        pytest.param({"fixed_ips": [{"ip_address": "10.0.1.5"}]}, 400, "VPC.0705", id="outside"),
        pytest.param({"fixed_ips": [{"ip_address": "ten"}]}, 400, "VPC.2500", id="no address"),
        pytest.param({"fixed_ips": [{}, {}]}, 400, "VPC.2500", id="two addresses"),
        pytest.param({"fixed_ips": [{"subnet_id": "other"}]}, 400, "VPC.2500", id="another subnet"),
        pytest.param({"device_owner": "compute:nova"}, 400, "VPC.2500", id="a machine's port"),
        pytest.param({"name": "a\u0007"}, 400, "VPC.2500", id="control character"),
        pytest.param({"allowed_address_pairs": [{"ip_address": "x"}]}, 400, "VPC.2500", id="bad pair"),
        pytest.param(
            {"allowed_address_pairs": [{"ip_address": "10.0.0.9", "mac_address": "02:00:00:00:00:0\n"}]},
            400,
            "VPC.2500",
            id="bad MAC",
        ),
        pytest.param({"network_id": "a0000000-0000-4000-8000-000000000009"}, 404, "VPC.0202", id="unknown subnet"),
    ],
)
async def test_a_bad_port_is_refused(acme: Tenant, port: dict[str, Any], status: int, code: str):
    _, subnet = await make_network(acme)

    refused = await refusal(acme, "POST", "ports", {"port": {"network_id": subnet["id"]} | port})

    assert refused[:2] == (status, code)
    assert (await acme.get("ports", network_id=subnet["id"]))["ports"] == []


async def test_an_address_is_a_ports_or_an_endpoints_never_both(world: World, acme: Tenant, globex: Tenant):
    service = await world.available_service(acme)
    vpc, subnet = await make_network(globex)
    port = await make_port(globex, subnet["id"], fixed_ips=[{"ip_address": "10.0.0.50"}])
    body = world.endpoint_body(service["id"]) | {"vpc_id": vpc["id"], "subnet_id": subnet["id"]}

    assert await globex.refused("POST", "vpc-endpoints", body | {"port_ip": "10.0.0.50"}) == (400, "EndPoint.2042")
    endpoint = await globex.post("vpc-endpoints", body | {"port_ip": "10.0.0.51"})
    wish = {"port": {"network_id": subnet["id"], "fixed_ips": [{"ip_address": "10.0.0.51"}]}}
    assert (await refusal(globex, "POST", "ports", wish))[:2] == (409, "VPC.0701")
    assert (await globex.call("DELETE", f"ports/{port['id']}")).status_code == 204
    again = await make_port(globex, subnet["id"], fixed_ips=[{"ip_address": "10.0.0.50"}])
    assert again["id"] != port["id"]
    assert endpoint["id"]


async def test_a_full_subnet_has_no_address_for_a_port(acme: Tenant):
    vpc = await make_vpc(acme)
    subnet = await make_subnet(acme, vpc["id"], cidr="10.0.0.0/29")

    ports = [await make_port(acme, subnet["id"]) for _ in range(5)]

    assert len({port["fixed_ips"][0]["ip_address"] for port in ports}) == 5
    assert (await refusal(acme, "POST", "ports", {"port": {"network_id": subnet["id"]}}))[:2] == (409, "VPC.0703")


async def test_what_is_in_use_cannot_be_deleted_and_the_message_names_the_users(
    world: World, acme: Tenant, globex: Tenant
):
    vpc, subnet = await make_network(acme)
    port = await make_port(acme, subnet["id"], name="backend")
    subnet_path = f"vpcs/{vpc['id']}/subnets/{subnet['id']}"
    service = await world.available_service(acme, port_id=port["id"], vpc_id=vpc["id"])

    refused = await refusal(acme, "DELETE", f"vpcs/{vpc['id']}")
    assert (refused[:2], subnet["id"] in refused[2]) == ((409, "VPC.0104"), True)
    refused = await refusal(acme, "DELETE", subnet_path)
    assert (refused[:2], port["id"] in refused[2]) == ((409, "VPC.0208"), True)
    refused = await refusal(acme, "DELETE", f"ports/{port['id']}")
    assert (refused[:2], service["id"] in refused[2]) == ((409, "VPC.0707"), True)
    assert (await acme.call("DELETE", f"vpc-endpoint-services/{service['id']}")).status_code == 204
    await until_gone(acme, f"vpc-endpoint-services/{service['id']}")
    for path in (f"ports/{port['id']}", subnet_path, f"vpcs/{vpc['id']}"):
        assert (await acme.call("DELETE", path)).status_code == 204


async def test_a_subnet_with_an_endpoint_cannot_be_deleted(world: World, acme: Tenant, globex: Tenant):
    service = await world.available_service(acme)
    vpc, subnet = await make_network(globex)
    body = world.endpoint_body(service["id"]) | {"vpc_id": vpc["id"], "subnet_id": subnet["id"]}
    endpoint = await globex.post("vpc-endpoints", body)

    refused = await refusal(globex, "DELETE", f"vpcs/{vpc['id']}/subnets/{subnet['id']}")

    assert (refused[:2], endpoint["id"] in refused[2]) == ((409, "VPC.0209"), True)


async def until_gone(tenant: Tenant, path: str) -> None:
    for _ in range(500):
        if (await tenant.call("GET", path)).status_code == 404:
            return
        await asyncio.sleep(0.002)
    raise AssertionError(f"{path} is still there")


async def test_nothing_of_another_project_is_seen_changed_or_used(acme: Tenant, globex: Tenant):
    vpc, subnet = await make_network(acme)
    port = await make_port(acme, subnet["id"])
    table = (await acme.get("routetables", vpc_id=vpc["id"]))["routetables"][0]
    absent = "a0000000-0000-4000-8000-000000000009"

    for kind, id_, envelope in (
        ("vpcs", vpc["id"], "vpc"),
        ("ports", port["id"], "port"),
        ("routetables", table["id"], "routetable"),
    ):
        for method, body in (("GET", None), ("PUT", {envelope: {"name": "mine"}}), ("DELETE", None)):
            foreign = await refusal(globex, method, f"{kind}/{id_}", body)
            unknown = await refusal(globex, method, f"{kind}/{absent}", body)
            assert foreign[2].replace(id_, absent) == unknown[2]
            assert (foreign[0], foreign[:2]) == (404, unknown[:2])
        assert id_ not in {thing["id"] for thing in (await globex.get(kind))[f"{envelope}s"]}
    assert (await refusal(globex, "GET", f"subnets/{subnet['id']}"))[0] == 404
    path = f"vpcs/{vpc['id']}/subnets/{subnet['id']}"
    assert (await refusal(globex, "PUT", path, {"subnet": {"name": "mine"}}))[0] == 404
    assert (await refusal(globex, "DELETE", path))[0] == 404
    assert (await refusal(globex, "POST", "ports", {"port": {"network_id": subnet["id"]}}))[0] == 404
    body = {"subnet": {"name": "x", "cidr": "10.0.9.0/24", "vpc_id": vpc["id"]}}
    assert (await refusal(globex, "POST", "subnets", body))[0] == 404


async def test_a_reader_looks_and_changes_nothing(world: World, acme: Tenant):
    reader = await world.login("acme-reader", "reader-password", "acme")
    vpc = await make_vpc(acme)

    assert (await reader.get(f"vpcs/{vpc['id']}"))["vpc"] == vpc
    assert (await refusal(reader, "DELETE", f"vpcs/{vpc['id']}"))[0] == 403
    assert (await refusal(reader, "POST", "vpcs", {"vpc": {"name": "x", "cidr": "10.0.0.0/16"}}))[0] == 403


async def test_what_the_lab_file_describes_is_shown_and_not_changed(world: World, acme: Tenant):
    vpc_id = world.ids["vpcs"]["acme-vpc"]["vpc_id"]
    subnet_id = world.ids["subnets"]["acme-vpc/web"]["subnet_id"]
    port_id = world.ids["hosts"]["web-1"]["port_id"]

    assert (await acme.get(f"ports/{port_id}"))["port"]["fixed_ips"][0]["ip_address"] == "10.0.0.20"
    assert (await acme.get(f"subnets/{subnet_id}"))["subnet"]["vpc_id"] == vpc_id
    for path, body in (
        (f"vpcs/{vpc_id}", {"vpc": {"name": "x"}}),
        (f"vpcs/{vpc_id}/subnets/{subnet_id}", {"subnet": {"name": "x"}}),
        (f"ports/{port_id}", {"port": {"name": "x"}}),
    ):
        assert (await refusal(acme, "PUT", path, body))[:2] == (409, "VPC.0004")
        assert (await refusal(acme, "DELETE", path))[:2] == (409, "VPC.0004")


async def test_a_range_that_endpoints_need_is_refused_while_the_vpc_takes_part(world: World, acme: Tenant):
    vpc = await make_vpc(acme, cidr="198.0.0.0/8")
    web = await make_subnet(acme, vpc["id"], cidr="198.1.0.0/24", gateway_ip="198.1.0.1")
    port = await make_port(acme, web["id"])
    table = (await acme.get("routetables", vpc_id=vpc["id"]))["routetables"][0]
    add = {"routetable": {"routes": {"add": [{"type": "ecs", "destination": "198.19.0.0/16", "nexthop": port["id"]}]}}}
    remove = {"routetable": {"routes": {"del": [{"destination": "198.19.0.0/16"}]}}}
    overlapping = {"subnet": {"name": "transit", "cidr": "198.19.200.0/24", "vpc_id": vpc["id"]}}
    service_body = world.service_body(port_id=port["id"], vpc_id=vpc["id"])

    # While nobody uses the VPC both are possible, and then services are not.
    subnet = (await acme.post("subnets", overlapping))["subnet"]
    assert await acme.refused("POST", "vpc-endpoint-services", service_body) == (400, "EndPoint.3009")
    await acme.call("DELETE", f"vpcs/{vpc['id']}/subnets/{subnet['id']}")
    assert (await acme.call("PUT", f"routetables/{table['id']}", add)).status_code == 200
    assert await acme.refused("POST", "vpc-endpoint-services", service_body) == (400, "EndPoint.3009")
    assert (await acme.call("PUT", f"routetables/{table['id']}", remove)).status_code == 200
    service = await acme.post("vpc-endpoint-services", service_body)

    for method, path, body in (
        ("POST", "subnets", overlapping),
        ("PUT", f"routetables/{table['id']}", add),
        ("POST", "routetables", {"routetable": {"vpc_id": vpc["id"], "routes": add["routetable"]["routes"]["add"]}}),
    ):
        refused = await refusal(acme, method, path, body)
        assert (refused[:2], service["id"] in refused[2]) == ((409, "VPC.2611"), True)


async def test_one_of_a_service_and_an_overlapping_subnet_wins_when_both_come_at_once(world: World, acme: Tenant):
    for _ in range(5):
        vpc = await make_vpc(acme, cidr="198.0.0.0/8")
        web = await make_subnet(acme, vpc["id"], cidr="198.1.0.0/24", gateway_ip=None)
        port = await make_port(acme, web["id"])
        overlapping = {"subnet": {"name": "transit", "cidr": "198.19.200.0/24", "vpc_id": vpc["id"]}}

        answers = await asyncio.gather(
            acme.call("POST", "vpc-endpoint-services", world.service_body(port_id=port["id"], vpc_id=vpc["id"])),
            acme.call("POST", "subnets", overlapping),
        )

        assert sum(answer.status_code == 200 for answer in answers) == 1


async def test_a_port_or_subnet_deleted_at_the_same_moment_is_not_used(world: World, acme: Tenant):
    for _ in range(5):
        vpc, subnet = await make_network(acme)
        port = await make_port(acme, subnet["id"])

        created, deleted = await asyncio.gather(
            acme.call("POST", "vpc-endpoint-services", world.service_body(port_id=port["id"], vpc_id=vpc["id"])),
            acme.call("DELETE", f"ports/{port['id']}"),
        )

        assert (created.status_code, deleted.status_code) in {(200, 409), (400, 204)}


async def test_route_tables_are_made_changed_associated_and_deleted(world: World, acme: Tenant):
    vpc, subnet = await make_network(acme)
    [default] = (await acme.get("routetables", vpc_id=vpc["id"]))["routetables"]
    assert (default["default"], default["subnets"]) == (True, [{"id": subnet["id"]}])
    route = {"type": "ecs", "destination": "192.168.0.0/24", "nexthop": "10.0.0.9", "description": ""}

    body = {"routetable": {"name": "custom", "vpc_id": vpc["id"], "routes": [route]}}
    table = (await acme.post("routetables", body))["routetable"]
    path = f"routetables/{table['id']}"
    assert (table["default"], table["routes"], table["subnets"]) == (False, [route], [])
    associate = {"routetable": {"subnets": {"associate": [subnet["id"]]}}}
    shown = (await acme.post(f"{path}/action", associate))["routetable"]
    assert shown["subnets"] == [{"id": subnet["id"]}]
    found = (await acme.get("routetables", subnet_id=subnet["id"]))["routetables"]
    assert [item["id"] for item in found] == [table["id"]]
    other = route | {"destination": "192.168.1.0/24"}
    changes = {"add": [other], "mod": [{"destination": "192.168.0.0/24", "nexthop": "10.0.0.8"}]}
    changed = await acme.call("PUT", path, {"routetable": {"name": "renamed", "routes": changes}})
    assert changed.json()["routetable"]["routes"] == [route | {"nexthop": "10.0.0.8"}, other]
    stored = await world.store.read(lambda tx: tx.vpc(VpcId(vpc["id"])))
    assert stored is not None
    assert stored.routes == (IPv4Network("192.168.0.0/24"), IPv4Network("192.168.1.0/24"))
    assert [item["destination"] for item in (await acme.get(f"vpcs/{vpc['id']}"))["vpc"]["routes"]] == [
        "192.168.0.0/24",
        "192.168.1.0/24",
    ]

    assert (await refusal(acme, "DELETE", path))[:2] == (409, "VPC.2609")
    assert (await refusal(acme, "DELETE", f"routetables/{default['id']}"))[:2] == (409, "VPC.2610")
    await acme.post(f"{path}/action", {"routetable": {"subnets": {"disassociate": [subnet["id"]]}}})
    assert (await acme.call("DELETE", f"vpcs/{vpc['id']}/subnets/{subnet['id']}")).status_code == 204
    refused = await refusal(acme, "DELETE", f"vpcs/{vpc['id']}")
    assert (refused[:2], table["id"] in refused[2]) == ((409, "VPC.0120"), True)
    assert (await acme.call("DELETE", path)).status_code == 204
    assert (await acme.call("DELETE", f"vpcs/{vpc['id']}")).status_code == 204
    assert (await refusal(acme, "GET", f"routetables/{default['id']}"))[:2] == (404, "VPC.2604")


@pytest.mark.parametrize(
    "routes",
    [
        pytest.param({"add": [{"type": "ecs", "destination": "10.9.0.0/24", "nexthop": "x"}] * 2}, id="twice"),
        pytest.param({"add": [{"type": "lab", "destination": "10.9.0.0/24", "nexthop": "x"}]}, id="the file's type"),
        pytest.param({"add": [{"type": "ecs", "destination": "10.9.0.1/24", "nexthop": "x"}]}, id="host bits"),
        pytest.param({"add": [{"type": "ecs", "destination": "10.9.0.0/24", "nexthop": ""}]}, id="no next hop"),
        pytest.param({"del": [{"destination": "10.9.0.0/24"}]}, id="deleting what is not there"),
    ],
)
async def test_a_bad_route_is_refused_and_changes_nothing(acme: Tenant, routes: dict[str, Any]):
    vpc = await make_vpc(acme)
    [table] = (await acme.get("routetables", vpc_id=vpc["id"]))["routetables"]

    refused = await refusal(acme, "PUT", f"routetables/{table['id']}", {"routetable": {"routes": routes}})

    assert refused[:2] == (400, "VPC.2600")
    assert (await acme.get(f"routetables/{table['id']}"))["routetable"]["routes"] == []


async def test_a_vpc_has_at_most_ten_route_tables_and_a_table_two_hundred_routes(acme: Tenant):
    vpc = await make_vpc(acme)
    body = {"routetable": {"vpc_id": vpc["id"]}}
    routes = [{"type": "ecs", "destination": f"172.16.{n}.0/24", "nexthop": "x"} for n in range(201)]
    refused = await refusal(acme, "POST", "routetables", {"routetable": {"vpc_id": vpc["id"], "routes": routes}})
    assert refused[:2] == (409, "VPC.0114")

    for _ in range(9):
        await acme.post("routetables", body)

    assert (await refusal(acme, "POST", "routetables", body))[:2] == (409, "VPC.0114")


@pytest.mark.parametrize(("there", "limit"), [(99, 100), (0, 1)])
def test_there_is_room_below_the_limit_and_none_at_it(there: int, limit: int):
    check_room(there, limit, "VPCs")
    with pytest.raises(TooManyNetworks, match=f"{limit} of {limit} VPCs"):
        check_room(limit, limit, "VPCs")


@pytest.mark.parametrize("id_", ["%00", "%ff", "%F0%9F%8C%89", "x" * 300, "..%2f", "'"])
@pytest.mark.parametrize("kind", ["vpcs", "subnets", "ports", "routetables"])
async def test_an_id_that_is_none_does_not_exist(acme: Tenant, kind: str, id_: str):
    answer = await acme.call("GET", f"{kind}/{id_}")

    assert answer.status_code in {400, 404}
    assert answer.json()["error_code"]


async def test_the_lab_files_routes_are_shown_and_stay(world: World, acme: Tenant):
    vpc_id = world.ids["vpcs"]["acme-routed"]["vpc_id"]
    [table] = (await acme.get("routetables", vpc_id=vpc_id))["routetables"]
    path = f"routetables/{table['id']}"

    assert [route["destination"] for route in (await acme.get(path))["routetable"]["routes"]] == ["198.19.0.0/16"]
    remove = {"routetable": {"routes": {"del": [{"destination": "198.19.0.0/16"}]}}}
    assert (await refusal(acme, "PUT", path, remove))[:2] == (409, "VPC.0004")
    add = {"routetable": {"routes": {"add": [{"type": "ecs", "destination": "10.9.0.0/16", "nexthop": "x"}]}}}
    assert (await acme.call("PUT", path, add)).status_code == 200
    await world.store.write(restart_with_the_same_lab)
    assert [route["destination"] for route in (await acme.get(path))["routetable"]["routes"]] == [
        "198.19.0.0/16",
        "10.9.0.0/16",
    ]


def restart_with_the_same_lab(tx: Any) -> None:
    replace_contents(tx, labs.vpcs(DESCRIBED), labs.subnets(DESCRIBED), labs.nics(DESCRIBED))


async def test_networks_made_through_the_api_survive_a_restart_of_the_lab(world: World, acme: Tenant, tmp_path: Path):
    vpc, subnet = await make_network(acme)
    beside = await make_subnet(
        acme, world.ids["vpcs"]["acme-vpc"]["vpc_id"], cidr="10.0.77.0/24", gateway_ip="10.0.77.1"
    )
    port = await make_port(acme, world.ids["subnets"]["acme-vpc/web"]["subnet_id"], name="beside-web-1")

    await world.store.write(restart_with_the_same_lab)

    async with running(tmp_path) as again:
        tenant = Tenant(again.http, acme.project_id, acme.domain_id, acme.token)
        assert (await tenant.get(f"vpcs/{vpc['id']}"))["vpc"] == vpc
        assert (await tenant.get(f"subnets/{subnet['id']}"))["subnet"] == subnet
        assert (await tenant.get(f"subnets/{beside['id']}"))["subnet"] == beside
        assert (await tenant.get(f"ports/{port['id']}"))["port"] == port


async def test_a_lab_file_that_collides_with_what_was_made_is_refused(world: World, acme: Tenant):
    vpc_id = world.ids["vpcs"]["acme-vpc"]["vpc_id"]
    web = world.ids["subnets"]["acme-vpc/web"]["subnet_id"]
    beside = await make_subnet(acme, vpc_id, cidr="10.0.77.0/24", gateway_ip=None)
    port = await make_port(acme, web, name="web-7", fixed_ips=[{"ip_address": "10.0.0.77"}])
    vpcs, subnets, nics = labs.vpcs(DESCRIBED), labs.subnets(DESCRIBED), labs.nics(DESCRIBED)
    first = next(nic for nic in nics if nic.name == "web-1")
    its_subnet = next(subnet for subnet in subnets if subnet.id == web)

    def with_subnet(**changes: Any) -> list[Subnet]:
        return [replace(subnet, **changes) if subnet.id == web else subnet for subnet in subnets]

    def with_nic(**changes: Any) -> list[Nic]:
        return [replace(nic, **changes) if nic.id == first.id else nic for nic in nics]

    overlapping = replace(its_subnet, id=SubnetId("c0000000-0000-4000-8000-00000000000c"), cidr=beside_range())
    for wish, named in (
        ((vpcs, [*subnets, overlapping], nics), beside["id"]),
        (([vpc for vpc in vpcs if vpc.id != vpc_id], subnets, nics), beside["id"]),
        ((vpcs, with_subnet(gateway=IPv4Address("10.0.0.77")), nics), port["id"]),
        ((vpcs, [subnet for subnet in subnets if subnet.id != web], nics), port["id"]),
        ((vpcs, subnets, with_nic(address=IPv4Address("10.0.0.77"))), port["id"]),
        ((vpcs, subnets, with_nic(host="web-7")), port["id"]),
    ):
        with pytest.raises(OperatorError, match=named):
            await world.store.write(lambda tx, wish=wish: replace_contents(tx, *wish))
    await world.store.write(restart_with_the_same_lab)


def beside_range() -> IPv4Network:
    return IPv4Network("10.0.77.0/25")


class BrokenWiring(Unwired):
    """A lab that cannot wire hosts; it writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.is_broken = True

    async def plug(self, subnet: Subnet, host: Host) -> None:
        self.told.append(("plug", host.name))
        if self.is_broken:
            raise WiringFailed("no")

    async def unplug(self, host: Host) -> bool:
        self.told.append(("unplug", host.name))
        return not self.is_broken


CALLER = Caller("u", "acme-admin", DomainId("d"), "acme", ProjectId("p"), "acme", frozenset({"admin"}))


async def a_subnet(world: World) -> SubnetId:
    vpc = await world.parts.api.networks.create_vpc(CALLER, NewVpc("shop", "10.0.0.0/16"))
    subnet = await world.parts.api.networks.create_subnet(CALLER, NewSubnet(vpc.vpc.id, "web", "10.0.0.0/29"))
    return subnet.id


def nics_with(store: SqliteStore, wiring: BrokenWiring, world: World) -> Nics:
    return Nics(store, world.parts.api.clock, _Ids(), Wakeups(), wiring, asyncio.Lock(), world.parts.api.region)


class _Ids:
    def __init__(self) -> None:
        self._number = 0

    def new(self) -> str:
        self._number += 1
        return f"e0000000-0000-4000-8000-{self._number:012}"


async def test_a_port_that_cannot_be_wired_is_not_made_and_its_address_stays_taken_until_it_is_certainly_gone(
    world: World,
):
    subnet_id, wiring = await a_subnet(world), BrokenWiring()
    nics = nics_with(world.store, wiring, world)

    with pytest.raises(WiringFailed):
        await nics.create(CALLER, NewNic(subnet_id, "web-1x", "10.0.0.3"))

    assert wiring.told == [("plug", "web-1x"), ("unplug", "web-1x")]
    assert await world.store.read(lambda tx: tx.nics_in(subnet_id)) == []
    wiring.is_broken = False
    with pytest.raises(Exception, match=r"10\.0\.0\.3 is in use"):
        await nics.create(CALLER, NewNic(subnet_id, "web-1x", "10.0.0.3"))
    await world.store.write(lambda tx: tx.free_addresses_of_forgotten_nics())
    assert (await nics.create(CALLER, NewNic(subnet_id, "web-1x", "10.0.0.3"))).host == "web-1x"


async def test_a_deleted_ports_address_is_kept_while_its_host_may_still_answer(world: World):
    subnet_id, wiring = await a_subnet(world), BrokenWiring()
    nics = nics_with(world.store, wiring, world)
    wiring.is_broken = False
    nic = await nics.create(CALLER, NewNic(subnet_id, "web-1x", "10.0.0.3"))
    wiring.is_broken = True

    await nics.delete(ProjectId("p"), nic.id)

    assert await world.store.read(lambda tx: tx.nic(nic.id)) is None
    wiring.is_broken = False
    with pytest.raises(Exception, match=r"10\.0\.0\.3 is in use"):
        await nics.create(CALLER, NewNic(subnet_id, "web-2x", "10.0.0.3"))


async def test_a_virtual_ip_leaves_its_host_before_it_comes_to_another(world: World):
    subnet_id, wiring = await a_subnet(world), BrokenWiring()
    wiring.is_broken = False
    nics = nics_with(world.store, wiring, world)
    vip = await nics.create(CALLER, NewNic(subnet_id, "vip", "10.0.0.5", "neutron:VIP_PORT"))
    pair = [(str(vip.address), "")]
    first = await nics.create(CALLER, NewNic(subnet_id, "first", address_pairs=pair))
    second = await nics.create(CALLER, NewNic(subnet_id, "second", address_pairs=pair))
    assert (vip.host, first.host, second.host) == (None, "first", "second")
    wiring.told.clear()

    await nics.delete(ProjectId("p"), first.id)

    assert wiring.told == [("unplug", "first"), ("plug", "second")]


async def test_two_ports_of_one_name_have_two_hosts(world: World):
    subnet_id, wiring = await a_subnet(world), BrokenWiring()
    wiring.is_broken = False
    nics = nics_with(world.store, wiring, world)

    one = await nics.create(CALLER, NewNic(subnet_id, "web 1.example"))
    other = await nics.create(CALLER, NewNic(subnet_id, "web 1.example"))
    nameless = await nics.create(CALLER, NewNic(subnet_id))

    assert (one.host, other.host) == ("web-1-example", f"web-1-example-{other.id[:8]}")
    assert nameless.host == f"port-{nameless.id[:8]}"
