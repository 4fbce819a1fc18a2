"""Clients and backends of `open` connections: transfers in both directions, and clients that make their own packets."""

import hashlib
import random
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address
from itertools import count

from landbridge.drivers.linux.headers import HEADER_BYTES, HeaderEngine
from landbridge.drivers.linux.namespaces import Namespaces
from landbridge.drivers.linux.options import OptionEngine
from tests.integration.packets.ground import (
    CLIENT,
    CLIENT_PORT,
    ENDPOINT,
    Ground,
    Tap,
)
from tests.integration.packets.tcp_packets import ACK, SYN, Packet

MARKER_TYPE = 0xE5
# Raw clients have no socket: their kernel must not answer for them.
SILENT_KERNEL = """\
table ip silent {
	chain leave { type filter hook output priority filter
		tcp sport 20000-29999 tcp flags & rst == rst drop
	}
}
"""
SACK_PERMITTED = b"\x04\x02"
FORGERY = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c" + bytes((6, 6, 6, 6, 6, 6, 6, 6, 0, 1, 0, 2)) + b"!"
_PORTS = count(20000)


def raw_port() -> int:
    """Return a port of a client without a socket."""
    return next(_PORTS)


def marker_field(_endpoint_id: str, marker: int) -> list[tuple[int, bytes]]:
    return [(MARKER_TYPE, marker.to_bytes(4, "big"))]


def engines(namespaces: Namespaces, instance: str, region: str) -> list[OptionEngine | HeaderEngine]:
    return [OptionEngine(namespaces, instance, region), HeaderEngine(namespaces, instance, region, marker_field)]


def counted(ground: Ground, name: str) -> int:
    return ground.engines[1].counts()[name]


def read_exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        chunk = connection.recv(min(1 << 16, size - len(data)))
        assert chunk, f"closed after {len(data)} of {size} bytes"
        data += chunk
    return data


def read_header(connection: socket.socket) -> tuple[IPv4Address, int]:
    """Read the header off a connection and return the client in it; its other fields must be right."""
    header = read_exactly(connection, HEADER_BYTES)
    assert header[:16] == b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + struct.pack("!H", HEADER_BYTES - 16)
    source, destination, source_port, destination_port = struct.unpack_from("!4s4sHH", header, 16)
    assert (IPv4Address(destination), destination_port) == (ENDPOINT, CLIENT_PORT)
    fields, at = {}, 28
    while at < len(header):
        kind, length = struct.unpack_from("!BH", header, at)
        fields[kind] = header[at + 3 : at + 3 + length]
        at += 3 + length
    assert fields.pop(0x04).strip(b"\0") == b""
    assert fields == {MARKER_TYPE: bytes((1, 2, 3, 4))}
    return IPv4Address(source), source_port


class Server:
    """A backend that reads headers, and takes or gives bytes as it is told."""

    def __init__(self, ground: Ground, host: str = "backend") -> None:
        self._listening = ground.listen(host)
        self.problems: list[BaseException] = []
        self.clients: list[tuple[IPv4Address, int]] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        self._listening.settimeout(None)
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            try:
                connection.settimeout(60)
                self.clients.append(read_header(connection))
                while order := connection.recv(1):
                    size = int.from_bytes(read_exactly(connection, 4), "big")
                    if order == b"U":
                        connection.sendall(hashlib.sha256(read_exactly(connection, size)).digest())
                    else:
                        data = random.Random(size).randbytes(size)
                        connection.sendall(data + hashlib.sha256(data).digest())
            except (OSError, AssertionError) as problem:
                self.problems.append(problem)


def upload(connection: socket.socket, size: int) -> bool:
    data = random.Random(size).randbytes(size)
    connection.sendall(b"U" + size.to_bytes(4, "big") + data)
    return read_exactly(connection, 32) == hashlib.sha256(data).digest()


def download(connection: socket.socket, size: int) -> bool:
    connection.sendall(b"D" + size.to_bytes(4, "big"))
    data = read_exactly(connection, size)
    return read_exactly(connection, 32) == hashlib.sha256(data).digest()


class RawClient:
    """A client that makes its packets itself, up to the SYN-ACK."""

    def __init__(self, ground: Ground, **opening: object) -> None:
        self._ground = ground
        self._tap = ground.tap("client")
        self.port = raw_port()
        self.packet = Packet(CLIENT, self.port, ENDPOINT, CLIENT_PORT, SYN, sequence=50_000)
        ground.send(replace(self.packet, **opening))  # type: ignore[arg-type]
        answer = self.hear(lambda packet: packet.flags & (SYN | ACK) == SYN | ACK)
        self.packet = replace(self.packet, flags=ACK, sequence=answer.acknowledged, acknowledged=answer.sequence + 1)

    def say(self, ahead: int = 0, payload: bytes = b"", flags: int = ACK) -> None:
        """Send a packet that begins so many bytes behind the first one."""
        sequence = self.packet.sequence + ahead
        self._ground.send(replace(self.packet, sequence=sequence, payload=payload, flags=flags))

    def hear(self, wanted: Callable[[Packet], bool]) -> Packet:
        return self._tap.wait_for(lambda packet: packet.destination_port == self.port and wanted(packet))[0]


def seen_from(tap: Tap, client: RawClient, wanted: Callable[[Packet], bool] = lambda _: True) -> Packet:
    return tap.wait_for(lambda packet: packet.source_port == client.port and wanted(packet))[0]


def abort(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
