"""Say what the operator can do about an error of the database."""

from pathlib import Path

from sqlalchemy.exc import DBAPIError

from landbridge.domain.errors import OperatorError

_REMEDIES = (
    ("file is not a database", "it is no SQLite file: choose another state directory or restore a backup"),
    ("malformed", "the file is damaged: restore a backup"),
    ("readonly", "it cannot be written: see who owns the state directory and its files"),
    ("read-only", "it cannot be written: see who owns the state directory and its files"),
    ("unable to open", "it cannot be opened: see that the state directory exists and may be written"),
    ("disk is full", "the disk is full: make room"),
    ("disk i/o", "the disk fails: see the system's log"),
    ("locked", "another process holds it: end that process"),
)


def as_operator_error(error: Exception, path: Path | None = None) -> OperatorError:
    """Return the error in words, with what to do next."""
    cause = str(error.orig) if isinstance(error, DBAPIError) else str(error)
    where = f"database {path}" if path is not None else "the database"
    for sign, remedy in _REMEDIES:
        if sign in cause.lower():
            return OperatorError(f"{where}: {remedy} ({cause})")
    return OperatorError(f"{where} refused: {cause}")
