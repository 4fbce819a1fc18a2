"""Write down what was asked and what was answered, so that it can be said afterwards what must be there. Pure.

Who asks gives each thing a name of its own, which the service keeps (a service's name, an endpoint's description). So
also what was created by a request whose answer never came is recognised.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

ABSENT = "absent"


class Answer(Enum):
    """What became of a request, as far as its sender knows."""

    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    """The connection broke, or the server said that it cannot: it may have happened or not."""


@dataclass
class Ledger:
    """What may be of each thing, by its name: several states where an answer never came."""

    states: dict[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])

    def note(self, name: str, state: str, answer: Answer) -> None:
        """Note the answer to a request that brings a thing into a state; what was never asked for is absent."""
        before = self.states.get(name, frozenset({ABSENT}))
        match answer:
            case Answer.ACKNOWLEDGED:
                self.states[name] = frozenset({state})
            case Answer.REFUSED:
                self.states[name] = before
            case Answer.UNKNOWN:
                self.states[name] = before | {state}

    def surely(self, name: str) -> str | None:
        """Return the state of a thing; None if it may be one of several, or nobody asked for it."""
        possible = self.states.get(name, frozenset())
        return next(iter(possible)) if len(possible) == 1 else None

    def compare(self, found: Mapping[str, str]) -> list[str]:
        """Return a sentence for each thing that is not in a state in which it may be; know the others for sure."""
        wrong = [f"{name} is {found[name]}, and nobody asked for it" for name in sorted(found.keys() - self.states)]
        for name, possible in sorted(self.states.items()):
            state = found.get(name, ABSENT)
            if state not in possible:
                wrong.append(f"{name} is {state}, and must be {' or '.join(sorted(possible))}")
            else:
                self.states[name] = frozenset({state})
        return wrong
