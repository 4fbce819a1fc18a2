"""Ask the kernel for one element of an nftables set or map, by its key. Reading changes nothing."""

from landbridge.drivers.linux.elements import Element
from landbridge.drivers.linux.set_contents import first_key, last_key, value_of
from landbridge.drivers.linux.set_fields import pack_key, unpack
from landbridge.drivers.linux.set_queries import SetQueries


class ElementLookup:
    """A socket that asks about the sets of the namespace in which it was opened."""

    def __init__(self) -> None:
        self._queries = SetQueries()

    def close(self) -> None:
        """Close the socket."""
        self._queries.close()

    def find(self, wanted: Element) -> Element | None:
        """Return the element that has the key of `wanted`, with the value that it really has; None: there is none.

        With an interval key, it is the element in which the first address of `wanted` lies.

        Raises:
            OSError: the kernel could not be asked.
        """
        kind = wanted.kind
        found = self._queries.find(kind.value, pack_key(kind, wanted.key))
        if found is None:
            return None
        return unpack(kind, wanted.vpc_id, first_key(found), last_key(found), value_of(kind, found))
