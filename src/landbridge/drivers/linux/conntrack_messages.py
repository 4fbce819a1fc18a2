"""Read and write the messages of ctnetlink: what the kernel says of the connections that it tracks.

Pure. A message is a tree of attributes. Nearly all messages of one length have the same tree, so the tree is walked
once and then read by one `struct` with all its headers: a message takes 2 µs instead of 20, which is what makes
100,000 of them a matter of a third of a second. A message whose headers differ is walked again.

Source: Linux, include/uapi/linux/netfilter/nfnetlink_conntrack.h and net/netfilter/nf_conntrack_netlink.c.
"""

import socket
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, NamedTuple

from landbridge.dataplane.flows import NANOSECONDS, Connection, EndedConnection, Ending, State

_SUBSYSTEM = 1 << 8
NEW, GET, DELETE, GET_STATS = _SUBSYSTEM, _SUBSYSTEM | 1, _SUBSYSTEM | 2, _SUBSYSTEM | 5
ERROR, DONE = 2, 3
REQUEST, ACK, DUMP = 0x1, 0x4, 0x300
HEADER_BYTES = 20
"""Of netlink's and netfilter's own headers, before the attributes."""

_TUPLE_ORIGINAL, _TUPLE_REPLY, _PROTOINFO, _MARK = 1, 2, 4, 8
_COUNTERS_ORIGINAL, _COUNTERS_REPLY, _ID, _TIMESTAMP, _MARK_MASK = 9, 10, 12, 20, 21
_GLOBAL_ENTRIES = 1

# Paths in the tree to what is read, each with its format. Everything is in network order.
_IP, _PORTS = 1, 2
_WANTED: dict[tuple[int, ...], tuple[str, str]] = {
    (_TUPLE_ORIGINAL, _IP, 1): ("original_source", "4s"),
    (_TUPLE_ORIGINAL, _IP, 2): ("original_destination", "4s"),
    (_TUPLE_ORIGINAL, _PORTS, 1): ("protocol", "B"),
    (_TUPLE_ORIGINAL, _PORTS, 2): ("original_source_port", "H"),
    (_TUPLE_ORIGINAL, _PORTS, 3): ("original_destination_port", "H"),
    (_TUPLE_REPLY, _IP, 1): ("reply_source", "4s"),
    (_TUPLE_REPLY, _IP, 2): ("reply_destination", "4s"),
    (_TUPLE_REPLY, _PORTS, 2): ("reply_source_port", "H"),
    (_TUPLE_REPLY, _PORTS, 3): ("reply_destination_port", "H"),
    (_MARK,): ("mark", "I"),
    (_ID,): ("id", "I"),
    (_PROTOINFO, 1, 1): ("tcp_state", "B"),
    (_COUNTERS_ORIGINAL, 1): ("packets_sent", "Q"),
    (_COUNTERS_ORIGINAL, 2): ("bytes_sent", "Q"),
    (_COUNTERS_REPLY, 1): ("packets_received", "Q"),
    (_COUNTERS_REPLY, 2): ("bytes_received", "Q"),
    (_TIMESTAMP, 1): ("started", "Q"),
    (_TIMESTAMP, 2): ("stopped", "Q"),
}
_NESTED_AT = {path[:depth] for path in _WANTED for depth in range(1, len(path))}
_NO_STATE = -1
_ABSENT: dict[str, int | bytes] = {name: bytes(4) if format_ == "4s" else 0 for name, format_ in _WANTED.values()} | {
    "tcp_state": _NO_STATE
}

_NETLINK = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_MARK_THERE, _STATE_THERE = struct.Struct(">4sI"), struct.Struct(">4sB")
_NO_GLANCE = (0, b"", 0, b"")
_PROTOCOL_NAMES = {6: "tcp", 17: "udp"}
_PROTOCOL_NUMBERS = {name: number for number, name in _PROTOCOL_NAMES.items()}

