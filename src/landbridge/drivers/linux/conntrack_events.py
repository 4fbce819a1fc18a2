"""Hear from the kernel when connections end, in every edge of a region.

One thread, one socket for each edge, opened inside it. Nothing here can hold up a packet: when we are too slow, the
kernel drops what it would tell us and says that it did. Edges that come and go are noticed by themselves within
seconds, and at once by whoever calls `edges_changed`.
"""

import contextlib
import errno
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Protocol

from landbridge.dataplane.flows import EndedConnection
from landbridge.domain.ids import VpcId
from landbridge.drivers.linux import ownership, sysctl
from landbridge.drivers.linux.conntrack import NETLINK_NETFILTER
from landbridge.drivers.linux.conntrack_messages import DELETE, ConnectionReader, messages
from landbridge.drivers.linux.elements import HUB
from landbridge.drivers.linux.namespaces import Namespaces, NoSuchNamespace

_SOL_NETLINK, _ADD_MEMBERSHIP = 270, 1
_SO_RCVBUFFORCE = 33
_GROUP_DESTROY = 3
BUFFER_BYTES = 8 << 20
"""What the kernel may keep for us in each edge: about 10,000 ends. Taken only while it is needed."""
_RECEIVE_BYTES = 1 << 16
_BATCH = 4096
"""Messages of one edge before it is another one's turn."""
_GATHER_SECONDS = 0.02
"""Ends come in bursts: to wake once for hundreds of them costs less than to wake for each."""
_TICK_SECONDS = 0.5
_LOOK_SECONDS = 5.0
# Connections that were opened while nobody listened must tell of their ends, too: a server may have been away.
_SETTINGS = {"netfilter/nf_conntrack_events": "1"}


class EndingsSink(Protocol):
    """Who hears of connections that ended. Called by one thread; must not raise, and should not take long."""

    def ended(self, vpc_id: VpcId, connections: Collection[EndedConnection]) -> None:
        """Connections of endpoints in a VPC have ended."""
        ...

    def lost(self, vpc_id: VpcId) -> None:
        """Connections in a VPC have ended, and the kernel could not tell us which."""
        ...

    def tick(self) -> None:
        """A little time has passed; comes at least every second."""
        ...


@dataclass(slots=True)
class _Watched:
    vpc_id: VpcId
    identity: int
    socket: socket.socket


class ConntrackEvents:
    """Listens in all edges of one region that belong to one instance, until it is closed."""

    def __init__(
        self,
        namespaces: Namespaces,
        instance: str,
        region: str,
        sink: EndingsSink,
        clock_ns: Callable[[], int] = time.time_ns,
        buffer_bytes: int = BUFFER_BYTES,
    ) -> None:
        self._namespaces = namespaces
        self._instance = instance
        self._prefix = ownership.edge_prefix(region)
        self._sink = sink
        self._clock_ns = clock_ns
        self._buffer_bytes = buffer_bytes
        self._reader = ConnectionReader()
        self._watched: dict[str, _Watched] = {}
        self._foreign: dict[str, int] = {}
        self._told: Collection[str] | None = None
        self._is_closing = False
        self._selector = selectors.DefaultSelector()
        self._wake_reader, self._wake_writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._selector.register(self._wake_reader, selectors.EVENT_READ, None)
        self._look(self._names())
        self._thread = threading.Thread(target=self._run, name="flow-events", daemon=True)
        self._thread.start()

    def edges_changed(self, names: Collection[str]) -> None:
        """Take note of the names of all edges' namespaces that there are now; returns at once, from any thread."""
        self._told = frozenset(names)
        self._wake()

    def watched(self) -> frozenset[VpcId]:
        """Return the VPCs in whose edges somebody listens."""
        return frozenset(one.vpc_id for one in list(self._watched.values()))

    def close(self) -> None:
        """Stop listening, after taking in what the kernel has told already."""
        self._is_closing = True
        self._wake()
        self._thread.join()
        for name in list(self._watched):
            self._forget(name)
        self._selector.close()
        os.close(self._wake_reader)
        os.close(self._wake_writer)

    def _wake(self) -> None:
        # A full pipe wakes, too.
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake_writer, b"!")

    def _run(self) -> None:
        look_at = time.monotonic() + _LOOK_SECONDS
        while not self._is_closing:
            ready = self._selector.select(_TICK_SECONDS)
            if any(key.data is not None for key, _ in ready):
                time.sleep(_GATHER_SECONDS)
            for key, _ in ready:
                if key.data is None:
                    with contextlib.suppress(BlockingIOError):
                        os.read(self._wake_reader, 4096)
                else:
                    self._drain(key.data, _BATCH)
            told, self._told = self._told, None
            if told is not None:
                self._look(told)
            elif time.monotonic() >= look_at:
                self._look(self._names())
            else:
                self._sink.tick()
                continue
            look_at = time.monotonic() + _LOOK_SECONDS
            self._sink.tick()
        for watched in list(self._watched.values()):
            self._drain(watched, 1 << 20)

    def _names(self) -> list[str]:
        return [name for name in self._namespaces.names() if name.startswith(self._prefix)]

    def _look(self, names: Collection[str]) -> None:
        """Listen in those edges and in no others. An open socket would keep the namespace of a removed one alive."""
        here = {name: self._namespaces.identity(name) for name in names}
        for name, watched in list(self._watched.items()):
            if here.get(name) != watched.identity:
                self._drain(watched, 1 << 20)
                self._forget(name)
        for name in [name for name, identity in self._foreign.items() if here.get(name) != identity]:
            del self._foreign[name]
        for name, identity in here.items():
            if identity is not None and name not in self._watched and name not in self._foreign:
                self._watch(name, identity)

    def _watch(self, name: str, identity: int) -> None:
        vpc_id = VpcId(name.removeprefix(self._prefix))
        try:
            is_ours = vpc_id != HUB and ownership.is_ours(self._namespaces, name, self._instance)
            opened = self._namespaces.inside(name, lambda: _listen(self._buffer_bytes)) if is_ours else None
        except (OSError, NoSuchNamespace):
            return  # it went, or is not ready; the next look tells
        except ownership.NamespaceTaken:
            opened = None
        if opened is None:
            self._foreign[name] = identity
            return
        self._watched[name] = watched = _Watched(vpc_id, identity, opened)
        self._selector.register(opened, selectors.EVENT_READ, watched)

    def _forget(self, name: str) -> None:
        watched = self._watched.pop(name)
        self._selector.unregister(watched.socket)
        watched.socket.close()

    def _drain(self, watched: _Watched, most: int) -> None:
        found: list[EndedConnection] = []
        for _ in range(most):
            try:
                data = watched.socket.recv(_RECEIVE_BYTES)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno == errno.ENOBUFS:
                    self._sink.lost(watched.vpc_id)
                    continue
                break
            for message in messages(data):
                if message.kind == DELETE:
                    ended = self._reader.ended(data, message)
                    # Without a mark it is not an endpoint's.
                    if ended.connection.mark:
                        found.append(ended if ended.ended_ns else ended._replace(ended_ns=self._clock_ns()))
        if found:
            self._sink.ended(watched.vpc_id, found)


def _listen(buffer_bytes: int) -> socket.socket:
    sysctl.write(_SETTINGS)
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_NETFILTER)
    try:
        try:
            opened.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, buffer_bytes)
        except PermissionError:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)  # as much as an ordinary user gets
        opened.bind((0, 0))
        opened.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, _GROUP_DESTROY)
        opened.setblocking(False)
    except BaseException:
        opened.close()
        raise
    return opened
