"""Read what is in the sets and maps of an edge, quickly, and strike off what should be there.

An element's bytes are cut at the places at which they were cut for one of the same length before, as long as the
bytes in between are the same too: all elements of a set look alike, so few are ever really parsed. Whoever knows the
fingerprint need not even cut them.
"""

import hashlib
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from landbridge.domain.ids import VpcId
from landbridge.drivers.linux.elements import LABELS, MAPS, Element, Kind
from landbridge.drivers.linux.set_fields import FIELDS, INTERVALS, pack_key, pack_range, pack_value, unpack
from landbridge.drivers.linux.set_queries import (
    DATA,
    KEY,
    KEY_END,
    USER_DATA,
    VALUE,
    SetQueries,
    attribute,
    expression,
)

_COMMENT, _CONNECTION_LIMIT = 0, 1
_COUNTING = frozenset({Kind.SENT, Kind.RECEIVED, Kind.OPENED})
"""Kinds whose elements change by themselves."""
_FINGERPRINT_BYTES = 16
_Pair = tuple[bytes, bytes]
"""A key, of a range the first and the last together; and a value."""


class SetContents:
    """The elements that were found in one edge and not yet struck off."""

    def __init__(self, vpc_id: VpcId, queries: SetQueries | None) -> None:
        """Read all sets; None: there is nothing to read. Raises OSError."""
        self._vpc_id = vpc_id
        self._raw = {kind: () if queries is None else queries.list_all(kind.value) for kind in FIELDS}

    def fingerprint(self) -> bytes:
        """Return what is equal for equal contents in one order, whatever was counted; ask before anything is struck."""
        state = hashlib.blake2b(digest_size=_FINGERPRINT_BYTES)
        for kind, elements in self._raw.items():
            whole = b"".join(elements if kind not in _COUNTING else [key for key, _ in _pairs(kind, elements)])
            state.update(struct.pack("=II", len(elements), len(whole)) + whole)
        return state.digest()

    @cached_property
    def _found(self) -> dict[Kind, dict[bytes, bytes]]:
        return {kind: dict(_pairs(kind, elements)) for kind, elements in self._raw.items()}

    def strike(self, element: Element) -> bool:
        """Take an element off; say whether it was there, with this value."""
        kind = element.kind
        key = b"".join(pack_range(kind, element.key)) if kind in INTERVALS else pack_key(kind, element.key)
        found = self._found[kind]
        if found.get(key) != pack_value(kind, element.value):
            return False
        del found[key]
        return True

    def has(self, kind: Kind, key: str) -> bool:
        """Say whether a key that is no range is there, with whatever value."""
        return pack_key(kind, key) in self._found[kind]

    def rest(self) -> Iterator[Element]:
        """Yield what was never struck off."""
        for kind, found in self._found.items():
            for key, value in found.items():
                half = len(key) // 2 if kind in INTERVALS else 0
                yield unpack(kind, self._vpc_id, key[:half] or key, key[half:], value)


def first_key(element: bytes) -> bytes:
    """Return the key in an element's attributes, of a range the first."""
    return attribute(element, KEY, VALUE)


def last_key(element: bytes) -> bytes:
    """Return the last key of a range; what is no range has one key."""
    return attribute(element, KEY_END, VALUE) or first_key(element)


def value_of(kind: Kind, element: bytes) -> bytes:
    """Return what an element has beside its key: a value, a comment or a limit, if its kind has one."""
    if kind in MAPS:
        return attribute(element, DATA, VALUE)
    if kind in LABELS:
        return _comment(attribute(element, USER_DATA))
    if kind is Kind.BUDGETS:
        return attribute(expression(element), _CONNECTION_LIMIT)
    return b""


def _comment(user_data: bytes) -> bytes:
    offset = 0
    while offset + 2 <= len(user_data):
        kind, length = user_data[offset], user_data[offset + 1]
        if kind == _COMMENT:
            return user_data[offset + 2 : offset + 2 + length].rstrip(b"\0")
        offset += 2 + length
    return b""


def _pair(kind: Kind, element: bytes) -> _Pair:
    key = first_key(element)
    return key + last_key(element) if kind in INTERVALS else key, value_of(kind, element)


def _pairs(kind: Kind, elements: Sequence[bytes]) -> Iterator[_Pair]:
    cuts: dict[int, _Cut | None] = {}
    for element in elements:
        length = len(element)
        cut = cuts.get(length)
        pair = None if cut is None else cut.pair(element)
        if pair is None:
            pair = _pair(kind, element)
            # A range has two keys: not worth a cut.
            if length not in cuts and kind not in INTERVALS:
                cuts[length] = _cut(element, *pair)
        yield pair


@dataclass(frozen=True, slots=True)
class _Cut:
    """Where key and value are in the elements of one length."""

    split: Callable[[bytes], tuple[bytes, ...]]
    before: bytes
    between: bytes
    """What is in front of the key, and between key and value. What is behind does not count: a counter, mostly."""

    def pair(self, element: bytes) -> _Pair | None:
        """Return key and value; None: this element is built in another way."""
        before, key, between, value = self.split(element)
        return (key, value) if before == self.before and between == self.between else None


def _cut(element: bytes, key: bytes, value: bytes) -> _Cut | None:
    """Return how elements like this one are cut; None: each has to be parsed, as the places are not certain."""
    if element.count(key) != 1 or (value and element.count(value) != 1):
        return None
    start = element.index(key)
    stop = start + len(key)
    place = element.index(value) if value else stop
    if place < stop:
        return None
    sizes = (start, len(key), place - stop, len(value))
    cut = struct.Struct("".join(f"{size}s" for size in sizes) + f"{len(element) - place - len(value)}x")
    before, _, between, _ = cut.unpack(element)
    return _Cut(cut.unpack, before, between)