_STATES = {
    **dict.fromkeys((1, 2, 9), State.OPENING),
    3: State.ESTABLISHED,
    **dict.fromkeys((4, 5, 6), State.CLOSING),
    **dict.fromkeys((7, 8), State.CLOSED),
}
_TIME_WAIT, _CLOSE = 7, 8
_CLOSED = frozenset({_TIME_WAIT, _CLOSE})
_ENDINGS = {State.OPENING: Ending.UNANSWERED, State.CLOSING: Ending.TIMED_OUT}
_LINGERING_NS = {_TIME_WAIT: 10 * NANOSECONDS, _CLOSE: 10 * NANOSECONDS}
"""How long the kernel remembers a connection after its last packet in these states: see the edges' settings."""
_SILENCE_NS = 432_000 * NANOSECONDS
"""How long an established connection may be silent."""


class Message(NamedTuple):
    """One netlink message in what a socket received."""

    kind: int
    flags: int
    sequence: int
    begin: int
    """Where its attributes begin."""
    end: int


def messages(data: bytes) -> Iterator[Message]:
    """Yield the messages in what was received at once."""
    offset, whole = 0, len(data)
    while offset + 16 <= whole:
        length, kind, flags, sequence, _ = _NETLINK.unpack_from(data, offset)
        if length < 16:
            return
        yield Message(kind, flags, sequence, offset + HEADER_BYTES, offset + length)
        offset += (length + 3) & ~3


_CONNECTION = (
    "id",
    "mark",
    "protocol",
    "tcp_state",
    "original_source",
    "original_source_port",
    "original_destination",
    "original_destination_port",
    "reply_source",
    "reply_source_port",
    "reply_destination",
    "reply_destination_port",
    "started",
    "stopped",
    "packets_sent",
    "bytes_sent",
    "packets_received",
    "bytes_received",
)


@dataclass(frozen=True, slots=True)
class _Layout:
    """How to read every message with these very headers at once."""

    reader: struct.Struct
    headers: tuple[bytes, ...]
    """What stands before each value: with another one, it is another layout."""
    defaults: tuple[Any, ...]
    """Stand behind the values that `reader` gives, for what the message does not say."""
    facts: Callable[[tuple[Any, ...]], tuple[Any, ...]]
    """Takes what `_CONNECTION` names from values and defaults."""
    mark_and_state: Callable[[tuple[Any, ...]], Any]
    mark: Callable[[tuple[Any, ...]], Any]
    mark_at: int | None
    """Where the header of the mark stands in the attributes; None: there is no mark."""
    state_at: int | None


