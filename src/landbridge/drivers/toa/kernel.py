"""Speak bpf(2): tables, programs, and what is known of those that are loaded.

Through ctypes, so that nobody needs libbpf. What this process has open it closes; programs live as long as an
interface has them, and tables as long as a program. A refusal is an OSError whose text says what was asked, and for
a program what the kernel's verifier said.
"""

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from landbridge.drivers.toa.objects import Code, TableSpec

_NUMBERS = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "loongarch64": 280, "ppc64le": 361}
_TABLE_CREATE, _LOOKUP, _UPDATE, _DELETE, _PROGRAM_LOAD = 0, 1, 2, 3, 5
_ATTACH, _DETACH, _PROGRAM_BY_ID, _TABLE_BY_ID, _INFO, _QUERY, _LOOKUP_BATCH = 8, 9, 13, 14, 15, 16, 24
_TRAFFIC_CLASSIFIER = 3
_PER_CPU_KINDS = frozenset({5, 6, 10})
_TABLE_REFERENCE = 1
_ATTRIBUTE_BYTES = 144
_NAME_BYTES = 15
_LOG_BYTES = 1 << 20
_LOG_SHOWN = 2000
_MOST_TABLES = 16
_TABLE_INFO_BYTES, _PROGRAM_INFO_BYTES = 40, 80
_BATCH = 1024

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class ProgramInfo:
    """What the kernel says of a loaded program."""

    id: int
    name: str
    table_ids: tuple[int, ...]


class Descriptor:
    """Something of the kernel's that this process has open."""

    def __init__(self, number: int) -> None:
        self._number = number

    def fileno(self) -> int:
        """Return the descriptor's number."""
        return self._number

    def close(self) -> None:
        """Close it; twice is once."""
        if self._number >= 0:
            os.close(self._number)
            self._number = -1


class Program(Descriptor):
    """A loaded program."""

    def __init__(self, number: int, info: ProgramInfo) -> None:
        super().__init__(number)
        self.info = info


