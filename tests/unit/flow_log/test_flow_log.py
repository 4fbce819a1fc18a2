"""Lines are kept whole, for as long and as much as was said, whatever the disk does; and they are found again."""

import errno
import json
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from landbridge.dataplane.flows import Connection, EndedConnection, Ending, Parties, State, TrafficCounters, flow_line
from landbridge.flow_log.files import log_files
from landbridge.flow_log.reading import FlowLogReader
from landbridge.flow_log.writing import FlowLogWriter, Retention

NOON = datetime(2026, 2, 2, 12, tzinfo=UTC)
MIB = 1 << 20
LONG = 5.0


@dataclass
class Watch:
    """Counts what it hears."""

    written: int = 0
    lost: list[tuple[int, str]] = field(default_factory=list)

    def traffic_measured(self, total: TrafficCounters, open_connections: int) -> None: ...

    def flow_events_lost(self) -> None: ...

    def flows_written(self, count: int) -> None:
        self.written += count

    def flows_lost(self, count: int, reason: str) -> None:
        self.lost.append((count, reason))


@dataclass
class Disk:
    """Takes so many bytes, and then no more."""

    left: int = 1 << 40

    def write(self, descriptor: int, data: bytes) -> int:
        if self.left <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        taken = data[: self.left]
        self.left -= len(taken)
        return os.write(descriptor, taken)


class Log:
    """A log in a directory, with a clock and a disk of its own."""

    def __init__(self, path: Path, retention: Retention) -> None:
        self.path = path / "flow-log"
        self.at = NOON
        self.disk = Disk()
        self.watch = Watch()
        self.writer = FlowLogWriter(self.path, retention, self.watch, lambda: self.at, self.disk.write)
        self.reader = FlowLogReader(self.path)

    def lines(self) -> list[str]:
        return [line for _, path in log_files(self.path) for line in path.read_text().splitlines()]


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path, Retention())


def line(source: str, opened_at: datetime, ended_at: datetime, client: str = "10.0.0.20:43210") -> str:
    nanoseconds = [int(at.timestamp()) * 10**9 for at in (opened_at, ended_at)]
    connection = Connection(
        1, 1, client, "10.0.0.100:80", "198.19.128.1:80", source, "tcp", State.CLOSED, nanoseconds[0], 1, 1, 1, 1
    )
    return flow_line(EndedConnection(connection, nanoseconds[1], Ending.CLOSED), Parties("e-1"))


def test_only_the_owner_can_read_the_log(log: Log):
    log.writer.append(["one\n"])

    (file,) = log_files(log.path)
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(log.path.stat().st_mode) == 0o700


def test_a_new_day_begins_a_new_file(log: Log):
    log.writer.append(["one\n"])
    log.at = NOON + timedelta(hours=11)
    log.writer.append(["two\n"])
    log.at = NOON + timedelta(hours=13)
    log.writer.append(["three\n"])

    assert [path.read_text() for _, path in log_files(log.path)] == ["one\ntwo\n", "three\n"]


def test_a_full_file_is_followed_by_another(tmp_path: Path):
    log = Log(tmp_path, Retention(mebibytes=8))

    for _ in range(3):
        log.at += timedelta(seconds=1)
        log.writer.append(["x" * MIB + "\n"])

    assert [path.stat().st_size for _, path in log_files(log.path)] == [MIB + 1] * 3


def test_a_restart_never_adds_to_a_file_that_may_end_in_the_middle_of_a_line(log: Log):
    log.writer.append(["one\n"])
    log.writer.close()
    log.at += timedelta(seconds=1)

    log.writer.append(["two\n"])

    assert len(log_files(log.path)) == 2


def test_the_oldest_files_go_when_there_is_too_much(tmp_path: Path):
    log = Log(tmp_path, Retention(mebibytes=8))

    for number in range(12):
        log.at += timedelta(seconds=1)
        log.writer.append([f"{number}" + "x" * MIB + "\n"])

    log.at += timedelta(minutes=2)
    log.writer.tidy()
    kept = [path.read_text()[:2] for _, path in log_files(log.path)]
    assert kept == ["5x", "6x", "7x", "8x", "9x", "10", "11"]


def test_files_go_when_they_are_too_old(tmp_path: Path):
    log = Log(tmp_path, Retention(days=7))
    log.writer.append(["old\n"])
    (old,) = log_files(log.path)
    os.utime(old.path, (NOON.timestamp(), NOON.timestamp()))

    for days, kept in ((6, ["old", "six"]), (8, ["six", "eight"])):
        log.at = NOON + timedelta(days=days)
        log.writer.append(["six\n" if days == 6 else "eight\n"])
        log.writer.tidy()
        for _, path in log_files(log.path):
            if path != old.path:
                os.utime(path, (log.at.timestamp(), log.at.timestamp()))
        assert log.lines() == kept


