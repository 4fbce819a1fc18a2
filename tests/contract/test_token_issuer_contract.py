"""What an identity promises that also gives tokens out (`control.protocols.TokenIssuer`): only the built-in one does.

What every identity promises is in `test_identity_contract`.
"""

import asyncio
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest

from landbridge.control.accounts import (
    DomainScope,
    PasswordLogin,
    ScopeWish,
    TokenFacts,
    TokenLogin,
    token_caller,
)
from landbridge.domain.errors import Forbidden, Unauthenticated
from landbridge.domain.ids import DomainId, ProjectId
from landbridge.identity.builtin import BuiltinIdentity
from landbridge.identity.provisioning import NewProject, NewUser, provision
from landbridge.identity.sealing import Secret
from tests.unit.identity.identity_world import CountedIds, HandClock, RecordStore

ACME = NewProject(ProjectId("0d5c0000000000000000000000000001"), "lab-1", DomainId("d1" * 16), "acme")
ZENITH = NewProject(ProjectId("0d5c0000000000000000000000000002"), "lab-1", DomainId("d2" * 16), "zenith")
ADMIN = NewUser(
    id="a1" * 16,
    name="admin",
    domain_id=ACME.domain_id,
    domain_name="acme",
    password=Secret("acme password"),
    roles={ACME.id: frozenset({"admin"})},
)
NAMESAKE = NewUser(
    id="a2" * 16,
    name="admin",
    domain_id=ZENITH.domain_id,
    domain_name="zenith",
    password=Secret("zenith password"),
    roles={ZENITH.id: frozenset({"admin"})},
)


@dataclass(frozen=True)
class World:
    identity: BuiltinIdentity
    clock: HandClock


@cache
def provisioned() -> RecordStore:
    # Once: password hashes are slow on purpose.
    store = RecordStore()
    asyncio.run(provision(store, [ACME, ZENITH], [ADMIN, NAMESAKE], sealing_key=b"e" * 32))
    return store


@pytest.fixture
def world() -> World:
    clock = HandClock(datetime(2026, 11, 22, 17, 0, tzinfo=UTC))
    return World(
        BuiltinIdentity(provisioned().copied(), b"s" * 32, b"e" * 32, clock, CountedIds()),
        clock,
    )


BY_ID = PasswordLogin(ADMIN.id, None, None, None, "acme password", ScopeWish(project_id=ACME.id))
BY_NAME = PasswordLogin(
    None, "admin", None, "acme", "acme password", ScopeWish(project_name="lab-1", domain_name="acme")
)


def assert_admin_of_acme(facts: TokenFacts) -> None:
    caller = token_caller(facts, ACME.id)
    assert (facts.user.domain_id, facts.user.domain_name) == (ACME.domain_id, "acme")
    assert (caller.user_id, caller.user_name) == (ADMIN.id, "admin")
    assert (caller.domain_id, caller.domain_name) == (ACME.domain_id, "acme")
    assert (caller.project_id, caller.project_name) == (ACME.id, "lab-1")
    assert "admin" in caller.roles


@pytest.mark.parametrize(
    "login",
    [
        BY_ID,
        BY_NAME,
        replace(BY_NAME, user_domain_name=None, user_domain_id=ACME.domain_id),
        replace(BY_NAME, scope=ScopeWish(project_name="lab-1", domain_id=ACME.domain_id)),
        replace(BY_NAME, scope=ScopeWish(project_name="lab-1")),
        replace(BY_ID, scope=ScopeWish(project_name="lab-1", domain_name="acme")),
    ],
    ids=["ids", "names", "user's domain by id", "project's domain by id", "user's own domain", "user by id"],
)
async def test_a_login_gives_a_token_for_the_project(world: World, login: PasswordLogin):
    token, facts = await world.identity.issue(login)

    assert_admin_of_acme(facts)
    assert await world.identity.verify_token(token) == facts


async def test_two_tokens_differ(world: World):
    (first, first_facts), (second, second_facts) = [await world.identity.issue(BY_ID) for _ in range(2)]

    assert first != second
    assert first_facts.audit_id != second_facts.audit_id


async def test_a_token_fits_into_a_header(world: World):
    token, _ = await world.identity.issue(BY_ID)

    assert token.isascii()
    assert token.isprintable()
    assert len(token) < 4096


