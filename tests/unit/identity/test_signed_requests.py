"""Who signed a request, for adapters that can tell the secret of an access key; and writes that come again."""

import hashlib
import hmac
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from landbridge.control.accounts import ProjectScope, SignedRequest, Signer, User
from landbridge.domain.errors import IdentityUnavailable, Unauthenticated
from landbridge.domain.ids import DomainId, ProjectId
from landbridge.identity.sealing import Secret
from landbridge.identity.signed_requests import KeyHolder, SignedRequests
from tests.unit.identity.identity_world import HandClock

SECRET_KEY = Secret("LabSecretKey/for+tests=000000000000000001")
ADMIN = Signer(
    User("u1", "admin", DomainId("d1"), "acme"),
    (ProjectScope(ProjectId("p1"), "lab-1", DomainId("d1"), "acme", frozenset({"admin"})),),
)
PATH = "/v1/p1/vpc-endpoints"


async def find(access_key: str) -> KeyHolder | None:
    return KeyHolder(SECRET_KEY, ADMIN) if access_key == "KEY" else None


def signed(
    method: str, at: datetime, *, access_key: str = "KEY", secret_key: Secret = SECRET_KEY, body: bytes = b""
) -> SignedRequest:
    date = at.strftime("%Y%m%dT%H%M%SZ")
    body_hash = hashlib.sha256(body).hexdigest()
    canonical = "\n".join([method, f"{PATH}/", "", f"x-sdk-date:{date}", "", "x-sdk-date", body_hash])
    to_sign = f"SDK-HMAC-SHA256\n{date}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.new(secret_key.reveal().encode(), to_sign.encode(), "sha256").hexdigest()
    authorization = f"SDK-HMAC-SHA256 Access={access_key}, SignedHeaders=x-sdk-date, Signature={signature}"
    return SignedRequest(method, PATH, "", {"x-sdk-date": date, "authorization": authorization}, body)


@pytest.fixture
def clock() -> HandClock:
    return HandClock(datetime(2026, 11, 22, 17, 0, tzinfo=UTC))


@pytest.fixture
def requests(clock: HandClock) -> SignedRequests:
    return SignedRequests(clock)


async def test_the_signer_is_who_holds_the_key(requests: SignedRequests, clock: HandClock):
    assert await requests.verify(signed("GET", clock.now()), find) == ADMIN


async def test_an_unknown_key_reads_like_a_wrong_secret(requests: SignedRequests, clock: HandClock):
    unknown = signed("GET", clock.now(), access_key="NOBODYS")
    wrong = signed("GET", clock.now(), secret_key=Secret("wrong"))

    for request in (unknown, wrong):
        with pytest.raises(Unauthenticated, match=r"^the access key or the signature is wrong$"):
            await requests.verify(request, find)


async def test_an_answer_that_cannot_be_had_is_not_taken_for_a_wrong_key(requests: SignedRequests, clock: HandClock):
    async def find_nothing(_: str) -> KeyHolder | None:
        raise IdentityUnavailable("away")

    with pytest.raises(IdentityUnavailable):
        await requests.verify(signed("GET", clock.now()), find_nothing)


async def test_what_is_no_signature_asks_nobody(requests: SignedRequests, clock: HandClock):
    asked: list[str] = []

    async def note(access_key: str) -> KeyHolder | None:
        asked.append(access_key)
        return None

    too_old = signed("GET", clock.now() - timedelta(minutes=16))
    for request in (too_old, replace(too_old, headers={})):
        with pytest.raises(Unauthenticated):
            await requests.verify(request, note)
    assert asked == []


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "FETCH", "post"])
async def test_a_write_passes_again_for_five_seconds_only(requests: SignedRequests, clock: HandClock, method: str):
    request = replace(signed(method.upper(), clock.now(), body=b"{}"), method=method)

    assert await requests.verify(request, find) == ADMIN
    clock.forward(timedelta(seconds=5))
    assert await requests.verify(request, find) == ADMIN
    clock.forward(timedelta(seconds=1))
    with pytest.raises(Unauthenticated, match="sign it again"):
        await requests.verify(request, find)


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
async def test_a_read_passes_as_long_as_its_date_is_accepted(requests: SignedRequests, clock: HandClock, method: str):
    request = signed(method, clock.now())

    for _ in range(3):
        assert await requests.verify(request, find) == ADMIN
        clock.forward(timedelta(minutes=5))


async def test_a_write_that_is_signed_again_passes(requests: SignedRequests, clock: HandClock):
    for _ in range(3):
        assert await requests.verify(signed("DELETE", clock.now()), find) == ADMIN
        clock.forward(timedelta(seconds=10))


async def test_a_strangers_write_is_not_remembered(requests: SignedRequests, clock: HandClock):
    request = signed("POST", clock.now())

    async def find_nobody(_: str) -> KeyHolder | None:
        return None

    with pytest.raises(Unauthenticated):
        await requests.verify(request, find_nobody)
    clock.forward(timedelta(seconds=6))

    # Had the first one counted as seen, this one would be a replay.
    assert await requests.verify(request, find) == ADMIN


async def test_the_moment_of_first_sight_is_when_the_signature_was_verified(requests: SignedRequests, clock: HandClock):
    request = signed("POST", clock.now())

    async def find_slowly(access_key: str) -> KeyHolder | None:
        clock.forward(timedelta(seconds=10))
        return await find(access_key)

    await requests.verify(request, find_slowly)

    assert await requests.verify(request, find) == ADMIN


async def test_the_memory_may_be_smaller(clock: HandClock):
    requests = SignedRequests(clock, replay_capacity=1)
    first, second = signed("POST", clock.now()), signed("PUT", clock.now())

    await requests.verify(first, find)
    await requests.verify(second, find)

    with pytest.raises(Unauthenticated, match="too many writes"):
        await requests.verify(first, find)


async def test_no_secret_shows(requests: SignedRequests):
    holder = await find("KEY")

    assert SECRET_KEY.reveal() not in repr(holder) + repr(vars(requests))
