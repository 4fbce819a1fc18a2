"""How connections end: what may be chosen, and the arithmetic of whose go on."""

from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbridge.domain.cutting import (
    EVERYBODY,
    FORMER_CLIENTS_LIMIT,
    KEEP,
    KILL,
    CutMode,
    CutOff,
    CutOffs,
    FormerClients,
    Grace,
    Occasion,
    allowed_and_barred,
    check_cut_off,
    union,
    with_former_clients,
    without,
)
from landbridge.domain.errors import InvalidCutOff

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(minutes=1)
LONG = Grace(NOON, NOON + timedelta(hours=1))


def networks(*texts: str) -> tuple[IPv4Network, ...]:
    return tuple(map(IPv4Network, texts))


# What may be chosen


def test_by_default_everything_is_cut_at_once_but_for_a_permission_that_is_removed():
    chosen = CutOffs()

    assert [chosen.on_reject, chosen.on_delete, chosen.on_whitelist_edit] == [KILL] * 3
    assert chosen.on_permission_removal == KEEP


@pytest.mark.parametrize("occasion", Occasion)
@pytest.mark.parametrize("seconds", [1, 86_400])
def test_a_drain_may_last_from_a_second_to_a_day(occasion: Occasion, seconds: int):
    assert check_cut_off(occasion, "drain", seconds) == CutOff(CutMode.DRAIN, seconds)


@pytest.mark.parametrize(
    ("occasion", "mode", "seconds", "hint"),
    [
        (Occasion.REJECT, "drain", None, "on_reject.deadline_seconds must be a number from 1 to 86400"),
        (Occasion.REJECT, "drain", 0, "from 1 to 86400"),
        (Occasion.WHITELIST_EDIT, "drain", 86_401, "from 1 to 86400"),
        (Occasion.REJECT, "kill", 5, "leave it out with kill"),
        (Occasion.PERMISSION_REMOVAL, "keep", 5, "leave it out with keep"),
        (Occasion.REJECT, "KILL", None, "must be kill, drain or keep"),
        (Occasion.DELETE, "keep", None, "held for ever"),
    ],
)
def test_what_is_not_offered_is_refused_and_the_message_says_what_is(occasion, mode, seconds, hint):
    with pytest.raises(InvalidCutOff, match=hint):
        check_cut_off(occasion, mode, seconds)


def test_a_deletion_may_be_a_kill():
    assert check_cut_off(Occasion.DELETE, "kill", None) == KILL


def test_a_grace_is_over_at_its_deadline_and_one_without_never_is():
    drain, keep = CutOff(CutMode.DRAIN, 60).grace(NOON), KEEP.grace(NOON)

    assert KILL.grace(NOON) is None
    assert drain is not None
    assert keep is not None
    assert (drain.is_over(LATER - timedelta(microseconds=1)), drain.is_over(LATER)) == (False, True)
    assert not keep.is_over(NOON + timedelta(days=3650))


# Arithmetic

# A small world, so that networks meet: sixteen addresses, and everybody.
_small = st.builds(
    lambda offset, length: IPv4Network((int(IPv4Address("10.0.0.0")) + offset, length), strict=False),
    st.integers(0, 15),
    st.integers(28, 32),
)
some_networks = st.lists(st.one_of(_small, st.just(EVERYBODY[0])), max_size=6)
an_address = st.one_of(st.integers(0, 17).map(lambda offset: IPv4Address("10.0.0.0") + offset), st.ip_addresses(v=4))


def holds(there: tuple[IPv4Network, ...] | list[IPv4Network], address: IPv4Address) -> bool:
    return any(address in network for network in there)


@given(some_networks, some_networks, an_address)
def test_what_is_taken_out_is_out_and_everything_else_stays(
    before: list[IPv4Network], taken: list[IPv4Network], address: IPv4Address
):
    left = without(before, taken)

    assert holds(left, address) is (holds(before, address) and not holds(taken, address))
    assert left == union(left), "sorted, and no fewer networks would do"


