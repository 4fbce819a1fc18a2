"""Read the edges of this machine afresh for a comparison, and change nothing.

Opens edges as they are: loads no rules, writes no settings, starts and adopts no proxy. What our rules look like when
this kernel lists them is found out in a network namespace without a name, which is gone before anything is read.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from ipaddress import IPv4Interface
from pathlib import Path
from typing import Any, cast

from landbridge.dataplane.driver import DriverError
from landbridge.dataplane.model import Attachment, Wired, attachments
from landbridge.dataplane.verification import Difference
from landbridge.domain.ids import VpcId
from landbridge.drivers.linux import ownership, ruleset, sysctl
from landbridge.drivers.linux.attaching import Attaching
from landbridge.drivers.linux.edges import CONNECTION_SETTINGS, SETTINGS, Edge, Edges
from landbridge.drivers.linux.elements import HUB, LOOPBACK, Element, Kind, network_text
from landbridge.drivers.linux.engines import Engine
from landbridge.drivers.linux.namespaces import Namespaces, NoSuchNamespace, T, in_a_new_namespace
from landbridge.drivers.linux.netlink import Link, Route
from landbridge.drivers.linux.nft import Nft, NftError
from landbridge.drivers.linux.packet_programs import PacketProgram
from landbridge.drivers.linux.rules_text import Table, read_tables
from landbridge.drivers.linux.survey import whole_links
from landbridge.drivers.linux.verification import Found, FoundEdge, Standard, compare

_SETTINGS = {**SETTINGS, **CONNECTION_SETTINGS}


class LinuxLooker:
    """Looks at the edges of one region and instance; a `landbridge.dataplane.verification.Looker`."""

    def __init__(self, namespaces: Namespaces, instance: str, region: str, engines: Collection[Engine] = ()) -> None:
        """Ask the engines too, which must be the caller's alone."""
        self._namespaces = namespaces
        self._instance = instance
        self._prefix = ownership.edge_prefix(region)
        self._engines = tuple(engines)
        self._edges = Edges(namespaces, instance, region, looks_only=True)
        self._attaching = Attaching(namespaces, instance, self._edges)
        self._standard: Standard | None = None

    def look(self, expected: Collection[Wired]) -> list[Difference]:
        """Return in what the edges differ from these things; see `Looker.look`."""
        try:
            if self._standard is None:
                self._standard = Standard(ruleset.TABLE, _our_table(), _SETTINGS, self._prefix)
            return compare(expected, self._found(expected), self._standard)
        except (OSError, NftError, NoSuchNamespace) as error:
            raise DriverError("the data plane cannot be read", detail=str(error)) from error

    def close(self) -> None:
        """Close all sockets."""
        for engine in self._engines:
            engine.close()
        self._edges.close()

    def _found(self, expected: Collection[Wired]) -> Found:
        edges = dict(self._edges.all())
        for engine in self._engines:
            if isinstance(engine, PacketProgram):
                engine.close()  # its tables may be others by now
        reading = _Reading()
        for vpc_id, edge in edges.items():
            reading.read(vpc_id, edge, self._namespaces.inside(edge.name, lambda: sysctl.read(_SETTINGS)))
        present = reading.elements.union(
            whole_links(edges, reading.ends), *(engine.read(edges) for engine in self._engines)
        )
        with_rules = {vpc_id for vpc_id, edge in reading.edges.items() if ruleset.TABLE in edge.tables}
        return Found(reading.edges, frozenset(present), self._taken(edges), self._unplugged(expected, with_rules))

    def _taken(self, edges: Mapping[VpcId, Edge]) -> dict[str, str | None]:
        taken: dict[str, str | None] = {}
        for name in self._namespaces.names():
            if name.startswith(self._prefix) and VpcId(name.removeprefix(self._prefix)) not in edges:
                try:
                    owner = ownership.owner(self._namespaces, name)
                except NoSuchNamespace:
                    continue
                if owner != self._instance:  # else it came since we looked
                    taken[name] = owner
        return taken

    def _unplugged(self, expected: Collection[Wired], readable: Collection[VpcId]) -> frozenset[Attachment]:
        every = {attachment for wired in expected for attachment in attachments(wired)}
        return frozenset(
            one
            for one in every
            if one.bridge is not None and one.vpc_id in readable and not self._attaching.is_attached(one)
        )


class _Reading:
    """What has been read so far."""

    def __init__(self) -> None:
        self.edges: dict[VpcId, FoundEdge] = {}
        self.elements: set[Element] = set()
        self.ends: dict[tuple[VpcId, str], Link] = {}

    def read(self, vpc_id: VpcId, edge: Edge, settings: Mapping[str, str]) -> None:
        tables = read_tables(edge.nft.list_rules())
        objects = edge.nft.list_json(f"table {ruleset.TABLE}") if ruleset.TABLE in tables else []
        self.elements |= ruleset.parse(vpc_id, objects)
        interfaces = {interface.index: interface for interface in edge.netlink.links()}
        self.ends.update({(vpc_id, interface.name): interface for interface in interfaces.values()})
        foreign = edge.netlink.foreign_routes()
        for route in edge.netlink.routes():
            element = _element(vpc_id, route, interfaces)
            if element is not None:
                self.elements.add(element)
            elif not _is_way_out(route, interfaces):
                foreign.append(route)
        addresses: dict[str, set[IPv4Interface]] = defaultdict(set)
        for index, address in edge.netlink.addresses():
            if index in interfaces:
                addresses[interfaces[index].name].add(address)
        self.edges[vpc_id] = FoundEdge(
            edge.name,
            tables,
            {interface.name: interface for interface in interfaces.values()},
            {name: frozenset(there) for name, there in addresses.items()},
            settings,
            {name: _members(objects, name) for name in ("routed", "guests")},
            foreign,
        )


def _element(vpc_id: VpcId, route: Route, interfaces: Mapping[int, Link]) -> Element | None:
    """Return the element that a route is, as the survey sees it."""
    name = interfaces[route.index].name if route.index in interfaces else ""
    if route.is_local and (name.startswith("sub-") or (vpc_id == HUB and name == LOOPBACK)):
        return Element(vpc_id, Kind.ADDRESS, network_text(route.destination), name)
    if name.startswith("link-"):
        return Element(vpc_id, Kind.ROUTE, network_text(route.destination), name)
    return None


def _is_way_out(route: Route, interfaces: Mapping[int, Link]) -> bool:
    """Say whether it is the default route that an edge gets in an attached subnet."""
    name = interfaces[route.index].name if route.index in interfaces else ""
    return route.destination.prefixlen == 0 and route.gateway is not None and name.startswith("sub-")


def _members(objects: Collection[dict[str, Any]], name: str) -> frozenset[str]:
    found: set[str] = set()
    for item in objects:
        listed = cast("dict[str, Any]", item.get("set", {}))
        if listed.get("name") == name:
            found.update(str(member) for member in listed.get("elem", ()))
    return frozenset(found)


class _Here(Namespaces):
    """Takes the namespace of the calling thread for every one."""

    def inside(self, name: str, function: Callable[[], T]) -> T:
        return function()


def _our_table() -> Table:
    def load() -> str:
        nft = Nft(_Here(Path("/")), "")
        try:
            nft.run(ruleset.RULES)
            return nft.list_rules()
        finally:
            nft.close()

    return read_tables(in_a_new_namespace(load))[ruleset.TABLE]
