"""What the benchmarks say about their samples."""

import pytest

from tests.benchmarks.figures import (
    Ratio,
    Row,
    below,
    latency_rows,
    percentile,
    ratio_of_rounds,
    rounds_at_least,
    rounds_at_most,
    shown,
    table,
)


@pytest.mark.parametrize(("percent", "expected"), [(50, 50), (99, 99), (100, 100)])
def test_a_percentile_is_a_sample_that_was_measured(percent: int, expected: int):
    assert percentile(range(100, 0, -1), percent) == expected


def test_a_single_sample_is_every_percentile():
    assert percentile([7.0], 1) == percentile([7.0], 99) == 7.0


def test_a_limit_is_missed_when_it_is_reached():
    assert not below(100, 100.0, "ms").is_met


def test_growth_is_judged_against_no_and_against_one_other_endpoint():
    rows = latency_rows("accept", empty=[20.0], full=[24.0], limit_ms=50, beside_one=[10.0])

    verdicts = {(row.what, row.peer): [goal.is_met for goal in row.goals] for row in rows}

    assert verdicts["accept, p50, 1,000 endpoints", "0 endpoints"] == [True]
    assert verdicts["accept, p50, 1,000 endpoints", "1 endpoint"] == [False]
    assert verdicts["accept, p99, 1,000 endpoints", "1 endpoint"] == [True, False]
    assert "NOT MET: ratio ≤ 1.5" in table(rows)


def test_the_ratio_is_the_median_of_the_rounds_own_ratios():
    ours, peers = [1.0, 40.0, 3.0], [1.0, 20.0, 1.0]  # the machine was slow in the second round

    assert ratio_of_rounds(ours, peers).median == 2.0


def test_the_spread_of_nine_rounds_leaves_out_the_two_outermost():
    ratios = [1.1, 0.9, 1.0, 0.2, 1.2, 1.3, 9.0, 1.4, 0.8]

    assert ratio_of_rounds(ratios, [1.0] * 9) == Ratio(1.1, 0.8, 1.4)


def test_the_spread_of_few_rounds_is_all_of_them():
    assert ratio_of_rounds([1.0, 2.0, 3.0], [1.0] * 3) == Ratio(2.0, 1.0, 3.0)


@pytest.mark.parametrize(
    ("spread", "is_met"), [((0.91, 0.99), True), ((0.89, 0.93), None), ((0.80, 0.90), None), ((0.80, 0.89), False)]
)
def test_a_goal_within_the_spread_is_open(spread: tuple[float, float], is_met: bool | None):
    assert rounds_at_least(0.90, Ratio(sum(spread) / 2, *spread)).is_met is is_met


@pytest.mark.parametrize(
    ("spread", "is_met"), [((1.01, 1.14), True), ((1.10, 1.20), None), ((1.15, 1.20), None), ((1.16, 1.20), False)]
)
def test_a_latency_goal_within_the_spread_is_open(spread: tuple[float, float], is_met: bool | None):
    assert rounds_at_most(1.15, Ratio(sum(spread) / 2, *spread)).is_met is is_met


def test_an_open_goal_is_neither_met_nor_missed_in_the_results():
    row = Row("1 stream, close", "Gbit/s", 9.0, "routed-2", 10.0, 0.9, (rounds_at_least(0.9, Ratio(0.9, 0.8, 1.0)),))

    figure = row.as_json("Data path")

    assert (figure["met"], figure["is_open"], figure["goal"]) == (None, True, ">=0.9")
    assert "open" in table([row])


def test_what_is_not_carried_is_a_figure_with_its_reason():
    row = Row("1 stream, toa_open", "Gbit/s", None, "close", name="data.toa_open.stream_1", note="not as this user")

    assert "not carried" in table([row])
    assert row.as_json("Data path") | {"ours": [], "met": None, "note": "not as this user"} == row.as_json("Data path")


def test_results_have_the_fields_that_programs_read():
    row = Row("a, p50", "µs", 10.9, "b", 10.0, 1.09, ours=[10.9, 11.0], peer_values=[10.0, 10.1], name="data.a.rr_p50")

    figure = row.as_json("Data path")

    assert figure["name"] == "data.a.rr_p50"
    assert figure["unit"] == "us"
    assert (figure["ours"], figure["peer_values"]) == ([10.9, 11.0], [10.0, 10.1])


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.0123, "0.0123"), (9.876, "9.88"), (26.64, "26.6"), (20812.4, "20,812")]
)
def test_figures_are_shown_with_three_digits(value: float, text: str):
    assert shown(value) == text