@given(some_networks, some_networks)
def test_taking_out_agrees_with_excluding_one_by_one(before: list[IPv4Network], taken: list[IPv4Network]):
    left = list(union(before))
    for hole in union(taken):
        parts = [network for network in left if not network.overlaps(hole)]
        for network in left:
            if hole.subnet_of(network) and hole != network:
                parts.extend(network.address_exclude(hole))
        left = parts

    assert without(before, taken) == union(left)


edits = st.lists(
    st.tuples(some_networks, st.sampled_from([None, Grace(NOON, None), LONG, Grace(NOON, NOON)])),
    min_size=1,
    max_size=6,
)


@given(some_networks, edits, an_address)
def test_after_any_edits_who_may_open_is_on_the_list_and_who_passes_was_on_one(
    first: list[IPv4Network], made: list[tuple[list[IPv4Network], Grace | None]], address: IPv4Address
):
    former: tuple[FormerClients, ...] = ()
    before = first
    for after, grace in made:
        former = with_former_clients(former, before, after, grace)
        before = after
    allowed, barred = allowed_and_barred(before, former, NOON)
    passes = allowed is None or holds(allowed, address)

    assert (passes and not holds(barred, address)) is holds(before, address)
    assert not passes or holds([*first, *(network for after, _ in made for network in after)], address)
    assert len(former) <= FORMER_CLIENTS_LIMIT
    assert all(one.networks == union(one.networks) and one.networks for one in former)


def test_a_kill_cuts_those_it_takes_out_and_leaves_those_who_drain_already():
    drained = with_former_clients((), networks("10.0.0.1/32", "10.0.0.2/32"), networks("10.0.0.2/32"), LONG)

    killed = with_former_clients(drained, networks("10.0.0.2/32"), (), None)

    assert allowed_and_barred((), killed, LATER) == (networks("10.0.0.1/32"), networks("10.0.0.1/32"))


def test_who_was_let_in_again_meanwhile_is_cut_by_a_kill_like_anybody():
    one = networks("10.0.0.1/32")
    former = with_former_clients((), one, (), LONG)
    former = with_former_clients(former, (), one, None)

    assert with_former_clients(former, one, (), None) == ()


def test_a_whitelist_that_is_switched_on_lets_everybody_else_go_on_and_open_nothing():
    only = networks("10.0.0.7/32")
    former = with_former_clients((), EVERYBODY, only, LONG)

    allowed, barred = allowed_and_barred(only, former, LATER)

    assert allowed is None
    assert barred == without(EVERYBODY, only)
    assert allowed_and_barred(only, former, NOON + timedelta(hours=1)) == (only, ())


def test_a_whitelist_that_is_switched_off_leaves_nobody_barred():
    former = with_former_clients((), networks("10.0.0.7/32"), (), LONG)

    assert with_former_clients(former, (), EVERYBODY, LONG) == ()
    assert allowed_and_barred(EVERYBODY, former, LATER) == (None, ())


def test_the_oldest_edits_connections_are_cut_when_there_are_too_many():
    former: tuple[FormerClients, ...] = ()
    for number in range(FORMER_CLIENTS_LIMIT + 1):
        former = with_former_clients(former, networks(f"10.0.0.{number}/32"), (), LONG)

    allowed, _ = allowed_and_barred((), former, LATER)

    assert allowed is not None
    assert not holds(allowed, IPv4Address("10.0.0.0"))
    assert all(holds(allowed, IPv4Address(f"10.0.0.{number}")) for number in range(1, FORMER_CLIENTS_LIMIT + 1))


def test_a_thousand_single_addresses_are_taken_out_of_everybody_at_once():
    singles = [IPv4Network((int(IPv4Address("10.0.0.0")) + 2 * number, 32)) for number in range(1000)]

    left = without(EVERYBODY, singles)

    assert sum(network.num_addresses for network in left) == 2**32 - 1000
