"""Read what clients send to sign in, in Keystone's shape (contract 8.1).

Unknown members are ignored: clients send more than they need. What is understood becomes a `PasswordLogin` or a
`TokenLogin`; whether it is right is the identity's matter.
"""

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, StrictStr

from landbridge.api.requests import parse
from landbridge.control.accounts import PasswordLogin, ScopeWish, TokenLogin
from landbridge.domain.errors import InvalidParameter, Unauthenticated

_NAME_LIMIT = 255
_PASSWORD_LIMIT = 4096
_TOKEN_LIMIT = 16 * 1024


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class NamedThing(_Part):
    """A user, project or domain, by id or by name."""

    id: StrictStr | None = Field(default=None, max_length=_NAME_LIMIT)
    name: StrictStr | None = Field(default=None, max_length=_NAME_LIMIT)


class LoginUser(NamedThing):
    """Who signs in. A name needs its domain, an id does not."""

    domain: NamedThing = NamedThing()
    password: StrictStr = Field(max_length=_PASSWORD_LIMIT, repr=False)


class PasswordMethod(_Part):
    """The method `password`."""

    user: LoginUser


class TokenMethod(_Part):
    """The method `token`: an older token, for one of another scope."""

    id: StrictStr = Field(max_length=_TOKEN_LIMIT, repr=False)


class LoginIdentity(_Part):
    """How somebody proves who they are."""

    methods: list[StrictStr]
    password: PasswordMethod | None = None
    token: TokenMethod | None = None


class ScopeProject(NamedThing):
    """A project that a token is wanted for. A name without a domain is one of the user's own domain."""

    domain: NamedThing = NamedThing()


class LoginScope(_Part):
    """What a token is wanted for: a project, a domain, or nothing."""

    project: ScopeProject | None = None
    domain: NamedThing | None = None


class Login(_Part):
    """Who wants a token, and for what."""

    identity: LoginIdentity
    scope: LoginScope | Literal["unscoped"] | None = None


class TokenRequest(_Part):
    """The body of `POST /v3/auth/tokens`."""

    auth: Login


def read_login(document: Mapping[str, object]) -> PasswordLogin | TokenLogin:
    """Return what a request for a token asks for.

    Raises:
        InvalidParameter: it is malformed, or its scope names both a project and a domain.
        Unauthenticated: it names no method, several, or one that is not known here.
    """
    auth = parse(TokenRequest, document, {}).auth
    scope = _scope(auth.scope)
    match auth.identity:
        case LoginIdentity(methods=["password"], password=PasswordMethod(user=user)):
            return PasswordLogin(
                user_id=user.id,
                user_name=user.name,
                user_domain_id=user.domain.id,
                user_domain_name=user.domain.name,
                password=user.password,
                scope=scope,
            )
        case LoginIdentity(methods=["token"], token=TokenMethod(id=token)):
            return TokenLogin(token, scope)
        case _:
            raise Unauthenticated("name one method, password or token, and send what belongs to it")


def _scope(scope: LoginScope | str | None) -> ScopeWish:
    if not isinstance(scope, LoginScope):
        return ScopeWish()
    if scope.project is not None and scope.domain is not None:
        raise InvalidParameter("auth.scope names a project and a domain: name one of them")
    if scope.project is not None:
        project = scope.project
        if project.id is None and project.name is None:
            raise InvalidParameter("auth.scope.project has neither id nor name: send one of them")
        return ScopeWish(project.id, project.name, project.domain.id, project.domain.name)
    if scope.domain is not None:
        if scope.domain.id is None and scope.domain.name is None:
            raise InvalidParameter("auth.scope.domain has neither id nor name: send one of them")
        return ScopeWish(domain_id=scope.domain.id, domain_name=scope.domain.name)
    return ScopeWish()
