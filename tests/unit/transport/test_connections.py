"""When the time of a connection runs and when it does not, by a clock that a test moves."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from landbridge.api.app import unread_request
from landbridge.transport.connections import BoundedConnection, ConnectionBounds

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@dataclass
class Timer:
    seconds: float
    then: Callable[[], None]
    is_cancelled: bool = False

    def cancel(self) -> None:
        self.is_cancelled = True


@dataclass
class HandMovedLoop:
    """Runs tasks as ever, and timers when told to."""

    timers: list[Timer] = field(default_factory=list)

    def call_later(self, seconds: float, then: Callable[[], None]) -> Timer:
        self.timers.append(Timer(seconds, then))
        return self.timers[-1]

    def create_task(self, coroutine: Any) -> asyncio.Task[None]:
        return asyncio.get_running_loop().create_task(coroutine)

    def running(self, seconds: float) -> list[Timer]:
        return [timer for timer in self.timers if timer.seconds == seconds and not timer.is_cancelled]


class Wire(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.is_closed = False

    def write(self, data: Any) -> None:
        self.written += data

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_closed = True

    def is_closing(self) -> bool:
        return self.is_closed

    def pause_reading(self) -> None:
        """Nothing is read here."""

    def resume_reading(self) -> None:
        """Nothing is read here."""


async def hello(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"hello"})


def connected(
    state: ServerState, most: int = 10, app: Any = hello, bounds: ConnectionBounds | None = None
) -> tuple[BoundedConnection, Wire, HandMovedLoop]:
    loop, wire = HandMovedLoop(), Wire()
    config = uvicorn.Config(app, log_config=None, lifespan="off", interface="asgi3", proxy_headers=False)
    bounds = bounds or ConnectionBounds(30, most)
    connection = BoundedConnection(bounds, unread_request, config=config, server_state=state, app_state={}, _loop=loop)
    connection.connection_made(wire)
    return connection, wire, loop


async def answered(state: ServerState) -> None:
    await asyncio.gather(*state.tasks)


async def test_each_request_has_a_time_of_its_own_and_the_pause_between_them_none():
    state = ServerState()
    connection, wire, loop = connected(state)
    assert len(loop.running(30)) == 1

    for number in range(3):
        connection.data_received(REQUEST[:7])
        assert len(loop.running(30)) == 1
        connection.data_received(REQUEST[7:])
        assert loop.running(30) == []
        await answered(state)
        assert wire.written.count(b"hello") == number + 1


async def test_a_request_that_takes_too_long_is_told_so_and_one_that_never_began_is_not():
    slow, slow_wire, slow_loop = connected(ServerState())
    silent_wire, silent_loop = connected(ServerState())[1:]
    slow.data_received(REQUEST[:7])

    for loop in (slow_loop, silent_loop):
        (timer,) = loop.running(30)
        timer.then()

    assert slow_wire.written.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert silent_wire.written == b""
    assert slow_wire.is_closed
    assert silent_wire.is_closed


async def test_a_head_is_bounded_and_a_body_of_the_same_size_is_not():
    state = ServerState()
    long_head, head_wire, _ = connected(state)
    long_body, body_wire, _ = connected(state)
    long_body.data_received(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n")

    long_head.data_received(b"GET / HTTP/1.1\r\n")
    for _ in range(20):
        long_head.data_received(b"X: " + b"a" * 9_995 + b"\r\n")
        long_body.data_received(b"a" * 10_000)
        if head_wire.is_closed:
            break
    await answered(state)

    assert b"longer than 64 KiB" in head_wire.written
    assert not body_wire.is_closed


CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"


@pytest.mark.parametrize(
    ("begin", "more"),
    [(b"0\r\n", b"X: " + b"a" * 9_995 + b"\r\n"), (b"0\r\nX: ", b"a" * 10_000), (b"2;a=", b"a" * 10_000)],
    ids=["trailers", "one-trailer", "chunk-extension"],
)
async def test_what_stands_around_a_body_is_bounded(begin: bytes, more: bytes):
    state = ServerState()
    connection, wire, _ = connected(state)
    connection.data_received(CHUNKED + begin)

    sent = 0
    while not wire.is_closed and sent < 1_000_000:
        connection.data_received(more)
        sent += len(more)
    await answered(state)

    assert wire.is_closed
    assert sent < 100_000


async def test_a_body_in_many_small_chunks_is_not_taken_for_a_head_without_end():
    state = ServerState()
    connection, wire, _ = connected(state)
    connection.data_received(CHUNKED)

    for _ in range(50):
        connection.data_received(b"1\r\na\r\n" * 1_000)
    connection.data_received(b"0\r\n\r\n")
    await answered(state)

    assert wire.written.endswith(b"hello")
    assert not wire.is_closed


async def test_a_trailer_is_no_header():
    seen: list[bytes] = []

    async def names(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["more_body"]:
            pass
        seen.extend(name for name, _ in scope["headers"])
        await hello(scope, receive, send)

    state = ServerState()
    connection, wire, _ = connected(state, app=names)

    connection.data_received(CHUNKED + b"0\r\nX-Auth-Token: forged\r\n\r\n")
    await answered(state)

    assert wire.written.endswith(b"hello")
    assert seen == [b"host", b"transfer-encoding"]


@pytest.mark.parametrize("length", [b"Content-Length: 37", b"Transfer-Encoding: chunked"])
async def test_the_body_of_a_request_for_another_protocol_is_no_request(length: bytes):
    state = ServerState()
    connection, wire, _ = connected(state)

    connection.data_received(
        b"POST / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n" + length + b"\r\n\r\n"
    )
    await answered(state)

    assert wire.written.startswith(b"HTTP/1.1 400 ")
    assert b"Upgrade" in wire.written
    assert b"hello" not in wire.written
    assert wire.is_closed


async def test_a_request_that_would_rather_speak_another_protocol_is_answered_in_this_one():
    state = ServerState()
    connection, wire, _ = connected(state)
    wish = b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 0\r\n"

    for _ in range(2):
        connection.data_received(b"GET / HTTP/1.1\r\nHost: x\r\n" + wish + b"\r\n")
        await answered(state)

    assert wire.written.count(b"hello") == 2


async def test_a_client_may_send_some_requests_ahead_and_not_any_number():
    state = ServerState()
    patient, patient_wire, _ = connected(state)
    hasty, hasty_wire, _ = connected(state)

    patient.data_received(REQUEST * 100)
    hasty.data_received(REQUEST * 10_000)
    while state.tasks:
        await answered(state)

    assert patient_wire.written.count(b"hello") == 100
    assert not patient_wire.is_closed
    assert hasty_wire.is_closed
    assert len(hasty.pipeline) <= 101


POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"
SMALL_POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody"


async def reading(scope: Any, receive: Any, send: Any) -> None:
    """Answer when the whole body is there."""
    while (message := await receive()).get("more_body"):
        pass
    if message["type"] == "http.request":
        await hello(scope, receive, send)


async def test_unfinished_bodies_have_a_bound_together_that_small_ones_do_not_feel():
    state, bounds = ServerState(), ConnectionBounds(30, 1_000)
    held = [connected(state, app=reading, bounds=bounds) for _ in range(200)]

    for connection, wire, _ in held:
        connection.data_received(POST)
        while not wire.is_closed and connection.cycle.body.count(b"a") < 900_000:
            connection.data_received(b"a" * 100_000)
        if wire.is_closed:
            connection.connection_lost(None)
    small, small_wire, _ = connected(state, app=reading, bounds=bounds)
    small.data_received(SMALL_POST)
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    refused = [wire.written for _, wire, _ in held if wire.is_closed]
    assert 0 < len(refused) < 100
    assert 100 * 1024 * 1024 < bounds.large_bodies.held_bytes < 130 * 1024 * 1024
    assert all(b"400 Bad Request" in answer and b"retry-after: 1" in answer for answer in refused)
    assert small_wire.written.endswith(b"hello")
    for connection, wire, _ in held:
        if not wire.is_closed:
            connection.connection_lost(None)
    await answered(state)
    assert bounds.large_bodies.held_bytes == 0


async def test_an_answered_body_takes_no_room():
    state, bounds = ServerState(), ConnectionBounds(30, 1_000)
    connection, wire, _ = connected(state, app=reading, bounds=bounds)

    for _ in range(3):
        connection.data_received(POST + b"a" * 500_000)
        assert bounds.large_bodies.held_bytes > 0
        connection.data_received(b"a" * 500_000)
        await answered(state)

    assert wire.written.count(b"hello") == 3
    assert bounds.large_bodies.held_bytes == 0


async def test_a_place_too_many_is_closed_at_once():
    state = ServerState()
    first, second = connected(state, most=1)[1], connected(state, most=1)[1]

    assert not first.is_closed
    assert second.is_closed


async def test_a_connection_that_is_gone_leaves_no_timer():
    connection, _, loop = connected(ServerState())

    connection.connection_lost(None)

    assert loop.running(30) == []
