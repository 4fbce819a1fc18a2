"""Make the stored users and projects equal a given list, as a lab file gives it.

The list is the whole truth about what lab files made: of that, what is not in it is removed. What was made by command
stays, and a list that wants the same names or keys is refused. Giving the same list again writes nothing, and a
password that still fits keeps its hash. All changes happen in one transaction, so no request sees half of them.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from landbridge.control.accounts import AccessKey, AccountOrigin, ProjectRecord, UserRecord
from landbridge.control.protocols import ReadTransaction, Store, WriteTransaction
from landbridge.domain.errors import OperatorError
from landbridge.domain.ids import DomainId, ProjectId
from landbridge.identity.passwords import PasswordHashes
from landbridge.identity.sealing import Secret, SecretSeal
from landbridge.identity.signature import is_access_key


@dataclass(frozen=True, slots=True)
class NewProject:
    """A project that is to exist, and the domain that owns it."""

    id: ProjectId
    name: str
    domain_id: DomainId
    domain_name: str


@dataclass(frozen=True, slots=True)
class NewUser:
    """A user who is to exist. `access_key` and `secret_key` come together or not at all."""

    id: str
    name: str
    domain_id: DomainId
    domain_name: str
    password: Secret
    roles: Mapping[ProjectId, frozenset[str]] = field(default_factory=dict[ProjectId, frozenset[str]])
    """Role names by project."""
    access_key: str | None = None
    secret_key: Secret | None = None


async def provision(
    store: Store, projects: Sequence[NewProject], users: Sequence[NewUser], *, sealing_key: bytes
) -> None:
    """Make the stored projects and users of lab files equal these.

    Raises:
        OperatorError: the lists contradict themselves, or what was made by command; nothing was changed.
    """
    _check(projects, users)
    known_projects, known_users = await store.read(_list)
    known_users_by_id = {user.id: user for user in known_users}
    hashes, seal = PasswordHashes(), SecretSeal(sealing_key)
    user_records = await asyncio.gather(
        *(_user_record(user, known_users_by_id.get(user.id), hashes, seal) for user in users)
    )
    project_records = [
        ProjectRecord(id=project.id, name=project.name, domain_id=project.domain_id, domain_name=project.domain_name)
        for project in projects
    ]

    gone_projects = {project.id for project in known_projects} - {project.id for project in projects}
    changed_projects = [project for project in project_records if project not in known_projects]
    changed_users = [user for user in user_records if known_users_by_id.get(user.id) != user]
    # Changed users too are taken out first: a name or an access key may pass from one user to another.
    outgoing_users = (known_users_by_id.keys() - {user.id for user in users}) | (
        known_users_by_id.keys() & {user.id for user in changed_users}
    )
    if not (gone_projects or changed_projects or changed_users or outgoing_users):
        return

    def write(tx: WriteTransaction) -> None:
        _refuse_what_was_made_by_command(tx, projects, users)
        for user_id in sorted(outgoing_users):
            tx.remove_user(user_id)
        for project_id in sorted(gone_projects):
            tx.remove_project(project_id)
        for project in changed_projects:
            tx.put_project(project)
        for user in changed_users:
            tx.put_user(user)

    await store.write(write)


def _list(tx: ReadTransaction) -> tuple[Sequence[ProjectRecord], Sequence[UserRecord]]:
    return (
        [project for project in tx.projects() if project.origin is AccountOrigin.LAB],
        [user for user in tx.users() if user.origin is AccountOrigin.LAB],
    )


def _refuse_what_was_made_by_command(
    tx: ReadTransaction, projects: Sequence[NewProject], users: Sequence[NewUser]
) -> None:
    made_projects = [project for project in tx.projects() if project.origin is AccountOrigin.COMMAND]
    made_users = [user for user in tx.users() if user.origin is AccountOrigin.COMMAND]
    domain_ids = {one.domain_name: one.domain_id for one in (*made_projects, *made_users)}
    for one in (*projects, *users):
        if domain_ids.get(one.domain_name, one.domain_id) != one.domain_id:
            raise _taken(f"domain {one.domain_name}", "write another one there, or delete its projects and users")
    taken_projects = {(project.domain_id, project.name) for project in made_projects}
    for project in projects:
        if (project.domain_id, project.name) in taken_projects:
            raise _taken(f"project {project.name}", "write another name there, or `landbridge project delete` it")
    taken_users = {(user.domain_id, user.name) for user in made_users}
    taken_keys = {key.access_key for user in made_users for key in user.access_keys}
    for user in users:
        if (user.domain_id, user.name) in taken_users:
            raise _taken(f"user {user.name}", "write another name there, or `landbridge user delete` this one")
        if user.access_key in taken_keys:
            raise _taken(f"access key {user.access_key}", "write another one there, or `landbridge key delete` it")


def _taken(what: str, advice: str) -> OperatorError:
    return OperatorError(f"the {what} of the lab file is there already, made by command: {advice}")


async def _user_record(user: NewUser, known: UserRecord | None, hashes: PasswordHashes, seal: SecretSeal) -> UserRecord:
    return UserRecord(
        id=user.id,
        name=user.name,
        domain_id=user.domain_id,
        domain_name=user.domain_name,
        password_hash=await _password_hash(user.password, known, hashes),
        roles={project_id: roles for project_id, roles in user.roles.items() if roles},
        access_keys=_access_keys(user, known, seal),
    )


async def _password_hash(password: Secret, known: UserRecord | None, hashes: PasswordHashes) -> str:
    if (
        known is not None
        and not hashes.is_outdated(known.password_hash)
        and await hashes.matches(known.password_hash, password)
    ):
        return known.password_hash
    return await hashes.hash(password)


def _access_keys(user: NewUser, known: UserRecord | None, seal: SecretSeal) -> tuple[AccessKey, ...]:
    if user.access_key is None or user.secret_key is None:
        return ()
    for key in known.access_keys if known else ():
        if key.access_key == user.access_key and _opens_to(key, user.secret_key, seal):
            return (key,)
    return (AccessKey(user.access_key, seal.seal(user.access_key, user.secret_key)),)


def _opens_to(key: AccessKey, secret_key: Secret, seal: SecretSeal) -> bool:
    try:
        return seal.unseal(key.access_key, key.sealed_secret) == secret_key
    except OperatorError:
        # Sealed with a key that is gone; we were given the secret, so it is sealed anew.
        return False


def _check(projects: Sequence[NewProject], users: Sequence[NewUser]) -> None:
    _refuse_repeated("project id", (project.id for project in projects))
    _refuse_repeated("project", (f"{project.name} of domain {project.domain_id}" for project in projects))
    _refuse_repeated("user id", (user.id for user in users))
    _refuse_repeated("user", (f"{user.name} of domain {user.domain_id}" for user in users))
    _refuse_repeated("access key", (user.access_key for user in users if user.access_key is not None))
    project_ids = {project.id for project in projects}
    for user in users:
        if unknown := user.roles.keys() - project_ids:
            raise OperatorError(f"user {user.name} has roles in unknown projects: {', '.join(sorted(unknown))}")
        if (user.access_key is None) != (user.secret_key is None):
            raise OperatorError(f"user {user.name} needs both access_key and secret_key, or neither")
        if not user.password.reveal():
            raise OperatorError(f"user {user.name} has an empty password: give one")
        if user.secret_key is not None and not user.secret_key.reveal():
            raise OperatorError(f"user {user.name} has an empty secret_key: give one")
        if user.access_key is not None and not is_access_key(user.access_key):
            raise OperatorError(
                f"user {user.name} has an access key that no client can send: take 1 to 128 letters, digits or hyphens"
            )


def _refuse_repeated(what: str, texts: Iterable[str]) -> None:
    for text, count in Counter(texts).items():
        if count > 1:
            raise OperatorError(f"the {what} {text} is given {count} times: give it once")
