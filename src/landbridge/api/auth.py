"""Find out who sends a request, and whether they may act in the project of the path.

A request carries a token or a signature (contract 8); with both, the signature counts, as an intermediary cannot add
one. Order of refusals: malformed project (400), unknown caller (401), foreign project (403), role too small (403).
"""

import re
from typing import Annotated

from fastapi import Depends, Request

from landbridge.api.requests import read_body
from landbridge.api.services import Api
from landbridge.control.accounts import SignedRequest, TokenFacts
from landbridge.domain.errors import Forbidden, InvalidProjectId, Unauthenticated
from landbridge.domain.resources import Caller

_PROJECT_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_WRITING_ROLES = frozenset({"member", "admin", "operator"})
_TOKEN_LIMIT = 16 * 1024


async def api_of(request: Request) -> Api:
    """Return what stands behind the routes. Asynchronous only because FastAPI runs others in threads."""
    api = request.app.state.api
    assert isinstance(api, Api)  # noqa: S101 — set once, by create_app
    return api


ApiDep = Annotated[Api, Depends(api_of)]


async def reading_caller(request: Request, project_id: str, api: ApiDep) -> Caller:
    """Return the caller, who may look at things of the project."""
    if _PROJECT_ID.fullmatch(project_id) is None:
        raise InvalidProjectId("the project id in the path must be 1 to 64 letters, digits, hyphens and underscores")
    caller = await _authenticate(request, project_id, api)
    if caller.project_id != project_id:
        raise Forbidden("the token is for another project than the path")
    return caller


async def writing_caller(caller: Annotated[Caller, Depends(reading_caller)]) -> Caller:
    """Return the caller, who may change things of the project."""
    if not caller.roles & _WRITING_ROLES:
        raise Forbidden("the role reader may look, not change: ask for the role member")
    return caller


Reader = Annotated[Caller, Depends(reading_caller)]
Writer = Annotated[Caller, Depends(writing_caller)]


async def token_facts(api: Api, token: str | None) -> TokenFacts:
    """Return what a token says.

    Raises:
        Unauthenticated: absent, over-long, forged or expired.
    """
    if not token:
        raise Unauthenticated("send X-Auth-Token, or sign the request with an access key")
    if len(token) > _TOKEN_LIMIT:
        raise Unauthenticated("the token is invalid or has expired")
    return await api.identity.verify_token(token)


async def _authenticate(request: Request, project_id: str, api: Api) -> Caller:
    if "authorization" in request.headers:
        signed = SignedRequest(
            method=request.method,
            path=request.scope.get("raw_path", b"").decode("latin-1"),
            query=request.scope.get("query_string", b"").decode("latin-1"),
            headers=_received_headers(request),
            body=await read_body(request),
        )
        return await api.identity.verify_signature(signed, project_id)
    facts = await token_facts(api, request.headers.get("x-auth-token"))
    if not facts.has_project:
        raise Forbidden("the token has no project: ask for one that is scoped to the project of the path")
    return facts.caller


def _received_headers(request: Request) -> dict[str, str]:
    """Return the headers as they were received, names in lower case; values are UTF-8 where they can be."""
    headers: dict[str, str] = {}
    for name, value in request.headers.raw:
        key = name.decode("latin-1").lower()
        if key in headers:
            raise Unauthenticated(f"the header {key} was sent twice: a signed request sends each header once")
        try:
            headers[key] = value.decode()
        except UnicodeDecodeError:
            headers[key] = value.decode("latin-1")
    return headers
