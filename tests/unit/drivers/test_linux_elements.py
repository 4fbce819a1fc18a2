from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

from landbridge.dataplane.model import Attachment, Binding, PortForward, Target, digest
from landbridge.domain.ids import EndpointId, ServiceId, SubnetId, VpcId
from landbridge.drivers.linux.elements import (
    Element,
    Kind,
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


def test_a_binding_is_a_listener_and_an_accepted_tuple_per_port_and_one_source():
    wanted = elements(BINDING)

    consumer = VpcId("vpc-b")
    assert wanted == {
        Element(VpcId("vpc-a"), Kind.LINK, "vpc-b"),
        Element(consumer, Kind.ROUTE, "198.19.130.1", link_interface(consumer, VpcId("vpc-a"), is_consumer=True)),
        Element(
            VpcId("vpc-a"),
            Kind.ROUTE,
            "198.19.200.1",
            link_interface(VpcId("vpc-a"), consumer, is_consumer=False),
        ),
        Element(consumer, Kind.ADDRESS, "10.0.0.100", subnet_interface(SubnetId("subnet-b"))),
        Element(consumer, Kind.SOURCES, "10.0.0.100", "198.19.200.1"),
        Element(consumer, Kind.MARKS, "10.0.0.100", "4024795656"),
        Element(consumer, Kind.SEGMENTS, "10.0.0.100", "1360"),
        Element(consumer, Kind.LISTENERS, "10.0.0.100 . 80", "198.19.130.1 . 8080"),
        Element(consumer, Kind.LISTENERS, "10.0.0.100 . 443", "198.19.130.1 . 8080"),
        Element(consumer, Kind.ACCEPTED, "4024795656 . 80 . 198.19.130.1 . 8080 . 198.19.200.1"),
        Element(consumer, Kind.ACCEPTED, "4024795656 . 443 . 198.19.130.1 . 8080 . 198.19.200.1"),
        Element(consumer, Kind.ENDPOINTS, "10.0.0.100", f"endpoint-1 {digest(BINDING)}"),
    }


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
    assert [element.kind for element in elements(replace(TARGET, server_ports=()))] == [Kind.TARGETS]


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
