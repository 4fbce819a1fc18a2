"""The Keystone adapter: what changes in Keystone is known here in time, and what goes wrong there is not a 401."""

import asyncio
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from landbridge.control.accounts import ProjectScope, SignedRequest, User
from landbridge.domain.errors import IdentityUnavailable, Unauthenticated
from landbridge.domain.ids import DomainId, ProjectId
from landbridge.identity.sealing import Secret
from tests.certificates import Authority
from tests.contract.identity_worlds import Member
from tests.contract.test_identity_contract import signed
from tests.keystone import Account, KeyPair, Keystone, Person
from tests.keystone_identity import BOUNDS, Heard, KeystoneIdentity, keystone_identity
from tests.unit.identity.identity_world import HandClock

CACHE_TIME = BOUNDS.fresh_for


@pytest.fixture
def clock() -> HandClock:
    return HandClock(datetime.now(UTC))


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def identity(keystone: Keystone, clock: HandClock, heard: Heard) -> Iterator[KeystoneIdentity]:
    made = keystone_identity(keystone.url, clock, heard)
    yield made
    made.close()


@pytest.fixture(scope="module")
def account(keystone: Keystone) -> Account:
    return keystone.account()


@pytest.fixture
def ann(keystone: Keystone, account: Account) -> Person:
    return keystone.person(account, "member")


async def roles_of(identity: KeystoneIdentity, token: str) -> frozenset[str]:
    scope = (await identity.verify_token(token)).scope
    assert isinstance(scope, ProjectScope)
    return scope.roles


Withdrawal = Callable[[Keystone, Person, str], None]
WITHDRAWALS: dict[str, Withdrawal] = {
    "token revoked": lambda keystone, ann, token: keystone.revoke(token),
    "user disabled": lambda keystone, ann, token: keystone.change("user", ann.id, enabled=False),
    "password changed": lambda keystone, ann, token: keystone.change("user", ann.id, password="another one"),
    "role taken away": lambda keystone, ann, token: keystone.withdraw(ann.id, ann.account.project_id, "member"),
}


@pytest.mark.parametrize("withdraw", WITHDRAWALS.values(), ids=WITHDRAWALS.keys())
async def test_what_is_withdrawn_from_a_token_is_refused_within_the_cache_time(
    keystone: Keystone, identity: KeystoneIdentity, clock: HandClock, ann: Person, withdraw: Withdrawal
):
    token = keystone.token(ann)
    assert "member" in await roles_of(identity, token)

    withdraw(keystone, ann, token)

    clock.forward(CACHE_TIME)
    with pytest.raises(Unauthenticated):
        await identity.verify_token(token)


async def test_a_token_is_asked_about_once_in_the_cache_time(
    keystone: Keystone, identity: KeystoneIdentity, clock: HandClock, ann: Person, heard: Heard
):
    token = keystone.token(ann)

    for _ in range(5):
        await identity.verify_token(token)
        clock.forward(CACHE_TIME / 5)
    assert heard.answers == 1
    await identity.verify_token(token)
    assert heard.answers == 2


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (["reader"], {"reader"}),
        # Keystone's own hierarchy: an admin is also a member, and a member a reader.
        (["member"], {"member", "reader"}),
        (["admin"], {"admin", "member", "reader"}),
        (["VPCEndpoint Administrator"], {"admin"}),
        (["VPCEndpoint FullAccess"], {"member"}),
        (["VPCEndpoint ReadOnlyAccess"], {"reader"}),
        (["te_admin"], {"admin"}),
        (["operator", "service"], set()),
    ],
    ids=lambda roles: "+".join(sorted(roles)),
)
async def test_keystones_roles_become_ours(
    keystone: Keystone, identity: KeystoneIdentity, account: Account, theirs: list[str], ours: set[str]
):
    person = keystone.person(account, *theirs)

    assert await roles_of(identity, keystone.token(person)) == ours
    signer = await identity.verify_signature(signature_of(keystone, person))
    assert signer.projects[0].roles == ours


