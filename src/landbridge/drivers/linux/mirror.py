"""Remember which elements are in the kernel and who wants them.

Pure bookkeeping. An element that several things want is wanted until the last lets go. What is wanted and not
present is `missing`, what is present and not wanted is `surplus`; both are kept up to date by every change, so
a round costs what it changes, and whatever was left undone is done by the next.
"""

from collections import Counter
from collections.abc import Iterable

from landbridge.dataplane.model import WiredId
from landbridge.drivers.linux.elements import Element

_NOTHING: frozenset[Element] = frozenset()


class Mirror:
    """What the kernel has, what is wanted, and the difference."""

    def __init__(self, present: Iterable[Element] = ()) -> None:
        self.present: set[Element] = set(present)
        self.surplus: set[Element] = set(self.present)
        self.missing: set[Element] = set()
        self._claims: dict[WiredId, frozenset[Element]] = {}
        self._wanted: Counter[Element] = Counter()

    def claimed(self, wired_id: WiredId) -> frozenset[Element]:
        """Return what a thing wants."""
        return self._claims.get(wired_id, _NOTHING)

    def claim(self, wired_id: WiredId, wanted: frozenset[Element]) -> None:
        """Let a thing want exactly these elements; nothing makes it forgotten."""
        before = self.claimed(wired_id)
        for element in wanted - before:
            self._wanted[element] += 1
            if element not in self.present:
                self.missing.add(element)
            self._no_longer_surplus(element)
        for element in before - wanted:
            self._wanted[element] -= 1
            if not self._wanted[element]:
                del self._wanted[element]
                self._no_longer_missing(element)
                if element in self.present:
                    self.surplus.add(element)
        if wanted:
            self._claims[wired_id] = wanted
        else:
            self._claims.pop(wired_id, None)

    def note_present(self, element: Element) -> None:
        """Take note that an element was put into the kernel."""
        self.present.add(element)
        self._no_longer_missing(element)
        if element not in self._wanted:
            self.surplus.add(element)

    def note_absent(self, element: Element) -> None:
        """Take note that an element was taken out of the kernel."""
        self.present.discard(element)
        self._no_longer_surplus(element)
        if element in self._wanted:
            self.missing.add(element)

    # A set that was large once is slow to walk for ever, however empty: so an emptied one is replaced.

    def _no_longer_missing(self, element: Element) -> None:
        self.missing.discard(element)
        if not self.missing:
            self.missing = set()

    def _no_longer_surplus(self, element: Element) -> None:
        self.surplus.discard(element)
        if not self.surplus:
            self.surplus = set()
