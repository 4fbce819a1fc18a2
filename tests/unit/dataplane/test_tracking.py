"""When tracked connections leave no room for another endpoint, whom that concerns, and what of it is worth telling."""

from dataclasses import replace
from datetime import timedelta
from ipaddress import IPv4Network

import pytest

from landbridge.dataplane.tracking import HUB, FullEdges, has_room, is_news, nearly_full, tracking_edges
from landbridge.domain.ids import SubnetId, VpcId
from landbridge.domain.resources import TcpProxy, WayOut
from tests.examples import NOW, a_service

SECOND = timedelta(seconds=1)
VPC, OTHER = VpcId("a-vpc"), VpcId("b-vpc")


def full(*edges: str, age: timedelta = 0 * SECOND) -> FullEdges:
    return FullEdges(frozenset(edges), NOW - age)


@pytest.mark.parametrize(
    ("tracked", "limit", "is_full"),
    [(0, 65_536, False), (58_982, 65_536, False), (58_983, 65_536, True), (89, 100, False), (90, 100, True)],
)
def test_from_ninety_per_cent_on_an_edge_is_nearly_full(tracked: int, limit: int, is_full: bool):
    assert nearly_full({VPC: tracked, OTHER: 0}, limit) == ({VPC} if is_full else set())


def test_an_edge_that_was_nearly_full_is_so_until_it_is_below_eighty_five_per_cent():
    assert [bool(nearly_full({VPC: tracked}, 100, {VPC})) for tracked in (89, 85, 84)] == [True, True, False]


def test_an_edge_that_is_not_there_any_more_is_not_full():
    assert nearly_full({OTHER: 1}, 100, {VPC}) == set()


def test_where_nobody_has_looked_there_is_room():
    assert has_room(None, {VPC}, NOW)


def test_a_full_edge_concerns_its_own_vpc_alone():
    assert not has_room(full(VPC), tracking_edges(VPC, a_service()), NOW)
    assert has_room(full(VPC), tracking_edges(OTHER, a_service()), NOW)


def test_a_full_edge_of_a_provider_stops_none_of_its_consumers_but_that_of_a_public_network_does():
    service = a_service()
    gateway = replace(service, backend=WayOut(SubnetId("public"), (IPv4Network("100.125.0.0/16"),)), ports=())

    assert has_room(full(service.vpc_id), tracking_edges(VPC, service), NOW)
    assert not has_room(full(service.vpc_id), tracking_edges(VPC, gateway), NOW)


@pytest.mark.parametrize("mode", TcpProxy)
def test_a_full_hub_concerns_those_whose_connections_the_proxy_carries(mode: TcpProxy):
    is_proxied = mode is TcpProxy.PROXY_OPEN

    assert has_room(full(HUB), tracking_edges(VPC, replace(a_service(), tcp_proxy=mode)), NOW) is not is_proxied


@pytest.mark.parametrize(("age", "counts"), [(0, True), (60, True), (61, False), (-60, True), (-61, False)])
def test_a_look_counts_for_a_minute_whichever_way_a_clock_was_set(age: int, counts: bool):
    assert has_room(full(VPC, age=age * SECOND), {VPC}, NOW) is not counts


def test_the_first_look_is_news():
    assert is_news(full(), None)


def test_another_full_edge_is_news_and_one_with_room_again_too():
    assert is_news(full(VPC), full())
    assert is_news(full(VPC, OTHER), full(VPC))
    assert is_news(full(), full(VPC))


def test_only_full_edges_are_told_again_and_that_before_the_look_is_too_long_ago():
    for edges, is_repeated in (((), False), ((VPC,), True)):
        assert not is_news(full(*edges), full(*edges, age=10 * SECOND))
        assert is_news(full(*edges), full(*edges, age=20 * SECOND)) is is_repeated
        assert is_news(full(*edges), full(*edges, age=-3600 * SECOND)) is is_repeated, "the clock was set back"