async def test_a_role_of_a_group_counts_like_ones_own(keystone: Keystone, identity: KeystoneIdentity, account: Account):
    person = keystone.person(account)
    group = keystone.make("group", name=f"group of {person.name}", domain_id=account.domain_id)
    role = keystone.role("member")
    for path in (f"groups/{group}/users/{person.id}", f"projects/{account.project_id}/groups/{group}/roles/{role}"):
        assert keystone.call("PUT", path).status == 204

    signer = await identity.verify_signature(signature_of(keystone, person))

    assert signer.projects[0].roles == {"member", "reader"}


def application_credential_token(keystone: Keystone, person: Person, **limits: Any) -> str:
    """Return a token of a new application credential of somebody."""
    wanted = {"name": "deploy", "secret": "s3cret"} | limits
    path, token = f"users/{person.id}/application_credentials", keystone.token(person)
    made = keystone.call("POST", path, {"application_credential": wanted}, token=token)
    credential = {"id": made.body["application_credential"]["id"], "secret": "s3cret"}
    login = {"methods": ["application_credential"], "application_credential": credential}
    return keystone.call("POST", "auth/tokens", {"auth": {"identity": login}}).subject_token


async def test_an_application_credential_has_only_the_roles_that_it_was_given(
    keystone: Keystone, identity: KeystoneIdentity, account: Account
):
    person = keystone.person(account, "member")

    token = application_credential_token(keystone, person, roles=[{"name": "reader"}])

    assert await roles_of(identity, token) == {"reader"}


async def test_an_application_credential_that_is_limited_to_some_requests_is_refused(
    keystone: Keystone, identity: KeystoneIdentity, ann: Person
):
    rules = [{"service": "vpcep", "method": "GET", "path": "/v1/*/quotas"}]

    token = application_credential_token(keystone, ann, access_rules=rules)

    assert token
    with pytest.raises(Unauthenticated):
        await identity.verify_token(token)


def signature_of(keystone: Keystone, person: Person) -> SignedRequest:
    """Return a request that is signed with a new key pair of somebody."""
    return signed_with(person, keystone.key_pair(person))


def signed_with(person: Person, keys: KeyPair) -> SignedRequest:
    domain_id, name = DomainId(person.account.domain_id), person.account.name
    user = User(person.id, person.name, domain_id, name)
    scope = ProjectScope(ProjectId(person.account.project_id), name, domain_id, name, frozenset())
    return signed(Member(user, scope, keys.access, Secret(keys.secret)), datetime.now(UTC))


KEY_WITHDRAWALS: dict[str, Callable[[Keystone, Person], None]] = {
    "user disabled": lambda keystone, ann: keystone.change("user", ann.id, enabled=False),
    "project disabled": lambda keystone, ann: keystone.change("project", ann.account.project_id, enabled=False),
    "domain disabled": lambda keystone, ann: keystone.change("domain", ann.account.domain_id, enabled=False),
    "user removed": lambda keystone, ann: keystone.remove("user", ann.id),
}


@pytest.mark.parametrize("withdraw", KEY_WITHDRAWALS.values(), ids=KEY_WITHDRAWALS.keys())
async def test_what_is_withdrawn_from_a_key_is_refused_within_the_cache_time(
    keystone: Keystone, identity: KeystoneIdentity, clock: HandClock, withdraw: Callable[[Keystone, Person], None]
):
    person = keystone.person(keystone.account("withdrawn"), "member")
    request = signature_of(keystone, person)
    assert (await identity.verify_signature(request)).user.id == person.id

    withdraw(keystone, person)

    clock.forward(CACHE_TIME)
    with pytest.raises(Unauthenticated):
        await identity.verify_signature(request)


async def test_a_removed_key_is_refused_within_the_cache_time(
    keystone: Keystone, identity: KeystoneIdentity, clock: HandClock, ann: Person
):
    keys = keystone.key_pair(ann)
    request = signed_with(ann, keys)
    assert (await identity.verify_signature(request)).user.id == ann.id

    keystone.remove_key_pair(ann, keys)

    clock.forward(CACHE_TIME)
    with pytest.raises(Unauthenticated):
        await identity.verify_signature(request)


