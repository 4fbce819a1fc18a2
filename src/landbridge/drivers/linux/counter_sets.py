"""Read the counters of an edge: what went through each endpoint, by its mark. Reading changes nothing."""

import struct
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from landbridge.dataplane.flows import TrafficCounters
from landbridge.drivers.linux.elements import Kind
from landbridge.drivers.linux.set_contents import first_key
from landbridge.drivers.linux.set_queries import SetQueries, attributes, expression

_COUNTED_BYTES, _COUNTED_PACKETS = 1, 2


class _Counted(NamedTuple):
    """What one counter shows."""

    bytes: int
    packets: int


_NOTHING = _Counted(0, 0)


class CounterSets:
    """A socket that asks about the counters of the namespace in which it was opened; for one thread at a time."""

    def __init__(self) -> None:
        self._queries = SetQueries()

    def close(self) -> None:
        """Close the socket."""
        self._queries.close()

    def read(self, marks: Collection[int]) -> Mapping[int, TrafficCounters]:
        """Return what the counters of these marks show; a mark without counters is left out. Raises OSError."""
        return _joined(*(dict(_counted(self._find(kind, marks))) for kind in _KINDS))

    def read_all(self) -> Mapping[int, TrafficCounters]:
        """Return what all counters show, by mark. Raises OSError."""
        return _joined(*(dict(_counted(self._queries.list_all(kind.value))) for kind in _KINDS))

    def _find(self, kind: Kind, marks: Collection[int]) -> Iterator[bytes]:
        for mark in marks:
            # None: there is no such element, or no such set, as in an edge of an older version.
            found = self._queries.find(kind.value, struct.pack("=I", mark))
            if found is not None:
                yield found


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


def _counted(elements: Iterable[bytes]) -> Iterator[tuple[int, _Counted]]:
    for element in elements:
        numbers = {_COUNTED_BYTES: 0, _COUNTED_PACKETS: 0}
        for kind, value in attributes(expression(element)):
            numbers[kind] = int.from_bytes(value, "big")
        mark = int.from_bytes(first_key(element), sys.byteorder)
        yield mark, _Counted(numbers[_COUNTED_BYTES], numbers[_COUNTED_PACKETS])
