"""What the operator is told: metrics, whether the server serves and is ready, and on which port."""

import contextlib
import json
import socket
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from landbridge.bootstrap.operators_port import OperatorsPort, default_address
from landbridge.control.traffic_protocols import TrackedConnections
from landbridge.dataplane.tracking import FullEdges, nearly_full
from landbridge.domain.errors import OperatorError
from landbridge.domain.ids import PoolId
from landbridge.observability import Telemetry
from landbridge.settings import Settings
from tests.integration.conftest import Tenant, World
from tests.integration.live import live_server


async def test_a_server_that_has_swept_is_ready_on_both_ports(world: World):
    for http in (world.http, world.operators):
        assert (await http.get("/healthz")).json() == {"status": "ok"}
        ready = await http.get("/readyz")
        assert (ready.status_code, ready.json()["status"]) == (200, "ready")
    assert b"landbridge_ready 1.0" in (await world.operators.get("/metrics")).content


async def test_held_removals_are_a_reason_and_only_the_operator_hears_how_many(world: World):
    world.telemetry.sweep_held(12, 40)

    told, said = await world.operators.get("/readyz"), await world.http.get("/readyz")

    assert (told.status_code, said.status_code) == (503, 503)
    assert "12 removals" in told.json()["reasons"][0]["message"]
    assert said.json() == {"status": "not-ready", "reasons": [{"code": "sweep-held"}]}
    assert b"landbridge_ready 0.0" in (await world.operators.get("/metrics")).content


async def test_metrics_are_there_also_when_the_database_does_not_answer(world: World, tmp_path: Path):
    with contextlib.closing(sqlite3.connect(tmp_path / "landbridge.sqlite3")) as connection:
        connection.execute("ALTER TABLE pools RENAME TO somewhere_else")

    metrics, ready = await world.operators.get("/metrics"), await world.operators.get("/readyz")

    assert metrics.status_code == 200
    assert ready.status_code == 503
    assert ready.json()["reasons"][0]["code"] == "database-refuses"


async def test_the_pools_addresses_are_counted(world: World, acme: Tenant, globex: Tenant):
    service = await world.available_service(acme)
    await globex.post("vpc-endpoints", world.endpoint_body(service["id"]))

    text = (await world.operators.get("/metrics")).text

    pool = service["pool_id"]
    # The endpoint's, its backend's, and that of the lab's public service.
    used = next(
        line for line in text.splitlines() if line.startswith("landbridge_transit_addresses{") and "used" in line
    )
    assert used == f'landbridge_transit_addresses{{pool="{pool}",state="used"}} 3.0'
    assert f'landbridge_transit_addresses{{pool="{pool}",state="free"}} 32763.0' in text


def test_a_pool_that_runs_low_is_told_once_until_it_has_recovered(capsys: pytest.CaptureFixture[str]):
    telemetry, pool = Telemetry("memory", "a-pool"), PoolId("p1")

    for used in (899, 900, 901, 100, 950):
        telemetry.transit_addresses_counted({pool: used}, 1000)

    assert capsys.readouterr().out.count("pool.low") == 2


def test_only_the_fullest_edges_are_metrics_of_their_own():
    telemetry = Telemetry("memory", "a-pool")
    telemetry.tracked_counted(TrackedConnections({"gone": 9}, 100))
    telemetry.tracked_counted(TrackedConnections({f"edge-{number}": number for number in range(50)}, 100))

    text = telemetry.metrics_text().decode()
    assert text.count("landbridge_conntrack_entries{") == 10
    assert 'edge="edge-49"} 49.0' in text
    assert "gone" not in text


def test_used_and_left_of_connections_and_ports_are_metrics():
    telemetry = Telemetry("memory", "a-pool")
    telemetry.tracked_counted(TrackedConnections({"a-vpc": 700, "hub": 900}, 65_536))
    telemetry.fullest_endpoint_counted(512, 3000)

    text = telemetry.metrics_text().decode()
    assert 'landbridge_conntrack_entries{edge="hub"} 900.0' in text
    assert "landbridge_conntrack_left 64636.0" in text
    assert "landbridge_endpoint_connections_most 512.0" in text
    assert "landbridge_endpoint_connections_limit 3000.0" in text
    assert "landbridge_endpoint_ports_left 64000.0" in text


def test_a_nearly_full_edge_is_told_once_until_it_has_room(capsys: pytest.CaptureFixture[str]):
    telemetry = Telemetry("memory", "a-pool")

    for count in (89, 90, 95, 100, 40, 91):
        tracked = TrackedConnections({"a-vpc": count, "b-vpc": 5}, 100)
        telemetry.edges_seen(tracked, FullEdges(nearly_full(tracked.by_edge, 100), datetime.now(UTC)))

    said = capsys.readouterr().out
    assert "b-vpc" not in said
    assert (said.count("edge.nearly_full"), said.count("edge.has_room")) == (2, 1)
    assert "nf_conntrack_max" in said


def test_without_a_choice_the_operators_port_follows_from_that_of_the_api():
    assert default_address(8770) == ("127.0.0.1", 9770)
    assert default_address(65000) == ("127.0.0.1", 64000)


def test_a_taken_port_stops_the_server_only_if_somebody_chose_it(capsys: pytest.CaptureFixture[str]):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        nowhere = OperatorsPort.open(Settings(), port - 1000)
        with pytest.raises(OperatorError, match="choose another one, or none"):
            OperatorsPort.open(Settings(metrics_listen=f"127.0.0.1:{port}"), 8770)

    assert nowhere.url is None
    assert "metrics.unavailable" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["9770", "127.0.0.1", "127.0.0.1:x", ":1", "127.0.0.1:70000"])
def test_a_malformed_address_is_named(text: str):
    with pytest.raises(OperatorError, match="metrics_listen is"):
        OperatorsPort.open(replace(Settings(), metrics_listen=text), 8770)


def test_a_running_server_answers_the_operator_beside_its_tenants(tmp_path: Path):
    settings = 'metrics_listen = "127.0.0.1:0"\n'
    with live_server(tmp_path, settings=settings) as server:
        events = [json.loads(line) for line in server.log.read_text().splitlines() if line.startswith("{")]
        (url,) = [event["url"] for event in events if event["event"] == "metrics.listening"]

        metrics, ready = httpx.get(f"{url}/metrics"), httpx.get(f"{url}/readyz")
        hidden = httpx.get(f"{server.url}/metrics")

    assert "landbridge_round_duration_seconds" in metrics.text
    assert ready.json() == {"status": "ready", "reasons": [], "owns_data_plane": True}
    assert hidden.status_code == 404


def test_a_server_may_have_no_operators_port(tmp_path: Path):
    with live_server(tmp_path, settings='metrics_listen = "none"\n') as server:
        assert httpx.get(f"{server.url}/readyz").status_code == 200
        assert "metrics.listening" not in server.log.read_text()