class ConnectionReader:
    """Reads messages, and remembers the layouts that it met. Not to be shared by threads."""

    def __init__(self) -> None:
        self._layouts: dict[int, _Layout] = {}
        self._glances: dict[int, tuple[int, bytes, int, bytes]] = {}
        """By the length of a message: where mark and state stand with their headers, and what these must be."""

    def count_open(self, data: bytes, sequence: int, counts: dict[int, int]) -> Message | None:
        """Add the open connections in what was received to `counts`, by mark; those without a mark are nobody's.

        Returns the message that ends the answer, if it is there. One loop without calls: 100,000 connections are
        counted in a tenth of a second.
        """
        offset, whole, glances = 0, len(data), self._glances
        while offset + HEADER_BYTES <= whole:
            length, kind, flags, its_sequence, _ = _NETLINK.unpack_from(data, offset)
            if length < 16:
                return None
            if its_sequence == sequence and kind != NEW:
                return Message(kind, flags, sequence, offset + HEADER_BYTES, offset + length)
            if its_sequence == sequence and length > HEADER_BYTES + _MARK_THERE.size:
                begin = offset + HEADER_BYTES
                mark_at, mark_header, state_at, state_header = glances.get(length, _NO_GLANCE)
                its_mark_header, mark = _MARK_THERE.unpack_from(data, begin + mark_at)
                its_state_header, state = _STATE_THERE.unpack_from(data, begin + state_at)
                if its_mark_header != mark_header or its_state_header != state_header:
                    mark, state = self._learn(data, Message(kind, flags, sequence, begin, offset + length))
                if mark and state not in _CLOSED:
                    counts[mark] = counts.get(mark, 0) + 1
            offset += (length + 3) & ~3
        return None

    def mark(self, data: bytes, message: Message) -> int:
        """Return the mark of a connection, 0 without one."""
        layout, values = self._read(data, message)
        return layout.mark(values)

    def connection(self, data: bytes, message: Message) -> Connection:
        """Return what a message says of a connection."""
        layout, values = self._read(data, message)
        return _connection(layout.facts(values))

    def ended(self, data: bytes, message: Message) -> EndedConnection:
        """Return what the message about a connection's end says; `ended_ns` is 0 where the kernel keeps no time."""
        layout, values = self._read(data, message)
        facts = layout.facts(values)
        connection = _connection(facts)
        state, stopped = facts[3], facts[13]
        last = max(stopped - _LINGERING_NS.get(state, 0), connection.opened_ns) if stopped else 0
        return EndedConnection(connection, last, _ending(state, connection, stopped))

    def _learn(self, data: bytes, message: Message) -> tuple[int, int]:
        """Return mark and state by reading the whole message, and remember where they stand if both are there."""
        layout, values = self._read(data, message)
        if layout.mark_at is not None and layout.state_at is not None:
            mark_at, state_at, begin = layout.mark_at, layout.state_at, message.begin
            self._glances[message.end - message.begin + HEADER_BYTES] = (
                mark_at,
                data[begin + mark_at : begin + mark_at + 4],
                state_at,
                data[begin + state_at : begin + state_at + 4],
            )
        return layout.mark_and_state(values)

    def _read(self, data: bytes, message: Message) -> tuple[_Layout, tuple[Any, ...]]:
        length = message.end - message.begin
        layout = self._layouts.get(length)
        if layout is not None:
            found = layout.reader.unpack_from(data, message.begin)
            if found[::2] == layout.headers:
                return layout, found[1::2] + layout.defaults
        layout = self._layouts[length] = _layout(data, message)
        return layout, layout.reader.unpack_from(data, message.begin)[1::2] + layout.defaults


def _layout(data: bytes, message: Message) -> _Layout:
    """Walk through a message once.

    The format alternates headers (bytes that must be the same) and values; what nobody wants is a value, too.
    """
    formats, places, offsets = [">"], dict[str, int](), dict[str, int]()
    header_bytes = value_count = 0

    def walk(begin: int, end: int, path: tuple[int, ...]) -> None:
        nonlocal header_bytes, value_count
        offset = begin
        while offset + 4 <= end:
            length, kind = _ATTRIBUTE.unpack_from(data, offset)
            if length < 4 or offset + length > end:
                return
            here = (*path, kind & 0x3FFF)
            header_bytes += 4
            padded = min((length + 3) & ~3, end - offset)
            if here in _NESTED_AT:
                walk(offset + 4, offset + length, here)
            else:
                name, format_ = _WANTED.get(here, ("", ""))
                size = padded - 4
                if name and struct.calcsize(f">{format_}") <= length - 4:
                    places[name] = value_count
                    offsets[name] = offset - message.begin
                    padding = size - struct.calcsize(f">{format_}")
                    formats.append(f"{header_bytes}s{format_}{padding}x")
                else:
                    formats.append(f"{header_bytes}s{size}s")
                header_bytes = 0
                value_count += 1
            offset += (length + 3) & ~3

    walk(message.begin, message.end, ())
    reader = struct.Struct("".join(formats))
    missing = [name for name in _CONNECTION if name not in places]
    places.update({name: value_count + index for index, name in enumerate(missing)})
    return _Layout(
        reader,
        reader.unpack_from(data, message.begin)[::2],
        tuple(_ABSENT[name] for name in missing),
        itemgetter(*(places[name] for name in _CONNECTION)),
        itemgetter(places["mark"], places["tcp_state"]),
        itemgetter(places["mark"]),
        offsets.get("mark"),
        offsets.get("tcp_state"),
    )


