"""Read the compiled programs that are shipped with the package.

The smallest reader of ELF that does: little-endian eBPF objects of clang, whose programs refer to tables by name and
to nothing else. No compiler and no library is needed to run them. `scripts/build-bpf` makes the objects; each
carries the SHA-256 of the sources that it was made from.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import NamedTuple

_PACKAGE = "landbridge.drivers.toa"
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_RELOCATION = struct.Struct("<QQ")
_TABLE = struct.Struct("<IIIII")
_MAGIC = b"\x7fELF\x02\x01"  # 64 bits, little-endian
_MACHINE_BPF = 247
_SYMBOLS, _RELOCATIONS = 2, 9
_EXECUTABLE = 0x4
_ADDRESS_OF_A_TABLE = 1  # R_BPF_64_64


class UnreadableObject(Exception):
    """The bytes are no object of ours."""


@dataclass(frozen=True, slots=True)
class TableSpec:
    """What a table is made like; sizes in bytes."""

    name: str
    kind: int
    key_size: int
    value_size: int
    max_entries: int
    flags: int


@dataclass(frozen=True, slots=True)
class Code:
    """One program: its instructions, and at which of their bytes which table's descriptor must stand."""

    instructions: bytes
    references: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class CompiledObject:
    """Programs and the tables that they share."""

    programs: Mapping[str, Code]
    tables: Mapping[str, TableSpec]
    counters: tuple[str, ...]
    """What is counted in the table `counts`, in its order."""
    license: str
    source_digest: str
    """SHA-256 of the sources, in hex."""


class _Symbol(NamedTuple):
    name: str
    section: int
    offset: int


@dataclass(frozen=True, slots=True)
class _Section:
    name: str
    kind: int
    flags: int
    data: bytes
    refers_to: int


def shipped(name: str) -> CompiledObject:
    """Return one of the package's own objects, such as `toa`."""
    return read_object(resources.files(_PACKAGE).joinpath("bpf", f"{name}.o").read_bytes())


def read_object(data: bytes) -> CompiledObject:
    """Return what is in an object file. Raises UnreadableObject."""
    try:
        sections = _sections(data)
        symbols = _symbols(sections)
        tables = {
            name: TableSpec(name, *_TABLE.unpack_from(sections[section].data, offset))
            for name, section, offset in symbols
            if sections[section].name == "tables"
        }
        return CompiledObject(
            programs={
                section.name: Code(section.data, tuple(_references(index, sections, symbols, tables)))
                for index, section in enumerate(sections)
                if section.flags & _EXECUTABLE and section.data
            },
            tables=tables,
            counters=tuple(_text(sections, "counters").split()),
            license=_text(sections, "license"),
            source_digest=_text(sections, "source"),
        )
    except (struct.error, IndexError, ValueError) as error:
        raise UnreadableObject(f"this is no eBPF object that can be read: {error}") from error


def _sections(data: bytes) -> list[_Section]:
    header = _HEADER.unpack_from(data)
    if not header[0].startswith(_MAGIC) or header[2] != _MACHINE_BPF:
        raise UnreadableObject("this is no eBPF object for a little-endian machine: build it with scripts/build-bpf")
    start, count, names_at = header[6], header[12], header[13]
    rows = [_SECTION.unpack_from(data, start + number * _SECTION.size) for number in range(count)]
    contents: list[bytes] = [data[row[4] : row[4] + row[5]] for row in rows]
    names = contents[int(names_at)]
    return [
        _Section(_name(names, row[0]), row[1], row[2], content, row[7])
        for row, content in zip(rows, contents, strict=True)
    ]


def _symbols(sections: Sequence[_Section]) -> list[_Symbol]:
    listed = next(section.data for section in sections if section.kind == _SYMBOLS)
    names = next(section.data for section in sections if section.name == ".strtab")
    return [
        _Symbol(_name(names, name), section if section < len(sections) else 0, offset)
        for name, _, _, section, offset, _ in _SYMBOL.iter_unpack(listed)
    ]


def _references(
    index: int, sections: Sequence[_Section], symbols: Sequence[_Symbol], tables: Mapping[str, TableSpec]
) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    for section in sections:
        if section.kind != _RELOCATIONS or section.refers_to != index:
            continue
        for number in range(len(section.data) // _RELOCATION.size):
            offset, info = _RELOCATION.unpack_from(section.data, number * _RELOCATION.size)
            name = symbols[int(info) >> 32].name
            if info & 0xFFFFFFFF != _ADDRESS_OF_A_TABLE or name not in tables:
                raise UnreadableObject(f"a program refers to {name or 'something'}, which is no table")
            found.append((offset, name))
    return found


def _text(sections: Sequence[_Section], name: str) -> str:
    return next((section.data.rstrip(b"\0").decode() for section in sections if section.name == name), "")


def _name(names: bytes, offset: int) -> str:
    return names[offset : names.index(b"\0", offset)].decode()
