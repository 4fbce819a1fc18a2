"""Hold what identity works with: projects, users, keys, logins and what a token or a signature proves.

Who somebody is (`User`) is one thing, where they act another: a token is scoped to a project, to a domain or to
nothing, a signature to nothing until the path names a project. Only a `Caller` acts in a project.
Secrets never show in a repr.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from landbridge.domain.errors import Forbidden
from landbridge.domain.ids import DomainId, ProjectId
from landbridge.domain.resources import Caller


class AccountOrigin(StrEnum):
    """Who made a project or a user of the built-in identity, and so who alone may change or remove it."""

    LAB = "lab"
    COMMAND = "command"


@dataclass(frozen=True, slots=True)
class ProjectRecord:
    """A project of the built-in identity, with the domain that owns it."""

    id: ProjectId
    name: str
    domain_id: DomainId
    domain_name: str
    origin: AccountOrigin = AccountOrigin.LAB


@dataclass(frozen=True, slots=True)
class AccessKey:
    """A key pair for signed requests. `sealed_secret` is the encrypted secret key."""

    access_key: str
    sealed_secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class UserRecord:
    """A user of the built-in identity."""

    id: str
    name: str
    domain_id: DomainId
    domain_name: str
    password_hash: str = field(repr=False)
    roles: Mapping[ProjectId, frozenset[str]]
    """Role names by project."""
    access_keys: tuple[AccessKey, ...] = ()
    origin: AccountOrigin = AccountOrigin.LAB


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """An HTTP request as it was received, for checking a signature.

    `path` is the raw path (still percent-encoded), `query` the raw query string without `?`, both with one character
    for each byte (latin-1); `headers` have lower-case names and UTF-8 text as values.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who proved who they are, with the domain that the user belongs to."""

    id: str
    name: str
    domain_id: DomainId
    domain_name: str


@dataclass(frozen=True, slots=True)
class ProjectScope:
    """A project in which somebody may act, the domain that owns it, and with which roles."""

    project_id: ProjectId
    project_name: str
    domain_id: DomainId
    domain_name: str
    roles: frozenset[str]


@dataclass(frozen=True, slots=True)
class DomainScope:
    """A domain about which somebody may ask; nothing of a project can be reached with it."""

    domain_id: DomainId
    domain_name: str


@dataclass(frozen=True, slots=True)
class ScopeWish:
    """What a token is wanted for (contract 8.1). A domain beside a project says whose project; all None: no scope."""

    project_id: str | None = None
    project_name: str | None = None
    domain_id: str | None = None
    domain_name: str | None = None


@dataclass(frozen=True, slots=True)
class PasswordLogin:
    """Who wants a token, and for what (contract 8.1). Names or ids may be missing, not both."""

    user_id: str | None
    user_name: str | None
    user_domain_id: str | None
    user_domain_name: str | None
    password: str = field(repr=False)
    scope: ScopeWish = field(default_factory=ScopeWish)


@dataclass(frozen=True, slots=True)
class TokenLogin:
    """A token that is exchanged for one of another scope; the new one ends when the old one does."""

    token: str = field(repr=False)
    scope: ScopeWish = field(default_factory=ScopeWish)


@dataclass(frozen=True, slots=True)
class TokenFacts:
    """What a token says."""

    user: User
    scope: ProjectScope | DomainScope | None
    methods: tuple[str, ...]
    """How its owner proved who they are: `password`, `token`."""
    issued_at: datetime
    expires_at: datetime
    audit_id: str


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signed a request, and every project in which the signer has a role."""

    user: User
    projects: tuple[ProjectScope, ...]


def token_caller(facts: TokenFacts, project_id: str) -> Caller:
    """Return the owner of a token, acting in a project.

    Raises:
        Forbidden: the token is not scoped to this project.
    """
    if not isinstance(facts.scope, ProjectScope):
        raise Forbidden("the token has no project: ask for one that is scoped to the project of the path")
    if facts.scope.project_id != project_id:
        raise Forbidden("the token is for another project than the path")
    return _caller(facts.user, facts.scope)


def signing_caller(signer: Signer, project_id: str) -> Caller:
    """Return the signer of a request, acting in a project.

    Raises:
        Forbidden: the signer has no role in it.
    """
    for scope in signer.projects:
        if scope.project_id == project_id and scope.roles:
            return _caller(signer.user, scope)
    raise Forbidden(f"the signer has no role in project {project_id}")


def _caller(user: User, scope: ProjectScope) -> Caller:
    return Caller(
        user_id=user.id,
        user_name=user.name,
        domain_id=scope.domain_id,
        domain_name=scope.domain_name,
        project_id=scope.project_id,
        project_name=scope.project_name,
        roles=scope.roles,
    )
