"""Lay out an estate of many VPCs and endpoints, and put its services and endpoints into a store.

Pure but for `fill`. An estate of N endpoints has 100 of them in each consumer VPC, and one provider VPC for nine
consumer VPCs, with ten services on five NICs; each consumer VPC is joined to two provider VPCs. A service has three
ports, and one endpoint in ten a whitelist of five networks. All VPCs have the same address range.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv4Network
from typing import Any
from uuid import UUID

from landbridge.control.protocols import Store, WriteTransaction
from landbridge.domain.ids import DomainId, EndpointId, NicId, PoolId, ProjectId, ServiceId, SubnetId, VpcId
from landbridge.domain.resources import (
    Admission,
    Backend,
    Endpoint,
    EndpointService,
    PortMapping,
    ServerType,
    Subnet,
    TcpProxy,
)

ENDPOINTS_PER_VPC = 100
CONSUMERS_PER_PROVIDER = 9
PROVIDERS_PER_CONSUMER = 2
SERVICES_PER_PROVIDER = 10
NICS_PER_PROVIDER = 5
PORTS_PER_SERVICE = 3
ENDPOINTS_PER_WHITELIST = 10
CLIENT_VPCS = 20

CIDR, SUBNET = "10.0.0.0/16", "10.0.0.0/22"
CLIENT_ADDRESS = IPv4Address("10.0.0.10")
FIRST_NIC_ADDRESS = IPv4Address("10.0.0.20")
FIRST_CLIENT_PORT, FIRST_SERVER_PORT = 80, 9000
WHITELIST = (CLIENT_ADDRESS, *(IPv4Address("10.0.3.1") + 2 * number for number in range(4)))
"""The client, and four others."""

_MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
_BATCH = 500


@dataclass(frozen=True, slots=True)
class Estate:
    """How many there are of everything."""

    endpoints: int

    @property
    def consumers(self) -> int:
        """VPCs that have endpoints; at least one, also where there are none, so that there is a client."""
        return max(1, -(-self.endpoints // ENDPOINTS_PER_VPC))

    @property
    def providers(self) -> int:
        """VPCs that have services; at least as many as a consumer is joined to."""
        return max(PROVIDERS_PER_CONSUMER, -(-self.consumers // CONSUMERS_PER_PROVIDER))

    @property
    def clients(self) -> int:
        """Consumer VPCs that have a client, spread evenly."""
        return min(CLIENT_VPCS, self.consumers)

    def client_vpcs(self) -> Sequence[int]:
        """Return the consumer VPCs that have a client."""
        return [number * self.consumers // self.clients for number in range(self.clients)]

    def service_of(self, endpoint: int) -> tuple[int, int]:
        """Return the provider VPC and the service there to which an endpoint leads: both of a VPC's in turns."""
        consumer, place = divmod(endpoint, ENDPOINTS_PER_VPC)
        provider = (consumer + place % PROVIDERS_PER_CONSUMER) % self.providers
        return provider, place // PROVIDERS_PER_CONSUMER % SERVICES_PER_PROVIDER


def lab(estate: Estate, region: str) -> str:
    """Return the lab file of an estate's networks: a host for each NIC, and clients in some consumer VPCs."""
    clients = frozenset(estate.client_vpcs())
    vpcs = [
        _vpc(f"consumer-{number}", {f"client-{number}": CLIENT_ADDRESS} if number in clients else {})
        for number in range(estate.consumers)
    ]
    vpcs += [
        _vpc(
            f"provider-{number}",
            {nic_name(number, nic): FIRST_NIC_ADDRESS + nic for nic in range(NICS_PER_PROVIDER)},
        )
        for number in range(estate.providers)
    ]
    head = f"""\
region: {region}
projects:
  - name: estate
    users: [{{name: estate-admin, password: estate-password}}]
    quotas: {{endpoint_service: 100000, endpoint: 1000000}}
vpcs:
"""
    return head + "".join(vpcs)


def nic_name(provider: int, nic: int) -> str:
    """Return the name of the host that has a NIC."""
    return f"backend-{provider}-{nic}"


def _vpc(name: str, hosts: Mapping[str, IPv4Address]) -> str:
    listed = ", ".join(f"{{name: {host}, ip: {address}}}" for host, address in hosts.items())
    subnet = f"{{name: apps, cidr: {SUBNET}, hosts: [{listed}]}}"
    return f"  - {{name: {name}, project: estate, cidr: {CIDR}, subnets: [{subnet}]}}\n"


