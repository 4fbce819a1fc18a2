"""Routes of health, an extension of the contract: whether backends take connections."""

from fastapi import APIRouter

from landbridge.api import diagnosis_answers as answers
from landbridge.api.auth import ApiDep, CallerDep
from landbridge.api.diagnosis_presentation import endpoint_health_body, service_health_body
from landbridge.api.forwarding import DataPlaneRoute
from landbridge.api.operations import operation
from landbridge.api.policy import OPERATOR
from landbridge.api.presentation import Json
from landbridge.domain.errors import InvalidEndpointId
from landbridge.domain.ids import EndpointId, ServiceId, is_uuid

router = APIRouter(prefix="/v1/{project_id}/ext", tags=["diagnosis"], route_class=DataPlaneRoute)


@operation(
    router,
    "GET",
    "/vpc-endpoint-services/{service_id}/health",
    action="vpcep:ext:health:get",
    answer=answers.ServiceHealthAnswer,
)
async def show_service_health(service_id: str, caller: CallerDep, api: ApiDep) -> Json:
    """Show whether the backend of an own endpoint service takes connections, by port.

    Whoever has the role operator asks about public services, too.
    """
    id_, sees_public = ServiceId(service_id.lower()), OPERATOR in caller.roles
    return service_health_body(await api.health.of_service(caller.project_id, id_, sees_public=sees_public))


@operation(
    router,
    "GET",
    "/vpc-endpoints/{endpoint_id}/health",
    action="vpcep:ext:health:get",
    answer=answers.EndpointHealthAnswer,
)
async def show_endpoint_health(endpoint_id: str, caller: CallerDep, api: ApiDep) -> Json:
    """Show whether the backend behind an own endpoint takes connections."""
    id_ = endpoint_id_of(endpoint_id)
    return endpoint_health_body(id_, await api.health.of_endpoint(caller.project_id, id_))


def endpoint_id_of(text: str) -> EndpointId:
    """Return the endpoint id in a path.

    Raises:
        InvalidEndpointId: it is no UUID.
    """
    lowered = text.lower()
    if not is_uuid(lowered):
        raise InvalidEndpointId("the endpoint id in the path must be a UUID")
    return EndpointId(lowered)
