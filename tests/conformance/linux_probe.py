"""Open real sockets inside the hosts' network namespaces, and serve and ask through them.

A socket stays in the namespace in which it was opened, so each host has one thread that enters its namespace for good
and only opens sockets; one event loop, in a thread of its own, listens, connects and counts for all of them. Entering
is done here and not with the driver's own code, so that a fault there is seen.
"""

import asyncio
import ctypes
import os
import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv6Address
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from conformance import topology
from conformance.world import (
    BRIEFLY,
    ICMP,
    ICMP_ERROR,
    PATIENTLY,
    TCP,
    UDP,
    Answer,
    Arrival,
    Attempt,
    Emission,
    Exchange,
    Flow,
)

T = TypeVar("T")

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)

_TICK_SECONDS = 0.01
_RECORD = b"0123456789"
_SIGN_OF_LIFE_BYTES = 3 * len(_RECORD)
_CHUNK = 1 << 16
_FOR_THIS_HOST = 0  # PACKET_HOST, see packet(7)
_ETHERTYPE_IPV4 = 0x0800
_MARK = 0x44
"""Type-of-service byte of emitted packets; translation leaves it alone, and nothing else here has it."""
_SO_ATTACH_FILTER = 26
_PROTOCOL_NUMBERS = {
    TCP: socket.IPPROTO_TCP,
    UDP: socket.IPPROTO_UDP,
    ICMP: socket.IPPROTO_ICMP,
    ICMP_ERROR: socket.IPPROTO_ICMP,
}
_FIRST_FRAGMENT_BYTES = 16
_MORE_FRAGMENTS = 0x2000
_FLAG_BITS = {"S": 0x02, "A": 0x10}


def enter_network_namespace(path: Path) -> None:
    """Move the calling thread, for good."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _libc.setns(descriptor, _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"setns {path}")
    finally:
        os.close(descriptor)


_PORT_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
"""Of the namespace of the thread that opens it. Tests choose ports below, so that the kernel never has one of them."""


class HostSockets:
    """A host's network namespace, as a place to open sockets in."""

    def __init__(self, name: str, namespace: Path) -> None:
        self.name = name
        self.address = topology.address_of(name)
        self._thread = ThreadPoolExecutor(1, f"host {name}", enter_network_namespace, (namespace,))
        self.inside(lambda: _PORT_RANGE.write_text("50000 60999"))

    def inside(self, function: Callable[[], T]) -> T:
        return self._thread.submit(function).result(PATIENTLY)

    def socket(self, family: int, kind: int, protocol: int = 0) -> socket.socket:
        opened = self.inside(lambda: socket.socket(family, kind, protocol))
        opened.setblocking(False)
        return opened

    def close(self) -> None:
        self._thread.shutdown()


