"""Feed Envoy over a unix socket: delta xDS on one stream, and take its access log on others.

Envoy connects to us, whenever it starts and whenever we do. What to send is decided in `world`; here are the threads,
the socket, and the waiting for Envoy's answers.
"""

import contextlib
import os
import stat
import threading
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address
from itertools import count
from pathlib import Path
from typing import Any

import grpc

from landbridge.drivers.envoy import messages
from landbridge.drivers.envoy.access_log import Unreadable, connections
from landbridge.drivers.envoy.listeners import ProxiedConnection, ProxyListener, ProxyUnavailable, TlvDialects
from landbridge.drivers.envoy.world import Delivery, World
from landbridge.drivers.envoy.xds import Renderer, ResourceType

STALL_SECONDS = 3.0
"""How long a change waits for a sign of Envoy before it is given up."""

_SILENCE = "the proxy does not answer; it is tried again by itself"
# One stream of each worker of Envoy, old ones that end, and ours.
_THREADS = 64
_OPTIONS = [
    ("grpc.so_reuseport", 0),
    # The first request names everything that Envoy has: 2 MB for 6,000 listeners.
    ("grpc.max_receive_message_length", 64 * 2**20),
    ("grpc.max_send_message_length", 64 * 2**20),
]
# One second of draining, see `startup.command`, and something for Envoy's threads.
_CLOSING_SECONDS = 2.0
_LONGEST_SOCKET_PATH = 107  # unix(7)
_TYPES = {str(kind): kind for kind in ResourceType}
_socket_numbers = count()


