"""Create or read the two keys of an installation in its state directory.

A key file appears whole or not at all, and the first of several processes that start at once wins; the
others read what it wrote. A file that others than its owner may read is refused: tokens and sealed secrets are
worth what these files are worth. One key is 32 bytes, written as 64 hex digits so that it can be copied.
"""

import os
import secrets
import shlex
import stat
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from landbridge.domain.errors import OperatorError
from landbridge.identity.sealing import KEY_BYTES


@dataclass(frozen=True, slots=True)
class StateKeys:
    """The keys of one installation. All its API replicas must have the same ones."""

    signing_key: bytes = field(repr=False)
    """Signs tokens."""
    sealing_key: bytes = field(repr=False)
    """Seals secret access keys."""


def open_state_keys(state_directory: Path) -> StateKeys:
    """Return the keys kept in an existing directory, making those that are missing.

    Raises:
        OperatorError: a key cannot be read or written, is damaged, or may be read by others.
    """
    return StateKeys(
        signing_key=_open_key(state_directory / "token-signing.key"),
        sealing_key=_open_key(state_directory / "secret-sealing.key"),
    )


def _open_key(path: Path) -> bytes:
    try:
        if not path.exists():
            _create_key(path)
        return _read_key(path)
    except OSError as error:
        raise OperatorError(f"cannot open the key file {path}: {error.strerror}") from error


def _create_key(path: Path) -> None:
    # mkstemp opens with O_EXCL and 0600. The name is given by link, which fails if somebody else was first and
    # never shows a half-written file, not even after a power cut: the contents are on disk before the name is.
    descriptor, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(KEY_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            return
    finally:
        Path(draft).unlink()
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _read_key(path: Path) -> bytes:
    with path.open("rb") as file:
        # Of the open file, not of the path: what is checked is what is read.
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        if mode & 0o077:
            raise OperatorError(
                f"others may read or write the key file {path} (mode {mode:04o}): "
                f"run chmod 600 {shlex.quote(str(path))}"
            )
        text = file.read(4 * KEY_BYTES)
    try:
        key = bytes.fromhex(text.decode("ascii"))
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        # Raised outside the except: the ValueError would carry a piece of the file into the log.
        raise OperatorError(
            f"the key file {path} is damaged: it must hold {2 * KEY_BYTES} hex digits. Restore it; "
            "if you remove it, a new key is made, and old tokens or sealed secret keys are worthless"
        )
    return key
