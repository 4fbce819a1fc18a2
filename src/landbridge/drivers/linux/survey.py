"""Read back what is in the edges, and tell which things it belongs to.

Reading changes nothing. Each thing's label says its id and digest; the rest of what belongs to a labelled thing
follows from the addresses in its elements, so also a thing that nobody expects can be removed whole.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from landbridge.dataplane.driver import DRIFTED
from landbridge.dataplane.model import PROBE_ADDRESS, Digest, Wired, WiredId
from landbridge.domain.ids import VpcId
from landbridge.drivers.linux import ruleset
from landbridge.drivers.linux.edges import Edge
from landbridge.drivers.linux.elements import (
    HUB,
    LABELS,
    LOOPBACK,
    Element,
    Kind,
    connection_mark,
    digest_in,
    elements,
    hashed,
    join,
    link,
    link_interface,
    network_text,
    read_label,
    split,
)
from landbridge.drivers.linux.engines import Engine
from landbridge.drivers.linux.mirror import Mirror
from landbridge.drivers.linux.netlink import Link


@dataclass(frozen=True, slots=True)
class Survey:
    """What was found."""

    mirror: Mirror
    digests: dict[WiredId, Digest]


def survey(edges: Mapping[VpcId, Edge], engines: Iterable[Engine], expected: Collection[Wired]) -> Survey:
    """Compare what is in the edges with what should be there."""
    mirror = Mirror(_read(edges).union(*(engine.read(edges) for engine in engines)))
    labelled: dict[WiredId, list[Element]] = defaultdict(list)
    for element in mirror.present:
        read = read_label(element.value) if element.kind in LABELS else None
        if read is not None:
            labelled[read[0]].append(element)

    digests: dict[WiredId, Digest] = {}
    parts: dict[WiredId, set[Element]] = {}
    for wired in expected:
        wanted = elements(wired)
        if wired.id in labelled:
            if wanted <= mirror.present:
                mirror.claim(wired.id, wanted)
                digests[wired.id] = digest_in(wanted)
            else:
                parts[wired.id] = set(wanted & mirror.present)
                digests[wired.id] = DRIFTED
    for wired_id, labels in labelled.items():
        if wired_id not in digests:
            parts[wired_id] = set()
            found = {read[1] for label in labels if (read := read_label(label.value))}
            digests[wired_id] = found.pop() if len(found) == 1 else DRIFTED
    if parts:
        remains = _Remains(mirror.present)
        for wired_id, known in parts.items():
            whole = known.union(*map(remains.of, labelled[wired_id])) & mirror.present
            mirror.claim(wired_id, frozenset(whole))
    return Survey(mirror, digests)


class _Remains:
    """Finds what belongs to a label among everything that is present.

    An endpoint's elements have its address or its mark as the first part of the key, or the mark as value; from
    these follow the routes and links it uses, and what is in the hub and in its provider's edge for its sake.
    """

    def __init__(self, present: Collection[Element]) -> None:
        self._by_first: dict[tuple[VpcId, str], list[Element]] = defaultdict(list)
        self._by_mark: dict[tuple[VpcId, str], list[Element]] = defaultdict(list)
        self._peers = {
            (own, link_interface(own, peer, is_consumer=True)): peer
            for known in present
            if known.kind is Kind.LINK
            for own, peer in ((known.vpc_id, VpcId(known.key)), (VpcId(known.key), known.vpc_id))
        }
        for element in present:
            if element.kind in {Kind.GATEWAYS, Kind.DEPARTURES}:
                mark = element.value or split(element.key)[1]
                self._by_mark[element.vpc_id, mark].append(element)
            elif element.kind not in LABELS | {Kind.LINK}:
                self._by_first[element.vpc_id, split(element.key)[0]].append(element)

    def of(self, label: Element) -> Iterator[Element]:
        yield label
        yield from self._of_target(label) if label.kind is Kind.TARGETS else self._of_endpoint(label)

    def _of_target(self, label: Element) -> Iterator[Element]:
        _, _, transit, port = split(label.key)
        for backend in self._at(label.vpc_id, transit):
            if backend.kind in {Kind.BACKENDS, Kind.MASQUERADED} and backend.key == join(transit, port):
                yield backend
                yield Element(label.vpc_id, Kind.REPLIES, join(backend.value, port), transit)
        probe = join(PROBE_ADDRESS, transit, port)
        yield from (one for one in self._at(HUB, str(PROBE_ADDRESS)) if one.key == probe)
        yield Element(HUB, Kind.ADDRESS, str(PROBE_ADDRESS), LOOPBACK)
        yield from self._routes(HUB, {transit}, {str(PROBE_ADDRESS)})

    def _of_endpoint(self, label: Element) -> Iterator[Element]:
        read = read_label(label.value)
        mark = connection_mark(read[0], label.key) if read else ""
        own = [
            element
            for element in (*self._at(label.vpc_id, label.key), *self._at(label.vpc_id, mark))
            if element.kind not in {Kind.BACKENDS, Kind.MASQUERADED, Kind.REPLIES, Kind.ROUTE}
        ]
        own += self._by_mark.get((label.vpc_id, mark), ())
        yield from own
        targets, networks, sources = set[str](), set[str](), set[str]()
        for element in own:
            match element.kind:
                case Kind.ACCEPTED:
                    targets.add(split(element.key)[2])
                case Kind.EXITS:
                    sources.add(element.value)
                case Kind.GATEWAYS:
                    networks.add(split(element.key)[1])
                case Kind.PROXY:
                    yield from self._upstream(split(element.value)[2], mark)
                case _:
                    pass
        yield from self._routes(label.vpc_id, targets | networks, sources)
        for network in networks:
            for peer in self._peers_behind(label.vpc_id, network):
                for source in sources:
                    yield Element(peer, Kind.PUBLIC, join(source, network))

    def _upstream(self, source: str, mark: str) -> Iterator[Element]:
        """Yield what is in the hub and behind it for an endpoint's source address and mark."""
        there = (*self._at(HUB, source), *self._at(HUB, mark))
        own = [element for element in there if element.kind is not Kind.ROUTE]
        yield from own
        targets = {split(element.key)[1] for element in own if element.kind is Kind.UPSTREAMS}
        yield from self._routes(HUB, targets, {source})

    def _routes(self, vpc_id: VpcId, destinations: Collection[str], sources: Collection[str]) -> Iterator[Element]:
        for destination in destinations:
            for route in self._at(vpc_id, destination):
                peer = self._peers.get((vpc_id, route.value)) if route.kind is Kind.ROUTE else None
                if peer is None:
                    continue
                yield route
                yield link(vpc_id, peer)
                back = link_interface(peer, vpc_id, is_consumer=False)
                for source in sources:
                    yield Element(peer, Kind.ROUTE, source, back)

    def _peers_behind(self, vpc_id: VpcId, destination: str) -> Iterator[VpcId]:
        for route in self._at(vpc_id, destination):
            peer = self._peers.get((vpc_id, route.value)) if route.kind is Kind.ROUTE else None
            if peer is not None:
                yield peer

    def _at(self, vpc_id: VpcId, first: str) -> Sequence[Element]:
        return self._by_first.get((vpc_id, first), ())


