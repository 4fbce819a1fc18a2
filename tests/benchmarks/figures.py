"""Turn samples into figures, and figures into rows that say whether their goals are met.

Pure. A row has a figure, perhaps the figure of a peer that was measured in the same run, and their ratio; a goal is a
sentence with a verdict. Where rounds were measured, the verdict is open if the goal lies within their spread. What
could not be measured is a row that says why: a missing figure never looks like a good one.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

LARGEST_GROWTH = 1.5
"""The most that 1,000 endpoints may cost, as a factor."""
_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Goal:
    """What was promised, and whether this run kept it."""

    text: str
    is_met: bool | None
    """None: open, because the limit lies within the spread of the rounds."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """The median of rounds' ratios, and the interval in which the true median lies in 95 of 100 runs."""

    median: float
    lowest: float
    highest: float


@dataclass(frozen=True, slots=True)
class Row:
    """One figure, beside a peer if there is one."""

    what: str
    unit: str
    value: float | None
    peer: str = ""
    peer_value: float | None = None
    ratio: float | None = None
    """`value` to `peer_value`, unless something better than the quotient is known, such as a median of ratios."""
    goals: tuple[Goal, ...] = ()
    sample_count: int = 1
    name: str = ""
    """What programs call it, with dots; empty: made from `what`."""
    spread: Ratio | None = None
    ours: Sequence[float] = ()
    peer_values: Sequence[float] = ()
    note: str = ""
    """Why there is no value; the table only says that there is none."""

    def as_json(self, section: str) -> dict[str, Any]:
        """Return the figure as results.json has it."""
        verdicts = [goal.is_met for goal in self.goals]
        return {
            "name": self.name or f"{_slug(section)}.{_slug(self.what)}",
            "what": self.what,
            "unit": self.unit.replace("µ", "u"),
            "value": self.value,
            "ours": list(self.ours) or ([] if self.value is None else [self.value]),
            "peer": self.peer or None,
            "peer_value": self.peer_value,
            "peer_values": list(self.peer_values) or ([] if self.peer_value is None else [self.peer_value]),
            "ratio": self.ratio,
            "spread": [self.spread.lowest, self.spread.highest] if self.spread else None,
            "goal": ", ".join(_compact(goal.text) for goal in self.goals) or None,
            "met": False if False in verdicts else None if None in verdicts or not verdicts else True,
            "is_open": None in verdicts,
            "note": self.note or None,
        }


def percentile(samples: Sequence[float], percent: float) -> float:
    """Return the smallest sample that `percent` of all samples do not exceed (nearest rank: no interpolation)."""
    ordered = sorted(samples)
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]


def median(samples: Sequence[float]) -> float:
    """Return the 50th percentile."""
    return percentile(samples, 50)


def ratio_of_rounds(ours: Sequence[float], peers: Sequence[float]) -> Ratio:
    """Compare round by round, so that a slow moment of the machine meets both sides.

    The interval is that of the sign test: it assumes nothing of how the rounds are distributed.
    """
    ordered = sorted(value / peer for value, peer in zip(ours, peers, strict=True))
    count, left_out, tail = len(ordered), 0, 0.0
    while left_out < count // 2:
        tail += math.comb(count, left_out) / 2**count
        if 1 - 2 * tail < _CONFIDENCE:
            break
        left_out += 1
    left_out = max(0, left_out - 1)
    return Ratio(median(ordered), ordered[left_out], ordered[-1 - left_out])


def below(limit: float, value: float, unit: str) -> Goal:
    """Return the goal that `value` is less than `limit`."""
    return Goal(f"< {limit:g} {unit}", value < limit)


def ratio_at_most(limit: float, ratio: float) -> Goal:
    """Return the goal that a ratio, as it is shown, does not exceed `limit`."""
    return Goal(f"ratio ≤ {limit:g}", round(ratio, 2) <= limit)


def rounds_at_most(limit: float, ratio: Ratio) -> Goal:
    """Return the goal that a ratio of rounds does not exceed `limit`; open if that is within its spread."""
    return Goal(f"ratio ≤ {limit:g}", None if ratio.lowest <= limit < ratio.highest else ratio.median <= limit)


def rounds_at_least(limit: float, ratio: Ratio) -> Goal:
    """Return the goal that a ratio of rounds reaches `limit`; open if that is within its spread."""
    return Goal(f"ratio ≥ {limit:g}", None if ratio.lowest < limit <= ratio.highest else ratio.median >= limit)


def latency_rows(
    what: str,
    empty: Sequence[float],
    full: Sequence[float],
    limit_ms: float,
    beside_one: Sequence[float] | None = None,
) -> list[Row]:
    """Return the rows of one latency, measured with 0, with 1,000 and perhaps with 1 endpoint present, in milliseconds.

    The limit holds for the 99th percentile; growth is limited in both percentiles.
    """
    rows: list[Row] = []
    for percent in (50, 99):
        alone, crowded = percentile(empty, percent), percentile(full, percent)
        limits = {value: (below(limit_ms, value, "ms"),) if percent == 99 else () for value in (alone, crowded)}
        peers = {"0 endpoints": empty} | ({"1 endpoint": beside_one} if beside_one else {})
        name = f"{what}, p{percent}"
        rows.append(Row(f"{name}, 0 endpoints", "ms", alone, goals=limits[alone], sample_count=len(empty), ours=empty))
        for peer, peer_values in peers.items():
            peer_value = percentile(peer_values, percent)
            ratio = crowded / peer_value
            rows.append(
                Row(
                    f"{name}, 1,000 endpoints",
                    "ms",
                    crowded,
                    peer,
                    peer_value,
                    ratio,
                    (*limits[crowded], ratio_at_most(LARGEST_GROWTH, ratio)),
                    sample_count=len(full),
                    name=_slug(f"control {name} 1,000 endpoints to {peer}"),
                    ours=full,
                    peer_values=peer_values,
                )
            )
    return rows


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table whose columns are aligned, so that it reads well on a terminal too."""
    lines = [["what", "figure", "peer in the same run", "ratio", "goal", "verdict"]]
    for row in rows:
        peer = f"{row.peer}: {shown(row.peer_value)} {row.unit}" if row.peer_value is not None else row.peer
        figure = f"{shown(row.value)} {row.unit}" if row.value is not None else "-"
        goals = ", ".join(goal.text for goal in row.goals)
        lines.append([row.what, figure, peer, _shown_ratio(row), goals, verdict(row)])
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(f"| {' | '.join(map(str.ljust, line, widths))} |" for line in lines)


def verdict(row: Row) -> str:
    """Return what became of a row's goals, empty if it has none."""
    if row.value is None:
        return "not carried"
    if missed := [goal.text for goal in row.goals if goal.is_met is False]:
        return f"NOT MET: {', '.join(missed)}"
    if any(goal.is_met is None for goal in row.goals):
        return "open: inside the spread"
    return "met" if row.goals else ""


def shown(value: float) -> str:
    """Return a number with three significant digits, and thousands separated."""
    if value == 0:
        return "0"
    decimals = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{decimals}f}"


def _shown_ratio(row: Row) -> str:
    if row.ratio is None:
        return ""
    if row.spread is None:
        return f"{row.ratio:.2f}"
    return f"{row.ratio:.2f} ({row.spread.lowest:.2f} to {row.spread.highest:.2f})"


def _compact(text: str) -> str:
    return text.replace("ratio ", "").replace("≤ ", "<=").replace("≥ ", ">=").replace("< ", "<")


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", text.lower().replace("→", "to").replace(",", "").replace("µ", "u")).strip("_")
