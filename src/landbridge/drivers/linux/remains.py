"""Find out what belongs to a label, so that also a thing that nobody expects can be removed whole.

Pure. A label says an id and a digest; the rest follows from the addresses in the elements.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence

from landbridge.dataplane.model import PROBE_ADDRESS
from landbridge.domain.ids import VpcId
from landbridge.drivers.linux.elements import (
    HUB,
    LABELS,
    LOOPBACK,
    Element,
    Kind,
    connection_mark,
    join,
    link,
    link_interface,
    read_label,
    split,
)


class Remains:
    """Finds what belongs to a label among everything that is present.

    An endpoint's elements have its address or its mark as the first part of the key, or the mark as value; from
    these follow the routes and links it uses, and what is in the hub and in its provider's edge for its sake.
    """

    def __init__(self, present: Collection[Element]) -> None:
        """Look among these elements."""
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
        """Yield the label, and what belongs to it and may be present."""
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
