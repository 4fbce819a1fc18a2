"""Ask the kernel for one element of an nftables set or map, by its key.

libnftables reads whole sets before it answers (half a second at 10,000 endpoints); the kernel itself looks one key up
in microseconds. So this speaks nfnetlink (linux/netfilter/nf_tables.h) over a socket of its own. Of what a key consists
is read from the rules. Reading changes nothing.
"""

import errno
import os
import re
import socket
import struct
import sys
from collections.abc import Iterator, Sequence
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, summarize_address_range

from landbridge.drivers.linux.elements import LABELS, Element, Kind, join, network_text, split
from landbridge.drivers.linux.ruleset import RULES, TABLE

_NETLINK_NETFILTER = 12
_GET_ELEMENT, _NEW_ELEMENT = (10 << 8) | 13, (10 << 8) | 12
_ERROR = 2
_REQUEST, _ACK = 0x1, 0x4
_NFPROTO_INET = 1
_LIST_TABLE, _LIST_SET, _LIST_ELEMENTS, _LIST_ELEMENT = 1, 2, 3, 1
_KEY, _DATA, _USER_DATA, _EXPRESSION, _KEY_END, _EXPRESSIONS = 1, 2, 6, 7, 10, 11
_VALUE = 1
_EXPRESSION_NAME, _EXPRESSION_DATA, _CONNECTION_LIMIT = 1, 2, 1
_COMMENT = 0
_NESTED = 0x8000
_TYPE_BITS = 0x3FFF
_RECEIVE_BYTES = 1 << 16
_PATIENCE_SECONDS = 5.0
_INTERFACE_BYTES = 16


class _Field(Enum):
    """What a part of a key or a value is."""

    ADDRESS = "address"
    NETWORK = "network"
    """The last part of an interval key."""
    PORT = "port"
    MARK = "mark"
    ORDERED_MARK = "ordered-mark"
    """In interval keys all numbers are in network order, as the kernel compares them byte by byte."""
    INTERFACE = "interface"
    BYTES = "bytes"
    """A count of bytes in 16 bits."""


_TYPES = {
    "ipv4_addr": _Field.ADDRESS,
    "inet_service": _Field.PORT,
    "mark": _Field.MARK,
    "ct mark": _Field.MARK,
    "ifname": _Field.INTERFACE,
    "tcp option maxseg size": _Field.BYTES,
}
_IN_INTERVALS = {_Field.MARK: _Field.ORDERED_MARK}
_DECLARATION = re.compile(r"^\t(?:set|map) (\w+) \{ type(?:of)? ([^:;]+)(?: : ([^;]+))?;(.*)\}$", re.MULTILINE)

_Fields = tuple[_Field, ...]


def _read_fields() -> dict[str, tuple[_Fields, _Fields]]:
    """Return of what keys and values consist, by the name of the set or map, as the rules declare them."""
    found: dict[str, tuple[_Fields, _Fields]] = {}
    for name, keys, values, rest in _DECLARATION.findall(RULES):
        key = [_TYPES[part.strip()] for part in keys.split(" . ")]
        if "flags interval" in rest:
            key = [*(_IN_INTERVALS.get(field, field) for field in key[:-1]), _Field.NETWORK]
        found[name] = tuple(key), tuple(_TYPES[part.strip()] for part in values.split(" . ") if part)
    return found


_FIELDS = _read_fields()


