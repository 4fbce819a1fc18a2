"""Cut lists into pages, in an order that is the same each time, and filter them by what callers typed.

Nothing a caller types is a pattern: wildcards are escaped, and text that no stored value can contain matches nothing.
"""

from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from string import ascii_lowercase, ascii_uppercase
from typing import TypeVar

from sqlalchemy import ColumnElement, Connection, Table, false, func, select

from landbridge.control.queries import Page
from landbridge.store.rows import AnyRow

T = TypeVar("T")

_LONGEST_FILTER = 4096
"""Characters. No filtered column holds more, and databases limit the length of patterns."""

_TO_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)

_CHUNK = 5000
"""How many ids go into one statement; databases limit the number of parameters."""


def page_of(
    connection: Connection,
    table: Table,
    conditions: Sequence[ColumnElement[bool]],
    page: Page,
    known_total: int | None = None,
) -> tuple[Sequence[AnyRow], int]:
    """Return the rows of one page and the number of all matches, which is counted unless it is known."""
    total = known_total
    if total is None:
        total = connection.execute(select(func.count()).select_from(table).where(*conditions)).scalar_one()
    if page.limit <= 0 or page.offset >= total:
        return [], total
    rows = select(table).where(*conditions).order_by(*_order(table, page)).limit(page.limit).offset(page.offset)
    return connection.execute(rows).all(), total


def _order(table: Table, page: Page) -> list[ColumnElement[object]]:
    if page.sort_by not in {"created_at", "updated_at"}:
        raise ValueError(f"lists are sorted by created_at or updated_at, not by {page.sort_by}")
    # Permission entries show no time of change, so they are ordered by creation either way.
    column = table.c.get(page.sort_by, table.c.created_at)
    keys: list[ColumnElement[object]] = [column, table.c.id]
    return [key.desc() for key in keys] if page.descending else keys


def contains_ignoring_case(column: ColumnElement[str], text: str) -> ColumnElement[bool]:
    """Return the condition that a column contains a text, in capitals or not; only A to Z have others."""
    if len(text) > _LONGEST_FILTER or "\x00" in text:
        return false()
    # Ours are lowered here: the column follows the simple rules of our tables, a text those of the server's language.
    return func.lower(column).contains(text.translate(_TO_LOWER), autoescape=True)


def chunks(ids: Collection[T]) -> Iterator[list[T]]:
    """Yield the ids, no more at a time than one statement can take."""
    rest = iter(ids)
    while chunk := list(islice(rest, _CHUNK)):
        yield chunk
