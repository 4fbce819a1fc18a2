"""What the benchmarks of the data path say about their rounds."""

from collections.abc import Mapping, Sequence

import pytest

from tests.benchmarks import data_path, peers
from tests.benchmarks.figures import Row, verdict
from tests.benchmarks.load import CONNECT, MEASURES, RR_P50, STREAM_1, Measure

ROUNDS = 9
WAYS = (
    peers.ROUTED,
    *data_path.MODES,
    *map(data_path.many, data_path.CROWDED_MODES),
    peers.ENVOY,
    peers.HAPROXY,
    peers.NGINX,
)


def rows(changed: Mapping[tuple[Measure, str], float], without: Sequence[str] = ()) -> dict[str, Row]:
    """Return the rows, by name, of rounds in which all ways did 100 but those that are named."""
    results = {
        each.name: {way: [changed.get((each, way), 100.0)] * ROUNDS for way in WAYS if way not in without}
        for each in MEASURES
    }
    reasons = dict.fromkeys(without, "this kernel forbids it")
    return {row.name: row for row in data_path.rows(results, reasons, 10_000)}


@pytest.mark.parametrize(
    ("measure", "way", "value", "expected"),
    [
        (STREAM_1, data_path.CLOSE, 90.0, "met"),
        (STREAM_1, data_path.CLOSE, 89.0, "NOT MET: ratio ≥ 0.9"),
        (RR_P50, data_path.CLOSE, 116.0, "NOT MET: ratio ≤ 1.15"),
        (CONNECT, data_path.TOA_OPEN, 91.0, "met"),
        (CONNECT, data_path.PROXY_OPEN, 94.0, "NOT MET: ratio ≥ 0.95"),
        (RR_P50, data_path.OPEN, 300.0, ""),
    ],
)
def test_each_mode_is_held_to_what_was_promised_for_it(measure: Measure, way: str, value: float, expected: str):
    found = rows({(measure, way): value})

    assert verdict(found[f"data.{way}.{measure.name}"]) == expected


@pytest.mark.parametrize("mode", data_path.CROWDED_MODES)
def test_many_endpoints_may_cost_five_percent_of_the_same_mode_without_them(mode: str):
    found = rows({(STREAM_1, data_path.many(mode)): 94.0, (CONNECT, data_path.many(mode)): 96.0})

    slower, fast_enough = (found[f"data.{mode}_many.{each.name}"] for each in (STREAM_1, CONNECT))

    assert (slower.peer, verdict(slower)) == (mode, "NOT MET: ratio ≥ 0.95")
    assert verdict(fast_enough) == "met"


def test_a_mode_that_is_not_carried_is_in_the_table_with_the_reason():
    row = rows({}, without=[data_path.TOA_OPEN])["data.toa_open.stream_1"]

    assert (verdict(row), row.note) == ("not carried", "this kernel forbids it")


def test_what_is_compared_with_a_mode_that_is_not_carried_says_so_too():
    row = rows({}, without=[data_path.TOA_OPEN])["data.toa_open_many.stream_1"]

    assert (verdict(row), row.note) == ("not carried", "this kernel forbids it")


def test_losses_are_what_came_in_between_and_name_the_places():
    before = {"client": counted(5, 0, 7), "hub": counted(0, 0, 0)}
    after = {"client": counted(5, 0, 1_207), "hub": counted(0, 0, 1)}

    sentences = data_path.loss_sentences(before, after, {"client": 0, "hub": 3_000})

    assert "Interface drops: none." in sentences
    assert "Retransmitted segments: client 1,200, hub 1." in sentences
    assert "Tracked connections at most, of 262,144: hub 3,000." in sentences


def counted(drops: int, conntrack_drops: int, retransmitted: int) -> dict[str, int]:
    return {
        "interface_drops": drops,
        "conntrack_drops": conntrack_drops,
        "retransmitted_segments": retransmitted,
        "segments_that_came_twice": retransmitted,
        "conntrack_max": 262_144,
    }
