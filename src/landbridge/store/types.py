"""Translate moments and addresses between Python and columns, losing nothing.

A moment must be aware and is stored in UTC with microseconds, so that the order of the stored values is the order of
time; SQLite drops time zones, which is why a naive moment is refused rather than guessed at. An address is stored as
an integer, so that ranges and gaps are index look-ups.
"""

from datetime import UTC, datetime
from ipaddress import IPv4Address

from sqlalchemy import BigInteger, DateTime, Dialect
from sqlalchemy.types import TypeDecorator


class UtcDateTime(TypeDecorator[datetime]):
    """An aware moment."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the moment in UTC; a naive one is refused."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value.isoformat()} has no time zone: the store takes aware moments only")
        in_utc = value.astimezone(UTC)
        # SQLite has no zones: its column keeps the bare UTC digits, in fixed width, so that they sort.
        return in_utc.replace(tzinfo=None) if dialect.name == "sqlite" else in_utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the moment, aware and in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Address(TypeDecorator[IPv4Address]):
    """An IPv4 address as an integer."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: IPv4Address | None, dialect: Dialect) -> int | None:
        """Return the address as an integer."""
        return None if value is None else int(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> IPv4Address | None:
        """Return the integer as an address."""
        return None if value is None else IPv4Address(value)
