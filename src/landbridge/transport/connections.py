"""Bound what a connection may take before a request is complete: time, memory, and places.

uvicorn's own protocol, which waits for ever, with a deadline. What never became a request is refused in the shape of
all other refusals, which `refusal` makes.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Protocol, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from landbridge.domain.errors import MalformedRequest, RequestTimedOut, TooManyRequests, UserError

HEAD_LIMIT_BYTES = 64 * 1024
"""Of request line and headers, and of whatever else is no body. A token may have 16 KiB, so this is plenty."""

WAITING_LIMIT = 100
"""Requests of one connection that wait for their turn, because the client sent them before it had its answers."""

SMALL_BODY_BYTES = 64 * 1024
"""What every request may have, however much the others hold. Nearly all have less."""
LARGE_BODIES_LIMIT_BYTES = 128 * 1024 * 1024
"""Of all bodies together, beyond what is small of each."""


class Refusal(Protocol):
    """An answer, ready to be sent."""

    status_code: int
    raw_headers: Sequence[tuple[bytes, bytes]]
    body: bytes | memoryview


@dataclass(slots=True)
class LargeBodies:
    """What the unanswered requests of all connections hold of their bodies, beyond what is small."""

    held_bytes: int = 0


@dataclass(frozen=True, slots=True)
class ConnectionBounds:
    """How much a client may take."""

    request_timeout_seconds: float
    """From the first byte of a request (for the first one: from connecting) to the last one."""
    most_connections: int
    """More are closed at once."""
    large_bodies: LargeBodies = field(default_factory=LargeBodies)
    """Of all connections that have these bounds."""


class BoundedConnection(HttpToolsProtocol):
    """One client's connection."""

    def __init__(
        self, bounds: ConnectionBounds, refusal: Callable[[UserError], Refusal], **parts_of_uvicorn: Any
    ) -> None:
        super().__init__(**parts_of_uvicorn)
        self._bounds = bounds
        self._refusal = refusal
        self._deadline: asyncio.TimerHandle | None = None
        self._is_in_request = False
        self._is_in_head = False
        self._has_got_on = False
        self._idle_bytes = 0
        self._body_bytes = 0
        self._held_bytes = 0

    def connection_made(self, transport: Any) -> None:
        """A client has connected, its TLS handshake is done."""
        super().connection_made(transport)
        if len(self.connections) > self._bounds.most_connections:
            transport.abort()
            return
        self._start_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is over."""
        self._stop_deadline()
        self._hold(0)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse the next bytes, and count them as long as neither the head ends nor a byte of the body comes.

        What could go on for ever is a head, but also the size of a chunk, and the trailers behind the last one.
        """
        self._has_got_on = False
        super().data_received(data)
        self._idle_bytes = 0 if self._has_got_on or not self._is_in_request else self._idle_bytes + len(data)
        if self._idle_bytes > HEAD_LIMIT_BYTES:
            self._refuse(
                MalformedRequest(
                    f"request line and headers, or what stands around a body, are longer than "
                    f"{HEAD_LIMIT_BYTES // 1024} KiB: send less"
                )
            )

    def on_message_begin(self) -> None:
        """Notice the first byte of a request."""
        super().on_message_begin()
        self._is_in_request = self._is_in_head = self._has_got_on = True
        if self._deadline is None:
            self._start_deadline()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header. A trailer is dropped: behind the body nobody has looked for headers yet, a proxy neither."""
        if self._is_in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Notice the end of its head."""
        self._is_in_head = False
        self._has_got_on = True
        if self.parser is not None and self.parser.should_upgrade() and self._announces_a_body():
            # The parser takes what follows for another protocol. As we go on with HTTP, it would be the next request.
            self._refuse(MalformedRequest("only HTTP/1.1 is spoken here: leave the header Upgrade out"))
            return
        super().on_headers_complete()
        if len(self.pipeline) > WAITING_LIMIT:
            # uvicorn reads on with each answer, and so keeps all that come faster than it answers. Which answer the
            # client would take a refusal for is anybody's guess. What is raised stops the parser.
            self.transport.abort()
            raise ConnectionAbortedError(f"more than {WAITING_LIMIT} requests wait on one connection")

    def on_body(self, body: bytes) -> None:
        """Keep a part of its body, if there is room: strangers may send bodies too, and leave them unfinished."""
        self._has_got_on = True
        super().on_body(body)
        if self.cycle.response_complete:
            return
        self._hold(self._body_bytes + len(body))
        if self._held_bytes and self._bounds.large_bodies.held_bytes > LARGE_BODIES_LIMIT_BYTES:
            self._refuse(TooManyRequests("too many large requests are under way: try again in 1 s", 1))

    def on_response_complete(self) -> None:
        """Forget the body of a request that has been answered."""
        self._hold(0)
        super().on_response_complete()

    def on_message_complete(self) -> None:
        """Notice its end."""
        self._is_in_request = False
        self._stop_deadline()
        # One that was refused while it came has nobody who waits for its end.
        if not self.transport.is_closing():
            super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP; uvicorn's own words are plain text."""
        self._refuse(MalformedRequest("this is no HTTP/1.1 request: check the request line, its URL and the headers"))

    def _announces_a_body(self) -> bool:
        headers = dict(self.headers)
        return b"transfer-encoding" in headers or headers.get(b"content-length", b"0").strip(b"0") != b""

    def _hold(self, body_bytes: int) -> None:
        """Note how much of bodies this connection holds."""
        self._body_bytes = body_bytes
        held_bytes = max(0, body_bytes - SMALL_BODY_BYTES)
        self._bounds.large_bodies.held_bytes += held_bytes - self._held_bytes
        self._held_bytes = held_bytes

    def _start_deadline(self) -> None:
        self._deadline = self.loop.call_later(self._bounds.request_timeout_seconds, self._give_up)

    def _stop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        if self._is_in_request:
            seconds = self._bounds.request_timeout_seconds
            self._refuse(RequestTimedOut(f"the request was not complete within {seconds:g} s: send it faster"))
        else:
            # Nothing was asked. An answer would be taken for that of the next request.
            self.transport.close()

    def _refuse(self, error: UserError) -> None:
        if self.transport.is_closing():
            return
        # uvicorn's type says that there is always one; there is none before the first head is complete.
        cycle = cast("RequestResponseCycle | None", self.cycle)
        if cycle is None or cycle.response_complete or not cycle.response_started:
            answer = self._refusal(error)
            status = f"HTTP/1.1 {answer.status_code} {HTTPStatus(answer.status_code).phrase}".encode()
            headers = [*self.server_state.default_headers, *answer.raw_headers, (b"connection", b"close")]
            lines = [status, *(name + b": " + value for name, value in headers)]
            self.transport.write(b"\r\n".join(lines) + b"\r\n\r\n" + bytes(answer.body))
        self.transport.close()
