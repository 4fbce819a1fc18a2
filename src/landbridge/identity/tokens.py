"""Mint and read the tokens of the built-in identity (contract 8.1).

A token carries who somebody is and where they may act, signed with HMAC-SHA256; reading one looks nothing up. Whether
that is still so is the reader's question: the password mark ends a token with the password that it was got with.
The time comes in as `now`. Reading never trusts the token's own header: only the one that we write is accepted.
"""

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

import jwt

from landbridge.control.accounts import DomainScope, ProjectScope, TokenFacts, User
from landbridge.domain.errors import OperatorError, Unauthenticated
from landbridge.domain.ids import DomainId, ProjectId

TOKEN_LIFE: Final = timedelta(hours=24)
_ALGORITHM: Final = "HS256"
_MINIMUM_KEY_BYTES: Final = 32
_MAXIMUM_TOKEN_CHARACTERS: Final = 8192
# The one header that PyJWT writes for us; taken from it, since its bytes are what is signed.
_HEADER: Final = jwt.encode({}, bytes(_MINIMUM_KEY_BYTES), algorithm=_ALGORITHM).partition(".")[0]
# The last character of a 32-byte signature carries four bits; the other two must be zero, or one token could be
# written in four ways.
_SHAPE: Final = re.compile(re.escape(_HEADER) + r"\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]")
_CLAIMS: Final = ("sub", "user", "scope", "methods", "iat", "exp", "jti", "mark")
_MARK_HEX_DIGITS: Final = 32
_INVALID: Final = "the token is not valid: get a new one from POST /v3/auth/tokens"


def new_token_facts(
    user: User,
    scope: ProjectScope | DomainScope | None,
    *,
    methods: tuple[str, ...],
    now: datetime,
    audit_id: str,
    no_later_than: datetime | None = None,
) -> TokenFacts:
    """Return what a token issued now says; moments are whole seconds, as tokens write them."""
    issued_at = now.astimezone(UTC).replace(microsecond=0)
    return TokenFacts(
        user=user,
        scope=scope,
        methods=methods,
        issued_at=issued_at,
        expires_at=min(issued_at + TOKEN_LIFE, no_later_than or datetime.max.replace(tzinfo=UTC)),
        audit_id=audit_id,
    )


@dataclass(frozen=True, slots=True)
class SignedToken:
    """What a token says, and the mark of the password that stood behind it when it was issued."""

    facts: TokenFacts
    password_mark: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class TokenSigner:
    """Mints and reads tokens with the signing key of the state directory (32 bytes or more)."""

    key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.key) < _MINIMUM_KEY_BYTES:
            raise OperatorError(
                f"the token signing key has {len(self.key)} bytes, it must have at least {_MINIMUM_KEY_BYTES}"
            )

    def password_mark(self, password_hash: str) -> str:
        """Return what stands for a stored password hash in tokens: it changes with the hash and says nothing of it."""
        # The prefix keeps this use of the key apart from signatures, whose texts begin with the header.
        return hmac.digest(self.key, b"password-mark:" + password_hash.encode(), "sha256").hex()[:_MARK_HEX_DIGITS]

    def mint(self, facts: TokenFacts, password_mark: str) -> str:
        """Return the signed token that says this."""
        claims: dict[str, Any] = {
            "sub": facts.user.id,
            "user": [facts.user.name, facts.user.domain_id, facts.user.domain_name],
            "scope": _scope_claim(facts.scope),
            "methods": list(facts.methods),
            "iat": int(facts.issued_at.timestamp()),
            "exp": int(facts.expires_at.timestamp()),
            "jti": facts.audit_id,
            "mark": password_mark,
        }
        return jwt.encode(claims, self.key, algorithm=_ALGORITHM)

    def read(self, token: str, now: datetime) -> SignedToken:
        """Return what a token says.

        Raises:
            Unauthenticated: forged, malformed or expired.
        """
        # Before any parsing: nothing that we did not sign reaches a JSON parser.
        if len(token) > _MAXIMUM_TOKEN_CHARACTERS or _SHAPE.fullmatch(token) is None:
            raise Unauthenticated(_INVALID)
        claims = self._signed_claims(token)
        if any(name not in claims for name in _CLAIMS):
            # Signed by us, in the words of an older version.
            raise Unauthenticated(_INVALID)
        expires_at = datetime.fromtimestamp(claims["exp"], UTC)
        if now >= expires_at:
            raise Unauthenticated("the token has expired: get a new one from POST /v3/auth/tokens")
        name, domain_id, domain_name = claims["user"]
        facts = TokenFacts(
            user=User(claims["sub"], name, DomainId(domain_id), domain_name),
            scope=_scope_from_claim(claims["scope"]),
            methods=tuple(cast("list[str]", claims["methods"])),
            issued_at=datetime.fromtimestamp(claims["iat"], UTC),
            expires_at=expires_at,
            audit_id=claims["jti"],
        )
        return SignedToken(facts, claims["mark"])

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


def _scope_claim(scope: ProjectScope | DomainScope | None) -> dict[str, Any] | None:
    match scope:
        case None:
            return None
        case DomainScope():
            return {"domain": [scope.domain_id, scope.domain_name]}
        case ProjectScope():
            return {
                "project": [scope.project_id, scope.project_name],
                "domain": [scope.domain_id, scope.domain_name],
                "roles": sorted(scope.roles),
            }


def _scope_from_claim(claim: Mapping[str, Any] | None) -> ProjectScope | DomainScope | None:
    if claim is None:
        return None
    domain_id, domain_name = claim["domain"]
    if "project" not in claim:
        return DomainScope(DomainId(domain_id), domain_name)
    project_id, project_name = claim["project"]
    return ProjectScope(
        ProjectId(project_id),
        project_name,
        DomainId(domain_id),
        domain_name,
        frozenset(cast("list[str]", claim["roles"])),
    )
