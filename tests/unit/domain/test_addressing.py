from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbridge.domain.addressing import (
    MARKERS,
    behind_cursor,
    check_wanted_address,
    first_unused,
    host_numbers,
)
from landbridge.domain.errors import AddressOutsideSubnet, AddressTaken
from landbridge.domain.ids import SubnetId, VpcId
from landbridge.domain.resources import Subnet

SUBNET = Subnet(SubnetId("s"), VpcId("v"), "web", IPv4Network("10.0.0.0/29"), IPv4Address("10.0.0.1"))


def network_around(number: int, prefix_length: int) -> IPv4Network:
    return IPv4Network((number, prefix_length), strict=False)


networks = st.builds(network_around, st.integers(0, 2**32 - 1), st.integers(0, 32))


@given(networks)
def test_host_numbers_leave_out_network_and_broadcast_address(network: IPv4Network):
    numbers = host_numbers(network)

    assert int(network.network_address) not in numbers
    assert int(network.broadcast_address) not in numbers
    assert len(numbers) == max(0, network.num_addresses - 2)


@pytest.mark.parametrize("text", ["10.0.0.0", "10.0.0.7", "10.0.0.8", "9.255.255.255", "0.0.0.0"])
def test_an_address_that_is_no_host_of_the_subnet_is_refused(text: str):
    with pytest.raises(AddressOutsideSubnet, match="another port_ip"):
        check_wanted_address(SUBNET, IPv4Address(text))


def test_the_gateways_address_is_taken_and_all_other_hosts_may_be_wanted():
    with pytest.raises(AddressTaken, match="gateway"):
        check_wanted_address(SUBNET, SUBNET.gateway)
    for last in range(2, 7):
        check_wanted_address(SUBNET, IPv4Address(f"10.0.0.{last}"))


def test_markers_are_two_to_the_24_plus_n_within_32_bits():
    assert (MARKERS[0], MARKERS[-1]) == (2**24 + 1, 2**32 - 1)


@given(st.integers(0, 50), st.integers(0, 50), st.none() | st.integers(-5, 60))
def test_behind_the_cursor_are_the_higher_numbers_or_all_if_the_cursor_is_a_stranger(
    start: int, stop: int, cursor: int | None
):
    numbers = range(start, stop)
    behind = behind_cursor(numbers, cursor)

    if cursor is not None and cursor in numbers:
        assert list(behind) == [number for number in numbers if number > cursor]
    else:
        assert behind == numbers


@given(st.integers(0, 20), st.integers(0, 40), st.lists(st.integers(0, 60)))
def test_the_first_unused_number_is_the_lowest_that_is_not_used(start: int, stop: int, used: list[int]):
    free = [number for number in range(start, stop) if number not in used]

    assert first_unused(range(start, stop), sorted(used)) == (free[0] if free else None)


def test_what_is_used_is_read_up_to_the_first_gap_only():
    used = iter([1, 2, 5, 6, 7])

    assert first_unused(range(1, 100), used) == 3
    assert list(used) == [6, 7]
