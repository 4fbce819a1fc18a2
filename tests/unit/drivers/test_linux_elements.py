from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

from landbridge.dataplane.model import Attachment, Binding, GatewayBinding, PortForward, Target, digest
from landbridge.domain.ids import EndpointId, ServiceId, SubnetId, VpcId
from landbridge.domain.resources import TcpProxy
from landbridge.drivers.linux.elements import (
    HUB,
    LABELS,
    Element,
    Kind,
    connection_mark,
    digest_in,
    elements,
    link,
    link_interface,
    read_label,
    subnet_interface,
)


def attachment(vpc: str, subnet: str) -> Attachment:
    return Attachment(VpcId(vpc), SubnetId(subnet), IPv4Network("10.0.0.0/24"), IPv4Address("10.0.0.1"), mtu=1500)


BINDING = Binding(
    id=EndpointId("endpoint-1"),
    consumer=attachment("vpc-b", "subnet-b"),
    provider=attachment("vpc-a", "subnet-a"),
    address=IPv4Address("10.0.0.100"),
    transit_address=IPv4Address("198.19.200.1"),
    target_transit_address=IPv4Address("198.19.130.1"),
    forwards=(PortForward(80, 8080), PortForward(443, 8080)),
    marker=7,
    mtu=1400,
)
TARGET = Target(
    id=ServiceId("service-1"),
    attachment=BINDING.provider,
    address=IPv4Address("10.0.0.20"),
    transit_address=IPv4Address("198.19.130.1"),
    server_ports=(8080,),
)


MARK = connection_mark(BINDING.id, "10.0.0.100")


def test_a_binding_is_a_listener_and_an_accepted_tuple_per_port_and_one_source():
    wanted = elements(BINDING)

    provider, consumer = VpcId("vpc-a"), VpcId("vpc-b")
    assert wanted == {
        Element(provider, Kind.LINK, "vpc-b"),
        Element(consumer, Kind.ROUTE, "198.19.130.1", link_interface(consumer, provider, is_consumer=True)),
        Element(provider, Kind.ROUTE, "198.19.200.1", link_interface(provider, consumer, is_consumer=False)),
        Element(consumer, Kind.ADDRESS, "10.0.0.100", subnet_interface(SubnetId("subnet-b"))),
        Element(consumer, Kind.EXITS, MARK, "198.19.200.1"),
        Element(consumer, Kind.MARKS, "10.0.0.100", MARK),
        Element(consumer, Kind.BUDGETS, MARK, "3000"),
        Element(consumer, Kind.SENT, MARK),
        Element(consumer, Kind.RECEIVED, MARK),
        Element(consumer, Kind.OPENED, MARK),
        Element(consumer, Kind.SEGMENTS, MARK, "1360"),
        Element(consumer, Kind.LISTENERS, "10.0.0.100 . 80", "198.19.130.1 . 8080"),
        Element(consumer, Kind.LISTENERS, "10.0.0.100 . 443", "198.19.130.1 . 8080"),
        Element(consumer, Kind.ACCEPTED, f"{MARK} . 80 . 198.19.130.1 . 8080"),
        Element(consumer, Kind.ACCEPTED, f"{MARK} . 443 . 198.19.130.1 . 8080"),
        Element(consumer, Kind.ENDPOINTS, "10.0.0.100", f"endpoint-1 {digest(BINDING)}"),
    }


def test_a_binding_through_the_proxy_ends_at_the_consumers_edge_and_starts_anew_in_the_hub():
    proxied = replace(BINDING, tcp_proxy=TcpProxy.PROXY_OPEN, forwards=(PortForward(80, 8080),))

    wanted = elements(proxied)

    provider, consumer = VpcId("vpc-a"), VpcId("vpc-b")
    assert {element for element in wanted if element.vpc_id in {HUB, provider}} == {
        Element(HUB, Kind.LINK, "vpc-a"),
        Element(HUB, Kind.ROUTE, "198.19.130.1", link_interface(HUB, provider, is_consumer=True)),
        Element(provider, Kind.ROUTE, "198.19.200.1", link_interface(provider, HUB, is_consumer=False)),
        Element(HUB, Kind.ADDRESS, "198.19.200.1", "lo"),
        Element(HUB, Kind.MARKS, "198.19.200.1", MARK),
        Element(HUB, Kind.SEGMENTS, MARK, "1360"),
        Element(HUB, Kind.UPSTREAMS, "198.19.200.1 . 198.19.130.1 . 8080"),
    }
    assert Element(consumer, Kind.TERMINATED, f"{MARK} . 80") in wanted
    end = "endpoint-1 . 7 . 198.19.200.1 . 198.19.130.1 . 8080"
    assert Element(consumer, Kind.PROXY, "10.0.0.100 . 80", end) in wanted
    assert not {element.kind for element in wanted} & {Kind.LISTENERS, Kind.ACCEPTED, Kind.EXITS}


