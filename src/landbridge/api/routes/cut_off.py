"""Routes of how the connections of a service end, an extension of the contract."""

from fastapi import APIRouter, Request

from landbridge.api.auth import ApiDep, CallerDep
from landbridge.api.cut_offs import CutOffsAnswer, CutOffsBody, cut_off_choices, cut_offs_body
from landbridge.api.operations import operation
from landbridge.api.presentation import Json
from landbridge.api.requests import read_object
from landbridge.domain.ids import ServiceId

router = APIRouter(prefix="/v1/{project_id}/ext/vpc-endpoint-services/{service_id}", tags=["cut-off"])


@operation(router, "GET", "/cut-off", action="vpcep:ext:cutOffs:get", answer=CutOffsAnswer)
async def show_cut_offs(service_id: str, caller: CallerDep, api: ApiDep) -> Json:
    """Show how connections of an endpoint service end, and which are ending now."""
    return cut_offs_body(await api.cut_offs.show(caller.project_id, ServiceId(service_id.lower())))


@operation(router, "PUT", "/cut-off", action="vpcep:ext:cutOffs:update", answer=CutOffsAnswer, body=CutOffsBody)
async def choose_cut_offs(service_id: str, request: Request, caller: CallerDep, api: ApiDep) -> Json:
    """Choose how connections of an endpoint service end: at once, after a deadline, or by themselves."""
    id_ = ServiceId(service_id.lower())
    choices = cut_off_choices(await read_object(request))
    return cut_offs_body(await api.cut_offs.choose(caller.project_id, id_, choices))
