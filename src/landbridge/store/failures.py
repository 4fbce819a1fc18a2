"""Say what can be done about an error of the database: to the operator in full, to callers as far as it is theirs."""

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import structlog
from sqlalchemy.exc import DBAPIError

from landbridge.domain.errors import DatabaseUnavailable, LandbridgeError, OperatorError

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
_PASSING = ("disk is full", "locked", "readonly", "read-only", "unable to open")
"""What the operator or time may mend while we run: callers are told to try again."""
NOTHING_CHANGED = "the database cannot be used at the moment, nothing was changed: try again"


class Failures(Protocol):
    """One kind of database's way to fail. Any thread may ask."""

    def explained(self, error: Exception, *, is_outcome_unknown: bool = False) -> LandbridgeError:
        """Return the error for whoever waits; `is_outcome_unknown`: a commit was under way, and may have happened."""
        ...

    def answered(self) -> None:
        """Note that the database works."""
        ...


class Availability:
    """Whether the database can be used; the log is told when that changes. Any thread may ask."""

    def __init__(self) -> None:
        self._log = structlog.get_logger()
        self._lock = threading.Lock()
        self._is_away = False

    def failed(self, reason: OperatorError) -> None:
        """Note that it cannot be used now."""
        with self._lock:
            was_away, self._is_away = self._is_away, True
        if not was_away:
            self._log.warning("database.unavailable", reason=str(reason))

    def answered(self) -> None:
        """Note that it works."""
        if not self._is_away:
            return
        with self._lock:
            was_away, self._is_away = self._is_away, False
        if was_away:
            self._log.info("database.available")


class FileFailures:
    """How writing to a database in a file fails (`Failures`)."""

    def __init__(self) -> None:
        self._availability = Availability()

    def explained(self, error: Exception, *, is_outcome_unknown: bool = False) -> LandbridgeError:
        """Return what a caller may know of the error. A commit that failed has not happened, SQLite promises."""
        reason = as_operator_error(error)
        if not any(sign in str(reason).lower() for sign in _PASSING):
            return reason
        self._availability.failed(reason)
        return DatabaseUnavailable(NOTHING_CHANGED)

    def answered(self) -> None:
        """Note that the database works."""
        self._availability.answered()


def as_operator_error(error: Exception, path: Path | None = None) -> OperatorError:
    """Return an error of SQLite in words, with what to do next."""
    cause = str(error.orig) if isinstance(error, DBAPIError) else str(error)
    where = f"database {path}" if path is not None else "the database"
    for sign, remedy in _REMEDIES.items():
        if sign in cause.lower():
            return OperatorError(f"{where}: {remedy} ({cause})")
    return OperatorError(f"{where} refused: {cause}")
