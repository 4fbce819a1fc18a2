"""Routes of endpoints: operations 19 to 26 of the contract."""

from fastapi import APIRouter, Request, Response

from landbridge.api import answers
from landbridge.api.auth import ApiDep, CallerDep
from landbridge.api.endpoint_change_schemas import (
    AccessBody,
    PolicyBody,
    RouteTablesBody,
    access_change,
    wanted_route_tables,
)
from landbridge.api.operations import Parameter, operation
from landbridge.api.parameters import SERVICE_NAME, exactly, paging
from landbridge.api.presentation import BORDER_GROUP, Json, changed_endpoint_body, endpoint_body
from landbridge.api.requests import Query, read_object
from landbridge.api.schemas import EndpointBody, new_endpoint
from landbridge.api.services import Api
from landbridge.control.queries import EndpointQuery
from landbridge.domain.errors import InvalidEndpointId
from landbridge.domain.ids import EndpointId, is_uuid
from landbridge.domain.resources import Endpoint

_LIST = (
    SERVICE_NAME,
    Parameter("vpc_id", "Only endpoints in the VPC with this id."),
    exactly("id", "endpoint"),
    Parameter("public_border_group", f"All endpoints are in {BORDER_GROUP}: any other one has none."),
    *paging(),
)

router = APIRouter(prefix="/v1/{project_id}/vpc-endpoints", tags=["endpoints"])


@operation(
    router,
    "POST",
    "",
    action="vpcep:endpoints:create",
    answer=answers.EndpointAnswer,
    body=EndpointBody,
    may_miss=True,
)
async def create_endpoint(request: Request, caller: CallerDep, api: ApiDep) -> Json:
    """Create an endpoint."""
    return _body(api, await api.endpoints.create(caller, new_endpoint(await read_object(request))))


@operation(router, "GET", "", action="vpcep:endpoints:list", answer=answers.EndpointList, query=_LIST)
async def list_endpoints(request: Request, caller: CallerDep, api: ApiDep) -> Json:
    """List the project's endpoints."""
    query = Query(request)
    wanted = EndpointQuery(
        caller.project_id,
        service_name_contains=query.text("endpoint_service_name"),
        vpc_id=query.text("vpc_id"),
        id=query.text("id"),
        page=query.page(),
    )
    if query.text("public_border_group") not in {None, BORDER_GROUP}:
        return {"endpoints": [], "total_count": 0}
    endpoints, total = await api.endpoints.list(wanted)
    return {"endpoints": [_body(api, endpoint) for endpoint in endpoints], "total_count": total}


@operation(router, "GET", "/{endpoint_id}", action="vpcep:endpoints:get", answer=answers.EndpointAnswer)
async def show_endpoint(endpoint_id: str, caller: CallerDep, api: ApiDep) -> Json:
    """Show one endpoint."""
    return _body(api, await api.endpoints.show(caller.project_id, _id(endpoint_id)))


@operation(
    router,
    "PUT",
    "/{endpoint_id}",
    action="vpcep:endpoints:update",
    body=AccessBody,
    answer=answers.EndpointAnswer,
)
async def change_endpoint_access(endpoint_id: str, request: Request, caller: CallerDep, api: ApiDep) -> Json:
    """Say who may use an endpoint; from the answer on nobody passes who was taken out."""
    id_ = _id(endpoint_id)
    whitelist, is_enabled = access_change(await read_object(request))
    endpoint = await api.endpoint_changes.change_access(caller.project_id, id_, whitelist, is_enabled)
    return changed_endpoint_body(endpoint, api.clock.now(), api.region, api.dns_domain)


@operation(
    router,
    "PUT",
    "/{endpoint_id}/policy",
    action="vpcep:endpoints:update",
    body=PolicyBody,
    answer=answers.EndpointAnswer,
)
async def set_endpoint_policy(endpoint_id: str, request: Request, caller: CallerDep, api: ApiDep) -> Json:
    """Give an endpoint a policy, if its service takes one."""
    id_ = _id(endpoint_id)
    document = await read_object(request)
    policy = document.get("policy_document"), document.get("policy_statement")
    return _body(api, await api.endpoint_changes.set_policy(caller.project_id, id_, *policy))


@operation(router, "DELETE", "/{endpoint_id}/policy", action="vpcep:endpoints:update", answer=answers.EndpointAnswer)
async def remove_endpoint_policy(endpoint_id: str, caller: CallerDep, api: ApiDep) -> Json:
    """Go back to the default policy: full access."""
    return _body(api, await api.endpoint_changes.remove_policy(caller.project_id, _id(endpoint_id)))


@operation(
    router,
    "PUT",
    "/{endpoint_id}/routetables",
    action="vpcep:endpoints:update",
    body=RouteTablesBody,
    answer=answers.RouteTables,
)
async def change_endpoint_route_tables(endpoint_id: str, request: Request, caller: CallerDep, api: ApiDep) -> Json:
    """Give a gateway endpoint other route tables; from the answer on nobody passes whose table it has lost."""
    id_ = _id(endpoint_id)
    document = await read_object(request)
    await api.endpoint_changes.check_has_route_tables(caller.project_id, id_)
    tables = wanted_route_tables(document)
    endpoint = await api.endpoint_changes.change_route_tables(caller.project_id, id_, tables)
    return {"routetables": list(endpoint.route_table_ids)}


@operation(router, "DELETE", "/{endpoint_id}", action="vpcep:endpoints:delete", status=204)
async def delete_endpoint(endpoint_id: str, caller: CallerDep, api: ApiDep) -> Response:
    """Delete an endpoint; from the answer on no byte passes."""
    await api.endpoints.delete(caller.project_id, _id(endpoint_id))
    return Response(status_code=204)


def _id(text: str) -> EndpointId:
    lowered = text.lower()
    if not is_uuid(lowered):
        raise InvalidEndpointId("the endpoint id in the path must be a UUID")
    return EndpointId(lowered)


def _body(api: Api, endpoint: Endpoint) -> Json:
    return endpoint_body(endpoint, api.clock.now(), api.region, api.dns_domain)
