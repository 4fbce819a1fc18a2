"""Describe the bodies of identity's answers for the OpenAPI document (contract 8.1).

Nothing is built from these models: `identity_presentation` writes the answers.
"""

from pydantic import Field

from landbridge.api.answer_fields import Absent, Answer, Code


class IdentityErrorDetail(Answer):
    """An error as Keystone writes it; `code` is the HTTP status."""

    code: int
    title: str
    message: str


class IdentityError(Answer):
    """An error in Keystone's shape, with the flat pair that the Huawei SDK reads."""

    error: IdentityErrorDetail
    error_code: Code
    error_msg: str


class IdentityVersionDetail(Answer):
    """The one version of the identity API."""

    id: str
    status: str
    updated: str
    links: list[dict[str, str]]
    media_types: list[dict[str, str]] = Field(alias="media-types")


class IdentityVersion(Answer):
    """Answer of discovery."""

    version: IdentityVersionDetail


class Reference(Answer):
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


class CatalogueEndpoint(Answer):
    """Where a service is."""

    id: str
    interface: str
    region: str
    region_id: str
    url: str


class CatalogueService(Answer):
    """A service of the catalogue."""

    id: str
    type: str
    name: str
    endpoints: list[CatalogueEndpoint]


class TokenDetail(Answer):
    """What a token says. It has `project` or `domain`, or neither."""

    methods: list[str]
    issued_at: str
    expires_at: str
    audit_ids: list[str]
    user: TokenUser
    project: TokenProject | Absent = None
    domain: Reference | Absent = None
    is_domain: bool | Absent = None
    roles: list[Reference] | Absent = None
    catalog: list[CatalogueService] | Absent = None


class TokenAnswer(Answer):
    """What a token says; the token itself is in the header X-Subject-Token."""

    token: TokenDetail


class ListLinks(Answer):
    """Where a list is; there is never another page."""

    self: str
    previous: None
    next: None


class ProjectAnswer(Answer):
    """A project."""

    id: str
    name: str
    domain_id: str
    parent_id: str
    description: str
    enabled: bool
    is_domain: bool
    links: dict[str, str]


class Project(Answer):
    """One project."""

    project: ProjectAnswer


class Projects(Answer):
    """A list of projects."""

    projects: list[ProjectAnswer]
    links: ListLinks


class DomainAnswer(Answer):
    """A domain."""

    id: str
    name: str
    description: str
    enabled: bool
    links: dict[str, str]


class Domains(Answer):
    """A list of domains."""

    domains: list[DomainAnswer]
    links: ListLinks


class UserAnswer(Answer):
    """A user."""

    id: str
    name: str
    domain_id: str
    enabled: bool
    password_expires_at: str | None
    links: dict[str, str]


class Users(Answer):
    """A list of users."""

    users: list[UserAnswer]
    links: ListLinks


class Catalogue(Answer):
    """Which services there are."""

    catalog: list[CatalogueService]
    links: ListLinks
