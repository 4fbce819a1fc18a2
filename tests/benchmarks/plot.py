"""Draw the data path's ratios as SVG: `python -m tests.benchmarks.plot RESULTS.json FILE.svg`.

One line for each ratio: a dot at the median of the rounds, a bar over their spread, a tick at the goal. The axis is
logarithmic, so that twice and half are equally far from "the same".
"""

import json
import math
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

LOWEST, HIGHEST = 0.125, 8.0
"""Of the axis; what lies beyond is drawn at its end."""
_LABELS, _WIDTH, _RIGHT, _LINE, _TOP = 370, 420, 210, 18, 76
_TICKS = (0.125, 0.25, 0.5, 1, 2, 4, 8)
_COLOURS = {"met": "#1a7f37", "missed": "#cf222e", "open": "#9a6700", "": "#57606a"}
_MEANINGS = {"met": "goal met", "missed": "not met", "open": "open: goal inside the spread", "": "no goal"}
_STYLE = "text{font:12px sans-serif;fill:#1f2328}.small{font-size:11px;fill:#57606a}"


def draw(results: Mapping[str, Any]) -> str:
    """Return the picture of what results.json holds."""
    figures = [figure for figure in results["figures"] if figure["name"].startswith("data.") and figure["peer"]]
    places = _places(figures)
    height = _TOP + _LINE * (math.ceil(places[-1] if places else 0) + 1)
    width = _LABELS + _WIDTH + _RIGHT
    machine = results["machine"]
    # The numbers alone: what a distribution appends tells more about the machine than a reader needs.
    kernel = re.match(r"[\d.]*", results["versions"]["kernel"])[0]
    loads = " to ".join(f"{machine[when][0]:.1f}" for when in ("load_at_start", "load_at_end"))
    facts = (
        f"{machine['processor']}, {machine['cores']} cores, load {loads}, kernel {kernel}, {results['started_at'][:10]}"
    )
    body = [
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        '<text x="8" y="18">Each way to the one that it is compared with: median of rounds, spread, goal</text>',
        f'<text x="8" y="34" class="small">{escape(facts)}</text>',
        *_legend(),
        *_axis(height),
    ]
    for place_of_figure, figure in zip(places, figures, strict=True):
        body += _line(figure, _TOP + _LINE * place_of_figure)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">'
    return "\n".join([head, f"<style>{_STYLE}</style>", *body, "</svg>\n"])


def place(ratio: float) -> float:
    """Return where on the axis a ratio is, in pixels from the left."""
    shown = min(max(ratio, LOWEST), HIGHEST)
    share = math.log(shown / LOWEST) / math.log(HIGHEST / LOWEST)
    return round(_LABELS + _WIDTH * share, 1)


def _places(figures: Sequence[Mapping[str, Any]]) -> Sequence[float]:
    """Return where each line stands, in lines from the top: what is measured in the same way stands together."""
    found: list[float] = []
    for number, figure in enumerate(figures):
        is_new = number and _measure(figure) != _measure(figures[number - 1])
        found.append(found[-1] + (1.6 if is_new else 1) if found else 0.5)
    return found


def _measure(figure: Mapping[str, Any]) -> str:
    return figure["name"].rpartition(".")[2]


def _legend() -> Iterable[str]:
    x = 8
    for verdict, meaning in _MEANINGS.items():
        yield f'<circle cx="{x + 4}" cy="48" r="4" fill="{_COLOURS[verdict]}"/>'
        yield f'<text x="{x + 14}" y="52" class="small">{meaning}</text>'
        x += 30 + 7 * len(meaning)


def _axis(height: int) -> Iterable[str]:
    for ratio in _TICKS:
        x, colour = place(ratio), "#8c959f" if ratio == 1 else "#d8dee4"
        yield f'<line x1="{x}" y1="{_TOP - 6}" x2="{x}" y2="{height - _LINE}" stroke="{colour}"/>'
        yield f'<text x="{x}" y="{_TOP - 10}" class="small" text-anchor="middle">{ratio:g}</text>'


def _line(figure: Mapping[str, Any], y: float) -> Iterable[str]:
    yield f'<text x="8" y="{y + 4}">{escape(figure["what"])}</text>'
    right = _LABELS + _WIDTH + 10
    if figure["ratio"] is None:
        yield f'<text x="{right}" y="{y + 4}" class="small">not carried</text>'
        return
    colour = _COLOURS[_verdict(figure)]
    for goal in _limits(figure):
        x = place(goal)
        yield f'<line x1="{x}" y1="{y - 7}" x2="{x}" y2="{y + 7}" stroke="#1f2328" stroke-width="2"/>'
    lowest, highest = figure["spread"] or (figure["ratio"], figure["ratio"])
    yield f'<line x1="{place(lowest)}" y1="{y}" x2="{place(highest)}" y2="{y}" stroke="{colour}" stroke-width="3"/>'
    yield f'<circle cx="{place(figure["ratio"])}" cy="{y}" r="4" fill="{colour}"/>'
    words = f"{figure['ratio']:.2f} of {figure['peer']}" + (f", goal {figure['goal']}" if figure["goal"] else "")
    yield f'<text x="{right}" y="{y + 4}" class="small">{escape(words)}</text>'


def _verdict(figure: Mapping[str, Any]) -> str:
    if figure["is_open"]:
        return "open"
    return {True: "met", False: "missed", None: ""}[figure["met"]]


def _limits(figure: Mapping[str, Any]) -> Sequence[float]:
    return [float(number) for number in re.findall(r"[<>]=([\d.]+)", figure["goal"] or "")]


def main(source: Path, target: Path) -> int:
    """Draw what is in one file into another; return the exit status."""
    try:
        results = json.loads(source.read_text())
    except FileNotFoundError:
        print(f"there is no {source}: run `make bench` first", file=sys.stderr)
        return 1
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(draw(results))
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
