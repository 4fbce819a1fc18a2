"""Name the files of a flow log, and find them. A name is the moment of its first line, so names sort as lines do."""

from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

_FORMAT = "flows-%Y%m%dT%H%M%S.%fZ.jsonl"


class LogFile(NamedTuple):
    """One file of the log."""

    begun_at: datetime
    path: Path


def file_name(begun_at: datetime) -> str:
    """Return the name of a file that begins at a moment."""
    return begun_at.astimezone(UTC).strftime(_FORMAT)


def log_files(directory: Path) -> list[LogFile]:
    """Return the files of a log, the oldest first; whatever else is in the directory is not ours. Raises OSError."""
    found: list[LogFile] = []
    try:
        paths = list(directory.iterdir())
    except FileNotFoundError:
        return []
    for path in paths:
        try:
            begun_at = datetime.strptime(path.name, _FORMAT).replace(tzinfo=UTC)
        except ValueError:
            continue
        found.append(LogFile(begun_at, path))
    return sorted(found)
