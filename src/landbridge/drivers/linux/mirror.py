"""Remember which elements are in the kernel and who wants them.

Pure bookkeeping. An element that several things want is wanted until the last lets go. What is wanted and not
present is `missing`, what is present and not wanted is `surplus`; both are kept up to date by every change, so
a round costs what it changes, and whatever was left undone is done by the next.

A thing of which everything is present is settled: of its elements only those are remembered that other things may
want too, the rest follows from what it is. So many things take little memory.
"""

from collections import Counter
from collections.abc import Collection, Generator, Iterable, Mapping
from contextlib import contextmanager

from landbridge.dataplane.model import Digest, Wired, WiredId, digest
from landbridge.domain.ids import VpcId
from landbridge.drivers.linux.elements import Element, Kind, elements, own_elements, shared_elements, vpcs_of

_NOTHING: frozenset[Element] = frozenset()


class Mirror:
    """What the kernel has, what is wanted, and the difference."""

    def __init__(self, present: Iterable[Element] = ()) -> None:
        self.present: set[Element] = set(present)
        """What is there, but for what only settled things want."""
        self.surplus: set[Element] = set(self.present)
        self.missing: set[Element] = set()
        self._claims: dict[WiredId, frozenset[Element]] = {}
        self._settled: dict[WiredId, Wired] = {}
        self._disturbed: dict[WiredId, Wired] = {}
        self._digests: dict[WiredId, Digest] = {}
        self._versions: Counter[VpcId] = Counter()
        self._wanted: Counter[Element] = Counter()
        self._records: list[set[Element]] = []

    @property
    def settled(self) -> Mapping[WiredId, Wired]:
        """The things of which everything is present."""
        return self._settled

    @property
    def claims(self) -> Mapping[WiredId, frozenset[Element]]:
        """What each thing wants that is not settled."""
        return self._claims

    def claimed(self, wired_id: WiredId) -> frozenset[Element]:
        """Return what a thing wants."""
        settled = self._settled.get(wired_id)
        return self._claims.get(wired_id, _NOTHING) if settled is None else elements(settled)

    def digest(self, wired_id: WiredId) -> Digest | None:
        """Return the digest of a thing that is settled."""
        settled = self._settled.get(wired_id)
        if settled is None:
            return None
        found = self._digests.get(wired_id)
        if found is None:
            found = self._digests[wired_id] = digest(settled)
        return found

    def version(self, vpc_id: VpcId) -> int:
        """Return how often it was noted that something came into an edge or went from it."""
        return self._versions[vpc_id]

    def claim(self, wired_id: WiredId, wanted: frozenset[Element]) -> None:
        """Let a thing want exactly these elements; nothing makes it forgotten."""
        self._unsettle(wired_id)
        self._disturbed.pop(wired_id, None)
        before = self._claims.get(wired_id, _NOTHING)
        for element in wanted - before:
            self._wanted[element] += 1
            if element not in self.present:
                self.missing.add(element)
            self._no_longer_surplus(element)
        for element in before - wanted:
            self._let_go(element)
        if wanted:
            self._claims[wired_id] = wanted
        else:
            self._claims.pop(wired_id, None)

    def settle(self, wired: Wired) -> None:
        """Take note that everything of a thing is present; it may want it already."""
        shared = shared_elements(wired)
        self._disturbed.pop(wired.id, None)
        wanted = self._claims.pop(wired.id, _NOTHING)
        for element in wanted - shared:
            self._wanted[element] -= 1
            if not self._wanted[element]:
                del self._wanted[element]
                self.present.discard(element)
                self._no_longer_missing(element)
        for element in shared - wanted:
            self._wanted[element] += 1
        for element in shared:
            self.present.add(element)
            self._no_longer_missing(element)
            self._no_longer_surplus(element)
        self._settled[wired.id] = wired
        self._digests.pop(wired.id, None)

    def note_present(self, element: Element) -> None:
        """Take note that an element was put into the kernel."""
        self._note(element)
        self.present.add(element)
        self._no_longer_missing(element)
        if element not in self._wanted:
            self.surplus.add(element)

    def note_absent(self, element: Element) -> None:
        """Take note that an element was taken out of the kernel. What settled things want alone: see `lose`."""
        self._note(element)
        self.present.discard(element)
        self._no_longer_surplus(element)
        if element in self._wanted:
            self.missing.add(element)

    def lose(self, wired_id: WiredId, lost: Iterable[Element]) -> None:
        """Take note that elements of a settled thing have gone from the kernel by themselves: they are missing now."""
        wired = self._unsettle(wired_id)
        if wired is not None:
            self._disturbed[wired_id] = wired
        for element in lost:
            self.note_absent(element)

    def lose_interfaces(self, vpc_id: VpcId, kind: Kind, names: Collection[str]) -> None:
        """Take note that the addresses or routes on some interfaces of an edge have gone with these."""

        def on_them(candidates: Iterable[Element]) -> list[Element]:
            return [one for one in candidates if (one.vpc_id, one.kind) == (vpc_id, kind) and one.value in names]

        for wired in [wired for wired in self._settled.values() if vpc_id in vpcs_of(wired)]:
            if lost := on_them(elements(wired)):
                self.lose(wired.id, lost)
        for element in on_them(self.present):
            self.note_absent(element)

    def settle_again(self) -> None:
        """Settle the things that had lost something, if it is there again."""
        for wired_id, wired in list(self._disturbed.items()):
            if self.missing.isdisjoint(self._claims[wired_id]):
                self.settle(wired)

    @contextmanager
    def recording(self) -> Generator[set[Element]]:
        """Collect the elements of which something is noted while the block runs."""
        record: set[Element] = set()
        self._records.append(record)
        try:
            yield record
        finally:
            self._records.remove(record)

    def _unsettle(self, wired_id: WiredId) -> Wired | None:
        wired = self._settled.pop(wired_id, None)
        if wired is None:
            return None
        self._digests.pop(wired_id, None)
        self._claims[wired_id] = elements(wired)
        for element in own_elements(wired):
            self._wanted[element] += 1
            self.present.add(element)
            self._no_longer_surplus(element)
        return wired

    def _let_go(self, element: Element) -> None:
        self._wanted[element] -= 1
        if not self._wanted[element]:
            del self._wanted[element]
            self._no_longer_missing(element)
            if element in self.present:
                self.surplus.add(element)

    def _note(self, element: Element) -> None:
        self._versions[element.vpc_id] += 1
        for record in self._records:
            record.add(element)

    # A set that was large once is slow to walk for ever, however empty: so an emptied one is replaced.

    def _no_longer_missing(self, element: Element) -> None:
        self.missing.discard(element)
        if not self.missing:
            self.missing = set()

    def _no_longer_surplus(self, element: Element) -> None:
        self.surplus.discard(element)
        if not self.surplus:
            self.surplus = set()
