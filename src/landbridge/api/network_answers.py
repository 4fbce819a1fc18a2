"""Describe the bodies of the VPC API's answers for the OpenAPI document.

Nothing is built from these models: `network_presentation` writes the answers, and tests hold the two together.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from landbridge.api.operations import ErrorDetail


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class NetworkErrorAnswer(BaseModel):
    """An error of the VPC API: its own flat pair beside the union of contract 1.7."""

    code: str
    message: str
    error: ErrorDetail
    error_code: str
    error_msg: str


class VpcRoute(_Answer):
    """A custom route, as a VPC shows it."""

    destination: str
    nexthop: str


class VpcFacts(_Answer):
    """A VPC."""

    id: str
    name: str
    description: str
    cidr: str
    status: str
    tenant_id: str
    enterprise_project_id: str
    routes: list[VpcRoute]
    enable_network_address_usage_metrics: bool
    created_at: str | None = None
    updated_at: str | None = None


class VpcAnswer(_Answer):
    """One VPC."""

    vpc: VpcFacts


class VpcList(_Answer):
    """One page of VPCs."""

    vpcs: list[VpcFacts]


class SubnetFacts(_Answer):
    """A subnet."""

    id: str
    name: str
    description: str
    cidr: str
    gateway_ip: str
    ipv6_enable: bool
    cidr_v6: str
    gateway_ip_v6: str
    dhcp_enable: bool
    primary_dns: str
    secondary_dns: str
    dnsList: list[str]  # noqa: N815 — as it is on the wire
    availability_zone: str
    vpc_id: str
    status: str
    neutron_network_id: str
    neutron_subnet_id: str
    neutron_subnet_id_v6: str
    extra_dhcp_opts: list[Any]
    scope: str
    tenant_id: str
    enable_network_address_usage_metrics: bool
    created_at: str | None = None
    updated_at: str | None = None


class SubnetAnswer(_Answer):
    """One subnet."""

    subnet: SubnetFacts


class SubnetList(_Answer):
    """One page of subnets."""

    subnets: list[SubnetFacts]


class ChangedSubnetFacts(_Answer):
    """What a change of a subnet answers."""

    id: str
    status: str


class ChangedSubnet(_Answer):
    """A subnet that was changed."""

    subnet: ChangedSubnetFacts


class PortAddress(_Answer):
    """The address of a port."""

    ip_address: str
    subnet_id: str


class PortPair(_Answer):
    """An address that a port may use beside its own."""

    ip_address: str
    mac_address: str


class PortFacts(_Answer):
    """A port."""

    id: str
    name: str
    network_id: str
    admin_state_up: bool
    mac_address: str
    fixed_ips: list[PortAddress]
    device_id: str
    device_owner: str
    tenant_id: str
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


class PortAnswer(_Answer):
    """One port."""

    port: PortFacts


class PortList(_Answer):
    """One page of ports."""

    ports: list[PortFacts]


class RouteFacts(_Answer):
    """A custom route."""

    type: str
    destination: str
    nexthop: str
    description: str


class SubnetReference(_Answer):
    """A subnet that has the table."""

    id: str


class ListedRouteTable(_Answer):
    """A route table, as lists show it."""

    id: str
    name: str
    description: str
    default: bool
    vpc_id: str
    tenant_id: str
    subnets: list[SubnetReference]
    created_at: str | None = None
    updated_at: str | None = None


class RouteTableFacts(ListedRouteTable):
    """A route table with its custom routes."""

    routes: list[RouteFacts]


class RouteTableAnswer(_Answer):
    """One route table."""

    routetable: RouteTableFacts


class RouteTableList(_Answer):
    """One page of route tables."""

    routetables: list[ListedRouteTable]
