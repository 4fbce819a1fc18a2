"""Keep one shipped program, with its tables, on all interfaces of one network namespace that it should see.

The programs carry a name made from their sources, so what is found on an interface can be told: ours and current,
ours and older, or somebody else's. Current ones are adopted with their tables, older ones are replaced in place and
their tables are kept, so nothing that is carried ends when Landbridge is restarted or renewed.
"""

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence

from landbridge.drivers.toa import kernel
from landbridge.drivers.toa.hooks import Direction, Hook, find_hook
from landbridge.drivers.toa.kernel import Descriptor, Program, Table
from landbridge.drivers.toa.objects import CompiledObject, shipped

_DIGITS = 8


def refusal(name: str) -> str | None:
    """Return why this machine cannot run a shipped object, as an end of a sentence; None if it can."""
    compiled = shipped(name)
    tables: dict[str, Table] = {}
    programs: list[Program] = []
    try:
        tables = {spec.name: kernel.create_table(spec) for spec in compiled.tables.values()}
        programs += [
            kernel.load_program(code, tables, f"{name}.probe", compiled.license) for code in compiled.programs.values()
        ]
        find_hook()
    except PermissionError as error:
        return f"the kernel lets only root of the host load packet programs ({error.strerror})"
    except OSError as error:
        return f"the kernel does not take the packet program ({error.strerror})"
    finally:
        _close((*programs, *tables.values()))
    return None


class Fitting:
    """One object on the interfaces of one namespace.

    `close` and `counts` apart, all must be called by a thread inside that namespace; all may raise OSError.
    """

    def __init__(self, name: str, compiled: CompiledObject, hook: Hook, *, is_first: bool = False) -> None:
        """Know an object by its name; one that `is_first` sees packets before others do."""
        # With the digits, no more than the kernel keeps of a name.
        self._prefix = f"{name}."
        self._compiled = compiled
        self._current = self._prefix + compiled.source_digest[:_DIGITS]
        self._hook = hook
        self._is_first = is_first
        self._programs: dict[Direction, Program] = {}
        self._tables: dict[str, Table] = {}

    @property
    def tables(self) -> Mapping[str, Table]:
        """The tables, empty before the first `fit` and while nothing is found."""
        return self._tables

    def adopt(self, interfaces: Sequence[int]) -> None:
        """Open the tables of what is already on the interfaces; change nothing."""
        for index in interfaces:
            for direction in self._directions():
                if self._tables.keys() == self._compiled.tables.keys():
                    return
                for found in self._ours(index, direction):
                    self._open_tables(found)
                    found.close()

    def prepare(self, interfaces: Sequence[int]) -> None:
        """See to it that all tables are there, so that they can be filled before a program looks into them."""
        self.adopt(interfaces)
        for spec in self._compiled.tables.values():
            if spec.name not in self._tables:
                self._tables[spec.name] = kernel.create_table(spec)

    def fit(self, interfaces: Sequence[int]) -> None:
        """See to it that the current program is on every interface, with these tables."""
        self.prepare(interfaces)
        for index in interfaces:
            for direction in self._directions():
                self._fit(index, direction)

    def is_complete(self, interfaces: Sequence[int]) -> bool:
        """Say whether every interface, and there is one, has the current program with the tables that are open here."""
        self.adopt(interfaces)
        for index in interfaces:
            for direction in self._directions():
                there = list(self._ours(index, direction))
                is_right = len(there) == 1 and self._is_current(there[0])
                _close(there)
                if not is_right:
                    return False
        return bool(interfaces)

    def remove(self, interfaces: Sequence[int]) -> None:
        """Take ours off every interface, and forget the tables."""
        for index in interfaces:
            for direction in self._directions():
                for program in self._ours(index, direction):
                    self._hook.detach(index, direction, program)
                    program.close()
        self.close()

    def counts(self) -> dict[str, int]:
        """Return the program's counters by name, empty while nothing is found; can be called from any thread."""
        table = self._tables.get("counts")
        if table is None:
            return {}
        numbers = (table.get(struct.pack("=I", number)) or b"" for number in range(table.spec.max_entries))
        totals = (sum(struct.unpack(f"={len(number) // 8}Q", number)) for number in numbers)
        return dict(zip(self._compiled.counters, totals, strict=True))

    def close(self) -> None:
        """Close what is open; what is fitted stays."""
        _close(self._programs.values())
        _close(self._tables.values())
        self._programs, self._tables = {}, {}

    def _directions(self) -> list[Direction]:
        return [Direction(name) for name in self._compiled.programs]

    def _fit(self, index: int, direction: Direction) -> None:
        there = list(self._ours(index, direction))
        try:
            current = next((program for program in there if self._is_current(program)), None)
            if current is None:
                current = self._program(direction)
                self._hook.attach(index, direction, current, there[0] if there else None, is_first=self._is_first)
                surplus = there[1:]
            else:
                surplus = [program for program in there if program is not current]
            for program in surplus:
                self._hook.detach(index, direction, program)
        finally:
            _close(there)

    def _program(self, direction: Direction) -> Program:
        if direction not in self._programs:
            code = self._compiled.programs[direction]
            loaded = kernel.load_program(code, self._tables, self._current, self._compiled.license)
            self._programs[direction] = loaded
        return self._programs[direction]

    def _ours(self, index: int, direction: Direction) -> Iterator[Program]:
        for program_id in self._hook.attached(index, direction):
            program = kernel.open_program(program_id)
            if program.info.name.startswith(self._prefix):
                yield program
            else:
                program.close()

    def _is_current(self, program: Program) -> bool:
        own = {table.id for table in self._tables.values()}
        return program.info.name == self._current and own.issuperset(program.info.table_ids)

    def _open_tables(self, program: Program) -> None:
        """Keep those tables of a program that are made like ours and that we have not yet."""
        for table_id in program.info.table_ids:
            table = kernel.open_table(table_id)
            name = table.spec.name
            if self._compiled.tables.get(name) == table.spec and name not in self._tables:
                self._tables[name] = table
            else:
                table.close()


def _close(opened: Iterable[Descriptor]) -> None:
    for each in opened:
        each.close()
