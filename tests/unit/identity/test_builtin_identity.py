"""What is particular to the built-in identity; what all identities promise is in tests/contract."""

import hashlib
import hmac
import logging
import traceback
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from urllib.parse import quote

import pytest

from landbridge.control.accounts import PasswordLogin, SignedRequest
from landbridge.control.protocols import Identity
from landbridge.domain.errors import Forbidden, OperatorError, Unauthenticated
from landbridge.domain.resources import Caller
from landbridge.identity.builtin import BuiltinIdentity
from landbridge.identity.provisioning import NewUser, provision
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


def login(**parts: str) -> PasswordLogin:
    admin: dict[str, str | None] = {
        "user_id": None,
        "user_name": "admin",
        "user_domain_id": None,
        "user_domain_name": "acme",
        "password": "acme password",
    }
    return PasswordLogin(**(admin | parts))


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


def test_it_is_an_identity(identity: BuiltinIdentity):
    promised: Identity = identity

    assert promised is identity


async def test_a_token_is_read_without_a_look_up(identity: BuiltinIdentity, store: RecordStore):
    token, facts = await identity.issue(login(scope_project_id=ACME.id))
    store.users_by_id.clear()

    assert await identity.verify_token(token) == facts


async def test_moments_and_audit_id_come_from_outside(identity: BuiltinIdentity, clock: HandClock):
    _, facts = await identity.issue(login())

    assert facts.issued_at == clock.now()
    assert facts.audit_id == "00000000-0000-4000-8000-000000000001"


async def test_a_domain_or_no_scope_gives_a_token_without_project_and_roles(identity: BuiltinIdentity):
    for scope in ({}, {"scope_domain_id": "d1"}, {"scope_domain_name": "acme"}):
        _, facts = await identity.issue(login(**scope))

        assert not facts.has_project
        assert facts.caller == Caller("u1", "admin", "d1", "acme", "", "", frozenset())


async def test_users_of_one_name_in_two_domains_are_told_apart(identity: BuiltinIdentity):
    _, facts = await identity.issue(
        login(user_domain_name="zenith", password="zenith password", scope_project_name="lab-1")
    )

    assert facts.caller.user_id == "u3"
    assert facts.caller.project_id == ZENITH.id


@pytest.mark.parametrize(
    "wrong",
    [
        {"user_domain_name": "zenith"},
        {"user_domain_id": "d2"},
        {"user_name": "admin\ud800"},
        {"user_name": "admin\0"},
        {"password": "\ud800"},
        {"scope_project_id": "\ud800"},
        {"scope_project_id": ACME_TWO.id},
        {"scope_project_id": ACME.id, "scope_domain_id": "d2"},
        {"scope_project_name": "lab-1", "scope_domain_name": "zenith"},
        {"scope_project_name": "lab-2"},
        {"scope_domain_id": "d2"},
    ],
    ids=repr,
)
async def test_every_refused_login_reads_the_same(identity: BuiltinIdentity, wrong: dict[str, str]):
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
    assert (await identity.verify_signature(request, ACME.id)).user_id == "u2"

    without_role = replace(ACME_READER, roles={ACME_TWO.id: frozenset({"member"})})
    await provision(store, PROJECTS, [ACME_ADMIN, without_role, ZENITH_ADMIN], sealing_key=SEALING_KEY)
    with pytest.raises(Forbidden):
        await identity.verify_signature(request, ACME.id)

    await provision(store, PROJECTS, [ACME_ADMIN, ZENITH_ADMIN], sealing_key=SEALING_KEY)
    with pytest.raises(Unauthenticated):
        await identity.verify_signature(request, ACME.id)


async def test_an_unknown_key_reads_like_a_wrong_secret(identity: BuiltinIdentity, clock: HandClock):
    wrong_secret = replace(ACME_ADMIN, secret_key=ACME_READER.secret_key)

    messages: set[str] = set()
    for user in (UNKNOWN, wrong_secret):
        with pytest.raises(Unauthenticated) as refusal:
            await identity.verify_signature(signed(user, clock), ACME.id)
        messages.add(refusal.value.message)
    assert messages == {"the access key or the signature is wrong"}


async def test_an_unsigned_project_header_must_agree_with_the_path(identity: BuiltinIdentity, clock: HandClock):
    agreeing = signed(ACME_READER, clock, unsigned_headers={"x-project-id": ACME_TWO.id})

    assert (await identity.verify_signature(agreeing, ACME_TWO.id)).roles == {"member"}
    with pytest.raises(Forbidden, match="another project than the path"):
        await identity.verify_signature(agreeing, ACME.id)


