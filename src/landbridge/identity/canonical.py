"""Write a received request the way its signer wrote it, byte for byte, in both forms of SDK-HMAC-SHA256.

`Form.ACCESS` is what the Huawei SDKs sign (contract 8.2), `Form.CREDENTIAL` what gophertelekomcloud signs (8.3).
Path and query arrive with one character per received byte, header values as UTF-8 text; here all are bytes again, so
what is checked is what was sent. Whatever of path, query and body a form leaves unsigned is refused, not trusted;
a body is left out only where the signer says so, in a signed header.
"""

import enum
import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote_from_bytes, quote_plus, unquote_to_bytes

from landbridge.control.accounts import SignedRequest
from landbridge.domain.errors import Unauthenticated

CONTENT_HASH_HEADER: Final = "x-sdk-content-sha256"
UNSIGNED_PAYLOAD: Final = b"UNSIGNED-PAYLOAD"

_HEX_HASH: Final = re.compile(rb"[0-9a-fA-F]{64}")
_WHITE_SPACE: Final = re.compile(rb"[\t\n\f\r ]+")


class Form(enum.Enum):
    """How an Authorization header names the access key, and with it how the request was written for signing."""

    ACCESS = "Access"
    CREDENTIAL = "Credential"


def signed_values(headers: Mapping[str, str], signed_headers: tuple[str, ...], form: Form) -> dict[str, bytes]:
    """Return the values of the headers that were signed, as they were signed, by lower-case name.

    Raises:
        Unauthenticated: one of them did not arrive, or holds what HTTP cannot carry.
    """
    for name in signed_headers:
        if name not in headers:
            raise Unauthenticated(f"the header {name} was signed but did not arrive")
    values = {name: _bytes_as_received(headers[name], "utf-8").strip() for name in signed_headers}
    if form is Form.CREDENTIAL:
        return {name: _WHITE_SPACE.sub(b" ", value) for name, value in values.items()}
    return values


def canonical_request(request: SignedRequest, values: Mapping[str, bytes], form: Form) -> bytes:
    """Return the request as one text for signing. `values` are the signed headers, in the order they were signed in.

    Raises:
        Unauthenticated: the body's hash is wrong, or a part that changes what is asked for is not signed.
    """
    query, body_hash = _query_and_body_hash(request, values, form)
    return b"\n".join(
        (
            _bytes_as_received(request.method.upper()),
            _canonical_path(_bytes_as_received(request.path)),
            query,
            *(name.encode() + b":" + value for name, value in values.items()),
            b"",
            ";".join(values).encode(),
            body_hash,
        )
    )


def is_body_signed(canonical: bytes) -> bool:
    """Say whether another body would need another signature."""
    return not canonical.endswith(b"\n" + UNSIGNED_PAYLOAD)


def _query_and_body_hash(request: SignedRequest, values: Mapping[str, bytes], form: Form) -> tuple[bytes, bytes]:
    pairs = _query_pairs(_bytes_as_received(request.query))
    if form is Form.ACCESS:
        # An empty body is hashed even if the header is there (contract 8.2).
        content_hash = values.get(CONTENT_HASH_HEADER) if request.body else None
        return _sorted_query(pairs), _body_hash(request.body, content_hash)
    if request.method.upper() == "POST" and not request.body:
        # The query is signed in the body's place. Never the header's value: it would leave the query unsigned.
        # A body that reads like this query has this hash too, but no such text is a JSON object.
        return b"", _hash(_form_encoded(pairs))
    return _query_of_first_values(pairs), _body_hash(request.body, values.get(CONTENT_HASH_HEADER))


def _canonical_path(path: bytes) -> bytes:
    # Decoded as a whole before it is split, as the SDKs do: %2F is a slash for them, as it is for our routes.
    canonical = quote_from_bytes(unquote_to_bytes(path), safe="/").encode()
    return canonical if canonical.endswith(b"/") else canonical + b"/"


def _query_pairs(query: bytes) -> list[tuple[bytes, bytes]]:
    pairs: list[tuple[bytes, bytes]] = []
    for parameter in query.split(b"&"):
        if parameter:
            name, _, value = parameter.replace(b"+", b" ").partition(b"=")
            pairs.append((unquote_to_bytes(name), unquote_to_bytes(value)))
    return pairs


def _sorted_query(pairs: list[tuple[bytes, bytes]]) -> bytes:
    # Sorted decoded: the encoded texts sort differently ('%' comes before the digits).
    return "&".join(f"{_encoded(name)}={_encoded(value)}" for name, value in sorted(pairs)).encode()


def _query_of_first_values(pairs: list[tuple[bytes, bytes]]) -> bytes:
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        # This form signs the first value of a name only: anybody could have added the second.
        raise Unauthenticated(
            "a query parameter came twice, and only its first value is signed: send each one once, "
            "or sign with 'SDK-HMAC-SHA256 Access=…'"
        )
    # Here the encoded names are sorted, ignoring case.
    encoded = sorted(((_encoded(name), _encoded(value)) for name, value in pairs), key=lambda pair: pair[0].lower())
    return "&".join(f"{name}={value}" for name, value in encoded).encode()


def _form_encoded(pairs: list[tuple[bytes, bytes]]) -> bytes:
    # Go's url.Values.Encode: all values, by name, those of one name in the order in which they came; a space is a plus.
    in_order = sorted(pairs, key=lambda pair: pair[0])
    return "&".join(f"{quote_plus(name, safe='')}={quote_plus(value, safe='')}" for name, value in in_order).encode()


def _encoded(text: bytes) -> str:
    return quote_from_bytes(text, safe="")


def _body_hash(body: bytes, signed_content_hash: bytes | None) -> bytes:
    # Only a signed header counts: somebody on the way could have added another, and with it change the body.
    actual = _hash(body)
    if signed_content_hash is None:
        return actual
    if signed_content_hash != UNSIGNED_PAYLOAD:
        if _HEX_HASH.fullmatch(signed_content_hash) is None:
            raise Unauthenticated(
                f"X-Sdk-Content-Sha256 must be the body's SHA-256 in hex, or {UNSIGNED_PAYLOAD.decode()}"
            )
        if not hmac.compare_digest(signed_content_hash.lower(), actual):
            raise Unauthenticated("X-Sdk-Content-Sha256 is not the SHA-256 of the body that arrived")
    return signed_content_hash


def _hash(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()


def _bytes_as_received(text: str, encoding: str = "latin-1") -> bytes:
    try:
        return text.encode(encoding)
    except UnicodeEncodeError:
        raise Unauthenticated("the request line or a signed header has characters that HTTP cannot carry") from None
