"""Keep the named counters: the revision, the order of freeing, and the cursors of the choosing.

A counter is one row, so a transaction that fails takes its step back, and two transactions never take the same step.
"""

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from landbridge.store.tables import counters

REVISION = "revision"
"""Raised once by each transaction that changes intent."""

FREED_ORDER = "freed_order"
"""Raised by each address that is freed."""

MARKER_CURSOR = "marker"
"""The marker that was given out last."""

_VALUE = select(counters.c.value).where(counters.c.name == bindparam("counter"))
_SET = update(counters).where(counters.c.name == bindparam("counter")).values(value=bindparam("new_value"))
_RAISE = (
    update(counters)
    .where(counters.c.name == bindparam("counter"))
    .values(value=counters.c.value + 1)
    .returning(counters.c.value)
)
_ADD = insert(counters)


def counter_value(connection: Connection, name: str) -> int | None:
    """Return a counter's value, or None if it was never set."""
    return connection.execute(_VALUE, {"counter": name}).scalar_one_or_none()


def set_counter(connection: Connection, name: str, value: int) -> None:
    """Set a counter, whether it was there or not."""
    if connection.execute(_SET, {"counter": name, "new_value": value}).rowcount == 0:
        connection.execute(_ADD, {"name": name, "value": value})


def raise_counter(connection: Connection, name: str) -> int:
    """Raise a counter by one and return its new value; the first is 1."""
    value = connection.execute(_RAISE, {"counter": name}).scalar_one_or_none()
    if value is None:
        value = 1
        connection.execute(_ADD, {"name": name, "value": value})
    return value


def forget_counters(connection: Connection, beginning: str) -> None:
    """Forget all counters whose names begin so."""
    connection.execute(delete(counters).where(counters.c.name.startswith(beginning, autoescape=True)))
