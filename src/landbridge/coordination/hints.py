"""Say what processes of one installation tell each other, and how it is written.

All of it are hints: losing one costs time, never truth. An API process tells the agents that intent was written; the
leading agent tells the API processes which generation of which resource the data plane shows.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol, cast

_LONGEST_BYTES = 7000
"""What one NOTIFY of PostgreSQL carries is less than 8,000 bytes."""


@dataclass(frozen=True, slots=True)
class Hint:
    """One message."""

    intent_written: bool = False
    reached: Mapping[str, int] = field(default_factory=dict[str, int])
    """Generation by id of an endpoint or service."""


class Hints(Protocol):
    """Who carries hints. Calls return at once, come from the event loop's thread, and never fail."""

    def send(self, hint: Hint) -> None:
        """Tell all other processes, soon."""
        ...


def joined(hints: Sequence[Hint]) -> Hint:
    """Return one hint that says what all of them say."""
    reached: dict[str, int] = {}
    for hint in hints:
        for id_, generation in hint.reached.items():
            reached[id_] = max(generation, reached.get(id_, 0))
    return Hint(any(hint.intent_written for hint in hints), reached)


def written(hint: Hint) -> Iterator[str]:
    """Write a hint as short texts, as many as it needs."""
    remaining, is_first = iter(sorted(hint.reached.items())), True
    # An id takes some fifty bytes, so a hundred stay far below the limit.
    while (piece := dict(islice(remaining, 100))) or (is_first and hint.intent_written):
        yield json.dumps({"intent": hint.intent_written and is_first, "reached": piece}, separators=(",", ":"))
        is_first = False


def read(text: str) -> Hint | None:
    """Return the hint in a text; None if there is none: newer and foreign senders may say what we do not know."""
    if len(text) > _LONGEST_BYTES:
        return None
    try:
        found: object = json.loads(text)
    except ValueError:
        return None
    if not isinstance(found, dict):
        return None
    members = cast("dict[str, object]", found)
    reached = members.get("reached")
    if not isinstance(reached, dict):
        return None
    generations = cast("dict[str, object]", reached)
    return Hint(
        members.get("intent") is True,
        {id_: number for id_, number in generations.items() if isinstance(number, int)},
    )
