"""Which endpoints may be changed."""

from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv4Network

import pytest

from landbridge.control.endpoint_changes import check_may_be_changed
from landbridge.domain.errors import EndpointCreating, EndpointDeleting, EndpointFailed
from landbridge.domain.ids import DomainId, EndpointId, PoolId, ProjectId, ServiceId, SubnetId, VpcId
from landbridge.domain.resources import Admission, Endpoint, Failure

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ENDPOINT = Endpoint(
    id=EndpointId("e"),
    project_id=ProjectId("p"),
    domain_id=DomainId("d"),
    pool_id=PoolId("pool"),
    service_id=ServiceId("s"),
    service_name="lab-1.s",
    vpc_id=VpcId("v"),
    subnet_id=SubnetId("n"),
    address=IPv4Address("10.0.0.100"),
    transit_address=IPv4Address("198.19.128.1"),
    marker=2**24 + 1,
    admission=Admission.ACCEPTED,
    enable_dns=False,
    whitelist=(IPv4Network("10.0.0.0/24"),),
    enable_whitelist=True,
    description="",
    connection_description="",
    tags=(),
    created_at=NOON,
    updated_at=NOON,
    generation=3,
    observed_generation=3,
    accepted_generation=2,
)


@pytest.mark.parametrize(
    ("endpoint", "error"),
    [
        (replace(ENDPOINT, observed_generation=1), EndpointCreating),
        (replace(ENDPOINT, delete_requested_at=NOON), EndpointDeleting),
        (replace(ENDPOINT, last_error=Failure("data-plane-failure", "broken")), EndpointFailed),
    ],
)
def test_an_endpoint_between_two_states_or_broken_cannot_be_changed(endpoint: Endpoint, error: type[Exception]):
    with pytest.raises(error, match="endpoint e"):
        check_may_be_changed(endpoint)

    for admission in Admission:
        check_may_be_changed(replace(ENDPOINT, admission=admission))
