"""Hints are short texts; joined, they say what all of them said."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbridge.coordination.datagrams import DatagramHints
from landbridge.coordination.hints import Hint, joined, read, written

IDS = st.uuids().map(str)
HINTS = st.builds(Hint, st.booleans(), st.dictionaries(IDS, st.integers(1, 2**40), max_size=250))


@given(HINTS)
def test_what_is_written_is_read_again_whole(hint: Hint):
    texts = list(written(hint))

    assert all(len(text.encode()) < 8000 for text in texts), "more than a NOTIFY carries"
    assert joined([found for text in texts if (found := read(text)) is not None]) == hint


@given(st.lists(HINTS, min_size=1, max_size=4))
def test_joined_hints_say_the_latest_generation_of_each(hints: list[Hint]):
    whole = joined(hints)

    assert whole.intent_written == any(hint.intent_written for hint in hints)
    for id_, generation in whole.reached.items():
        assert generation == max(hint.reached.get(id_, 0) for hint in hints)


@pytest.mark.parametrize("text", ["", "no json", "[]", "{}", '{"intent": true}', '{"reached": 5}', "x" * 9000])
def test_what_is_no_hint_says_nothing(text: str):
    assert read(text) is None


async def test_hints_reach_all_other_processes_of_a_state_directory_and_not_their_sender(tmp_path: Path):
    heard: dict[str, list[Hint]] = {"a": [], "b": [], "c": []}
    carriers = {name: DatagramHints(tmp_path, heard[name].append) for name in heard}
    try:
        carriers["a"].send(Hint(intent_written=True))
        carriers["a"].send(Hint(reached={"one": 3}))
        for _ in range(1000):
            if heard["b"] and heard["c"]:
                break
            await asyncio.sleep(0.005)
    finally:
        for carrier in carriers.values():
            carrier.close()

    assert heard == {"a": [], "b": [Hint(True, {"one": 3})], "c": [Hint(True, {"one": 3})]}
    assert list((tmp_path / "hints").iterdir()) == []


async def test_the_socket_of_a_killed_process_is_removed_by_who_finds_it(tmp_path: Path):
    dead = DatagramHints(tmp_path, lambda _hint: None)
    asyncio.get_running_loop().remove_reader(dead._socket)
    dead._socket.close()
    living = DatagramHints(tmp_path, lambda _hint: None)

    living.send(Hint(intent_written=True))
    for _ in range(1000):
        if len(list((tmp_path / "hints").iterdir())) == 1:
            break
        await asyncio.sleep(0.005)

    living.close()
    assert list((tmp_path / "hints").iterdir()) == []