class Table(Descriptor):
    """A table that programs and this process share."""

    def __init__(self, number: int, spec: TableSpec, id_: int) -> None:
        super().__init__(number)
        self.spec = spec
        self.id = id_

    def put(self, key: bytes, value: bytes) -> None:
        """Set the value of a key. Raises OSError with E2BIG when the table is full."""
        keys, values = _filled(key), _filled(value)
        _call(_UPDATE, "=IxxxxQQQ", self.fileno(), _at(keys), _at(values), 0, what=f"write table {self.spec.name}")

    def remove(self, key: bytes) -> None:
        """Take a key out, if it is there."""
        keys = _filled(key)
        try:
            _call(_DELETE, "=IxxxxQQ", self.fileno(), _at(keys), 0, what=f"write table {self.spec.name}")
        except FileNotFoundError:
            return

    def get(self, key: bytes) -> bytes | None:
        """Return the value of a key; of a per-CPU table all CPUs' values, one behind the other, each 8-byte aligned."""
        size = self.spec.value_size
        if self.spec.kind in _PER_CPU_KINDS:
            size = (size + 7 & ~7) * possible_cpus()
        keys, values = _filled(key), ctypes.create_string_buffer(size)
        try:
            _call(_LOOKUP, "=IxxxxQQQ", self.fileno(), _at(keys), _at(values), 0, what=f"read table {self.spec.name}")
        except FileNotFoundError:
            return None
        return values.raw

    def entries(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield all keys and values of a hash table."""
        key_size, value_size, batch = self.spec.key_size, self.spec.value_size, _BATCH
        position: ctypes.Array[ctypes.c_char] | None = None
        while True:
            keys, values = (
                ctypes.create_string_buffer(key_size * batch),
                ctypes.create_string_buffer(value_size * batch),
            )
            following = ctypes.create_string_buffer(max(4, key_size))
            start = _at(position) if position is not None else 0
            attribute = _attribute("=QQQQII", start, _at(following), _at(keys), _at(values), batch, self.fileno())
            try:
                _enter(_LOOKUP_BATCH, attribute, f"read table {self.spec.name}")
                is_last = False
            except FileNotFoundError:
                is_last = True
            except OSError as error:
                if error.errno != errno.ENOSPC or batch >= self.spec.max_entries:
                    raise
                batch *= 2  # one bucket alone has more
                continue
            for number in range(struct.unpack_from("=I", attribute.raw, 32)[0]):
                yield (
                    keys.raw[number * key_size : (number + 1) * key_size],
                    values.raw[number * value_size : (number + 1) * value_size],
                )
            if is_last:
                return
            position = following


def create_table(spec: TableSpec) -> Table:
    """Make an empty table."""
    layout = (spec.kind, spec.key_size, spec.value_size, spec.max_entries, spec.flags)
    name = spec.name.encode()[:_NAME_BYTES]
    number = _call(_TABLE_CREATE, "=IIIIIII16s", *layout, 0, 0, name, what=f"make table {spec.name}")
    return Table(number, spec, struct.unpack_from("=I", _info(number, _TABLE_INFO_BYTES), 4)[0])


def open_table(table_id: int) -> Table:
    """Return a table that somebody made. Raises OSError if it is gone."""
    number = _call(_TABLE_BY_ID, "=I", table_id, what="open a table")
    info = _info(number, _TABLE_INFO_BYTES)
    kind, _, key_size, value_size, max_entries, flags = struct.unpack_from("=IIIIII", info)
    return Table(number, TableSpec(_name(info, 24), kind, key_size, value_size, max_entries, flags), table_id)


def load_program(code: Code, tables: Mapping[str, Table], name: str, license_: str) -> Program:
    """Have the kernel check and take a program. Raises OSError with the end of the verifier's log."""
    instructions = bytearray(code.instructions)
    for offset, table in code.references:
        instructions[offset + 1] = instructions[offset + 1] & 0x0F | _TABLE_REFERENCE << 4
        struct.pack_into("=i", instructions, offset + 4, tables[table].fileno())
    text, terms = _filled(bytes(instructions)), _filled(license_.encode() + b"\0")

    def load(level: int, log: "ctypes.Array[ctypes.c_char]") -> int:
        where = (_at(text), _at(terms), level, len(log) if level else 0, _at(log) if level else 0)
        head = (_TRAFFIC_CLASSIFIER, len(instructions) // 8, *where, 0, 0, name.encode()[:_NAME_BYTES])
        return _call(_PROGRAM_LOAD, "=IIQQIIQII16s", *head, what=f"load program {name}")

    try:
        number = load(0, ctypes.create_string_buffer(1))
    except PermissionError:
        raise
    except OSError:
        # Once more, for the reason: a log costs time, and is not wanted when all is well.
        log = ctypes.create_string_buffer(_LOG_BYTES)
        try:
            number = load(1, log)
        except OSError as error:
            said = log.value.decode(errors="replace").strip()[-_LOG_SHOWN:]
            raise OSError(error.errno, f"{error.strerror}: {said}" if said else error.strerror) from error
    return Program(number, program_info(number))


def open_program(program_id: int) -> Program:
    """Return a program that somebody loaded. Raises OSError if it is gone."""
    number = _call(_PROGRAM_BY_ID, "=I", program_id, what="open a program")
    return Program(number, program_info(number))


def program_info(number: int) -> ProgramInfo:
    """Return what the kernel says of the program behind a descriptor."""
    table_ids = (ctypes.c_uint32 * _MOST_TABLES)()
    asked = bytearray(_PROGRAM_INFO_BYTES)
    struct.pack_into("=IQ", asked, 52, _MOST_TABLES, ctypes.addressof(table_ids))
    info = _info(number, len(asked), bytes(asked))
    count = min(struct.unpack_from("=I", info, 52)[0], _MOST_TABLES)
    return ProgramInfo(struct.unpack_from("=I", info, 4)[0], _name(info, 64), tuple(table_ids[:count]))


def attach(
    index: int, place: int, program: Program, replaced: Program | None = None, *, is_first: bool = False
) -> None:
    """Put a program on an interface of the calling thread's network namespace, or in the place of another.

    It runs behind those that are there, or before them. `place` is the kernel's number of the hook. The interface keeps
    it until it is detached or the interface goes.
    """
    replace_flag, before_flag = 1 << 2, 1 << 3
    if replaced is not None:
        flags, old = replace_flag, replaced.fileno()
    else:
        flags, old = before_flag if is_first else 0, 0
    _call(_ATTACH, "=IIIII", index, program.fileno(), place, flags, old, what="attach a program")


def detach(index: int, place: int, program: Program) -> None:
    """Take a program off an interface of the calling thread's network namespace."""
    _call(_DETACH, "=III", index, program.fileno(), place, what="detach a program")


def attached(index: int, place: int) -> list[int]:
    """Return the ids of the programs on an interface, in the order in which they run.

    Raises OSError with EINVAL where the kernel does not know the hook.
    """
    room = 64
    ids = (ctypes.c_uint32 * room)()
    attribute = _attribute("=IIIIQI", index, place, 0, 0, ctypes.addressof(ids), room)
    try:
        _enter(_QUERY, attribute, "list programs")
    except FileNotFoundError:
        return []
    return list(ids[: struct.unpack_from("=I", attribute.raw, 24)[0]])


def possible_cpus() -> int:
    """Return for how many CPUs per-CPU tables have room (`/sys/devices/system/cpu/possible`)."""
    last = Path("/sys/devices/system/cpu/possible").read_text().strip().split(",")[-1]
    return int(last.split("-")[-1]) + 1


def _info(number: int, size: int, asked: bytes = b"") -> bytes:
    buffer = ctypes.create_string_buffer(asked.ljust(size, b"\0"), size)
    _call(_INFO, "=IIQ", number, size, _at(buffer), what="ask what is loaded")
    return buffer.raw


def _call(command: int, layout: str, *values: object, what: str) -> int:
    return _enter(command, _attribute(layout, *values), what)


def _enter(command: int, attribute: "ctypes.Array[ctypes.c_char]", what: str) -> int:
    machine = platform.machine()
    number = _NUMBERS.get(machine)
    if number is None:
        raise OSError(errno.ENOSYS, f"bpf: cannot {what}: the system call's number on {machine} is not known here")
    result = _libc.syscall(number, command, attribute, len(attribute))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"bpf: cannot {what}: {os.strerror(code)}")
    return result


def _attribute(layout: str, *values: object) -> "ctypes.Array[ctypes.c_char]":
    return ctypes.create_string_buffer(struct.pack(layout, *values), _ATTRIBUTE_BYTES)


def _filled(data: bytes) -> "ctypes.Array[ctypes.c_char]":
    return ctypes.create_string_buffer(data, len(data))


def _at(buffer: "ctypes.Array[ctypes.c_char]") -> int:
    return ctypes.addressof(buffer)


def _name(info: bytes, offset: int) -> str:
    return info[offset : offset + _NAME_BYTES + 1].partition(b"\0")[0].decode(errors="replace")