class XdsServer:
    """Tells one Envoy what to listen for; a `landbridge.drivers.envoy.listeners.Feed`.

    `on_connection` is called from threads of this server, in the order in which each of Envoy's threads saw things;
    it must not block and must not raise.
    """

    def __init__(
        self,
        socket: Path,
        dialects: TlvDialects,
        listeners_limit: int,
        on_connection: Callable[[ProxiedConnection], None],
        stall_seconds: float = STALL_SECONDS,
    ) -> None:
        """Listen on `socket`, in place of who did before. Raises ProxyUnavailable."""
        self._renderer = Renderer(dialects)
        self._world = World(self._renderer.versions)
        self._limit = listeners_limit
        self._on_connection = on_connection
        self._stall_seconds = stall_seconds
        self._changed = threading.Condition()
        self._stream: object | None = None
        self._parted: dict[tuple[str, IPv4Address, int], tuple[int, float]] = {}
        self._sign_count = 0
        self._unreadable_count = 0
        self._server = grpc.server(ThreadPoolExecutor(_THREADS, "envoy-feed"), options=_OPTIONS)
        self._server.add_generic_rpc_handlers(self._handlers())
        self._listen(socket)

    @property
    def unreadable_count(self) -> int:
        """How many entries of Envoy's access log could not be read."""
        return self._unreadable_count

    @property
    def is_connected(self) -> bool:
        """Say whether an Envoy listens to us."""
        return self._stream is not None

    @property
    def wanted_count(self) -> int:
        """How many listeners there should be."""
        return len(self._world.wanted)

    def change(self, removals: Collection[str], additions: Collection[ProxyListener]) -> dict[str, str]:
        """Change listeners and wait for Envoy; see `Feed.change`."""
        added = {listener.name: listener for listener in additions}
        failures: dict[str, str] = {}
        with self._changed:
            for name in set(removals) - added.keys():
                self._forget(name)
            self._wait_for_replaced_edges(added.values())
            for name, listener in added.items():
                if name not in self._world.wanted and len(self._world.wanted) >= self._limit:
                    failures[name] = f"the proxy has {self._limit} listeners, its limit: raise proxy_listeners_limit"
                else:
                    self._world.want(listener)
            self._changed.notify_all()
            failures |= self._wait_for((added.keys() | set(removals)) - failures.keys())
            for name in failures.keys() & added.keys():
                self._forget(name)
            self._changed.notify_all()
        return failures

    def forget(self, names: Collection[str]) -> None:
        """Want listeners no more without waiting; see `Feed.forget`."""
        with self._changed:
            for name in names:
                self._forget(name)
            self._changed.notify_all()

    def close(self) -> None:
        """Stop listening; Envoy goes on with what it has, and comes back to who listens next."""
        with self._changed:
            self._stream = None
            self._changed.notify_all()
        self._server.stop(grace=None).wait()

    def _listen(self, socket: Path) -> None:
        # gRPC removes the file of a server that ends, whoever has it by then: so each has one of its own, under
        # which it is born, and takes the common name as soon as it may be used by nobody but us.
        own = socket.with_name(f"{socket.name}.{os.getpid()}.{next(_socket_numbers)}")
        if len(os.fsencode(own)) > _LONGEST_SOCKET_PATH:
            raise ProxyUnavailable(f"the path {own} is too long for a socket: give a shorter --state")
        try:
            self._server.add_insecure_port(f"unix:{own}")
            self._server.start()
            own.chmod(stat.S_IRUSR | stat.S_IWUSR)
            own.replace(socket)
        except (RuntimeError, OSError) as error:
            self._server.stop(grace=None)
            raise ProxyUnavailable(f"cannot listen on {socket}: {error}") from error

    def _handlers(self) -> tuple[grpc.GenericRpcHandler, ...]:
        discovery = grpc.stream_stream_rpc_method_handler(
            self._serve_deltas,
            request_deserializer=messages.DeltaDiscoveryRequest.FromString,
            response_serializer=messages.DeltaDiscoveryResponse.SerializeToString,
        )
        log = grpc.stream_unary_rpc_method_handler(
            self._take_log,
            request_deserializer=messages.StreamAccessLogsMessage.FromString,
            response_serializer=messages.StreamAccessLogsResponse.SerializeToString,
        )
        return (
            grpc.method_handlers_generic_handler(
                "envoy.service.discovery.v3.AggregatedDiscoveryService", {"DeltaAggregatedResources": discovery}
            ),
            grpc.method_handlers_generic_handler(
                "envoy.service.accesslog.v3.AccessLogService", {"StreamAccessLogs": log}
            ),
        )

    def _serve_deltas(self, requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        stream = object()
        with self._changed:
            # Whoever comes last is the living one: a former stream is that of an Envoy that died.
            self._world.disconnect()
            self._stream = stream
            self._changed.notify_all()
        context.add_callback(lambda: self._end(stream))
        threading.Thread(target=self._hear, args=(stream, requests), name="envoy-answers", daemon=True).start()
        while (delivery := self._next_delivery(stream)) is not None:
            yield self._response(delivery)

    def _hear(self, stream: object, requests: Iterator[Any]) -> None:
        heard: set[ResourceType] = set()
        with contextlib.suppress(grpc.RpcError):  # how a stream ends whose other side has gone
            for request in requests:
                kind = _TYPES.get(request.type_url)
                with self._changed:
                    if self._stream is not stream:
                        break
                    if kind is not None and kind not in heard:
                        heard.add(kind)
                        self._world.subscribe(kind, request.initial_resource_versions)
                        self._sign_count += 1
                    elif request.response_nonce:
                        refusal = request.error_detail.message if request.HasField("error_detail") else None
                        self._sign_count += self._world.answer(request.response_nonce, refusal)
                    self._changed.notify_all()
        self._end(stream)

    def _end(self, stream: object) -> None:
        with self._changed:
            if self._stream is stream:
                self._stream = None
                self._world.disconnect()
                self._changed.notify_all()

    def _next_delivery(self, stream: object) -> Delivery | None:
        """Wait for something to send on a stream; None when it is not the one any more."""
        with self._changed:
            while self._stream is stream:
                delivery = self._world.next_delivery()
                if delivery is not None:
                    return delivery
                self._changed.wait()
        return None

    def _response(self, delivery: Delivery) -> Any:
        kind = delivery.resource_type
        return messages.DeltaDiscoveryResponse(
            nonce=delivery.nonce,
            type_url=kind,
            resources=[self._renderer.resource(kind, listener) for listener in delivery.changed.values()],
            removed_resources=delivery.removed,
        )

    def _forget(self, name: str) -> None:
        listener = self._world.wanted.get(name)
        if listener is not None:
            self._parted[_place(listener)] = (listener.namespace_identity, time.monotonic())
        self._world.forget(name)

    def _wait_for_replaced_edges(self, additions: Collection[ProxyListener]) -> None:
        """Let go of listeners in edges that were replaced under their name, until Envoy has closed their sockets.

        Envoy gives the sockets of a listener that goes to one that comes to the same address, also if the namespace
        behind the path is another one by now.
        """
        for listener in additions:
            former = self._world.wanted.get(listener.name)
            if former is not None and former.namespace_identity != listener.namespace_identity:
                self._forget(listener.name)
        self._changed.notify_all()
        now = time.monotonic()
        self._parted = {place: gone for place, gone in self._parted.items() if now - gone[1] < _CLOSING_SECONDS}
        moments = [
            gone[1]
            for listener in additions
            if (gone := self._parted.get(_place(listener))) and gone[0] != listener.namespace_identity
        ]
        if moments:
            deadline = max(moments) + _CLOSING_SECONDS
            while (remaining := deadline - time.monotonic()) > 0:
                self._changed.wait(remaining)

    def _wait_for(self, names: Collection[str]) -> dict[str, str]:
        """Wait until Envoy has answered for these names; return why some failed."""
        waiting = set(names)

        def is_answered() -> bool:
            waiting.difference_update(
                [name for name in waiting if self._world.is_done(name) or self._world.refusal(name) is not None]
            )
            return not waiting

        self._wait_until(is_answered)
        failures = dict.fromkeys(waiting, _SILENCE)
        for name in names:
            refusal = self._world.refusal(name)
            if refusal is not None:
                failures[name] = f"the proxy refused it: {refusal}"
        return failures

    def _wait_until(self, is_reached: Callable[[], bool]) -> None:
        """Wait with the lock held; give up after a while without any sign of Envoy."""
        signs, deadline = self._sign_count, time.monotonic() + self._stall_seconds
        while not is_reached():
            if self._sign_count != signs:
                signs, deadline = self._sign_count, time.monotonic() + self._stall_seconds
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return
            self._changed.wait(remaining)

    def _take_log(self, requests: Iterator[Any], _context: grpc.ServicerContext) -> Any:
        with contextlib.suppress(grpc.RpcError):
            for message in requests:
                for found in connections(message):
                    if isinstance(found, Unreadable):
                        with self._changed:
                            self._unreadable_count += 1
                    else:
                        self._on_connection(found)
        return messages.StreamAccessLogsResponse()


def _place(listener: ProxyListener) -> tuple[str, IPv4Address, int]:
    return listener.namespace, listener.address, listener.client_port
