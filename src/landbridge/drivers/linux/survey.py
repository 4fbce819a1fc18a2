"""Compare what is in the edges with what is believed to be there, a part at a time.

Reading changes nothing, and rounds may run between two parts: what they change meanwhile is theirs, and nothing that
was read before counts for it. The mirror hears of everything at the end, at once.

What is expected and not known yet is believed to be there until it is not found; so a driver that has just been
started adopts what it finds. Each thing's label says its id and digest; what belongs to a label of an unknown thing is
found out by `remains`.

An edge that looks as it did when it was last compared, and of which nothing else is believed since, is not compared
again: most edges of a sweep are of this kind.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property

from landbridge.dataplane.driver import DRIFTED
from landbridge.dataplane.model import Binding, Digest, Wired, WiredId
from landbridge.domain.ids import VpcId
from landbridge.drivers.linux.edges import Edge
from landbridge.drivers.linux.elements import (
    ENGINES,
    HUB,
    LABELS,
    LOOPBACK,
    Element,
    Kind,
    elements,
    hashed,
    home_of,
    label_place,
    link,
    link_interface,
    needs_engine,
    own_elements,
    read_label,
    shared_elements,
    vpcs_of,
)
from landbridge.drivers.linux.engines import Engine
from landbridge.drivers.linux.mirror import Mirror
from landbridge.drivers.linux.netlink import Destination, Link
from landbridge.drivers.linux.remains import Remains
from landbridge.drivers.linux.set_contents import SetContents

_THINGS_AT_ONCE = 250
_EDGES_AT_ONCE = 4
_OUTSIDE = frozenset({Kind.ADDRESS, Kind.ROUTE})


@dataclass(frozen=True, slots=True)
class _Damaged:
    """A thing of which something was not found."""

    wired: Wired
    is_new: bool
    """The mirror does not know it."""
    missing: frozenset[Element]


@dataclass(frozen=True, slots=True)
class Look:
    """How an edge looked when it was found to have what the mirror believed."""

    version: int
    """The mirror's, of this edge."""
    fingerprint: bytes


