from datetime import UTC, datetime, timedelta, timezone
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects import postgresql, sqlite

from landbridge.store.types import Address, UtcDateTime

sqlite_dialect, postgresql_dialect = sqlite.dialect(), postgresql.dialect()
offsets = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(datetime(1970, 1, 2), datetime(9999, 12, 30), timezones=offsets)  # noqa: DTZ001


def stored(moment: datetime) -> str:
    process = UtcDateTime().bind_processor(sqlite_dialect)
    assert process is not None
    return process(moment)


@given(moments, moments)
def test_the_order_of_stored_moments_is_the_order_of_time(one: datetime, other: datetime):
    assert (stored(one) < stored(other)) == (one < other)
    assert (stored(one) == stored(other)) == (one == other)


@given(moments)
def test_a_moment_comes_back_equal_and_in_utc(moment: datetime):
    for dialect in (sqlite_dialect, postgresql_dialect):
        bound = UtcDateTime().process_bind_param(moment, dialect)
        back = UtcDateTime().process_result_value(bound, dialect)

        assert back == moment
        assert back is not None
        assert back.tzinfo is UTC


def test_a_naive_moment_is_refused():
    with pytest.raises(ValueError, match="no time zone"):
        UtcDateTime().process_bind_param(datetime(2026, 3, 1), sqlite_dialect)  # noqa: DTZ001


@given(st.ip_addresses(v=4))
def test_an_address_comes_back_and_none_stays_none(address: IPv4Address):
    bound = Address().process_bind_param(address, sqlite_dialect)

    assert Address().process_result_value(bound, sqlite_dialect) == address
    assert Address().process_result_value(None, sqlite_dialect) is None
    assert UtcDateTime().process_result_value(None, sqlite_dialect) is None
