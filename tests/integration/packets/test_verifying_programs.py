"""Looking by hand names what somebody did to the kernel's programs, and changes nothing."""

import socket
from collections.abc import Callable, Iterator

import pytest

from landbridge.dataplane.model import Binding, Target
from landbridge.domain.resources import TcpProxy
from landbridge.drivers.linux.elements import subnet_interface
from landbridge.drivers.linux.looking import LinuxLooker
from landbridge.drivers.toa.fitting import Fitting
from landbridge.drivers.toa.hooks import find_hook
from landbridge.drivers.toa.objects import shipped
from tests.integration.packets.ground import CLIENT_PORT, CONSUMER, ENDPOINT, FAR, NEAR, Ground, endpoint, programs
from tests.integration.packets.transfers import engines

OTHER_PORT = CLIENT_PORT + 1
OPTION, HEADER = "client address option", "PROXY protocol header"


@pytest.fixture
def wired(ground: Ground, service: Target) -> tuple[Target, Binding]:
    made = endpoint(service, TcpProxy.OPEN, ports=(CLIENT_PORT, OTHER_PORT))
    ground.wire(service, made)
    return service, made


@pytest.fixture
def look(ground: Ground, wired: tuple[Target, Binding]) -> Iterator[Callable[[], list[str]]]:
    """Look at what is wired as a process of its own, and say it in lines."""
    looker = LinuxLooker(
        ground.namespaces,
        ground.instance,
        ground.region,
        engines(ground.namespaces, ground.instance, ground.region),
    )
    yield lambda: [f"{each.where}: {each.what}: {each.wanted}, {each.found}" for each in looker.look(wired)]
    looker.close()


def take_off(ground: Ground, name: str) -> None:
    """Take a program off the interface in the client's subnet."""
    index = ground.inside(ground.edge, lambda: socket.if_nametoindex(subnet_interface(NEAR.subnet_id)))
    ground.inside(ground.edge, lambda: Fitting(name, shipped(name), find_hook()).remove([index]))


@pytest.mark.parametrize(("name", "kind"), [("toa", OPTION), ("header", HEADER)])
def test_a_program_that_is_off_an_interface_is_named(
    ground: Ground, look: Callable[[], list[str]], name: str, kind: str
):
    assert look() == []

    take_off(ground, name)

    (said,) = look()
    assert f"packet program ({kind})" in said
    assert all(not each.startswith(f"{name}.") for each in programs(ground, find_hook())), "looking puts nothing back"
    assert ground.sweep() != []
    assert look() == []


@pytest.mark.parametrize(("number", "kind"), [(0, OPTION), (1, HEADER)])
def test_an_entry_that_a_programs_table_has_lost_is_named(
    ground: Ground, look: Callable[[], list[str]], number: int, kind: str
):
    assert look() == []
    listeners = ground.engines[number]._edges[CONSUMER]._fitting.tables["listeners"]
    (key,) = [key for key, _ in listeners.entries() if key[4:6] == CLIENT_PORT.to_bytes(2, "big")]

    listeners.remove(key)

    (said,) = look()
    assert kind in said
    assert f"{ENDPOINT} . {CLIENT_PORT}" in said
    assert ground.sweep() != []
    assert look() == []


def test_subnets_that_nobody_touched_are_not_named(ground: Ground, look: Callable[[], list[str]]):
    take_off(ground, "toa")

    assert not any(FAR.subnet_id in line for line in look())
