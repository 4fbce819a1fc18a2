"""Carry elements by a program in the kernel that stands on all of an edge's interfaces in its subnets.

What differs between programs is the name of their object and how an element's value is written in their table
`listeners`. The program sees every subnet's packets, because an endpoint is reached from all subnets of its VPC. It is
there as long as the edge has one such element.
"""

import errno
import socket
import struct
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from ipaddress import IPv4Address

from landbridge.domain.ids import VpcId
from landbridge.drivers.linux import ownership
from landbridge.drivers.linux.edges import Edge
from landbridge.drivers.linux.elements import Element, Kind, join, split
from landbridge.drivers.linux.namespaces import Namespaces, NoSuchNamespace
from landbridge.drivers.linux.ownership import NamespaceTaken
from landbridge.drivers.toa.fitting import Fitting
from landbridge.drivers.toa.hooks import Hook, find_hook
from landbridge.drivers.toa.kernel import Table
from landbridge.drivers.toa.objects import shipped

_SUBNET_INTERFACES = "sub-"
_KEY = struct.Struct("!4sHxx")
_ANY_PORT = 0


class PacketProgram:
    """The engine of one kind of element; a `landbridge.drivers.linux.engines.Engine` but for the values.

    Keys of elements are "address . client port". `write` turns an element's address, port and value into the table's
    value, and raises ValueError for one that it does not understand. `read` turns it back, None if it is not what
    would be written now.
    """

    def __init__(
        self,
        kind: Kind,
        name: str,
        write: Callable[[str, int, str], bytes],
        read: Callable[[str, int, bytes], str | None],
        namespaces: Namespaces,
        instance: str,
        region: str,
        hook: Hook | None = None,
        *,
        is_first: bool = False,
    ) -> None:
        """Carry elements of `kind` by the shipped object `name`; without a `hook`, by the best of this kernel.

        A program that `is_first` sees packets before the other engines' programs do.
        """
        self._kind = kind
        self._name = name
        self._compiled = shipped(name)
        self._write = write
        self._read = read
        self._namespaces = namespaces
        self._instance = instance
        self._region = region
        self._hook = hook
        self._is_first = is_first
        self._edges: dict[VpcId, _FittedEdge] = {}

    @property
    def kind(self) -> Kind:
        """The kind of element that it carries."""
        return self._kind

    def read(self, edges: Mapping[VpcId, Edge]) -> set[Element]:
        """Return the elements of those edges where the program is on every interface in a subnet."""
        found: set[Element] = set()
        for gone in self._edges.keys() - edges.keys():
            self._edges.pop(gone).close()
        for vpc_id, edge in edges.items():
            fitted = self._fitted(vpc_id, edge.identity)
            for (address, port), content in self._namespaces.inside(edge.name, fitted.carried).items():
                value = self._read(address, port, content)
                if value is not None:
                    found.add(Element(vpc_id, self._kind, join(address, port), value))
        return found

    def change(self, removals: Collection[Element], additions: Collection[Element]) -> Mapping[Element, str]:
        """Take elements out and put others in; return why some failed."""
        failures: dict[Element, str] = {}
        by_edge: dict[VpcId, tuple[list[Element], list[Element]]] = defaultdict(lambda: ([], []))
        for element in removals:
            by_edge[element.vpc_id][0].append(element)
        for element in additions:
            by_edge[element.vpc_id][1].append(element)
        for vpc_id, (gone, new) in by_edge.items():
            try:
                failures |= self._change(vpc_id, gone, new)
            except (OSError, NoSuchNamespace, NamespaceTaken) as error:
                failures |= dict.fromkeys((*gone, *new), _reason(error))
        return failures

    def refit(self, vpc_id: VpcId) -> None:
        """Put the program on an interface that is new; see `Engine.refit`. What fails shows at the next reading."""
        with suppress(OSError, NoSuchNamespace, NamespaceTaken):
            self._change(vpc_id, (), ())

    def counts(self) -> Mapping[str, int]:
        """Return what the programs have counted since they were put in, by the names in the C source, lower case."""
        total: dict[str, int] = defaultdict(int)
        for fitted in self._edges.values():
            for name, number in fitted.counts().items():
                total[name] += number
        return total

    def close(self) -> None:
        """Close what is open; the programs stay where they are."""
        for fitted in self._edges.values():
            fitted.close()
        self._edges.clear()

    def _change(self, vpc_id: VpcId, gone: Sequence[Element], new: Sequence[Element]) -> dict[Element, str]:
        name = ownership.edge_namespace(self._region, vpc_id)
        identity = self._namespaces.identity(name)
        if identity is None:
            return dict.fromkeys(new, f"the edge of VPC {vpc_id} is away")
        fitted = self._edges.get(vpc_id)
        if fitted is None or fitted.identity != identity:
            ownership.is_ours(self._namespaces, name, self._instance)
            fitted = self._fitted(vpc_id, identity)
        failures: dict[Element, str] = {}
        entries: dict[tuple[str, int], tuple[Element, bytes]] = {}
        for element in new:
            try:
                entries[_place(element)] = element, self._write(*_place(element), element.value)
            except ValueError as error:
                failures[element] = f"{element.key} : {element.value} is no element of kind {self._kind}: {error}"
        values = {place: value for place, (_, value) in entries.items()}
        ended = {_place(element) for element in gone} - values.keys()
        problems = self._namespaces.inside(name, lambda: fitted.change(ended, values))
        return failures | {entries[place][0]: _reason(error) for place, error in problems.items()}

    def _fitted(self, vpc_id: VpcId, identity: int) -> "_FittedEdge":
        known = self._edges.get(vpc_id)
        if known is not None and known.identity == identity:
            return known
        if known is not None:
            known.close()
        if self._hook is None:
            self._hook = find_hook()
        fitting = Fitting(self._name, self._compiled, self._hook, is_first=self._is_first)
        fitted = self._edges[vpc_id] = _FittedEdge(identity, fitting)
        return fitted


