"""What services may be called."""

import pytest

from landbridge.domain.ids import ServiceId
from landbridge.domain.naming import full_service_name, is_public_name, short_name_of

ID = ServiceId("5b6e0000-0000-4000-8000-000000000001")


@pytest.mark.parametrize("short", ["", "web", "a_b-1"])
def test_the_short_name_can_be_read_back_from_the_full_one(short: str):
    assert short_name_of(full_service_name("lab-1", short, ID)) == short


@pytest.mark.parametrize("name", ["com.landbridge.dns", "com.landbridge.lab-1.dns", "a.b.c", "a.b." + "c" * 124])
def test_a_public_name_has_three_or_more_words(name: str):
    assert is_public_name(name)


@pytest.mark.parametrize("name", ["", "dns", "lab.dns", "a..c", ".a.b.c", "a.b.c.", "a.b.ü", "a.b." + "c" * 125])
def test_anything_else_is_no_public_name(name: str):
    assert not is_public_name(name)


@pytest.mark.parametrize("short", ["", "web"])
def test_no_name_is_a_tenants_and_a_public_one(short: str):
    assert not is_public_name(full_service_name("lab-1", short, ID))
