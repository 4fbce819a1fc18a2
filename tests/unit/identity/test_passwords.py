import asyncio
import time

import pytest

from landbridge.domain.errors import OperatorError
from landbridge.identity.passwords import PasswordHashes
from landbridge.identity.sealing import Secret


async def test_a_password_fits_its_own_hash_only():
    hashes = PasswordHashes()
    password_hash = await hashes.hash(Secret("right"))

    assert await hashes.matches(password_hash, Secret("right"))
    assert not await hashes.matches(password_hash, Secret("wrong"))
    assert not await hashes.matches(password_hash, Secret(""))
    assert "right" not in password_hash


@pytest.mark.parametrize("password", ["right", "", "\ud800", "\0", "ü" * 10_000])
async def test_an_unknown_user_has_no_password(password: str):
    assert not await PasswordHashes().matches(None, Secret(password))


async def test_the_cost_is_moderate_and_the_same_for_an_unknown_user():
    hashes = PasswordHashes()
    known = await hashes.hash(Secret("right"))
    assert "m=19456,t=2,p=1" in known

    async def fastest_seconds(password_hash: str | None) -> float:
        seconds: list[float] = []
        for _ in range(5):
            started = time.perf_counter()
            await hashes.matches(password_hash, Secret("wrong"))
            seconds.append(time.perf_counter() - started)
        return min(seconds)

    wrong, unknown = await fastest_seconds(known), await fastest_seconds(None)
    # Wide, for a busy machine: without the hash of nothing, the ratio is a thousand.
    assert 0.3 < unknown / wrong < 3


async def test_the_loop_goes_on_while_passwords_are_checked():
    hashes = PasswordHashes()
    checks = asyncio.gather(*(hashes.matches(None, Secret("x")) for _ in range(8)))

    turns = 0
    while not checks.done():
        await asyncio.sleep(0.001)
        turns += 1
    assert turns > 3


async def test_a_damaged_hash_is_the_operators_concern():
    with pytest.raises(OperatorError, match="damaged"):
        await PasswordHashes().matches("plain text", Secret("plain text"))


async def test_a_hash_of_another_cost_is_outdated():
    hashes = PasswordHashes()

    assert not hashes.is_outdated(await hashes.hash(Secret("x")))
    assert hashes.is_outdated("$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$2KuYUZp5bZS0S3mDBZq9Rg")
