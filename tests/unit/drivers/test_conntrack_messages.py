"""The kernel's words about connections are read right, whatever their layout."""

import struct
from dataclasses import replace

import pytest

from landbridge.dataplane.flows import Ending, State
from landbridge.drivers.linux.conntrack_messages import (
    ConnectionReader,
    Message,
    delete_one_request,
    dump_request,
    error_in,
    messages,
)
from tests.conntrack_entries import CLOSE, DELETE, DONE, SYN_SENT, TIME_WAIT, Entry, message

SECOND = 1_000_000_000
ENTRY = Entry()


def only(data: bytes) -> Message:
    (found,) = messages(data)
    return found


def test_a_connection_is_read_with_its_ends_and_counts():
    data = ENTRY.message()

    read = ConnectionReader().connection(data, only(data))

    assert (read.client, read.listener) == ("10.0.0.10:43210", "10.0.0.100:8080")
    assert (read.target, read.source) == ("198.19.128.1:80", "198.19.128.2:40001")
    assert (read.id, read.mark, read.protocol, read.state) == (7, 0xABCDEF01, "tcp", State.ESTABLISHED)
    assert (read.packets_sent, read.bytes_sent, read.packets_received, read.bytes_received) == (3, 1200, 4, 90_000)
    assert read.opened_ns == ENTRY.started_ns


def test_a_connection_that_was_not_translated_has_no_other_side():
    data = replace(ENTRY, target=ENTRY.listener, source=ENTRY.client).message()

    read = ConnectionReader().connection(data, only(data))

    assert (read.client, read.target, read.source) == ("10.0.0.10:43210", "", "")


def test_messages_of_one_length_and_different_layout_are_told_apart():
    # One has a mark and a time, the other a label that is as long as both.
    reader, plain = ConnectionReader(), ENTRY
    labelled = replace(ENTRY, mark=0, started_ns=0)
    datas = [plain.message(), labelled.message(with_label=True), plain.message(), labelled.message(with_label=True)]
    assert len({len(data) for data in datas[:2]}) == 1, "the layouts must be of one length for this to show anything"

    marks = [reader.mark(data, only(data)) for data in datas]

    assert marks == [0xABCDEF01, 0, 0xABCDEF01, 0]
    assert reader.connection(datas[1], only(datas[1])).client == "10.0.0.10:43210"


def test_several_messages_of_one_reading_are_all_read():
    entries = [replace(ENTRY, client=("10.0.0.10", port)) for port in range(1000, 1050)]
    data = b"".join(entry.message() for entry in entries)
    reader = ConnectionReader()

    clients = [reader.connection(data, one).client for one in messages(data)]

    assert clients == [f"10.0.0.10:{port}" for port in range(1000, 1050)]


def test_open_connections_are_counted_by_mark():
    entries = [
        *[replace(ENTRY, mark=1)] * 3,
        *[replace(ENTRY, mark=2)] * 2,
        replace(ENTRY, mark=1, state=TIME_WAIT),
        replace(ENTRY, mark=1, state=CLOSE),
        replace(ENTRY, mark=0),
        replace(ENTRY, mark=2, state=None, protocol=17),
    ]
    counts: dict[int, int] = {}

    last = ConnectionReader().count_open(b"".join(entry.message(sequence=9) for entry in entries), 9, counts)

    assert (last, counts) == (None, {1: 3, 2: 3})


def test_counting_leaves_out_answers_to_other_questions_and_stops_at_the_end():
    data = ENTRY.message(sequence=8) + ENTRY.message(sequence=9) + message(DONE, 0x2, 9, b"")
    counts: dict[int, int] = {}

    last = ConnectionReader().count_open(data, 9, counts)

    assert counts == {ENTRY.mark: 1}
    assert last is not None
    assert last.kind == DONE


@pytest.mark.parametrize(
    ("state", "protocol", "lasted_seconds", "ending"),
    [
        (TIME_WAIT, 6, 60, Ending.CLOSED),
        (CLOSE, 6, 60, Ending.RESET),
        (SYN_SENT, 6, 60, Ending.UNANSWERED),
        (5, 6, 60, Ending.TIMED_OUT),
        (3, 6, 60, Ending.REMOVED),
        (3, 6, 500_000, None),
        (None, 17, 60, Ending.TIMED_OUT),
    ],
)
def test_the_last_state_says_how_a_connection_ended(
    state: int | None, protocol: int, lasted_seconds: int, ending: Ending | None
):
    stopped = ENTRY.started_ns + lasted_seconds * SECOND
    data = replace(ENTRY, state=state, protocol=protocol, stopped_ns=stopped).message(DELETE)

    assert ConnectionReader().ended(data, only(data)).ending is ending


def test_a_connection_ended_with_its_last_packet_not_when_the_kernel_forgot_it():
    stopped = ENTRY.started_ns + 60 * SECOND
    closed = replace(ENTRY, state=TIME_WAIT, stopped_ns=stopped).message(DELETE)
    short = replace(ENTRY, state=TIME_WAIT, stopped_ns=ENTRY.started_ns + 3 * SECOND).message(DELETE)

    reader = ConnectionReader()

    assert reader.ended(closed, only(closed)).ended_ns == stopped - 10 * SECOND
    assert reader.ended(short, only(short)).ended_ns == ENTRY.started_ns


def test_a_kernel_that_keeps_no_time_leaves_times_open():
    data = replace(ENTRY, started_ns=0, state=TIME_WAIT).message(DELETE)

    ended = ConnectionReader().ended(data, only(data))

    assert (ended.connection.opened_ns, ended.ended_ns) == (0, 0)


def test_a_message_that_is_cut_off_is_read_as_far_as_it_goes():
    whole = ENTRY.message()
    cut = struct.pack("=I", len(whole) - 40) + whole[4:-40]

    read = ConnectionReader().connection(cut, only(cut))

    assert (read.client, read.mark) == ("10.0.0.10:43210", 0xABCDEF01)


def test_a_refusal_is_read_with_its_number():
    data = struct.pack("=IHHIIi", 36, 2, 0, 1, 0, -16) + bytes(16)

    assert error_in(data, only(data)) == 16


def test_the_kernel_is_asked_for_one_mark_whole():
    request = dump_request(5, mark=0xABCDEF01)

    assert request.endswith(struct.pack("=HH", 8, 8) + b"\xab\xcd\xef\x01" + struct.pack("=HH", 8, 21) + b"\xff" * 4)
    assert len(dump_request(5)) == len(request) - 16


@pytest.mark.parametrize("protocol", [6, 17, 132])
def test_the_request_to_forget_one_connection_names_its_ends_and_its_id(protocol: int):
    data = replace(ENTRY, protocol=protocol).message()
    connection = ConnectionReader().connection(data, only(data))

    request = delete_one_request(5, connection)

    named = ConnectionReader().connection(request, only(request))
    assert only(request).sequence == 5
    assert (named.client, named.listener, named.protocol, named.id) == (
        connection.client,
        connection.listener,
        connection.protocol,
        connection.id,
    )
    assert named.mark == 0, "the kernel would take a mark for a filter"