class _FittedEdge:
    """The program in one edge. `carried` and `change` must be called by a thread inside the edge."""

    def __init__(self, identity: int, fitting: Fitting) -> None:
        self.identity = identity
        self._fitting = fitting
        self._ports: dict[str, set[int]] | None = None

    def carried(self) -> dict[tuple[str, int], bytes]:
        """Return the entries by address and port; none if a subnet's packets do not pass the program."""
        if not self._fitting.is_complete(_subnet_interfaces()):
            return {}
        listeners = self._fitting.tables["listeners"]
        found = {_read_key(key): value for key, value in listeners.entries()}
        self._ports = defaultdict(set)
        for address, port in found:
            self._ports[address].add(port)
        return {(address, port): value for (address, port), value in found.items() if port != _ANY_PORT}

    def change(
        self, ended: Collection[tuple[str, int]], entries: Mapping[tuple[str, int], bytes]
    ) -> dict[tuple[str, int], OSError]:
        """Take entries out and put others in; return what could not be put in."""
        interfaces = _subnet_interfaces()
        self._fitting.adopt(interfaces)
        problems: dict[tuple[str, int], OSError] = {}
        listeners = self._fitting.tables.get("listeners")
        if listeners is not None:
            self._take_out(listeners, ended)
        if entries:
            # Filled before the program looks into it: no packet passes as if there were no entries.
            self._fitting.prepare(interfaces)
            problems = self._put_in(self._fitting.tables["listeners"], entries)
            self._fitting.fit(interfaces)
        elif self._ports:
            # A subnet that came meanwhile. A failure is nothing to those that are taken out; the next reading
            # shows it.
            with suppress(OSError):
                self._fitting.fit(interfaces)
        if not self._ports:
            self._fitting.remove(interfaces)
            self._ports = None
        return problems

    def counts(self) -> dict[str, int]:
        """Return the program's counters."""
        return self._fitting.counts()

    def close(self) -> None:
        self._fitting.close()
        self._ports = None

    def _take_out(self, listeners: Table, ended: Collection[tuple[str, int]]) -> None:
        ports = self._known_ports(listeners)
        for address, port in ended:
            listeners.remove(_key(address, port))
            left = ports.get(address, set())
            left.discard(port)
            if left <= {_ANY_PORT}:
                listeners.remove(_key(address, _ANY_PORT))
                ports.pop(address, None)

    def _put_in(self, listeners: Table, entries: Mapping[tuple[str, int], bytes]) -> dict[tuple[str, int], OSError]:
        ports = self._known_ports(listeners)
        problems: dict[tuple[str, int], OSError] = {}
        for (address, port), value in entries.items():
            try:
                for number, content in ((_ANY_PORT, bytes(listeners.spec.value_size)), (port, value)):
                    if number == port or number not in ports.get(address, ()):
                        listeners.put(_key(address, number), content)
                        ports.setdefault(address, set()).add(number)
            except OSError as error:
                problems[address, port] = error
        return problems

    def _known_ports(self, listeners: Table) -> dict[str, set[int]]:
        if self._ports is None:
            self._ports = {}
            for key, _ in listeners.entries():
                address, port = _read_key(key)
                self._ports.setdefault(address, set()).add(port)
        return self._ports


def _subnet_interfaces() -> list[int]:
    return [index for index, name in socket.if_nameindex() if name.startswith(_SUBNET_INTERFACES)]


def _place(element: Element) -> tuple[str, int]:
    address, port = split(element.key)
    return address, int(port)


def _key(address: str, port: int) -> bytes:
    return _KEY.pack(IPv4Address(address).packed, port)


def _read_key(key: bytes) -> tuple[str, int]:
    address, port = _KEY.unpack(key)
    return str(IPv4Address(address)), port


def _reason(error: Exception) -> str:
    if not isinstance(error, OSError):
        return str(error)
    if error.errno == errno.E2BIG:
        return "the table of this VPC is full"
    return error.strerror or str(error)