def services(estate: Estate, ids: Any, pools: Sequence[PoolId]) -> list[EndpointService]:
    """Return the services, whose transit addresses are still to be claimed; `ids` is what `lab show` says."""
    project = ids["projects"]["estate"]
    found: list[EndpointService] = []
    for provider in range(estate.providers):
        vpc, subnet = f"provider-{provider}", f"provider-{provider}/apps"
        for number in range(SERVICES_PER_PROVIDER):
            nic = number % NICS_PER_PROVIDER
            first_port = FIRST_SERVER_PORT + number // NICS_PER_PROVIDER * PORTS_PER_SERVICE
            id_ = str(UUID(int=(0xA << 124) + provider * SERVICES_PER_PROVIDER + number, version=4))
            backend = Backend(
                server_type=ServerType.VM,
                nic_id=NicId(ids["hosts"][nic_name(provider, nic)]["port_id"]),
                vip_nic_id=None,
                subnet_id=SubnetId(ids["subnets"][subnet]["subnet_id"]),
                address=FIRST_NIC_ADDRESS + nic,
                transit_address=IPv4Address(0),
            )
            ports = tuple(
                PortMapping(FIRST_CLIENT_PORT + index, first_port + index) for index in range(PORTS_PER_SERVICE)
            )
            found.append(
                EndpointService(
                    id=ServiceId(id_),
                    project_id=ProjectId(project["project_id"]),
                    domain_id=DomainId(project["domain_id"]),
                    pool_id=pools[provider % len(pools)],
                    name=f"estate.{id_}",
                    vpc_id=VpcId(ids["vpcs"][vpc]["vpc_id"]),
                    backend=backend,
                    ports=ports,
                    approval_enabled=False,
                    tcp_proxy=TcpProxy.CLOSE,
                    description="",
                    tags=(),
                    created_at=_MOMENT,
                    updated_at=_MOMENT,
                    observed_generation=1,
                )
            )
    return found


async def fill(store: Store, estate: Estate, ids: Any, pools: Sequence[PoolId]) -> Sequence[Endpoint]:
    """Store the services, and accepted endpoints that the data plane has carried before; return the endpoints.

    Each takes its addresses as it would through the API, so more can be made through it afterwards.
    """
    published: list[EndpointService] = []
    made: list[Endpoint] = []

    def publish(tx: WriteTransaction) -> None:
        for service in services(estate, ids, pools):
            assert isinstance(service.backend, Backend)
            transit = tx.claim_target_address(service.pool_id, service.vpc_id, service.backend.address)
            whole = replace(service, backend=replace(service.backend, transit_address=transit))
            tx.add_service(whole)
            tx.claim_server_ports(whole)
            published.append(whole)

    def connect(tx: WriteTransaction, numbers: range) -> None:
        for number in numbers:
            provider, place = estate.service_of(number)
            made.append(_connected(tx, estate, ids, published[provider * SERVICES_PER_PROVIDER + place], number))
            tx.add_endpoint(made[-1])

    await store.write(publish)
    for first in range(0, estate.endpoints, _BATCH):
        numbers = range(first, min(first + _BATCH, estate.endpoints))
        await store.write(lambda tx, numbers=numbers: connect(tx, numbers))
    return made


def _connected(tx: WriteTransaction, estate: Estate, ids: Any, service: EndpointService, number: int) -> Endpoint:
    vpc = f"consumer-{number // ENDPOINTS_PER_VPC}"
    subnet_id = SubnetId(ids["subnets"][f"{vpc}/apps"]["subnet_id"])
    subnet = tx.subnet(subnet_id)
    assert isinstance(subnet, Subnet)
    id_ = EndpointId(str(UUID(int=(0xB << 124) + number, version=4)))
    is_restricted = number % ENDPOINTS_PER_WHITELIST == 0
    return Endpoint(
        id=id_,
        project_id=service.project_id,
        domain_id=service.domain_id,
        pool_id=service.pool_id,
        service_id=service.id,
        service_name=service.name,
        vpc_id=subnet.vpc_id,
        subnet_id=subnet_id,
        address=tx.claim_endpoint_address(id_, subnet, None),
        transit_address=tx.claim_transit_address(service.pool_id, id_),
        marker=tx.claim_marker(),
        admission=Admission.ACCEPTED,
        enable_dns=False,
        whitelist=tuple(IPv4Network(address) for address in WHITELIST) if is_restricted else (),
        enable_whitelist=is_restricted,
        description="",
        connection_description="",
        tags=(),
        created_at=_MOMENT,
        updated_at=_MOMENT,
        observed_generation=1,
        accepted_generation=1,
    )
