"""Ordinary resources for tests; a test names only what it is about."""

from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from landbridge.dataplane.model import Attachment
from landbridge.domain.ids import (
    DomainId,
    EndpointId,
    NicId,
    PoolId,
    ProjectId,
    ServiceId,
    SubnetId,
    VpcId,
)
from landbridge.domain.resources import (
    Admission,
    Backend,
    Endpoint,
    EndpointService,
    PortMapping,
    ServerType,
    TcpProxy,
)

NOW = datetime(2026, 11, 22, 17, 0, 0, tzinfo=UTC)
PROVIDER_VPC = VpcId("a0000000-0000-4000-8000-000000000001")
CONSUMER_VPC = VpcId("b0000000-0000-4000-8000-000000000001")
PROVIDER_SUBNET = SubnetId("a0000000-0000-4000-8000-000000000002")
CONSUMER_SUBNET = SubnetId("b0000000-0000-4000-8000-000000000002")
POOL = PoolId("c0000000-0000-4000-8000-000000000001")

ATTACHMENTS = {
    PROVIDER_SUBNET: Attachment(
        PROVIDER_VPC, PROVIDER_SUBNET, IPv4Network("10.0.0.0/24"), IPv4Address("10.0.0.1"), 1500
    ),
    CONSUMER_SUBNET: Attachment(
        CONSUMER_VPC, CONSUMER_SUBNET, IPv4Network("10.0.0.0/24"), IPv4Address("10.0.0.1"), 1500
    ),
}


def a_service(**changes: Any) -> EndpointService:
    """Return an endpoint service on 10.0.0.20, client port 8080 to server port 80."""
    facts: dict[str, Any] = {
        "id": ServiceId("5b6e0000-0000-4000-8000-000000000001"),
        "project_id": ProjectId("0d5c0000000000000000000000000001"),
        "domain_id": DomainId("d1000000000000000000000000000001"),
        "pool_id": POOL,
        "name": "lab-1.web.5b6e0000-0000-4000-8000-000000000001",
        "vpc_id": PROVIDER_VPC,
        "backend": Backend(
            ServerType.VM,
            NicId("c1d20000-0000-4000-8000-000000000001"),
            None,
            PROVIDER_SUBNET,
            IPv4Address("10.0.0.20"),
            IPv4Address("198.19.128.1"),
        ),
        "ports": (PortMapping(8080, 80),),
        "approval_enabled": True,
        "tcp_proxy": TcpProxy.CLOSE,
        "description": "",
        "tags": (),
        "created_at": NOW,
        "updated_at": NOW,
    }
    return EndpointService(**(facts | changes))


def an_endpoint(**changes: Any) -> Endpoint:
    """Return an endpoint at 10.0.0.100 of the service above."""
    service = a_service()
    facts: dict[str, Any] = {
        "id": EndpointId("e0100000-0000-4000-8000-000000000001"),
        "project_id": ProjectId("9c000000000000000000000000000001"),
        "domain_id": DomainId("d2000000000000000000000000000001"),
        "pool_id": POOL,
        "service_id": service.id,
        "service_name": service.name,
        "vpc_id": CONSUMER_VPC,
        "subnet_id": CONSUMER_SUBNET,
        "address": IPv4Address("10.0.0.100"),
        "transit_address": IPv4Address("198.19.130.1"),
        "marker": 2**24 + 1,
        "admission": Admission.PENDING,
        "enable_dns": False,
        "whitelist": (),
        "enable_whitelist": False,
        "description": "",
        "connection_description": "",
        "tags": (),
        "created_at": NOW,
        "updated_at": NOW,
    }
    return Endpoint(**(facts | changes))
