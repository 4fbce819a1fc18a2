"""Routes of endpoint services: operations 3, 4, 5, 7 and 9 of the contract."""

from fastapi import APIRouter, Request, Response

from landbridge.api import answers
from landbridge.api.auth import ApiDep, CallerDep
from landbridge.api.operations import Parameter, operation
from landbridge.api.parameters import SERVICE_NAME, choice, exactly, paging
from landbridge.api.presentation import Json, created_service_body, described_service_body, service_body
from landbridge.api.requests import Query, read_object
from landbridge.api.schemas import ServiceBody, new_service
from landbridge.control.queries import ServiceQuery
from landbridge.domain.errors import InvalidStatusFilter
from landbridge.domain.ids import ServiceId
from landbridge.domain.lifecycle import ServiceStatus

_LIST = (
    SERVICE_NAME,
    exactly("id", "service"),
    Parameter("status", "Only services with this status.", choice(*ServiceStatus)),
    Parameter("server_type", "Only backends of this kind.", choice("VM", "VIP", "LB")),
    *paging(),
)
_DESCRIBE = (
    Parameter("id", "The service's id; give this or the name."),
    Parameter("endpoint_service_name", "The service's full name; give this or the id."),
)

router = APIRouter(prefix="/v1/{project_id}/vpc-endpoint-services", tags=["endpoint services"])


@operation(router, "POST", "", action="vpcep:epservices:create", answer=answers.ServiceAnswer, body=ServiceBody)
async def create_service(request: Request, caller: CallerDep, api: ApiDep) -> Json:
    """Create an endpoint service."""
    service = await api.endpoint_services.create(caller, new_service(await read_object(request)))
    return created_service_body(service)


@operation(router, "GET", "", action="vpcep:epservices:list", answer=answers.ServiceList, query=_LIST)
async def list_services(request: Request, caller: CallerDep, api: ApiDep) -> Json:
    """List the project's endpoint services."""
    query = Query(request)
    status = query.text("status")
    if status is not None and status not in set(ServiceStatus):
        raise InvalidStatusFilter("status must be creating, available, failed or deleting")
    listed, total = await api.endpoint_services.list(
        ServiceQuery(
            caller.project_id,
            name_contains=query.text("endpoint_service_name"),
            id=query.text("id"),
            status=ServiceStatus(status) if status else None,
            server_type=query.text("server_type"),
            page=query.page(),
        )
    )
    bodies = [service_body(item.service, item.connection_count) for item in listed]
    return {"endpoint_services": bodies, "total_count": total}


@operation(
    router, "GET", "/describe", action="vpcep:epserviceDesc:get", answer=answers.DescribedService, query=_DESCRIBE
)
async def describe_service(request: Request, caller: CallerDep, api: ApiDep) -> Json:
    """Say what anybody may know about a service, by its id or its full name."""
    del caller  # any authenticated one
    query = Query(request)
    id_ = query.text("id")
    service = await api.endpoint_services.describe(ServiceId(id_) if id_ else None, query.text("endpoint_service_name"))
    return described_service_body(service)


@operation(router, "GET", "/{service_id}", action="vpcep:epservices:get", answer=answers.ServiceAnswer)
async def show_service(service_id: str, caller: CallerDep, api: ApiDep) -> Json:
    """Show one endpoint service."""
    item = await api.endpoint_services.show(caller.project_id, ServiceId(service_id))
    return service_body(item.service, item.connection_count)


@operation(router, "DELETE", "/{service_id}", action="vpcep:epservices:delete", status=204)
async def delete_service(service_id: str, caller: CallerDep, api: ApiDep) -> Response:
    """Delete an endpoint service that nobody is connected to."""
    await api.endpoint_services.delete(caller.project_id, ServiceId(service_id))
    return Response(status_code=204)
