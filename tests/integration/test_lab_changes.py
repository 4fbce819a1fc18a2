"""A lab file that changes between two starts: nothing in use vanishes, and what comes back works as before."""

import asyncio
from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from landbridge import lab as labs
from landbridge.control.protocols import WriteTransaction
from landbridge.directory.builtin import replace_contents
from landbridge.domain.errors import OperatorError
from tests.integration.conftest import LAB, Tenant, World

DESCRIBED = labs.read_lab(LAB)


def same_lab(tx: WriteTransaction) -> None:
    replace_contents(tx, labs.vpcs(DESCRIBED), labs.subnets(DESCRIBED), labs.nics(DESCRIBED))


async def test_a_service_of_every_kind_survives_a_restart_with_the_same_lab(world: World, acme: Tenant):
    vip = world.ids["vips"]["web-2/10.0.0.30"]["port_id"]
    for number, server_type in enumerate(["VM", "LB", "VIP"]):
        ports = [{"client_port": 80, "server_port": 80 + number}]
        body = world.service_body(host="web-2", server_type=server_type, vip_port_id=vip, ports=ports)
        made = await acme.post("vpc-endpoint-services", body)
        assert ("vip_port_id" in made) is (server_type == "VIP")

    await world.store.write(same_lab)


async def test_a_backend_in_use_cannot_leave_the_lab(world: World, acme: Tenant):
    service = await world.available_service(acme)
    used = world.ids["hosts"]["web-1"]["port_id"]
    nics = [nic for nic in labs.nics(DESCRIBED) if nic.id != used]

    with pytest.raises(OperatorError, match=service["service_name"]):
        await world.store.write(lambda tx: replace_contents(tx, labs.vpcs(DESCRIBED), labs.subnets(DESCRIBED), nics))
    await acme.call("DELETE", f"vpc-endpoint-services/{service['id']}")
    await asyncio.sleep(0.2)
    await world.store.write(lambda tx: replace_contents(tx, labs.vpcs(DESCRIBED), labs.subnets(DESCRIBED), nics))


async def test_neither_a_gateway_nor_a_host_may_take_an_endpoints_address(world: World, acme: Tenant, globex: Tenant):
    service = await world.available_service(acme)
    endpoint = await globex.post("vpc-endpoints", world.endpoint_body(service["id"], port_ip="10.0.0.50"))
    subnet_id = endpoint["subnet_id"]
    subnets = [
        replace(subnet, gateway=IPv4Address("10.0.0.50")) if subnet.id == subnet_id else subnet
        for subnet in labs.subnets(DESCRIBED)
    ]
    nics = [
        replace(nic, address=IPv4Address("10.0.0.50")) if nic.name == "client-1" else nic
        for nic in labs.nics(DESCRIBED)
    ]

    with pytest.raises(OperatorError, match=endpoint["id"]):
        await world.store.write(lambda tx: replace_contents(tx, labs.vpcs(DESCRIBED), subnets, labs.nics(DESCRIBED)))
    with pytest.raises(OperatorError, match="client-1 cannot have"):
        await world.store.write(lambda tx: replace_contents(tx, labs.vpcs(DESCRIBED), labs.subnets(DESCRIBED), nics))
    await world.store.write(same_lab)


async def test_a_subnet_that_leaves_and_comes_back_has_all_its_addresses(world: World, acme: Tenant, globex: Tenant):
    service = await world.available_service(acme)
    body = world.endpoint_body(service["id"], subnet="globex-vpc/tiny")
    for _ in range(4):
        endpoint = await globex.post("vpc-endpoints", body)
        await globex.call("DELETE", f"vpc-endpoints/{endpoint['id']}")
    tiny = body["subnet_id"]
    subnets = [subnet for subnet in labs.subnets(DESCRIBED) if subnet.id != tiny]
    nics = [nic for nic in labs.nics(DESCRIBED) if nic.subnet_id != tiny]

    await world.store.write(lambda tx: replace_contents(tx, labs.vpcs(DESCRIBED), subnets, nics))
    assert await globex.refused("POST", "vpc-endpoints", body) == (404, "EndPoint.4008")
    await world.store.write(same_lab)

    for _ in range(4):
        await globex.post("vpc-endpoints", body)