class End:
    """One end of an established connection: counts what arrives, and may send without a stop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, connection: socket.socket) -> None:
        self._loop = loop
        self._connection = connection
        self._ticking: asyncio.TimerHandle | None = None
        self.received = 0
        self.is_open = True
        loop.add_reader(connection, self.drain)

    def drain(self) -> None:
        """Count everything that has arrived by now."""
        while self.is_open:
            try:
                data = self._connection.recv(_CHUNK)
            except BlockingIOError:
                return
            except OSError:
                self.close()
                return
            if not data:
                self.close()
                return
            self.received += len(data)

    def keep_sending(self) -> None:
        if not self.is_open:
            return
        try:
            self._connection.send(_RECORD)
        except BlockingIOError:
            pass  # the buffer is full of what nobody acknowledges
        except OSError:
            self.close()
            return
        self._ticking = self._loop.call_later(_TICK_SECONDS, self.keep_sending)

    def close(self) -> None:
        if self.is_open:
            self.is_open = False
            if self._ticking is not None:
                self._ticking.cancel()
            self._loop.remove_reader(self._connection)
            _abort(self._connection)


class LinuxFlow:
    def __init__(self, probe: "LinuxProbe", client: End, backend: End, seen_source: tuple[IPv4Address, int]) -> None:
        self._probe = probe
        self.client, self.backend = client, backend
        self.seen_source = seen_source

    def is_alive(self) -> bool:
        return self._probe.run(self._is_alive())

    async def _is_alive(self) -> bool:
        deadline, before = time.monotonic() + PATIENTLY, self._received()
        while time.monotonic() < deadline:
            await asyncio.sleep(_TICK_SECONDS)
            after = self._received()
            if all(now - then >= _SIGN_OF_LIFE_BYTES for now, then in zip(after, before, strict=True)):
                return True
        return False

    def exchange(self, seconds: float) -> Exchange:
        return self._probe.run(self._exchange(seconds))

    async def _exchange(self, seconds: float) -> Exchange:
        before = self._received()
        await asyncio.sleep(seconds)
        after = self._received()
        return Exchange(after[0] - before[0], after[1] - before[1])

    def _received(self) -> tuple[int, int]:
        self.backend.drain()
        self.client.drain()
        return self.backend.received, self.client.received

    def close(self) -> None:
        self.client.close()
        self.backend.close()


class LinuxProbe:
    """All hosts of the topology, serving and asking."""

    def __init__(self, namespace_of: Callable[[str], Path]) -> None:
        self.hosts = {name: HostSockets(name, namespace_of(name)) for name in topology.host_names()}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="probe")
        self._thread.start()
        self._sockets: list[socket.socket] = []
        self._accepted: dict[tuple[str, int, str, int], End] = {}
        self._flows: list[LinuxFlow] = []
        self._bulk_tasks: set[asyncio.Task[None]] = set()
        self._tokens = count(random.getrandbits(31))
        self._sought: dict[int, asyncio.Future[Arrival]] = {}
        self._raw = {
            name: self._keep(host, socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
            for name, host in self.hosts.items()
        }
        self._stores: dict[str, socket.socket] = {}
        for host in self.hosts.values():
            self._serve(host)
            self._watch(host)

    def run(self, work: Coroutine[Any, Any, T], seconds: float = 30.0) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(seconds)

    def _keep(self, host: HostSockets, family: int, kind: int, protocol: int = 0) -> socket.socket:
        opened = host.socket(family, kind, protocol)
        self._sockets.append(opened)
        return opened

    # Serving

    def _serve(self, host: HostSockets) -> None:
        for port in (*topology.SERVER_PORTS, topology.BULK_PORT):
            listening = self._keep(host, socket.AF_INET, socket.SOCK_STREAM)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(("0.0.0.0", port))
            listening.listen(64)
            self._loop.call_soon_threadsafe(self._loop.add_reader, listening, self._accept, host, listening, port)
        for port in topology.SERVER_PORTS:
            bound = self._keep(host, socket.AF_INET, socket.SOCK_DGRAM)
            bound.bind(("0.0.0.0", port))
            self._loop.call_soon_threadsafe(self._loop.add_reader, bound, self._answer_datagram, host, bound, port)

    def _accept(self, host: HostSockets, listening: socket.socket, port: int) -> None:
        try:
            connection, (peer, peer_port) = listening.accept()
        except OSError:
            return  # it was reset before we looked
        connection.setblocking(False)
        if port == topology.BULK_PORT:
            task = self._loop.create_task(_serve_bulk(connection))
            self._bulk_tasks.add(task)
            task.add_done_callback(self._bulk_tasks.discard)
            return
        end = End(self._loop, connection)
        key = host.name, port, peer, peer_port
        if key in self._accepted:
            self._accepted[key].close()
        self._accepted[key] = end
        connection.send(f"{host.name} {port} {peer} {peer_port}\n".encode())

    def _answer_datagram(self, host: HostSockets, bound: socket.socket, port: int) -> None:
        _, (peer, peer_port) = bound.recvfrom(_CHUNK)
        bound.sendto(f"{host.name} {port} {peer} {peer_port}\n".encode(), (peer, peer_port))

    # Connecting

    async def _connect(self, attempt: Attempt) -> tuple[socket.socket, str]:
        connection = self.hosts[attempt.host].socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            if attempt.source_port is not None:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                connection.bind((str(self.hosts[attempt.host].address), attempt.source_port))
            await self._loop.sock_connect(connection, (str(attempt.address), attempt.port))
            line = b""
            while not line.endswith(b"\n"):
                data = await self._loop.sock_recv(connection, 1)
                if not data:
                    raise ConnectionResetError("closed before an answer")
                line += data
        except BaseException:
            _abort(connection)
            raise
        return connection, line.decode()

    async def _attempt(self, attempt: Attempt, seconds: float) -> Answer | None:
        try:
            async with asyncio.timeout(seconds):
                connection, line = await self._connect(attempt)
        except OSError:  # a time-out is one too
            return None
        host, port, source, _ = line.split()
        _abort(connection)
        return Answer(host, int(port), IPv4Address(source))

    def reach_each(self, attempts: Sequence[Attempt], timeout: float) -> list[Answer | None]:
        async def all_of_them() -> list[Answer | None]:
            return await asyncio.gather(*(self._attempt(attempt, timeout) for attempt in attempts))

        return self.run(all_of_them())

    def refuses_each(self, attempts: Sequence[Attempt]) -> list[bool]:
        async def knock(attempt: Attempt) -> bool:
            try:
                async with asyncio.timeout(BRIEFLY):
                    connection, _ = await self._connect(attempt)
            except TimeoutError:
                return False
            except OSError:
                return True
            _abort(connection)
            return False

        async def all_of_them() -> list[bool]:
            return await asyncio.gather(*map(knock, attempts))

        return self.run(all_of_them())

    def open(self, host: str, address: IPv4Address, port: int, source_port: int | None = None) -> Flow:
        async def connect() -> LinuxFlow:
            began = time.monotonic()
            try:
                async with asyncio.timeout(PATIENTLY):
                    connection, line = await self._connect(Attempt(host, address, port, source_port))
            except OSError as error:
                error.add_note(f"of {len(self._flows) + 1} flows the last, after {time.monotonic() - began:.3f} s")
                raise
            backend, server_port, source, seen_port = line.split()
            accepted = self._accepted[backend, int(server_port), source, int(seen_port)]
            flow = LinuxFlow(self, End(self._loop, connection), accepted, (IPv4Address(source), int(seen_port)))
            flow.client.keep_sending()
            flow.backend.keep_sending()
            return flow

        flow = self.run(connect())
        self._flows.append(flow)
        return flow

    def ask_by_udp(self, host: str, address: IPv4Address, port: int, timeout: float = BRIEFLY) -> Answer | None:
        async def ask() -> Answer | None:
            asking = self.hosts[host].socket(socket.AF_INET, socket.SOCK_DGRAM)
            try:
                asking.connect((str(address), port))
                asking.send(b"?")
                async with asyncio.timeout(timeout):
                    line = await self._loop.sock_recv(asking, _CHUNK)
            except OSError:
                return None
            finally:
                asking.close()
            name, server_port, source, _ = line.decode().split()
            return Answer(name, int(server_port), IPv4Address(source))

        return self.run(ask())

    def ping_each(self, pings: Sequence[tuple[str, IPv4Address]]) -> list[bool]:
        async def all_of_them() -> list[bool]:
            return await asyncio.gather(*(self._ping(host, address) for host, address in pings))

        return self.run(all_of_them())

    async def _ping(self, host: str, address: IPv4Address) -> bool:
        asking = self.hosts[host].socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        token = struct.pack("!I", next(self._tokens) & 0xFFFFFFFF)
        try:
            asking.sendto(_icmp_echo(token), (str(address), 0))
            async with asyncio.timeout(BRIEFLY):
                while True:
                    packet = await self._loop.sock_recv(asking, _CHUNK)
                    if packet[20] == 0 and packet[28:32] == token and packet[12:16] == address.packed:
                        return True
        except OSError:  # a time-out is one too
            return False
        finally:
            asking.close()

    async def _transfer(self, host: str, address: IPv4Address, port: int, order: bytes, size: int) -> None:
        connection = self.hosts[host].socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            await self._loop.sock_connect(connection, (str(address), port))
            await self._loop.sock_sendall(connection, order + size.to_bytes(8, "big"))
            if order == _UPLOAD:
                await self._loop.sock_sendall(connection, bytes(size))
                await _receive(connection, 1)
            else:
                await _receive(connection, size)
        finally:
            _abort(connection)

    def transfer(
        self, host: str, address: IPv4Address, port: int, size: int, *, is_upload: bool, timeout: float
    ) -> float | None:
        """Move bytes to or from a host's bulk port; return the seconds it took, None if it stalls."""

        async def timed() -> float | None:
            began = time.monotonic()
            try:
                async with asyncio.timeout(timeout):
                    await self._transfer(host, address, port, _UPLOAD if is_upload else _DOWNLOAD, size)
            except TimeoutError:
                return None
            return time.monotonic() - began

        return self.run(timed(), timeout + PATIENTLY)

    def link_local_addresses(self, host: str) -> set[str]:
        """Return a host's own IPv6 addresses, empty as long as it has none that it may use."""
        in_use = [
            line.split()
            for line in self.hosts[host].inside(Path("/proc/thread-self/net/if_inet6").read_text).splitlines()
        ]
        tentative = 0x40
        return {
            str(IPv6Address(bytes.fromhex(address)))
            for address, _, _, _, flags, name in in_use
            if name == "eth0" and not int(flags, 16) & tentative
        }

    def ipv6_neighbours(self, host: str) -> set[str]:
        """Return the IPv6 addresses of all that answer an echo request to everybody on the wire."""

        async def ask() -> set[str]:
            asking = self.hosts[host].socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
            found: set[str] = set()
            try:
                index = self.hosts[host].inside(lambda: socket.if_nametoindex("eth0"))
                asking.sendto(struct.pack("!BBHHH", 128, 0, 0, 1, 1), ("ff02::1", 0, 0, index))
                async with asyncio.timeout(BRIEFLY):
                    while True:
                        packet, (address, *_) = await self._loop.sock_recvfrom(asking, _CHUNK)
                        if packet[0] == 129:
                            found.add(address.partition("%")[0])
            except TimeoutError:
                return found
            finally:
                asking.close()

        return self.run(ask())

    # Single packets

    def _watch(self, host: HostSockets) -> None:
        watching = self._keep(host, socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETHERTYPE_IPV4))
        _accept_marked_only(watching)
        self._loop.call_soon_threadsafe(self._loop.add_reader, watching, self._note_arrival, host, watching)

    def _note_arrival(self, host: HostSockets, watching: socket.socket) -> None:
        packet, (_, _, kind, *_) = watching.recvfrom(_CHUNK)
        is_echo_reply = packet[9] == socket.IPPROTO_ICMP and packet[20] == 0
        if kind != _FOR_THIS_HOST or is_echo_reply:
            return
        token, source_port, destination_port = _identify(packet)
        sought = self._sought.get(token)
        if sought is not None and not sought.done():
            sought.set_result(
                Arrival(
                    host.name,
                    IPv4Address(packet[12:16]),
                    source_port,
                    IPv4Address(packet[16:20]),
                    destination_port,
                )
            )

    async def _emit(self, emission: Emission) -> Arrival | None:
        token = next(self._tokens) & 0xFFFFFFFF
        sought = self._sought[token] = self._loop.create_future()
        for packet in _packets(emission, token):
            await self._loop.sock_sendto(self._raw[emission.host], packet, (str(emission.destination), 0))
        try:
            async with asyncio.timeout(BRIEFLY):
                return await sought
        except TimeoutError:
            return None
        finally:
            del self._sought[token]

    def emit_each(self, emissions: Sequence[Emission]) -> list[Arrival | None]:
        async def all_of_them() -> list[Arrival | None]:
            return await asyncio.gather(*map(self._emit, emissions))

        return self.run(all_of_them())

    # Ending

    def close_flows(self) -> None:
        async def close() -> None:
            for flow in self._flows:
                flow.close()
            for end in self._accepted.values():
                end.close()
            self._flows.clear()
            self._accepted.clear()

        self.run(close())

    def close(self) -> None:
        self.close_flows()

        async def stop() -> None:
            for opened in self._sockets:
                self._loop.remove_reader(opened)
                opened.close()
            for task in list(self._bulk_tasks):
                task.cancel()
            await asyncio.gather(*self._bulk_tasks, return_exceptions=True)

        self.run(stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENTLY)
        self._loop.close()
        for host in self.hosts.values():
            host.close()


