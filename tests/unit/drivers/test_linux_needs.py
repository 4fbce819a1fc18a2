"""Every element that the driver puts in belongs to a hop, and only what a connection needs is asked for."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from landbridge.dataplane.explain import Client, Way
from landbridge.dataplane.hops import Step
from landbridge.dataplane.model import Attachment, Binding, GatewayBinding, PortForward, Target
from landbridge.domain.ids import EndpointId, ServiceId, SubnetId, VpcId
from landbridge.domain.resources import TcpProxy
from landbridge.drivers.linux.elements import HUB, Kind, elements, split, subnet_interface
from landbridge.drivers.linux.needs import Need, needs


def attachment(vpc: str, subnet: str) -> Attachment:
    return Attachment(VpcId(vpc), SubnetId(subnet), IPv4Network("10.0.0.0/24"), IPv4Address("10.0.0.1"), mtu=1500)


CLOSE = Binding(
    id=EndpointId("endpoint-1"),
    consumer=attachment("vpc-b", "subnet-b"),
    provider=attachment("vpc-a", "subnet-a"),
    address=IPv4Address("10.0.0.100"),
    transit_address=IPv4Address("198.19.200.1"),
    target_transit_address=IPv4Address("198.19.130.1"),
    forwards=(PortForward(80, 8080), PortForward(443, 8443)),
    marker=7,
    mtu=1400,
    allowed_sources=(IPv4Network("10.0.0.0/25"),),
    barred_sources=(IPv4Network("10.0.0.64/26"),),
    former_targets=(IPv4Address("198.19.130.9"),),
)
TARGET = Target(
    id=ServiceId("service-1"),
    attachment=CLOSE.provider,
    address=IPv4Address("10.0.0.20"),
    transit_address=CLOSE.target_transit_address,
    server_ports=(8080, 8443),
)
GATEWAY = GatewayBinding(
    id=EndpointId("endpoint-2"),
    entries=(attachment("vpc-b", "subnet-b"), attachment("vpc-b", "subnet-c")),
    exit=attachment("vpc-p", "subnet-p"),
    networks=(IPv4Network("100.125.0.0/16"),),
    transit_address=IPv4Address("198.19.200.2"),
    marker=8,
    mtu=1500,
)


def way(binding: Binding, port: int | None = 80) -> Way:
    forward = next((one for one in binding.forwards if one.client_port == port), None)
    return Way(binding, TARGET, forward, None, None)


def steps(found: list[Need]) -> set[Step]:
    return {need.step for need in found}


@pytest.mark.parametrize(
    ("mode", "own"),
    [
        (TcpProxy.CLOSE, {Step.ADMISSION, Step.PORT}),
        (TcpProxy.TOA_OPEN, {Step.ADMISSION, Step.PORT, Step.OPTION}),
        (TcpProxy.OPEN, {Step.ADMISSION, Step.PORT, Step.OPTION}),
        (TcpProxy.PROXY_OPEN, {Step.ADMISSION, Step.PROXY}),
    ],
)
def test_every_mode_has_its_hops(mode: TcpProxy, own: set[Step]):
    found = list(needs(way(replace(CLOSE, tcp_proxy=mode))))

    common = {Step.ADDRESS, Step.WHITELIST, Step.BUDGET, Step.SOURCE, Step.LINK, Step.TARGET, Step.BACKEND}
    assert steps(found) == common | own


@pytest.mark.parametrize("mode", TcpProxy)
def test_nothing_of_another_port_or_of_a_former_place_is_asked_for(mode: TcpProxy):
    asked_for = [need.element for need in needs(way(replace(CLOSE, tcp_proxy=mode)))]

    texts = " ".join(
        f"{element.key} : {element.value}" for element in asked_for if element.kind is not Kind.LINK
    ).split()
    assert {"443", "8443", "198.19.130.9"}.isdisjoint(texts)
    assert "198.19.130.1" in texts


def test_what_a_whitelist_says_depends_on_the_client_and_is_not_among_the_needs():
    kinds = {need.element.kind for need in needs(way(CLOSE))}

    assert kinds.isdisjoint({Kind.ALLOWED, Kind.BARRED})
    assert {element.kind for element in elements(CLOSE)} - kinds == {Kind.ALLOWED, Kind.BARRED}


def test_a_port_that_leads_nowhere_needs_nothing_of_the_backend():
    found = list(needs(way(CLOSE, port=81)))

    assert steps(found).isdisjoint({Step.PORT, Step.TARGET, Step.BACKEND})


def test_what_is_there_for_probes_alone_stops_no_packet():
    found = [need for need in needs(way(CLOSE)) if need.element.vpc_id == HUB]

    assert found
    assert {(need.step, need.stops) for need in found} == {(Step.BACKEND, False)}


def test_the_proxys_way_in_the_hub_is_the_connections_own():
    found = [need for need in needs(way(replace(CLOSE, tcp_proxy=TcpProxy.PROXY_OPEN))) if need.element.vpc_id == HUB]

    assert {need.step for need in found if need.stops} == {Step.SOURCE, Step.LINK, Step.PROXY}
    assert {need.element.kind for need in found if need.step is Step.BACKEND} <= {Kind.ADDRESS, Kind.UPSTREAMS}


def test_without_a_counter_a_label_or_a_limit_packets_pass_and_without_anything_else_they_do_not():
    found = list(needs(way(replace(CLOSE, tcp_proxy=TcpProxy.TOA_OPEN))))

    passing = {need.element.kind for need in found if not need.stops and need.step is not Step.BACKEND}
    assert passing == {
        Kind.ENDPOINTS,
        Kind.TARGETS,
        Kind.RESTRICTED,
        Kind.BUDGETS,
        Kind.SENT,
        Kind.RECEIVED,
        Kind.OPENED,
        Kind.SEGMENTS,
        Kind.OPTION,
    }


def test_a_gateway_endpoint_is_asked_for_from_the_clients_subnet_only():
    client = Client(IPv4Address("10.0.0.10"), VpcId("vpc-b"), SubnetId("subnet-c"))

    found = list(needs(Way(GATEWAY, None, None, client, None)))

    assert steps(found) == {Step.ROUTE_TABLE, Step.ADMISSION, Step.BUDGET, Step.SOURCE, Step.LINK, Step.PUBLIC}
    entries = {split(need.element.key)[0] for need in found if need.element.kind in {Kind.GATEWAYS, Kind.DEPARTURES}}
    assert entries == {subnet_interface(SubnetId("subnet-c"))}


def test_whoever_does_not_name_a_client_asks_for_every_subnet_of_a_gateway_endpoint():
    found = needs(Way(GATEWAY, None, None, None, None))

    assert len([need for need in found if need.element.kind is Kind.GATEWAYS]) == 2
