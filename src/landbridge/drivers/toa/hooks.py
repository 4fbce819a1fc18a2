"""Put programs on interfaces: by TCX where the kernel has it (6.6), by a classifier of its own where it does not.

Every call is about the network namespace that the calling thread is in. What is put there stays until it is taken
off or the interface goes, whoever of us lives: nothing is pinned, and nothing is left over when an interface ends.
"""

import errno
import os
import socket
import struct
from collections.abc import Iterator
from enum import StrEnum
from typing import Protocol

from landbridge.drivers.toa import kernel
from landbridge.drivers.toa.kernel import Program


class Direction(StrEnum):
    """Which packets of an interface a program sees; the programs in an object go by these names."""

    INGRESS = "ingress"
    EGRESS = "egress"


class Hook(Protocol):
    """A way to put programs on interfaces. All may raise OSError."""

    def attached(self, index: int, direction: Direction) -> list[int]:
        """Return the ids of the programs on an interface."""
        ...

    def attach(
        self,
        index: int,
        direction: Direction,
        program: Program,
        replaced: Program | None = None,
        *,
        is_first: bool = False,
    ) -> None:
        """Put a program behind or before those that are there, or in the place of one of them, without a gap."""
        ...

    def detach(self, index: int, direction: Direction, program: Program) -> None:
        """Take a program off."""
        ...


_PLACES = {Direction.INGRESS: 46, Direction.EGRESS: 47}


class Tcx:
    """The kernel's own list of programs on an interface."""

    def attached(self, index: int, direction: Direction) -> list[int]:
        """Return the ids of the programs on an interface."""
        return kernel.attached(index, _PLACES[direction])

    def attach(
        self,
        index: int,
        direction: Direction,
        program: Program,
        replaced: Program | None = None,
        *,
        is_first: bool = False,
    ) -> None:
        """Put a program behind or before those that are there, or in the place of one of them."""
        kernel.attach(index, _PLACES[direction], program, replaced, is_first=is_first)

    def detach(self, index: int, direction: Direction, program: Program) -> None:
        """Take a program off."""
        kernel.detach(index, _PLACES[direction], program)


class Clsact:
    """A queueing discipline without a queue, with our programs as its only filters (tc-bpf(8), rtnetlink(7))."""

    def attached(self, index: int, direction: Direction) -> list[int]:
        """Return the ids of the programs on an interface."""
        return [program_id for program_id, _ in _filters(index, direction)]

    def attach(
        self,
        index: int,
        direction: Direction,
        program: Program,
        replaced: Program | None = None,
        *,
        is_first: bool = False,
    ) -> None:
        """Put a program behind or before those that are there, or in the place of one of them."""
        _request(_NEWQDISC, _CREATE, _message(index, _CLSACT_HANDLE, _CLSACT) + _attribute(_KIND, b"clsact\0"))
        filters = dict(_filters(index, direction))
        taken = filters.get(replaced.info.id) if replaced is not None else None
        if is_first:
            priority = taken or min(filters.values(), default=_MIDDLE) - 1
        else:
            priority = taken or max(filters.values(), default=_MIDDLE) + 1
        options = _attribute(_BPF_DESCRIPTOR, struct.pack("=I", program.fileno()))
        options += _attribute(_BPF_NAME, program.info.name.encode() + b"\0")
        options += _attribute(_BPF_FLAGS, struct.pack("=I", _ACTS_ITSELF))
        body = _filter(index, direction, priority) + _attribute(_KIND, b"bpf\0") + _attribute(_OPTIONS, options)
        _request(_NEWFILTER, _CREATE | (_REPLACE if taken else _EXCLUSIVE), body)

    def detach(self, index: int, direction: Direction, program: Program) -> None:
        """Take a program off."""
        priority = dict(_filters(index, direction)).get(program.info.id)
        if priority is not None:
            _request(_DELFILTER, 0, _filter(index, direction, priority))


def find_hook() -> Hook:
    """Return the best hook of this kernel."""
    loopback = 1
    try:
        kernel.attached(loopback, _PLACES[Direction.INGRESS])
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return Clsact()
    return Tcx()


_NEWQDISC, _NEWFILTER, _DELFILTER, _GETFILTER = 36, 44, 45, 46
_ERROR, _DONE = 2, 3
_ASK, _ACKNOWLEDGE, _DUMP = 0x1, 0x4, 0x300
_REPLACE, _EXCLUSIVE, _CREATE = 0x100, 0x200, 0x400
_KIND, _OPTIONS = 1, 2
_BPF_DESCRIPTOR, _BPF_NAME, _BPF_FLAGS, _BPF_ID = 6, 7, 8, 11
_ACTS_ITSELF = 1
_CLSACT, _CLSACT_HANDLE = 0xFFFFFFF1, 0xFFFF0000
_PARENTS = {Direction.INGRESS: 0xFFFFFFF2, Direction.EGRESS: 0xFFFFFFF3}
_EVERY_PROTOCOL = 0x0003
# Of priorities; there is room before it and behind it.
_MIDDLE = 0x100
_HANDLE = 1
_RECEIVE_BYTES = 1 << 17
_ATTRIBUTES_AT = 36  # behind the headers of netlink and tc


def _filters(index: int, direction: Direction) -> Iterator[tuple[int, int]]:
    """Yield id and priority of each bpf filter, in the order in which they run."""
    for reply in _request(_GETFILTER, _DUMP, _message(index, 0, _PARENTS[direction])):
        attributes = _attributes(reply[_ATTRIBUTES_AT - 16 :])
        options = _attributes(attributes.get(_OPTIONS, b""))
        if attributes.get(_KIND) == b"bpf\0" and _BPF_ID in options:
            info = struct.unpack_from("=I", reply, 16)[0]
            yield struct.unpack("=I", options[_BPF_ID])[0], info >> 16


def _filter(index: int, direction: Direction, priority: int) -> bytes:
    return _message(index, _HANDLE, _PARENTS[direction], priority << 16 | socket.htons(_EVERY_PROTOCOL))


def _message(index: int, handle: int, parent: int, info: int = 0) -> bytes:
    return struct.pack("=BxHiIII", socket.AF_UNSPEC, 0, index, handle, parent, info)


def _request(kind: int, flags: int, body: bytes) -> list[bytes]:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0) as asking:
        asking.bind((0, 0))
        asking.send(struct.pack("=IHHII", 16 + len(body), kind, _ASK | _ACKNOWLEDGE | flags, 1, 0) + body)
        replies: list[bytes] = []
        while True:
            data = asking.recv(_RECEIVE_BYTES)
            offset = 0
            while offset < len(data):
                length, reply_kind, _, _, _ = struct.unpack_from("=IHHII", data, offset)
                reply = data[offset + 16 : offset + length]
                offset += (length + 3) & ~3
                if reply_kind == _ERROR:
                    number = -struct.unpack_from("=i", reply)[0]
                    if number:
                        raise OSError(number, f"tc: {os.strerror(number)}")
                if reply_kind in {_ERROR, _DONE}:
                    return replies
                replies.append(reply)


def _attribute(kind: int, payload: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(payload), kind) + payload + bytes(-len(payload) % 4)


def _attributes(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    offset = 0
    while offset + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, offset)
        if length < 4:
            break
        found[kind & 0x3FFF] = data[offset + 4 : offset + length]
        offset += (length + 3) & ~3
    return found
