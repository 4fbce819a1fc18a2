"""What the picture of the ratios shows."""

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.benchmarks.figures import Ratio, Row, rounds_at_most
from tests.benchmarks.plot import draw, main, place


def results(*rows: Row) -> dict[str, Any]:
    return {
        "started_at": "2026-01-02T03:04:05+00:00",
        "machine": {
            "processor": "A <fast> one",
            "cores": 2,
            "load_at_start": [0.2, 0.3, 0.4],
            "load_at_end": [7.9, 6.5, 4.7],
        },
        "versions": {"kernel": "6.18-cloud"},
        "figures": [row.as_json("Data path") for row in rows],
    }


def compared(ratio: Ratio) -> Row:
    goals = (rounds_at_most(1.15, ratio),)
    return Row("p50, close", "µs", 11.0, "routed-2", 10.0, ratio.median, goals, name="data.close.rr_p50", spread=ratio)


def test_a_ratio_is_drawn_with_its_goal_and_the_verdicts_colour():
    picture = draw(results(compared(Ratio(1.3, 1.2, 1.4))))

    assert "1.30 of routed-2, goal &lt;=1.15" in picture
    assert f'cx="{place(1.3)}"' in picture
    assert f'x1="{place(1.15)}"' in picture
    assert "#cf222e" in picture
    assert "load 0.2 to 7.9, kernel 6.18, 2026-01-02" in picture
    assert ElementTree.fromstring(picture).tag.endswith("svg")  # noqa: S314 - our own text


def test_what_is_not_carried_is_named():
    row = Row("p50, toa_open", "µs", None, "close", name="data.toa_open.rr_p50", note="not as this user")

    assert "not carried" in draw(results(row))


def test_figures_of_the_control_plane_are_not_drawn():
    row = Row("accept", "ms", 2.0, "0 endpoints", 1.0, 2.0, name="control.accept")

    assert "accept" not in draw(results(row))


def test_without_results_it_says_how_to_get_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(tmp_path / "results.json", tmp_path / "ratios.svg") == 1

    assert "run `make bench` first" in capsys.readouterr().err


@pytest.mark.parametrize(("ratio", "at_the_end"), [(0.01, 0.125), (100.0, 8.0)])
def test_what_is_beyond_the_axis_is_drawn_at_its_end(ratio: float, at_the_end: float):
    assert place(ratio) == place(at_the_end)
