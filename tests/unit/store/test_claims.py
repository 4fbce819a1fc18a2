from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, create_engine

from landbridge.domain.addressing import MARKERS, host_numbers
from landbridge.domain.errors import AddressTaken
from landbridge.store.claims import claim_marker, free_marker, subnet_ledger
from landbridge.store.counting import MARKER_CURSOR, set_counter
from landbridge.store.tables import metadata

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
NUMBERS = host_numbers(IPv4Network("10.0.0.0/28"))
GATEWAY = IPv4Address("10.0.0.1")


@contextmanager
def empty_database() -> Generator[Connection]:
    engine = create_engine("sqlite://")
    metadata.create_all(engine)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


@pytest.fixture
def connection() -> Iterator[Connection]:
    with empty_database() as connection:
        yield connection


wishes = st.tuples(st.just("want"), st.sampled_from([number for number in NUMBERS if number != int(GATEWAY)]))
choices = st.tuples(st.just("choose"), st.just(0))
removals = st.tuples(st.just("free"), st.integers(0, 20))


@settings(deadline=None)  # each case makes all tables, and how long that takes depends on who else is at work
@given(st.lists(choices | removals | wishes, max_size=60))
def test_no_address_has_two_owners_and_of_the_used_ones_the_longest_free_comes_next(steps: list[tuple[str, int]]):
    """Compare with a model: a dict of owners, and the order in which addresses were freed."""
    owned: dict[int, str] = {}
    freed_last: dict[int, int] = {}
    cursor = NUMBERS.start - 1
    with empty_database() as connection:
        for step, (action, number) in enumerate(steps):
            owner = str(step)
            if action == "choose":
                fresh = [
                    candidate
                    for candidate in NUMBERS
                    if candidate > cursor
                    and candidate not in owned
                    and candidate not in freed_last
                    and candidate != int(GATEWAY)
                ]
                expected = fresh[0] if fresh else min(freed_last, key=lambda n: freed_last[n], default=None)
                cursor = fresh[0] if fresh else NUMBERS.stop
                chosen = subnet_ledger.claim_any(connection, "s", NUMBERS, GATEWAY, "endpoint", owner)
                assert chosen == (None if expected is None else IPv4Address(expected))
                if expected is not None:
                    owned[expected] = owner
                    freed_last.pop(expected, None)
            elif action == "want":
                if number in owned:
                    with pytest.raises(AddressTaken):
                        subnet_ledger.claim(connection, "s", IPv4Address(number), "endpoint", owner)
                else:
                    subnet_ledger.claim(connection, "s", IPv4Address(number), "endpoint", owner)
                    owned[number] = owner
                    freed_last.pop(number, None)
            elif owned:
                address = sorted(owned)[number % len(owned)]
                subnet_ledger.free(connection, "s", IPv4Address(address), "endpoint", "a stranger")
                subnet_ledger.free(connection, "s", IPv4Address(address), "endpoint", owned.pop(address))
                freed_last[address] = step


def test_scopes_do_not_share_addresses(connection: Connection):
    for scope in ("one", "two"):
        subnet_ledger.claim(connection, scope, IPv4Address("10.0.0.5"), "nic", "n")


def test_a_forgotten_scope_keeps_what_has_an_owner(connection: Connection):
    subnet_ledger.claim(connection, "s", IPv4Address("10.0.0.2"), "endpoint", "e")
    subnet_ledger.claim(connection, "s", IPv4Address("10.0.0.3"), "nic", "n")
    subnet_ledger.free(connection, "s", IPv4Address("10.0.0.3"), "nic", "n")
    subnet_ledger.forget_freed(connection, "s")

    assert subnet_ledger.claim_any(connection, "s", NUMBERS, GATEWAY, "endpoint", "f") == IPv4Address("10.0.0.3")


def test_markers_begin_anew_after_the_highest_and_skip_the_living_ones(connection: Connection):
    living = [claim_marker(connection) for _ in range(2)]
    set_counter(connection, MARKER_CURSOR, MARKERS[-2])

    assert claim_marker(connection) == 2**32 - 1
    assert claim_marker(connection) == living[-1] + 1


def test_a_marker_rests_for_a_day_and_may_then_be_used_again(connection: Connection):
    first, second = claim_marker(connection), claim_marker(connection)
    free_marker(connection, first, NOON)
    free_marker(connection, second, NOON + timedelta(hours=1))
    set_counter(connection, MARKER_CURSOR, MARKERS[-1])
    third = claim_marker(connection)
    assert third == second + 1

    free_marker(connection, third, NOON + timedelta(hours=24))
    set_counter(connection, MARKER_CURSOR, MARKERS[-1])
    assert [claim_marker(connection), claim_marker(connection)] == [first, third + 1]
