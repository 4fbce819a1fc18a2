"""What a server on a socket does with clients that are slow, wrong, behind a proxy, or too curious."""

import json
import re
import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from landbridge.api.app import create_app
from tests.integration.conftest import Tenant, World
from tests.integration.live import Server, live_server

SETTINGS = 'request_timeout_seconds = 1\ntrusted_proxies = ["127.0.0.1"]\n'


@pytest.fixture(scope="module")
def strict_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with live_server(tmp_path_factory.mktemp("strict"), settings=SETTINGS) as running:
        yield running


def said_to(server: Server, *pieces: bytes) -> tuple[bytes, float]:
    """Return what comes back until the server closes, and after how many seconds it did."""
    started = time.monotonic()
    with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), 10) as connection:
        for piece in pieces:
            connection.sendall(piece)
        received = b""
        try:
            while data := connection.recv(65536):
                received += data
        except ConnectionResetError:
            # The server closed while some of our bytes were unread.
            pass
        return received, time.monotonic() - started


def refusal_in(answer: bytes) -> tuple[int, Any]:
    """Return the status and the body of a refusal, after checking what all refusals have."""
    head, _, body = answer.partition(b"\r\n\r\n")
    error = json.loads(body)
    assert error["error"] == {"code": error["error_code"], "message": error["error_msg"]}
    assert re.search(rb"(?i)\r\nx-request-id: req-[0-9a-f]{32}\r\n", head)
    assert b"connection: close" in head
    return int(head.split()[1]), error


def test_a_connection_on_which_nothing_is_asked_is_closed_without_a_word(strict_server: Server):
    answer, seconds = said_to(strict_server)

    assert answer == b""
    assert seconds < 8


def test_a_head_that_does_not_end_is_given_up(strict_server: Server):
    answer, seconds = said_to(strict_server, b"GET / HTTP/1.1\r\nHost: x\r\n")

    status, error = refusal_in(answer)
    assert (status, error["error_code"]) == (408, "EndPoint.0013")
    assert "within 1 s" in error["error_msg"]
    assert seconds < 8


def test_a_body_that_does_not_end_is_given_up(strict_server: Server):
    head = b"POST /v3/auth/tokens HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"

    status, _ = refusal_in(said_to(strict_server, head, b"{")[0])

    assert status == 408


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GARBAGE\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET /" + b"a" * 66_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
    ids=["words", "version", "header-name", "length", "two-lengths", "long-url"],
)
def test_what_is_no_http_is_refused_in_the_contracts_shape(strict_server: Server, request_bytes: bytes):
    status, error = refusal_in(said_to(strict_server, request_bytes)[0])

    assert (status, error["error_code"]) == (400, "EndPoint.1004")


def test_headers_without_end_do_not_fill_the_memory(strict_server: Server):
    lines = (b"X-%d: %s\r\n" % (number, b"a" * 1000) for number in range(10_000))

    def sent() -> int:
        with socket.create_connection(("127.0.0.1", int(strict_server.url.rpartition(":")[2])), 10) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\n")
            count = 0
            try:
                for line in lines:
                    connection.sendall(line)
                    count += len(line)
            except OSError:
                pass
            return count

    # The kernel's buffers take some after the server has closed.
    assert sent() < 10_000_000


def test_links_follow_what_a_trusted_proxy_says(strict_server: Server):
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "vpcep.example.org", "X-Forwarded-For": "203.0.113.7"}

    answer = httpx.get(f"{strict_server.url}/", headers=headers)

    assert answer.json()["versions"][0]["links"][0]["href"] == "https://vpcep.example.org/v1"


def test_the_log_holds_no_line_that_a_stranger_can_cause(strict_server: Server):
    said_to(strict_server, b"GARBAGE\r\n\r\n")
    websocket = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Key": "a",
        "Sec-WebSocket-Version": "13",
    }
    assert httpx.get(f"{strict_server.url}/", headers=websocket).status_code == 200

    assert all(line.startswith("{") for line in strict_server.log.read_text().splitlines())


async def test_head_is_get_without_the_body(world: World):
    with_body = await world.http.get("/")
    without = await world.http.head("/")

    assert (without.status_code, without.content) == (200, b"")
    assert without.headers["Content-Length"] == with_body.headers["Content-Length"]


async def test_head_needs_the_same_rights_as_get(world: World, acme: Tenant):
    assert (await acme.call("HEAD", "vpc-endpoints")).status_code == 200
    assert (await world.http.head(f"/v1/{acme.project_id}/vpc-endpoints")).status_code == 401


async def test_a_refused_method_names_those_that_there_are(acme: Tenant):
    answer = await acme.call("HEAD", "vpc-endpoint-services/permissions/action")
    refused = await acme.call("PATCH", "vpc-endpoints")

    assert answer.status_code in {404, 405}
    assert refused.status_code == 405
    assert refused.headers["Allow"]


async def test_metrics_are_not_on_the_tenants_port_not_even_for_this_machine(world: World):
    transport = httpx.ASGITransport(create_app(world.parts.api, world.telemetry), client=("127.0.0.1", 4711))
    async with httpx.AsyncClient(transport=transport, base_url="http://vpcep.test") as http:
        answer = await http.get("/metrics")

    assert answer.status_code == 404
