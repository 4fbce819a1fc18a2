"""Write messages of ctnetlink as the kernel does, and make connections in the kernel's table without any packet."""

import os
import socket
import struct
from dataclasses import dataclass

NETLINK_NETFILTER = 12
NEW, DELETE, DONE = 0x100, 0x102, 3
ESTABLISHED, TIME_WAIT, CLOSE = 3, 7, 8
SYN_SENT = 1


@dataclass(frozen=True)
class Entry:
    """A connection, as the kernel tracks it."""

    client: tuple[str, int] = ("10.0.0.10", 43210)
    listener: tuple[str, int] = ("10.0.0.100", 8080)
    target: tuple[str, int] = ("198.19.128.1", 80)
    source: tuple[str, int] = ("198.19.128.2", 40001)
    mark: int = 0xABCDEF01
    id: int = 7
    state: int | None = ESTABLISHED
    protocol: int = socket.IPPROTO_TCP
    sent: tuple[int, int] = (3, 1200)
    """Packets and bytes."""
    received: tuple[int, int] = (4, 90_000)
    started_ns: int = 1_770_000_000_000_000_000
    stopped_ns: int = 0

    def attributes(self, *, with_label: bool = False) -> bytes:
        """Return what the kernel writes behind its headers; `with_label` adds what only few kernels do."""
        parts = [
            _ends(1, self.client, self.listener, self.protocol),
            _ends(2, self.target, self.source, self.protocol),
            number(3, 0x1BE),
            number(12, self.id),
            number(11, 1),
            number(7, 431_000),
            counters(9, *self.sent),
            counters(10, *self.received),
        ]
        if self.mark:
            parts.insert(3, number(8, self.mark))
        if with_label:
            parts.insert(3, attribute(22, bytes(20)))
        if self.state is not None:
            tcp = attribute(1, bytes([self.state])) + attribute(2, b"\x0a") + attribute(4, b"\x23\x00")
            parts.append(attribute(4, attribute(1, tcp, nested=True), nested=True))
        if self.started_ns:
            times = attribute(1, struct.pack(">Q", self.started_ns))
            if self.stopped_ns:
                times += attribute(2, struct.pack(">Q", self.stopped_ns))
            parts.append(attribute(20, times, nested=True))
        return b"".join(parts)

    def message(self, kind: int = NEW, sequence: int = 1, *, with_label: bool = False) -> bytes:
        """Return a whole message of the kernel."""
        return message(kind, 0x2, sequence, self.attributes(with_label=with_label))

    def wish(self, sequence: int) -> bytes:
        """Return the request to make this connection in the kernel's table, for ten minutes."""
        state = attribute(1, bytes([ESTABLISHED if self.state is None else self.state]))
        return message(
            NEW,
            0x1 | 0x4 | 0x400 | 0x200,
            sequence,
            _ends(1, self.client, self.listener, self.protocol)
            + _ends(2, self.target, self.source, self.protocol)
            + number(3, 0x18E)
            + number(7, 600)
            + number(8, self.mark)
            + attribute(4, attribute(1, state, nested=True), nested=True),
        )


def attribute(kind: int, payload: bytes, *, nested: bool = False) -> bytes:
    return struct.pack("=HH", 4 + len(payload), kind | 0x8000 * nested) + payload + bytes(-len(payload) % 4)


def number(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack(">I", value))


def counters(kind: int, packets: int, count: int) -> bytes:
    return attribute(
        kind, attribute(1, struct.pack(">Q", packets)) + attribute(2, struct.pack(">Q", count)), nested=True
    )


def message(kind: int, flags: int, sequence: int, attributes: bytes) -> bytes:
    header = struct.pack("=IHHII", 20 + len(attributes), kind, flags, sequence, 0)
    return header + struct.pack("=BBH", socket.AF_INET, 0, 0) + attributes


def make_entries(entries: list[Entry]) -> None:
    """Make connections in the table of the calling thread's network namespace."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as netlink:
        netlink.settimeout(5)
        for sequence, entry in enumerate(entries):
            netlink.send(entry.wish(sequence))
            answer = netlink.recv(65536)
            error = -struct.unpack_from("=i", answer, 16)[0]
            if error:
                raise OSError(error, os.strerror(error))


def _ends(kind: int, source: tuple[str, int], destination: tuple[str, int], protocol: int) -> bytes:
    addresses = attribute(1, socket.inet_aton(source[0])) + attribute(2, socket.inet_aton(destination[0]))
    ports = attribute(1, bytes([protocol]))
    ports += attribute(2, struct.pack(">H", source[1])) + attribute(3, struct.pack(">H", destination[1]))
    return attribute(kind, attribute(1, addresses, nested=True) + attribute(2, ports, nested=True), nested=True)
