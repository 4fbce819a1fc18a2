"""Each side sees its own traffic, and of the other side no more than it knows already."""

import shutil
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from landbridge.bootstrap.traffic_wiring import TrafficParts
from landbridge.control.proxied import ProxiedConnections
from landbridge.control.traffic_protocols import EndpointKeys, FoundFlows, OpenConnections, Seen, TrackedConnections
from landbridge.dataplane.flows import Connection, FlowRecord, Parties, State, TrafficCounters, TrafficKey
from landbridge.domain.errors import TrafficUnavailable
from landbridge.domain.ids import EndpointId, ProjectId, VpcId
from landbridge.domain.resources import Endpoint, TcpProxy
from tests.integration.conftest import Tenant, World, running

HUB = VpcId("hub")
NOW = datetime.now(UTC)


@dataclass
class Scene:
    """What the data plane and the flow log show."""

    counted: dict[str, TrafficCounters] = field(default_factory=dict)
    """By endpoint id."""
    live: dict[tuple[str, str], list[Connection]] = field(default_factory=dict)
    """By endpoint id and side: `client` or `backend`."""
    ended: list[FlowRecord] = field(default_factory=list)
    is_away: bool = False
    is_complete: bool = True
    ids: dict[TrafficKey, tuple[str, str]] = field(default_factory=dict)
    looks: int = 0

    def keys_of(self, endpoint: Endpoint, tcp_proxy: TcpProxy) -> EndpointKeys:
        mark = endpoint.marker & 0xFFFFFFFF
        keys = EndpointKeys(
            TrafficKey(endpoint.vpc_id, mark),
            TrafficKey(HUB if tcp_proxy is TcpProxy.PROXY_OPEN else endpoint.vpc_id, mark),
        )
        self.ids[keys.client_side] = endpoint.id, "client"
        if keys.is_proxied:
            self.ids[keys.backend_side] = endpoint.id, "backend"
        return keys

    def counters(self, keys: Collection[TrafficKey]) -> Mapping[TrafficKey, TrafficCounters]:
        if self.is_away:
            raise TrafficUnavailable("the data plane cannot tell about its traffic now: try again in a few seconds")
        return {key: self.counted[self.ids[key][0]] for key in keys if self.ids[key][0] in self.counted}

    def all_counters(self) -> Mapping[TrafficKey, TrafficCounters]:
        self.looks += 1
        return self.counters([key for key in self.ids if key.vpc_id != HUB])

    def open_connections(self, vpc_ids: Collection[VpcId] | None, seconds: float) -> OpenConnections:
        del vpc_ids, seconds
        counts = {key: len(self.live.get(self.ids[key], ())) for key in self.ids if key.vpc_id != HUB}
        return OpenConnections(counts, self.is_complete)

    def tracked(self) -> TrackedConnections:
        if self.is_away:
            raise TrafficUnavailable("the data plane cannot tell about its traffic now: try again in a few seconds")
        return TrackedConnections({"a-vpc": 12, "hub": 3}, 1000)

    def connections(self, keys: Collection[TrafficKey], seconds: float) -> Seen:
        del seconds
        if self.is_away:
            raise TrafficUnavailable("the data plane cannot tell about its traffic now: try again in a few seconds")
        return Seen({key: self.live.get(self.ids[key], []) for key in keys}, self.is_complete)

    def close(self) -> None:
        return

    def find(self, source: str, at: datetime, seconds: float) -> FoundFlows:
        del at, seconds
        return FoundFlows([one for one in self.ended if one.source == source], is_complete=True)


def connection(
    id_: int, client: str, source: str, *, age_seconds: int = 60, target: str = "198.19.128.1:80"
) -> Connection:
    opened_ns = int((datetime.now(UTC) - timedelta(seconds=age_seconds)).timestamp()) * 10**9
    state = State.ESTABLISHED
    return Connection(id_, 1, client, "10.0.0.100:8080", target, source, "tcp", state, opened_ns, 3, 300, 4, 4000)


@dataclass(frozen=True)
class Told:
    """What the proxy says of a connection."""

    endpoint_id: EndpointId
    client: tuple[IPv4Address, int]
    source: tuple[IPv4Address, int]
    client_port: int = 8080
    ended_at: datetime | None = None


