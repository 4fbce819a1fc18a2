"""Collect what was measured, print it as it comes, and give it the shape of results.json."""

import os
import platform
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.benchmarks.figures import Row, table


@dataclass
class Report:
    """One run's results."""

    machine: dict[str, Any]
    sections: dict[str, list[Row]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    samples: dict[str, Any] = field(default_factory=dict)
    """Everything as it was measured, for whoever wants other percentiles."""
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def section(self, title: str, rows: list[Row]) -> None:
        """Add a section and print it."""
        self.sections[title] = rows
        say(f"\n## {title}\n\n{table(rows)}")

    def note(self, sentence: str) -> None:
        """Add something that a reader has to know, and print it."""
        self.notes.append(sentence)
        say(f"\n{sentence}")

    def missed(self) -> Sequence[str]:
        """Return what did not meet its goals."""
        return [
            f"{row.what}: {goal.text}"
            for rows in self.sections.values()
            for row in rows
            for goal in row.goals
            if not goal.is_met
        ]

    def as_json(self) -> dict[str, Any]:
        """Return what results.json gets."""
        return {
            "started_at": self.started_at.isoformat(timespec="seconds"),
            "ended_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": self.machine | {"load_at_end": os.getloadavg()},
            "notes": self.notes,
            "missed": self.missed(),
            "sections": {title: [row.as_json() for row in rows] for title, rows in self.sections.items()},
            "samples": self.samples,
        }


def describe_machine() -> dict[str, Any]:
    """Return what the figures depend on, in general terms."""
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "processor": models[0].partition(":")[2].strip() if models else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "file_system": _file_system(Path(tempfile.gettempdir())),
        "user": "root" if os.geteuid() == 0 else "ordinary",
        "load_at_start": os.getloadavg(),
    }


def say(text: str) -> None:
    """Print now."""
    print(text, flush=True)


def _file_system(directory: Path) -> str:
    """Return the kind of file system that holds a directory, where the state directories and the store are."""
    mounts = (line.split() for line in Path("/proc/self/mounts").read_text().splitlines())
    kinds = {Path(fields[1]): fields[2] for fields in mounts}
    resolved = directory.resolve()
    return next((kinds[parent] for parent in (resolved, *resolved.parents) if parent in kinds), "unknown")
