"""Collect what was measured, print it as it comes, and give it the shape of results.json."""

import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.benchmarks.figures import Goal, Row, table

SCHEMA = 1
_ROOT = Path(__file__).resolve().parents[2]
_MOTO_VERSION = "from importlib.metadata import version; print(version('moto'))"


@dataclass
class Report:
    """One run's results."""

    machine: dict[str, Any]
    versions: dict[str, str]
    commit: str
    is_quick: bool
    sections: dict[str, list[Row]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
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
        return [f"{row.what}: {goal.text}" for row, goal in self._goals() if goal.is_met is False]

    def open(self) -> Sequence[str]:
        """Return the goals that lie within the spread of the rounds."""
        return [f"{row.what}: {goal.text}" for row, goal in self._goals() if goal.is_met is None]

    def as_json(self, seconds: float) -> dict[str, Any]:
        """Return what results.json gets."""
        return {
            "schema": SCHEMA,
            "commit": self.commit,
            "quick": self.is_quick,
            "started_at": self.started_at.isoformat(timespec="seconds"),
            "seconds": round(seconds, 1),
            "machine": self.machine | {"load_at_end": os.getloadavg()},
            "versions": self.versions,
            "notes": self.notes,
            "missed": self.missed(),
            "open": self.open(),
            "figures": [row.as_json(title) for title, rows in self.sections.items() for row in rows],
        }

    def _goals(self) -> Iterator[tuple[Row, Goal]]:
        for rows in self.sections.values():
            for row in rows:
                for goal in row.goals:
                    yield row, goal


def describe_machine() -> dict[str, Any]:
    """Return what the figures depend on, in general terms."""
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "processor": models[0].partition(":")[2].strip() if models else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "file_system": _file_system(Path(tempfile.gettempdir())),
        "user": "root" if os.geteuid() == 0 else "ordinary",
        "load_at_start": os.getloadavg(),
    }


def describe_versions() -> dict[str, str]:
    """Return the versions of what is measured and of what it is compared with, without missing programs."""
    commands = {
        "envoy": [str(Path(sys.executable).with_name("envoy")), "--version"],
        "gcc": ["gcc", "-dumpfullversion"],
        "haproxy": ["haproxy", "-v"],
        "nft": ["nft", "--version"],
        "nginx": ["nginx", "-v"],
        "moto": [str(_ROOT / ".tools" / "moto" / "bin" / "python"), "-c", _MOTO_VERSION],
        "postgresql": ["psql", "--version"],
        "socat": ["socat", "-V"],
    }
    found = {"landbridge": version("landbridge"), "python": platform.python_version(), "kernel": platform.release()}
    for name, command in commands.items():
        number = re.search(r"\d+\.\d+(\.\d+)*", _printed(command))
        if number:
            found[name] = number[0]
    return found


def describe_commit() -> str:
    """Return the commit that is measured, with a plus sign if files were changed since."""
    commit = _printed(["git", "-C", str(_ROOT), "rev-parse", "HEAD"]).strip()
    changed = _printed(["git", "-C", str(_ROOT), "status", "--porcelain", "--untracked-files=no"]).strip()
    return (commit or "unknown") + ("+" if changed else "")


def _printed(command: list[str]) -> str:
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
    except OSError:
        return ""
    return done.stdout + done.stderr if done.returncode == 0 else ""


def say(text: str) -> None:
    """Print now."""
    print(text, flush=True)


def _file_system(directory: Path) -> str:
    """Return the kind of file system that holds a directory, where the state directories and the store are."""
    mounts = (line.split() for line in Path("/proc/self/mounts").read_text().splitlines())
    kinds = {Path(fields[1]): fields[2] for fields in mounts}
    resolved = directory.resolve()
    return next((kinds[parent] for parent in (resolved, *resolved.parents) if parent in kinds), "unknown")