async def test_a_token_lives_for_a_day(world: World):
    token, facts = await world.identity.issue(BY_ID)
    assert facts.expires_at - facts.issued_at == timedelta(hours=24)

    world.clock.moment = facts.expires_at
    with pytest.raises(Unauthenticated):
        await world.identity.verify_token(token)


OWN_DOMAIN = DomainScope(ACME.domain_id, "acme")


@pytest.mark.parametrize(
    ("wish", "scope"),
    [
        (ScopeWish(), None),
        (ScopeWish(domain_id=ACME.domain_id), OWN_DOMAIN),
        (ScopeWish(domain_name="acme"), OWN_DOMAIN),
    ],
)
async def test_a_token_for_no_project_says_so_and_opens_none(world: World, wish: ScopeWish, scope: DomainScope | None):
    token, facts = await world.identity.issue(replace(BY_ID, scope=wish))

    assert facts.scope == scope
    assert facts.user.id == ADMIN.id
    assert await world.identity.verify_token(token) == facts
    with pytest.raises(Forbidden):
        token_caller(facts, ACME.id)


async def test_a_token_is_exchanged_for_one_of_another_scope_that_ends_no_later(world: World):
    unscoped, old = await world.identity.issue(replace(BY_ID, scope=ScopeWish()))
    world.clock.forward(timedelta(hours=1))

    token, facts = await world.identity.issue(TokenLogin(unscoped, ScopeWish(project_id=ACME.id)))

    assert_admin_of_acme(facts)
    assert set(facts.methods) == {"password", "token"}
    assert facts.expires_at == old.expires_at
    assert facts.issued_at > old.issued_at
    assert await world.identity.verify_token(token) == facts


@pytest.mark.parametrize(
    "wish",
    [
        ScopeWish(project_id=ZENITH.id),
        ScopeWish(project_id="nowhere"),
        ScopeWish(project_id="\ud800"),
        ScopeWish(project_name="lab-1", domain_name="zenith"),
        ScopeWish(domain_name="zenith"),
    ],
)
async def test_a_token_is_not_exchanged_for_what_its_user_may_not_have(world: World, wish: ScopeWish):
    token, _ = await world.identity.issue(BY_ID)

    with pytest.raises(Unauthenticated):
        await world.identity.issue(TokenLogin(token, wish))


async def test_what_is_no_token_is_not_exchanged(world: World):
    token, facts = await world.identity.issue(BY_ID)

    for text in ("", "x", token + "x", "\ud800"):
        with pytest.raises(Unauthenticated):
            await world.identity.issue(TokenLogin(text, ScopeWish(project_id=ACME.id)))
    world.clock.moment = facts.expires_at
    with pytest.raises(Unauthenticated):
        await world.identity.issue(TokenLogin(token, ScopeWish(project_id=ACME.id)))


@pytest.mark.parametrize(
    "login",
    [
        replace(BY_ID, password="wrong"),
        replace(BY_ID, password=""),
        replace(BY_ID, password="zenith password"),
        replace(BY_ID, user_id="nobody"),
        replace(BY_ID, user_id=None),
        replace(BY_NAME, user_name="nobody"),
        replace(BY_NAME, user_domain_name="zenith"),
        replace(BY_NAME, user_domain_name="nowhere"),
        replace(BY_NAME, user_domain_name=None),
        replace(BY_ID, scope=ScopeWish(project_id=ZENITH.id)),
        replace(BY_ID, scope=ScopeWish(project_id="nowhere")),
        replace(BY_NAME, scope=ScopeWish(project_name="nowhere", domain_name="acme")),
        replace(BY_NAME, scope=ScopeWish(project_name="lab-1", domain_name="zenith")),
        replace(BY_ID, scope=ScopeWish(domain_name="zenith")),
    ],
    ids=lambda login: repr(login).removeprefix("PasswordLogin"),
)
async def test_a_wrong_login_is_refused_and_the_message_does_not_say_why(world: World, login: PasswordLogin):
    with pytest.raises(Unauthenticated) as wrong_password:
        await world.identity.issue(replace(BY_ID, password="definitely wrong"))
    with pytest.raises(Unauthenticated) as refusal:
        await world.identity.issue(login)

    assert refusal.value.message == wrong_password.value.message
