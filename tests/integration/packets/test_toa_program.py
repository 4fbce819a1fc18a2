"""The program outlives its loader, is missed when it is gone, and goes with its last endpoint."""

import os
import signal
import socket
from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from landbridge.dataplane.model import Binding, Target
from landbridge.domain.ids import VpcId
from landbridge.drivers.linux.elements import Element, Kind, join, subnet_interface
from landbridge.drivers.linux.options import OptionEngine
from landbridge.drivers.toa.fitting import Fitting
from landbridge.drivers.toa.hooks import Clsact, Hook, Tcx, find_hook
from landbridge.drivers.toa.objects import shipped
from tests.integration.packets.ground import (
    CLIENT,
    CLIENT_PORT,
    CONSUMER,
    ENDPOINT,
    FAR,
    NEAR,
    Ground,
    attachment,
    endpoint,
    programs,
    saved_syn,
    target,
)
from tests.integration.packets.tcp_packets import (
    named_client,
)

ELSEWHERE = attachment(CONSUMER, "elsewhere", "10.0.2.0/24")


def engine_with(hook: Hook | None = None):
    return lambda namespaces, instance, region: [OptionEngine(namespaces, instance, region, hook)]


@pytest.fixture
def wired(ground: Ground, service: Target) -> Binding:
    made = endpoint(service)
    ground.wire(service, made)
    return made


def carried(ground: Ground) -> set[str]:
    edges = dict(ground.driver._edges.all())
    return {element.key for element in ground.engines[0].read(edges)}


def test_the_program_outlives_its_loader_and_is_adopted(ground: Ground, service: Target):
    made = endpoint(service)
    # A process that wires, and is killed before it could tidy anything up.
    loader = os.fork()
    if loader == 0:
        try:
            ground.open_driver()
            ground.wire(service, made)
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(loader, 0)
    before = programs(ground, find_hook())

    ground.open_driver()
    ground._wired = [service, made]
    repaired = ground.sweep()

    assert before != []
    assert repaired == []
    assert programs(ground, find_hook()) == before
    listening = ground.listen()
    client = ground.connect()
    assert named_client(saved_syn(ground.accept(listening)).options) == (CLIENT, client.getsockname()[1])


def test_a_program_that_somebody_took_off_is_missed_and_put_back(ground: Ground, wired: Binding):
    hook, index = find_hook(), ground.inside(ground.edge, lambda: socket.if_nametoindex(interface()))
    ground.inside(ground.edge, lambda: Fitting("toa", shipped("toa"), hook).remove([index]))
    assert carried(ground) == set()

    assert wired in ground.sweep()

    assert carried(ground) == {join(ENDPOINT, CLIENT_PORT)}
    assert len(programs(ground, hook)) == 1


def interface() -> str:
    return subnet_interface(NEAR.subnet_id)


def test_a_subnet_that_comes_later_gets_the_program(ground: Ground, wired: Binding):
    host = IPv4Address("10.0.2.10")
    ground.add_subnet(ELSEWHERE, "elsewhere", host)
    try:
        assert carried(ground) == set()
        assert wired in ground.sweep()
        listening = ground.listen()

        client = ground.connect(host="elsewhere")

        assert named_client(saved_syn(ground.accept(listening)).options) == (host, client.getsockname()[1])
    finally:
        ground.remove_subnet(ELSEWHERE, "elsewhere", host)


def test_an_older_program_is_replaced_where_it_is_and_its_entries_are_kept(ground: Ground, wired: Binding):
    hook, current = find_hook(), programs(ground, find_hook())
    older = replace(shipped("toa"), source_digest="0" * 64)
    interfaces = ground.inside(
        ground.edge, lambda: [socket.if_nametoindex(subnet_interface(each.subnet_id)) for each in (NEAR, FAR)]
    )
    ground.inside(ground.edge, lambda: Fitting("toa", older, hook).fit(interfaces))
    assert programs(ground, hook) != current

    ground.open_driver()
    ground.sweep()

    assert programs(ground, hook) == current
    assert carried(ground) == {join(ENDPOINT, CLIENT_PORT)}


def test_the_program_goes_with_its_last_endpoint(ground: Ground, wired: Binding, service: Target):
    second = endpoint(service, address=IPv4Address("10.0.0.110"), source=IPv4Address("198.19.128.9"), ports=(1, 2))
    ground.wire(second)

    ground.unwire(second)
    assert carried(ground) == {join(ENDPOINT, CLIENT_PORT)}
    ground.unwire(wired)

    assert programs(ground, find_hook()) == []


def test_another_programs_place_is_respected(ground: Ground, service: Target):
    foreign = Fitting("foreign", shipped("toa"), find_hook())
    index = ground.inside(ground.edge, lambda: socket.if_nametoindex(interface()))
    ground.inside(ground.edge, lambda: foreign.fit([index]))
    try:
        made = endpoint(service)
        ground.wire(service, made)
        assert len(programs(ground, find_hook())) == 2

        ground.unwire(made)

        assert [name.split(".")[0] for name in programs(ground, find_hook())] == ["foreign"]
    finally:
        ground.inside(ground.edge, lambda: foreign.remove([index]))


@pytest.mark.parametrize("hook", [Tcx(), Clsact()], ids=["tcx", "clsact"])
def test_options_are_written_before_headers_are_whichever_program_came_first(
    ground: Ground, wired: Binding, hook: Hook
):
    index = ground.inside(ground.edge, lambda: socket.if_nametoindex(interface()))
    header = Fitting("header", shipped("header"), hook)
    option = Fitting("late", shipped("toa"), hook, is_first=True)
    try:
        ground.inside(ground.edge, lambda: (header.fit([index]), option.fit([index])))

        names = [name.partition(".")[0] for name in programs(ground, hook)]
        assert names.index("late") < names.index("header")
    finally:
        ground.inside(ground.edge, lambda: (header.remove([index]), option.remove([index])))


def test_a_bad_element_fails_alone(ground: Ground, wired: Binding):
    good, bad = (
        Element(CONSUMER, Kind.OPTION, join("10.0.0.120", port), value) for port, value in ((1, "1500"), (2, "many"))
    )

    failures = ground.engines[0].change([], [good, bad])

    assert list(failures) == [bad]
    assert good.key in carried(ground)
    ground.engines[0].change([good], [])


def test_an_edge_that_is_not_there_refuses_additions_and_forgets_removals(ground: Ground):
    old, new = (Element(VpcId("nowhere"), Kind.OPTION, join(ENDPOINT, port), "1500") for port in (1, 2))

    failures = ground.engines[0].change([old], [new])

    assert failures == {new: "the edge of VPC nowhere is away"}


@pytest.mark.parametrize("hook", [Tcx(), Clsact()], ids=["tcx", "clsact"])
def test_both_ways_to_put_programs_on_interfaces_carry_survive_and_go(hook: Hook):
    if isinstance(find_hook(), Clsact) and isinstance(hook, Tcx):
        pytest.skip("this kernel has no TCX (Linux 6.6)")
    ground = Ground(engine_with(hook))
    try:
        service = target()
        made = endpoint(service)
        ground.wire(service, made)
        listening = ground.listen()
        client = ground.connect()
        assert named_client(saved_syn(ground.accept(listening)).options) == (CLIENT, client.getsockname()[1])

        ground.open_driver()

        assert ground.sweep() == []
        assert len(programs(ground, hook)) == 1
        ground.unwire(made)
        assert programs(ground, hook) == []
    finally:
        ground.close()
