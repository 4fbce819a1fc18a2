"""What the benchmarks say about their samples."""

import pytest

from tests.benchmarks.figures import below, latency_rows, percentile, shown, table


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


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.0123, "0.0123"), (9.876, "9.88"), (26.64, "26.6"), (20812.4, "20,812")]
)
def test_figures_are_shown_with_three_digits(value: float, text: str):
    assert shown(value) == text
