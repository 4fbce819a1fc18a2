"""Find out who sends a request, and whether they may do what its route does in the project of the path.

A request carries a token or a signature (contract 8); with both, the signature counts, as an intermediary cannot add
one. Order of refusals: malformed project (400), unknown caller (401), too many requests (400), foreign project (403),
role too small (403).
"""

import re
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Annotated

from fastapi import Depends, Request

from landbridge.api.limits import address_subject, payer_of_signature, payer_of_token, signature_subject
from landbridge.api.operations import action_of
from landbridge.api.policy import allows, least_role
from landbridge.api.requests import read_body
from landbridge.api.services import Api
from landbridge.control.accounts import (
    ProjectScope,
    SignedRequest,
    Signer,
    TokenFacts,
    User,
    signing_caller,
    token_caller,
)
from landbridge.control.actors import caller_acts
from landbridge.domain.errors import Forbidden, InvalidProjectId, Unauthenticated
from landbridge.domain.resources import Caller

_PROJECT_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_ONCE = frozenset({"authorization", "x-project-id"})
"""Headers that we read ourselves, whether they were signed or not."""
_TOKEN_LIMIT = 16 * 1024


async def api_of(request: Request) -> Api:
    """Return what stands behind the routes. Asynchronous only because FastAPI runs others in threads."""
    api = request.app.state.api
    assert isinstance(api, Api)  # noqa: S101 — set once, by create_app
    # Left by the transport where no setting says how clients reach us: through a trusted proxy, it says so.
    public_url = getattr(request.state, "public_url", None)
    return api if public_url is None else replace(api, public_url=public_url)


ApiDep = Annotated[Api, Depends(api_of)]


async def caller_of(request: Request, project_id: str, api: ApiDep) -> Caller:
    """Return the caller, who may do what the route does in the project of the path."""
    action = action_of(request)
    if _PROJECT_ID.fullmatch(project_id) is None:
        raise InvalidProjectId("the project id in the path must be 1 to 64 letters, digits, hyphens and underscores")
    caller = await _authenticate(request, project_id, api)
    if not allows(action, caller.roles):
        raise Forbidden(f"none of the caller's roles allows {action}: ask for the role {least_role(action)}")
    caller_acts(caller, action)
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
        method=getattr(request.state, "sent_method", request.method),
        path=request.scope.get("raw_path", b"").decode("latin-1"),
        query=request.scope.get("query_string", b"").decode("latin-1"),
        headers=_received_headers(request),
        body=await read_body(request),
    )


async def verified_signer(request: Request, api: Api) -> Signer:
    """Return who signed a request.

    Raises:
        Unauthenticated: nobody whom we know.
        TooManyRequests: too many signatures with this access key, from this address, were wrong.
    """
    signed = await signed_request(request)
    async with api.limits.signing_in(signature_subject(client_host(request), request.headers["authorization"])):
        return await api.identity.verify_signature(signed)


def guarded_sign_in(request: Request, api: Api) -> AbstractAsyncContextManager[None]:
    """Return what the check of a password stands in; many failed ones from one address are followed by a refusal."""
    return api.limits.signing_in(address_subject(client_host(request)))


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks identity about themselves, and the project that they ask for, if there is one."""

    user: User
    project_id: str | None


async def asker_of(request: Request, api: ApiDep) -> Asker:
    """Return who asks, by a token of any scope or by a signature.

    Raises:
        Unauthenticated: neither, or not a valid one.
        Forbidden: X-Project-Id names a project in which the signer has no role.
    """
    if not is_signed(request):
        facts = await token_facts(api, request.headers.get("x-auth-token"))
        api.limits.count_request(payer_of_token(facts))
        return Asker(facts.user, facts.scope.project_id if isinstance(facts.scope, ProjectScope) else None)
    signer = await verified_signer(request, api)
    wanted = request.headers.get("x-project-id", "").strip()
    api.limits.count_request(payer_of_signature(signer, wanted))
    if wanted:
        return Asker(signer.user, signing_caller(signer, wanted).project_id)
    return Asker(signer.user, signer.projects[0].project_id if len(signer.projects) == 1 else None)


AskerDep = Annotated[Asker, Depends(asker_of)]


def client_host(request: Request) -> str | None:
    """Return the client's address; a trusted proxy's word about it is in there already."""
    return request.client.host if request.client is not None else None


async def _authenticate(request: Request, project_id: str, api: Api) -> Caller:
    if not is_signed(request):
        facts = await token_facts(api, request.headers.get("x-auth-token"))
        api.limits.count_request(payer_of_token(facts))
        return token_caller(facts, project_id)
    signer = await verified_signer(request, api)
    api.limits.count_request(payer_of_signature(signer, project_id))
    if request.headers.get("x-project-id", project_id).strip() != project_id:
        raise Forbidden("X-Project-Id names another project than the path")
    return signing_caller(signer, project_id)


def _received_headers(request: Request) -> dict[str, str]:
    """Return the headers as they were received, names in lower case; values are UTF-8 where they can be."""
    headers: dict[str, str] = {}
    for name, value in request.headers.raw:
        key = name.decode("latin-1").lower()
        if key in headers and key in _ONCE:
            raise Unauthenticated(f"the header {key} was sent twice: send it once")
        try:
            text = value.decode()
        except UnicodeDecodeError:
            text = value.decode("latin-1")
        # Proxies add lines of their own (Via). Joined, a second line of a signed header breaks the signature.
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers
