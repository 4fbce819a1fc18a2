"""Two accounts with three projects and three users, in a store that keeps users and projects only."""

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from landbridge.control.accounts import ProjectRecord, UserRecord
from landbridge.domain.ids import DomainId, ProjectId
from landbridge.identity.provisioning import NewProject, NewUser
from landbridge.identity.sealing import Secret

SIGNING_KEY = b"s" * 32
SEALING_KEY = b"e" * 32


class RecordStore:
    """Users and projects in dicts; refuses a name or an access key that another user has, as a database does."""

    def __init__(self) -> None:
        self.projects_by_id: dict[str, ProjectRecord] = {}
        self.users_by_id: dict[str, UserRecord] = {}
        self.steps: list[str] = []
        self.look_count = 0

    def copied(self) -> "RecordStore":
        """Return a store of its own with the same records."""
        copy = RecordStore()
        copy.projects_by_id, copy.users_by_id = dict(self.projects_by_id), dict(self.users_by_id)
        return copy

    async def read(self, look: Callable[[Any], Any]) -> Any:
        self.look_count += 1
        return look(self)

    async def write(self, work: Callable[[Any], Any]) -> Any:
        return work(self)

    def project(self, id_: str) -> ProjectRecord | None:
        return self.projects_by_id.get(id_)

    def projects(self) -> list[ProjectRecord]:
        return list(self.projects_by_id.values())

    def user(self, id_: str) -> UserRecord | None:
        return self.users_by_id.get(id_)

    def users(self) -> list[UserRecord]:
        return list(self.users_by_id.values())

    def users_named(self, name: str) -> list[UserRecord]:
        name.encode()
        return [user for user in self.users() if user.name == name]

    def user_by_access_key(self, access_key: str) -> UserRecord | None:
        for user in self.users():
            if any(key.access_key == access_key for key in user.access_keys):
                return user
        return None

    def put_project(self, project: ProjectRecord) -> None:
        self.steps.append(f"put project {project.name}")
        self.projects_by_id[project.id] = project

    def put_user(self, user: UserRecord) -> None:
        self.steps.append(f"put user {user.name}")
        for other in self.users():
            if other.id != user.id:
                assert (other.name, other.domain_id) != (user.name, user.domain_id)
                assert not {key.access_key for key in other.access_keys} & {key.access_key for key in user.access_keys}
        self.users_by_id[user.id] = user

    def remove_project(self, id_: str) -> None:
        self.steps.append(f"remove project {self.projects_by_id.pop(id_).name}")

    def remove_user(self, id_: str) -> None:
        self.steps.append(f"remove user {self.users_by_id.pop(id_).name}")


class HandClock:
    def __init__(self, moment: datetime) -> None:
        self.moment = moment

    def now(self) -> datetime:
        return self.moment

    def forward(self, duration: timedelta) -> None:
        self.moment += duration


class CountedIds:
    def __init__(self) -> None:
        self._numbers = count(1)

    def new(self) -> str:
        return f"00000000-0000-4000-8000-{next(self._numbers):012d}"


ACME = NewProject(ProjectId("0d5c0000000000000000000000000001"), "lab-1", DomainId("d1"), "acme")
ACME_TWO = NewProject(ProjectId("0d5c0000000000000000000000000002"), "lab-2", DomainId("d1"), "acme")
ZENITH = NewProject(ProjectId("0d5c0000000000000000000000000003"), "lab-1", DomainId("d2"), "zenith")
# The key pair of the contract's test vectors (8.2).
ACME_ADMIN = NewUser(
    id="u1",
    name="admin",
    domain_id=DomainId("d1"),
    domain_name="acme",
    password=Secret("acme password"),
    roles={ACME.id: frozenset({"admin"})},
    access_key="LABACCESSKEY00000001",
    secret_key=Secret("LabSecretKey/for+tests=000000000000000001"),
)
ACME_READER = NewUser(
    id="u2",
    name="reader",
    domain_id=DomainId("d1"),
    domain_name="acme",
    password=Secret("reader password"),
    roles={ACME.id: frozenset({"reader"}), ACME_TWO.id: frozenset({"member"})},
    access_key="READERACCESSKEY",
    secret_key=Secret("reader secret"),
)
ZENITH_ADMIN = NewUser(
    id="u3",
    name="admin",
    domain_id=DomainId("d2"),
    domain_name="zenith",
    password=Secret("zenith password"),
    roles={ZENITH.id: frozenset({"admin"})},
)
PROJECTS = (ACME, ACME_TWO, ZENITH)
USERS = (ACME_ADMIN, ACME_READER, ZENITH_ADMIN)
