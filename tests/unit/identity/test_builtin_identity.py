"""What is particular to the built-in identity; what all identities promise is in tests/contract."""

import hashlib
import hmac
import logging
import traceback
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest

from landbridge.control.accounts import (
    DomainScope,
    PasswordLogin,
    ProjectScope,
    ScopeWish,
    SignedRequest,
    Signer,
    TokenLogin,
    User,
    signing_caller,
)
from landbridge.control.protocols import Identity, TokenIssuer
from landbridge.domain.errors import OperatorError, Unauthenticated
from landbridge.identity.builtin import BuiltinIdentity
from landbridge.identity.provisioning import NewUser, provision
from landbridge.identity.sealing import Secret
from tests.unit.identity.identity_world import (
    ACME,
    ACME_ADMIN,
    ACME_READER,
    ACME_TWO,
    PROJECTS,
    SEALING_KEY,
    SIGNING_KEY,
    USERS,
    ZENITH,
    ZENITH_ADMIN,
    CountedIds,
    HandClock,
    RecordStore,
)

UNKNOWN = replace(ACME_ADMIN, access_key="NOSUCHKEY")


IN_ACME = ScopeWish(project_id=ACME.id)
NO_SCOPE = ScopeWish()


def login(scope: ScopeWish = NO_SCOPE, **parts: str) -> PasswordLogin:
    admin: dict[str, str | None] = {
        "user_id": None,
        "user_name": "admin",
        "user_domain_id": None,
        "user_domain_name": "acme",
        "password": "acme password",
    }
    return PasswordLogin(**(admin | parts), scope=scope)


def signed(
    user: NewUser,
    clock: HandClock,
    signed_headers: Mapping[str, str] | None = None,
    unsigned_headers: Mapping[str, str] | None = None,
    path: str = "/v3/projects",
) -> SignedRequest:
    date = clock.now().strftime("%Y%m%dT%H%M%SZ")
    headers = dict(sorted({"x-sdk-date": date, **(signed_headers or {})}.items()))
    names = ";".join(headers)
    canonical = "\n".join(
        [
            "GET",
            quote(path) + "/",
            "",
            *(f"{name}:{value}" for name, value in headers.items()),
            "",
            names,
            hashlib.sha256().hexdigest(),
        ]
    )
    to_sign = f"SDK-HMAC-SHA256\n{date}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.new(user.secret_key.reveal().encode(), to_sign.encode(), "sha256").hexdigest()
    headers["authorization"] = f"SDK-HMAC-SHA256 Access={user.access_key}, SignedHeaders={names}, Signature={signature}"
    return SignedRequest("GET", path, "", {**headers, **(unsigned_headers or {})}, b"")


def project_ids(signer: Signer) -> set[str]:
    return {scope.project_id for scope in signer.projects}


def test_it_is_an_identity(identity: BuiltinIdentity):
    promised: Identity = identity
    issuing: TokenIssuer = identity

    assert promised is issuing


async def test_a_token_is_looked_up_once_in_five_seconds(
    identity: BuiltinIdentity, store: RecordStore, clock: HandClock
):
    token, facts = await identity.issue(login(IN_ACME))
    looks = store.look_count

    for seconds in (0, 2, 2.9):
        clock.forward(timedelta(seconds=seconds))
        assert await identity.verify_token(token) == facts
    assert store.look_count == looks + 1

    clock.forward(timedelta(seconds=0.1))
    assert await identity.verify_token(token) == facts
    assert store.look_count == looks + 2


async def provision_anew(store: RecordStore, admin: NewUser | None) -> None:
    users = [admin, ACME_READER, ZENITH_ADMIN] if admin else [ACME_READER, ZENITH_ADMIN]
    await provision(store, PROJECTS, users, sealing_key=SEALING_KEY)


@pytest.mark.parametrize(
    "admin",
    [
        None,
        replace(ACME_ADMIN, roles={}),
        replace(ACME_ADMIN, roles={ACME_TWO.id: frozenset({"admin"})}),
        replace(ACME_ADMIN, password=Secret("new password")),
    ],
    ids=["removed", "without roles", "in another project", "with another password"],
)
async def test_a_token_ends_within_five_seconds_after_its_user_role_or_password(
    identity: BuiltinIdentity, store: RecordStore, clock: HandClock, admin: NewUser | None
):
    token, _ = await identity.issue(login(IN_ACME))
    await identity.verify_token(token)
    await provision_anew(store, admin)

    with pytest.raises(Unauthenticated):
        await identity.issue(TokenLogin(token, IN_ACME))
    clock.forward(timedelta(seconds=5))
    with pytest.raises(Unauthenticated, match="get a new one"):
        await identity.verify_token(token)


