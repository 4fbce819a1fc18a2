"""Operations 6 and 18: what changes in a service, when its endpoints follow, what is refused (contract 3.6, 3.18)."""

import asyncio
from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any
from uuid import uuid4

import pytest

from landbridge.dataplane.driver import DriverError
from landbridge.domain.ids import EndpointId, NicId, PoolId, ServiceId, SubnetId
from landbridge.domain.moving import FORMER_BACKENDS_LIMIT
from landbridge.domain.resources import Endpoint, EndpointService
from landbridge.drivers.memory import Packet, TcpFlag
from tests.integration.conftest import Tenant, World

SERVICES = "vpc-endpoint-services"
CLIENT = IPv4Address("10.0.0.10")
UNKNOWN = "00000000-0000-4000-8000-000000000000"


def port(client: int, server: int) -> dict[str, Any]:
    return {"client_port": client, "server_port": server, "protocol": "TCP"}


async def connected(world: World, acme: Tenant, globex: Tenant, **changes: Any) -> tuple[dict, dict]:
    """Return an available service and an accepted endpoint of it."""
    service = await world.available_service(acme, approval_enabled=False, **changes)
    endpoint = await globex.post("vpc-endpoints", world.endpoint_body(service["id"]))
    return service, await globex.until(f"vpc-endpoints/{endpoint['id']}", "accepted")


