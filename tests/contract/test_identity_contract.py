"""What every identity promises, whatever stands behind it (`control.protocols.Identity`).

One suite for all adapters; `identity_worlds` builds the same world on each. What only the built-in identity promises,
which also gives tokens out, is in `test_token_issuer_contract`.
"""

import hashlib
import hmac
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from landbridge.control.accounts import (
    DomainScope,
    ProjectScope,
    SignedRequest,
    signing_caller,
    token_caller,
)
from landbridge.domain.errors import Forbidden, Unauthenticated
from landbridge.identity.sealing import Secret
from landbridge.store.postgresql import PostgresqlStore
from landbridge.store.sqlite import SqliteStore
from tests.contract.identity_worlds import (
    Member,
    World,
    builtin_world,
    keystone_world,
)
from tests.keystone import Keystone
from tests.postgresql import PostgresqlServer


@pytest.fixture(scope="module")
def shared_keystone_world(keystone: Keystone) -> Iterator[World]:
    made = keystone_world(keystone)
    yield made
    made.close()


@pytest.fixture
def world_on_sqlite(tmp_path: Path) -> Iterator[World]:
    made = builtin_world(SqliteStore.open(tmp_path / "landbridge.db"))
    yield made
    made.close()


@pytest.fixture
def world_on_postgresql(postgresql: PostgresqlServer, new_postgresql_database: Callable[[], str]) -> Iterator[World]:
    made = builtin_world(PostgresqlStore.open(postgresql.connecting(new_postgresql_database())))
    yield made
    made.close()


@pytest.fixture(params=["builtin", "world_on_sqlite", "world_on_postgresql", "keystone"])
def world(request: pytest.FixtureRequest) -> World:
    if request.param == "builtin":
        return builtin_world()
    if request.param != "keystone":
        return request.getfixturevalue(request.param)
    # By name, so that Keystone is not started for who runs the other half.
    shared: World = request.getfixturevalue("shared_keystone_world")
    shared.set_back()
    return shared


def signed(
    ann: Member,
    at: datetime,
    *,
    method: str = "GET",
    access_key: str | None = None,
    secret_key: Secret | None = None,
    is_scoped: bool = False,
) -> SignedRequest:
    """Return a call of quotas, signed as the Python SDK does, or with a credential scope as gophertelekomcloud does."""
    access_key, secret_key = access_key or ann.access_key, secret_key or ann.secret_key
    path, date = f"/v1/{ann.scope.project_id}/quotas", at.strftime("%Y%m%dT%H%M%SZ")
    headers = {"host": "vpcep.lab.test:8770", "x-project-id": ann.scope.project_id, "x-sdk-date": date}
    names = ";".join(headers)
    lines = [method, f"{path}/", "", *(f"{name}:{value}" for name, value in headers.items()), "", names]
    canonical = "\n".join([*lines, hashlib.sha256().hexdigest()])
    to_sign = ["SDK-HMAC-SHA256", date, hashlib.sha256(canonical.encode()).hexdigest()]
    key, claim = secret_key.reveal().encode(), f"Access={access_key}"
    if is_scoped:
        scope = f"{date[:8]}///sdk_request"
        to_sign.insert(2, scope)
        key, claim = b"SDK" + key, f"Credential={access_key}/{scope}"
        for part in scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, "\n".join(to_sign).encode(), "sha256").hex()
    authorization = f"SDK-HMAC-SHA256 {claim}, SignedHeaders={names}, Signature={signature}"
    return SignedRequest(method, path, "", {**headers, "authorization": authorization}, b"")


async def test_a_token_says_who_may_act_where(world: World):
    facts = await world.identity.verify_token(await world.token("project"))

    assert facts.user == world.ann.user
    assert facts.scope == world.ann.scope
    assert facts.methods == ("password",)
    assert facts.issued_at <= world.clock.now() + timedelta(seconds=60) < facts.expires_at
    assert facts.audit_id


async def test_a_token_is_good_in_its_project_only(world: World):
    facts = await world.identity.verify_token(await world.token("project"))

    assert token_caller(facts, world.ann.scope.project_id).roles == {"admin"}
    with pytest.raises(Forbidden, match="another project"):
        token_caller(facts, world.foreign_project_id)


async def test_a_token_of_a_domain_acts_in_no_project(world: World):
    facts = await world.identity.verify_token(await world.token("domain"))

    assert facts.scope == DomainScope(world.ann.user.domain_id, world.ann.user.domain_name)
    with pytest.raises(Forbidden, match="no project"):
        token_caller(facts, world.ann.scope.project_id)


