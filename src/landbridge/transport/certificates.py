"""Hold the server's certificate and key, as files that may be replaced while it runs.

What is wrong with them is one sentence. A reload is all or nothing: new handshakes get the new certificate, an open
connection goes on with the old one, and files that cannot be used change nothing.
"""

import hashlib
import ssl
import stat
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from landbridge.domain.errors import OperatorError


@dataclass(frozen=True, slots=True)
class Loaded:
    """A certificate that is in use, and what an operator should know about it."""

    expires_at: datetime
    fingerprint: str
    """SHA-256 of the certificate, as `openssl x509 -fingerprint -sha256` counts, in lower-case hex digits."""
    is_key_open: bool
    """Others than its owner and its group may read the key."""
    context: ssl.SSLContext


class Certificates:
    """The certificate in use. `context` is for the listening socket and stays the same."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self._certificate = certificate
        self._key = key
        self.loaded = self._load()
        self.context = self.loaded.context
        # Called in each handshake, with or without a name: one assignment changes what all new clients see.
        self.context.sni_callback = self._choose

    def reload(self) -> Loaded:
        """Read the files again, and use them from the next handshake on.

        Raises:
            OperatorError: they cannot be used; the old certificate stays.
        """
        self.loaded = self._load()
        return self.loaded

    def _choose(self, connection: Any, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = self.loaded.context

    def _load(self) -> Loaded:
        certificate = self._read_certificate()
        try:
            mode = self._key.stat().st_mode
            # Reading it here tells a missing right from a wrong content, which the ssl module does not.
            self._key.read_bytes()
        except OSError as error:
            raise OperatorError(f"cannot read the TLS key {self._key}: {error.strerror}") from error
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        try:
            context.load_cert_chain(self._certificate, self._key, password=self._refuse_to_ask)
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                raise OperatorError(
                    f"the TLS key {self._key} does not belong to the certificate {self._certificate}: give the pair"
                ) from error
            raise OperatorError(f"the TLS key {self._key} holds no private key in PEM form") from error
        return Loaded(
            expires_at=certificate.not_valid_after_utc,
            fingerprint=hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest(),
            is_key_open=bool(mode & stat.S_IRWXO),
            context=context,
        )

    def _read_certificate(self) -> x509.Certificate:
        try:
            return x509.load_pem_x509_certificates(self._certificate.read_bytes())[0]
        except OSError as error:
            raise OperatorError(f"cannot read the TLS certificate {self._certificate}: {error.strerror}") from error
        except ValueError as error:
            raise OperatorError(f"the TLS certificate {self._certificate} holds no certificate in PEM form") from error

    def _refuse_to_ask(self) -> str:
        # Without this, OpenSSL would ask on the terminal and the server would wait for ever.
        raise OperatorError(f"the TLS key {self._key} is encrypted: give one without a passphrase")