def test_former_places_of_a_backend_are_accepted_but_lead_nobody_there():
    former = replace(BINDING, former_targets=(IPv4Address("198.19.130.9"),))

    added = elements(former) - elements(BINDING)

    assert {element.kind for element in added} == {Kind.ACCEPTED, Kind.ROUTE, Kind.ENDPOINTS}


def test_a_gateway_marks_what_leaves_the_chosen_subnets_for_its_networks():
    exit_ = Attachment(
        VpcId("vpc-p"), SubnetId("subnet-p"), IPv4Network("100.125.0.0/16"), IPv4Address("100.125.0.1"), 1500
    )
    gateway = GatewayBinding(
        EndpointId("endpoint-2"),
        (BINDING.consumer,),
        exit_,
        (IPv4Network("100.125.0.0/16"),),
        IPv4Address("198.19.200.2"),
        8,
        1500,
    )

    wanted = {(element.vpc_id, element.kind, element.key) for element in elements(gateway)}

    mark, entry = connection_mark(gateway.id, "198.19.200.2"), subnet_interface(SubnetId("subnet-b"))
    assert {
        (VpcId("vpc-b"), Kind.GATEWAYS, f"{entry} . 100.125.0.0/16"),
        (VpcId("vpc-b"), Kind.DEPARTURES, f"{entry} . {mark}"),
        (VpcId("vpc-b"), Kind.ROUTE, "100.125.0.0/16"),
        (VpcId("vpc-p"), Kind.PUBLIC, "198.19.200.2 . 100.125.0.0/16"),
        (VpcId("vpc-p"), Kind.ROUTE, "198.19.200.2"),
    } <= wanted


def test_a_changed_port_leaves_the_elements_of_the_others_alone():
    changed = replace(BINDING, forwards=(PortForward(80, 8080), PortForward(444, 8080)))

    differing = elements(BINDING) ^ elements(changed)

    assert {element.kind for element in differing} == {Kind.LISTENERS, Kind.ACCEPTED, Kind.ENDPOINTS}
    assert not any(" . 80 . " in element.key for element in differing)


def test_only_a_binding_with_allowed_sources_is_in_the_whitelist():
    restricted = replace(BINDING, allowed_sources=(IPv4Network("10.0.0.7/32"), IPv4Network("10.1.0.0/16")))

    whitelist = elements(restricted) - elements(BINDING)

    assert {(element.kind, element.key) for element in whitelist if element.kind is not Kind.ENDPOINTS} == {
        (Kind.RESTRICTED, "10.0.0.100"),
        (Kind.ALLOWED, "10.0.0.100 . 10.0.0.7"),
        (Kind.ALLOWED, "10.0.0.100 . 10.1.0.0/16"),
    }


def test_an_empty_whitelist_allows_nobody():
    kinds = {element.kind for element in elements(replace(BINDING, allowed_sources=()))}

    assert Kind.RESTRICTED in kinds
    assert Kind.ALLOWED not in kinds


def test_two_services_on_one_backend_port_share_all_but_their_labels():
    other = replace(TARGET, id=ServiceId("service-2"))

    assert {element.kind for element in elements(TARGET) ^ elements(other)} == {Kind.TARGETS}


def test_a_target_without_ports_still_has_a_label():
    labels = [element for element in elements(replace(TARGET, server_ports=())) if element.kind in LABELS]

    assert [element.kind for element in labels] == [Kind.TARGETS]


def test_the_label_carries_the_digest():
    assert digest_in(elements(BINDING)) == digest(BINDING)
    assert digest_in(elements(TARGET)) == digest(TARGET)


def test_a_foreign_comment_is_no_label():
    assert read_label("comment") is None


def test_names_of_interfaces_fit_the_kernel_and_the_rules():
    vpc, peer = VpcId("0b2b7d8c-9a63-4b52-9e57-0f7a0a3a2f01"), VpcId("5a5e3a3c-7a0e-4f0e-8c3a-6a8a0b9f1d02")
    names = {
        link_interface(vpc, peer, is_consumer=True),
        link_interface(vpc, vpc, is_consumer=True),
        link_interface(vpc, vpc, is_consumer=False),
    }

    assert len(names) == 3
    assert all(name.startswith("link-") and len(name) <= 15 for name in names)
    assert len(subnet_interface(SubnetId("subnet-1"))) == 15


def test_both_directions_between_two_vpcs_share_one_link():
    one, other = VpcId("vpc-a"), VpcId("vpc-b")

    assert link(one, other) == link(other, one)
    assert link_interface(one, other, is_consumer=True) == link_interface(one, other, is_consumer=False)


def test_a_later_endpoint_with_the_same_addresses_shares_no_accepted_tuple():
    later = replace(BINDING, id=EndpointId("endpoint-2"))

    shared = elements(BINDING) & elements(later)

    assert Kind.ACCEPTED not in {element.kind for element in shared}
