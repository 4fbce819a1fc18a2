"""Routes of ports, in the shapes of the cloud's VPC API v1 (docs/reference/vpc-api.md)."""

from fastapi import APIRouter, Request, Response

from landbridge.api import network_answers as answers
from landbridge.api.auth import ApiDep, CallerDep
from landbridge.api.forwarding import NetworkRoute
from landbridge.api.network_presentation import nic_body, nic_status
from landbridge.api.network_schemas import (
    ID_SCHEMA,
    PAGING,
    STATUS,
    CreatePortBody,
    NetworkQuery,
    UpdatePortBody,
    new_nic,
    nic_changes,
)
from landbridge.api.operations import Parameter, operation
from landbridge.api.presentation import Json
from landbridge.api.requests import read_object
from landbridge.control.nics import NicQuery
from landbridge.domain.errors import InvalidParameter
from landbridge.domain.ids import NicId

_ERROR = answers.NetworkErrorAnswer
_ADDRESS_FILTER = "ip_address="
_LIST = (
    Parameter("id", "The port with this very id; may be given several times.", ID_SCHEMA),
    Parameter("name", "Only ports with this very name.", ID_SCHEMA),
    Parameter("network_id", "Only ports in the subnet with this id.", ID_SCHEMA),
    Parameter("mac_address", "Only the port with this MAC.", ID_SCHEMA),
    Parameter("device_owner", "`neutron:VIP_PORT` shows virtual IPs only.", ID_SCHEMA),
    Parameter("fixed_ips", "`ip_address=10.0.0.20` shows ports with this address.", ID_SCHEMA),
    STATUS,
    *PAGING,
)

router = APIRouter(prefix="/v1/{project_id}/ports", tags=["networks"], route_class=NetworkRoute)


@operation(
    router,
    "POST",
    "",
    action="vpc:ports:create",
    answer=answers.PortAnswer,
    body=CreatePortBody,
    error=_ERROR,
    may_miss=True,
)
async def create_port(request: Request, caller: CallerDep, api: ApiDep) -> Json:
    """Create a port; in a lab its host is there when the answer comes."""
    return {"port": nic_body(await api.nics.create(caller, new_nic(await read_object(request))))}


@operation(router, "GET", "", action="vpc:ports:list", answer=answers.PortList, query=_LIST, error=_ERROR)
async def list_ports(request: Request, caller: CallerDep, api: ApiDep) -> Json:
    """List the project's ports."""
    query = NetworkQuery(request)
    status = query.text("status")
    nics = await api.nics.list(
        NicQuery(
            caller.project_id,
            ids=query.texts("id"),
            name=query.text("name"),
            subnet_id=query.text("network_id"),
            mac_address=query.text("mac_address"),
            device_owner=query.text("device_owner"),
            addresses=[_address(text) for text in query.texts("fixed_ips")],
            is_virtual_ip=None if status is None else status == "DOWN",
            page=query.page(),
        )
    )
    return {"ports": [nic_body(nic) for nic in nics if status in {None, nic_status(nic)}]}


@operation(router, "GET", "/{port_id}", action="vpc:ports:get", answer=answers.PortAnswer, error=_ERROR)
async def show_port(port_id: str, caller: CallerDep, api: ApiDep) -> Json:
    """Show one port."""
    return {"port": nic_body(await api.nics.show(caller.project_id, NicId(port_id)))}


@operation(
    router,
    "PUT",
    "/{port_id}",
    action="vpc:ports:update",
    answer=answers.PortAnswer,
    body=UpdatePortBody,
    error=_ERROR,
)
async def update_port(port_id: str, request: Request, caller: CallerDep, api: ApiDep) -> Json:
    """Change the name of a port, or the addresses that it may use beside its own."""
    changes = nic_changes(await read_object(request))
    return {"port": nic_body(await api.nics.update(caller.project_id, NicId(port_id), changes))}


@operation(router, "DELETE", "/{port_id}", action="vpc:ports:delete", status=204, error=_ERROR)
async def delete_port(port_id: str, caller: CallerDep, api: ApiDep) -> Response:
    """Delete a port that no endpoint service needs; in a lab its host goes too."""
    await api.nics.delete(caller.project_id, NicId(port_id))
    return Response(status_code=204)


def _address(text: str) -> str:
    if not text.startswith(_ADDRESS_FILTER):
        raise InvalidParameter(f"fixed_ips must be written as {_ADDRESS_FILTER}10.0.0.20")
    return text.removeprefix(_ADDRESS_FILTER)