async def modify(tenant: Tenant, service: dict, body: dict) -> dict:
    answer = await tenant.call("PUT", f"{SERVICES}/{service['id']}", body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def service_row(world: World, service: dict) -> EndpointService:
    return await world.store.read(lambda tx: tx.service(ServiceId(service["id"])))


async def endpoint_row(world: World, endpoint: dict) -> Endpoint:
    return await world.store.read(lambda tx: tx.endpoint(EndpointId(endpoint["id"])))


async def revision(world: World) -> int:
    return (await world.store.read(lambda tx: tx.changes_since(0))).revision


def reached(
    world: World, endpoint: dict, client_port: int, flags: TcpFlag = TcpFlag.SYN, source_port: int = 50000
) -> tuple[str, int] | None:
    """Return which backend and port a client's packet gets to."""
    packet = Packet(
        SubnetId(endpoint["subnet_id"]), CLIENT, source_port, IPv4Address(endpoint["ip"]), client_port, flags=flags
    )
    delivery = world.driver.network.send(packet)
    return None if delivery is None else (str(delivery.packet.destination), delivery.packet.destination_port)


# Ports


async def test_new_ports_replace_the_old_ones_and_apply_to_connected_endpoints(
    world: World, acme: Tenant, globex: Tenant
):
    service, endpoint = await connected(world, acme, globex)
    assert reached(world, endpoint, 8080) == ("10.0.0.20", 80)

    answer = await modify(acme, service, {"ports": [port(9090, 90), port(9091, 91)]})

    assert (answer["ports"], answer["status"]) == ([port(9090, 90), port(9091, 91)], "available")
    assert "error" not in answer
    assert reached(world, endpoint, 8080) is None
    assert reached(world, endpoint, 9090) == ("10.0.0.20", 90)
    shown = await acme.get(f"{SERVICES}/{service['id']}")
    assert answer == {name: value for name, value in shown.items() if name != "error"}
    assert (await globex.get(f"vpc-endpoints/{endpoint['id']}"))["status"] == "accepted"


async def test_connections_on_unchanged_ports_go_on_and_those_on_changed_ones_end(
    world: World, acme: Tenant, globex: Tenant
):
    service, endpoint = await connected(world, acme, globex, ports=[port(80, 8080), port(81, 8081)])
    assert reached(world, endpoint, 80) == ("10.0.0.20", 8080)
    assert reached(world, endpoint, 81) == ("10.0.0.20", 8081)

    await modify(acme, service, {"ports": [port(82, 8082), port(80, 8080), port(81, 9091)]})

    assert reached(world, endpoint, 80, TcpFlag.ACK) == ("10.0.0.20", 8080)
    assert reached(world, endpoint, 81, TcpFlag.ACK) is None
    assert reached(world, endpoint, 81) == ("10.0.0.20", 9091)


async def test_freed_server_ports_are_free_and_new_ones_are_taken(world: World, acme: Tenant):
    service = await world.available_service(acme, ports=[port(80, 80)])

    await modify(acme, service, {"ports": [port(80, 81)]})

    await acme.post(SERVICES, world.service_body(ports=[port(1, 80)]))
    taken = world.service_body(ports=[port(1, 81)])
    assert await acme.refused("POST", SERVICES, taken) == (400, "EndPoint.3044")


async def test_a_conflict_of_ports_changes_nothing_at_all(world: World, acme: Tenant):
    await world.available_service(acme, ports=[port(1, 81)])
    service = await world.available_service(acme, ports=[port(80, 80)], description="before")
    before = await service_row(world, service)

    body = {"ports": [port(80, 82), port(81, 81)], "description": "after", "service_name": "after"}
    refused = await acme.refused("PUT", f"{SERVICES}/{service['id']}", body)

    assert refused == (400, "EndPoint.3044")
    assert await service_row(world, service) == before
    await acme.post(SERVICES, world.service_body(ports=[port(1, 82)]))
    assert await acme.refused("POST", SERVICES, world.service_body(ports=[port(1, 80)])) == (400, "EndPoint.3044")


async def test_of_two_services_that_want_one_server_port_at_once_one_gets_it(world: World, acme: Tenant):
    services = [await world.available_service(acme, ports=[port(80, number)]) for number in (80, 81)]

    answers = await asyncio.gather(
        *(acme.call("PUT", f"{SERVICES}/{service['id']}", {"ports": [port(80, 90)]}) for service in services)
    )

    assert sorted(answer.status_code for answer in answers) == [200, 400]


async def test_two_hundred_mappings_are_carried(world: World, acme: Tenant, globex: Tenant):
    service, endpoint = await connected(world, acme, globex)
    mappings = [port(number, 1000 + number) for number in range(1, 201)]

    answer = await modify(acme, service, {"ports": mappings})

    assert answer["ports"] == mappings
    assert reached(world, endpoint, 200) == ("10.0.0.20", 1200)


# What does not concern the data plane


@pytest.mark.parametrize(
    "body",
    [
        {},
        dict.fromkeys(["ports", "service_name", "approval_enabled", "tcp_proxy", "description", "port_id", "ip"]),
        {"ports": [port(8080, 80)], "approval_enabled": False, "description": "d", "tcp_proxy": "CLOSE"},
        {"service_name": "web", "vip_port_id": "", "port_id": "", "ip": ""},
        {"vpc_id": UNKNOWN, "server_type": "LB", "service_type": "gateway", "unknown_field": [1]},
    ],
    ids=["empty", "nulls", "same values", "empty texts", "unchangeable fields"],
)
async def test_a_change_of_nothing_succeeds_and_leaves_even_the_time_of_change(world: World, acme: Tenant, body: dict):
    service = await world.available_service(acme, service_name="web", approval_enabled=False, description="d")
    before, revision_before = await service_row(world, service), await revision(world)

    answer = await modify(acme, service, body)

    assert answer["updated_at"] == service["updated_at"]
    assert await service_row(world, service) == before
    assert await revision(world) == revision_before


async def test_a_port_id_that_is_the_services_own_is_no_change(world: World, acme: Tenant):
    vip = world.ids["vips"]["web-2/10.0.0.30"]["port_id"]
    by_both = await world.available_service(acme, host="web-2", server_type="VIP", vip_port_id=vip)
    by_vip = await world.available_service(acme, server_type="VIP", port_id=vip, ports=[port(1, 1)])
    plain = await world.available_service(acme)

    for service in (by_both, by_vip):
        own = {"port_id": service["port_id"], "vip_port_id": service["vip_port_id"].upper()}
        assert (await modify(acme, service, own))["updated_at"] == service["updated_at"]
    assert (await modify(acme, plain, {"port_id": plain["port_id"]}))["port_id"] == plain["port_id"]


@pytest.mark.parametrize(
    "body",
    [
        {"description": "new"},
        {"approval_enabled": True},
        {"enable_policy": True},
        {"service_name": "new"},
        {"ports": [port(81, 81), port(8080, 80)]},
    ],
    ids=lambda body: next(iter(body)),
)
async def test_what_no_data_plane_hears_of_wakes_none_and_raises_no_generation(
    world: World, acme: Tenant, globex: Tenant, body: dict
):
    service, endpoint = await connected(world, acme, globex, ports=[port(8080, 80), port(81, 81)])
    before, revision_before = await service_row(world, service), await revision(world)
    endpoint_before = await endpoint_row(world, endpoint)

    answer = await modify(acme, service, body)

    after = await service_row(world, service)
    assert {name: answer[name] for name in body if name != "service_name"} == {
        name: value for name, value in body.items() if name != "service_name"
    }
    assert after.updated_at > before.updated_at
    assert (after.generation, after.observed_generation) == (before.generation, before.observed_generation)
    assert await revision(world) == revision_before
    assert (await endpoint_row(world, endpoint)).updated_at == endpoint_before.updated_at


async def test_an_empty_description_clears_and_approval_counts_for_later_endpoints(
    world: World, acme: Tenant, globex: Tenant
):
    service, endpoint = await connected(world, acme, globex, description="old")

    changed = await modify(acme, service, {"description": "", "approval_enabled": True})

    assert (changed["description"], changed["approval_enabled"]) == ("", True)
    assert (await globex.get(f"vpc-endpoints/{endpoint['id']}"))["status"] == "accepted"
    later = await globex.post("vpc-endpoints", world.endpoint_body(service["id"]))
    assert later["status"] == "pendingAcceptance"


# Names


async def test_a_new_name_keeps_region_and_id_and_endpoints_show_it(world: World, acme: Tenant, globex: Tenant):
    service, endpoint = await connected(world, acme, globex, service_name="old")

    for name, full_name in [
        ("tf-tf-test-abcde", f"lab-1.tf-tf-test-abcde.{service['id']}"),
        ("", f"lab-1.{service['id']}"),
    ]:
        changed = await modify(acme, service, {"service_name": name})

        assert changed["service_name"] == full_name
        assert (await globex.get(f"vpc-endpoints/{endpoint['id']}"))["endpoint_service_name"] == full_name
        described = await globex.get(f"{SERVICES}/describe", endpoint_service_name=full_name)
        assert described["id"] == service["id"]
    old = {"endpoint_service_name": service["service_name"]}
    assert await globex.refused("GET", f"{SERVICES}/describe", params=old) == (404, "EndPoint.0005")


@pytest.mark.parametrize(
    ("sent", "echoed", "middle"), [("bills", "bills", ".bills"), ("", "", ""), (None, "old", ".old")]
)
async def test_the_name_operation_repeats_what_was_sent(
    world: World, acme: Tenant, sent: str | None, echoed: str, middle: str
):
    service = await world.available_service(acme, service_name="old")

    answer = await acme.call("PUT", f"{SERVICES}/{service['id']}/name", {"endpoint_service_name": sent})

    assert (answer.status_code, answer.json()) == (200, {"endpoint_service_name": echoed})
    shown = await acme.get(f"{SERVICES}/{service['id']}")
    assert shown["service_name"] == f"lab-1{middle}.{service['id']}"


@pytest.mark.parametrize("name", ["a" * 17, "a.b", "a b", "ä", 7, ["a"]])
async def test_a_bad_name_is_refused_by_both_operations(world: World, acme: Tenant, name: Any):
    service = await world.available_service(acme)
    path = f"{SERVICES}/{service['id']}"

    assert await acme.refused("PUT", path, {"service_name": name}) == (400, "EndPoint.3076")
    assert await acme.refused("PUT", f"{path}/name", {"endpoint_service_name": name}) == (400, "EndPoint.3076")


# Backends


async def test_an_lb_service_moves_to_another_port_id_with_its_ports_and_endpoints(
    world: World, acme: Tenant, globex: Tenant
):
    service, endpoint = await connected(world, acme, globex, server_type="LB")
    there = world.ids["hosts"]["web-2"]["port_id"]
    assert reached(world, endpoint, 8080) == ("10.0.0.20", 80)

    changed = await modify(acme, service, {"port_id": there})

    assert (changed["port_id"], changed["status"]) == (there, "available")
    assert reached(world, endpoint, 8080, TcpFlag.ACK) == ("10.0.0.20", 80), "what was open goes on where it was opened"
    assert reached(world, endpoint, 8080, source_port=50001) == ("10.0.0.21", 80)
    await acme.post(SERVICES, world.service_body(host="web-1"))
    assert await acme.refused("POST", SERVICES, world.service_body(host="web-2")) == (400, "EndPoint.3044")


async def transit_address_of(world: World, service: dict, address: str) -> IPv4Address:
    """Return what stands for a backend address; one that nothing stands for gets a new one."""
    row = await service_row(world, service)
    return await world.store.write(lambda tx: tx.claim_target_address(row.pool_id, row.vpc_id, IPv4Address(address)))


async def made_backends(world: World, acme: Tenant, count: int) -> list[dict]:
    """Make ports in a VPC of their own, which can be deleted."""
    vpc = (await acme.post("vpcs", {"vpc": {"name": "moving", "cidr": "10.7.0.0/16"}}))["vpc"]["id"]
    subnet = {"vpc_id": vpc, "name": "moving", "cidr": "10.7.0.0/24"}
    subnet_id = (await acme.post("subnets", {"subnet": subnet}))["subnet"]["id"]
    bodies = [{"network_id": subnet_id, "name": f"lb-{number}"} for number in range(count)]
    made = [(await acme.post("ports", {"port": body}))["port"] for body in bodies]
    return [{"port_id": one["id"], "vpc_id": vpc, "address": one["fixed_ips"][0]["ip_address"]} for one in made]


async def on_made_backends(world: World, acme: Tenant, globex: Tenant, count: int) -> tuple[dict, dict, list[dict]]:
    backends = await made_backends(world, acme, count)
    where = {"port_id": backends[0]["port_id"], "vpc_id": backends[0]["vpc_id"]}
    return *await connected(world, acme, globex, server_type="LB", **where), backends


async def test_the_connections_of_the_oldest_of_too_many_places_are_cut_and_its_transit_address_is_free(
    world: World, acme: Tenant, globex: Tenant
):
    count = FORMER_BACKENDS_LIMIT + 2
    service, endpoint, backends = await on_made_backends(world, acme, globex, count)
    first = (await service_row(world, service)).backend.transit_address
    for number, backend in enumerate(backends):
        await modify(acme, service, {"port_id": backend["port_id"]})
        assert reached(world, endpoint, 8080, source_port=50000 + number) == (backend["address"], 80)

    still_open = [reached(world, endpoint, 8080, TcpFlag.ACK, source_port=50000 + number) for number in range(count)]

    assert still_open == [None, *((backend["address"], 80) for backend in backends[1:])]
    assert len((await service_row(world, service)).former_backends) == FORMER_BACKENDS_LIMIT
    assert await transit_address_of(world, service, backends[0]["address"]) != first


async def test_a_place_that_the_data_plane_has_not_let_go_of_keeps_its_transit_address(
    world: World, acme: Tenant, globex: Tenant
):
    service, endpoint, backends = await on_made_backends(world, acme, globex, 2)
    await modify(acme, service, {"port_id": backends[1]["port_id"]})
    former = (await service_row(world, service)).former_backends[0].transit_address
    world.driver.fail_on(endpoint["id"], DriverError("busy"))

    assert (await acme.call("DELETE", f"ports/{backends[0]['port_id']}")).status_code == 204

    assert (await service_row(world, service)).former_backends == ()
    assert await transit_address_of(world, service, backends[0]["address"]) == former
    world.driver.fail_on(endpoint["id"], None)
    for _ in range(500):
        if not await world.store.read(lambda tx: tx.services_that_left_targets(PoolId(service["pool_id"]))):
            break
        await asyncio.sleep(0.01)
    assert await transit_address_of(world, service, backends[0]["address"]) != former


async def test_deleting_the_port_of_a_former_backend_ends_the_connections_there_and_no_others(
    world: World, acme: Tenant, globex: Tenant
):
    service, endpoint, backends = await on_made_backends(world, acme, globex, 2)
    assert reached(world, endpoint, 8080) == (backends[0]["address"], 80)
    await modify(acme, service, {"port_id": backends[1]["port_id"]})
    assert reached(world, endpoint, 8080, source_port=50001) == (backends[1]["address"], 80)

    assert (await acme.call("DELETE", f"ports/{backends[1]['port_id']}")).status_code == 409
    assert (await acme.call("DELETE", f"ports/{backends[0]['port_id']}")).status_code == 204

    for _ in range(500):
        if reached(world, endpoint, 8080, TcpFlag.ACK) is None:
            break
        await asyncio.sleep(0.01)
    assert reached(world, endpoint, 8080, TcpFlag.ACK) is None
    assert reached(world, endpoint, 8080, TcpFlag.ACK, source_port=50001) == (backends[1]["address"], 80)


async def test_a_service_that_comes_back_has_the_connections_that_it_left_there(
    world: World, acme: Tenant, globex: Tenant
):
    service, endpoint, backends = await on_made_backends(world, acme, globex, 2)
    for number, backend in enumerate([*backends, backends[0]]):
        await modify(acme, service, {"port_id": backend["port_id"]})
        assert reached(world, endpoint, 8080, source_port=50000 + number) == (backend["address"], 80)

    still_open = [reached(world, endpoint, 8080, TcpFlag.ACK, source_port=50000 + number) for number in range(3)]

    assert still_open == [(backends[number]["address"], 80) for number in (0, 1, 0)]
    assert len((await service_row(world, service)).former_backends) == 1


async def test_a_vip_service_moves_to_another_virtual_ip(world: World, acme: Tenant, globex: Tenant):
    vip = world.ids["vips"]["web-2/10.0.0.30"]["port_id"]
    service, endpoint = await connected(world, acme, globex, host="web-2", server_type="VIP", vip_port_id=vip)
    present = await world.store.read(lambda tx: tx.nic(NicId(vip)))
    other = replace(present, id=NicId(str(uuid4())), address=IPv4Address("10.0.0.31"))
    await world.store.write(lambda tx: tx.put_nic(other))

    changed = await modify(acme, service, {"vip_port_id": other.id})

    assert (changed["vip_port_id"], changed["port_id"]) == (other.id, service["port_id"])
    assert reached(world, endpoint, 8080) == ("10.0.0.31", 80)


async def test_a_vip_service_keeps_its_port_id_and_takes_nothing_but_virtual_ips(world: World, acme: Tenant):
    vip = world.ids["vips"]["web-2/10.0.0.30"]["port_id"]
    service = await world.available_service(acme, host="web-2", server_type="VIP", vip_port_id=vip)
    nic = world.ids["hosts"]["web-1"]["port_id"]
    path = f"{SERVICES}/{service['id']}"

    assert await acme.refused("PUT", path, {"vip_port_id": nic}) == (400, "EndPoint.3051")
    assert await acme.refused("PUT", path, {"vip_port_id": UNKNOWN}) == (400, "EndPoint.3051")
    assert await acme.refused("PUT", path, {"port_id": nic}) == (400, "EndPoint.3054")
    assert (await acme.get(path))["vip_port_id"] == vip


@pytest.mark.parametrize(
    ("server_type", "field", "thing", "code"),
    [
        ("VM", "port_id", "web-2", "EndPoint.3054"),
        ("VM", "vip_port_id", "web-2/10.0.0.30", "EndPoint.3054"),
        ("LB", "vip_port_id", "web-2/10.0.0.30", "EndPoint.3054"),
        ("LB", "port_id", "other-1", "EndPoint.3042"),
        ("LB", "port_id", "client-1", "EndPoint.3008"),
    ],
)
async def test_other_moves_are_refused(world: World, acme: Tenant, server_type: str, field: str, thing: str, code: str):
    service = await world.available_service(acme, server_type=server_type)
    kind = "vips" if "/" in thing else "hosts"

    body = {field: world.ids[kind][thing]["port_id"], "description": "not kept"}
    assert await acme.refused("PUT", f"{SERVICES}/{service['id']}", body) == (400, code)
    assert (await acme.get(f"{SERVICES}/{service['id']}"))["description"] == ""


async def test_a_mode_that_is_not_carried_is_refused_and_cuts_nobody(world: World, acme: Tenant, globex: Tenant):
    service, endpoint = await connected(world, acme, globex)

    refused = await acme.refused("PUT", f"{SERVICES}/{service['id']}", {"tcp_proxy": "proxy_open"})

    assert refused == (400, "EndPoint.0002")
    assert (await acme.get(f"{SERVICES}/{service['id']}"))["status"] == "available"
    assert reached(world, endpoint, 8080) == ("10.0.0.20", 80)


# The data plane


async def test_the_answer_waits_until_every_endpoint_of_the_service_has_followed_but_not_for_ever(
    world: World, acme: Tenant, globex: Tenant
):
    service, endpoint = await connected(world, acme, globex)
    world.driver.fail_on(EndpointId(endpoint["id"]), DriverError("busy"))

    answer = await modify(acme, service, {"ports": [port(9090, 90)]})

    assert answer["ports"] == [port(9090, 90)]
    assert b"landbridge_cuts_overdue_total 1.0" in world.telemetry.metrics_text()
    world.driver.fail_on(EndpointId(endpoint["id"]), None)
    await globex.until(f"vpc-endpoints/{endpoint['id']}", "accepted")
    assert reached(world, endpoint, 8080) is None
    assert reached(world, endpoint, 9090) == ("10.0.0.20", 90)


async def test_adding_a_port_late_is_no_overdue_cut(world: World, acme: Tenant, globex: Tenant):
    service, endpoint = await connected(world, acme, globex)
    world.driver.fail_on(EndpointId(endpoint["id"]), DriverError("busy"))

    await modify(acme, service, {"ports": [port(8080, 80), port(9090, 90)]})

    assert b"landbridge_cuts_overdue_total 0.0" in world.telemetry.metrics_text()


async def test_a_service_that_the_data_plane_refuses_shows_it_and_recovers(world: World, acme: Tenant):
    service = await world.available_service(acme)
    world.driver.fail_on(ServiceId(service["id"]), DriverError("busy"))

    answer = await modify(acme, service, {"ports": [port(9090, 90)]})

    assert answer["status"] == "failed"
    refused = await acme.refused("PUT", f"{SERVICES}/{service['id']}", {"description": "x"})
    assert refused == (400, "EndPoint.3045")
    world.driver.fail_on(ServiceId(service["id"]), None)
    await acme.until(f"{SERVICES}/{service['id']}", "available")


async def test_a_change_is_refused_to_other_projects_as_if_the_service_were_not_there(
    world: World, acme: Tenant, globex: Tenant
):
    service = await world.available_service(acme)

    for id_ in (service["id"], UNKNOWN):
        assert await globex.refused("PUT", f"{SERVICES}/{id_}", {"description": "x"}) == (404, "EndPoint.0005")
        name = {"endpoint_service_name": "x"}
        assert await globex.refused("PUT", f"{SERVICES}/{id_}/name", name) == (404, "EndPoint.0005")
