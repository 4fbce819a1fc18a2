"""Routes of endpoints: operations 19, 20, 21 and 23 of the contract."""

from fastapi import APIRouter, Request, Response

from landbridge.api.auth import ApiDep, Reader, Writer
from landbridge.api.presentation import Json, endpoint_body
from landbridge.api.requests import Query, read_object
from landbridge.api.schemas import new_endpoint
from landbridge.api.services import Api
from landbridge.control.queries import EndpointQuery
from landbridge.domain.ids import EndpointId
from landbridge.domain.resources import Endpoint

router = APIRouter(prefix="/v1/{project_id}/vpc-endpoints", tags=["endpoints"])


@router.post("")
async def create_endpoint(request: Request, caller: Writer, api: ApiDep) -> Json:
    """Create an endpoint."""
    return _body(api, await api.endpoints.create(caller, new_endpoint(await read_object(request))))


@router.get("")
async def list_endpoints(request: Request, caller: Reader, api: ApiDep) -> Json:
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


@router.get("/{endpoint_id}")
async def show_endpoint(endpoint_id: str, caller: Reader, api: ApiDep) -> Json:
    """Show one endpoint."""
    return _body(api, await api.endpoints.show(caller.project_id, EndpointId(endpoint_id)))


@router.delete("/{endpoint_id}", status_code=204)
async def delete_endpoint(endpoint_id: str, caller: Writer, api: ApiDep) -> Response:
    """Delete an endpoint; from the answer on no byte passes."""
    await api.endpoints.delete(caller.project_id, EndpointId(endpoint_id))
    return Response(status_code=204)


def _body(api: Api, endpoint: Endpoint) -> Json:
    return endpoint_body(endpoint, api.clock.now(), api.region, api.dns_domain)
