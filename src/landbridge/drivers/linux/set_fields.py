"""Say of which bytes the keys and values of nftables sets and maps consist, and read them as texts again.

Pure. What the parts of a key are is read from the rules. Texts are as nft writes them, see `elements`.
"""

import re
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, summarize_address_range

from landbridge.domain.ids import VpcId
from landbridge.drivers.linux.elements import LABELS, Element, Kind, join, network_text, split
from landbridge.drivers.linux.ruleset import RULES

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
_Pack = Callable[[str], bytes]


def _read_fields() -> dict[Kind, tuple[_Fields, _Fields]]:
    """Return of what keys and values consist, as the rules declare them; `routed` and `guests` are no kinds."""
    found: dict[Kind, tuple[_Fields, _Fields]] = {}
    for name, keys, values, rest in _DECLARATION.findall(RULES):
        if name not in frozenset(Kind):
            continue
        key = [_TYPES[part.strip()] for part in keys.split(" . ")]
        if "flags interval" in rest:
            key = [*(_IN_INTERVALS.get(field, field) for field in key[:-1]), _Field.NETWORK]
        found[Kind(name)] = tuple(key), tuple(_TYPES[part.strip()] for part in values.split(" . ") if part)
    return found


FIELDS: Mapping[Kind, tuple[_Fields, _Fields]] = _read_fields()
"""The parts of the key and of the value of each kind of element that is in a set or map."""

INTERVALS = frozenset(kind for kind, (key, _) in FIELDS.items() if key[-1] is _Field.NETWORK)
"""Kinds whose keys are ranges: the kernel has a first and a last key of each."""


def pack_key(kind: Kind, text: str) -> bytes:
    """Return a key as the kernel has it; of a range the first."""
    return _join(_KEYS[kind], text)


def pack_range(kind: Kind, text: str) -> tuple[bytes, bytes]:
    """Return the first and the last key of a range."""
    *rest, network = split(text)
    first, last = _ends(network)
    beginning = b"".join([pack(part) for pack, part in zip(_KEYS[kind], rest, strict=False)])
    return beginning + first, beginning + last


def pack_value(kind: Kind, text: str) -> bytes:
    """Return what an element has beside its key: a value, a comment, a limit, or nothing."""
    values = _VALUES[kind]
    if values:
        return _join(values, text)
    if kind is Kind.BUDGETS:
        return int(text).to_bytes(4, "big")
    return text.encode()


def unpack(kind: Kind, vpc_id: VpcId, first: bytes, last: bytes, value: bytes) -> Element:
    """Return the element that has this key (from `first` to `last`) and this value."""
    key_fields, value_fields = FIELDS[kind]
    if value_fields:
        text = _unpack(value_fields, value, value)
    elif kind is Kind.BUDGETS:
        text = str(int.from_bytes(value, "big"))
    else:
        text = value.decode(errors="replace") if kind in LABELS else ""
    return Element(vpc_id, kind, _unpack(key_fields, first, last), text)


def _join(packs: Sequence[_Pack], text: str) -> bytes:
    if len(packs) == 1:
        return packs[0](text)
    return b"".join([pack(part) for pack, part in zip(packs, split(text), strict=True)])


@lru_cache(maxsize=4096)
def _port(text: str) -> bytes:
    return int(text).to_bytes(2, "big") + b"\0\0"


@lru_cache(maxsize=4096)
def _ends(text: str) -> tuple[bytes, bytes]:
    network = IPv4Network(text)
    return network.network_address.packed, network.broadcast_address.packed


def _network(text: str) -> bytes:
    return _ends(text)[0]


_PACK: Mapping[_Field, _Pack] = {
    _Field.ADDRESS: socket.inet_aton,
    _Field.NETWORK: _network,
    _Field.PORT: _port,
    _Field.MARK: lambda text: int(text).to_bytes(4, sys.byteorder),
    _Field.ORDERED_MARK: lambda text: int(text).to_bytes(4, "big"),
    _Field.INTERFACE: lambda text: text.encode().ljust(_INTERFACE_BYTES, b"\0"),
    _Field.BYTES: lambda text: int(text).to_bytes(2, "big"),
}
_KEYS = {kind: [_PACK[field] for field in key] for kind, (key, _) in FIELDS.items()}
_VALUES = {kind: [_PACK[field] for field in value] for kind, (_, value) in FIELDS.items()}


def _unpack(fields: _Fields, first: bytes, last: bytes) -> str:
    parts: list[str] = []
    offset = 0
    for field in fields:
        width = _INTERFACE_BYTES if field is _Field.INTERFACE else 4
        parts.append(_text(field, first[offset : offset + width], last[offset : offset + width]))
        offset += width
    return join(*parts)


def _text(field: _Field, first: bytes, last: bytes) -> str:
    match field:
        case _Field.ADDRESS:
            return socket.inet_ntoa(first)
        case _Field.NETWORK:
            networks = list(summarize_address_range(IPv4Address(first), IPv4Address(last)))
            return network_text(networks[0]) if len(networks) == 1 else f"{networks[0][0]}-{networks[-1][-1]}"
        case _Field.PORT | _Field.BYTES:
            return str(int.from_bytes(first[:2], "big"))
        case _Field.MARK:
            return str(int.from_bytes(first, sys.byteorder))
        case _Field.ORDERED_MARK:
            return str(int.from_bytes(first, "big"))
        case _Field.INTERFACE:
            return first.rstrip(b"\0").decode(errors="replace")
