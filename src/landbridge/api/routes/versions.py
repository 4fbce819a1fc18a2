"""Routes that need no authentication: operations 1 and 2 of the contract."""

from fastapi import APIRouter

from landbridge.api import answers
from landbridge.api.auth import ApiDep
from landbridge.api.operations import operation
from landbridge.api.policy import PUBLIC
from landbridge.api.presentation import Json
from landbridge.domain.errors import RouteNotFound

router = APIRouter(tags=["versions"])


@operation(router, "GET", "/", action=PUBLIC, answer=answers.Versions)
async def list_versions(api: ApiDep) -> Json:
    """List the API versions."""
    return {"versions": [_version(api.public_url)]}


@operation(router, "GET", "/{version}", action=PUBLIC, answer=answers.Version)
async def show_version(version: str, api: ApiDep) -> Json:
    """Show one API version."""
    if version != "v1":
        raise RouteNotFound(f"there is no API version {version[:32]!r}: use v1")
    return {"version": _version(api.public_url)}


def _version(public_url: str) -> Json:
    return {
        "id": "v1",
        "status": "CURRENT",
        "updated": "2018-09-30T00:00:00Z",
        "version": "1",
        "min_version": "",
        "links": [{"rel": "self", "type": "application/json", "href": f"{public_url}/v1"}],
    }