def _read(edges: Mapping[VpcId, Edge]) -> set[Element]:
    present: set[Element] = set()
    ends: dict[tuple[VpcId, str], Link] = {}
    for vpc_id, edge in edges.items():
        present |= ruleset.parse(vpc_id, edge.nft.list_json(f"table {ruleset.TABLE}"))
        interfaces = {interface.index: interface for interface in edge.netlink.links()}
        edge.forget_interfaces()
        for route in edge.netlink.routes():
            name = interfaces[route.index].name if route.index in interfaces else ""
            destination = network_text(route.destination)
            if route.is_local and (name.startswith("sub-") or (vpc_id == HUB and name == LOOPBACK)):
                present.add(Element(vpc_id, Kind.ADDRESS, destination, name))
            elif name.startswith("link-"):
                present.add(Element(vpc_id, Kind.ROUTE, destination, name))
        ends.update({(vpc_id, interface.name): interface for interface in interfaces.values()})
    present.update(whole_links(edges, ends))
    return present


def whole_links(edges: Iterable[VpcId], ends: dict[tuple[VpcId, str], Link]) -> Iterator[Element]:
    """Yield the links between these edges whose two ends, found by edge and name, are there, up, and each other's."""
    by_hash = {hashed(vpc_id, 9): vpc_id for vpc_id in edges}
    for (vpc_id, name), end in ends.items():
        peer = by_hash.get(name.removeprefix("link-")[:9]) if name.startswith("link-") else None
        if peer is None or peer < vpc_id:
            continue
        is_far_side_of_itself = peer == vpc_id and name.endswith("p")
        other = ends.get((peer, link_interface(peer, vpc_id, is_consumer=False)))
        if other is None or is_far_side_of_itself:
            continue
        if end.is_up and other.is_up and (end.peer, other.peer) == (other.index, end.index):
            yield link(vpc_id, peer)
