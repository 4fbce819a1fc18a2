"""Choose addresses and markers, and say what a subnet can give.

Numbers that nobody ever had come first, in ascending order behind a cursor; the store hands out a used one only when
those have run out, the longest free first. So whatever still remembers an address (a client's cache, a packet under
way) has the longest time to forget it. Pure: what is in use is passed in; reserving is the store's job.
"""

from collections.abc import Iterable
from datetime import timedelta
from ipaddress import IPv4Address, IPv4Network

from landbridge.domain.errors import AddressOutsideSubnet, AddressTaken
from landbridge.domain.resources import Subnet

MARKERS = range(2**24 + 1, 2**32)
"""Every marker that may be given to an endpoint: 2^24 + n, n from 1, within 32 bits."""

MARKER_REST = timedelta(hours=24)
"""How long the marker of a removed endpoint stays unused."""


def host_numbers(network: IPv4Network) -> range:
    """Return the addresses between network and broadcast address, as integers; none for a /31 or /32."""
    return range(int(network.network_address) + 1, int(network.broadcast_address))


def check_wanted_address(subnet: Subnet, wanted: IPv4Address) -> None:
    """Refuse an address that no endpoint of the subnet can ever have.

    Raises:
        AddressOutsideSubnet: it is no host address of the subnet.
        AddressTaken: it is the gateway's.
    """
    if int(wanted) not in host_numbers(subnet.cidr):
        raise AddressOutsideSubnet(f"{wanted} is no host address of subnet {subnet.cidr}: choose another port_ip")
    if wanted == subnet.gateway:
        raise AddressTaken(f"{wanted} is the gateway of subnet {subnet.cidr}: choose another port_ip")


def behind_cursor(numbers: range, cursor: int | None) -> range:
    """Return the numbers that come after the one given out last; all of them if that is none of these numbers."""
    if cursor is None or cursor not in numbers:
        return numbers
    return range(cursor + 1, numbers.stop)


def first_unused(numbers: range, used: Iterable[int]) -> int | None:
    """Return the lowest of the numbers that is not used, or None.

    `used` ascends; it is read up to the first gap and no further, so it may be a query that is still running.
    """
    candidate = numbers.start
    for number in used:
        if number > candidate:
            break
        if number == candidate:
            candidate += 1
    return candidate if candidate in numbers else None
