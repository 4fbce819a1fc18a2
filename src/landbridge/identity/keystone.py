"""Say who is asking, from a real Keystone.

Kept true: what Keystone revokes is refused here within the cache time; while it cannot be asked, nobody is told that
their token is wrong, and only what was answered within the cache time is still used. Access keys are Keystone's EC2
credentials. Nothing is written to Keystone, and no token is issued here: clients get theirs from Keystone.
"""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from landbridge.control.accounts import SignedRequest, Signer, TokenFacts
from landbridge.control.protocols import Clock
from landbridge.domain.errors import Unauthenticated
from landbridge.identity.asking import Answers, AnswersObserver, Bounds, Lanes, NoAnswer
from landbridge.identity.keystone_answers import UnreadableAnswer, read_key_holder, read_token
from landbridge.identity.keystone_client import KeystoneAccess, KeystoneClient
from landbridge.identity.signed_requests import KeyHolder, SignedRequests

_TOKEN: Final = re.compile(r"[!-~]{1,4096}")
"""What is worth asking about: Fernet tokens have some 200 characters, signed ones less than 1,000."""
_INVALID: Final = "the token is not valid: get a new one from the identity service"


class KeystoneIdentity:
    """Identity from Keystone (`control.protocols.Identity`)."""

    def __init__(
        self,
        access: KeystoneAccess,
        roles: Mapping[str, str],
        bounds: Bounds,
        clock: Clock,
        observer: AnswersObserver,
        clock_skew: timedelta = timedelta(minutes=15),
    ) -> None:
        self._client = KeystoneClient(access)
        self._roles = dict(roles)
        self._clock = clock
        self._lanes = Lanes("keystone", bounds)
        self._tokens = Answers(self._ask_about_token, self._lanes, bounds, clock, observer)
        self._key_holders = Answers(self._ask_about_access_key, self._lanes, bounds, clock, observer)
        self._signed_requests = SignedRequests(clock, clock_skew)

    async def verify_token(self, token: str) -> TokenFacts:
        """Return what a token says.

        Raises:
            Unauthenticated: unknown to Keystone, malformed, expired or revoked.
            IdentityUnavailable: Keystone did not say.
        """
        if _TOKEN.fullmatch(token) is None:
            raise Unauthenticated(_INVALID)
        facts = await self._tokens.get(token)
        # A remembered answer may have outlived the token.
        if facts is None or self._clock.now() >= facts.expires_at:
            raise Unauthenticated(_INVALID)
        return facts

    async def verify_signature(self, request: SignedRequest) -> Signer:
        """Return who signed a request, and the project that the access key is for.

        Raises:
            Unauthenticated: unknown key or algorithm, wrong signature, signed too long ago, or a write sent again.
            IdentityUnavailable: Keystone did not say.
        """
        return await self._signed_requests.verify(request, self._key_holders.get)

    def close(self) -> None:
        """Ask nothing any more."""
        self._lanes.close()

    def _ask_about_token(self, token: str) -> TokenFacts | None:
        document = self._client.token(token)
        try:
            return read_token(document, self._roles) if document is not None else None
        except UnreadableAnswer as error:
            raise NoAnswer(str(error)) from error

    def _ask_about_access_key(self, access_key: str) -> KeyHolder | None:
        documents = self._client.access_key(access_key)
        try:
            return read_key_holder(access_key, documents, self._roles) if documents is not None else None
        except UnreadableAnswer as error:
            raise NoAnswer(str(error)) from error
