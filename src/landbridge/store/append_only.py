"""Write the statements that let rows be added to the audit log and never changed or removed.

Whoever has to give up old records takes the triggers away and puts them back: docs/reference/audit.md shows how.
"""

from collections.abc import Sequence
from typing import Literal

_SQLITE = tuple(
    f"CREATE TRIGGER audit_log_no_{verb.lower()} BEFORE {verb} ON audit_log "
    "BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"
    for verb in ("UPDATE", "DELETE")
)
_POSTGRESQL = (
    (
        "CREATE FUNCTION audit_log_is_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$"
    ),
    (
        "CREATE TRIGGER audit_log_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log "
        "FOR EACH STATEMENT EXECUTE FUNCTION audit_log_is_append_only()"
    ),
)


def append_only_statements(dialect: Literal["sqlite", "postgresql"]) -> Sequence[str]:
    """Return what is to be run after the table was created, one statement each."""
    return _SQLITE if dialect == "sqlite" else _POSTGRESQL
