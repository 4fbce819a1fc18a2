"""A VPC gets no new endpoints while its edge is nearly full; nothing else is refused, and nobody else is."""

import asyncio
import shutil
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

from landbridge.bootstrap.composing import pool_of
from landbridge.bootstrap.traffic_wiring import TrafficParts
from landbridge.control.proxied import ProxiedConnections
from landbridge.control.traffic_protocols import NoFlowLog, NoTraffic, TrackedConnections
from landbridge.dataplane.tracking import HUB, FullEdges
from landbridge.domain.ids import PoolId
from tests.integration.conftest import Tenant, World, running


async def tell(world: World, pool: str, *edges: str, age_seconds: int = 0) -> None:
    """Write what an agent would: these edges are nearly full."""
    full = FullEdges(frozenset(edges), datetime.now(UTC) - timedelta(seconds=age_seconds))
    await world.store.write(lambda tx: tx.put_full_edges(PoolId(pool), full))


def vpc_id(world: World, name: str) -> str:
    return world.ids["vpcs"][name]["vpc_id"]


async def test_a_new_endpoint_of_a_vpc_with_a_full_edge_is_refused_and_the_message_shows_the_way_out(
    world: World, acme: Tenant, globex: Tenant
):
    service = await world.available_service(acme)
    await tell(world, service["pool_id"], vpc_id(world, "globex-vpc"))

    answer = await globex.call("POST", "vpc-endpoints", world.endpoint_body(service["id"]))

    assert (answer.status_code, answer.json()["error_code"]) == (400, "EndPoint.2016")
    assert "try again in a few minutes, or ask the operator" in answer.json()["error_msg"]
    assert (await globex.get("vpc-endpoints"))["total_count"] == 0


async def test_a_gateway_endpoint_needs_room_in_its_own_edge_and_in_that_of_the_public_network(
    world: World, globex: Tenant
):
    hooli = await world.login("hooli-admin", "hooli-password", "hooli")
    wish = {
        "service_name": "com.example.lab-1.obs",
        "service_type": "gateway",
        "cidrs": ["100.125.0.0/16"],
        "subnet_id": world.ids["public"]["subnet_id"],
    }
    service = await hooli.post("ext/public-services", wish)
    for _ in range(500):
        (found,) = (await hooli.get("ext/public-services", id=service["id"]))["public_services"]
        if found["status"] == "available":
            break
        await asyncio.sleep(0.002)
    body = {"endpoint_service_id": service["id"], "vpc_id": vpc_id(world, "globex-vpc")}

    for full in (vpc_id(world, "globex-vpc"), world.ids["public"]["vpc_id"]):
        await tell(world, str(pool_of("lab-1")), full)
        assert await globex.refused("POST", "vpc-endpoints", body) == (400, "EndPoint.2016")
    await tell(world, str(pool_of("lab-1")), vpc_id(world, "acme-vpc"), HUB)
    assert (await globex.post("vpc-endpoints", body))["vpc_id"] == body["vpc_id"]


async def test_the_full_edges_of_others_refuse_nobody_anything(world: World, acme: Tenant, globex: Tenant):
    service = await world.available_service(acme, approval_enabled=False)
    await tell(world, service["pool_id"], "somebody-elses-vpc", vpc_id(world, "acme-vpc"), HUB)

    endpoint = await globex.post("vpc-endpoints", world.endpoint_body(service["id"]))

    await globex.until(f"vpc-endpoints/{endpoint['id']}", "accepted")


async def test_a_look_more_than_a_minute_ago_does_not_count(world: World, acme: Tenant, globex: Tenant):
    service = await world.available_service(acme)
    await tell(world, service["pool_id"], vpc_id(world, "globex-vpc"), age_seconds=61)

    endpoint = await globex.post("vpc-endpoints", world.endpoint_body(service["id"]))

    assert endpoint["status"] == "pendingAcceptance"


async def test_what_is_there_goes_on_in_a_vpc_that_gets_no_more(world: World, acme: Tenant, globex: Tenant):
    service = await world.available_service(acme)
    waiting, ending = [await globex.post("vpc-endpoints", world.endpoint_body(service["id"])) for _ in range(2)]
    await tell(world, service["pool_id"], vpc_id(world, "globex-vpc"), vpc_id(world, "acme-vpc"), HUB)

    await acme.post(
        f"vpc-endpoint-services/{service['id']}/connections/action", {"action": "receive", "endpoints": [waiting["id"]]}
    )
    deleted = await globex.call("DELETE", f"vpc-endpoints/{ending['id']}")
    other = await world.available_service(acme, ports=[{"client_port": 9090, "server_port": 90}])

    await globex.until(f"vpc-endpoints/{waiting['id']}", "accepted")
    assert deleted.status_code == 204
    assert other["status"] == "available"


class Edges(NoTraffic):
    """Edges that track what the test says."""

    def __init__(self) -> None:
        self.by_edge: dict[str, int] = {}

    def tracked(self) -> TrackedConnections:
        return TrackedConnections(self.by_edge, 65_536)


async def test_what_the_agent_sees_is_what_counts(tmp_path: Path, database_with_the_lab: Path):
    shutil.copy(database_with_the_lab, tmp_path)
    edges = Edges()
    with ThreadPoolExecutor(1) as thread:
        traffic = TrafficParts(edges, NoFlowLog(), ProxiedConnections(lambda: datetime.now(UTC)), thread)
        async with running(tmp_path, traffic=traffic) as world:
            acme = await world.login("acme-admin", "acme-password", "acme")
            globex = await world.login("globex-admin", "globex-password", "globex")
            service = await world.available_service(acme)
            body = world.endpoint_body(service["id"])

            edges.by_edge[vpc_id(world, "globex-vpc")] = 60_000
            await world.parts.edge_reports.report()
            refused = await globex.refused("POST", "vpc-endpoints", body)
            metrics = (await world.operators.get("/metrics")).text
            edges.by_edge[vpc_id(world, "globex-vpc")] = 50_000
            await world.parts.edge_reports.report()
            endpoint = await globex.post("vpc-endpoints", body)

    assert refused == (400, "EndPoint.2016")
    assert "landbridge_conntrack_left 5536.0" in metrics
    assert endpoint["status"] == "pendingAcceptance"
