"""The edges' addresses in attached subnets are in one ledger with those of endpoints and NICs."""

from collections.abc import Iterator
from datetime import datetime
from ipaddress import IPv4Address, IPv4Network

import pytest
from sqlalchemy import create_engine

from landbridge.domain.errors import AddressTaken
from landbridge.domain.ids import EndpointId, NicId, SubnetId, VpcId
from landbridge.domain.resources import Subnet
from landbridge.store.tables import metadata
from landbridge.store.writing import Writing
from tests.examples import NOW, POOL

SUBNETS = [
    Subnet(SubnetId(name), VpcId("vpc-1"), name, IPv4Network("10.0.0.0/24"), IPv4Address("10.0.0.1"))
    for name in ("subnet-1", "subnet-2")
]
CONSUMER_SUBNET, PROVIDER_SUBNET = SUBNETS
EDGE, OTHER = IPv4Address("10.0.0.2"), IPv4Address("10.0.0.3")


class StoppedClock:
    def now(self) -> datetime:
        return NOW


@pytest.fixture
def tx() -> Iterator[Writing]:
    engine = create_engine("sqlite://")
    metadata.create_all(engine)
    with engine.connect() as connection:
        yield Writing(connection, StoppedClock())
    engine.dispose()


def chosen(tx: Writing, number: int) -> IPv4Address:
    return tx.claim_endpoint_address(EndpointId(f"endpoint-{number}"), CONSUMER_SUBNET, None)


def test_nobody_is_given_the_edges_address(tx: Writing):
    tx.claim_edge_addresses(POOL, {CONSUMER_SUBNET.id: EDGE})

    assert EDGE not in [chosen(tx, number) for number in range(5)]
    with pytest.raises(AddressTaken):
        tx.claim_endpoint_address(EndpointId("endpoint-9"), CONSUMER_SUBNET, EDGE)
    with pytest.raises(AddressTaken):
        tx.claim_nic_address(NicId("nic-1"), CONSUMER_SUBNET, EDGE)


def test_an_address_that_somebody_has_is_refused_and_the_message_names_who(tx: Writing):
    tx.claim_endpoint_address(EndpointId("endpoint-1"), CONSUMER_SUBNET, EDGE)

    with pytest.raises(AddressTaken, match="endpoint endpoint-1: choose another address for the edge"):
        tx.claim_edge_addresses(POOL, {CONSUMER_SUBNET.id: EDGE})


def test_saying_the_same_again_is_no_error_and_what_is_not_said_any_more_is_free(tx: Writing):
    both = {CONSUMER_SUBNET.id: EDGE, PROVIDER_SUBNET.id: EDGE}
    tx.claim_edge_addresses(POOL, both)
    tx.claim_edge_addresses(POOL, both)

    tx.claim_edge_addresses(POOL, {CONSUMER_SUBNET.id: OTHER})

    for subnet in (CONSUMER_SUBNET, PROVIDER_SUBNET):
        owner = EndpointId(f"endpoint in {subnet.id}")
        assert tx.claim_endpoint_address(owner, subnet, EDGE) == EDGE


def test_an_edge_may_move_to_an_address_that_another_one_gives_up(tx: Writing):
    tx.claim_edge_addresses(POOL, {CONSUMER_SUBNET.id: EDGE})
    tx.claim_edge_addresses(POOL, {})

    tx.claim_nic_address(NicId("nic-1"), CONSUMER_SUBNET, EDGE)
    tx.claim_edge_addresses(POOL, {CONSUMER_SUBNET.id: OTHER, SubnetId("unknown"): EDGE})

    with pytest.raises(AddressTaken):
        tx.claim_nic_address(NicId("nic-2"), CONSUMER_SUBNET, OTHER)