def test_what_is_not_ours_in_the_directory_stays(tmp_path: Path):
    log = Log(tmp_path, Retention(days=1))
    log.path.mkdir()
    notes = log.path / "notes.txt"
    notes.write_text("mine")
    os.utime(notes, (0, 0))

    log.writer.append(["one\n"])

    assert notes.read_text() == "mine"


def test_a_full_disk_loses_whole_lines_and_the_log_goes_on_with_a_word_about_it(log: Log):
    log.disk.left = 10
    log.writer.append(["first\n"])
    log.writer.append(["second\n", "third\n"])
    assert log.lines() == ["first"]

    log.disk.left = 1 << 20
    log.writer.append(["too soon\n"])
    log.at += timedelta(seconds=6)
    log.writer.append(["after\n"])

    first, lost, after = log.lines()
    assert (first, after) == ("first", "after")
    assert json.loads(lost)["reason"] == "3 could not be written: No space left on device"
    assert log.watch.lost == [(2, "No space left on device"), (1, "No space left on device")]
    assert log.watch.written == 2


def test_a_directory_that_cannot_be_made_is_no_fault_of_the_data_plane(tmp_path: Path):
    (tmp_path / "flow-log").write_text("a file")
    log = Log(tmp_path, Retention())

    log.writer.append(["one\n"])
    log.writer.tidy()

    assert [count for count, _ in log.watch.lost] == [1]


def test_a_connection_is_found_by_its_source_while_it_lasted(log: Log):
    log.writer.append([line("198.19.128.2:40001", NOON, NOON + timedelta(minutes=5))])

    def found(at: datetime, source: str = "198.19.128.2:40001") -> list[str]:
        return [record.client for record in log.reader.find(source, at, LONG).records]

    assert found(NOON + timedelta(minutes=2)) == ["10.0.0.20:43210"]
    assert found(NOON - timedelta(minutes=1)) == []
    assert found(NOON + timedelta(minutes=6)) == []
    assert found(NOON + timedelta(minutes=2), "198.19.128.2:4000") == []


def test_a_port_that_was_used_again_is_told_apart_by_time(log: Log):
    source = "198.19.128.2:40001"
    log.writer.append(
        [
            line(source, NOON, NOON + timedelta(minutes=5), client="10.0.0.20:1"),
            line(source, NOON + timedelta(minutes=6), NOON + timedelta(minutes=9), client="10.0.0.21:1"),
        ]
    )

    clients = [
        [record.client for record in log.reader.find(source, NOON + timedelta(minutes=minutes), LONG).records]
        for minutes in (3, 8)
    ]

    assert clients == [["10.0.0.20:1"], ["10.0.0.21:1"]]


def test_a_long_connection_is_found_in_the_file_of_the_day_on_which_it_ended(log: Log):
    log.writer.append([line("198.19.128.9:1", NOON, NOON)])
    log.at = NOON + timedelta(days=2)
    log.writer.append([line("198.19.128.2:40001", NOON, log.at)])

    found = log.reader.find("198.19.128.2:40001", NOON + timedelta(hours=1), LONG)

    assert (len(found.records), found.is_complete) == (1, True)


def test_lines_across_the_pieces_of_a_reading_are_found(log: Log):
    filler = line("198.19.128.9:1", NOON, NOON)
    many = [filler] * (3 * MIB // len(filler))
    log.writer.append([*many, line("198.19.128.2:40001", NOON, NOON), *many, line("198.19.128.2:40001", NOON, NOON)])

    assert len(log.reader.find("198.19.128.2:40001", NOON, LONG).records) == 2


def test_half_a_line_at_the_end_of_a_file_is_passed_over(log: Log):
    whole = line("198.19.128.2:40001", NOON, NOON)
    log.writer.append([whole])
    (file,) = log_files(log.path)
    with file.path.open("a") as broken:
        broken.write(whole[:-20])

    assert len(log.reader.find("198.19.128.2:40001", NOON, LONG).records) == 1


def test_a_search_without_time_says_that_it_has_not_seen_everything(tmp_path: Path):
    log = Log(tmp_path, Retention())
    log.writer.append([line("198.19.128.2:40001", NOON, NOON)])

    found = FlowLogReader(log.path, ticking()).find("198.19.128.2:40001", NOON, 0.5)

    assert (found.records, found.is_complete) == ([], False)


def ticking() -> Callable[[], float]:
    """Return a clock on which every look takes a second."""
    seconds = iter(range(1_000_000))
    return lambda: float(next(seconds))


def test_no_log_is_an_empty_one(log: Log):
    found = log.reader.find("198.19.128.2:40001", NOON, LONG)

    assert (list(found.records), found.is_complete) == ([], True)
