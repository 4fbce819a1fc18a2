"""Describe the bodies of the VPC API's answers for the OpenAPI document.

Nothing is built from these models: `network_presentation` writes the answers, and tests hold the two together.
"""

from typing import Any

from pydantic import Field

from landbridge.api.answer_fields import Absent, Address, Answer, Code, Id, Moment, ProjectId
from landbridge.api.operations import ErrorDetail


class NetworkErrorAnswer(Answer):
    """An error of the VPC API: its own flat pair beside the union of contract 1.7."""

    code: Code
    message: str
    error: ErrorDetail
    error_code: Code
    error_msg: str


class VpcRoute(Answer):
    """A custom route, as a VPC shows it."""

    destination: str
    nexthop: str


class VpcFacts(Answer):
    """A VPC."""

    id: Id
    name: str
    description: str
    cidr: str
    status: str
    tenant_id: ProjectId
    enterprise_project_id: str
    routes: list[VpcRoute]
    enable_network_address_usage_metrics: bool
    created_at: Moment | Absent = None
    updated_at: Moment | Absent = None


class VpcAnswer(Answer):
    """One VPC."""

    vpc: VpcFacts


class VpcList(Answer):
    """One page of VPCs."""

    vpcs: list[VpcFacts]


class SubnetFacts(Answer):
    """A subnet."""

    id: Id
    name: str
    description: str
    cidr: str
    gateway_ip: Address
    ipv6_enable: bool
    cidr_v6: str
    gateway_ip_v6: str
    dhcp_enable: bool
    primary_dns: str
    secondary_dns: str
    dnsList: list[str]  # noqa: N815 — as it is on the wire
    availability_zone: str
    vpc_id: Id
    status: str
    neutron_network_id: Id
    neutron_subnet_id: Id
    neutron_subnet_id_v6: str
    extra_dhcp_opts: list[Any]
    scope: str
    tenant_id: ProjectId
    enable_network_address_usage_metrics: bool
    created_at: Moment | Absent = None
    updated_at: Moment | Absent = None


class SubnetAnswer(Answer):
    """One subnet."""

    subnet: SubnetFacts


class SubnetList(Answer):
    """One page of subnets."""

    subnets: list[SubnetFacts]


class ChangedSubnetFacts(Answer):
    """What a change of a subnet answers."""

    id: Id
    status: str


class ChangedSubnet(Answer):
    """A subnet that was changed."""

    subnet: ChangedSubnetFacts


class PortAddress(Answer):
    """The address of a port."""

    ip_address: Address
    subnet_id: Id


class PortPair(Answer):
    """An address that a port may use beside its own."""

    ip_address: str
    mac_address: str


class PortFacts(Answer):
    """A port."""

    id: Id
    name: str
    network_id: Id
    admin_state_up: bool
    mac_address: str
    fixed_ips: list[PortAddress]
    device_id: str
    device_owner: str
    tenant_id: ProjectId
    status: str
    security_groups: list[str]
    allowed_address_pairs: list[PortPair]
    extra_dhcp_opts: list[Any]
    vnic_type: str = Field(alias="binding:vnic_type")
    vif_details: dict[str, Any] = Field(alias="binding:vif_details")
    profile: dict[str, Any] = Field(alias="binding:profile")
    dns_assignment: list[Any]
    dns_name: str
    instance_id: str
    instance_type: str
    port_security_enabled: bool
    zone_id: str
    enable_efi: bool
    ipv6_bandwidth_id: str


class PortAnswer(Answer):
    """One port."""

    port: PortFacts


class PortList(Answer):
    """One page of ports."""

    ports: list[PortFacts]


class RouteFacts(Answer):
    """A custom route."""

    type: str
    destination: str
    nexthop: str
    description: str


class SubnetReference(Answer):
    """A subnet that has the table."""

    id: Id


class ListedRouteTable(Answer):
    """A route table, as lists show it."""

    id: Id
    name: str
    description: str
    default: bool
    vpc_id: Id
    tenant_id: ProjectId
    subnets: list[SubnetReference]
    created_at: Moment | Absent = None
    updated_at: Moment | Absent = None


class RouteTableFacts(ListedRouteTable):
    """A route table with its custom routes."""

    routes: list[RouteFacts]


class RouteTableAnswer(Answer):
    """One route table."""

    routetable: RouteTableFacts


class RouteTableList(Answer):
    """One page of route tables."""

    routetables: list[ListedRouteTable]
