"""The cloud's own VPC SDK (huaweicloudsdkvpc, v2 client) against a live server: requests in, models out."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdkvpc.v2 import (
    AddRouteTableRoute,
    AllowedAddressPair,
    AsscoiateReq,
    AssociateRouteTableAndSubnetReq,
    AssociateRouteTableRequest,
    CreatePortOption,
    CreatePortRequest,
    CreatePortRequestBody,
    CreateRouteTableReq,
    CreateRoutetableReqBody,
    CreateRouteTableRequest,
    CreateSubnetOption,
    CreateSubnetRequest,
    CreateSubnetRequestBody,
    CreateVpcOption,
    CreateVpcRequest,
    CreateVpcRequestBody,
    DeletePortRequest,
    DeleteRouteTableRequest,
    DeleteSubnetRequest,
    DeleteVpcRequest,
    DelRouteTableRoute,
    DisassociateRouteTableRequest,
    FixedIp,
    ListPortsRequest,
    ListRouteTablesRequest,
    ListSubnetsRequest,
    ListVpcsRequest,
    ModRouteTableRoute,
    RoutetableAssociateReqbody,
    RouteTableRoute,
    RouteTableRouteAction,
    ShowPortRequest,
    ShowRouteTableRequest,
    ShowSubnetRequest,
    ShowVpcRequest,
    UpdatePortOption,
    UpdatePortRequest,
    UpdatePortRequestBody,
    UpdateRouteTableReq,
    UpdateRoutetableReqBody,
    UpdateRouteTableRequest,
    UpdateSubnetOption,
    UpdateSubnetRequest,
    UpdateSubnetRequestBody,
    UpdateVpcOption,
    UpdateVpcRequest,
    UpdateVpcRequestBody,
    VpcClient,
)

from tests.integration.live import Server

KEYS = {"acme": ("ACMEKEY", "acme-secret-key"), "globex": ("GLOBEXKEY", "globex-secret-key")}


def client_of(server: Server, project: str) -> VpcClient:
    credentials = BasicCredentials(*KEYS[project], server.project_id(project))
    return VpcClient.new_builder().with_credentials(credentials).with_endpoint(server.url).build()


@pytest.fixture
def acme(server: Server) -> VpcClient:
    return client_of(server, "acme")


@pytest.fixture
def vpc(acme: VpcClient) -> Any:
    option = CreateVpcOption(name="sdk", cidr="10.0.0.0/16", description="made by the SDK", enterprise_project_id="0")
    return acme.create_vpc(CreateVpcRequest(CreateVpcRequestBody(option))).vpc


@pytest.fixture
def subnet(acme: VpcClient, vpc: Any) -> Any:
    option = CreateSubnetOption(
        name="web",
        cidr="10.0.0.0/24",
        vpc_id=vpc.id,
        gateway_ip="10.0.0.1",
        description="made by the SDK",
        dhcp_enable=True,
        dns_list=["10.9.0.1", "10.9.0.2"],
        ipv6_enable=False,
        availability_zone="zone-1",
        tags=["a*b"],
    )
    return acme.create_subnet(CreateSubnetRequest(CreateSubnetRequestBody(option))).subnet


def refused(work: Callable[[], object]) -> tuple[int, str]:
    with pytest.raises(ClientRequestException) as failure:
        work()
    assert failure.value.error_msg
    assert failure.value.request_id.startswith("req-")
    return failure.value.status_code, failure.value.error_code


def members(model: Any) -> dict[str, Any]:
    """Every member of a model, as Python sees it."""
    return {name: getattr(model, name) for name in model.openapi_types}


def just_now(moment: datetime) -> bool:
    return abs((datetime.now(UTC) - moment).total_seconds()) < 60


def test_every_member_of_a_vpc(server: Server, acme: VpcClient, vpc: Any):
    found = members(vpc)

    assert just_now(found.pop("created_at"))
    assert just_now(found.pop("updated_at"))
    assert found == {
        "id": vpc.id,
        "name": "sdk",
        "cidr": "10.0.0.0/16",
        "description": "made by the SDK",
        "routes": [],
        "status": "OK",
        "enterprise_project_id": "0",
        "tenant_id": server.project_id("acme"),
        "block_service_endpoint_states": None,
        "enable_network_address_usage_metrics": False,
    }
    assert acme.show_vpc(ShowVpcRequest(vpc.id)).vpc == vpc
    assert acme.list_vpcs(ListVpcsRequest(id=vpc.id)).vpcs == [vpc]
    [after] = acme.list_vpcs(ListVpcsRequest(limit=1, marker=vpc.id[:-1])).vpcs
    assert after == vpc


def test_a_vpc_is_changed_and_deleted(acme: VpcClient, vpc: Any):
    option = UpdateVpcOption(name="renamed", description="", cidr="10.0.0.0/15")
    changed = acme.update_vpc(UpdateVpcRequest(vpc.id, UpdateVpcRequestBody(option))).vpc

    assert (changed.id, changed.name, changed.description, changed.cidr) == (vpc.id, "renamed", "", "10.0.0.0/15")
    assert acme.delete_vpc(DeleteVpcRequest(vpc.id)).status_code == 204
    assert refused(lambda: acme.show_vpc(ShowVpcRequest(vpc.id))) == (404, "VPC.0003")
    assert refused(lambda: acme.delete_vpc(DeleteVpcRequest(vpc.id))) == (404, "VPC.0003")


def test_every_member_of_a_subnet(server: Server, acme: VpcClient, vpc: Any, subnet: Any):
    found = members(subnet)

    assert just_now(found.pop("created_at"))
    assert just_now(found.pop("updated_at"))
    assert found == {
        "id": subnet.id,
        "name": "web",
        "description": "made by the SDK",
        "cidr": "10.0.0.0/24",
        "gateway_ip": "10.0.0.1",
        "ipv6_enable": False,
        "cidr_v6": "",
        "gateway_ip_v6": "",
        "dhcp_enable": True,
        "primary_dns": "10.9.0.1",
        "secondary_dns": "10.9.0.2",
        "dns_list": ["10.9.0.1", "10.9.0.2"],
        "availability_zone": "",
        "vpc_id": vpc.id,
        "status": "ACTIVE",
        "neutron_network_id": subnet.id,
        "neutron_subnet_id": subnet.id,
        "neutron_subnet_id_v6": "",
        "extra_dhcp_opts": [],
        "scope": "center",
        "tenant_id": server.project_id("acme"),
        "enable_network_address_usage_metrics": False,
        "available_ip_address_count": None,
    }
    assert acme.show_subnet(ShowSubnetRequest(subnet.id)).subnet == subnet
    assert acme.list_subnets(ListSubnetsRequest(vpc_id=vpc.id)).subnets == [subnet]


def test_a_subnet_is_changed_and_deleted(acme: VpcClient, vpc: Any, subnet: Any):
    option = UpdateSubnetOption(name="api", dhcp_enable=False, primary_dns="10.9.0.3")
    request = UpdateSubnetRequest(vpc_id=vpc.id, subnet_id=subnet.id, body=UpdateSubnetRequestBody(option))
    result = acme.update_subnet(request).subnet

    assert (result.id, result.status) == (subnet.id, "ACTIVE")
    shown = acme.show_subnet(ShowSubnetRequest(subnet.id)).subnet
    assert (shown.name, shown.dhcp_enable, shown.dns_list) == ("api", False, ["10.9.0.3"])
    assert refused(lambda: acme.delete_vpc(DeleteVpcRequest(vpc.id))) == (409, "VPC.0104")
    assert acme.delete_subnet(DeleteSubnetRequest(vpc_id=vpc.id, subnet_id=subnet.id)).status_code == 204
    assert refused(lambda: acme.show_subnet(ShowSubnetRequest(subnet.id))) == (404, "VPC.0202")


def test_every_member_of_a_port(server: Server, acme: VpcClient, subnet: Any):
    option = CreatePortOption(
        name="web-1",
        network_id=subnet.id,
        fixed_ips=[FixedIp(ip_address="10.0.0.20", subnet_id=subnet.neutron_subnet_id)],
        allowed_address_pairs=[AllowedAddressPair(ip_address="10.0.0.30", mac_address="fa:16:3e:00:00:01")],
        security_groups=["11111111-1111-4111-8111-111111111111"],
        admin_state_up=True,
    )
    port = acme.create_port(CreatePortRequest(CreatePortRequestBody(option))).port
    found = members(port)

    assert found.pop("mac_address").startswith("02:")
    assert [members(item) for item in found.pop("fixed_ips")] == [{"ip_address": "10.0.0.20", "subnet_id": subnet.id}]
    assert [members(item) for item in found.pop("allowed_address_pairs")] == [
        {"ip_address": "10.0.0.30", "mac_address": "fa:16:3e:00:00:01"}
    ]
    assert set(members(found.pop("bindingvif_details")).values()) == {None}
    assert found == {
        "id": port.id,
        "name": "web-1",
        "network_id": subnet.id,
        "admin_state_up": True,
        "device_id": "",
        "device_owner": "",
        "tenant_id": server.project_id("acme"),
        "status": "ACTIVE",
        "security_groups": [],
        "extra_dhcp_opts": [],
        "bindingvnic_type": "normal",
        "dns_assignment": [],
        "dns_name": "",
        "bindingprofile": {},
        "instance_id": "",
        "instance_type": "",
        "port_security_enabled": False,
        "zone_id": "",
        "enable_efi": False,
        "ipv6_bandwidth_id": "",
    }
    assert acme.show_port(ShowPortRequest(port.id)).port == port
    query = ListPortsRequest(network_id=subnet.id, id=[port.id, subnet.id], fixed_ips=["ip_address=10.0.0.20"])
    assert acme.list_ports(query).ports == [port]


def test_a_virtual_ip_is_a_port_whose_owner_says_so(acme: VpcClient, subnet: Any):
    option = CreatePortOption(name="vip", network_id=subnet.id, device_owner="neutron:VIP_PORT")
    port = acme.create_port(CreatePortRequest(CreatePortRequestBody(option))).port

    assert (port.device_owner, port.status) == ("neutron:VIP_PORT", "DOWN")
    found = acme.list_ports(ListPortsRequest(network_id=subnet.id, device_owner="neutron:VIP_PORT")).ports
    assert found == [port]


def test_a_port_is_changed_and_deleted(acme: VpcClient, subnet: Any):
    port = acme.create_port(CreatePortRequest(CreatePortRequestBody(CreatePortOption(network_id=subnet.id)))).port
    option = UpdatePortOption(name="renamed", allowed_address_pairs=[AllowedAddressPair(ip_address="10.0.3.0/24")])
    changed = acme.update_port(UpdatePortRequest(port.id, UpdatePortRequestBody(option))).port

    assert (changed.name, changed.allowed_address_pairs[0].ip_address) == ("renamed", "10.0.3.0/24")
    assert changed.fixed_ips == port.fixed_ips
    delete_subnet = DeleteSubnetRequest(vpc_id=subnet.vpc_id, subnet_id=subnet.id)
    assert refused(lambda: acme.delete_subnet(delete_subnet)) == (409, "VPC.0208")
    assert acme.delete_port(DeletePortRequest(port.id)).status_code == 204
    assert refused(lambda: acme.show_port(ShowPortRequest(port.id))) == (404, "VPC.0704")
    acme.delete_subnet(delete_subnet)


def test_every_member_of_a_route_table_through_its_whole_life(server: Server, acme: VpcClient, vpc: Any, subnet: Any):
    [default] = acme.list_route_tables(ListRouteTablesRequest(vpc_id=vpc.id)).routetables
    assert (default.default, [item.id for item in default.subnets]) == (True, [subnet.id])
    route = RouteTableRoute(type="ecs", destination="192.168.0.0/24", nexthop="host-1", description="office")
    option = CreateRouteTableReq(name="custom", vpc_id=vpc.id, description="made by the SDK", routes=[route])

    table = acme.create_route_table(CreateRouteTableRequest(CreateRoutetableReqBody(option))).routetable

    found = members(table)
    assert just_now(found.pop("created_at"))
    assert just_now(found.pop("updated_at"))
    assert found == {
        "id": table.id,
        "name": "custom",
        "default": False,
        "routes": [route],
        "subnets": [],
        "tenant_id": server.project_id("acme"),
        "vpc_id": vpc.id,
        "description": "made by the SDK",
    }
    actions = RouteTableRouteAction(
        add=[AddRouteTableRoute(type="vip", destination="192.168.1.0/24", nexthop="10.0.0.30")],
        mod=[ModRouteTableRoute(type="ecs", destination="192.168.0.0/24", nexthop="host-2")],
    )
    body = UpdateRoutetableReqBody(UpdateRouteTableReq(name="renamed", routes=actions))
    changed = acme.update_route_table(UpdateRouteTableRequest(table.id, body)).routetable
    assert changed.name == "renamed"
    assert [(item.destination, item.nexthop) for item in changed.routes] == [
        ("192.168.0.0/24", "host-2"),
        ("192.168.1.0/24", "10.0.0.30"),
    ]
    removal = RouteTableRouteAction(_del=[DelRouteTableRoute(destination="192.168.1.0/24")])
    body = UpdateRoutetableReqBody(UpdateRouteTableReq(routes=removal))
    assert len(acme.update_route_table(UpdateRouteTableRequest(table.id, body)).routetable.routes) == 1

    def with_subnets(**subnets: list[str]) -> RoutetableAssociateReqbody:
        return RoutetableAssociateReqbody(AsscoiateReq(AssociateRouteTableAndSubnetReq(**subnets)))

    associate = AssociateRouteTableRequest(table.id, with_subnets(associate=[subnet.id]))
    assert [item.id for item in acme.associate_route_table(associate).routetable.subnets] == [subnet.id]
    found_by_subnet = acme.list_route_tables(ListRouteTablesRequest(subnet_id=subnet.id)).routetables
    assert [item.id for item in found_by_subnet] == [table.id]
    assert refused(lambda: acme.delete_route_table(DeleteRouteTableRequest(table.id))) == (409, "VPC.2609")
    disassociate = DisassociateRouteTableRequest(table.id, with_subnets(disassociate=[subnet.id]))
    assert acme.disassociate_route_table(disassociate).routetable.subnets == []
    assert acme.show_route_table(ShowRouteTableRequest(table.id)).routetable.subnets == []
    assert acme.delete_route_table(DeleteRouteTableRequest(table.id)).status_code == 204
    assert refused(lambda: acme.show_route_table(ShowRouteTableRequest(table.id))) == (404, "VPC.2604")


def test_another_projects_things_do_not_exist(server: Server, acme: VpcClient, vpc: Any, subnet: Any):
    globex = client_of(server, "globex")

    assert refused(lambda: globex.show_vpc(ShowVpcRequest(vpc.id))) == (404, "VPC.0003")
    assert refused(lambda: globex.show_subnet(ShowSubnetRequest(subnet.id))) == (404, "VPC.0202")
    port = CreatePortRequest(CreatePortRequestBody(CreatePortOption(network_id=subnet.id)))
    assert refused(lambda: globex.create_port(port)) == (404, "VPC.0202")
    assert vpc.id not in {item.id for item in globex.list_vpcs(ListVpcsRequest()).vpcs}
    assert vpc.id in {item.id for item in acme.list_vpcs(ListVpcsRequest()).vpcs}
