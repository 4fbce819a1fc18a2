"""Compare what is in the edges with what should be there, down to the single rule.

Pure: `looking` reads, this decides what differs and finds the words. What is missing as a whole, such as an edge or its
table, is one difference, and its contents are no further ones.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Interface
from itertools import chain

from landbridge.dataplane.model import LINK_MTU, Attachment, Wired, attachments
from landbridge.dataplane.verification import NOTHING, Difference
from landbridge.domain.ids import VpcId
from landbridge.drivers.linux.elements import (
    HUB,
    LABELS,
    LOOPBACK,
    MAPS,
    OUTSIDE_NFT,
    Element,
    Kind,
    elements,
    link_interface,
    read_label,
    subnet_interface,
)
from landbridge.drivers.linux.netlink import Link, Route
from landbridge.drivers.linux.rules_text import Table, rule_differences

_PROGRAMS = {Kind.OPTION: "client address option", Kind.HEADER: "PROXY protocol header"}
_WORDS = {
    Kind.ADDRESS: "address",
    Kind.ROUTE: "route",
    Kind.PROXY: "proxy listener",
    **{kind: f"entry of the packet program ({words})" for kind, words in _PROGRAMS.items()},
}


@dataclass(frozen=True, slots=True)
class FoundEdge:
    """What was read of one edge beside its elements."""

    namespace: str
    tables: Mapping[str, Table]
    """All nftables tables by family and name."""
    interfaces: Mapping[str, Link]
    addresses: Mapping[str, frozenset[IPv4Interface]]
    """By interface."""
    settings: Mapping[str, str]
    placed: Mapping[str, frozenset[str]]
    """The interfaces in the sets `routed` and `guests`."""
    foreign_routes: Sequence[Route]


@dataclass(frozen=True, slots=True)
class Found:
    """What was read of all edges."""

    edges: Mapping[VpcId, FoundEdge]
    elements: frozenset[Element]
    taken: Mapping[str, str | None]
    """Namespaces with an edge's name that are not ours, and the instance whose they are; None: nobody's."""
    unplugged: frozenset[Attachment] = frozenset()
    """Attachments that are not in their bridge as they should be."""


@dataclass(frozen=True, slots=True)
class Standard:
    """What every edge should have."""

    table_name: str
    table: Table
    settings: Mapping[str, str]
    edge_prefix: str
    """What the names of all edges begin with."""


def compare(expected: Collection[Wired], found: Found, standard: Standard) -> list[Difference]:
    """Return all differences, sorted."""
    return sorted(_Comparison(expected, found, standard).differences())


class _Comparison:
    def __init__(self, expected: Collection[Wired], found: Found, standard: Standard) -> None:
        self._found, self._standard = found, standard
        self._attachments: dict[Attachment, set[str]] = defaultdict(set)
        self._wanted: dict[Element, set[str]] = defaultdict(set)
        for wired in expected:
            for element in elements(wired):
                self._wanted[element].add(wired.id)
            for attachment in attachments(wired):
                self._attachments[attachment].add(wired.id)
        self._without_edge = {vpc_id for one in self._wanted for vpc_id in _vpcs(one)} - found.edges.keys()
        self._without_table = {vpc_id for vpc_id, edge in found.edges.items() if standard.table_name not in edge.tables}

    def differences(self) -> Iterator[Difference]:
        yield from self._namespaces()
        for vpc_id, edge in self._found.edges.items():
            yield from self._rules(edge)
            yield from self._settings(edge)
            yield from self._interfaces(vpc_id, edge)
            for route in edge.foreign_routes:
                yield Difference(edge.namespace, f"route {route.destination}", NOTHING, _route_text(route, edge))
        for attachment, ids in self._attachments.items():
            yield from self._attachment(attachment, tuple(sorted(ids)))
        yield from self._elements()

    def _namespaces(self) -> Iterator[Difference]:
        concerned: dict[VpcId, set[str]] = {vpc_id: set() for vpc_id in self._without_edge}
        for one, ids in self._wanted.items():
            for vpc_id in _vpcs(one):
                if vpc_id in concerned:
                    concerned[vpc_id] |= ids
        for vpc_id in self._without_edge:
            name = self._standard.edge_prefix + vpc_id
            found = _owner_text(self._found.taken[name]) if name in self._found.taken else NOTHING
            wanted = "the edge of the VPC, with all that is wired there"
            yield Difference(name, "network namespace", wanted, found, tuple(sorted(concerned[vpc_id])))
        for name, owner in self._found.taken.items():
            # Another instance may have VPCs of its own in this region.
            if owner is None and VpcId(name.removeprefix(self._standard.edge_prefix)) not in self._without_edge:
                yield Difference(name, "network namespace", NOTHING, _owner_text(owner))

    def _rules(self, edge: FoundEdge) -> Iterator[Difference]:
        own = self._standard.table_name
        for name in edge.tables.keys() - {own}:
            yield Difference(edge.namespace, f"nftables table {name}", NOTHING, "a table that is not ours")
        if own not in edge.tables:
            yield Difference(edge.namespace, f"nftables table {own}", "our rules, with all elements", NOTHING)
            return
        for what, wanted, found in rule_differences(self._standard.table, edge.tables[own]):
            yield Difference(edge.namespace, what, wanted or NOTHING, found or NOTHING)

    def _settings(self, edge: FoundEdge) -> Iterator[Difference]:
        for name, wanted in self._standard.settings.items():
            found = edge.settings.get(name, wanted)  # a kernel without it needs it not
            if found != wanted:
                yield Difference(edge.namespace, f"sysctl net/{name}", wanted, found)

    def _interfaces(self, vpc_id: VpcId, edge: FoundEdge) -> Iterator[Difference]:
        links = self._link_ends.get(vpc_id, frozenset())
        placed = edge.placed["routed"] | edge.placed["guests"]
        for name, interface in edge.interfaces.items():
            what = f"interface {name}"
            if name.startswith("sub-"):
                if name not in placed and vpc_id not in self._without_table:
                    yield Difference(edge.namespace, what, "in the set routed or guests", "in neither")
                continue
            if name == LOOPBACK:
                if not interface.is_up:
                    yield Difference(edge.namespace, what, "up", "down")
            elif name in links:
                if interface.mtu != LINK_MTU:
                    yield Difference(edge.namespace, what, f"MTU {LINK_MTU}", f"MTU {interface.mtu}")
            # Some kernels put tunnels that are down into every namespace.
            elif interface.is_up or name.startswith("link-"):
                yield Difference(edge.namespace, what, NOTHING, "an interface that is not ours")
            for address in edge.addresses.get(name, frozenset()):
                if not (name == LOOPBACK and address.ip.is_loopback):
                    yield Difference(edge.namespace, f"address {address.ip}", NOTHING, f"{address} on {name}")

    @cached_property
    def _link_ends(self) -> Mapping[VpcId, Set[str]]:
        """The names of each edge's ends of links that are wanted, or are there and will be told as elements."""
        ends: dict[VpcId, set[str]] = defaultdict(set)
        for element in chain(self._wanted, self._found.elements):
            if element.kind is Kind.LINK:
                for vpc_id, name in _ends(element):
                    ends[vpc_id].add(name)
        return ends

    def _attachment(self, attachment: Attachment, ids: tuple[str, ...]) -> Iterator[Difference]:
        edge = self._found.edges.get(attachment.vpc_id)
        if edge is None:
            return
        name = subnet_interface(attachment.subnet_id)
        what = f"interface {name} in subnet {attachment.subnet_id}"
        interface = edge.interfaces.get(name)
        if interface is None:
            yield Difference(edge.namespace, what, "up", NOTHING, ids)
            return
        if attachment.bridge is not None:
            if attachment in self._found.unplugged:
                wanted = f"plugged into the bridge {attachment.bridge.name}, with its address and routes"
                yield Difference(edge.namespace, what, wanted, "not so", ids)
            return
        if not interface.is_up:
            yield Difference(edge.namespace, what, "up", "down", ids)
        if interface.mtu != attachment.mtu:
            yield Difference(edge.namespace, what, f"MTU {attachment.mtu}", f"MTU {interface.mtu}", ids)
        if attachment.vpc_id not in self._without_table and name not in edge.placed["routed"]:
            yield Difference(edge.namespace, what, "in the set routed", "not in it", ids)
        own = IPv4Interface((attachment.edge_address, attachment.cidr.prefixlen))
        there = edge.addresses.get(name, frozenset[IPv4Interface]())
        if own not in there:
            yield Difference(edge.namespace, f"address {own.ip}", f"{own} on {name}", NOTHING, ids)
        for other in there - {own}:
            yield Difference(edge.namespace, f"address {other.ip}", NOTHING, f"{other} on {name}")

    def _elements(self) -> Iterator[Difference]:
        present = self._found.elements
        missing = {one for one in self._wanted.keys() - present if self._is_looked_for(one)}
        surplus = {(one.vpc_id, one.kind, one.key): one for one in present - self._wanted.keys()}
        silent = _programs_without_entries(missing, present)
        for (vpc_id, kind), count in silent.items():
            concerned = {
                id_ for one in missing if (one.vpc_id, one.kind) == (vpc_id, kind) for id_ in self._wanted[one]
            }
            wanted = f"on every interface in a subnet, with {count} entries"
            found = "missing on an interface, or without entries"
            what = f"packet program ({_PROGRAMS[kind]})"
            yield Difference(self._namespace(vpc_id), what, wanted, found, tuple(sorted(concerned)))
        for element in missing:
            if (element.vpc_id, element.kind) in silent:
                continue
            other = surplus.pop((element.vpc_id, element.kind, element.key), None)
            found = self._broken_link(element) if element.kind is Kind.LINK else NOTHING
            yield Difference(
                self._namespace(element.vpc_id),
                _name(element),
                _value(element),
                _value(other) if other is not None else found,
                tuple(sorted(self._wanted[element])),
            )
        for element in surplus.values():
            label = read_label(element.value) if element.kind in LABELS else None
            found = f"what is left of {label[0]}" if label else _value(element)
            yield Difference(self._namespace(element.vpc_id), _name(element), NOTHING, found)

    def _is_looked_for(self, element: Element) -> bool:
        if not self._without_edge.isdisjoint(_vpcs(element)):
            return False
        return element.kind in OUTSIDE_NFT or element.vpc_id not in self._without_table

    def _broken_link(self, element: Element) -> str:
        for vpc_id, name in _ends(element):
            interface = self._found.edges[vpc_id].interfaces.get(name)
            if interface is None:
                return f"no interface {name} in {self._namespace(vpc_id)}"
            if not interface.is_up:
                return f"{name} in {self._namespace(vpc_id)} is down"
        return "two ends that do not belong together"

    def _namespace(self, vpc_id: VpcId) -> str:
        edge = self._found.edges.get(vpc_id)
        return edge.namespace if edge is not None else self._standard.edge_prefix + vpc_id