class ElementLookup:
    """A socket that asks about the sets of the namespace in which it was opened."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER)
        self._socket.settimeout(_PATIENCE_SECONDS)
        self._socket.bind((0, 0))
        self._sequence = 0

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def find(self, wanted: Element) -> Element | None:
        """Return the element that has the key of `wanted`, with the value that it really has; None: there is none.

        With an interval key, it is the element in which the first address of `wanted` lies.

        Raises:
            OSError: the kernel could not be asked.
        """
        key_fields, value_fields = _FIELDS[wanted.kind.value]
        key = _packed(key_fields, wanted.key)
        element = _nested(_LIST_ELEMENT, _nested(_KEY, _attribute(_VALUE, key)))
        table = TABLE.split()[1]
        body = struct.pack("=BBH", _NFPROTO_INET, 0, 0)
        body += _text(_LIST_TABLE, table) + _text(_LIST_SET, wanted.kind.value) + _nested(_LIST_ELEMENTS, element)
        try:
            answers = self._ask(body)
        except OSError as error:
            if error.errno == errno.ENOENT:
                return None
            raise
        for answer in answers:
            listed = _attributes(answer[4:]).get(_LIST_ELEMENTS, b"")
            found = _attributes(_attributes(listed).get(_LIST_ELEMENT, b""))
            first = _attributes(found.get(_KEY, b"")).get(_VALUE, b"")
            last = _attributes(found.get(_KEY_END, b"")).get(_VALUE, first)
            data = _attributes(found.get(_DATA, b"")).get(_VALUE, b"")
            value = _unpacked(value_fields, data, data) if value_fields else _beside(wanted.kind, found)
            return Element(wanted.vpc_id, wanted.kind, _unpacked(key_fields, first, last), value)
        return None

    def _ask(self, body: bytes) -> list[bytes]:
        self._sequence += 1
        header = struct.pack("=IHHII", 16 + len(body), _GET_ELEMENT, _REQUEST | _ACK, self._sequence, 0)
        self._socket.send(header + body)
        answers: list[bytes] = []
        while True:
            for kind, answer in self._receive():
                if kind == _ERROR:
                    number = -struct.unpack_from("=i", answer)[0]
                    if number:
                        raise OSError(number, os.strerror(number))
                    return answers
                if kind == _NEW_ELEMENT:
                    answers.append(answer)

    def _receive(self) -> Iterator[tuple[int, bytes]]:
        data = self._socket.recv(_RECEIVE_BYTES)
        offset = 0
        while offset < len(data):
            length, kind, _, sequence, _ = struct.unpack_from("=IHHII", data, offset)
            # Answers to a request that an exception cut short are nobody's any more.
            if sequence == self._sequence:
                yield kind, data[offset + 16 : offset + length]
            offset += (length + 3) & ~3


def _beside(kind: Kind, found: dict[int, bytes]) -> str:
    """Return what an element of a set has beside its key: a comment, or a limit."""
    if kind in LABELS:
        return _comment(found.get(_USER_DATA, b""))
    if kind is Kind.BUDGETS:
        expression = found.get(_EXPRESSION) or _attributes(found.get(_EXPRESSIONS, b"")).get(1, b"")
        data = _attributes(_attributes(expression).get(_EXPRESSION_DATA, b""))
        return str(struct.unpack("!I", data.get(_CONNECTION_LIMIT, bytes(4)))[0])
    return ""


def _comment(user_data: bytes) -> str:
    offset = 0
    while offset + 2 <= len(user_data):
        kind, length = user_data[offset], user_data[offset + 1]
        if kind == _COMMENT:
            return user_data[offset + 2 : offset + 2 + length].rstrip(b"\0").decode(errors="replace")
        offset += 2 + length
    return ""


def _packed(fields: Sequence[_Field], text: str) -> bytes:
    parts = split(text)
    return b"".join(_pack(field, part) for field, part in zip(fields, parts, strict=True))


def _pack(field: _Field, text: str) -> bytes:
    match field:
        case _Field.ADDRESS | _Field.NETWORK:
            return IPv4Network(text).network_address.packed
        case _Field.PORT:
            return struct.pack("!Hxx", int(text))
        case _Field.BYTES:
            return struct.pack("!H", int(text))
        case _Field.MARK:
            return struct.pack("=I", int(text))
        case _Field.ORDERED_MARK:
            return struct.pack("!I", int(text))
        case _Field.INTERFACE:
            return text.encode().ljust(_INTERFACE_BYTES, b"\0")


def _unpacked(fields: Sequence[_Field], first: bytes, last: bytes) -> str:
    parts: list[str] = []
    offset = 0
    for field in fields:
        width = _INTERFACE_BYTES if field is _Field.INTERFACE else 4
        parts.append(_unpack(field, first[offset : offset + width], last[offset : offset + width]))
        offset += width
    return join(*parts)


def _unpack(field: _Field, first: bytes, last: bytes) -> str:
    match field:
        case _Field.ADDRESS:
            return str(IPv4Address(first))
        case _Field.NETWORK:
            networks = list(summarize_address_range(IPv4Address(first), IPv4Address(last)))
            return network_text(networks[0]) if len(networks) == 1 else f"{networks[0][0]}-{networks[-1][-1]}"
        case _Field.PORT | _Field.BYTES:
            return str(struct.unpack_from("!H", first)[0])
        case _Field.MARK:
            return str(int.from_bytes(first, sys.byteorder))
        case _Field.ORDERED_MARK:
            return str(int.from_bytes(first, "big"))
        case _Field.INTERFACE:
            return first.rstrip(b"\0").decode(errors="replace")


def _attribute(kind: int, payload: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(payload), kind) + payload + bytes(-len(payload) % 4)


def _nested(kind: int, payload: bytes) -> bytes:
    return _attribute(kind | _NESTED, payload)


def _text(kind: int, text: str) -> bytes:
    return _attribute(kind, text.encode() + b"\0")


def _attributes(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    offset = 0
    while offset + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, offset)
        if length < 4:
            break
        found[kind & _TYPE_BITS] = data[offset + 4 : offset + length]
        offset += (length + 3) & ~3
    return found
