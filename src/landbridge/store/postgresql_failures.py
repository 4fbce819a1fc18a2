"""Say what can be done about an error of PostgreSQL.

The server's own code (SQLSTATE) decides. Where a connection is refused there is none, so its words do. A database that
is away, or that cannot be used for now, is told to tenants as just that; everything else is the operator's alone.
"""

import re
from collections.abc import Mapping

import psycopg
from sqlalchemy.exc import DBAPIError

from landbridge.domain.errors import DatabaseUnavailable, InvalidParameter, LandbridgeError, OperatorError
from landbridge.store.failures import NOTHING_CHANGED, Availability

_REMEDIES: Mapping[str, str] = {
    "08": "it cannot be reached: see that the server runs, and where `database` leads",
    "25006": "it cannot be written: it is a standby, or set to read only; let `database` lead to the primary",
    "25P03": "the server ended a transaction that stood still: see whether this machine was stopped or overloaded",
    "28": "it lets this user not in: see the user in `database`, the server's pg_hba.conf, and database_password_file",
    "3D000": "there is no such database: create it (createdb), or correct the name in `database`",
    "42501": "the user may not do this: make the user the owner of the database",
    "53100": "the server's disk is full: make room there",
    "53200": "the server has no memory left",
    "53300": "the server has too many connections: raise its max_connections, or end others",
    "55P03": "another process of this installation has been writing for too long: see pg_stat_activity",
    "57014": "a statement took too long: see pg_stat_activity, and how busy the server is",
    "57P": "the server ends or begins just now",
    "58": "the server's disk fails: see its log",
    "XX00": "the server's files are damaged: see its log, restore a backup",
}
_PASSING = ("08", "25006", "25P03", "28", "3D000", "53", "55P03", "57")
"""What the operator or time may mend while we run: callers are told to try again."""
_OF_REFUSED_CONNECTIONS: tuple[tuple[str, str], ...] = (
    (r"starting up|shutting down|recovery mode|not (yet )?accepting connections", "57P03"),
    (r"too many (clients|connections)|connection slots", "53300"),
    (r"password authentication failed|no password supplied", "28P01"),
    (r"authentication failed|no pg_hba\.conf entry|role .* (does not exist|not permitted)", "28000"),
    (r"database .* does not exist", "3D000"),
    (r"permission denied for database", "42501"),
)
_NUL = "cannot contain NUL"


class ServerFailures:
    """How a PostgreSQL server fails (`store.failures.Failures`)."""

    def __init__(self) -> None:
        self._availability = Availability()

    def explained(self, error: Exception, *, is_outcome_unknown: bool = False) -> LandbridgeError:
        """Return what a caller may know of the error; the rest of it goes to the log."""
        cause = error.orig if isinstance(error, DBAPIError) else error
        if isinstance(cause, psycopg.DataError) and _NUL in str(cause):
            return InvalidParameter("a text has a NUL character in it: leave that out")
        reason = as_operator_error(error)
        if not _code_of(error).startswith(_PASSING):
            return reason
        self._availability.failed(reason)
        if is_outcome_unknown:
            return DatabaseUnavailable(
                "the database went away while the change was being stored: look whether it was made, then try again"
            )
        return DatabaseUnavailable(NOTHING_CHANGED)

    def answered(self) -> None:
        """Note that the database works."""
        self._availability.answered()


def as_operator_error(error: Exception) -> OperatorError:
    """Return an error of PostgreSQL in words, with what to do next."""
    code = _code_of(error)
    cause = _words_of(error)
    for beginning, remedy in _REMEDIES.items():
        if code.startswith(beginning):
            return OperatorError(f"the database: {remedy} ({cause})")
    return OperatorError(f"the database refused: {cause}")


def _code_of(error: Exception) -> str:
    """Return the SQLSTATE, or the one that fits best; empty if nobody knows."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    if not isinstance(cause, psycopg.Error):
        return ""
    if cause.sqlstate is not None:
        return cause.sqlstate
    if not isinstance(cause, psycopg.OperationalError):
        return ""
    said = str(cause)
    return next((code for words, code in _OF_REFUSED_CONNECTIONS if re.search(words, said)), "08001")


def _words_of(error: Exception) -> str:
    """Return what the server said, without the values of rows that it adds to some messages."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, psycopg.Error) and cause.diag.message_primary:
        return cause.diag.message_primary
    return " ".join(str(cause).split())
