"""Write the flow log: whole lines into files that are rotated, and removed when they are old or too many.

Nothing here raises. What cannot be written (a full disk) is counted and given up, and a line says so as soon as lines
can be written again. Used by one thread.
"""

import contextlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from landbridge.control.traffic_protocols import TrafficWatch
from landbridge.dataplane.flows import lost_line
from landbridge.flow_log.files import file_name, log_files

_MIB = 1 << 20
_FILE_BYTES = 64 * _MIB
_TIDY_EVERY = timedelta(minutes=1)
_AGAIN_AFTER = timedelta(seconds=5)
"""After a failure the disk is left alone for so long."""


@dataclass(frozen=True, slots=True)
class Retention:
    """How much is kept."""

    days: int = 7
    mebibytes: int = 1024
    """Of all files together."""

    @property
    def most_bytes(self) -> int:
        """The same in bytes."""
        return self.mebibytes * _MIB

    @property
    def file_bytes(self) -> int:
        """How large one file may grow; several, so that removing the oldest leaves most of the log."""
        return min(_FILE_BYTES, self.most_bytes // 8)


class FlowLogWriter:
    """Appends to the log in a directory, which is made with the first line."""

    def __init__(
        self,
        directory: Path,
        retention: Retention,
        watch: TrafficWatch,
        now: Callable[[], datetime],
        write: Callable[[int, bytes], int] = os.write,
    ) -> None:
        self._directory = directory
        self._retention = retention
        self._watch = watch
        self._now = now
        self._put = write
        self._descriptor: int | None = None
        self._begun_at = now()
        self._size = 0
        self._lost_count = 0
        self._lost_reason = ""
        self._not_before: datetime | None = None
        self._tidied_at: datetime | None = None

    def append(self, lines: Sequence[str]) -> None:
        """Write whole lines, or none of them."""
        if not lines:
            return
        now = self._now()
        if self._not_before is not None and now < self._not_before:
            self._give_up(len(lines), self._lost_reason)
            return
        try:
            self._rotate(now)
            text = "".join(lines)
            if self._lost_count:
                text = lost_line(now, None, f"{self._lost_count} could not be written: {self._lost_reason}") + text
            self._write(text.encode())
        except OSError as error:
            self._close()
            self._not_before = now + _AGAIN_AFTER
            self._give_up(len(lines), error.strerror or str(error))
            self._remove_surplus(now)
            return
        self._not_before = None
        self._lost_count = 0
        self._watch.flows_written(len(lines))

    def tidy(self) -> None:
        """Remove files that are too old, or more than are kept; does something once a minute."""
        now = self._now()
        if self._tidied_at is None or now - self._tidied_at >= _TIDY_EVERY:
            self._remove_surplus(now)

    def close(self) -> None:
        """Close the file; a later line begins another one."""
        self._close()

    def _write(self, data: bytes) -> None:
        assert self._descriptor is not None  # noqa: S101 — `_rotate` has opened it
        written = 0
        try:
            while written < len(data):
                written += self._put(self._descriptor, data[written:])
        except OSError:
            # Half of a line would spoil the next one, too.
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._size)
            raise
        self._size += len(data)

    def _rotate(self, now: datetime) -> None:
        is_full = self._size >= self._retention.file_bytes or now.date() != self._begun_at.date()
        if self._descriptor is not None and not is_full:
            return
        self._close()
        self._directory.mkdir(mode=0o700, exist_ok=True)
        path = self._directory / file_name(now)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        self._descriptor = os.open(path, flags, 0o600)
        self._begun_at = now
        self._size = os.fstat(self._descriptor).st_size
        self._remove_surplus(now)

    def _remove_surplus(self, now: datetime) -> None:
        self._tidied_at = now
        with contextlib.suppress(OSError):
            oldest = (now - timedelta(days=self._retention.days)).timestamp()
            left = 0
            # The newest first: what is beyond the limit is the oldest.
            for _, path in reversed(log_files(self._directory)):
                with contextlib.suppress(FileNotFoundError):
                    facts = path.stat()
                    left += facts.st_size
                    if facts.st_mtime < oldest or left > self._retention.most_bytes:
                        path.unlink()

    def _give_up(self, count: int, reason: str) -> None:
        self._lost_count += count
        self._lost_reason = reason
        self._watch.flows_lost(count, reason)

    def _close(self) -> None:
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = None
