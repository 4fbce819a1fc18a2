"""Of what keys and values consist is read from the rules, so every set and map can be asked."""

import pytest

from landbridge.drivers.linux.element_lookup import _FIELDS, _Field, _packed, _unpacked
from landbridge.drivers.linux.elements import MAPS, OUTSIDE_NFT, Kind

IN_NFT = [kind for kind in Kind if kind not in OUTSIDE_NFT]


@pytest.mark.parametrize("kind", IN_NFT)
def test_every_set_and_map_can_be_asked_and_maps_alone_have_values(kind: Kind):
    key, value = _FIELDS[kind.value]

    assert key
    assert bool(value) is (kind in MAPS)


@pytest.mark.parametrize(
    ("fields", "text", "packed"),
    [
        ((_Field.ADDRESS, _Field.PORT), "10.0.0.100 . 8080", "0a000064" + "1f900000"),
        ((_Field.ORDERED_MARK, _Field.NETWORK), "258 . 10.0.0.8", "00000102" + "0a000008"),
        ((_Field.INTERFACE,), "sub-1", b"sub-1".hex() + 11 * "00"),
        ((_Field.BYTES,), "1460", "05b4"),
    ],
)
def test_keys_are_packed_as_the_kernel_has_them(fields: tuple[_Field, ...], text: str, packed: str):
    data = bytes.fromhex(packed)

    assert _packed(fields, text) == data
    assert _unpacked(fields, data, data) == text


def test_an_interval_reads_as_the_network_that_it_is():
    first, last = bytes.fromhex("0000000a0a000000"), bytes.fromhex("0000000a0a00007f")

    assert _unpacked((_Field.ORDERED_MARK, _Field.NETWORK), first, last) == "10 . 10.0.0.0/25"
    assert _unpacked((_Field.ORDERED_MARK, _Field.NETWORK), first, first) == "10 . 10.0.0.0"
