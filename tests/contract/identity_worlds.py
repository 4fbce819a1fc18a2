"""The same small world for every identity: ann is admin in her project, and has nothing in another."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

from landbridge.control.accounts import PasswordLogin, ProjectScope, ScopeWish, User
from landbridge.control.protocols import Identity, WriteTransaction
from landbridge.domain.ids import DomainId, ProjectId
from landbridge.identity.builtin import BuiltinIdentity
from landbridge.identity.provisioning import NewProject, NewUser, provision
from landbridge.identity.sealing import Secret
from landbridge.store.postgresql import PostgresqlStore
from landbridge.store.sqlite import SqliteStore
from tests.keystone import Keystone
from tests.keystone_identity import keystone_identity
from tests.unit.identity.identity_world import CountedIds, HandClock, RecordStore


@dataclass(frozen=True)
class Member:
    """A user, the one project in which the user has a role, and the user's access key for it."""

    user: User
    scope: ProjectScope
    access_key: str
    secret_key: Secret


@dataclass(frozen=True)
class World:
    """An identity, and who is in it."""

    identity: Identity
    clock: HandClock
    ann: Member
    foreign_project_id: str
    """A project in which ann has no role."""
    token: Callable[[str], Awaitable[str]]
    """Gives ann a token: `project`, `domain` or `unscoped`."""
    close: Callable[[], None]

    def set_back(self) -> None:
        """Let it be now again, for the next test."""
        self.clock.moment = datetime.now(UTC)


ACME = NewProject(ProjectId("0d5c0000000000000000000000000001"), "lab-1", DomainId("d1" * 16), "acme")
ZENITH = NewProject(ProjectId("0d5c0000000000000000000000000002"), "lab-1", DomainId("d2" * 16), "zenith")
_BUILTIN_ANN = Member(
    User("a1" * 16, "ann", ACME.domain_id, "acme"),
    ProjectScope(ACME.id, "lab-1", ACME.domain_id, "acme", frozenset({"admin"})),
    "LABACCESSKEY00000001",
    Secret("LabSecretKey/for+tests=000000000000000001"),
)
_BUILTIN_SCOPES = {
    "project": ScopeWish(project_id=ACME.id),
    "domain": ScopeWish(domain_id=ACME.domain_id),
    "unscoped": ScopeWish(),
}


@cache
def _provisioned() -> RecordStore:
    # Once: password hashes are slow on purpose.
    store = RecordStore()
    ann = NewUser(
        id=_BUILTIN_ANN.user.id,
        name="ann",
        domain_id=ACME.domain_id,
        domain_name="acme",
        password=Secret("ann's password"),
        roles={ACME.id: frozenset({"admin"})},
        access_key=_BUILTIN_ANN.access_key,
        secret_key=_BUILTIN_ANN.secret_key,
    )
    asyncio.run(provision(store, [ACME, ZENITH], [ann], sealing_key=b"e" * 32))
    return store


def builtin_world(store: PostgresqlStore | SqliteStore | None = None) -> World:
    """Return the world in a store of ours, which it closes; in memory without one."""
    clock = HandClock(datetime(2026, 11, 22, 17, 0, tzinfo=UTC))
    if store is not None:
        asyncio.run(store.write(_fill))
    identity = BuiltinIdentity(store or _provisioned().copied(), b"s" * 32, b"e" * 32, clock, CountedIds())

    async def token(scope: str) -> str:
        login = PasswordLogin(_BUILTIN_ANN.user.id, None, None, None, "ann's password", _BUILTIN_SCOPES[scope])
        return (await identity.issue(login))[0]

    close = (lambda: None) if store is None else store.close
    return World(identity, clock, _BUILTIN_ANN, ZENITH.id, token, close)


def _fill(tx: WriteTransaction) -> None:
    records = _provisioned()
    for project in records.projects():
        tx.put_project(project)
    for user in records.users():
        tx.put_user(user)


def keystone_world(keystone: Keystone) -> World:
    """Return the world in a Keystone. It takes a second, so tests share it and `set_back` its clock."""
    acme, zenith = keystone.account("acme"), keystone.account("zenith")
    ann = keystone.person(acme, "VPCEndpoint Administrator")
    keys = keystone.key_pair(ann)
    domain_id = DomainId(acme.domain_id)
    member = Member(
        User(ann.id, ann.name, domain_id, acme.name),
        ProjectScope(ProjectId(acme.project_id), acme.name, domain_id, acme.name, frozenset({"admin"})),
        keys.access,
        Secret(keys.secret),
    )
    # Without a role on the domain, Keystone gives no token for it.
    granted = keystone.call("PUT", f"domains/{domain_id}/users/{ann.id}/roles/{keystone.role('member')}")
    assert granted.status == 204, granted
    clock = HandClock(datetime.now(UTC))
    identity = keystone_identity(keystone.url, clock)
    scopes: dict[str, Any] = {
        "project": {"project": {"id": acme.project_id}},
        "domain": {"domain": {"id": acme.domain_id}},
        "unscoped": "unscoped",
    }

    async def token(scope: str) -> str:
        return await asyncio.to_thread(keystone.sign_in, ann.id, ann.password, scopes[scope])

    return World(identity, clock, member, zenith.project_id, token, identity.close)
