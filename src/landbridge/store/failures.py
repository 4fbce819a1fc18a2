"""Say what can be done about an error of the database: to the operator in full, to callers as far as it is theirs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from sqlalchemy.exc import DBAPIError

from landbridge.domain.errors import LandbridgeError, OperatorError

_REMEDIES: Mapping[str, str] = {
    "file is not a database": "it is no SQLite file: choose another state directory or restore a backup",
    "malformed": "the file is damaged: restore a backup",
    "readonly": "it cannot be written: see who owns the state directory and its files",
    "read-only": "it cannot be written: see who owns the state directory and its files",
    "unable to open": "it cannot be opened: see that the state directory exists and may be written",
    "disk is full": "the disk is full: make room",
    "disk i/o": "the disk fails: see the system's log",
    "locked": "another process holds it: end that process",
}


class Failures(Protocol):
    """One kind of database's way to fail. Any thread may ask."""

    def explained(self, error: Exception, *, is_outcome_unknown: bool = False) -> LandbridgeError:
        """Return the error for whoever waits; `is_outcome_unknown`: a commit was under way, and may have happened."""
        ...

    def answered(self) -> None:
        """Note that the database works."""
        ...


class FileFailures:
    """How a database in a file fails (`Failures`): it never goes away."""

    def explained(self, error: Exception, *, is_outcome_unknown: bool = False) -> LandbridgeError:
        """Return the error in words. A commit that failed has not happened, SQLite promises."""
        return as_operator_error(error)

    def answered(self) -> None:
        """Nothing has changed."""


def as_operator_error(error: Exception, path: Path | None = None) -> OperatorError:
    """Return an error of SQLite in words, with what to do next."""
    cause = str(error.orig) if isinstance(error, DBAPIError) else str(error)
    where = f"database {path}" if path is not None else "the database"
    for sign, remedy in _REMEDIES.items():
        if sign in cause.lower():
            return OperatorError(f"{where}: {remedy} ({cause})")
    return OperatorError(f"{where} refused: {cause}")