@dataclass
class Stage:
    """A server with a scene behind it, and both tenants."""

    world: World
    scene: Scene
    proxied: ProxiedConnections
    acme: Tenant
    globex: Tenant

    async def connected(self, **service: Any) -> tuple[Any, Any]:
        """Return a service of acme and an accepted endpoint of globex."""
        made = await self.world.available_service(self.acme, approval_enabled=False, **service)
        endpoint = await self.globex.post("vpc-endpoints", self.world.endpoint_body(made["id"]))
        return made, await self.globex.until(f"vpc-endpoints/{endpoint['id']}", "accepted")

    async def source(self, endpoint: Any, port: int = 40001) -> str:
        stored = await self.world.store.read(lambda tx: tx.endpoint(EndpointId(endpoint["id"])))
        assert stored is not None
        return f"{stored.transit_address}:{port}"

    async def change_mode(self, service: Any, mode: TcpProxy) -> None:
        """Let the service have a mode, also one that the driver of these tests does not carry."""
        stored = await self.world.store.read(lambda tx: tx.service(service["id"]))
        assert stored is not None
        await self.world.store.write(lambda tx: tx.amend_service(replace(stored, tcp_proxy=mode)))


@pytest.fixture
async def stage(tmp_path: Path, database_with_the_lab: Path) -> AsyncIterator[Stage]:
    shutil.copy(database_with_the_lab, tmp_path)
    scene, proxied = Scene(), ProxiedConnections(lambda: datetime.now(UTC))
    with ThreadPoolExecutor(1) as thread:
        async with running(tmp_path, traffic=TrafficParts(scene, scene, proxied, thread)) as world:
            acme = await world.login("acme-admin", "acme-password", "acme")
            globex = await world.login("globex-admin", "globex-password", "globex")
            yield Stage(world, scene, proxied, acme, globex)


async def test_a_consumer_sees_what_went_through_its_endpoint(stage: Stage):
    _, endpoint = await stage.connected()
    stage.scene.counted[endpoint["id"]] = TrafficCounters(1000, 10, 9000, 12, 3)
    stage.scene.live[endpoint["id"], "client"] = [connection(1, "10.0.0.20:1", await stage.source(endpoint))]

    shown = await stage.globex.get(f"ext/vpc-endpoints/{endpoint['id']}/traffic")

    assert shown.pop("measured_at")
    assert shown == {
        "endpoint_id": endpoint["id"],
        "bytes_sent": 1000,
        "packets_sent": 10,
        "bytes_received": 9000,
        "packets_received": 12,
        "connections_opened": 3,
        "connections_open": 1,
    }


async def test_shown_numbers_never_go_down(stage: Stage):
    _, endpoint = await stage.connected()
    path = f"ext/vpc-endpoints/{endpoint['id']}/traffic"
    shown: list[int] = []

    for counted in (TrafficCounters(bytes_sent=1000), TrafficCounters(bytes_sent=200), None, TrafficCounters(50)):
        stage.scene.counted = {} if counted is None else {endpoint["id"]: counted}
        shown.append((await stage.globex.get(path))["bytes_sent"])

    assert shown == [1000, 1200, 1200, 1250]


async def test_a_provider_sees_the_sum_and_each_endpoint_page_by_page(stage: Stage):
    service, _ = await stage.connected()
    for _ in range(4):
        await stage.globex.post("vpc-endpoints", stage.world.endpoint_body(service["id"]))
    listed = await stage.acme.get(f"vpc-endpoint-services/{service['id']}/connections", limit=10)
    ids = [one["id"] for one in listed["connections"]]
    stage.scene.counted = {id_: TrafficCounters(bytes_sent=100) for id_ in ids}
    path = f"ext/vpc-endpoint-services/{service['id']}/traffic"

    first = await stage.acme.get(path, limit=3)
    second = await stage.acme.get(path, limit=3, marker=first["next_marker"])

    assert (first["bytes_sent"], first["is_complete"]) == (500, True)
    seen = [one["endpoint_id"] for one in (*first["endpoints"], *second["endpoints"])]
    assert seen == sorted(ids)
    assert (len(first["endpoints"]), second["next_marker"]) == (3, None)
    assert all(one["bytes_sent"] == 100 and one["marker_id"] > 2**24 for one in second["endpoints"])


