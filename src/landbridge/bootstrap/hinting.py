"""Let wake-ups and settlements reach the other processes of an installation.

An API process rings the agents, and hears from them how far they have come; an agent the other way round.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from landbridge.control.settlements import Settlements, Wakeups
from landbridge.coordination.hints import Hint, Hints
from landbridge.dataplane.model import WiredId
from landbridge.domain.ids import EndpointId, ServiceId


@dataclass(slots=True)
class Hinting:
    """The wake-ups and settlements of this process, and who carries them further once it is there."""

    hints: Hints | None = None
    wakeups: Wakeups = field(init=False)
    settlements: Settlements = field(init=False)

    def __post_init__(self) -> None:
        """Send what happens here."""
        self.wakeups = Wakeups(lambda: self._send(Hint(intent_written=True)))
        self.settlements = Settlements(lambda id_, generation: self._send(Hint(reached={id_: generation})))

    @property
    def on_hint(self) -> Callable[[Hint], None]:
        """What takes in what happened elsewhere."""
        return self._hear

    def _send(self, hint: Hint) -> None:
        if self.hints is not None:
            self.hints.send(hint)

    def _hear(self, hint: Hint) -> None:
        if hint.intent_written:
            self.wakeups.hear()
        for id_, generation in hint.reached.items():
            self.settlements.hear(_wired_id(id_), generation)


def _wired_id(text: str) -> WiredId:
    # One map holds both kinds, and ids do not repeat.
    wired: EndpointId | ServiceId = EndpointId(text)
    return wired
