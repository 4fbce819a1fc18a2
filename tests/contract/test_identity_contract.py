"""What every identity promises, whatever stands behind it (`control.protocols.Identity`).

One suite for all adapters. An adapter joins with a function that builds a `World`: an identity that knows the
projects and users below.
"""

import asyncio
import hashlib
import hmac
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest

from landbridge.control.accounts import PasswordLogin, SignedRequest, TokenFacts
from landbridge.control.protocols import Identity
from landbridge.domain.errors import Forbidden, Unauthenticated
from landbridge.domain.ids import DomainId, ProjectId
from landbridge.identity.builtin import BuiltinIdentity
from landbridge.identity.provisioning import NewProject, NewUser, provision
from landbridge.identity.sealing import Secret
from tests.unit.identity.identity_world import CountedIds, HandClock, RecordStore

ACME = NewProject(ProjectId("0d5c0000000000000000000000000001"), "lab-1", DomainId("d1" * 16), "acme")
ZENITH = NewProject(ProjectId("0d5c0000000000000000000000000002"), "lab-1", DomainId("d2" * 16), "zenith")
SECRET_KEY = Secret("LabSecretKey/for+tests=000000000000000001")
ADMIN = NewUser(
    id="a1" * 16,
    name="admin",
    domain_id=ACME.domain_id,
    domain_name="acme",
    password=Secret("acme password"),
    roles={ACME.id: frozenset({"admin"})},
    access_key="LABACCESSKEY00000001",
    secret_key=SECRET_KEY,
)
NAMESAKE = NewUser(
    id="a2" * 16,
    name="admin",
    domain_id=ZENITH.domain_id,
    domain_name="zenith",
    password=Secret("zenith password"),
    roles={ZENITH.id: frozenset({"admin"})},
)
QUOTAS = f"/v1/{ACME.id}/quotas"


@dataclass(frozen=True)
class World:
    identity: Identity
    clock: HandClock


@cache
def provisioned() -> RecordStore:
    # Once: password hashes are slow on purpose.
    store = RecordStore()
    asyncio.run(provision(store, [ACME, ZENITH], [ADMIN, NAMESAKE], sealing_key=b"e" * 32))
    return store


def builtin_world() -> World:
    clock = HandClock(datetime(2026, 11, 22, 17, 0, tzinfo=UTC))
    return World(
        BuiltinIdentity(provisioned().copied(), b"s" * 32, b"e" * 32, clock, CountedIds()),
        clock,
    )


@pytest.fixture(params=[pytest.param(builtin_world, id="builtin")])
def world(request: pytest.FixtureRequest) -> World:
    return request.param()


BY_ID = PasswordLogin(ADMIN.id, None, None, None, "acme password", scope_project_id=ACME.id)
BY_NAME = PasswordLogin(None, "admin", None, "acme", "acme password", None, "lab-1", None, "acme")


def signed(
    at: datetime,
    *,
    access_key: str = "LABACCESSKEY00000001",
    secret_key: Secret = SECRET_KEY,
    project_header: str = ACME.id,
) -> SignedRequest:
    """Return GET quotas, signed as the Python SDK does."""
    date = at.strftime("%Y%m%dT%H%M%SZ")
    headers = {"host": "vpcep.lab.test:8770", "x-project-id": project_header, "x-sdk-date": date}
    names = ";".join(headers)
    lines = ["GET", f"{QUOTAS}/", "", *(f"{name}:{value}" for name, value in headers.items()), "", names]
    canonical = "\n".join([*lines, hashlib.sha256().hexdigest()])
    to_sign = f"SDK-HMAC-SHA256\n{date}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.new(secret_key.reveal().encode(), to_sign.encode(), "sha256").hexdigest()
    authorization = f"SDK-HMAC-SHA256 Access={access_key}, SignedHeaders={names}, Signature={signature}"
    return SignedRequest("GET", QUOTAS, "", {**headers, "authorization": authorization}, b"")


def assert_admin_of_acme(facts: TokenFacts) -> None:
    caller = facts.caller
    assert facts.has_project
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
        replace(BY_NAME, scope_domain_name=None, scope_domain_id=ACME.domain_id),
        replace(BY_NAME, scope_domain_name=None),
        replace(BY_ID, scope_project_id=None, scope_project_name="lab-1", scope_domain_name="acme"),
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