async def test_a_consumer_sees_its_clients_and_the_source_that_the_backend_sees(stage: Stage):
    _, endpoint = await stage.connected()
    source = await stage.source(endpoint)
    stage.scene.live[endpoint["id"], "client"] = [connection(1, "10.0.0.20:43210", source)]

    shown = await stage.globex.get(f"ext/vpc-endpoints/{endpoint['id']}/connections")

    (one,) = shown["connections"]
    assert (one["client"], one["endpoint"], one["source"]) == ("10.0.0.20:43210", "10.0.0.100:8080", source)
    assert (one["server_port"], one["state"], one["bytes_sent"], one["bytes_received"]) == (
        80,
        "established",
        300,
        4000,
    )
    assert 59 <= one["age_seconds"] <= 90
    assert (shown["next_marker"], shown["is_complete"]) == (None, True)


async def test_connections_come_in_pages_the_oldest_first_whatever_comes_and_goes(stage: Stage):
    _, endpoint = await stage.connected()
    source = await stage.source(endpoint)
    there = [connection(number, f"10.0.0.20:{number}", source, age_seconds=1000 - number) for number in range(1, 8)]
    stage.scene.live[endpoint["id"], "client"] = list(reversed(there))
    path = f"ext/vpc-endpoints/{endpoint['id']}/connections"

    first = await stage.globex.get(path, limit=3)
    # One that was shown ends, and another is opened.
    new = connection(99, "10.0.0.20:99", source, age_seconds=0)
    stage.scene.live[endpoint["id"], "client"] = [new, *there[1:]]
    second = await stage.globex.get(path, limit=3, marker=first["next_marker"])
    third = await stage.globex.get(path, limit=3, marker=second["next_marker"])

    clients = [one["client"].partition(":")[2] for page in (first, second, third) for one in page["connections"]]
    assert clients == ["1", "2", "3", "4", "5", "6", "7", "99"]
    assert third["next_marker"] is None


async def test_a_provider_does_not_see_clients_where_the_backend_does_not(stage: Stage):
    service, endpoint = await stage.connected()
    source = await stage.source(endpoint)
    stage.scene.live[endpoint["id"], "client"] = [connection(1, "10.0.0.20:43210", source)]

    answer = await stage.acme.call("GET", f"ext/vpc-endpoint-services/{service['id']}/connections")

    (one,) = answer.json()["connections"]
    assert (one["endpoint_id"], one["marker_id"]) == (endpoint["id"], endpoint["marker_id"])
    assert (one["source"], one["server_port"]) == (source, 80)
    assert "10.0.0." not in answer.text


async def test_a_provider_sees_clients_where_the_backend_hears_them(stage: Stage):
    service, endpoint = await stage.connected()
    await stage.change_mode(service, TcpProxy.TOA_OPEN)
    stage.scene.live[endpoint["id"], "client"] = [connection(1, "10.0.0.20:43210", await stage.source(endpoint))]

    shown = await stage.acme.get(f"ext/vpc-endpoint-services/{service['id']}/connections")

    (one,) = shown["connections"]
    assert one["client"] == "10.0.0.20:43210"
    assert "endpoint" not in one


async def test_the_two_halves_of_a_proxied_connection_are_joined(stage: Stage):
    service, endpoint = await stage.connected()
    await stage.change_mode(service, TcpProxy.PROXY_OPEN)
    source = await stage.source(endpoint)
    address, _, port = source.partition(":")
    stage.scene.live[endpoint["id"], "client"] = [connection(1, "10.0.0.20:43210", "", target="")]
    upstream = Connection(
        2, 1, source, "198.19.128.1:80", "", "", "tcp", State.ESTABLISHED, int(NOW.timestamp()) * 10**9, 1, 1, 1, 1
    )
    stage.scene.live[endpoint["id"], "backend"] = [upstream, upstream._replace(id=3, client=f"{address}:50000")]
    told = Told(EndpointId(endpoint["id"]), (IPv4Address("10.0.0.20"), 43210), (IPv4Address(address), int(port)))
    stage.proxied.proxied(told)

    consumer = await stage.globex.get(f"ext/vpc-endpoints/{endpoint['id']}/connections")
    provider = await stage.acme.get(f"ext/vpc-endpoint-services/{service['id']}/connections")

    assert [(one["source"], one["server_port"]) for one in consumer["connections"]] == [(source, 80)]
    seen = [(one["source"], one.get("client"), one["server_port"]) for one in provider["connections"]]
    assert seen == [(source, "10.0.0.20:43210", 80), (f"{address}:50000", None, 80)]


