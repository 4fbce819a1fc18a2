"""Routes of the built-in identity, in Keystone's shape (contract 8.1). Where identity is somebody else's, none is here.

Whoever proves who they are, by a token of any scope or by a signature, may ask about themselves, and about nobody
else: a foreign project is as absent as an unknown one.
"""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import JSONResponse

from landbridge.api import identity_answers as answers
from landbridge.api.auth import ApiDep, AskerDep, guarded_sign_in, token_facts
from landbridge.api.identity_presentation import (
    catalogue,
    domain_body,
    list_body,
    project_body,
    token_body,
    user_body,
)
from landbridge.api.identity_schemas import TokenRequest, read_login
from landbridge.api.operations import Parameter, operation
from landbridge.api.policy import PUBLIC, SIGNED_IN
from landbridge.api.presentation import Json
from landbridge.api.requests import Query, read_object
from landbridge.control.accounts import PasswordLogin, ProjectRecord
from landbridge.control.protocols import TokenIssuer
from landbridge.domain.errors import Forbidden, InvalidParameter, RouteNotFound

router = APIRouter(prefix="/v3", tags=["identity"])

_NAME_LIMIT = 255
_NAME = Parameter("name", "Only what has exactly this name.")


async def issuer_of(api: ApiDep) -> TokenIssuer:
    """Return who gives tokens out here. Asynchronous only because FastAPI runs others in threads.

    Raises:
        RouteNotFound: nobody; identity is somebody else's.
    """
    if api.issuer is None:
        raise RouteNotFound("identity is not here: sign in at the identity service of this installation")
    return api.issuer


IssuerDep = Annotated[TokenIssuer, Depends(issuer_of)]


@operation(router, "GET", "", action=PUBLIC, answer=answers.IdentityVersion, error=answers.IdentityError)
async def discover(issuer: IssuerDep, api: ApiDep) -> Json:
    """Say which identity API this is; clients ask before they log in."""
    return {
        "version": {
            "id": "v3.14",
            "status": "stable",
            "updated": "2020-04-07T00:00:00Z",
            "links": [{"rel": "self", "href": f"{api.public_url}/v3/"}],
            "media-types": [{"base": "application/json", "type": "application/vnd.openstack.identity-v3+json"}],
        }
    }


@operation(router, "GET", "/", action=PUBLIC, answer=answers.IdentityVersion, error=answers.IdentityError)
async def discover_with_slash(issuer: IssuerDep, api: ApiDep) -> Json:
    """Say the same to clients that end the path with a slash."""
    return await discover(issuer, api)


@operation(
    router,
    "POST",
    "/auth/tokens",
    action=PUBLIC,
    is_sign_in=True,
    body=TokenRequest,
    answer=answers.TokenAnswer,
    status=201,
    error=answers.IdentityError,
)
async def issue_token(request: Request, issuer: IssuerDep, api: ApiDep) -> JSONResponse:
    """Exchange a password, or an older token, for a token in the header X-Subject-Token."""
    login = read_login(await read_object(request))
    if isinstance(login, PasswordLogin):
        async with guarded_sign_in(request, api):
            token, facts = await issuer.issue(login)
    else:
        # Tokens cannot be guessed, and one that has expired is everyday: it must not use up sign-ins.
        token, facts = await issuer.issue(login)
    return JSONResponse(token_body(api, facts), 201, headers={"X-Subject-Token": token})


@operation(router, "GET", "/auth/tokens", action=SIGNED_IN, answer=answers.TokenAnswer, error=answers.IdentityError)
async def show_token(request: Request, issuer: IssuerDep, asker: AskerDep, api: ApiDep) -> JSONResponse:
    """Say what the token in the header X-Subject-Token is good for; users ask about their own tokens."""
    subject = request.headers.get("x-subject-token")
    if not subject:
        raise InvalidParameter("X-Subject-Token is missing: send the token that the question is about")
    facts = await token_facts(api, subject)
    if facts.user.id != asker.user.id:
        raise Forbidden("the token belongs to another user: ask about your own")
    return JSONResponse(token_body(api, facts), 200, headers={"X-Subject-Token": subject})


