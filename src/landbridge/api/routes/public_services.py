"""Routes of the operator's public services, an extension of the contract: publish, list, take back."""

from fastapi import APIRouter, Request, Response

from landbridge.api import public_service_answers as answers
from landbridge.api.auth import ApiDep, CallerDep
from landbridge.api.operations import operation
from landbridge.api.parameters import SERVICE_NAME, exactly, paging
from landbridge.api.presentation import Json
from landbridge.api.public_service_answers import published_service_body
from landbridge.api.requests import Query, read_object
from landbridge.api.service_schemas import PublicServiceBody, new_public_service
from landbridge.control.queries import PublicServiceQuery
from landbridge.domain.ids import ServiceId

_LIST = (SERVICE_NAME, exactly("id", "service"), *paging())

router = APIRouter(prefix="/v1/{project_id}/ext/public-services", tags=["public services"])


@operation(
    router,
    "POST",
    "",
    action="vpcep:ext:publicServices:create",
    answer=answers.PublishedService,
    body=PublicServiceBody,
    may_miss=True,
)
async def publish_service(request: Request, caller: CallerDep, api: ApiDep) -> Json:
    """Offer a service to everybody: a backend of any project, or networks that lie behind a subnet."""
    wish = new_public_service(await read_object(request))
    return published_service_body(await api.public_services.create(caller, wish), 0)


@operation(
    router,
    "GET",
    "",
    action="vpcep:ext:publicServices:list",
    answer=answers.PublishedServiceList,
    query=_LIST,
)
async def list_published_services(request: Request, caller: CallerDep, api: ApiDep) -> Json:
    """List all public services, with where they lead and who published them."""
    del caller  # any operator
    query = Query(request)
    wanted = PublicServiceQuery(query.text("endpoint_service_name"), query.text("id"), query.page())
    listed, total = await api.public_services.list(wanted)
    bodies = [published_service_body(item.service, item.connection_count) for item in listed]
    return {"public_services": bodies, "total_count": total}


@operation(router, "DELETE", "/{service_id}", action="vpcep:ext:publicServices:delete", status=204)
async def take_back_service(service_id: str, caller: CallerDep, api: ApiDep) -> Response:
    """End a public service that was published through the API and that nobody is connected to."""
    del caller  # any operator
    await api.public_services.delete(ServiceId(service_id.lower()))
    return Response(status_code=204)