async def test_what_there_was_no_time_for_is_said(stage: Stage):
    _, endpoint = await stage.connected()
    stage.scene.is_complete = False

    assert (await stage.globex.get(f"ext/vpc-endpoints/{endpoint['id']}/connections"))["is_complete"] is False


async def test_a_data_plane_that_cannot_be_asked_is_no_fault_of_ours(stage: Stage):
    service, endpoint = await stage.connected()
    stage.scene.is_away = True

    for tenant, path in (
        (stage.globex, f"vpc-endpoints/{endpoint['id']}/traffic"),
        (stage.globex, f"vpc-endpoints/{endpoint['id']}/connections"),
        (stage.acme, f"vpc-endpoint-services/{service['id']}/connections"),
    ):
        assert await tenant.refused("GET", f"ext/{path}") == (503, "EndPoint.0001")
    assert (await stage.world.operators.get("/metrics")).status_code == 200


async def ask(tenant: Tenant, service: Any, source: str, **params: str) -> Any:
    address, _, port = source.partition(":")
    path = f"ext/vpc-endpoint-services/{service['id']}/who"
    return await tenant.get(path, address=address, port=port, **params)


async def test_who_it_was_is_known_from_a_live_connection(stage: Stage):
    service, endpoint = await stage.connected()
    source = await stage.source(endpoint)
    stage.scene.live[endpoint["id"], "client"] = [
        connection(1, "10.0.0.20:43210", source),
        connection(2, "10.0.0.20:43211", await stage.source(endpoint, 40002)),
    ]

    shown = await ask(stage.acme, service, source)

    (one,) = shown["found"]
    assert (one["known_by"], one["endpoint_id"], one["marker_id"]) == (
        "connection",
        endpoint["id"],
        endpoint["marker_id"],
    )
    assert (one["domain_id"], one["ended_at"]) == (stage.globex.domain_id, None)
    assert "client" not in one


def record(service: Any, endpoint: Any, source: str, tcp_proxy: str = "close") -> FlowRecord:
    parties = Parties(endpoint["id"], endpoint["marker_id"], service["id"], "globex", "globex-d", "", "", tcp_proxy)
    return FlowRecord(parties, NOW, NOW, "10.0.0.20:43210", "10.0.0.100:8080", source, "", "tcp", 1, 1, 1, 1, "closed")


@pytest.mark.parametrize(("tcp_proxy", "client"), [("close", None), ("toa_open", "10.0.0.20:43210")])
async def test_who_it_was_is_known_from_the_flow_log_by_the_mode_of_then(
    stage: Stage, tcp_proxy: str, client: str | None
):
    service, endpoint = await stage.connected()
    source = await stage.source(endpoint)
    stage.scene.ended = [record(service, endpoint, source, tcp_proxy)]

    (one,) = (await ask(stage.acme, service, source))["found"]

    assert (one["known_by"], one["domain_id"], one.get("client")) == ("flow-log", "globex-d", client)


async def test_whose_an_address_is_is_known_without_any_connection(stage: Stage):
    service, endpoint = await stage.connected()
    source = await stage.source(endpoint)

    now = await ask(stage.acme, service, source)
    before = await ask(stage.acme, service, source, at="2020-01-01T00:00:00Z")
    other = await ask(stage.acme, service, "198.19.200.200:1")

    assert [(one["known_by"], one["endpoint_id"]) for one in now["found"]] == [("address", endpoint["id"])]
    assert before["found"] == other["found"] == []
    assert before["at"] == "2020-01-01T00:00:00Z"