@operation(router, "GET", "/auth/projects", action=SIGNED_IN, answer=answers.Projects, error=answers.IdentityError)
async def list_own_projects(issuer: IssuerDep, asker: AskerDep, api: ApiDep) -> Json:
    """List the projects in which the asker has a role."""
    projects = await issuer.projects_of(asker.user)
    return list_body(api, "projects", "auth/projects", [project_body(api, project) for project in projects])


@operation(
    router,
    "GET",
    "/auth/domains",
    action=SIGNED_IN,
    query=[_NAME],
    answer=answers.Domains,
    error=answers.IdentityError,
)
async def list_own_domains(request: Request, issuer: IssuerDep, asker: AskerDep, api: ApiDep) -> Json:
    """List the asker's domain: a user belongs to one."""
    name = Query(request).text("name", _NAME_LIMIT)
    found = [domain_body(api, asker.user)] if name in {None, asker.user.domain_name} else []
    return list_body(api, "domains", "auth/domains", found)


@operation(router, "GET", "/auth/catalog", action=SIGNED_IN, answer=answers.Catalogue, error=answers.IdentityError)
async def show_catalogue(issuer: IssuerDep, asker: AskerDep, api: ApiDep) -> Json:
    """Say which services there are, for the project of the token, of X-Project-Id, or the signer's only one."""
    return list_body(api, "catalog", "auth/catalog", catalogue(api, asker.project_id))


@operation(
    router,
    "GET",
    "/projects",
    action=SIGNED_IN,
    query=[_NAME, Parameter("domain_id", "Only projects that this domain owns.")],
    answer=answers.Projects,
    error=answers.IdentityError,
)
async def find_projects(request: Request, issuer: IssuerDep, asker: AskerDep, api: ApiDep) -> Json:
    """Find projects of the asker. The region's name finds the only project of whoever has just one."""
    query = Query(request)
    name, domain_id = query.text("name", _NAME_LIMIT), query.text("domain_id", _NAME_LIMIT)
    projects = [
        project
        for project in _named(await issuer.projects_of(asker.user), name, api.region)
        if domain_id in {None, project.domain_id}
    ]
    return list_body(api, "projects", "projects", [project_body(api, project) for project in projects])


@operation(
    router, "GET", "/projects/{project_id}", action=SIGNED_IN, answer=answers.Project, error=answers.IdentityError
)
async def show_project(project_id: str, issuer: IssuerDep, asker: AskerDep, api: ApiDep) -> Json:
    """Show one project of the asker."""
    for project in await issuer.projects_of(asker.user):
        if project.id == project_id:
            return {"project": project_body(api, project)}
    raise RouteNotFound("you have no such project: GET /v3/auth/projects lists yours")


@operation(router, "GET", "/users", action=SIGNED_IN, query=[_NAME], answer=answers.Users, error=answers.IdentityError)
async def find_users(request: Request, issuer: IssuerDep, asker: AskerDep, api: ApiDep) -> Json:
    """Find the asker, and nobody else."""
    name = Query(request).text("name", _NAME_LIMIT)
    found = [user_body(api, asker.user)] if name in {None, asker.user.name} else []
    return list_body(api, "users", "users", found)


def _named(projects: Sequence[ProjectRecord], name: str | None, region: str) -> Sequence[ProjectRecord]:
    """Return the projects of this name.

    In the cloud each region has a project of the region's name, and SDKs ask for it (contract 8.5). Here projects have
    names of their own, so that question means the only project, if it is only one.
    """
    if name is None:
        return projects
    named = [project for project in projects if project.name == name]
    if not named and name == region and len(projects) == 1:
        return projects
    return named
