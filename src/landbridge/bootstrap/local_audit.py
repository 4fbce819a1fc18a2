"""Read the audit log of an installation, whether or not its server runs."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from landbridge.bootstrap.databases import open_to_look
from landbridge.control.audit import AuditQuery, AuditRecord
from landbridge.settings import Settings
from landbridge.state import StateDirectory


def local_audit_records(path: Path, settings: Settings, query: AuditQuery) -> Sequence[AuditRecord]:
    """Return the newest records that fit, of all projects if the query names none.

    Raises:
        OperatorError: there is no state, or it cannot be read.
    """
    with open_to_look(settings, StateDirectory(path)) as store:
        return asyncio.run(store.read(lambda tx: tx.audit_records(query)))
