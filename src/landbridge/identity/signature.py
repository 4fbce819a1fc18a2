"""Check requests signed with SDK-HMAC-SHA256, as the Huawei SDKs compute it (contract 8.2).

Pure. `read_signature` decides everything that needs no secret (form, time, body hash) and returns what was claimed;
`ClaimedSignature.is_by` compares it with a secret key in constant time. Whatever the headers hold, the only error is
`Unauthenticated`. Path and query have one character per received byte, header values are read as UTF-8; here all
are bytes again, so what is checked is what was sent.
The `Credential=` form (contract 8.3) and the algorithms of 8.4 are refused by name.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import quote_from_bytes, unquote_to_bytes

from landbridge.control.accounts import SignedRequest
from landbridge.domain.errors import Unauthenticated
from landbridge.identity.sealing import Secret

ALGORITHM: Final = "SDK-HMAC-SHA256"
DATE_HEADER: Final = "x-sdk-date"
CONTENT_HASH_HEADER: Final = "x-sdk-content-sha256"
UNSIGNED_PAYLOAD: Final = "UNSIGNED-PAYLOAD"

_MAXIMUM_AUTHORIZATION_CHARACTERS: Final = 4096
_ACCESS_KEY: Final = re.compile(r"[!-+\--~]{1,128}")
_CLAIM: Final = re.compile(
    rf"Access=(?P<access_key>{_ACCESS_KEY.pattern}), ?"
    r"SignedHeaders=(?P<signed_headers>[!-+\--~]+), ?"
    r"Signature=(?P<signature>[0-9a-f]{64})"
)
# Lower-case field names of RFC 9110; the list is taken in the order it was signed in.
_HEADER_NAME: Final = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")
_ALGORITHM_NAME: Final = re.compile(r"[A-Z0-9]{2,10}(-[A-Z0-9]{2,10}){1,4}")
_DATE: Final = re.compile(rb"[0-9]{8}T[0-9]{6}Z")
_HEX_HASH: Final = re.compile(rb"[0-9a-fA-F]{64}")


@dataclass(frozen=True, slots=True)
class ClaimedSignature:
    """Who claims to have signed a request, and what would prove it."""

    access_key: str
    signed_headers: tuple[str, ...]
    string_to_sign: bytes = field(repr=False)
    signature: str = field(repr=False)

    def is_by(self, secret_key: Secret) -> bool:
        """Say whether the holder of this secret key signed the request."""
        expected = hmac.new(secret_key.reveal().encode(), self.string_to_sign, hashlib.sha256).hexdigest()
        return hmac.compare_digest(expected, self.signature)


def is_access_key(text: str) -> bool:
    """Say whether an Authorization header can carry this access key."""
    return _ACCESS_KEY.fullmatch(text) is not None


def read_signature(request: SignedRequest, now: datetime, clock_skew: timedelta) -> ClaimedSignature:
    """Return the signature that a request carries, its form, time and body hash checked.

    Raises:
        Unauthenticated: missing, malformed, of another algorithm, or signed more than `clock_skew` away from `now`.
    """
    access_key, signed_headers, signature = _parse_authorization(request.headers.get("authorization", ""))
    signed_values = _signed_values(request.headers, signed_headers)
    signed_at = _check_date(signed_values, now, clock_skew)
    canonical_request = b"\n".join(
        (
            _bytes_as_received(request.method.upper()),
            _canonical_path(_bytes_as_received(request.path)),
            _canonical_query(_bytes_as_received(request.query)),
            *(name.encode() + b":" + signed_values[name] for name in signed_headers),
            b"",
            ";".join(signed_headers).encode(),
            _body_hash(request.body, signed_values.get(CONTENT_HASH_HEADER)),
        )
    )
    digest = hashlib.sha256(canonical_request).hexdigest().encode()
    return ClaimedSignature(
        access_key=access_key,
        signed_headers=signed_headers,
        string_to_sign=b"\n".join((ALGORITHM.encode(), signed_at, digest)),
        signature=signature,
    )


def _parse_authorization(header: str) -> tuple[str, tuple[str, ...], str]:
    if len(header) > _MAXIMUM_AUTHORIZATION_CHARACTERS:
        raise Unauthenticated("the Authorization header is too long")
    algorithm, _, claim = header.partition(" ")
    if algorithm != ALGORITHM:
        # Only what looks like an algorithm is repeated: it could be a password or a token.
        name = f" {algorithm}" if _ALGORITHM_NAME.fullmatch(algorithm) else ""
        raise Unauthenticated(f"the signature algorithm{name} is not supported: sign with {ALGORITHM}")
    if claim.startswith("Credential="):
        raise Unauthenticated(f"the form '{ALGORITHM} Credential=…' is not supported: sign with '{ALGORITHM} Access=…'")
    parts = _CLAIM.fullmatch(claim)
    if parts is None:
        raise Unauthenticated(
            f"the Authorization header must read '{ALGORITHM} Access=…, SignedHeaders=…, Signature=…'"
        )
    signed_headers = tuple(parts["signed_headers"].split(";"))
    if len(set(signed_headers)) < len(signed_headers) or not all(map(_HEADER_NAME.fullmatch, signed_headers)):
        raise Unauthenticated("SignedHeaders must be different lower-case header names, joined by ';'")
    return parts["access_key"], signed_headers, parts["signature"]


def _signed_values(headers: Mapping[str, str], signed_headers: tuple[str, ...]) -> dict[str, bytes]:
    for name in signed_headers:
        if name not in headers:
            raise Unauthenticated(f"the header {name} was signed but did not arrive")
    return {name: _bytes_as_received(headers[name], "utf-8").strip() for name in signed_headers}


def _check_date(signed_values: Mapping[str, bytes], now: datetime, clock_skew: timedelta) -> bytes:
    written = signed_values.get(DATE_HEADER)
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
    return written


def _canonical_path(path: bytes) -> bytes:
    # Decoded as a whole before it is split, as the SDKs do: %2F is a slash for them, as it is for our routes.
    canonical = quote_from_bytes(unquote_to_bytes(path), safe="/").encode()
    return canonical if canonical.endswith(b"/") else canonical + b"/"


def _canonical_query(query: bytes) -> bytes:
    pairs: list[tuple[bytes, bytes]] = []
    for parameter in query.split(b"&"):
        if parameter:
            name, _, value = parameter.replace(b"+", b" ").partition(b"=")
            pairs.append((unquote_to_bytes(name), unquote_to_bytes(value)))
    # Sorted decoded: the encoded texts sort differently ('%' comes before the digits).
    return "&".join(
        f"{quote_from_bytes(name, safe='')}={quote_from_bytes(value, safe='')}" for name, value in sorted(pairs)
    ).encode()


def _body_hash(body: bytes, signed_content_hash: bytes | None) -> bytes:
    # Somebody on the way could have added a header that is not signed, and with it change the body.
    actual = hashlib.sha256(body).hexdigest().encode()
    if signed_content_hash is None:
        return actual
    if signed_content_hash != UNSIGNED_PAYLOAD.encode():
        if _HEX_HASH.fullmatch(signed_content_hash) is None:
            raise Unauthenticated(f"X-Sdk-Content-Sha256 must be the body's SHA-256 in hex, or {UNSIGNED_PAYLOAD}")
        if not hmac.compare_digest(signed_content_hash.lower(), actual):
            raise Unauthenticated("X-Sdk-Content-Sha256 is not the SHA-256 of the body that arrived")
    # An empty body is hashed even if the header is there (contract 8.2).
    return signed_content_hash if body else actual


def _bytes_as_received(text: str, encoding: str = "latin-1") -> bytes:
    try:
        return text.encode(encoding)
    except UnicodeEncodeError:
        raise Unauthenticated("the request line or a signed header has characters that HTTP cannot carry") from None
