"""Read the counters of an edge: what went through each endpoint, by its mark.

libnftables reads every set of the table before it answers, and writes them as JSON; at 10,000 endpoints that is half a
second. The kernel gives the elements of one set, or one of them, as they are. So this speaks nfnetlink
(linux/netfilter/nf_tables.h) over a socket of its own, as `element_lookup` does. Reading changes nothing.
"""

import errno
import os
import socket
import struct
import sys
from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from landbridge.dataplane.flows import TrafficCounters
from landbridge.drivers.linux.elements import Kind
from landbridge.drivers.linux.ruleset import TABLE

_NETLINK_NETFILTER = 12
_GET_ELEMENT, _NEW_ELEMENT = (10 << 8) | 13, (10 << 8) | 12
_ERROR, _DONE = 2, 3
_REQUEST, _ACK, _DUMP = 0x1, 0x4, 0x300
_INTERRUPTED = 0x10
_NFPROTO_INET = 1
_LIST_TABLE, _LIST_SET, _LIST_ELEMENTS, _LIST_ELEMENT = 1, 2, 3, 1
_KEY, _EXPRESSION, _EXPRESSIONS, _VALUE, _FIRST_EXPRESSION = 1, 7, 11, 1, 1
_EXPRESSION_DATA, _COUNTED_BYTES, _COUNTED_PACKETS = 2, 1, 2
_NESTED, _TYPE_BITS = 0x8000, 0x3FFF
_RECEIVE_BYTES = 1 << 18
_PATIENCE_SECONDS = 5.0
_TRIES = 10
_ATTRIBUTE = struct.Struct("=HH")


class _Counted(NamedTuple):
    """What one counter shows."""

    bytes: int
    packets: int


_NOTHING = _Counted(0, 0)


