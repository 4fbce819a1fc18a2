"""Keep secrets out of sight: in memory behind `Secret`, at rest behind `SecretSeal`.

A `Secret` prints as `[redacted]` wherever it ends up: repr, str, format, logs, tracebacks. Only `reveal()`
gives the text back, so every place where a secret is used can be found by that word.
A sealed secret key is AES-256-GCM bound to its access key: a row that was swapped or changed does not open.
"""

import os
from dataclasses import dataclass, field
from hmac import compare_digest
from typing import NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from landbridge.domain.errors import OperatorError

KEY_BYTES = 32
_FORMAT = b"\x01"
_NONCE_BYTES = 12


class Secret:
    """A text that shows itself to nobody who does not ask for it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the secret text."""
        return self._text

    def __repr__(self) -> str:
        return "[redacted]"

    def __eq__(self, other: object) -> bool:
        # surrogatepass: a text that is no valid Unicode must compare, not raise an error that quotes it.
        return isinstance(other, Secret) and compare_digest(
            self._text.encode("utf-8", "surrogatepass"), other._text.encode("utf-8", "surrogatepass")
        )

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not pickled or copied: pass it on, or reveal() it where it is used")


@dataclass(frozen=True, slots=True)
class SecretSeal:
    """Seals and opens secret access keys with the key of the state directory (32 bytes)."""

    key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.key) != KEY_BYTES:
            raise OperatorError(f"the sealing key has {len(self.key)} bytes, it must have {KEY_BYTES}")

    def seal(self, access_key: str, secret_key: Secret) -> bytes:
        """Return what may be stored."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = AESGCM(self.key).encrypt(nonce, secret_key.reveal().encode(), access_key.encode())
        return _FORMAT + nonce + sealed

    def unseal(self, access_key: str, sealed: bytes) -> Secret:
        """Return the secret that `seal` was given.

        Raises:
            OperatorError: sealed with another key, for another access key, or damaged.
        """
        nonce, ciphertext = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        if sealed[:1] == _FORMAT and len(nonce) == _NONCE_BYTES:
            try:
                return Secret(AESGCM(self.key).decrypt(nonce, ciphertext, access_key.encode()).decode())
            except InvalidTag:
                pass
        raise OperatorError(
            f"the secret key of access key {access_key} does not open: was the sealing key in the state "
            "directory replaced? Put the old one back, or provision the user again"
        )
