"""The route of quotas: operation 27 of the contract."""

from fastapi import APIRouter, Request

from landbridge.api import answers
from landbridge.api.auth import ApiDep, CallerDep
from landbridge.api.operations import Parameter, operation
from landbridge.api.parameters import choice
from landbridge.api.presentation import Json, quota_body
from landbridge.api.requests import Query
from landbridge.domain.errors import InvalidResourceType
from landbridge.domain.resources import QuotaType

_LIST = (Parameter("type", "Only the quota of this type.", choice(*QuotaType)),)

router = APIRouter(prefix="/v1/{project_id}/quotas", tags=["quotas"])


@operation(router, "GET", "", action="vpcep:quotas:get", answer=answers.QuotaList, query=_LIST)
async def list_quotas(request: Request, caller: CallerDep, api: ApiDep) -> Json:
    """Show how many services and endpoints the project may have, and has."""
    wanted = Query(request).text("type")
    if wanted is not None and wanted not in set(QuotaType):
        raise InvalidResourceType("type must be endpoint_service or endpoint")
    quotas = await api.quotas.list(caller.project_id)
    shown = [quota_body(quota) for quota in quotas if wanted in {None, quota.type.value}]
    return {"quotas": {"resources": shown}}
