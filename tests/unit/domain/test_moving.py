"""Where older connections go on when a backend moves."""

from dataclasses import replace
from ipaddress import IPv4Address

from landbridge.domain.ids import NicId
from landbridge.domain.moving import FORMER_BACKENDS_LIMIT, moved, without_nic
from landbridge.domain.resources import Backend, EndpointService
from tests.examples import a_service

SERVICE = a_service()
FIRST = SERVICE.backend
assert isinstance(FIRST, Backend)


def place(number: int) -> Backend:
    return replace(FIRST, nic_id=NicId(f"nic-{number}"), address=IPv4Address("10.0.0.100") + number)


def through(*backends: Backend) -> EndpointService:
    service = SERVICE
    for backend in backends:
        service = moved(service, backend)
    return service


def test_the_place_that_is_left_is_kept_as_a_former_one():
    after = through(place(1), place(2))

    assert after.backend == place(2)
    assert after.former_backends == (FIRST, place(1))


def test_a_place_that_is_taken_again_is_no_former_one():
    after = through(place(1), FIRST)

    assert (after.backend, after.former_backends) == (FIRST, (place(1),))


def test_a_place_is_kept_once_as_of_when_it_was_left_last():
    after = through(place(1), FIRST, place(2))

    assert after.former_backends == (place(1), FIRST)


def test_the_oldest_place_goes_when_there_are_too_many():
    after = through(*(place(number) for number in range(FORMER_BACKENDS_LIMIT + 1)))

    assert after.former_backends == tuple(place(number) for number in range(FORMER_BACKENDS_LIMIT))


def test_a_nic_that_goes_takes_its_places_with_it():
    virtual = replace(place(1), vip_nic_id=NicId("vip"))
    after = through(virtual, place(2))

    assert without_nic(after, NicId("vip")).former_backends == (FIRST,)
    assert without_nic(after, FIRST.nic_id).former_backends == (virtual,)
    assert without_nic(after, place(2).nic_id) is after
