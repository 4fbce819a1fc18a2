"""Check requests signed with SDK-HMAC-SHA256, in both forms that clients use (contract 8.2 and 8.3).

Pure. `read_signature` decides everything that needs no secret (form, time, body hash) and returns what was claimed;
`ClaimedSignature.is_by` compares it with a secret key in constant time. Whatever the headers hold, the only error is
`Unauthenticated`. Which headers were signed is what counts: the list is the signer's, only X-Sdk-Date must be on it.
The algorithms of 8.4 are refused by name. How a request is written for signing is in `canonical`.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from landbridge.control.accounts import SignedRequest
from landbridge.domain.errors import Unauthenticated
from landbridge.identity.canonical import Form, canonical_request, is_body_signed, signed_values
from landbridge.identity.sealing import Secret

ALGORITHM: Final = "SDK-HMAC-SHA256"
DATE_HEADER: Final = "x-sdk-date"

_MAXIMUM_AUTHORIZATION_CHARACTERS: Final = 4096
_ACCESS_KEY: Final = re.compile(r"[!-+\--~]{1,128}")
_SCOPE_PART: Final = r"[!-+\-.0-~]{0,64}"
_SIGNED: Final = r", ?SignedHeaders=(?P<signed_headers>[!-+\--~]+), ?Signature=(?P<signature>[0-9a-f]{64})"
_CLAIMS: Final = {
    Form.ACCESS: re.compile(rf"Access=(?P<access_key>{_ACCESS_KEY.pattern}){_SIGNED}"),
    Form.CREDENTIAL: re.compile(
        rf"Credential=(?P<access_key>{_ACCESS_KEY.pattern})"
        rf"/(?P<date>[0-9]{{8}})/(?P<region>{_SCOPE_PART})/(?P<service>{_SCOPE_PART})/sdk_request{_SIGNED}"
    ),
}
# Lower-case field names of RFC 9110; the list is taken in the order it was signed in.
_HEADER_NAME: Final = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")
_ALGORITHM_NAME: Final = re.compile(r"[A-Z0-9]{2,10}(-[A-Z0-9]{2,10}){1,4}")
_DATE: Final = re.compile(rb"[0-9]{8}T[0-9]{6}Z")


@dataclass(frozen=True, slots=True)
class CredentialScope:
    """What a secret key is narrowed to before it signs (contract 8.3). Clients leave region and service empty."""

    date: str
    """YYYYMMDD."""
    region: str
    service: str

    @property
    def parts(self) -> tuple[str, ...]:
        """The steps of the key chain, as the scope is written with slashes."""
        return self.date, self.region, self.service, "sdk_request"


@dataclass(frozen=True, slots=True)
class ClaimedSignature:
    """Who claims to have signed a request, and what would prove it."""

    access_key: str
    signed_headers: tuple[str, ...]
    signed_at: datetime
    is_body_signed: bool
    """False if another body could come with this signature."""
    scope: CredentialScope | None
    """None: the secret key itself signs."""
    string_to_sign: bytes = field(repr=False)
    signature: str = field(repr=False)
    """64 lower-case hex digits."""

    def is_by(self, secret_key: Secret) -> bool:
        """Say whether the holder of this secret key signed the request."""
        key = secret_key.reveal().encode()
        if self.scope is not None:
            key = b"SDK" + key
            for part in self.scope.parts:
                key = hmac.digest(key, part.encode(), "sha256")
        expected = hmac.new(key, self.string_to_sign, hashlib.sha256).hexdigest()
        return hmac.compare_digest(expected, self.signature)


@dataclass(frozen=True, slots=True)
class _Authorization:
    form: Form
    access_key: str
    scope: CredentialScope | None
    signed_headers: tuple[str, ...]
    signature: str = field(repr=False)


def is_access_key(text: str) -> bool:
    """Say whether an Authorization header can carry this access key."""
    return _ACCESS_KEY.fullmatch(text) is not None


def read_signature(request: SignedRequest, now: datetime, clock_skew: timedelta) -> ClaimedSignature:
    """Return the signature that a request carries, its form, time and body hash checked.

    Raises:
        Unauthenticated: missing, malformed, of another algorithm, or signed more than `clock_skew` away from `now`.
    """
    claim = _parse_authorization(request.headers.get("authorization", ""))
    values = signed_values(request.headers, claim.signed_headers, claim.form)
    date, signed_at = _check_date(values, now, clock_skew)
    canonical = canonical_request(request, values, claim.form)
    lines = [ALGORITHM.encode(), date, hashlib.sha256(canonical).hexdigest().encode()]
    if claim.scope is not None:
        if claim.scope.date.encode() != date[:8]:
            raise Unauthenticated("the date in Credential must be the date of X-Sdk-Date: sign the request again")
        lines.insert(2, "/".join(claim.scope.parts).encode())
    return ClaimedSignature(
        access_key=claim.access_key,
        signed_headers=claim.signed_headers,
        signed_at=signed_at,
        is_body_signed=is_body_signed(canonical),
        scope=claim.scope,
        string_to_sign=b"\n".join(lines),
        signature=claim.signature,
    )


def _parse_authorization(header: str) -> _Authorization:
    if len(header) > _MAXIMUM_AUTHORIZATION_CHARACTERS:
        raise Unauthenticated("the Authorization header is too long")
    algorithm, _, claim = header.partition(" ")
    if algorithm != ALGORITHM:
        # Only what looks like an algorithm is repeated: it could be a password or a token.
        name = f" {algorithm}" if _ALGORITHM_NAME.fullmatch(algorithm) else ""
        raise Unauthenticated(f"the signature algorithm{name} is not supported: sign with {ALGORITHM}")
    form = Form.CREDENTIAL if claim.startswith("Credential=") else Form.ACCESS
    parts = _CLAIMS[form].fullmatch(claim)
    if parts is None:
        raise Unauthenticated(
            f"the Authorization header must read '{ALGORITHM} Access=…, SignedHeaders=…, Signature=…' or "
            f"'{ALGORITHM} Credential=…/yyyymmdd/region/service/sdk_request, SignedHeaders=…, Signature=…'"
        )
    signed_headers = tuple(parts["signed_headers"].split(";"))
    if len(set(signed_headers)) < len(signed_headers) or not all(map(_HEADER_NAME.fullmatch, signed_headers)):
        raise Unauthenticated("SignedHeaders must be different lower-case header names, joined by ';'")
    scope = None
    if form is Form.CREDENTIAL:
        scope = CredentialScope(parts["date"], parts["region"], parts["service"])
    return _Authorization(form, parts["access_key"], scope, signed_headers, parts["signature"])


def _check_date(values: Mapping[str, bytes], now: datetime, clock_skew: timedelta) -> tuple[bytes, datetime]:
    written = values.get(DATE_HEADER)
    if written is None:
        raise Unauthenticated("the header X-Sdk-Date must be among the signed headers")
    try:
        if _DATE.fullmatch(written) is None:
            raise ValueError
        signed_at = datetime.strptime(written.decode(), "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise Unauthenticated("X-Sdk-Date must be a moment in UTC, written YYYYMMDDTHHMMSSZ") from None
    if abs(now - signed_at) > clock_skew:
        raise Unauthenticated(
            f"X-Sdk-Date is more than {clock_skew.total_seconds():.0f} seconds away from the server's clock, "
            f"which shows {now:%Y%m%dT%H%M%SZ}: set the client's clock"
        )
    return written, signed_at