async def test_without_a_project_in_the_path_the_only_one_is_meant(identity: BuiltinIdentity, clock: HandClock):
    assert (await identity.verify_signature(signed(ACME_ADMIN, clock), None)).project_id == ACME.id


async def test_without_a_project_in_the_path_a_signed_header_names_it(identity: BuiltinIdentity, clock: HandClock):
    request = signed(ACME_READER, clock, {"x-project-id": ACME_TWO.id})

    assert (await identity.verify_signature(request, None)).project_id == ACME_TWO.id


async def test_without_a_project_in_the_path_an_unsigned_header_names_nothing(
    identity: BuiltinIdentity, clock: HandClock
):
    request = signed(ACME_READER, clock, unsigned_headers={"x-project-id": ACME_TWO.id})

    with pytest.raises(Unauthenticated, match="2 projects: name one in a signed X-Project-Id"):
        await identity.verify_signature(request, None)


async def test_a_signed_header_that_names_a_foreign_project_is_forbidden(identity: BuiltinIdentity, clock: HandClock):
    with pytest.raises(Forbidden, match="no role"):
        await identity.verify_signature(signed(ACME_ADMIN, clock, {"x-project-id": ZENITH.id}), None)


async def test_a_missing_project_reads_like_a_foreign_one(identity: BuiltinIdentity, clock: HandClock):
    for project_id in (ZENITH.id, "0d5c00000000000000000000000000ff"):
        with pytest.raises(Forbidden) as refusal:
            await identity.verify_signature(signed(ACME_ADMIN, clock), project_id)
        assert refusal.value.message == f"the signer has no role in project {project_id}"


async def test_a_caller_in_another_domains_project_acts_for_that_domain(
    identity: BuiltinIdentity, store: RecordStore, clock: HandClock
):
    guest = replace(ACME_READER, roles={ZENITH.id: frozenset({"reader"})})
    await provision(store, PROJECTS, [guest], sealing_key=SEALING_KEY)

    caller = await identity.verify_signature(signed(guest, clock), ZENITH.id)
    assert (caller.domain_id, caller.domain_name) == ("d2", "zenith")


async def test_the_tolerated_clock_difference_can_be_chosen(store: RecordStore, clock: HandClock):
    strict = BuiltinIdentity(store, SIGNING_KEY, SEALING_KEY, clock, CountedIds(), clock_skew=timedelta(seconds=10))
    request = signed(ACME_ADMIN, clock)
    clock.forward(timedelta(seconds=11))

    with pytest.raises(Unauthenticated, match="10 seconds"):
        await strict.verify_signature(request, ACME.id)


async def test_a_secret_sealed_with_another_key_is_the_operators_concern(store: RecordStore, clock: HandClock):
    other = BuiltinIdentity(store, SIGNING_KEY, b"o" * 32, clock, CountedIds())

    with pytest.raises(OperatorError, match="does not open"):
        await other.verify_signature(signed(ACME_ADMIN, clock), ACME.id)


async def test_nothing_secret_is_shown_or_logged(
    identity: BuiltinIdentity, clock: HandClock, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    secrets = [secret.reveal() for user in USERS for secret in (user.password, user.secret_key) if secret]
    secrets += [SIGNING_KEY.decode(), SEALING_KEY.decode()]
    token, facts = await identity.issue(login(scope_project_id=ACME.id))
    shown = [repr(identity), repr(vars(identity)), repr(facts), repr(USERS), repr(login())]
    wrong_secret = replace(ACME_ADMIN, secret_key=ACME_READER.secret_key)

    for attempt in (
        identity.issue(login(user_name="nobody")),
        identity.issue(login(scope_project_id=ZENITH.id)),
        identity.verify_token(token + "x"),
        identity.verify_signature(signed(wrong_secret, clock), ACME.id),
        identity.verify_signature(signed(ACME_ADMIN, clock), ZENITH.id),
    ):
        with pytest.raises((Unauthenticated, Forbidden)) as refusal:
            await attempt
        # Values, not source lines: this test's own lines would be quoted too.
        shown.append("".join(traceback.format_exception_only(refusal.value)))
    shown.append(caplog.text)

    for secret in [*secrets, token]:
        assert not any(secret in text for text in shown)