def _connection(facts: tuple[Any, ...]) -> Connection:
    id_, mark, protocol, tcp_state, source, source_port, destination, destination_port = facts[:8]
    back_from, back_from_port, back_to, back_to_port, started = facts[8:13]
    text = socket.inet_ntoa
    # Not translated: it ends in this very edge, at a proxy that opens another connection.
    is_direct = back_from == destination and back_to == source
    return Connection(
        id_,
        mark,
        f"{text(source)}:{source_port}",
        f"{text(destination)}:{destination_port}",
        "" if is_direct else f"{text(back_from)}:{back_from_port}",
        "" if is_direct else f"{text(back_to)}:{back_to_port}",
        _PROTOCOL_NAMES.get(protocol) or str(protocol),
        _STATES.get(tcp_state, State.ESTABLISHED),
        started,
        *facts[14:],
    )


def _ending(tcp_state: int, connection: Connection, stopped: int) -> Ending | None:
    if tcp_state == _TIME_WAIT:
        return Ending.CLOSED
    if tcp_state == _CLOSE:
        return Ending.RESET
    if connection.protocol != "tcp":
        return Ending.TIMED_OUT
    if connection.state is State.ESTABLISHED:
        # Younger than the silence that would have ended it.
        is_young = connection.opened_ns and stopped and stopped - connection.opened_ns < _SILENCE_NS
        return Ending.REMOVED if is_young else None
    return _ENDINGS.get(connection.state)


def dump_request(sequence: int, mark: int | None = None) -> bytes:
    """Return the request for all IPv4 connections of a namespace, or for those with a mark."""
    return _request(GET, REQUEST | DUMP, sequence, _mark_filter(mark))


def delete_request(sequence: int, mark: int) -> bytes:
    """Return the request to forget all IPv4 connections with a mark."""
    return _request(DELETE, REQUEST | ACK, sequence, _mark_filter(mark))


def delete_one_request(sequence: int, connection: Connection) -> bytes:
    """Return the request to forget one IPv4 connection; the kernel refuses (ENOENT) if another has its ends now."""
    (source, source_port), (destination, destination_port) = map(_end, (connection.client, connection.listener))
    protocol = _PROTOCOL_NUMBERS.get(connection.protocol) or int(connection.protocol)
    addresses = _attribute(1, source) + _attribute(2, destination)
    ports = [struct.pack("B", protocol), *(struct.pack(">H", port) for port in (source_port, destination_port))]
    ends = _attribute(_IP, addresses) + _attribute(_PORTS, b"".join(map(_attribute, (1, 2, 3), ports)))
    wanted = _attribute(_TUPLE_ORIGINAL, ends) + _attribute(_ID, struct.pack(">I", connection.id))
    return _request(DELETE, REQUEST | ACK, sequence, wanted)


def count_request(sequence: int) -> bytes:
    """Return the request for the number of connections that a namespace tracks, open or not."""
    return _request(GET_STATS, REQUEST, sequence, b"")


def count_in(data: bytes, message: Message) -> int:
    """Return the number in the answer to `count_request`."""
    offset = message.begin
    while offset + 8 <= message.end:
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if kind & 0x3FFF == _GLOBAL_ENTRIES:
            return int(struct.unpack_from(">I", data, offset + 4)[0])
        offset += max((length + 3) & ~3, 4)
    return 0


def error_in(data: bytes, message: Message) -> int:
    """Return the errno in an error message, 0 for an acknowledgement."""
    return -int(struct.unpack_from("=i", data, message.begin - 4)[0])


def _request(kind: int, flags: int, sequence: int, attributes: bytes) -> bytes:
    header = _NETLINK.pack(HEADER_BYTES + len(attributes), kind, flags, sequence, 0)
    return header + struct.pack("=BBH", socket.AF_INET, 0, 0) + attributes


def _mark_filter(mark: int | None) -> bytes:
    if mark is None:
        return b""
    return b"".join(
        _attribute(kind, struct.pack(">I", value)) for kind, value in ((_MARK, mark), (_MARK_MASK, 0xFFFFFFFF))
    )


def _attribute(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(4 + len(value), kind) + value + bytes(-len(value) % 4)


def _end(text: str) -> tuple[bytes, int]:
    address, _, port = text.rpartition(":")
    return socket.inet_aton(address), int(port)