@pytest.mark.parametrize("scope", [{}, {"scope_domain_id": ACME.domain_id}, {"scope_domain_name": "acme"}], ids=repr)
async def test_a_token_for_no_project_says_so(world: World, scope: dict[str, str]):
    token, facts = await world.identity.issue(replace(BY_ID, scope_project_id=None, **scope))

    assert not facts.has_project
    assert facts.caller.project_id == ""
    assert facts.caller.domain_id == ACME.domain_id
    assert await world.identity.verify_token(token) == facts


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
        replace(BY_ID, scope_project_id=ZENITH.id),
        replace(BY_ID, scope_project_id="nowhere"),
        replace(BY_NAME, scope_project_name="nowhere"),
        replace(BY_NAME, scope_domain_name="zenith"),
        replace(BY_ID, scope_project_id=None, scope_domain_name="zenith"),
    ],
    ids=lambda login: repr(login).removeprefix("PasswordLogin"),
)
async def test_a_wrong_login_is_refused_and_the_message_does_not_say_why(world: World, login: PasswordLogin):
    with pytest.raises(Unauthenticated) as wrong_password:
        await world.identity.issue(replace(BY_ID, password="definitely wrong"))
    with pytest.raises(Unauthenticated) as refusal:
        await world.identity.issue(login)

    assert refusal.value.message == wrong_password.value.message


async def test_what_is_no_token_is_refused(world: World):
    token, _ = await world.identity.issue(BY_ID)

    for text in ("", "x", token[:-1], token + "x", token.swapcase(), "\ud800", "x" * 100_000):
        with pytest.raises(Unauthenticated):
            await world.identity.verify_token(text)


async def test_a_signer_is_known_by_the_access_key(world: World):
    caller = await world.identity.verify_signature(signed(world.clock.now()), ACME.id)

    assert (caller.user_id, caller.user_name) == (ADMIN.id, "admin")
    assert (caller.domain_id, caller.domain_name) == (ACME.domain_id, "acme")
    assert (caller.project_id, caller.project_name) == (ACME.id, "lab-1")
    assert "admin" in caller.roles


async def test_a_wrong_key_and_a_wrong_secret_are_refused_alike(world: World):
    now = world.clock.now()

    messages: set[str] = set()
    for request in (signed(now, access_key="NOSUCHKEY"), signed(now, secret_key=Secret("wrong"))):
        with pytest.raises(Unauthenticated) as refusal:
            await world.identity.verify_signature(request, ACME.id)
        messages.add(refusal.value.message)
    assert len(messages) == 1


async def test_a_changed_request_is_refused(world: World):
    request = signed(world.clock.now())

    for changed in (
        replace(request, method="DELETE"),
        replace(request, path=f"{QUOTAS}x"),
        replace(request, query="type=endpoint"),
        replace(request, body=b"{}"),
        replace(request, headers={**request.headers, "host": "elsewhere"}),
    ):
        with pytest.raises(Unauthenticated):
            await world.identity.verify_signature(changed, ACME.id)


@pytest.mark.parametrize("minutes", [-16, 16])
async def test_a_request_signed_too_long_ago_or_ahead_is_refused(world: World, minutes: int):
    request = signed(world.clock.now() + timedelta(minutes=minutes))

    with pytest.raises(Unauthenticated):
        await world.identity.verify_signature(request, ACME.id)


async def test_a_signer_without_a_role_in_the_project_is_forbidden(world: World):
    request = signed(world.clock.now(), project_header=ZENITH.id)

    with pytest.raises(Forbidden):
        await world.identity.verify_signature(request, ZENITH.id)


async def test_a_project_header_that_differs_from_the_path_is_forbidden(world: World):
    request = signed(world.clock.now(), project_header=ZENITH.id)

    with pytest.raises(Forbidden):
        await world.identity.verify_signature(request, ACME.id)


@pytest.mark.parametrize("authorization", [None, "", "Bearer x", "SDK-HMAC-SM3 Access=A, SignedHeaders=x, Signature=0"])
async def test_a_missing_or_other_signature_is_refused(world: World, authorization: str | None):
    request = signed(world.clock.now())
    headers = {name: value for name, value in request.headers.items() if name != "authorization"}
    if authorization is not None:
        headers["authorization"] = authorization

    with pytest.raises(Unauthenticated):
        await world.identity.verify_signature(replace(request, headers=headers), ACME.id)
