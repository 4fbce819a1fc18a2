"""Hash and check passwords with argon2id, off the event loop.

A check costs the same time whether the user exists or not: an unknown user is checked against a hash of
nothing. The cost is OWASP's second choice, 19 MiB and two passes, about 20 ms. At most four run at once, so
that a flood of logins takes neither the memory nor the threads that others need.
"""

import asyncio
import secrets
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from landbridge.domain.errors import OperatorError
from landbridge.identity.sealing import Secret

_SIMULTANEOUS_CHECKS = 4
_ARGON2 = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


class PasswordHashes:
    """Makes and checks password hashes."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(_SIMULTANEOUS_CHECKS)
        # Made here, so that the first login of a user who does not exist takes no longer than others.
        self._hash_of_nothing = _hash_of_nothing()

    async def hash(self, password: Secret) -> str:
        """Return a salted hash that may be stored."""
        async with self._turns:
            return await asyncio.to_thread(_ARGON2.hash, password.reveal())

    async def matches(self, password_hash: str | None, password: Secret) -> bool:
        """Say whether the password belongs to the hash; for None (no such user) spend the time and say no.

        Raises:
            OperatorError: the stored hash is no argon2 hash.
        """
        async with self._turns:
            return await asyncio.to_thread(self._matches, password_hash, password)

    def is_outdated(self, password_hash: str) -> bool:
        """Say whether a hash was made at another cost than today's."""
        return _ARGON2.check_needs_rehash(password_hash)

    def _matches(self, password_hash: str | None, password: Secret) -> bool:
        try:
            # surrogatepass: JSON can carry half characters; such a password is wrong, not an error.
            attempt = password.reveal().encode("utf-8", "surrogatepass")
            _ARGON2.verify(self._hash_of_nothing if password_hash is None else password_hash, attempt)
        except VerificationError:
            return False
        except InvalidHashError as error:
            raise OperatorError("a stored password hash is damaged: provision the user again") from error
        return password_hash is not None


@cache
def _hash_of_nothing() -> str:
    """Return a hash of something that nobody knows, so a check against it never succeeds."""
    return _ARGON2.hash(secrets.token_bytes(32))
