"""Read what Keystone said about a token or an access key (Identity API v3).

Pure. Whatever is missing, disabled or delegated gives less, never more; an answer that is no answer raises
`UnreadableAnswer`. Keystone's role names become ours by a table; a role that is not in it gives nothing.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import cast

from landbridge.control.accounts import DomainScope, ProjectScope, Signer, TokenFacts, User
from landbridge.domain.ids import DomainId, ProjectId
from landbridge.identity.sealing import Secret
from landbridge.identity.signed_requests import KeyHolder

_DELEGATIONS = ("trust_id", "app_cred_id", "access_token_id")
"""What binds a credential to less than its user may do; we cannot know to what, so such a credential is refused."""


class UnreadableAnswer(ValueError):
    """Keystone said something that cannot be understood; the text is for the operator."""


@dataclass(frozen=True, slots=True)
class KeyDocuments:
    """What Keystone knows about an access key: the bodies of its answers, None for what is gone."""

    credential: object = field(repr=False)
    """The secret key is in it."""
    user: object
    project: object
    role_assignments: object
    domains: Mapping[str, object]
    """By id: those of the user and of the project."""


def our_roles(names: Iterable[str], roles: Mapping[str, str]) -> frozenset[str]:
    """Return our roles for Keystone's role names."""
    return frozenset(roles[name] for name in names if name in roles)


def read_token(document: object, roles: Mapping[str, str]) -> TokenFacts:
    """Return what a token says, from the answer to `GET /v3/auth/tokens`.

    A token of the system is shown as one without a scope: nothing here is the system's.

    Raises:
        UnreadableAnswer: the answer does not describe a token.
    """
    match document:
        case {
            "token": {
                "user": {"id": str(id_), "name": str(name), "domain": {"id": str(domain_id), "name": str(domain_name)}},
                "issued_at": str(issued_at),
                "expires_at": str(expires_at),
            }
        }:
            facts = cast("Mapping[str, Mapping[str, object]]", document)["token"]
            return TokenFacts(
                user=User(id_, name, DomainId(domain_id), domain_name),
                scope=_scope(facts, roles),
                methods=tuple(_texts(facts.get("methods"))),
                issued_at=_moment(issued_at),
                expires_at=_moment(expires_at),
                audit_id=next(iter(_texts(facts.get("audit_ids"))), ""),
            )
        case _:
            raise UnreadableAnswer("Keystone's answer about a token does not describe one")


def read_key_holder(access_key: str, documents: KeyDocuments, roles: Mapping[str, str]) -> KeyHolder | None:
    """Return who holds an access key, None if it must not be used any more.

    The holder acts in one project: the one that the credential was made for.

    Raises:
        UnreadableAnswer: the answers do not describe a credential.
    """
    secret_key = _secret_key(access_key, documents.credential)
    match documents.user, documents.project:
        case (
            {"user": {"id": str(user_id), "name": str(user_name), "domain_id": str(user_domain_id), "enabled": True}},
            {"project": {"id": str(project_id), "name": str(name), "domain_id": str(domain_id), "enabled": True}},
        ):
            pass
        case _:
            return None
    user_domain_name = _enabled_domain(documents.domains.get(user_domain_id))
    domain_name = _enabled_domain(documents.domains.get(domain_id))
    if secret_key is None or user_domain_name is None or domain_name is None:
        return None
    user = User(user_id, user_name, DomainId(user_domain_id), user_domain_name)
    names = _assigned_roles(documents.role_assignments, user_id, project_id)
    scope = ProjectScope(ProjectId(project_id), name, DomainId(domain_id), domain_name, our_roles(names, roles))
    return KeyHolder(secret_key, Signer(user, (scope,)))


def _scope(token: Mapping[str, object], roles: Mapping[str, str]) -> ProjectScope | DomainScope | None:
    match token:
        case {"project": {"id": str(id_), "name": str(name)}, "is_domain": True}:
            # A project that stands for a domain: nothing can be made in it here.
            return DomainScope(DomainId(id_), name)
        case {"project": {"id": str(id_), "name": str(name), "domain": {"id": str(domain_id), "name": str(domain)}}}:
            names = _role_names(token.get("roles"))
            return ProjectScope(ProjectId(id_), name, DomainId(domain_id), domain, our_roles(names, roles))
        case {"domain": {"id": str(id_), "name": str(name)}}:
            return DomainScope(DomainId(id_), name)
        case {"project": _} | {"domain": _}:
            raise UnreadableAnswer("Keystone's answer about a token names a scope that cannot be read")
        case _:
            return None


def _secret_key(access_key: str, credential: object) -> Secret | None:
    match credential:
        case {"credential": {"type": "ec2", "blob": str(blob)}}:
            pass
        case {"credential": {"type": str()}}:
            return None
        case _:
            raise UnreadableAnswer("Keystone's answer about a credential does not describe one")
    try:
        held: object = json.loads(blob)
    except ValueError:
        # Without the text: the secret is in it.
        raise UnreadableAnswer("Keystone's EC2 credential holds no JSON") from None
    match held:
        case {"access": str(access), "secret": str(secret)} if access == access_key and secret:
            delegation = [name for name in _DELEGATIONS if cast("Mapping[str, object]", held).get(name)]
            return None if delegation else Secret(secret)
        case _:
            return None


def _enabled_domain(document: object) -> str | None:
    match document:
        case {"domain": {"name": str(name), "enabled": True}}:
            return name
        case _:
            return None


def _assigned_roles(document: object, user_id: str, project_id: str) -> Iterable[str]:
    match document:
        case {"role_assignments": list()}:
            pass
        case _:
            raise UnreadableAnswer("Keystone's answer about role assignments does not list them")
    for assignment in cast("Mapping[str, list[object]]", document)["role_assignments"]:
        match assignment:
            case {
                "role": {"name": str(name)},
                "user": {"id": str(user)},
                "scope": {"project": {"id": str(project)}},
            } if user == user_id and project == project_id:
                yield name
            case _:
                pass


def _role_names(listed: object) -> Iterable[str]:
    for role in cast("list[object]", listed) if isinstance(listed, list) else []:
        match role:
            case {"name": str(name)}:
                yield name
            case _:
                pass


def _texts(listed: object) -> Iterable[str]:
    return [item for item in cast("list[object]", listed) if isinstance(item, str)] if isinstance(listed, list) else []


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UnreadableAnswer("Keystone's answer about a token has a date that cannot be read") from error
    if moment.tzinfo is None:
        raise UnreadableAnswer("Keystone's answer about a token has a date without a time zone")
    return moment
