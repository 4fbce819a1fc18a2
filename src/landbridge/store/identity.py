"""Keep the tables of the built-in identity: projects, users, their roles and access keys.

Secrets come in sealed or hashed and are never looked into here.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, bindparam, delete, insert, select

from landbridge.control.accounts import AccessKey, AccountOrigin, ProjectRecord, UserRecord
from landbridge.domain.ids import ProjectId
from landbridge.store.directory import put
from landbridge.store.rows import AnyRow, Values
from landbridge.store.tables import access_keys, projects, user_roles, users

_PROJECT = select(projects).where(projects.c.id == bindparam("id"))
_ALL_PROJECTS = select(projects).order_by(projects.c.id)
_USER = select(users).where(users.c.id == bindparam("id"))
_USERS_NAMED = select(users).where(users.c.name == bindparam("name")).order_by(users.c.domain_id)
_ALL_USERS = select(users).order_by(users.c.id)
_USER_BY_ACCESS_KEY = (
    select(users)
    .join_from(users, access_keys, access_keys.c.user_id == users.c.id)
    .where(access_keys.c.access_key == bindparam("access_key"))
)
_ROLES = select(user_roles.c.project_id, user_roles.c.role).where(user_roles.c.user_id == bindparam("user_id"))
_KEYS = (
    select(access_keys.c.access_key, access_keys.c.sealed_secret)
    .where(access_keys.c.user_id == bindparam("user_id"))
    .order_by(access_keys.c.position)
)


class IdentityReading:
    """The identity's part of a read transaction."""

    _connection: Connection

    def project(self, id_: ProjectId) -> ProjectRecord | None:
        """Return a project of the built-in identity."""
        row = self._connection.execute(_PROJECT, {"id": id_}).one_or_none()
        return None if row is None else _project(row)

    def projects(self) -> Sequence[ProjectRecord]:
        """Return all projects of the built-in identity."""
        return [_project(row) for row in self._connection.execute(_ALL_PROJECTS)]

    def user(self, id_: str) -> UserRecord | None:
        """Return a user of the built-in identity by id."""
        row = self._connection.execute(_USER, {"id": id_}).one_or_none()
        return None if row is None else self._user(row)

    def users(self) -> Sequence[UserRecord]:
        """Return all users of the built-in identity."""
        return [self._user(row) for row in self._connection.execute(_ALL_USERS).all()]

    def users_named(self, name: str) -> Sequence[UserRecord]:
        """Return the users of this name, one per domain at most."""
        return [self._user(row) for row in self._connection.execute(_USERS_NAMED, {"name": name}).all()]

    def user_by_access_key(self, access_key: str) -> UserRecord | None:
        """Return the user who holds this access key."""
        row = self._connection.execute(_USER_BY_ACCESS_KEY, {"access_key": access_key}).one_or_none()
        return None if row is None else self._user(row)

    def _user(self, row: AnyRow) -> UserRecord:
        return UserRecord(
            id=row.id,
            name=row.name,
            domain_id=row.domain_id,
            domain_name=row.domain_name,
            password_hash=row.password_hash,
            roles=self._roles(row.id),
            access_keys=tuple(
                AccessKey(access_key, sealed_secret)
                for access_key, sealed_secret in self._connection.execute(_KEYS, {"user_id": row.id})
            ),
            origin=AccountOrigin(row.origin),
        )

    def _roles(self, user_id: str) -> Mapping[ProjectId, frozenset[str]]:
        roles: defaultdict[ProjectId, set[str]] = defaultdict(set)
        for project_id, role in self._connection.execute(_ROLES, {"user_id": user_id}):
            roles[project_id].add(role)
        return {project_id: frozenset(names) for project_id, names in roles.items()}


class IdentityWriting(IdentityReading):
    """The identity's part of a write transaction."""

    def put_project(self, project: ProjectRecord) -> None:
        """Store a project of the built-in identity, or replace it."""
        values: Values = {
            "id": project.id,
            "name": project.name,
            "domain_id": project.domain_id,
            "domain_name": project.domain_name,
            "origin": project.origin.value,
        }
        put(self._connection, projects, values)

    def remove_project(self, id_: ProjectId) -> None:
        """Forget a project and its users' roles in it."""
        self._connection.execute(delete(user_roles).where(user_roles.c.project_id == id_))
        self._connection.execute(delete(projects).where(projects.c.id == id_))

    def put_user(self, user: UserRecord) -> None:
        """Store a user of the built-in identity, or replace it, access keys included."""
        values: Values = {
            "id": user.id,
            "name": user.name,
            "domain_id": user.domain_id,
            "domain_name": user.domain_name,
            "password_hash": user.password_hash,
            "origin": user.origin.value,
        }
        put(self._connection, users, values)
        self._forget_roles_and_keys(user.id)
        roles = [
            {"user_id": user.id, "project_id": project_id, "role": role}
            for project_id, names in user.roles.items()
            for role in names
        ]
        if roles:
            self._connection.execute(insert(user_roles), roles)
        keys = [
            {
                "access_key": key.access_key,
                "user_id": user.id,
                "position": position,
                "sealed_secret": key.sealed_secret,
            }
            for position, key in enumerate(user.access_keys)
        ]
        if keys:
            self._connection.execute(insert(access_keys), keys)

    def remove_user(self, id_: str) -> None:
        """Forget a user and the user's access keys."""
        self._forget_roles_and_keys(id_)
        self._connection.execute(delete(users).where(users.c.id == id_))

    def _forget_roles_and_keys(self, user_id: str) -> None:
        self._connection.execute(delete(user_roles).where(user_roles.c.user_id == user_id))
        self._connection.execute(delete(access_keys).where(access_keys.c.user_id == user_id))


def _project(row: AnyRow) -> ProjectRecord:
    return ProjectRecord(
        id=row.id,
        name=row.name,
        domain_id=row.domain_id,
        domain_name=row.domain_name,
        origin=AccountOrigin(row.origin),
    )
