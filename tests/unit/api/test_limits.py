"""Who is refused when, with limiters that count by hand."""

import asyncio
from dataclasses import dataclass, field

import pytest

from landbridge.api.limits import RequestLimits, address_subject, signature_subject
from landbridge.domain.errors import TooManyRequests, Unauthenticated


@dataclass
class CountingLimiter:
    """Lets each key have so many; the next one would be in 5.2 seconds."""

    most: int
    taken: dict[str, int] = field(default_factory=dict)

    def take(self, key: str) -> float:
        if self.left(key) == 0:
            return 5.2
        self.taken[key] = self.taken.get(key, 0) + 1
        return 0.0

    def left(self, key: str) -> int:
        return self.most - self.taken.get(key, 0)

    def wait_seconds(self, key: str) -> float:
        return 0.0 if self.left(key) else 5.2


@dataclass
class Refusals:
    """Remembers what was refused."""

    limits: list[str] = field(default_factory=list)

    def request_refused(self, limit: str) -> None:
        self.limits.append(limit)


async def wrong_password(limits: RequestLimits, subject: str) -> None:
    async with limits.signing_in(subject):
        await asyncio.sleep(0)
        raise Unauthenticated("wrong")


async def right_password(limits: RequestLimits, subject: str) -> None:
    async with limits.signing_in(subject):
        await asyncio.sleep(0)


def test_a_project_over_its_share_is_refused_with_whole_seconds_and_the_others_are_not():
    refusals = Refusals()
    limits = RequestLimits(CountingLimiter(2), None, refusals)
    limits.count_request("acme")
    limits.count_request("acme")

    with pytest.raises(TooManyRequests, match="try again in 6 s") as refused:
        limits.count_request("acme")
    limits.count_request("globex")

    assert refused.value.retry_after_seconds == 6
    assert refusals.limits == ["project"]


async def test_after_too_many_failed_sign_ins_even_the_right_password_is_refused_unseen():
    refusals = Refusals()
    limits = RequestLimits(None, CountingLimiter(2), refusals)
    for _ in range(2):
        with pytest.raises(Unauthenticated):
            await wrong_password(limits, "192.0.2.1")

    with pytest.raises(TooManyRequests):
        await right_password(limits, "192.0.2.1")
    await right_password(limits, "192.0.2.2")

    assert refusals.limits == ["sign-in"]


async def test_successful_sign_ins_never_count():
    limiter = CountingLimiter(1)
    limits = RequestLimits(None, limiter, Refusals())

    for _ in range(50):
        await right_password(limits, "192.0.2.1")

    assert limiter.taken == {}


async def test_guesses_sent_at_once_are_no_more_than_guesses_one_after_the_other():
    limits = RequestLimits(None, CountingLimiter(3), Refusals())

    answers = await asyncio.gather(*(wrong_password(limits, "192.0.2.1") for _ in range(100)), return_exceptions=True)

    kinds = [type(answer) for answer in answers]
    assert (kinds.count(Unauthenticated), kinds.count(TooManyRequests)) == (3, 97)


async def test_right_sign_ins_sent_at_once_all_succeed():
    limits = RequestLimits(None, CountingLimiter(3), Refusals())

    answers = await asyncio.gather(*(right_password(limits, "192.0.2.1") for _ in range(100)))

    assert len(answers) == 100


async def test_a_sign_in_that_is_given_up_leaves_its_place_to_others():
    limits = RequestLimits(None, CountingLimiter(1), Refusals())
    started = asyncio.Event()

    async def hangs() -> None:
        async with limits.signing_in("192.0.2.1"):
            started.set()
            await asyncio.Event().wait()

    hanging = asyncio.create_task(hangs())
    await started.wait()
    waiting = asyncio.create_task(right_password(limits, "192.0.2.1"))
    await asyncio.sleep(0)
    hanging.cancel()

    await asyncio.wait_for(waiting, 5)
    assert hanging.cancelled()


async def test_nothing_is_remembered_of_sign_ins_that_are_over():
    limits = RequestLimits(None, CountingLimiter(5), Refusals())

    for number in range(20):
        await right_password(limits, f"192.0.2.{number}")

    assert limits._attempts == {}


async def test_without_limiters_nothing_is_refused():
    limits = RequestLimits(None, None, Refusals())

    for _ in range(50):
        limits.count_request("acme")
        with pytest.raises(Unauthenticated):
            await wrong_password(limits, "192.0.2.1")


@pytest.mark.parametrize(
    ("host", "subject"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("somebody's invention", "unknown"),
        (None, "unknown"),
    ],
)
def test_an_ipv6_site_counts_as_one_client(host: str | None, subject: str):
    assert address_subject(host) == subject


@pytest.mark.parametrize(
    "authorization",
    [
        "SDK-HMAC-SHA256 Access=KEY, SignedHeaders=a, Signature=b",
        "SDK-HMAC-SHA256 Access=KEY,SignedHeaders=a;b, Signature=c",
        "SDK-HMAC-SHA256 Credential=KEY/20261122///sdk_request, SignedHeaders=a, Signature=b",
        "SDK-HMAC-SHA256 Credential=KEY/20261123/other/x/sdk_request, SignedHeaders=a, Signature=b",
    ],
)
def test_what_a_client_writes_beside_the_access_key_makes_no_new_subject(authorization: str):
    assert signature_subject("192.0.2.1", authorization) == "192.0.2.1 KEY"
