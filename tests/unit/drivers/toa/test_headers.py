"""The header that programs put in front of a client's data."""

import struct
from ipaddress import IPv4Address

import pytest

from landbridge.drivers.linux.headers import HEADER_BYTES, header_of

ENDPOINT, PORT = IPv4Address("10.0.0.100"), 443
MARKER = (0xE5, bytes((1, 0, 0, 1)))


def fields_of(header: bytes) -> list[tuple[int, bytes]]:
    found, at = [], 28
    while at < len(header):
        kind, length = struct.unpack_from("!BH", header, at)
        found.append((kind, header[at + 3 : at + 3 + length]))
        at += 3 + length
    assert at == len(header)
    return found


def test_a_header_is_version_2_for_tcp_over_ipv4_and_lacks_only_the_client():
    header = header_of(ENDPOINT, PORT, [MARKER])

    assert header[:16] == b"\r\n\r\n\0\r\nQUIT\n" + bytes((0x21, 0x11)) + struct.pack("!H", HEADER_BYTES - 16)
    assert header[16:28] == bytes(4) + ENDPOINT.packed + bytes(2) + struct.pack("!H", PORT)


@pytest.mark.parametrize("size", [0, 1, 4, 90, 93, 97])
def test_headers_have_one_size_whatever_their_fields(size: int):
    field = (0xE6, bytes(range(size)))

    header = header_of(ENDPOINT, PORT, [field])

    assert len(header) == HEADER_BYTES
    assert fields_of(header)[0] == field
    assert {kind for kind, _ in fields_of(header)[1:]} <= {0x04}


@pytest.mark.parametrize("size", [95, 96, 98, 100_000])
def test_fields_for_which_there_is_no_room_are_refused(size: int):
    with pytest.raises(ValueError, match="no room"):
        header_of(ENDPOINT, PORT, [(0xE6, bytes(size))])
