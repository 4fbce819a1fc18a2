"""Make, list and remove projects, users and access keys of the built-in identity by command.

What a lab file made belongs to the lab file: it is shown here, and changed there. Everything else is the commands'.
A domain exists as long as a project or a user is in it. Each change is one transaction, so it may happen while a
server uses the same database; a server notices within seconds. Secrets leave this module once, when they are made.
"""

import re
import secrets
import string
import uuid
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

from landbridge.control.accounts import AccessKey, AccountOrigin, ProjectRecord, UserRecord
from landbridge.control.protocols import ReadTransaction, Store, WriteTransaction
from landbridge.control.queries import EndpointQuery, Page, ServiceQuery
from landbridge.domain.errors import OperatorError
from landbridge.domain.ids import DomainId, ProjectId
from landbridge.domain.resources import QuotaType
from landbridge.identity.passwords import PasswordHashes
from landbridge.identity.sealing import Secret, SecretSeal

ROLES: Final = ("reader", "member", "admin", "operator")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_USER_NAME = re.compile(r"[!-~]{1,64}")
_LONGEST_PASSWORD: Final = 4096
_SHOWN: Final = 5
_LETTERS_AND_DIGITS: Final = string.ascii_letters + string.digits
_CAPITALS_AND_DIGITS: Final = string.ascii_uppercase + string.digits

T = TypeVar("T", ProjectRecord, UserRecord)


@dataclass(frozen=True, slots=True)
class MadeUser:
    """A user who was just made. `password` is None if it was given, not made."""

    user: UserRecord
    password: Secret | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class MadeKey:
    """An access key that was just made, with its only copy of the secret key."""

    user: UserRecord
    access_key: str
    secret_key: Secret = field(repr=False)


class Administration:
    """The commands' view of the built-in identity. Names in arguments may be ids."""

    def __init__(self, store: Store, sealing_key: bytes) -> None:
        self._store = store
        self._seal = SecretSeal(sealing_key)
        self._hashes = PasswordHashes()

    async def projects(self) -> Sequence[ProjectRecord]:
        """Return all projects, by domain and name."""
        found = await self._store.read(lambda tx: tx.projects())
        return sorted(found, key=lambda project: (project.domain_name, project.name, project.id))

    async def users(self) -> Sequence[UserRecord]:
        """Return all users, by domain and name."""
        found = await self._store.read(lambda tx: tx.users())
        return sorted(found, key=lambda user: (user.domain_name, user.name, user.id))

    async def create_project(self, name: str, domain_name: str | None = None) -> ProjectRecord:
        """Make a project; without a domain it is in one of its own name.

        Raises:
            OperatorError: the domain has one of this name, or a name is not allowed.
        """
        _check_name(_NAME, name, "the name of a project", "1 to 64 letters, digits, _, - and .")
        domain_name = name if domain_name is None else domain_name
        _check_name(_NAME, domain_name, "the name of a domain", "1 to 64 letters, digits, _, - and .")

        def work(tx: WriteTransaction) -> ProjectRecord:
            if any((project.domain_name, project.name) == (domain_name, name) for project in tx.projects()):
                raise OperatorError(f"domain {domain_name} has a project {name} already: take another name")
            project = ProjectRecord(
                id=ProjectId(uuid.uuid4().hex),
                name=name,
                domain_id=_domain_id(tx, domain_name),
                domain_name=domain_name,
                origin=AccountOrigin.COMMAND,
            )
            tx.put_project(project)
            return project

        return await self._store.write(work)

    async def delete_project(self, project: str, domain_name: str | None = None) -> ProjectRecord:
        """Remove a project that owns nothing, and the roles and quotas in it; its users stay.

        Raises:
            OperatorError: there is no such project, it is the lab file's, or it still owns something.
        """

        def work(tx: WriteTransaction) -> ProjectRecord:
            found = _find_project(tx, project, domain_name)
            _refuse_lab_file(found.origin, f"project {found.name}")
            owned = _owned(tx, found.id)
            if owned:
                raise OperatorError(f"project {found.name} still owns {'; '.join(owned)}: delete them first")
            for type_ in QuotaType:
                tx.put_quota(found.id, type_, None)
            tx.remove_project(found.id)
            return found

        return await self._store.write(work)

    async def create_user(
        self,
        name: str,
        projects: Sequence[str],
        roles: Collection[str],
        domain_name: str | None = None,
        password: Secret | None = None,
    ) -> MadeUser:
        """Make a user who has these roles in these projects; without a domain in that of the first project.

        Without a password one is made.

        Raises:
            OperatorError: there is no such project, the domain has a user of this name, or something is not allowed.
        """
        _check_name(_USER_NAME, name, "the name of a user", "1 to 64 ASCII characters without spaces")
        if domain_name is not None:
            _check_name(_NAME, domain_name, "the name of a domain", "1 to 64 letters, digits, _, - and .")
        if unknown := sorted(set(roles) - set(ROLES)):
            raise OperatorError(f"there is no role {unknown[0]}: take {', '.join(ROLES[:-1])} or {ROLES[-1]}")
        if not roles or not projects:
            raise OperatorError("a user needs a project and a role in it: give both")
        if password is not None and not 1 <= len(password.reveal()) <= _LONGEST_PASSWORD:
            raise OperatorError(f"a password has 1 to {_LONGEST_PASSWORD} characters: give another one")
        chosen = Secret(_random(_LETTERS_AND_DIGITS, 24)) if password is None else password
        # Before the transaction: hashing is slow on purpose, and a server may wait for the database.
        password_hash = await self._hashes.hash(chosen)

        def work(tx: WriteTransaction) -> UserRecord:
            found = [_find_project(tx, project, domain_name) for project in projects]
            domain_id, domain = found[0].domain_id, found[0].domain_name
            if domain_name is not None:
                domain_id, domain = _domain_id(tx, domain_name), domain_name
            if any(user.domain_name == domain for user in tx.users_named(name)):
                raise OperatorError(f"domain {domain} has a user {name} already: take another name")
            user = UserRecord(
                id=uuid.uuid4().hex,
                name=name,
                domain_id=domain_id,
                domain_name=domain,
                password_hash=password_hash,
                roles={project.id: frozenset(roles) for project in found},
                origin=AccountOrigin.COMMAND,
            )
            tx.put_user(user)
            return user

        user = await self._store.write(work)
        return MadeUser(user, chosen if password is None else None)

    async def delete_user(self, user: str, domain_name: str | None = None) -> UserRecord:
        """Remove a user with all access keys; the user's tokens end within seconds.

        Raises:
            OperatorError: there is no such user, or it is the lab file's.
        """

        def work(tx: WriteTransaction) -> UserRecord:
            found = _find_user(tx, user, domain_name)
            _refuse_lab_file(found.origin, f"user {found.name}")
            tx.remove_user(found.id)
            return found

        return await self._store.write(work)

    async def create_key(self, user: str, domain_name: str | None = None) -> MadeKey:
        """Make an access key for a user.

        Raises:
            OperatorError: there is no such user, or it is the lab file's.
        """
        access_key, secret_key = _random(_CAPITALS_AND_DIGITS, 20), Secret(_random(_LETTERS_AND_DIGITS, 40))
        made = AccessKey(access_key, self._seal.seal(access_key, secret_key))

        def work(tx: WriteTransaction) -> UserRecord:
            found = _find_user(tx, user, domain_name)
            _refuse_lab_file(found.origin, f"user {found.name}")
            holder = replace(found, access_keys=(*found.access_keys, made))
            tx.put_user(holder)
            return holder

        return MadeKey(await self._store.write(work), access_key, secret_key)

    async def delete_key(self, access_key: str) -> UserRecord:
        """Remove an access key; return who held it. Requests signed with it are refused from now on.

        Raises:
            OperatorError: there is no such key, or it is the lab file's.
        """

        def work(tx: WriteTransaction) -> UserRecord:
            found = tx.user_by_access_key(access_key)
            if found is None:
                raise OperatorError(f"there is no access key {access_key}: `landbridge key list` shows them all")
            _refuse_lab_file(found.origin, f"user {found.name}")
            kept = tuple(key for key in found.access_keys if key.access_key != access_key)
            tx.put_user(replace(found, access_keys=kept))
            return found

        return await self._store.write(work)


