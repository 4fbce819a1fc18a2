"""Route of traces, an extension of the contract: what happens to a connection, hop by hop."""

from fastapi import APIRouter, Request

from landbridge.api import diagnosis_answers as answers
from landbridge.api.auth import ApiDep, CallerDep
from landbridge.api.diagnosis_presentation import trace_body
from landbridge.api.diagnosis_schemas import TraceBody, trace_wish
from landbridge.api.forwarding import DataPlaneRoute
from landbridge.api.operations import operation
from landbridge.api.policy import OPERATOR
from landbridge.api.presentation import Json
from landbridge.api.requests import read_object
from landbridge.api.routes.health import endpoint_id_of

router = APIRouter(prefix="/v1/{project_id}/ext", tags=["diagnosis"], route_class=DataPlaneRoute)


@operation(
    router,
    "POST",
    "/vpc-endpoints/{endpoint_id}/trace",
    action="vpcep:ext:trace:get",
    body=TraceBody,
    answer=answers.TraceAnswer,
)
async def trace_endpoint(endpoint_id: str, request: Request, caller: CallerDep, api: ApiDep) -> Json:
    """Say what happens to a connection from a client to an endpoint, hop by hop, and what to do where it is stopped.

    A consumer traces its own endpoints and names the client. A provider traces the endpoints that are connected to its
    services, and leaves the client out. Whoever has the role operator traces all. Nothing is changed.
    """
    id_, wish = endpoint_id_of(endpoint_id), trace_wish(await read_object(request))
    return trace_body(await api.tracing.trace(caller.project_id, id_, wish, sees_all=OPERATOR in caller.roles))