async def test_a_key_without_a_role_any_more_proves_who_but_opens_nothing(
    keystone: Keystone, identity: KeystoneIdentity, clock: HandClock, ann: Person
):
    request = signature_of(keystone, ann)
    assert "member" in (await identity.verify_signature(request)).projects[0].roles

    keystone.withdraw(ann.id, ann.account.project_id, "member")

    clock.forward(CACHE_TIME)
    assert (await identity.verify_signature(request)).projects[0].roles == frozenset()


async def test_while_keystone_is_away_nobody_is_told_that_the_token_is_wrong(
    keystone: Keystone, identity: KeystoneIdentity, clock: HandClock, ann: Person, heard: Heard
):
    known, new = keystone.token(ann), keystone.token(ann)
    request = signature_of(keystone, ann)
    facts = await identity.verify_token(known)

    with keystone.stopped():
        assert await identity.verify_token(known) == facts
        with pytest.raises(IdentityUnavailable, match="try again"):
            await identity.verify_token(new)
        with pytest.raises(IdentityUnavailable):
            await identity.verify_signature(request)
        clock.forward(CACHE_TIME)
        with pytest.raises(IdentityUnavailable):
            await identity.verify_token(known)
        assert "Keystone cannot be asked" in heard.failures[0]

    assert await identity.verify_token(known) == facts
    assert (await identity.verify_token(new)).user.id == ann.id
    assert (await identity.verify_signature(request)).user.id == ann.id


async def test_when_our_own_token_ends_we_sign_in_again(
    keystone: Keystone, identity: KeystoneIdentity, ann: Person, heard: Heard
):
    token = keystone.token(ann)
    ours = await asyncio.to_thread(identity._client._session.get_token)
    assert ours is not None

    keystone.revoke(ours)

    assert (await identity.verify_token(token)).user.id == ann.id
    assert heard.failures == []


async def test_our_user_may_also_sign_in_to_a_project(keystone: Keystone, clock: HandClock, account: Account):
    watcher = keystone.person(account, "admin")
    ann = keystone.person(account, "member")
    identity = keystone_identity(
        keystone.url.removesuffix("/v3"),
        clock,
        user=watcher.name,
        user_domain=account.name,
        password=Secret(watcher.password),
        project=account.name,
        project_domain=account.name,
    )

    assert (await identity.verify_token(keystone.token(ann))).user.id == ann.id
    assert (await identity.verify_signature(signature_of(keystone, ann))).user.id == ann.id
    identity.close()


async def test_a_user_of_ours_without_the_role_is_the_operators_mistake(
    keystone: Keystone, clock: HandClock, heard: Heard, account: Account, ann: Person
):
    identity = keystone_identity(
        keystone.url,
        clock,
        heard,
        user=ann.name,
        user_domain=account.name,
        password=Secret(ann.password),
        project=account.name,
        project_domain=account.name,
    )

    with pytest.raises(IdentityUnavailable) as refusal:
        await identity.verify_token(keystone.token(keystone.person(account, "member")))
    assert "give it the role reader on the system" in heard.failures[0]
    assert "role" not in refusal.value.message
    identity.close()


class OddKeystone(BaseHTTPRequestHandler):
    """Signs anybody in, and answers every question in its own way."""

    protocol_version = "HTTP/1.1"
    answer: Callable[["OddKeystone"], None]
    sign_in_status = 201
    asked: list[str]

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.asked.append("sign in")
        token = {"user": {"id": "u0", "name": "landbridge"}, "expires_at": "2099-01-01T00:00:00.000000Z"}
        self.say(self.sign_in_status, json.dumps({"token": token}), **{"X-Subject-Token": "ours"})

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.answer()

    def say(self, status: int, body: str, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), "Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 — the base class names it
        """Say nothing."""


@contextmanager
def odd_keystone(answer: Callable[[OddKeystone], None], **members: Any) -> Iterator[tuple[str, list[str]]]:
    """Run a server that answers questions so; return its URL and what it is asked."""
    asked: list[str] = []
    certificate: tuple[Path, Path] | None = members.pop("certificate", None)
    handler = type("Handler", (OddKeystone,), {"answer": answer, "asked": asked, **members})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"{'https' if certificate else 'http'}://127.0.0.1:{server.server_port}/v3", asked
        finally:
            server.shutdown()
            thread.join()