async def test_a_token_ends_with_its_project(identity: BuiltinIdentity, store: RecordStore):
    token, _ = await identity.issue(login(IN_ACME))
    del store.projects_by_id[ACME.id]

    with pytest.raises(Unauthenticated):
        await identity.verify_token(token)


async def test_a_token_carries_the_roles_of_now(identity: BuiltinIdentity, store: RecordStore):
    token, _ = await identity.issue(login(IN_ACME))
    await provision_anew(store, replace(ACME_ADMIN, roles={ACME.id: frozenset({"reader"})}))

    scope = (await identity.verify_token(token)).scope

    assert isinstance(scope, ProjectScope)
    assert scope.roles == {"reader"}


async def test_a_signature_goes_on_when_the_password_changes(
    identity: BuiltinIdentity, store: RecordStore, clock: HandClock
):
    await provision_anew(store, replace(ACME_ADMIN, password=Secret("new password")))

    assert (await identity.verify_signature(signed(ACME_ADMIN, clock))).user.id == "u1"


async def test_moments_and_audit_id_come_from_outside(identity: BuiltinIdentity, clock: HandClock):
    _, facts = await identity.issue(login())

    assert facts.issued_at == clock.now()
    assert facts.audit_id == "00000000-0000-4000-8000-000000000001"


@pytest.mark.parametrize(
    ("wish", "scope"),
    [
        (ScopeWish(), None),
        (ScopeWish(domain_id="d1"), DomainScope("d1", "acme")),
        (ScopeWish(domain_name="acme"), DomainScope("d1", "acme")),
        (IN_ACME, ProjectScope(ACME.id, "lab-1", "d1", "acme", frozenset({"admin"}))),
    ],
)
async def test_a_token_has_the_scope_that_was_asked_for_and_no_scope_is_none(
    identity: BuiltinIdentity, wish: ScopeWish, scope: ProjectScope | DomainScope | None
):
    _, facts = await identity.issue(login(wish))

    assert facts.scope == scope
    assert facts.user == User("u1", "admin", "d1", "acme")


async def test_users_of_one_name_in_two_domains_are_told_apart(identity: BuiltinIdentity):
    _, facts = await identity.issue(
        login(ScopeWish(project_name="lab-1"), user_domain_name="zenith", password="zenith password")
    )

    assert facts.user.id == "u3"
    assert isinstance(facts.scope, ProjectScope)
    assert facts.scope.project_id == ZENITH.id


async def test_a_guests_token_keeps_the_users_domain_apart_from_the_projects(
    identity: BuiltinIdentity, store: RecordStore
):
    await provision_anew(store, replace(ACME_ADMIN, roles={ZENITH.id: frozenset({"reader"})}))

    _, facts = await identity.issue(login(ScopeWish(project_name="lab-1", domain_name="zenith")))

    assert facts.user.domain_id == "d1"
    assert facts.scope == ProjectScope(ZENITH.id, "lab-1", "d2", "zenith", frozenset({"reader"}))


async def test_a_users_projects_are_those_with_a_role_by_name(identity: BuiltinIdentity):
    projects = {
        user_id: [project.id for project in await identity.projects_of(User(user_id, "", "", ""))]
        for user_id in ("u1", "u2", "nobody")
    }

    assert projects == {"u1": [ACME.id], "u2": [ACME.id, ACME_TWO.id], "nobody": []}


@pytest.mark.parametrize(
    "wrong",
    [
        {"user_domain_name": "zenith"},
        {"user_domain_id": "d2"},
        {"user_name": "admin\ud800"},
        {"user_name": "admin\0"},
        {"password": "\ud800"},
        {"scope": ScopeWish(project_id="\ud800")},
        {"scope": ScopeWish(project_id=ACME_TWO.id)},
        {"scope": ScopeWish(project_id=ACME.id, domain_id="d2")},
        {"scope": ScopeWish(project_name="lab-1", domain_name="zenith")},
        {"scope": ScopeWish(project_name="lab-2")},
        {"scope": ScopeWish(domain_id="d2")},
    ],
    ids=repr,
)
async def test_every_refused_login_reads_the_same(identity: BuiltinIdentity, wrong: dict[str, Any]):
    with pytest.raises(Unauthenticated) as refusal:
        await identity.issue(login(**wrong))

    assert refusal.value.message == "the user, the password or the scope is wrong"


