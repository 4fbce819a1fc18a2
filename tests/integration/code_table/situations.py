"""Bring about what a row of the code table needs to be there before its request.

A situation is made by requests, as a tenant would make it. It returns the ids that it made, by the names under which
rows speak of them. Where something must stay on its way, the loop is ended first.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from landbridge.dataplane.driver import DriverError
from landbridge.domain.ids import EndpointId, ServiceId
from tests.integration.conftest import Tenant, World

Ids = Mapping[str, str]
Situation = Callable[["Scene"], Awaitable[Ids]]

SERVICES, ENDPOINTS = "vpc-endpoint-services", "vpc-endpoints"


@dataclass
class Scene:
    """A server, a provider and a consumer."""

    world: World
    acme: Tenant
    globex: Tenant
    hooli: Tenant
    """The operator."""

    def end_the_loop(self) -> None:
        """Let nothing become what was asked for any more."""
        self.world.loop.cancel()

    async def connect(self, service_id: str, **changes: Any) -> str:
        """Create an endpoint of globex and return its id."""
        body = self.world.endpoint_body(service_id, **changes)
        return (await self.globex.post(ENDPOINTS, body))["id"]


def ports(number: int) -> list[dict[str, int]]:
    return [{"client_port": 80, "server_port": number}]


async def nothing(scene: Scene) -> Ids:
    return {}


def a_service(**changes: Any) -> Situation:
    """Return the situation that acme has an available service to which everybody may connect."""

    async def situation(scene: Scene) -> Ids:
        return {"service": (await scene.world.available_service(scene.acme, **changes))["id"]}

    return situation


async def a_vip_service(scene: Scene) -> Ids:
    vip = scene.world.ids["vips"]["web-2/10.0.0.30"]["port_id"]
    return await a_service(host="web-2", server_type="VIP", vip_port_id=vip)(scene)


async def a_public_service_of_the_project(scene: Scene) -> Ids:
    """Publish a service as the operator does, who has no API for it."""
    ids = await a_service()(scene)
    service = await scene.world.store.read(lambda tx: tx.service(ServiceId(ids["service"])))
    assert service is not None
    await scene.world.store.write(lambda tx: tx.update_service(replace(service, public_owner="lab")))
    return ids


async def a_service_without_permissions(scene: Scene) -> Ids:
    service = await scene.acme.post(SERVICES, scene.world.service_body())
    await scene.acme.until(f"{SERVICES}/{service['id']}", "available")
    return {"service": service["id"]}


async def a_service_of_globex(scene: Scene) -> Ids:
    body = scene.world.service_body(host="client-1", vpc="globex-vpc")
    return {"service": (await scene.globex.post(SERVICES, body))["id"]}


async def a_creating_service(scene: Scene) -> Ids:
    scene.end_the_loop()
    return {"service": (await scene.acme.post(SERVICES, scene.world.service_body()))["id"]}


async def a_failed_service(scene: Scene) -> Ids:
    service = await scene.acme.post(SERVICES, scene.world.service_body(tcp_proxy="toa_open"))
    path = f"{SERVICES}/{service['id']}"
    await scene.acme.post(f"{path}/permissions/action", {"action": "add", "permissions": ["*"]})
    await scene.acme.until(path, "failed")
    return {"service": service["id"]}


async def a_deleting_service(scene: Scene) -> Ids:
    ids = await a_service()(scene)
    scene.end_the_loop()
    await scene.acme.call("DELETE", f"{SERVICES}/{ids['service']}")
    return ids


async def two_services_on_one_port_id(scene: Scene) -> Ids:
    await a_service(ports=ports(81))(scene)
    return await a_service(ports=ports(80))(scene)


async def twenty_services(scene: Scene) -> Ids:
    bodies = [scene.world.service_body(ports=ports(1000 + number)) for number in range(20)]
    await asyncio.gather(*(scene.acme.post(SERVICES, body) for body in bodies))
    return {}


async def five_hundred_permissions(scene: Scene) -> Ids:
    ids = await a_service()(scene)
    entries = [f"iam:domain::{number}" for number in range(499)]
    await scene.acme.post(f"{SERVICES}/{ids['service']}/permissions/action", {"action": "add", "permissions": entries})
    return ids


async def a_pending_endpoint(scene: Scene) -> Ids:
    ids = await a_service()(scene)
    return {**ids, "endpoint": await scene.connect(ids["service"])}


async def an_accepted_endpoint(scene: Scene) -> Ids:
    ids = await a_service(approval_enabled=False)(scene)
    endpoint = await scene.connect(ids["service"])
    await scene.globex.until(f"{ENDPOINTS}/{endpoint}", "accepted")
    return {**ids, "endpoint": endpoint}


async def a_creating_endpoint(scene: Scene) -> Ids:
    ids = await a_service(approval_enabled=False)(scene)
    scene.end_the_loop()
    return {**ids, "endpoint": await scene.connect(ids["service"])}


async def a_failed_endpoint(scene: Scene) -> Ids:
    ids = await a_pending_endpoint(scene)
    scene.world.driver.fail_on(EndpointId(ids["endpoint"]), DriverError("busy"))
    body = {"action": "receive", "endpoints": [ids["endpoint"]]}
    await scene.acme.post(f"{SERVICES}/{ids['service']}/connections/action", body)
    await scene.globex.until(f"{ENDPOINTS}/{ids['endpoint']}", "failed")
    return ids


async def a_deleting_endpoint(scene: Scene) -> Ids:
    ids = await a_pending_endpoint(scene)
    scene.end_the_loop()
    await scene.globex.call("DELETE", f"{ENDPOINTS}/{ids['endpoint']}")
    return ids


async def an_endpoint_of_another_service_of_the_project(scene: Scene) -> Ids:
    other = await a_service(ports=ports(81))(scene)
    endpoint = await scene.connect(other["service"])
    return {**await a_service()(scene), "endpoint": endpoint}


async def an_endpoint_of_a_service_with_policies(scene: Scene) -> Ids:
    ids = await a_service(enable_policy=True)(scene)
    return {**ids, "endpoint": await scene.connect(ids["service"])}


async def a_full_subnet(scene: Scene) -> Ids:
    ids = await a_service()(scene)
    for _ in range(4):  # of six addresses the gateway has one and a host another
        await scene.connect(ids["service"], subnet="globex-vpc/tiny")
    return ids


async def fifty_endpoints(scene: Scene) -> Ids:
    ids = await a_service()(scene)
    await asyncio.gather(*(scene.connect(ids["service"]) for _ in range(50)))
    return ids


async def a_gateway_service(scene: Scene) -> Ids:
    wish = {
        "service_name": "com.example.lab-1.obs",
        "service_type": "gateway",
        "cidrs": ["100.125.0.0/16"],
        "subnet_id": scene.world.ids["public"]["subnet_id"],
    }
    service = (await scene.hooli.post("ext/public-services", wish))["id"]
    for _ in range(500):
        page = await scene.hooli.get("ext/public-services", id=service)
        if page["public_services"][0]["status"] == "available":
            break
        await asyncio.sleep(0.002)
    return {"service": service}


async def a_gateway_endpoint(scene: Scene) -> Ids:
    ids = await a_gateway_service(scene)
    endpoint = await scene.connect(ids["service"])
    await scene.globex.until(f"{ENDPOINTS}/{endpoint}", "accepted")
    return {**ids, "endpoint": endpoint}


async def a_gateway_service_and_a_custom_route(scene: Scene) -> Ids:
    table = scene.world.ids["routetables"]["globex-vpc"]["routetable_id"]
    route = {"type": "ecs", "destination": "100.125.7.0/24", "nexthop": "x"}
    changed = await scene.globex.call("PUT", f"routetables/{table}", {"routetable": {"routes": {"add": [route]}}})
    assert changed.status_code == 200, changed.text
    return await a_gateway_service(scene)


async def a_gateway_service_and_a_vpc_in_its_networks(scene: Scene) -> Ids:
    made = await scene.globex.post("vpcs", {"vpc": {"name": "twin", "cidr": "100.125.128.0/20"}})
    return {**await a_gateway_service(scene), "vpc_in_networks": made["vpc"]["id"]}


SITUATIONS: Mapping[str, Situation] = {
    "nothing": nothing,
    "a service": a_service(),
    "a service with 10 tags": a_service(tags=[{"key": f"k{number}", "value": ""} for number in range(10)]),
    "an LB service": a_service(server_type="LB"),
    "a VIP service": a_vip_service,
    "a service without permissions": a_service_without_permissions,
    "a public service of the project": a_public_service_of_the_project,
    "a service of globex": a_service_of_globex,
    "a creating service": a_creating_service,
    "a failed service": a_failed_service,
    "a deleting service": a_deleting_service,
    "two services on one port_id": two_services_on_one_port_id,
    "20 services": twenty_services,
    "500 permissions": five_hundred_permissions,
    "a pending endpoint": a_pending_endpoint,
    "an accepted endpoint": an_accepted_endpoint,
    "a creating endpoint": a_creating_endpoint,
    "a failed endpoint": a_failed_endpoint,
    "a deleting endpoint": a_deleting_endpoint,
    "an endpoint of another service of the project": an_endpoint_of_another_service_of_the_project,
    "an endpoint of a service with policies": an_endpoint_of_a_service_with_policies,
    "a gateway service": a_gateway_service,
    "a gateway endpoint": a_gateway_endpoint,
    "a gateway service and a custom route into its networks": a_gateway_service_and_a_custom_route,
    "a gateway service and a VPC in its networks": a_gateway_service_and_a_vpc_in_its_networks,
    "a full subnet": a_full_subnet,
    "50 endpoints": fifty_endpoints,
}
