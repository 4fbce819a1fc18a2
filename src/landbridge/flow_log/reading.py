"""Find connections in the flow log by the source that a backend saw, and a moment.

A file is not parsed but searched for the text that only such lines have: a gibibyte takes two seconds. Only files
that were written to after the moment can have the line, since a line is written when its connection ends.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

from landbridge.control.traffic_protocols import FoundFlows
from landbridge.dataplane.flows import FlowRecord, read_flow_line, source_needle
from landbridge.flow_log.files import log_files

SLACK = timedelta(seconds=1)
"""Clocks of whoever asks are no better."""
LINGERING = timedelta(seconds=11)
"""How long nobody else can have the same source after the last packet."""
_CHUNK_BYTES = 1 << 20
_MOST_FOUND = 100


class FlowLogReader:
    """Searches the log in a directory, also while it is written (`control.traffic_protocols.FlowSearch`)."""

    def __init__(self, directory: Path, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._directory = directory
        self._monotonic = monotonic

    def find(self, source: str, at: datetime, seconds: float) -> FoundFlows:
        """Return the connections with this source that there were at a moment, at most 100; see `FlowSearch`."""
        deadline = self._monotonic() + seconds
        found: list[FlowRecord] = []
        try:
            for path in self._files_since(at):
                with contextlib.suppress(FileNotFoundError):  # it was the oldest, and went while we searched
                    for line in self._lines(path, source_needle(source), deadline):
                        record = read_flow_line(line)
                        if record is not None and record.source == source and _was_there(record, at):
                            found.append(record)
                        if len(found) >= _MOST_FOUND:
                            return FoundFlows(found, is_complete=False)
        except TimeoutError:
            return FoundFlows(found, is_complete=False)
        except OSError:
            # What cannot be read cannot tell.
            return FoundFlows(found, is_complete=False)
        return FoundFlows(found, is_complete=True)

    def _files_since(self, at: datetime) -> Iterator[Path]:
        files = log_files(self._directory)
        for number, one in enumerate(files, start=1):
            if number == len(files) or files[number].begun_at >= at - LINGERING:
                yield one.path

    def _lines(self, path: Path, needle: bytes, deadline: float) -> Iterator[bytes]:
        """Yield the lines of a file in which the needle stands."""
        with path.open("rb", buffering=0) as file:
            rest = b""
            # In pieces: one search through the whole would stop all other threads for as long.
            while piece := file.read(_CHUNK_BYTES):
                if self._monotonic() >= deadline:
                    raise TimeoutError
                piece = rest + piece
                end = piece.rfind(b"\n") + 1
                yield from _lines_with(piece[:end], needle)
                rest = piece[end:]


def _lines_with(text: bytes, needle: bytes) -> Iterator[bytes]:
    place = text.find(needle)
    while place >= 0:
        begin, end = text.rfind(b"\n", 0, place) + 1, text.find(b"\n", place) + 1
        yield text[begin:end]
        place = text.find(needle, end)


def _was_there(record: FlowRecord, at: datetime) -> bool:
    is_begun = record.opened_at is None or record.opened_at - SLACK <= at
    return is_begun and at <= record.ended_at + LINGERING