async def test_an_unscoped_token_acts_in_no_project(world: World):
    facts = await world.identity.verify_token(await world.token("unscoped"))

    assert facts.user == world.ann.user
    assert not isinstance(facts.scope, ProjectScope)
    with pytest.raises(Forbidden, match="no project"):
        token_caller(facts, world.ann.scope.project_id)


async def test_a_token_says_the_same_each_time(world: World):
    token = await world.token("project")

    assert await world.identity.verify_token(token) == await world.identity.verify_token(token)


async def test_a_token_is_refused_from_the_moment_at_which_it_expires(world: World):
    token = await world.token("project")
    facts = await world.identity.verify_token(token)

    world.clock.moment = facts.expires_at
    with pytest.raises(Unauthenticated):
        await world.identity.verify_token(token)


async def test_what_is_no_token_is_refused(world: World):
    token = await world.token("project")

    for text in ("", "x", token[:-1], token + "x", token.swapcase(), "a b", "a\nb", "\ud800", "é", "x" * 100_000):
        with pytest.raises(Unauthenticated):
            await world.identity.verify_token(text)


@pytest.mark.parametrize("is_scoped", [False, True], ids=["Access", "Credential"])
async def test_a_signer_is_known_by_the_access_key(world: World, is_scoped: bool):
    signer = await world.identity.verify_signature(signed(world.ann, world.clock.now(), is_scoped=is_scoped))

    assert signer.user == world.ann.user


async def test_a_signer_comes_with_the_projects_in_which_there_is_a_role(world: World):
    signer = await world.identity.verify_signature(signed(world.ann, world.clock.now()))

    assert signer.projects == (world.ann.scope,)


async def test_a_wrong_key_and_a_wrong_secret_are_refused_alike(world: World):
    ann, now = world.ann, world.clock.now()

    messages: set[str] = set()
    for request in (signed(ann, now, access_key="NOSUCHKEY"), signed(ann, now, secret_key=Secret("wrong"))):
        with pytest.raises(Unauthenticated) as refusal:
            await world.identity.verify_signature(request)
        messages.add(refusal.value.message)
    assert len(messages) == 1


@pytest.mark.parametrize("is_scoped", [False, True], ids=["Access", "Credential"])
async def test_a_changed_request_is_refused(world: World, is_scoped: bool):
    request = signed(world.ann, world.clock.now(), is_scoped=is_scoped)

    for changed in (
        replace(request, method="DELETE"),
        replace(request, path=f"{request.path}x"),
        replace(request, query="type=endpoint"),
        replace(request, body=b"{}"),
        replace(request, headers={**request.headers, "host": "elsewhere"}),
    ):
        with pytest.raises(Unauthenticated):
            await world.identity.verify_signature(changed)


@pytest.mark.parametrize("minutes", [-16, 16])
async def test_a_request_signed_too_long_ago_or_ahead_is_refused(world: World, minutes: int):
    request = signed(world.ann, world.clock.now() + timedelta(minutes=minutes))

    with pytest.raises(Unauthenticated):
        await world.identity.verify_signature(request)


async def test_a_write_sent_again_is_refused_after_five_seconds_and_a_read_is_not(world: World):
    write, read = (signed(world.ann, world.clock.now(), method=method) for method in ("PUT", "GET"))

    for request in (write, read, write):
        await world.identity.verify_signature(request)
    world.clock.forward(timedelta(seconds=6))
    assert (await world.identity.verify_signature(read)).user == world.ann.user
    with pytest.raises(Unauthenticated, match="sign it again"):
        await world.identity.verify_signature(write)


async def test_a_signer_acts_only_in_a_project_with_a_role(world: World):
    signer = await world.identity.verify_signature(signed(world.ann, world.clock.now()))

    own = world.ann.scope.project_id
    assert signing_caller(signer, own).project_id == own
    for project_id in (world.foreign_project_id, "0d5c00000000000000000000000000ff"):
        with pytest.raises(Forbidden, match=f"no role in project {project_id}"):
            signing_caller(signer, project_id)


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer x",
        "SDK-HMAC-SM3 Access=A, SignedHeaders=x, Signature=0",
        "V11-HMAC-SHA256 Credential=A/20261122/lab-1/vpcep, SignedHeaders=x, Signature=0",
    ],
)
async def test_a_missing_or_other_signature_is_refused(world: World, authorization: str | None):
    request = signed(world.ann, world.clock.now())
    headers = {name: value for name, value in request.headers.items() if name != "authorization"}
    if authorization is not None:
        headers["authorization"] = authorization

    with pytest.raises(Unauthenticated):
        await world.identity.verify_signature(replace(request, headers=headers))
