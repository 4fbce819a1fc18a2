"""Find out who sends a request, and whether they may do what its route does in the project of the path.

A request carries a token or a signature (contract 8); with both, the signature counts, as an intermediary cannot add
one. Order of refusals: malformed project (400), unknown caller (401), foreign project (403), role too small (403).
"""

import re
from typing import Annotated

from fastapi import Depends, Request

from landbridge.api.operations import action_of
from landbridge.api.policy import allows
from landbridge.api.requests import read_body
from landbridge.api.services import Api
from landbridge.control.accounts import SignedRequest, TokenFacts, signing_caller, token_caller
from landbridge.domain.errors import Forbidden, InvalidProjectId, Unauthenticated
from landbridge.domain.resources import Caller

_PROJECT_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_TOKEN_LIMIT = 16 * 1024


async def api_of(request: Request) -> Api:
    """Return what stands behind the routes. Asynchronous only because FastAPI runs others in threads."""
    api = request.app.state.api
    assert isinstance(api, Api)  # noqa: S101 — set once, by create_app
    return api


ApiDep = Annotated[Api, Depends(api_of)]


async def caller_of(request: Request, project_id: str, api: ApiDep) -> Caller:
    """Return the caller, who may do what the route does in the project of the path."""
    action = action_of(request)
    if _PROJECT_ID.fullmatch(project_id) is None:
        raise InvalidProjectId("the project id in the path must be 1 to 64 letters, digits, hyphens and underscores")
    caller = await _authenticate(request, project_id, api)
    if not allows(action, caller.roles):
        raise Forbidden(f"none of the caller's roles allows {action}: ask for the role member")
    return caller


CallerDep = Annotated[Caller, Depends(caller_of)]


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


def is_signed(request: Request) -> bool:
    """Say whether the request claims to carry a signature."""
    return "authorization" in request.headers


async def signed_request(request: Request) -> SignedRequest:
    """Return a request as its signature sees it."""
    return SignedRequest(
        method=request.method,
        path=request.scope.get("raw_path", b"").decode("latin-1"),
        query=request.scope.get("query_string", b"").decode("latin-1"),
        headers=_received_headers(request),
        body=await read_body(request),
    )


async def _authenticate(request: Request, project_id: str, api: Api) -> Caller:
    if not is_signed(request):
        return token_caller(await token_facts(api, request.headers.get("x-auth-token")), project_id)
    signer = await api.identity.verify_signature(await signed_request(request))
    if request.headers.get("x-project-id", project_id).strip() != project_id:
        raise Forbidden("X-Project-Id names another project than the path")
    return signing_caller(signer, project_id)


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