async def test_a_name_without_a_domain_names_nobody(identity: BuiltinIdentity):
    with pytest.raises(Unauthenticated):
        await identity.issue(PasswordLogin(None, "reader", None, None, "reader password"))


async def test_a_removed_user_or_role_stops_working_at_once(
    identity: BuiltinIdentity, store: RecordStore, clock: HandClock
):
    request = signed(ACME_READER, clock)
    assert project_ids(await identity.verify_signature(request)) == {ACME.id, ACME_TWO.id}

    without_role = replace(ACME_READER, roles={ACME_TWO.id: frozenset({"member"})})
    await provision(store, PROJECTS, [ACME_ADMIN, without_role, ZENITH_ADMIN], sealing_key=SEALING_KEY)
    assert project_ids(await identity.verify_signature(request)) == {ACME_TWO.id}

    await provision(store, PROJECTS, [ACME_ADMIN, ZENITH_ADMIN], sealing_key=SEALING_KEY)
    with pytest.raises(Unauthenticated):
        await identity.verify_signature(request)


async def test_an_unknown_key_reads_like_a_wrong_secret(identity: BuiltinIdentity, clock: HandClock):
    wrong_secret = replace(ACME_ADMIN, secret_key=ACME_READER.secret_key)

    messages: set[str] = set()
    for user in (UNKNOWN, wrong_secret):
        with pytest.raises(Unauthenticated) as refusal:
            await identity.verify_signature(signed(user, clock))
        messages.add(refusal.value.message)
    assert messages == {"the access key or the signature is wrong"}


async def test_a_caller_in_another_domains_project_acts_for_that_domain(
    identity: BuiltinIdentity, store: RecordStore, clock: HandClock
):
    guest = replace(ACME_READER, roles={ZENITH.id: frozenset({"reader"})})
    await provision(store, PROJECTS, [guest], sealing_key=SEALING_KEY)

    signer = await identity.verify_signature(signed(guest, clock))
    caller = signing_caller(signer, ZENITH.id)
    assert (caller.domain_id, caller.domain_name) == ("d2", "zenith")


async def test_the_tolerated_clock_difference_can_be_chosen(store: RecordStore, clock: HandClock):
    strict = BuiltinIdentity(store, SIGNING_KEY, SEALING_KEY, clock, CountedIds(), clock_skew=timedelta(seconds=10))
    request = signed(ACME_ADMIN, clock)
    clock.forward(timedelta(seconds=11))

    with pytest.raises(Unauthenticated, match="10 seconds"):
        await strict.verify_signature(request)


async def test_a_secret_sealed_with_another_key_is_the_operators_concern(store: RecordStore, clock: HandClock):
    other = BuiltinIdentity(store, SIGNING_KEY, b"o" * 32, clock, CountedIds())

    with pytest.raises(OperatorError, match="does not open"):
        await other.verify_signature(signed(ACME_ADMIN, clock))


async def test_nothing_secret_is_shown_or_logged(
    identity: BuiltinIdentity, clock: HandClock, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    secrets = [secret.reveal() for user in USERS for secret in (user.password, user.secret_key) if secret]
    secrets += [SIGNING_KEY.decode(), SEALING_KEY.decode()]
    token, facts = await identity.issue(login(IN_ACME))
    await identity.verify_token(token)
    shown = [repr(identity), repr(vars(identity)), repr(facts), repr(USERS), repr(login()), repr(TokenLogin(token))]
    wrong_secret = replace(ACME_ADMIN, secret_key=ACME_READER.secret_key)

    for attempt in (
        identity.issue(login(user_name="nobody")),
        identity.issue(login(ScopeWish(project_id=ZENITH.id))),
        identity.issue(TokenLogin(token, ScopeWish(project_id=ZENITH.id))),
        identity.verify_token(token + "x"),
        identity.verify_signature(signed(wrong_secret, clock)),
    ):
        with pytest.raises(Unauthenticated) as refusal:
            await attempt
        # Values, not source lines: this test's own lines would be quoted too.
        shown.append("".join(traceback.format_exception_only(refusal.value)))
    shown.append(caplog.text)

    for secret in [*secrets, token]:
        assert not any(secret in text for text in shown)
