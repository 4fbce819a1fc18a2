"""Subnets that existing bridges carry."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from landbridge.dataplane.bridging import BridgedSubnet, by_subnet, check_edge_address
from landbridge.dataplane.compile import attachment_of
from landbridge.dataplane.model import Attachment, Bridge
from landbridge.domain.errors import OperatorError
from landbridge.domain.resources import Subnet
from tests.examples import CONSUMER_SUBNET, CONSUMER_VPC, PROVIDER_SUBNET

SUBNET = Subnet(CONSUMER_SUBNET, CONSUMER_VPC, "apps", IPv4Network("10.0.0.0/24"), IPv4Address("10.0.0.1"))
BRIDGE = Bridge("br-acme", IPv4Address("10.0.0.5"))
IN_BRIDGE = BridgedSubnet(SUBNET.id, BRIDGE)


def test_a_subnet_without_a_bridge_is_a_segment_of_the_lab_whose_gateway_is_the_edge():
    attachment = attachment_of(SUBNET, by_subnet([replace(IN_BRIDGE, subnet_id=PROVIDER_SUBNET)]))

    assert attachment.bridge is None
    assert attachment.edge_address == SUBNET.gateway


def test_a_subnet_with_a_bridge_has_an_edge_of_its_own_address_and_its_gateway_stays():
    attachment = attachment_of(SUBNET, by_subnet([IN_BRIDGE]))

    assert attachment == Attachment(
        SUBNET.vpc_id,
        SUBNET.id,
        SUBNET.cidr,
        SUBNET.gateway,
        SUBNET.mtu,
        BRIDGE,
    )
    assert attachment.edge_address == BRIDGE.edge_address


@pytest.mark.parametrize(("said", "expected"), [(None, SUBNET.mtu), (1450, 1450)])
def test_the_configurations_mtu_wins_over_the_directorys(said: int | None, expected: int):
    assert attachment_of(SUBNET, by_subnet([replace(IN_BRIDGE, mtu=said)])).mtu == expected


@pytest.mark.parametrize(
    ("address", "message"),
    [
        (SUBNET.cidr.network_address - 1, "write a free one such as"),
        (SUBNET.cidr.network_address, "write a free one such as"),
        (SUBNET.cidr.broadcast_address, "write a free one such as"),
        (SUBNET.gateway, "the edge is not the gateway"),
    ],
)
def test_an_edge_address_that_no_host_could_have_is_refused(address: IPv4Address, message: str):
    with pytest.raises(OperatorError, match=message):
        check_edge_address(SUBNET, replace(IN_BRIDGE, bridge=replace(BRIDGE, edge_address=address)))


def test_a_subnet_of_transit_addresses_cannot_be_attached():
    subnet = replace(SUBNET, cidr=IPv4Network("198.19.128.0/24"), gateway=IPv4Address("198.19.128.1"))

    with pytest.raises(OperatorError, match="overlaps"):
        check_edge_address(subnet, IN_BRIDGE)
