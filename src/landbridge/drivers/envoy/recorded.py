"""Know which process is ours, over restarts, and end it.

A record holds the process's id and the moment of its start: an id alone may have been given to another process. A
process that was started and never recorded, because its server was killed between the two, is found by its command
line.
"""

import contextlib
import json
import os
import select
import signal
from collections.abc import Collection
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

from landbridge.drivers.envoy.startup import Files

_END_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Record:
    """A process of ours."""

    pid: int
    started: int
    """Clock ticks since boot."""
    boot: str
    configuration: str
    """What stands for how it is configured."""
    hub: int
    """The identity of the namespace that it lives in."""

    def write(self, files: Files) -> None:
        """Keep it."""
        write_private(files.record, json.dumps(asdict(self)))


def read_record(files: Files) -> Record | None:
    """Return the record of a process that lives."""
    try:
        fields = cast("dict[str, Any]", json.loads(files.record.read_text()))
        record = Record(
            int(fields["pid"]),
            int(fields["started"]),
            str(fields["boot"]),
            str(fields["configuration"]),
            int(fields["hub"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return record if record.boot == boot_id() and started_at(record.pid) == record.started else None


def stop_process(files: Files) -> None:
    """End the process that these files speak of, in order if it lets us, and forget it; fine when there is none."""
    # As its command line has it: a process that was never recorded is known by that alone.
    files = Files(files.directory.resolve())
    found = read_record(files)
    pids = _processes_of(files)
    if found is not None:
        pids.add(found.pid)
    for pid in pids:
        _end(pid)
    files.record.unlink(missing_ok=True)


def _processes_of(files: Files) -> set[int]:
    """Return the processes that were started with the bootstrap of these files."""
    argument = os.fsencode(files.bootstrap)
    found: set[int] = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                arguments = (entry / "cmdline").read_bytes().split(b"\0")
                # The same path in another container is another file.
                its_file = Path(f"{entry}/root{files.bootstrap}")
                if (b"--config-path", argument) in pairwise(arguments) and its_file.samefile(files.bootstrap):
                    found.add(int(entry.name))
    return found


def _end(pid: int) -> None:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        send(descriptor, signal.SIGTERM)
        if not readable((descriptor,), _END_SECONDS):
            send(descriptor, signal.SIGKILL)
            readable((descriptor,), _END_SECONDS)
    finally:
        os.close(descriptor)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def readable(descriptors: Collection[int], seconds: float) -> set[int]:
    """Wait until one of these is readable, which a pidfd is when its process has ended; return those that are."""
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return {descriptor for descriptor, _ in poll.poll(seconds * 1000)}


def send(descriptor: int, number: signal.Signals) -> None:
    """Send a signal to the process behind a pidfd, if it is still there."""
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(descriptor, number)


def started_at(pid: int) -> int | None:
    """Return when a process started, in clock ticks since boot; None when it has ended."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The name in parentheses may hold anything, blanks and parentheses included.
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in {"Z", "X"} else int(fields[19])


def boot_id() -> str:
    """Return what tells this run of the machine from all others: clock ticks count from its start."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def write_private(path: Path, text: str) -> None:
    """Write a file that only we may read, whole or not at all."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    draft.replace(path)
