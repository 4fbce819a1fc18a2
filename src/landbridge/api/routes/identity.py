"""Routes of the built-in identity, in Keystone's shape (contract 8.1)."""

from collections.abc import Mapping
from datetime import datetime

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, StrictStr
from starlette.responses import JSONResponse

from landbridge.api.auth import ApiDep, token_facts
from landbridge.api.presentation import Json
from landbridge.api.requests import parse, read_object
from landbridge.api.services import Api
from landbridge.control.accounts import PasswordLogin, TokenFacts
from landbridge.domain.errors import Forbidden, InvalidParameter, Unauthenticated

router = APIRouter(prefix="/v3", tags=["identity"])

_NAME_LIMIT = 255
_PASSWORD_LIMIT = 4096


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _Named(_Part):
    id: StrictStr | None = Field(default=None, max_length=_NAME_LIMIT)
    name: StrictStr | None = Field(default=None, max_length=_NAME_LIMIT)


class _User(_Named):
    domain: _Named = _Named()
    password: StrictStr = Field(max_length=_PASSWORD_LIMIT, repr=False)


class _Password(_Part):
    user: _User


class _Methods(_Part):
    methods: list[StrictStr]
    password: _Password | None = None


class _Project(_Named):
    domain: _Named = _Named()


class _Scope(_Part):
    project: _Project | None = None
    domain: _Named | None = None


class _Auth(_Part):
    identity: _Methods
    scope: _Scope | StrictStr | None = None


class _TokenRequest(_Part):
    auth: _Auth


@router.get("")
@router.get("/")
async def discover(api: ApiDep) -> Json:
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


@router.post("/auth/tokens", status_code=201)
async def issue_token(request: Request, api: ApiDep) -> JSONResponse:
    """Exchange a password for a token."""
    token, facts = await api.identity.issue(_login(await read_object(request)))
    return JSONResponse(_token_body(api, facts), 201, headers={"X-Subject-Token": token})


@router.get("/auth/tokens")
async def show_token(request: Request, api: ApiDep) -> JSONResponse:
    """Say what a token is good for; users ask about their own tokens."""
    asker = await token_facts(api, request.headers.get("x-auth-token"))
    subject = request.headers.get("x-subject-token")
    if not subject:
        raise InvalidParameter("X-Subject-Token is missing: send the token that the question is about")
    facts = await token_facts(api, subject)
    if facts.caller.user_id != asker.caller.user_id:
        raise Forbidden("the token belongs to another user")
    return JSONResponse(_token_body(api, facts), 200, headers={"X-Subject-Token": subject})


def _login(document: Mapping[str, object]) -> PasswordLogin:
    auth = parse(_TokenRequest, document, {}).auth
    if auth.identity.methods != ["password"] or auth.identity.password is None:
        raise Unauthenticated("only the method password is known here")
    user = auth.identity.password.user
    scope = auth.scope if isinstance(auth.scope, _Scope) else _Scope()
    project = scope.project
    project_domain = project.domain if project is not None else None
    domain = scope.domain or project_domain
    return PasswordLogin(
        user_id=user.id,
        user_name=user.name,
        user_domain_id=user.domain.id,
        user_domain_name=user.domain.name,
        password=user.password,
        scope_project_id=project.id if project else None,
        scope_project_name=project.name if project else None,
        scope_domain_id=domain.id if domain else None,
        scope_domain_name=domain.name if domain else None,
    )


def _token_body(api: Api, facts: TokenFacts) -> Json:
    caller = facts.caller
    domain = {"id": caller.domain_id, "name": caller.domain_name}
    token: Json = {
        "methods": ["password"],
        "issued_at": _micros(facts.issued_at),
        "expires_at": _micros(facts.expires_at),
        "audit_ids": [facts.audit_id],
        "user": {
            "id": caller.user_id,
            "name": caller.user_name,
            "domain": domain,
            "password_expires_at": None,
        },
    }
    if facts.has_project:
        token |= {
            "project": {"id": caller.project_id, "name": caller.project_name, "domain": domain},
            "is_domain": False,
            "roles": [{"id": role, "name": role} for role in sorted(caller.roles)],
            "catalog": _catalogue(api, caller.project_id),
        }
    return {"token": token}


def _catalogue(api: Api, project_id: str) -> list[Json]:
    def service(type_: str, name: str, url: str) -> Json:
        endpoint = {
            "id": f"{type_}-public",
            "interface": "public",
            "region": api.region,
            "region_id": api.region,
            "url": url,
        }
        return {"id": type_, "type": type_, "name": name, "endpoints": [endpoint]}

    return [
        service("identity", "iam", f"{api.public_url}/v3"),
        service("vpcep", "vpcep", f"{api.public_url}/v1/{project_id}"),
    ]


def _micros(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