def error(status: int) -> str:
    return json.dumps({"error": {"code": status, "message": "no", "title": "No"}})


ODD_ANSWERS: dict[str, Callable[[OddKeystone], None]] = {
    "500": lambda odd: odd.say(500, error(500)),
    "502 of a proxy": lambda odd: odd.say(502, "<html>Bad Gateway</html>"),
    "503": lambda odd: odd.say(503, error(503)),
    "429": lambda odd: odd.say(429, error(429)),
    "404 of something else": lambda odd: odd.say(404, "<html>Not Found</html>"),
    "401": lambda odd: odd.say(401, error(401)),
    "403": lambda odd: odd.say(403, error(403)),
    "200 without a body": lambda odd: odd.say(200, ""),
    "200 with a list": lambda odd: odd.say(200, "[]"),
    "200 with something else": lambda odd: odd.say(200, '{"version": {}}'),
    "204": lambda odd: odd.say(204, ""),
    "redirect": lambda odd: odd.say(307, "", Location=f"http://127.0.0.1:{odd.server.server_address[1]}/v3/elsewhere"),
    "connection cut": lambda odd: odd.connection.shutdown(socket.SHUT_RDWR),
}


@pytest.mark.parametrize("answer", ODD_ANSWERS.values(), ids=ODD_ANSWERS.keys())
async def test_an_answer_that_says_neither_yes_nor_no_is_no_answer(
    clock: HandClock, heard: Heard, answer: Callable[[OddKeystone], None]
):
    with odd_keystone(answer) as (url, asked):
        identity = keystone_identity(url, clock, heard)
        with pytest.raises(IdentityUnavailable):
            await identity.verify_token("a-token")
        identity.close()

    assert len(heard.failures) == 1
    assert "Keystone" in heard.failures[0]
    assert "a-token" not in heard.failures[0]
    assert not any("elsewhere" in path for path in asked)


async def test_a_keystone_that_does_not_answer_in_time_is_not_waited_for(clock: HandClock, heard: Heard):
    may_answer = threading.Event()
    bounds = replace(BOUNDS, patience=timedelta(seconds=0.2))

    with odd_keystone(lambda odd: may_answer.wait(20) and odd.say(200, "")) as (url, _):
        identity = keystone_identity(url, clock, heard, bounds)
        with pytest.raises(IdentityUnavailable):
            await identity.verify_token("a-token")
        may_answer.set()
        identity.close()


async def test_a_refused_sign_in_of_ours_is_not_repeated_at_once(clock: HandClock, heard: Heard):
    with odd_keystone(lambda odd: odd.say(200, ""), sign_in_status=401) as (url, asked):
        identity = keystone_identity(url, clock, heard)
        for number in range(5):
            with pytest.raises(IdentityUnavailable):
                await identity.verify_token(f"token-{number}")
        identity.close()

    assert asked == ["sign in"]
    assert all("keystone_user" in reason for reason in heard.failures)


async def test_what_cannot_be_a_token_is_not_asked_about(clock: HandClock, heard: Heard):
    with odd_keystone(lambda odd: odd.say(404, error(404))) as (url, asked):
        identity = keystone_identity(url, clock, heard)
        for text in ("", "a b", "a\r\nX-Auth-Token: b", "\ud800", "ü", "x" * 4097):
            with pytest.raises(Unauthenticated):
                await identity.verify_token(text)
        identity.close()

    assert asked == []


async def test_keystones_certificate_must_be_signed_by_whom_the_settings_name(
    clock: HandClock, heard: Heard, tmp_path: Path
):
    authority = Authority.make(tmp_path)

    with odd_keystone(lambda odd: odd.say(404, error(404)), certificate=authority.write_pair("keystone")) as (url, _):
        trusting = keystone_identity(url, clock, heard, ca_file=str(authority.certificate))
        with pytest.raises(Unauthenticated):
            await trusting.verify_token("a-token")
        others = keystone_identity(url, clock, heard)
        with pytest.raises(IdentityUnavailable):
            await others.verify_token("a-token")
        for identity in (trusting, others):
            identity.close()

    assert "certificate" in heard.failures[0].lower()