_UPLOAD, _DOWNLOAD = b"U", b"D"


async def _serve_bulk(connection: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    try:
        header = await _receive(connection, 9)
        order, size = header[:1], int.from_bytes(header[1:], "big")
        if order == _UPLOAD:
            await _receive(connection, size)
            await loop.sock_sendall(connection, b".")
            await loop.sock_recv(connection, 1)
        else:
            await loop.sock_sendall(connection, bytes(size))
            await loop.sock_recv(connection, 1)
    except OSError:
        pass  # the client has seen enough
    finally:
        _abort(connection)


async def _receive(connection: socket.socket, size: int) -> bytes:
    """Return the first bytes of so many received."""
    loop = asyncio.get_running_loop()
    first, received = b"", 0
    while received < size:
        data = await loop.sock_recv(connection, min(_CHUNK, size - received))
        if not data:
            raise ConnectionResetError("closed in the middle")
        first = first or data
        received += len(data)
    return first


def _abort(connection: socket.socket) -> None:
    """Close with a reset: nothing lingers, and the same ports can be used again at once."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def _checksum(data: bytes) -> int:
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _icmp_echo(token: bytes) -> bytes:
    identifier = random.getrandbits(16)
    head = struct.pack("!BBHHH", 8, 0, 0, identifier, 1)
    return struct.pack("!BBHHH", 8, 0, _checksum(head + token), identifier, 1) + token


def _packets(emission: Emission, token: int) -> list[bytes]:
    """Return an IPv4 packet that can be told by its token, which no translation changes; or its fragments."""
    protocol = _PROTOCOL_NUMBERS[emission.protocol]
    ports = emission.source_port, emission.destination_port
    addresses = emission.source.packed + emission.destination.packed
    if emission.protocol == TCP:
        flags = sum(_FLAG_BITS[flag] for flag in emission.flags)
        body = struct.pack("!HHIIBBHHH", *ports, token, 1 if "A" in emission.flags else 0, 5 << 4, flags, 64000, 0, 0)
        checksum_at = 16
    elif emission.protocol == UDP:
        body = struct.pack("!HHHHI", *ports, 12, 0, token)
        checksum_at = 6
    elif emission.about is not None:
        # Port unreachable, with the packet that it is about: RFC 792.
        complaint = struct.pack("!BBHI", 3, 3, 0, token) + _packets(emission.about, token)[0]
        body = complaint[:2] + struct.pack("!H", _checksum(complaint)) + complaint[4:]
        checksum_at = None
    else:
        body = _icmp_echo(struct.pack("!I", token))
        checksum_at = None
    if checksum_at is not None:
        checksum = _checksum(addresses + struct.pack("!BBH", 0, protocol, len(body)) + body)
        body = body[:checksum_at] + struct.pack("!H", checksum) + body[checksum_at + 2 :]
    # The kernel fills in the header's checksum and, of what it sends itself, the length, see raw(7).
    pieces = {0: body}
    if emission.is_fragmented:
        pieces = {0: body[:_FIRST_FRAGMENT_BYTES], _FIRST_FRAGMENT_BYTES // 8: body[_FIRST_FRAGMENT_BYTES:]}
    last = max(pieces)
    return [
        struct.pack(
            "!BBHHHBBH",
            0x45,
            _MARK,
            20 + len(piece),
            token & 0xFFFF or 1,
            offset if offset == last else offset | _MORE_FRAGMENTS,
            64,
            protocol,
            0,
        )
        + addresses
        + piece
        for offset, piece in pieces.items()
    ]


def _identify(packet: bytes) -> tuple[int, int, int]:
    """Return the token and the ports of an emitted packet."""
    body = packet[20:]
    if packet[9] == socket.IPPROTO_TCP:
        source_port, destination_port, token = struct.unpack_from("!HHI", body)
        return token, source_port, destination_port
    if packet[9] == socket.IPPROTO_UDP:
        source_port, destination_port, _, _, token = struct.unpack_from("!HHHHI", body)
        return token, source_port, destination_port
    is_error = body[0] == 3
    return struct.unpack_from("!I", body, 4 if is_error else 8)[0], 0, 0


def _accept_marked_only(watching: socket.socket) -> None:
    """Let the kernel drop everything without our mark (classic BPF: load byte 1, compare, take all or nothing)."""
    program = b"".join(
        struct.pack("=HBBI", *instruction)
        for instruction in ((0x30, 0, 0, 1), (0x15, 0, 1, _MARK), (0x06, 0, 0, 0xFFFF), (0x06, 0, 0, 0))
    )
    buffer = ctypes.create_string_buffer(program)
    watching.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", 4, ctypes.addressof(buffer)))
