"""Write tokens, projects, domains, users and the catalogue as Keystone's clients read them (contract 8.1)."""

from datetime import datetime

from landbridge.api.presentation import Json
from landbridge.api.services import Api
from landbridge.control.accounts import DomainScope, ProjectRecord, ProjectScope, TokenFacts, User


def token_body(api: Api, facts: TokenFacts) -> Json:
    """Return what a token says. The user's own domain and the project's may be two."""
    token: Json = {
        "methods": list(facts.methods),
        "issued_at": _micros(facts.issued_at),
        "expires_at": _micros(facts.expires_at),
        "audit_ids": [facts.audit_id],
        "user": {
            "id": facts.user.id,
            "name": facts.user.name,
            "domain": _reference(facts.user.domain_id, facts.user.domain_name),
            "password_expires_at": None,
        },
    }
    match facts.scope:
        case None:
            pass
        case DomainScope(domain_id, domain_name):
            token |= {"domain": _reference(domain_id, domain_name), "roles": [], "catalog": catalogue(api, None)}
        case ProjectScope() as scope:
            token |= {
                "project": {
                    "id": scope.project_id,
                    "name": scope.project_name,
                    "domain": _reference(scope.domain_id, scope.domain_name),
                },
                "is_domain": False,
                "roles": [{"id": role, "name": role} for role in sorted(scope.roles)],
                "catalog": catalogue(api, scope.project_id),
            }
    return {"token": token}


def catalogue(api: Api, project_id: str | None) -> list[Json]:
    """Return which services there are and where; without a project only those that need none."""

    def service(type_: str, name: str, url: str) -> Json:
        endpoint = {
            "id": f"{type_}-public",
            "interface": "public",
            "region": api.region,
            "region_id": api.region,
            "url": url,
        }
        return {"id": type_, "type": type_, "name": name, "endpoints": [endpoint]}

    services = [service("identity", "iam", f"{api.public_url}/v3")]
    if project_id is not None:
        # The project is in the URL already: some clients append nothing, the others notice (contract 1.1).
        services += [
            service("vpcep", "vpcep", f"{api.public_url}/v1/{project_id}"),
            service("vpc", "vpc", f"{api.public_url}/v1/{project_id}"),
        ]
    return services


def project_body(api: Api, project: ProjectRecord) -> Json:
    """Return a project."""
    return {
        "id": project.id,
        "name": project.name,
        "domain_id": project.domain_id,
        "parent_id": project.domain_id,
        "description": "",
        "enabled": True,
        "is_domain": False,
        "links": {"self": f"{api.public_url}/v3/projects/{project.id}"},
    }


def domain_body(api: Api, user: User) -> Json:
    """Return the domain of a user."""
    return {
        "id": user.domain_id,
        "name": user.domain_name,
        "description": "",
        "enabled": True,
        "links": {"self": f"{api.public_url}/v3/domains/{user.domain_id}"},
    }


def user_body(api: Api, user: User) -> Json:
    """Return a user."""
    return {
        "id": user.id,
        "name": user.name,
        "domain_id": user.domain_id,
        "enabled": True,
        "password_expires_at": None,
        "links": {"self": f"{api.public_url}/v3/users/{user.id}"},
    }


def list_body(api: Api, name: str, path: str, items: list[Json]) -> Json:
    """Return a whole list under its name; there is never a second page."""
    return {name: items, "links": {"self": f"{api.public_url}/v3/{path}", "previous": None, "next": None}}


def _reference(id_: str, name: str) -> Json:
    return {"id": id_, "name": name}


def _micros(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
