"""Of what keys and values consist is read from the rules, so every set and map can be asked."""

import sys

import pytest

from landbridge.domain.ids import VpcId
from landbridge.drivers.linux.elements import MAPS, OUTSIDE_NFT, Element, Kind
from landbridge.drivers.linux.set_fields import FIELDS, INTERVALS, pack_key, pack_range, pack_value, unpack

IN_NFT = [kind for kind in Kind if kind not in OUTSIDE_NFT]
VPC = VpcId("vpc-a")


@pytest.mark.parametrize("kind", IN_NFT)
def test_every_set_and_map_can_be_asked_and_maps_alone_have_values(kind: Kind):
    key, value = FIELDS[kind]

    assert key
    assert bool(value) is (kind in MAPS)


@pytest.mark.parametrize(
    ("element", "key", "value"),
    [
        (Element(VPC, Kind.EXITS, "5", "198.19.200.1"), (5).to_bytes(4, "little").hex(), "c613c801"),
        (Element(VPC, Kind.BACKENDS, "10.0.0.100 . 8080", "10.0.0.20"), "0a000064" + "1f900000", "0a000014"),
        (
            Element(VPC, Kind.LISTENERS, "10.0.0.100 . 80", "198.19.255.1 . 9000"),
            "0a000064" + "00500000",
            "c613ff01" + "23280000",
        ),
        (Element(VPC, Kind.BUDGETS, "1", "3000"), (1).to_bytes(4, "little").hex(), "00000bb8"),
        (Element(VPC, Kind.ENDPOINTS, "10.0.0.100", "id digest"), "0a000064", b"id digest".hex()),
        (Element(VPC, Kind.SENT, "1"), (1).to_bytes(4, "little").hex(), ""),
        (Element(VPC, Kind.SEGMENTS, "1", "1460"), (1).to_bytes(4, "little").hex(), "05b4"),
    ],
)
def test_keys_and_values_are_packed_as_the_kernel_has_them(element: Element, key: str, value: str):
    assert sys.byteorder == "little", "these bytes are of such a machine"
    packed = pack_key(element.kind, element.key), pack_value(element.kind, element.value)

    assert packed == (bytes.fromhex(key), bytes.fromhex(value))
    assert unpack(element.kind, VPC, packed[0], packed[0], packed[1]) == element


@pytest.mark.parametrize(
    ("kind", "text", "first", "last"),
    [
        (Kind.BARRED, "258 . 10.0.0.8/29", "00000102" + "0a000008", "00000102" + "0a00000f"),
        (Kind.ALLOWED, "10.0.0.1 . 10.0.0.8", "0a000001" + "0a000008", "0a000001" + "0a000008"),
        (
            Kind.GATEWAYS,
            "sub-1 . 10.0.0.0/25",
            b"sub-1".ljust(16, b"\0").hex() + "0a000000",
            b"sub-1".ljust(16, b"\0").hex() + "0a00007f",
        ),
    ],
)
def test_a_range_has_two_keys_and_reads_as_the_network_that_it_is(kind: Kind, text: str, first: str, last: str):
    assert kind in INTERVALS
    assert pack_range(kind, text) == (bytes.fromhex(first), bytes.fromhex(last))
    assert unpack(kind, VPC, bytes.fromhex(first), bytes.fromhex(last), bytes(4)).key == text
