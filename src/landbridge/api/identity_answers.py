"""Describe the bodies of identity's answers for the OpenAPI document (contract 8.1).

Nothing is built from these models: `identity_presentation` writes the answers.
"""

from pydantic import BaseModel, ConfigDict, Field


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class IdentityErrorDetail(_Answer):
    """An error as Keystone writes it; `code` is the HTTP status."""

    code: int
    title: str
    message: str


class IdentityError(_Answer):
    """An error in Keystone's shape, with the flat pair that the Huawei SDK reads."""

    error: IdentityErrorDetail
    error_code: str
    error_msg: str


class IdentityVersionDetail(_Answer):
    """The one version of the identity API."""

    id: str
    status: str
    updated: str
    links: list[dict[str, str]]
    media_types: list[dict[str, str]] = Field(alias="media-types")


class IdentityVersion(_Answer):
    """Answer of discovery."""

    version: IdentityVersionDetail


class Reference(_Answer):
    """A domain, by both its names."""

    id: str
    name: str


class TokenUser(Reference):
    """Whose token it is."""

    domain: Reference
    password_expires_at: str | None


class TokenProject(Reference):
    """For which project it is."""

    domain: Reference


class CatalogueEndpoint(_Answer):
    """Where a service is."""

    id: str
    interface: str
    region: str
    region_id: str
    url: str


class CatalogueService(_Answer):
    """A service of the catalogue."""

    id: str
    type: str
    name: str
    endpoints: list[CatalogueEndpoint]


class TokenDetail(_Answer):
    """What a token says. It has `project` or `domain`, or neither."""

    methods: list[str]
    issued_at: str
    expires_at: str
    audit_ids: list[str]
    user: TokenUser
    project: TokenProject | None = None
    domain: Reference | None = None
    is_domain: bool | None = None
    roles: list[Reference] | None = None
    catalog: list[CatalogueService] | None = None


class TokenAnswer(_Answer):
    """What a token says; the token itself is in the header X-Subject-Token."""

    token: TokenDetail


class ListLinks(_Answer):
    """Where a list is; there is never another page."""

    self: str
    previous: None
    next: None


class ProjectAnswer(_Answer):
    """A project."""

    id: str
    name: str
    domain_id: str
    parent_id: str
    description: str
    enabled: bool
    is_domain: bool
    links: dict[str, str]


class Project(_Answer):
    """One project."""

    project: ProjectAnswer


class Projects(_Answer):
    """A list of projects."""

    projects: list[ProjectAnswer]
    links: ListLinks


class DomainAnswer(_Answer):
    """A domain."""

    id: str
    name: str
    description: str
    enabled: bool
    links: dict[str, str]


class Domains(_Answer):
    """A list of domains."""

    domains: list[DomainAnswer]
    links: ListLinks


class UserAnswer(_Answer):
    """A user."""

    id: str
    name: str
    domain_id: str
    enabled: bool
    password_expires_at: str | None
    links: dict[str, str]


class Users(_Answer):
    """A list of users."""

    users: list[UserAnswer]
    links: ListLinks


class Catalogue(_Answer):
    """Which services there are."""

    catalog: list[CatalogueService]
    links: ListLinks
