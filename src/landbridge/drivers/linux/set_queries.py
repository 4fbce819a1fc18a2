"""Ask the kernel for the elements of nftables sets and maps, as they are.

libnftables reads every set of a table before it answers, and writes them as JSON: half a second at 10,000 endpoints.
The kernel gives one element, or all of one set, at once. So this speaks nfnetlink (linux/netfilter/nf_tables.h) over a
socket of its own; what the bytes of an element mean is the caller's business. Reading changes nothing.
"""

import errno
import os
import socket
import struct
from collections.abc import Iterator, Sequence

from landbridge.drivers.linux.ruleset import TABLE

KEY, DATA, USER_DATA, EXPRESSION, KEY_END, EXPRESSIONS = 1, 2, 6, 7, 10, 11
"""Attributes of an element."""
VALUE = 1
"""The attribute that is in a key, and in the data of a map's element."""
EXPRESSION_DATA = 2

_NETLINK_NETFILTER = 12
_GET_ELEMENT, _NEW_ELEMENT = (10 << 8) | 13, (10 << 8) | 12
_ERROR, _DONE = 2, 3
_REQUEST, _ACK, _DUMP = 0x1, 0x4, 0x300
_INTERRUPTED = 0x10
_NFPROTO_INET = 1
_LIST_TABLE, _LIST_SET, _LIST_ELEMENTS, _LIST_ELEMENT = 1, 2, 3, 1
_NESTED, _TYPE_BITS = 0x8000, 0x3FFF
_RECEIVE_BYTES = 1 << 18
_PATIENCE_SECONDS = 5.0
_TRIES = 10
_ATTRIBUTE = struct.Struct("=HH")


class SetQueries:
    """A socket that asks about the sets of the namespace in which it was opened; for one thread at a time."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER)
        self._socket.settimeout(_PATIENCE_SECONDS)
        self._socket.bind((0, 0))
        self._sequence = 0

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def find(self, name: str, key: bytes) -> bytes | None:
        """Return the attributes of the element with this key; None: there is no such element, or no such set.

        Raises:
            OSError: the kernel could not be asked.
        """
        try:
            found = self._ask(name, _ACK, _nested(_LIST_ELEMENT, _nested(KEY, _attribute(VALUE, key))))
        except OSError as error:
            if error.errno == errno.ENOENT:
                return None
            raise
        return found[0] if found else None

    def list_all(self, name: str) -> Sequence[bytes]:
        """Return the attributes of each element of a set; none if there is no such set.

        Raises:
            OSError: the kernel could not be asked, or the set changes faster than it can be read.
        """
        for _ in range(_TRIES):
            try:
                return self._ask(name, _DUMP, b"")
            except InterruptedError:
                continue  # somebody changed the set while we read it: there may be something missing
            except OSError as error:
                if error.errno == errno.ENOENT:
                    return ()
                raise
        raise OSError(errno.EAGAIN, f"the set {name} changes faster than it can be read")

    def _ask(self, name: str, flags: int, wanted: bytes) -> list[bytes]:
        self._sequence += 1
        body = struct.pack("=BBH", _NFPROTO_INET, 0, 0) + _text(_LIST_TABLE, TABLE.split()[1]) + _text(_LIST_SET, name)
        if wanted:
            body += _nested(_LIST_ELEMENTS, wanted)
        header = struct.pack("=IHHII", 16 + len(body), _GET_ELEMENT, _REQUEST | flags, self._sequence, 0)
        self._socket.send(header + body)
        found: list[bytes] = []
        is_whole = True
        while True:
            for kind, message_flags, content in self._messages():
                is_whole = is_whole and not message_flags & _INTERRUPTED
                if kind == _NEW_ELEMENT:
                    for listed, elements in attributes(content[4:]):
                        if listed == _LIST_ELEMENTS:
                            found += [element for _, element in attributes(elements)]
                    continue
                number = -struct.unpack_from("=i", content)[0] if kind == _ERROR else 0
                if number:
                    raise OSError(number, os.strerror(number))
                if not is_whole:
                    raise InterruptedError(errno.EINTR, os.strerror(errno.EINTR))
                return found

    def _messages(self) -> Iterator[tuple[int, int, bytes]]:
        data = self._socket.recv(_RECEIVE_BYTES)
        offset = 0
        while offset + 16 <= len(data):
            length, kind, flags, sequence, _ = struct.unpack_from("=IHHII", data, offset)
            # Answers to a question that an exception cut short are nobody's any more.
            if sequence == self._sequence and kind in {_NEW_ELEMENT, _ERROR, _DONE}:
                yield kind, flags, data[offset + 16 : offset + length]
            offset += max((length + 3) & ~3, 16)


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the kind and the value of each netlink attribute (netlink(7))."""
    offset, end = 0, len(data)
    while offset + 4 <= end:
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if length < 4:
            return
        yield kind & _TYPE_BITS, data[offset + 4 : offset + length]
        offset += (length + 3) & ~3


def attribute(data: bytes, *path: int) -> bytes:
    """Return the value of an attribute within attributes, empty if there is none."""
    for wanted in path:
        data = next((value for kind, value in attributes(data) if kind == wanted), b"")
    return data


def expression(element: bytes) -> bytes:
    """Return the attributes of what an element has beside its key: a counter or a limit; empty if there is none."""
    found = attribute(element, EXPRESSION) or attribute(element, EXPRESSIONS, 1)
    return attribute(found, EXPRESSION_DATA)


def _attribute(kind: int, payload: bytes) -> bytes:
    return _ATTRIBUTE.pack(4 + len(payload), kind) + payload + bytes(-len(payload) % 4)


def _nested(kind: int, payload: bytes) -> bytes:
    return _attribute(kind | _NESTED, payload)


def _text(kind: int, text: str) -> bytes:
    return _attribute(kind, text.encode() + b"\0")
