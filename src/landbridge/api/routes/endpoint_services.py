"""Routes of endpoint services: operations 3 to 9 and 18 of the contract."""

from fastapi import APIRouter, Request, Response

from landbridge.api import answers
from landbridge.api.auth import ApiDep, CallerDep
from landbridge.api.operations import Parameter, operation
from landbridge.api.parameters import SERVICE_NAME, choice, exactly, paging
from landbridge.api.presentation import (
    BORDER_GROUP,
    Json,
    changed_service_body,
    created_service_body,
    described_service_body,
    public_service_body,
    service_body,
)
from landbridge.api.requests import Query, read_object
from landbridge.api.service_schemas import (
    ServiceBody,
    ServiceChangeBody,
    ServiceNameBody,
    new_service,
    service_change,
    service_name,
)
from landbridge.control.queries import PublicServiceQuery, ServiceQuery
from landbridge.control.service_changes import ServiceChange
from landbridge.domain.errors import InvalidNetType, InvalidStatusFilter
from landbridge.domain.ids import ServiceId
from landbridge.domain.lifecycle import ServiceStatus
from landbridge.domain.naming import short_name_of
from landbridge.domain.resources import ServerType

_LIST = (
    SERVICE_NAME,
    exactly("id", "service"),
    Parameter("status", "Only services with this status.", choice(*ServiceStatus)),
    Parameter("server_type", "Only backends of this kind.", choice(*ServerType)),
    Parameter("net_type", "The same as server_type.", choice(*ServerType)),
    Parameter("public_border_group", f"All services are in {BORDER_GROUP}: any other one has none."),
    *paging(),
)
_PUBLIC = (SERVICE_NAME, exactly("id", "service"), *paging())
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
    server_types = _server_types(query)
    wanted = ServiceQuery(
        caller.project_id,
        name_contains=query.text("endpoint_service_name"),
        id=query.text("id"),
        status=ServiceStatus(status) if status else None,
        server_type=next(iter(server_types), None),
        page=query.page(),
    )
    if len(server_types) > 1 or query.text("public_border_group") not in {None, BORDER_GROUP}:
        return {"endpoint_services": [], "total_count": 0}
    listed, total = await api.endpoint_services.list(wanted)
    bodies = [service_body(item.service, item.connection_count) for item in listed]
    return {"endpoint_services": bodies, "total_count": total}


@operation(router, "GET", "/public", action="vpcep:pubEpservices:list", answer=answers.PublicServiceList, query=_PUBLIC)
async def list_public_services(request: Request, caller: CallerDep, api: ApiDep) -> Json:
    """List the services that are offered to everybody."""
    del caller  # any authenticated one
    query = Query(request)
    services, total = await api.endpoint_services.list_public(
        PublicServiceQuery(name_contains=query.text("endpoint_service_name"), id=query.text("id"), page=query.page())
    )
    return {"endpoint_services": [public_service_body(service) for service in services], "total_count": total}


@operation(
    router,
    "GET",
    "/describe",
    action="vpcep:epserviceDesc:get",
    answer=answers.DescribedService,
    query=_DESCRIBE,
    may_miss=True,
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


@operation(
    router,
    "PUT",
    "/{service_id}",
    action="vpcep:epservices:update",
    answer=answers.ServiceAnswer,
    body=ServiceChangeBody,
)
async def modify_service(service_id: str, request: Request, caller: CallerDep, api: ApiDep) -> Json:
    """Change an endpoint service; from the answer on a port that was taken out carries nothing."""
    change = service_change(await read_object(request))
    item = await api.service_changes.modify(caller.project_id, ServiceId(service_id), change)
    return changed_service_body(item.service, item.connection_count)


@operation(
    router,
    "PUT",
    "/{service_id}/name",
    action="vpcep:epservices:update",
    answer=answers.ServiceName,
    body=ServiceNameBody,
)
async def rename_service(service_id: str, request: Request, caller: CallerDep, api: ApiDep) -> Json:
    """Change the short name of an endpoint service; the answer repeats it, the service shows its full name."""
    name = service_name(await read_object(request))
    change = ServiceChange(short_name=name)
    item = await api.service_changes.modify(caller.project_id, ServiceId(service_id), change)
    return {"endpoint_service_name": short_name_of(item.service.name) if name is None else name}


@operation(router, "DELETE", "/{service_id}", action="vpcep:epservices:delete", status=204)
async def delete_service(service_id: str, caller: CallerDep, api: ApiDep) -> Response:
    """Delete an endpoint service that nobody is connected to."""
    await api.endpoint_services.delete(caller.project_id, ServiceId(service_id))
    return Response(status_code=204)


def _server_types(query: Query) -> set[str]:
    """Return the kinds of backend that two filters ask for; they are the same filter under two names."""
    net_type = (query.text("net_type") or "").upper()
    if net_type and net_type not in set(ServerType):
        raise InvalidNetType("net_type must be VM, VIP or LB")
    return {kind for kind in (net_type, (query.text("server_type") or "").upper()) if kind}
