"""Routes of endpoints: operations 19, 20, 21 and 23 of the contract."""

from fastapi import APIRouter, Request, Response

from landbridge.api import answers
from landbridge.api.auth import ApiDep, CallerDep
from landbridge.api.operations import Parameter, operation
from landbridge.api.parameters import SERVICE_NAME, exactly, paging
from landbridge.api.presentation import Json, endpoint_body
from landbridge.api.requests import Query, read_object
from landbridge.api.schemas import EndpointBody, new_endpoint
from landbridge.api.services import Api
from landbridge.control.queries import EndpointQuery
from landbridge.domain.ids import EndpointId
from landbridge.domain.resources import Endpoint

_LIST = (
    SERVICE_NAME,
    Parameter("vpc_id", "Only endpoints in the VPC with this id."),
    exactly("id", "endpoint"),
    *paging(),
)

router = APIRouter(prefix="/v1/{project_id}/vpc-endpoints", tags=["endpoints"])


@operation(router, "POST", "", action="vpcep:endpoints:create", answer=answers.EndpointAnswer, body=EndpointBody)
async def create_endpoint(request: Request, caller: CallerDep, api: ApiDep) -> Json:
    """Create an endpoint."""
    return _body(api, await api.endpoints.create(caller, new_endpoint(await read_object(request))))


@operation(router, "GET", "", action="vpcep:endpoints:list", answer=answers.EndpointList, query=_LIST)
async def list_endpoints(request: Request, caller: CallerDep, api: ApiDep) -> Json:
    """List the project's endpoints."""
    query = Query(request)
    endpoints, total = await api.endpoints.list(
        EndpointQuery(
            caller.project_id,
            service_name_contains=query.text("endpoint_service_name"),
            vpc_id=query.text("vpc_id"),
            id=query.text("id"),
            page=query.page(),
        )
    )
    return {"endpoints": [_body(api, endpoint) for endpoint in endpoints], "total_count": total}


@operation(router, "GET", "/{endpoint_id}", action="vpcep:endpoints:get", answer=answers.EndpointAnswer)
async def show_endpoint(endpoint_id: str, caller: CallerDep, api: ApiDep) -> Json:
    """Show one endpoint."""
    return _body(api, await api.endpoints.show(caller.project_id, EndpointId(endpoint_id)))


@operation(router, "DELETE", "/{endpoint_id}", action="vpcep:endpoints:delete", status=204)
async def delete_endpoint(endpoint_id: str, caller: CallerDep, api: ApiDep) -> Response:
    """Delete an endpoint; from the answer on no byte passes."""
    await api.endpoints.delete(caller.project_id, EndpointId(endpoint_id))
    return Response(status_code=204)


def _body(api: Api, endpoint: Endpoint) -> Json:
    return endpoint_body(endpoint, api.clock.now(), api.region, api.dns_domain)
