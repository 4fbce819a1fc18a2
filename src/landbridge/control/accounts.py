"""Hold what identity works with: projects, users, keys, logins and what a token says. Secrets never show in a repr."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from landbridge.domain.ids import DomainId, ProjectId
from landbridge.domain.resources import Caller


@dataclass(frozen=True, slots=True)
class ProjectRecord:
    """A project of the built-in identity, with the domain that owns it."""

    id: ProjectId
    name: str
    domain_id: DomainId
    domain_name: str


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
class PasswordLogin:
    """Who wants a token, and for what (contract 8.1). Names or ids may be missing, not both."""

    user_id: str | None
    user_name: str | None
    user_domain_id: str | None
    user_domain_name: str | None
    password: str = field(repr=False)
    scope_project_id: str | None = None
    scope_project_name: str | None = None
    scope_domain_id: str | None = None
    scope_domain_name: str | None = None


@dataclass(frozen=True, slots=True)
class TokenFacts:
    """What a token says. `project_id` is None for a token without a project scope."""

    caller: Caller
    has_project: bool
    issued_at: datetime
    expires_at: datetime
    audit_id: str