class CounterSets:
    """A socket that asks about the counters of the namespace in which it was opened; for one thread at a time."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER)
        self._socket.settimeout(_PATIENCE_SECONDS)
        self._socket.bind((0, 0))
        self._sequence = 0

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def read(self, marks: Collection[int]) -> Mapping[int, TrafficCounters]:
        """Return what the counters of these marks show; a mark without counters is left out. Raises OSError."""
        return _joined(
            *({mark: found for mark in marks if (found := self._find(kind, mark)) is not None} for kind in _KINDS)
        )

    def read_all(self) -> Mapping[int, TrafficCounters]:
        """Return what all counters show, by mark. Raises OSError."""
        return _joined(*(self._list(kind) for kind in _KINDS))

    def _find(self, kind: Kind, mark: int) -> _Counted | None:
        key = _nested(_KEY, _attribute(_VALUE, struct.pack("=I", mark)))
        elements = _nested(_LIST_ELEMENTS, _nested(_LIST_ELEMENT, key))
        try:
            return self._ask(kind, _ACK, elements).get(mark)
        except OSError as error:
            # There is no such element, or no such set: an edge of an older version.
            if error.errno == errno.ENOENT:
                return None
            raise

    def _list(self, kind: Kind) -> dict[int, _Counted]:
        for _ in range(_TRIES):
            try:
                return self._ask(kind, _DUMP, b"")
            except InterruptedError:
                continue  # somebody changed the set while we read it: there may be something missing
            except OSError as error:
                if error.errno == errno.ENOENT:
                    return {}
                raise
        raise OSError(errno.EAGAIN, "the counters change faster than they can be read")

    def _ask(self, kind: Kind, flags: int, elements: bytes) -> dict[int, _Counted]:
        self._sequence += 1
        body = struct.pack("=BBH", _NFPROTO_INET, 0, 0)
        body += _text(_LIST_TABLE, TABLE.split()[1]) + _text(_LIST_SET, kind.value) + elements
        header = struct.pack("=IHHII", 16 + len(body), _GET_ELEMENT, _REQUEST | flags, self._sequence, 0)
        self._socket.send(header + body)
        found: dict[int, _Counted] = {}
        is_whole = True
        while True:
            data = self._socket.recv(_RECEIVE_BYTES)
            for message, message_flags, begin, end in self._messages(data):
                is_whole = is_whole and not message_flags & _INTERRUPTED
                if message == _NEW_ELEMENT:
                    found.update(_elements(data, begin + 4, end))
                    continue
                if message == _ERROR:
                    number = -struct.unpack_from("=i", data, begin)[0]
                    if number:
                        raise OSError(number, os.strerror(number))
                if not is_whole:
                    raise InterruptedError(errno.EINTR, os.strerror(errno.EINTR))
                return found

    def _messages(self, data: bytes) -> Iterator[tuple[int, int, int, int]]:
        offset = 0
        while offset + 16 <= len(data):
            length, kind, flags, sequence, _ = struct.unpack_from("=IHHII", data, offset)
            # Answers to a question that an exception cut short are nobody's any more.
            if sequence == self._sequence and kind in {_NEW_ELEMENT, _ERROR, _DONE}:
                yield kind, flags, offset + 16, offset + length
            offset += max((length + 3) & ~3, 16)


_KINDS = (Kind.SENT, Kind.RECEIVED, Kind.OPENED)


def _joined(
    sent: Mapping[int, _Counted], received: Mapping[int, _Counted], opened: Mapping[int, _Counted]
) -> dict[int, TrafficCounters]:
    joined: dict[int, TrafficCounters] = {}
    for mark in sent.keys() | received.keys() | opened.keys():
        forth, back = sent.get(mark, _NOTHING), received.get(mark, _NOTHING)
        # Only a connection's first packet passes the third.
        connections = opened.get(mark, _NOTHING).packets
        joined[mark] = TrafficCounters(forth.bytes, forth.packets, back.bytes, back.packets, connections)
    return joined


def _elements(data: bytes, begin: int, end: int) -> Iterator[tuple[int, _Counted]]:
    for list_begin, list_end in _children(data, begin, end, _LIST_ELEMENTS):
        for element_begin, element_end in _children(data, list_begin, list_end, _LIST_ELEMENT):
            mark, counted = None, _NOTHING
            for kind, value, value_end in _attributes(data, element_begin, element_end):
                if kind == _KEY:
                    mark = int.from_bytes(data[value + 4 : value + 8], sys.byteorder)
                elif kind == _EXPRESSION:
                    counted = _counted(data, value, value_end)
                elif kind == _EXPRESSIONS:
                    for one, one_end in _children(data, value, value_end, _FIRST_EXPRESSION):
                        counted = _counted(data, one, one_end)
            if mark is not None:
                yield mark, counted


def _counted(data: bytes, begin: int, end: int) -> _Counted:
    numbers = {_COUNTED_BYTES: 0, _COUNTED_PACKETS: 0}
    for data_begin, data_end in _children(data, begin, end, _EXPRESSION_DATA):
        for kind, value, value_end in _attributes(data, data_begin, data_end):
            numbers[kind] = int.from_bytes(data[value:value_end], "big")
    return _Counted(numbers[_COUNTED_BYTES], numbers[_COUNTED_PACKETS])


def _children(data: bytes, begin: int, end: int, wanted: int) -> Iterator[tuple[int, int]]:
    return ((value, stop) for kind, value, stop in _attributes(data, begin, end) if kind == wanted)


def _attributes(data: bytes, begin: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield each attribute's kind and where its value begins and ends."""
    while begin + 4 <= end:
        length, kind = _ATTRIBUTE.unpack_from(data, begin)
        if length < 4:
            return
        yield kind & _TYPE_BITS, begin + 4, begin + length
        begin += (length + 3) & ~3


def _attribute(kind: int, payload: bytes) -> bytes:
    return _ATTRIBUTE.pack(4 + len(payload), kind) + payload + bytes(-len(payload) % 4)


def _nested(kind: int, payload: bytes) -> bytes:
    return _attribute(kind | _NESTED, payload)


def _text(kind: int, text: str) -> bytes:
    return _attribute(kind, text.encode() + b"\0")
