"""Counters only grow, and a line of the flow log says what was put into it."""

import json
from datetime import UTC, datetime

import pytest

from landbridge.dataplane.flows import (
    NOTHING_COUNTED,
    UNKNOWN_PARTIES,
    Connection,
    EndedConnection,
    Ending,
    GrowingCounters,
    Parties,
    State,
    TrafficCounters,
    TrafficKey,
    flow_line,
    lost_line,
    read_flow_line,
    source_needle,
)
from landbridge.domain.ids import VpcId

KEY, OTHER = TrafficKey(VpcId("v"), 1), TrafficKey(VpcId("v"), 2)
PARTIES = Parties("e-1", 16777217, "s-1", "globex", "globex-domain", "acme", "acme-domain", "close")
CONNECTION = Connection(
    id=7,
    mark=1,
    client="10.0.0.20:43210",
    listener="10.0.0.100:8080",
    target="198.19.128.1:80",
    source="198.19.128.2:40001",
    protocol="tcp",
    state=State.CLOSED,
    opened_ns=1_770_000_000_123_456_789,
    packets_sent=3,
    bytes_sent=1200,
    packets_received=4,
    bytes_received=90_000,
)
ENDED = EndedConnection(CONNECTION, 1_770_000_060_000_000_000, Ending.CLOSED)


def counted(amount: int) -> TrafficCounters:
    return TrafficCounters(amount, amount, amount, amount, amount)


def test_what_is_seen_twice_is_counted_once():
    grown = GrowingCounters()

    for amount in (5, 5, 9):
        grown.add({KEY: counted(amount)})

    assert grown.sum_of(KEY) == grown.total == counted(9)


def test_a_counter_that_begins_anew_is_added_to_what_was():
    grown = GrowingCounters()

    for amount in (100, 30, 40):
        grown.add({KEY: counted(amount)})

    assert grown.sum_of(KEY) == counted(140)


def test_a_counter_that_was_away_begins_anew_even_if_it_shows_more_than_before():
    grown = GrowingCounters()
    grown.add({KEY: counted(100)})

    grown.add({}, asked=[KEY])
    grown.add({KEY: counted(150)})

    assert grown.sum_of(KEY) == counted(250)


def test_a_look_at_everything_notices_which_counters_are_away():
    grown = GrowingCounters()
    grown.add_all({KEY: counted(100), OTHER: counted(1)})

    grown.add_all({OTHER: counted(1)})
    grown.add_all({KEY: counted(150), OTHER: counted(1)})

    assert (grown.sum_of(KEY), grown.sum_of(OTHER)) == (counted(250), counted(1))


def test_the_total_keeps_what_a_forgotten_endpoint_had():
    grown = GrowingCounters()
    grown.add_all({KEY: counted(100), OTHER: counted(1)})

    grown.shrink(1, {OTHER: counted(1)})

    assert grown.sum_of(KEY) == NOTHING_COUNTED
    assert grown.total == counted(101)


def test_a_line_says_all_that_is_known_and_is_read_back():
    line = flow_line(ENDED, PARTIES)

    facts = json.loads(line)
    assert line.endswith("}\n")
    assert line.count("\n") == 1
    assert facts["opened_at"] == "2026-02-02T02:40:00.123Z"
    assert facts["ending"] == "closed"
    record = read_flow_line(line.encode())
    assert record is not None
    assert record.parties == PARTIES
    assert record.ended_at == datetime(2026, 2, 2, 2, 41, tzinfo=UTC)
    assert (record.client, record.listener) == ("10.0.0.20:43210", "10.0.0.100:8080")
    assert (record.source, record.target) == ("198.19.128.2:40001", "198.19.128.1:80")
    assert (record.bytes_sent, record.bytes_received) == (1200, 90_000)


def test_what_is_not_known_is_said_to_be_unknown():
    line = flow_line(EndedConnection(CONNECTION._replace(opened_ns=0), ENDED.ended_ns, None), UNKNOWN_PARTIES)

    record = read_flow_line(line.encode())
    assert record is not None
    assert (record.opened_at, record.ending, record.parties.endpoint_id) == (None, None, "")


def test_names_that_others_chose_cannot_break_a_line():
    parties = PARTIES._replace(consumer_domain='x","client":"forged\n')

    record = read_flow_line(flow_line(ENDED, parties).encode())

    assert record is not None
    assert record.client == "10.0.0.20:43210"
    assert record.parties.consumer_domain == 'x","client":"forged\n'


def test_a_line_is_found_by_its_whole_source_only():
    line = flow_line(ENDED, PARTIES).encode()

    assert source_needle("198.19.128.2:40001") in line
    assert source_needle("198.19.128.2:4000") not in line
    assert source_needle("198.19.128.1:80") not in line


@pytest.mark.parametrize("line", [b"", b"{", b"[]\n", b'{"kind":"connection"}\n', b"\xff\xfe\n"])
def test_what_is_no_whole_line_about_a_connection_is_none(line: bytes):
    assert read_flow_line(line) is None


def test_a_line_about_losses_is_no_connection():
    line = lost_line(datetime(2026, 2, 2, tzinfo=UTC), VpcId("v"), "the kernel's buffer was full")

    assert read_flow_line(line.encode()) is None
    assert json.loads(line) == {
        "kind": "lost",
        "at": "2026-02-02T00:00:00.000Z",
        "vpc_id": "v",
        "reason": "the kernel's buffer was full",
    }