class Survey:
    """One look at everything."""

    def __init__(
        self,
        mirror: Mirror,
        edges: Mapping[VpcId, Edge],
        engines: Iterable[Engine],
        expected: Iterable[Wired],
        looks: dict[VpcId, Look],
    ) -> None:
        """Look whether what the mirror believes is there, and what is `expected` beside it.

        `looks` are those of surveys before; it is brought up to date at the end.
        """
        self._mirror = mirror
        self._looks = looks
        self._new_looks: dict[VpcId, Look] = {}
        self._edges = edges
        self._engines = engines
        unsettled = [wired for wired in expected if wired.id not in mirror.settled]
        self._new = {wired.id: wired for wired in unsettled if wired.id not in mirror.claims}
        self._claimed = {wired.id: (wired, mirror.claims[wired.id]) for wired in unsettled if wired.id in mirror.claims}
        """What wants something else till now, or was found before anybody said what it should be."""
        self._things = {**mirror.settled, **self._new}
        self._unlabelled: set[WiredId] = set()
        """What was not known and has no label either. Whatever else may be there of it is nobody's."""
        self._gone: set[WiredId] = set()
        """Nothing of it is in its home."""
        self._lost: dict[WiredId, list[Element]] = defaultdict(list)
        self._elsewhere: dict[VpcId, list[tuple[WiredId, Element]]] = defaultdict(list)
        self._common: dict[VpcId, list[Element]] = defaultdict(list)
        """What is believed to be there and may be several things', by place; links and engines are at nobody's."""
        self._anywhere: set[Element] = set()
        self._absent: set[Element] = set()
        self._surplus: list[Element] = []
        self._ends: dict[tuple[VpcId, str], Link] = {}
        self._changed: Set[Element] = frozenset()

    def parts(self) -> Iterator[None]:
        """Look, and pause after each part. Raises OSError."""
        with self._mirror.recording() as self._changed:
            yield from self._look()

    def conclude(self) -> dict[WiredId, Digest]:
        """Let the mirror know what was found; return the digests of all things that are there and not settled."""
        self._absent -= self._changed
        damaged = [thing for wired in self._things.values() if (thing := self._judge(wired)) is not None]
        for thing in damaged:
            self._note(thing)
        for element in self._absent:
            self._mirror.note_absent(element)
        for element in self._surplus:
            if element not in self._changed:
                self._mirror.note_present(element)
        for wired, claim in self._claimed.values():
            self._settle_if_whole(wired, claim)
        self._looks.clear()
        self._looks.update(
            (vpc_id, look) for vpc_id, look in self._new_looks.items() if look.version == self._mirror.version(vpc_id)
        )
        return self._ascribe({thing.wired.id: thing for thing in damaged})

    # Looking

    def _look(self) -> Iterator[None]:
        homes, visited = self._sort_out()
        carried = set[Element]().union(*(engine.read(self._edges) for engine in self._engines))
        yield
        changed: dict[VpcId, _Place] = {}
        unchanged: set[VpcId] = set()
        for number, vpc_id in enumerate(self._maybe_unchanged(), 1):
            place = self._visit(vpc_id)
            if self._new_looks[vpc_id] == self._looks[vpc_id]:
                unchanged.add(vpc_id)
            else:
                changed[vpc_id] = place
            if not number % _EDGES_AT_ONCE:
                yield
        yield from self._pass_by(unchanged, homes, carried)
        waiting: list[_Place] = []
        for vpc_id in (self._edges.keys() | homes.keys() | visited | self._common.keys()) - unchanged:
            place = changed.pop(vpc_id, None) or self._visit(vpc_id)
            yield
            for number, wired in enumerate(homes.pop(vpc_id, ()), 1):
                self._strike(wired, place, carried)
                if not number % _THINGS_AT_ONCE:
                    yield
            # Things at home elsewhere may have something here.
            if vpc_id in visited:
                waiting.append(place)
            else:
                self._close(place)
        for place in waiting:
            for wired_id, element in self._elsewhere.pop(place.vpc_id, ()):
                if not place.strike(element):
                    self._lost[wired_id].append(element)
            self._close(place)
            yield
        found = carried.union(whole_links(self._edges, self._ends))
        self._absent |= self._anywhere - found
        self._surplus += found - self._anywhere

    def _maybe_unchanged(self) -> list[VpcId]:
        """Return the edges of which nothing else is believed than at the last look."""
        asked_for = set[VpcId]().union(*map(vpcs_of, self._new.values()))
        return [
            vpc_id
            for vpc_id, look in self._looks.items()
            if vpc_id in self._edges and vpc_id not in asked_for and look.version == self._mirror.version(vpc_id)
        ]

    def _visit(self, vpc_id: VpcId) -> "_Place":
        version = self._mirror.version(vpc_id)
        place = _Place(vpc_id, self._edges.get(vpc_id), self._ends)
        self._new_looks[vpc_id] = Look(version, place.fingerprint())
        return place

    def _pass_by(self, unchanged: Set[VpcId], homes: dict[VpcId, list[Wired]], carried: set[Element]) -> Iterator[None]:
        """Strike off what engines carry for things at home in unchanged edges, and note what they have elsewhere."""
        for vpc_id in unchanged:
            self._common.pop(vpc_id, None)
            for wired in homes.pop(vpc_id, ()):
                if vpcs_of(wired) <= unchanged and not needs_engine(wired):
                    continue
                for element in own_elements(wired):
                    if element.kind in ENGINES:
                        if element not in carried:
                            self._lost[wired.id].append(element)
                        carried.discard(element)
                    elif element.vpc_id not in unchanged:
                        self._elsewhere[element.vpc_id].append((wired.id, element))
            yield

    def _sort_out(self) -> tuple[dict[VpcId, list[Wired]], set[VpcId]]:
        """Return the things by their homes, and the places where some have something that are at home elsewhere."""
        homes: dict[VpcId, list[Wired]] = defaultdict(list)
        visited: set[VpcId] = set()
        common = set(self._mirror.present)
        for wired in self._things.values():
            homes[home_of(wired)].append(wired)
            visited |= vpcs_of(wired) - {home_of(wired)}
        for wired in self._new.values():
            common |= shared_elements(wired)
        for element in common:
            if element.kind in ENGINES or element.kind is Kind.LINK:
                self._anywhere.add(element)
            else:
                self._common[element.vpc_id].append(element)
        return homes, visited

    def _strike(self, wired: Wired, place: "_Place", carried: set[Element]) -> None:
        """Strike off what a thing has alone."""
        if wired.id in self._new and isinstance(wired, Binding) and not place.has(*label_place(wired)):
            self._unlabelled.add(wired.id)
            return
        lost: list[Element] = []
        here = 0
        for element in own_elements(wired):
            if element.vpc_id != place.vpc_id:
                self._elsewhere[element.vpc_id].append((wired.id, element))
                continue
            here += 1
            if element.kind in ENGINES:
                if element not in carried:
                    lost.append(element)
                carried.discard(element)
            elif not place.strike(element):
                lost.append(element)
        if lost and len(lost) == here:
            self._gone.add(wired.id)
        elif lost:
            self._lost[wired.id] += lost

    def _close(self, place: "_Place") -> None:
        self._absent |= {element for element in self._common.pop(place.vpc_id, ()) if not place.strike(element)}
        self._surplus += place.rest()

    # Concluding

    def _judge(self, wired: Wired) -> _Damaged | None:
        """Return what of a thing is missing; None: nothing, or a round has had to do with it since."""
        id_, mirror = wired.id, self._mirror
        is_new = id_ in self._new and id_ not in mirror.settled and id_ not in mirror.claims
        if id_ in self._unlabelled or (not is_new and mirror.settled.get(id_) is not wired):
            return None
        missing = {element for element in self._lost.get(id_, ()) if element not in self._changed}
        if id_ in self._gone:
            home = home_of(wired)
            missing |= {element for element in own_elements(wired) if element.vpc_id == home}
        if is_new or self._absent:
            shared = shared_elements(wired)
            missing |= shared & self._absent
            # A round may have taken out the last that it knew somebody wanted.
            missing |= {one for one in shared if one in self._changed and one not in mirror.present}
        if missing:
            return _Damaged(wired, is_new, frozenset(missing))
        if is_new:
            mirror.settle(wired)
        return None

    def _settle_if_whole(self, wired: Wired, claim: frozenset[Element]) -> None:
        wanted = elements(wired)
        # Another claim by now is a round's.
        if self._mirror.claims.get(wired.id) is claim and wanted <= self._mirror.present:
            self._mirror.claim(wired.id, wanted)
            self._mirror.settle(wired)

    def _note(self, thing: _Damaged) -> None:
        if not thing.is_new:
            self._mirror.lose(thing.wired.id, thing.missing)
            return
        for element in elements(thing.wired) - thing.missing:
            if element not in self._changed:
                self._mirror.note_present(element)

    def _ascribe(self, damaged: Mapping[WiredId, _Damaged]) -> dict[WiredId, Digest]:
        """Let each thing that has a label want what is there of it, and nothing else; return their digests."""
        mirror = self._mirror
        labels: dict[WiredId, list[Element]] = defaultdict(list)
        for element in mirror.present:
            read = read_label(element.value) if element.kind in LABELS else None
            if read is not None and read[0] not in mirror.settled:
                labels[read[0]].append(element)
        digests: dict[WiredId, Digest] = {}
        remains = Remains(mirror.present) if labels else None
        for id_ in damaged.keys() | mirror.claims.keys() | labels.keys():
            if id_ not in labels or remains is None:
                mirror.claim(id_, frozenset())
                continue
            thing = damaged.get(id_)
            parts = elements(thing.wired) if thing is not None else mirror.claimed(id_)
            whole = parts.union(*map(remains.of, labels[id_]))
            is_known = thing is not None or bool(parts)
            found = {read[1] for one in labels[id_] if (read := read_label(one.value)) is not None}
            digests[id_] = DRIFTED if is_known or len(found) != 1 else found.pop()
            mirror.claim(id_, frozenset(whole & mirror.present))
        return digests