async def test_a_provider_hears_nothing_of_other_services_connections(stage: Stage):
    service, endpoint = await stage.connected()
    source = await stage.source(endpoint)
    stage.scene.ended = [record({"id": "another service"}, endpoint, "198.19.200.200:1")]

    assert (await ask(stage.acme, service, "198.19.200.200:1"))["found"] == []
    path = f"ext/vpc-endpoint-services/{service['id']}/who"
    refused = await stage.globex.refused("GET", path, params={"address": source.partition(":")[0], "port": "1"})
    assert refused == (404, "EndPoint.0005")


async def test_an_operator_may_ask_about_everybodys_services_and_hears_the_client(stage: Stage):
    service, endpoint = await stage.connected()
    source = await stage.source(endpoint)
    stage.scene.ended = [record(service, endpoint, source)]
    (admin,) = await stage.world.store.read(lambda tx: tx.users_named("globex-admin"))
    operator = replace(
        admin,
        id="operator" * 4,
        name="globex-operator",
        roles={ProjectId(stage.globex.project_id): frozenset({"operator"})},
        access_keys=(),
    )
    await stage.world.store.write(lambda tx: tx.put_user(operator))
    asker = await stage.world.login("globex-operator", "globex-password", "globex")

    (one,) = (await ask(asker, service, source))["found"]

    assert (one["endpoint_id"], one["client"]) == (endpoint["id"], "10.0.0.20:43210")
    assert await asker.refused("GET", f"ext/vpc-endpoint-services/{service['id']}/connections") == (
        404,
        "EndPoint.0005",
    )


WRONG: Sequence[tuple[str, dict[str, str]]] = [
    ("connections", {"limit": "0"}),
    ("connections", {"limit": "1001"}),
    ("connections", {"limit": "x"}),
    ("connections", {"marker": "x"}),
    ("connections", {"marker": "1-"}),
    ("connections", {"marker": "1" * 30 + "-1"}),
    ("traffic", {"limit": "-1"}),
    ("who", {}),
    ("who", {"address": "198.19.128.2"}),
    ("who", {"address": "198.19.128.2", "port": "0"}),
    ("who", {"address": "198.19.128.2", "port": "65536"}),
    ("who", {"address": "198.19.128.256", "port": "1"}),
    ("who", {"address": "::1", "port": "1"}),
    ("who", {"address": "198.19.128.2", "port": "1", "at": "yesterday"}),
    ("who", {"address": "198.19.128.2", "port": "1", "at": "2026-01-01T00:00:00"}),
    ("who", {"address": "198.19.128.2", "port": "1", "at": "0001-01-01T00:00:00+00:01"}),
]


async def test_a_wrong_question_gets_a_clear_refusal(stage: Stage):
    service, _ = await stage.connected()
    path = f"ext/vpc-endpoint-services/{service['id']}"

    answers = [
        (what, params, await stage.acme.refused("GET", f"{path}/{what}", params=params)) for what, params in WRONG
    ]

    assert [(what, params) for what, params, (status, _) in answers if status != 400] == []


async def test_the_metrics_have_the_totals_and_a_flood_of_questions_is_one_look(stage: Stage):
    _, endpoint = await stage.connected()
    stage.scene.counted[endpoint["id"]] = TrafficCounters(1000, 10, 9000, 12, 3)
    stage.scene.live[endpoint["id"], "client"] = [connection(1, "10.0.0.20:1", await stage.source(endpoint))]
    await stage.globex.get(f"ext/vpc-endpoints/{endpoint['id']}/traffic")

    answers = [await stage.world.operators.get("/metrics") for _ in range(3)]

    for text in (
        'landbridge_traffic_bytes_total{direction="sent"} 1000.0',
        'landbridge_traffic_bytes_total{direction="received"} 9000.0',
        "landbridge_connections_opened_total 3.0",
        "landbridge_connections_open 1.0",
        'landbridge_conntrack_entries{edge="a-vpc"} 12.0',
        "landbridge_conntrack_entries_all 15.0",
        "landbridge_conntrack_limit 1000.0",
        "landbridge_endpoint_connections_most 1.0",
        "landbridge_endpoint_connections_limit 3000.0",
        "landbridge_endpoint_ports_left 64511.0",
    ):
        assert text in answers[-1].text
    assert endpoint["id"] not in answers[-1].text
    assert stage.scene.looks < 3
