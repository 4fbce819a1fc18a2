"""Read PROXY protocol headers of version 2 strictly: what is not exactly as the specification says is an error."""

import socket
from dataclasses import dataclass
from ipaddress import IPv4Address

_SIGNATURE = bytes.fromhex("0d0a0d0a000d0a515549540a")
_FIXED_BYTES = 16
_ADDRESS_BYTES = 12


class BadHeader(ValueError):
    """These bytes are no header of the kind that we send."""


@dataclass(frozen=True)
class Header:
    source: tuple[IPv4Address, int]
    destination: tuple[IPv4Address, int]
    fields: dict[int, bytes]
    """The value of each type-length-value field, by type."""


def read_header(connection: socket.socket) -> Header:
    """Take a header from a connection, and not one byte more."""
    fixed = _exactly(connection, _FIXED_BYTES)
    return parse(fixed + _exactly(connection, int.from_bytes(fixed[14:16], "big")))


def parse(data: bytes) -> Header:
    if data[:12] != _SIGNATURE:
        raise BadHeader(f"no signature: {data[:12].hex()}")
    if data[12] != 0x21:
        raise BadHeader(f"not version 2 with the command PROXY: {data[12]:#04x}")
    if data[13] != 0x11:
        raise BadHeader(f"not TCP over IPv4: {data[13]:#04x}")
    length, rest = int.from_bytes(data[14:16], "big"), data[_FIXED_BYTES:]
    if length != len(rest) or length < _ADDRESS_BYTES:
        raise BadHeader(f"says {length} bytes and has {len(rest)}")
    source = (IPv4Address(rest[0:4]), int.from_bytes(rest[8:10], "big"))
    destination = (IPv4Address(rest[4:8]), int.from_bytes(rest[10:12], "big"))
    fields: dict[int, bytes] = {}
    rest = rest[_ADDRESS_BYTES:]
    while rest:
        if len(rest) < 3:
            raise BadHeader(f"{len(rest)} bytes are left over")
        kind, size = rest[0], int.from_bytes(rest[1:3], "big")
        if kind in fields:
            raise BadHeader(f"field {kind:#04x} comes twice")
        if len(rest) < 3 + size:
            raise BadHeader(f"field {kind:#04x} is cut off")
        fields[kind], rest = rest[3 : 3 + size], rest[3 + size :]
    return Header(source, destination, fields)


def _exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = connection.recv(count - len(data))
        if not part:
            raise BadHeader(f"ended after {len(data)} of {count} bytes")
        data += part
    return data