class _Place:
    """One edge, or one that is not there: what was found and not yet struck off."""

    def __init__(self, vpc_id: VpcId, edge: Edge | None, ends: dict[tuple[VpcId, str], Link]) -> None:
        """Read everything; the interfaces go into `ends`."""
        self.vpc_id = vpc_id
        self._contents = SetContents(vpc_id, None if edge is None else edge.sets)
        self._interfaces: dict[int, str] = {}
        self._destinations: Sequence[Destination] = ()
        if edge is None:
            return
        interfaces = edge.netlink.links()
        edge.forget_interfaces()
        self._interfaces = {interface.index: interface.name for interface in interfaces}
        self._destinations = edge.netlink.destinations()
        ends.update({(vpc_id, interface.name): interface for interface in interfaces})

    def fingerprint(self) -> bytes:
        """Return what is equal for equal contents; ask before anything is struck off."""
        outside = repr((sorted(self._interfaces.items()), self._destinations))
        return self._contents.fingerprint() + hashlib.blake2b(outside.encode(), digest_size=16).digest()

    @cached_property
    def _outside(self) -> set[Element]:
        found: set[Element] = set()
        for destination, index, is_local in self._destinations:
            name = self._interfaces.get(index, "")
            if is_local and (name.startswith("sub-") or (self.vpc_id == HUB and name == LOOPBACK)):
                found.add(Element(self.vpc_id, Kind.ADDRESS, destination, name))
            elif name.startswith("link-"):
                found.add(Element(self.vpc_id, Kind.ROUTE, destination, name))
        return found

    def strike(self, element: Element) -> bool:
        """Strike an element off; say whether it was found."""
        if element.kind not in _OUTSIDE:
            return self._contents.strike(element)
        if element not in self._outside:
            return False
        self._outside.remove(element)
        return True

    def has(self, kind: Kind, key: str) -> bool:
        """Say whether a set or map has a key that was not struck off, with whatever value."""
        return self._contents.has(kind, key)

    def rest(self) -> Iterator[Element]:
        """Yield what was never struck off."""
        yield from self._outside
        yield from self._contents.rest()


def whole_links(edges: Iterable[VpcId], ends: Mapping[tuple[VpcId, str], Link]) -> Iterator[Element]:
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
