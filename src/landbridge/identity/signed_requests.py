"""Find out who signed a request, for every adapter that can tell the secret of an access key.

One order for all of them: what the request claims, whose key it names, whether that secret signed it, and whether a
write is a first one. An unknown key costs as much as a known one and reads the same. Only signatures that verified
are remembered, so strangers cannot fill the memory.
"""

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from landbridge.control.accounts import SignedRequest, Signer
from landbridge.control.protocols import Clock
from landbridge.domain.errors import Unauthenticated
from landbridge.identity.replay import CAPACITY, ReplayMemory
from landbridge.identity.sealing import Secret
from landbridge.identity.signature import read_signature

READING_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
"""What may be sent again as often as somebody likes."""


@dataclass(frozen=True, slots=True)
class KeyHolder:
    """Who holds an access key, and the secret key that goes with it."""

    secret_key: Secret
    signer: Signer


class SignedRequests:
    """Verifies signed requests and remembers the writes among them. One per process."""

    def __init__(
        self, clock: Clock, clock_skew: timedelta = timedelta(minutes=15), replay_capacity: int = CAPACITY
    ) -> None:
        self._clock = clock
        self._clock_skew = clock_skew
        self._seen_writes = ReplayMemory(clock_skew, replay_capacity)
        # What an unknown access key is checked with: nobody knows it.
        self._nobodys_secret = Secret(secrets.token_hex(20))

    async def verify(self, request: SignedRequest, find: Callable[[str], Awaitable[KeyHolder | None]]) -> Signer:
        """Return who signed a request (contract 8.2 and 8.3).

        `find` returns the holder of an access key, None if nobody holds it. It should take as long for both.

        Raises:
            Unauthenticated: unknown key or algorithm, wrong signature, signed too long ago, or a write sent again.
        """
        claimed = read_signature(request, self._clock.now(), self._clock_skew)
        holder = await find(claimed.access_key)
        is_right = claimed.is_by(holder.secret_key if holder else self._nobodys_secret)
        if holder is None or not is_right:
            raise Unauthenticated("the access key or the signature is wrong")
        if request.method.upper() not in READING_METHODS:
            # The clock again: `find` may have taken its time.
            self._seen_writes.admit(holder.signer.user.id, claimed, self._clock.now())
        return holder.signer
