"""Reserve addresses and markers, so that no two owners ever have the same one.

The primary keys keep that true; `domain.addressing` decides which number is next. A claim costs a handful of index
look-ups however many claims there are: the search begins at the cursor, and what it skips it never sees again.
"""

from collections.abc import Iterator
from datetime import datetime
from heapq import merge
from ipaddress import IPv4Address

from sqlalchemy import Connection, Table, bindparam, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from landbridge.domain.addressing import MARKER_REST, MARKERS, behind_cursor, first_unused
from landbridge.domain.errors import AddressTaken, OperatorError
from landbridge.store.counting import (
    FREED_ORDER,
    MARKER_CURSOR,
    counter_value,
    forget_counters,
    raise_counter,
    set_counter,
)
from landbridge.store.tables import markers, subnet_addresses, transit_addresses

_BATCH = 64
"""How many used numbers one look fetches; most looks need none."""


class AddressLedger:
    """Who owns which address within many scopes (subnets, or pools).

    An address without a row was never owned, a row without an owner is free again.
    """

    def __init__(self, table: Table, scope_column: str) -> None:
        self._scope_column = scope_column
        scope, address = table.c[scope_column], table.c.address
        at = (scope == bindparam("scope"), address == bindparam("at"))
        within = (scope == bindparam("scope"), address.between(bindparam("low"), bindparam("high")))
        self._used = select(address).where(*within).order_by(address).limit(_BATCH)
        self._longest_free = (
            select(address)
            .where(*within, address != bindparam("except_for"), table.c.freed_order.is_not(None))
            .order_by(table.c.freed_order)
            .limit(1)
        )
        self._owner = select(table.c.owner_kind, table.c.owner_id).where(*at)
        self._add = insert(table)
        self._take_freed = (
            update(table)
            .where(*at, table.c.owner_kind.is_(None))
            .values(owner_kind=bindparam("kind"), owner_id=bindparam("owner"), freed_order=None)
        )
        self._free = (
            update(table)
            .where(*at, table.c.owner_kind == bindparam("kind"), table.c.owner_id == bindparam("owner"))
            .values(owner_kind=None, owner_id=None, freed_order=bindparam("order"))
        )
        self._forget_freed = delete(table).where(scope == bindparam("scope"), table.c.owner_kind.is_(None))

    def claim(self, connection: Connection, scope: str, address: IPv4Address, kind: str, owner: str) -> None:
        """Reserve this very address; one that the owner already has is left as it is.

        Raises:
            AddressTaken: somebody else has it.
        """
        row = connection.execute(self._owner, {"scope": scope, "at": address}).one_or_none()
        if row is None:
            self._take_new(connection, scope, address, kind, owner)
        elif (row.owner_kind, row.owner_id) != (kind, owner):
            self._take_again(connection, scope, address, kind, owner)

    def _take_new(self, connection: Connection, scope: str, address: IPv4Address, kind: str, owner: str) -> None:
        new = {self._scope_column: scope, "address": address, "owner_kind": kind, "owner_id": owner}
        try:
            connection.execute(self._add, new)
        except IntegrityError as error:
            raise AddressTaken(f"{address} is in use: choose another one") from error

    def _take_again(self, connection: Connection, scope: str, address: IPv4Address, kind: str, owner: str) -> None:
        taken = {"scope": scope, "at": address, "kind": kind, "owner": owner}
        if connection.execute(self._take_freed, taken).rowcount == 0:
            raise AddressTaken(f"{address} is in use: choose another one")

    def claim_any(
        self, connection: Connection, scope: str, numbers: range, reserved: IPv4Address, kind: str, owner: str
    ) -> IPv4Address | None:
        """Reserve an address that nobody ever had, or else the one that has been free for longest."""
        # The cursor belongs to these numbers: a subnet that grows at its lower end begins anew.
        cursor_name = f"{self._scope_column}:{scope}:{numbers.start}-{numbers.stop}"
        cursor = counter_value(connection, cursor_name)
        fresh = behind_cursor(numbers, cursor)
        if fresh:
            chosen = first_unused(fresh, merge(self._used_numbers(connection, scope, fresh), [int(reserved)]))
            set_counter(connection, cursor_name, numbers.stop - 1 if chosen is None else chosen)
            if chosen is not None:
                address = IPv4Address(chosen)
                self._take_new(connection, scope, address, kind, owner)
                return address
        return self._claim_longest_free(connection, scope, numbers, reserved, kind, owner)

    def _claim_longest_free(
        self, connection: Connection, scope: str, numbers: range, reserved: IPv4Address, kind: str, owner: str
    ) -> IPv4Address | None:
        if not numbers:
            return None
        low, high = IPv4Address(numbers.start), IPv4Address(numbers.stop - 1)
        wish = {"scope": scope, "low": low, "high": high, "except_for": reserved}
        address = connection.execute(self._longest_free, wish).scalar_one_or_none()
        if address is not None:
            self._take_again(connection, scope, address, kind, owner)
        return address

    def _used_numbers(self, connection: Connection, scope: str, numbers: range) -> Iterator[int]:
        """Yield the numbers that have an owner or had one, ascending, a batch at a time."""
        low = numbers.start
        while low < numbers.stop:
            bounds = {"scope": scope, "low": IPv4Address(low), "high": IPv4Address(numbers.stop - 1)}
            batch = connection.execute(self._used, bounds).scalars().all()
            yield from map(int, batch)
            if len(batch) < _BATCH:
                return
            low = int(batch[-1]) + 1

    def free(self, connection: Connection, scope: str, address: IPv4Address, kind: str, owner: str) -> None:
        """Give an address back; one that the owner does not have is left as it is."""
        order = raise_counter(connection, FREED_ORDER)
        given_back = {"scope": scope, "at": address, "kind": kind, "owner": owner, "order": order}
        connection.execute(self._free, given_back)

    def forget_freed(self, connection: Connection, scope: str) -> None:
        """Drop what is remembered of free addresses when the scope itself goes away, the cursors included."""
        connection.execute(self._forget_freed, {"scope": scope})
        forget_counters(connection, f"{self._scope_column}:{scope}:")


