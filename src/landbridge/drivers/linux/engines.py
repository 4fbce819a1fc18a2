"""State what carries elements that neither nftables nor a routing table can hold.

An engine is a proxy or a program in the kernel with a table of its own. The driver treats its entries as elements
like all others: it takes out what nobody wants, puts in what is missing, and reads back what is there.
"""

from collections.abc import Collection, Mapping
from typing import Protocol

from landbridge.domain.ids import VpcId
from landbridge.drivers.linux.edges import Edge
from landbridge.drivers.linux.elements import Element, Kind


class Engine(Protocol):
    """Who carries the elements of one kind. Calls block, and come from the driver's one thread."""

    @property
    def kind(self) -> Kind:
        """The kind of element that it carries."""
        ...

    def read(self, edges: Mapping[VpcId, Edge]) -> set[Element]:
        """Return what is really carried in these edges; may raise OSError, and changes nothing."""
        ...

    def change(self, removals: Collection[Element], additions: Collection[Element]) -> Mapping[Element, str]:
        """Take elements out and put others in, where a key may stand in both; return why some failed.

        A bad element fails alone. What is not in the answer is done.
        """
        ...

    def refit(self, vpc_id: VpcId) -> None:
        """An edge has got another interface in a subnet: carry there too what is carried on all of them."""
        ...

    def close(self) -> None:
        """Let go of sockets and threads; what is carried stays carried."""
        ...
