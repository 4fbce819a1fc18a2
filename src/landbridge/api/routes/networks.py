"""Routes of VPCs and subnets, in the shapes of the cloud's VPC API v1 (docs/reference/vpc-api.md)."""

from fastapi import APIRouter, Request, Response

from landbridge.api import network_answers as answers
from landbridge.api.auth import ApiDep, CallerDep
from landbridge.api.forwarding import NetworkRoute
from landbridge.api.network_presentation import subnet_body, vpc_body
from landbridge.api.network_schemas import (
    ID_SCHEMA,
    PAGING,
    CreateSubnetBody,
    CreateVpcBody,
    NetworkQuery,
    UpdateSubnetBody,
    UpdateVpcBody,
    new_subnet,
    new_vpc,
    subnet_changes,
    vpc_changes,
)
from landbridge.api.operations import Parameter, operation
from landbridge.api.presentation import Json
from landbridge.api.requests import read_object
from landbridge.domain.ids import SubnetId, VpcId

_ERROR = answers.NetworkErrorAnswer
_LIST_VPCS = (Parameter("id", "The VPC with this very id.", ID_SCHEMA), *PAGING)
_LIST_SUBNETS = (Parameter("vpc_id", "Only subnets of this VPC.", ID_SCHEMA), *PAGING)

router = APIRouter(prefix="/v1/{project_id}", tags=["networks"], route_class=NetworkRoute)


@operation(
    router, "POST", "/vpcs", action="vpc:vpcs:create", answer=answers.VpcAnswer, body=CreateVpcBody, error=_ERROR
)
async def create_vpc(request: Request, caller: CallerDep, api: ApiDep) -> Json:
    """Create a VPC."""
    return {"vpc": vpc_body(await api.networks.create_vpc(caller, new_vpc(await read_object(request))))}


@operation(router, "GET", "/vpcs", action="vpc:vpcs:list", answer=answers.VpcList, query=_LIST_VPCS, error=_ERROR)
async def list_vpcs(request: Request, caller: CallerDep, api: ApiDep) -> Json:
    """List the project's VPCs."""
    query = NetworkQuery(request)
    shown = await api.networks.vpcs(caller.project_id, query.page(), query.text("id"))
    return {"vpcs": [vpc_body(item) for item in shown]}


@operation(router, "GET", "/vpcs/{vpc_id}", action="vpc:vpcs:get", answer=answers.VpcAnswer, error=_ERROR)
async def show_vpc(vpc_id: str, caller: CallerDep, api: ApiDep) -> Json:
    """Show one VPC."""
    return {"vpc": vpc_body(await api.networks.show_vpc(caller.project_id, VpcId(vpc_id)))}


@operation(
    router,
    "PUT",
    "/vpcs/{vpc_id}",
    action="vpc:vpcs:update",
    answer=answers.VpcAnswer,
    body=UpdateVpcBody,
    error=_ERROR,
)
async def update_vpc(vpc_id: str, request: Request, caller: CallerDep, api: ApiDep) -> Json:
    """Change the name, the description or the range of a VPC."""
    changes = vpc_changes(await read_object(request))
    return {"vpc": vpc_body(await api.networks.update_vpc(caller.project_id, VpcId(vpc_id), changes))}


@operation(router, "DELETE", "/vpcs/{vpc_id}", action="vpc:vpcs:delete", status=204, error=_ERROR)
async def delete_vpc(vpc_id: str, caller: CallerDep, api: ApiDep) -> Response:
    """Delete a VPC without subnets."""
    await api.networks.delete_vpc(caller.project_id, VpcId(vpc_id))
    return Response(status_code=204)


@operation(
    router,
    "POST",
    "/subnets",
    action="vpc:subnets:create",
    answer=answers.SubnetAnswer,
    body=CreateSubnetBody,
    error=_ERROR,
    may_miss=True,
)
async def create_subnet(request: Request, caller: CallerDep, api: ApiDep) -> Json:
    """Create a subnet; in a lab it is wired when the answer comes."""
    subnet = await api.networks.create_subnet(caller, new_subnet(await read_object(request)))
    return {"subnet": subnet_body(subnet, caller.project_id)}


@operation(
    router, "GET", "/subnets", action="vpc:subnets:list", answer=answers.SubnetList, query=_LIST_SUBNETS, error=_ERROR
)
async def list_subnets(request: Request, caller: CallerDep, api: ApiDep) -> Json:
    """List the project's subnets."""
    query = NetworkQuery(request)
    subnets = await api.networks.subnets(caller.project_id, query.page(), query.text("vpc_id"))
    return {"subnets": [subnet_body(subnet, caller.project_id) for subnet in subnets]}


@operation(router, "GET", "/subnets/{subnet_id}", action="vpc:subnets:get", answer=answers.SubnetAnswer, error=_ERROR)
async def show_subnet(subnet_id: str, caller: CallerDep, api: ApiDep) -> Json:
    """Show one subnet."""
    subnet = await api.networks.show_subnet(caller.project_id, SubnetId(subnet_id))
    return {"subnet": subnet_body(subnet, caller.project_id)}


@operation(
    router,
    "PUT",
    "/vpcs/{vpc_id}/subnets/{subnet_id}",
    action="vpc:subnets:update",
    answer=answers.ChangedSubnet,
    body=UpdateSubnetBody,
    error=_ERROR,
)
async def update_subnet(vpc_id: str, subnet_id: str, request: Request, caller: CallerDep, api: ApiDep) -> Json:
    """Change the name, the description, DHCP or the DNS servers of a subnet."""
    changes = subnet_changes(await read_object(request))
    subnet = await api.networks.update_subnet(caller.project_id, VpcId(vpc_id), SubnetId(subnet_id), changes)
    return {"subnet": {"id": subnet.id, "status": "ACTIVE"}}


@operation(
    router, "DELETE", "/vpcs/{vpc_id}/subnets/{subnet_id}", action="vpc:subnets:delete", status=204, error=_ERROR
)
async def delete_subnet(vpc_id: str, subnet_id: str, caller: CallerDep, api: ApiDep) -> Response:
    """Delete a subnet that nobody uses."""
    await api.networks.delete_subnet(caller.project_id, VpcId(vpc_id), SubnetId(subnet_id))
    return Response(status_code=204)
