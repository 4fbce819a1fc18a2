"""Routes of tags: operations 28, 29 and 30 of the contract.

The first part of these paths is a variable, so this router comes after those whose paths begin with a word.
"""

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from landbridge.api import answers
from landbridge.api.auth import ApiDep, CallerDep
from landbridge.api.operations import operation
from landbridge.api.presentation import Json
from landbridge.api.requests import read_object
from landbridge.api.tag_schemas import FindBody, TagActionBody, tag_action, tag_search
from landbridge.domain.errors import InvalidResourceType
from landbridge.domain.tagging import ResourceType, TaggedResource

Kind = Annotated[str, Path(description="What carries the tags.", json_schema_extra={"enum": list(ResourceType)})]

router = APIRouter(prefix="/v1/{project_id}/{resource_type}", tags=["tags"])


@operation(router, "GET", "/tags", action="vpcep:tags:list", answer=answers.ProjectTags)
async def list_tags(resource_type: Kind, caller: CallerDep, api: ApiDep) -> Json:
    """List the tags that the project's services or endpoints carry."""
    gathered = await api.tagging.gather(caller.project_id, _kind(resource_type))
    return {"tags": [{"key": key, "values": values} for key, values in gathered.items()]}


@operation(router, "POST", "/{resource_id}/tags/action", action="vpcep:tags:update", body=TagActionBody, status=204)
async def create_or_delete_tags(
    resource_type: Kind, resource_id: str, request: Request, caller: CallerDep, api: ApiDep
) -> Response:
    """Add tags to a service or an endpoint, or take them away."""
    kind = _kind(resource_type)
    new, removals = tag_action(await read_object(request))
    if new:
        await api.tagging.add(caller.project_id, kind, resource_id, new)
    else:
        await api.tagging.remove(caller.project_id, kind, resource_id, removals)
    return Response(status_code=204)


@operation(
    router,
    "POST",
    "/resource_instances/action",
    action="vpcep:resource:list",
    body=FindBody,
    answer=answers.FoundResources,
)
async def find_by_tags(resource_type: Kind, request: Request, caller: CallerDep, api: ApiDep) -> Json:
    """Find services or endpoints by their tags, or count them."""
    kind = _kind(resource_type)
    search = tag_search(await read_object(request), api.tagging.rules)
    found = await api.tagging.find(caller.project_id, kind, search.wanted)
    if search.counts_only:
        return {"total_count": len(found)}
    page = found[search.offset : search.offset + search.limit]
    return {"resources": [_resource(item) for item in page], "total_count": len(found)}


def _kind(resource_type: str) -> ResourceType:
    if resource_type not in set(ResourceType):
        raise InvalidResourceType("the resource type in the path must be endpoint_service or endpoint")
    return ResourceType(resource_type)


def _resource(item: TaggedResource) -> Json:
    return {
        "resource_id": item.id,
        "resource_name": item.name,
        "resource_detail": None,
        "tags": [{"key": key, "value": value} for key, value in item.tags.items()],
    }
