"""Say in words in what a data plane differs from the database, and who can look for it.

A difference names a place, and what should be there and is; who reads it needs no other source. Looking changes
nothing, and may be done beside the server that owns the data plane.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from landbridge.dataplane.model import Wired

NOTHING = "nothing"


@dataclass(frozen=True, slots=True, order=True)
class Difference:
    """One thing that is not as it should be."""

    where: str
    """The namespace or the row that it is in."""
    what: str
    """The kind of thing and its name, such as `route 198.19.128.5`."""
    wanted: str
    found: str
    concerns: tuple[str, ...] = ()
    """The ids of the endpoints and services that want it, sorted; none for what nobody wants."""


class Looker(Protocol):
    """Who can read a data plane afresh. Calls block."""

    def look(self, expected: Collection[Wired]) -> Sequence[Difference]:
        """Return in what the data plane differs from these things and nothing else, sorted.

        Raises:
            DriverError: it cannot be read.
        """
        ...
