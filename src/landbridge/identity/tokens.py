"""Mint and read the tokens of the built-in identity (contract 8.1).

A token carries all that a request needs to know, signed with HMAC-SHA256, so reading one looks nothing up. The
price: a removed user's token works until it expires, at most 24 hours. The time comes in as `now`.
Reading never trusts the token's own header: only the one header that we write is accepted.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

import jwt

from landbridge.control.accounts import TokenFacts
from landbridge.domain.errors import OperatorError, Unauthenticated
from landbridge.domain.ids import DomainId, ProjectId
from landbridge.domain.resources import Caller

TOKEN_LIFE: Final = timedelta(hours=24)
_ALGORITHM: Final = "HS256"
_MINIMUM_KEY_BYTES: Final = 32
_MAXIMUM_TOKEN_CHARACTERS: Final = 8192
# The one header that PyJWT writes for us; taken from it, since its bytes are what is signed.
_HEADER: Final = jwt.encode({}, bytes(_MINIMUM_KEY_BYTES), algorithm=_ALGORITHM).partition(".")[0]
# The last character of a 32-byte signature carries four bits; the other two must be zero, or one token could be
# written in four ways.
_SHAPE: Final = re.compile(re.escape(_HEADER) + r"\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]")
_CLAIMS: Final = (
    "sub",
    "user_name",
    "domain_id",
    "domain_name",
    "project_id",
    "project_name",
    "roles",
    "methods",
    "iat",
    "exp",
    "jti",
)
_INVALID: Final = "the token is not valid: get a new one from POST /v3/auth/tokens"


@dataclass(frozen=True, slots=True)
class TokenContents:
    """What a token says, and how its owner proved who they are."""

    facts: TokenFacts
    methods: tuple[str, ...]


def token_facts(caller: Caller, *, has_project: bool, now: datetime, audit_id: str) -> TokenFacts:
    """Return what a token issued now says; moments are whole seconds, as tokens write them."""
    issued_at = now.astimezone(UTC).replace(microsecond=0)
    return TokenFacts(
        caller=caller,
        has_project=has_project,
        issued_at=issued_at,
        expires_at=issued_at + TOKEN_LIFE,
        audit_id=audit_id,
    )


@dataclass(frozen=True, slots=True)
class TokenSigner:
    """Mints and reads tokens with the signing key of the state directory (32 bytes or more)."""

    key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.key) < _MINIMUM_KEY_BYTES:
            raise OperatorError(
                f"the token signing key has {len(self.key)} bytes, it must have at least {_MINIMUM_KEY_BYTES}"
            )

    def mint(self, contents: TokenContents) -> str:
        """Return the signed token for `contents`."""
        facts, caller = contents.facts, contents.facts.caller
        claims: dict[str, Any] = {
            "sub": caller.user_id,
            "user_name": caller.user_name,
            "domain_id": caller.domain_id,
            "domain_name": caller.domain_name,
            "project_id": caller.project_id if facts.has_project else None,
            "project_name": caller.project_name if facts.has_project else None,
            "roles": sorted(caller.roles),
            "methods": list(contents.methods),
            "iat": int(facts.issued_at.timestamp()),
            "exp": int(facts.expires_at.timestamp()),
            "jti": facts.audit_id,
        }
        return jwt.encode(claims, self.key, algorithm=_ALGORITHM)

    def read(self, token: str, now: datetime) -> TokenContents:
        """Return what a token says.

        Raises:
            Unauthenticated: forged, malformed or expired.
        """
        # Before any parsing: nothing that we did not sign reaches a JSON parser.
        if len(token) > _MAXIMUM_TOKEN_CHARACTERS or _SHAPE.fullmatch(token) is None:
            raise Unauthenticated(_INVALID)
        claims = self._signed_claims(token)
        if any(name not in claims for name in _CLAIMS):
            raise Unauthenticated(_INVALID)
        expires_at = datetime.fromtimestamp(claims["exp"], UTC)
        if now >= expires_at:
            raise Unauthenticated("the token has expired: get a new one from POST /v3/auth/tokens")
        has_project = claims["project_id"] is not None
        caller = Caller(
            user_id=claims["sub"],
            user_name=claims["user_name"],
            domain_id=DomainId(claims["domain_id"]),
            domain_name=claims["domain_name"],
            project_id=ProjectId(claims["project_id"] if has_project else ""),
            project_name=claims["project_name"] if has_project else "",
            roles=frozenset(cast("list[str]", claims["roles"])),
        )
        facts = TokenFacts(
            caller=caller,
            has_project=has_project,
            issued_at=datetime.fromtimestamp(claims["iat"], UTC),
            expires_at=expires_at,
            audit_id=claims["jti"],
        )
        return TokenContents(facts=facts, methods=tuple(cast("list[str]", claims["methods"])))

    def _signed_claims(self, token: str) -> Mapping[str, Any]:
        try:
            # PyJWT would read the wall clock; the moments are checked against `now` by the caller.
            return jwt.decode(
                token,
                self.key,
                algorithms=[_ALGORITHM],
                options={"verify_exp": False, "verify_iat": False, "verify_nbf": False},
            )
        except jwt.InvalidTokenError as error:
            raise Unauthenticated(_INVALID) from error
