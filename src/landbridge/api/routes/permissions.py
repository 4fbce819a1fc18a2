"""Routes of permissions: operations 13 to 17 of the contract."""

from fastapi import APIRouter, Request

from landbridge.api import answers
from landbridge.api.auth import ApiDep, CallerDep
from landbridge.api.connection_schemas import (
    PermissionActionBody,
    PermissionDescriptionBody,
    PermissionsToCreateBody,
    PermissionsToDeleteBody,
    permission_action,
    permission_description,
    permissions_to_create,
    permissions_to_delete,
)
from landbridge.api.operations import Parameter, operation
from landbridge.api.parameters import paging
from landbridge.api.presentation import Json, permission_body
from landbridge.api.requests import Query, read_object
from landbridge.control.queries import PermissionQuery
from landbridge.domain.ids import PermissionId, ServiceId

PAGE_LIMIT = 500
_LONGEST_FILTER = 1200

_LIST = (
    Parameter("permission", "A part of the entry.", {"type": "string", "maxLength": _LONGEST_FILTER}),
    *paging(PAGE_LIMIT),
)

router = APIRouter(prefix="/v1/{project_id}/vpc-endpoint-services/{service_id}/permissions", tags=["permissions"])


@operation(router, "GET", "", action="vpcep:permissions:list", answer=answers.PermissionList, query=_LIST)
async def list_permissions(service_id: str, request: Request, caller: CallerDep, api: ApiDep) -> Json:
    """List who may connect to an endpoint service."""
    query = Query(request)
    permissions, total = await api.permissions.list(
        caller.project_id,
        PermissionQuery(
            ServiceId(service_id),
            permission_contains=query.text("permission", longest=_LONGEST_FILTER),
            page=query.page(longest=PAGE_LIMIT),
        ),
    )
    return {"permissions": [permission_body(item) for item in permissions], "total_count": total}


@operation(
    router,
    "POST",
    "/action",
    action="vpcep:permissions:update",
    answer=answers.PermissionEntries,
    body=PermissionActionBody,
)
async def add_or_remove_permissions(service_id: str, request: Request, caller: CallerDep, api: ApiDep) -> Json:
    """Add or remove permissions; the answer repeats them in their order."""
    wish = permission_action(await read_object(request))
    change = api.permissions.add if wish.action == "add" else api.permissions.remove
    kind = await change(caller.project_id, ServiceId(service_id), wish.entries, wish.wanted_type)
    return {"permissions": wish.entries, "permission_type": kind.value}


@operation(
    router,
    "POST",
    "/batch-create",
    action="vpcep:permissions:update",
    answer=answers.Permissions,
    body=PermissionsToCreateBody,
)
async def create_permissions(service_id: str, request: Request, caller: CallerDep, api: ApiDep) -> Json:
    """Add permissions with descriptions; one that is there already stays as it is."""
    entries, wanted_type = permissions_to_create(await read_object(request))
    created = await api.permissions.create(caller.project_id, ServiceId(service_id), entries, wanted_type)
    return {"permissions": [permission_body(item) for item in created]}


@operation(
    router,
    "POST",
    "/batch-delete",
    action="vpcep:permissions:update",
    answer=answers.Permissions,
    body=PermissionsToDeleteBody,
)
async def delete_permissions(service_id: str, request: Request, caller: CallerDep, api: ApiDep) -> Json:
    """Delete permissions by their ids, all of them or none."""
    ids = permissions_to_delete(await read_object(request))
    await api.permissions.delete(caller.project_id, ServiceId(service_id), ids)
    return {"permissions": []}


@operation(
    router,
    "PUT",
    "/{permission_id}",
    action="vpcep:permissions:update",
    answer=answers.Permissions,
    body=PermissionDescriptionBody,
)
async def describe_permission(
    service_id: str, permission_id: str, request: Request, caller: CallerDep, api: ApiDep
) -> Json:
    """Change what a permission is for."""
    text = permission_description(await read_object(request))
    id_ = PermissionId(permission_id)
    described = await api.permissions.describe(caller.project_id, ServiceId(service_id), id_, text)
    return {"permissions": [permission_body(described)]}
