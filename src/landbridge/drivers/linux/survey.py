"""Read back what is in the edges, and tell which things it belongs to.

Reading changes nothing. Each thing's label says its id and digest; the rest of what belongs to a labelled thing
follows from the addresses in its elements, so also a thing that nobody expects can be removed whole.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from landbridge.dataplane.driver import DRIFTED
from landbridge.dataplane.model import Digest, Wired, WiredId
from landbridge.domain.ids import VpcId
from landbridge.drivers.linux import ruleset
from landbridge.drivers.linux.edges import Edge
from landbridge.drivers.linux.elements import (
    LABELS,
    Element,
    Kind,
    connection_mark,
    digest_in,
    elements,
    hashed,
    join,
    link,
    link_interface,
    read_label,
    split,
)
from landbridge.drivers.linux.mirror import Mirror
from landbridge.drivers.linux.netlink import Link


@dataclass(frozen=True, slots=True)
class Survey:
    """What was found."""

    mirror: Mirror
    digests: dict[WiredId, Digest]


def survey(edges: Iterable[tuple[VpcId, Edge]], expected: Collection[Wired]) -> Survey:
    """Compare what is in the edges with what should be there."""
    mirror = Mirror(_read(dict(edges)))
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
    """Finds what belongs to a label among everything that is present."""

    def __init__(self, present: Collection[Element]) -> None:
        self._by_address: dict[tuple[VpcId, str], list[Element]] = defaultdict(list)
        self._peers = {
            (own, link_interface(own, peer, is_consumer=True)): peer
            for known in present
            if known.kind is Kind.LINK
            for own, peer in ((known.vpc_id, VpcId(known.key)), (VpcId(known.key), known.vpc_id))
        }
        for element in present:
            if element.kind not in LABELS | {Kind.LINK}:
                self._by_address[element.vpc_id, split(element.key)[0]].append(element)

    def of(self, label: Element) -> Iterator[Element]:
        yield label
        if label.kind is Kind.TARGETS:
            _, _, transit, port = split(label.key)
            for backend in self._by_address.get((label.vpc_id, transit), ()):
                if backend.kind is Kind.BACKENDS and backend.key == join(transit, port):
                    yield backend
                    reply = join(backend.value, port)
                    yield Element(label.vpc_id, Kind.REPLIES, reply, transit)
            return
        targets: set[str] = set()
        sources: set[str] = set()
        for element in self._by_address.get((label.vpc_id, label.key), ()):
            if element.kind in {Kind.BACKENDS, Kind.REPLIES, Kind.ROUTE}:
                continue
            yield element
            if element.kind is Kind.LISTENERS:
                targets.add(split(element.value)[0])
            elif element.kind is Kind.SOURCES:
                sources.add(element.value)
        read = read_label(label.value)
        mark = connection_mark(read[0], label.key) if read else ""
        yield from (
            element for element in self._by_address.get((label.vpc_id, mark), ()) if element.kind is Kind.ACCEPTED
        )
        for target in targets:
            yield from self._route(label.vpc_id, target, sources)

    def _route(self, vpc_id: VpcId, target: str, sources: Collection[str]) -> Iterator[Element]:
        for route in self._by_address.get((vpc_id, target), ()):
            peer = self._peers.get((vpc_id, route.value)) if route.kind is Kind.ROUTE else None
            if peer is None:
                continue
            yield route
            yield link(vpc_id, peer)
            back = link_interface(peer, vpc_id, is_consumer=False)
            for source in sources:
                yield Element(peer, Kind.ROUTE, source, back)


def _read(edges: dict[VpcId, Edge]) -> set[Element]:
    present: set[Element] = set()
    ends: dict[tuple[VpcId, str], Link] = {}
    for vpc_id, edge in edges.items():
        present |= ruleset.parse(vpc_id, edge.nft.list_json(f"table {ruleset.TABLE}"))
        interfaces = {interface.index: interface for interface in edge.netlink.links()}
        edge.forget_interfaces()
        for route in edge.netlink.routes():
            name = interfaces[route.index].name if route.index in interfaces else ""
            address = str(route.destination.network_address)
            if route.is_local and name.startswith("sub-"):
                present.add(Element(vpc_id, Kind.ADDRESS, address, name))
            elif name.startswith("link-"):
                present.add(Element(vpc_id, Kind.ROUTE, address, name))
        ends.update({(vpc_id, interface.name): interface for interface in interfaces.values()})
    present.update(_whole_links(edges, ends))
    return present


def _whole_links(edges: Iterable[VpcId], ends: dict[tuple[VpcId, str], Link]) -> Iterator[Element]:
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