def _programs_without_entries(
    missing: Collection[Element], present: Collection[Element]
) -> Mapping[tuple[VpcId, Kind], int]:
    """Return where nothing at all was read of a packet program, and how many entries it should have."""
    counts: dict[tuple[VpcId, Kind], int] = defaultdict(int)
    for element in missing:
        if element.kind in _PROGRAMS:
            counts[element.vpc_id, element.kind] += 1
    for element in present:
        counts.pop((element.vpc_id, element.kind), None)
    return counts


def _vpcs(element: Element) -> tuple[VpcId, ...]:
    return (element.vpc_id, VpcId(element.key)) if element.kind is Kind.LINK else (element.vpc_id,)


def _ends(link: Element) -> tuple[tuple[VpcId, str], tuple[VpcId, str]]:
    one, other = link.vpc_id, VpcId(link.key)
    return (one, link_interface(one, other, is_consumer=True)), (other, link_interface(other, one, is_consumer=False))


def _name(element: Element) -> str:
    if element.kind is Kind.LINK:
        return "link to the hub" if element.key == HUB else f"link to the edge of VPC {element.key}"
    words = _WORDS.get(element.kind)
    if words is None:
        words = f"map entry {element.kind}" if element.kind in MAPS else f"set element {element.kind}"
    return f"{words} {{ {element.key} }}" if element.kind not in OUTSIDE_NFT else f"{words} {element.key}"


def _value(element: Element) -> str:
    if element.kind is Kind.LINK:
        return "two ends that are up"
    if element.kind in {Kind.ADDRESS, Kind.ROUTE}:
        return f"on {element.value}" if element.kind is Kind.ADDRESS else f"by {element.value}"
    return element.value or "present"


def _route_text(route: Route, edge: FoundEdge) -> str:
    names = [name for name, interface in edge.interfaces.items() if interface.index == route.index]
    gateway = f" via {route.gateway}" if route.gateway is not None else ""
    return f"a route by {names[0] if names else 'no interface'}{gateway} that is not ours"


def _owner_text(owner: str | None) -> str:
    return "a namespace that is not Landbridge's" if owner is None else f"a namespace of the instance {owner}"