subnet_ledger = AddressLedger(subnet_addresses, "subnet_id")
"""Endpoints, NICs and edges, by subnet: an endpoint's address can never be a NIC's."""

transit_ledger = AddressLedger(transit_addresses, "pool_id")
"""Endpoints (sources) and backend addresses (targets), by pool."""


_USED_MARKERS = (
    select(markers.c.marker)
    .where(markers.c.marker.between(bindparam("low"), bindparam("high")))
    .order_by(markers.c.marker)
    .limit(_BATCH)
)
_ADD_MARKER = insert(markers)
_FREE_MARKER = update(markers).where(markers.c.marker == bindparam("at")).values(freed_at=bindparam("freed"))
_FORGET_RESTED = delete(markers).where(markers.c.freed_at <= bindparam("rested_since"))


def claim_marker(connection: Connection) -> int:
    """Reserve the next marker after the one given out last, beginning anew after the highest."""
    cursor = counter_value(connection, MARKER_CURSOR)
    for numbers in (behind_cursor(MARKERS, cursor), MARKERS):
        marker = first_unused(numbers, _used_markers(connection, numbers))
        if marker is not None:
            connection.execute(_ADD_MARKER, {"marker": marker})
            set_counter(connection, MARKER_CURSOR, marker)
            return marker
    raise OperatorError("all markers are in use or rest: wait a day, or delete endpoints")


def _used_markers(connection: Connection, numbers: range) -> Iterator[int]:
    low = numbers.start
    while low < numbers.stop:
        batch = connection.execute(_USED_MARKERS, {"low": low, "high": numbers.stop - 1}).scalars().all()
        yield from batch
        if len(batch) < _BATCH:
            return
        low = batch[-1] + 1


def free_marker(connection: Connection, marker: int, now: datetime) -> None:
    """Let a marker rest, and forget those that have rested long enough."""
    connection.execute(_FORGET_RESTED, {"rested_since": now - MARKER_REST})
    connection.execute(_FREE_MARKER, {"at": marker, "freed": now})