def _check_name(rule: re.Pattern[str], name: str, what: str, meaning: str) -> None:
    if rule.fullmatch(name) is None:
        raise OperatorError(f"{what} is {meaning}: {name!r} is not")


def _domain_id(tx: ReadTransaction, name: str) -> DomainId:
    """Return the id of the domain of this name, a new one if nobody is in it."""
    for member in (*tx.projects(), *tx.users()):
        if member.domain_name == name:
            return member.domain_id
    return DomainId(uuid.uuid4().hex)


def _find_project(tx: ReadTransaction, reference: str, domain_name: str | None) -> ProjectRecord:
    projects = tx.projects()
    found = [project for project in projects if reference in {project.id, project.name}]
    return _only_one(found, f"project {reference}", "`landbridge project list` shows them all", domain_name)


def _find_user(tx: ReadTransaction, reference: str, domain_name: str | None) -> UserRecord:
    found = [user for user in tx.users() if reference in {user.id, user.name}]
    return _only_one(found, f"user {reference}", "`landbridge user list` shows them all", domain_name)


def _only_one(found: Iterable[T], what: str, advice: str, domain_name: str | None) -> T:
    """Return the one that is meant; of several, the one in the domain."""
    candidates = list(found)
    if len(candidates) > 1 and domain_name is not None:
        candidates = [one for one in candidates if one.domain_name == domain_name]
    if not candidates:
        raise OperatorError(f"there is no {what}: {advice}")
    if len(candidates) > 1:
        ids = ", ".join(f"{one.id} (domain {one.domain_name})" for one in candidates)
        raise OperatorError(f"there are several of {what}: give one of the ids {ids}")
    return candidates[0]


def _refuse_lab_file(origin: AccountOrigin, what: str) -> None:
    if origin is AccountOrigin.LAB:
        raise OperatorError(f"{what} comes from the lab file: change it there and start the server anew")


def _owned(tx: ReadTransaction, project_id: ProjectId) -> list[str]:
    """Return what a project owns, a line for each kind."""
    page = Page(limit=_SHOWN)
    services, service_count = tx.services(ServiceQuery(project_id, page=page))
    endpoints, endpoint_count = tx.endpoints(EndpointQuery(project_id, page=page))
    vpcs = tx.vpcs_of(project_id)
    kinds: list[tuple[str, list[str], int]] = [
        ("endpoint services", [service.id for service in services], service_count),
        ("endpoints", [endpoint.id for endpoint in endpoints], endpoint_count),
        ("VPCs", [vpc.id for vpc in vpcs[:_SHOWN]], len(vpcs)),
    ]
    return [
        f"{name} {', '.join(ids)}" + (f" and {count - len(ids)} more" if count > len(ids) else "")
        for name, ids, count in kinds
        if ids
    ]


def _random(alphabet: str, length: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))
