"""Turn samples into figures, and figures into rows that say whether their goals are met.

Pure. A row has a figure, perhaps the figure of a peer that was measured in the same run, and their ratio; a goal is a
sentence with a verdict. What is not measured is no row: a missing figure never looks like a good one.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

LARGEST_GROWTH = 1.5
"""The most that 1,000 endpoints may cost, as a factor."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What was promised, and whether this run kept it."""

    text: str
    is_met: bool


@dataclass(frozen=True, slots=True)
class Row:
    """One figure, beside a peer if there is one."""

    what: str
    unit: str
    value: float
    peer: str = ""
    peer_value: float | None = None
    ratio: float | None = None
    """`value` to `peer_value`, unless something better than the quotient is known, such as a median of ratios."""
    goals: tuple[Goal, ...] = ()
    sample_count: int = 1

    def as_json(self) -> dict[str, Any]:
        """Return the row as results.json has it."""
        return asdict(self)


def percentile(samples: Sequence[float], percent: float) -> float:
    """Return the smallest sample that `percent` of all samples do not exceed (nearest rank: no interpolation)."""
    ordered = sorted(samples)
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]


def median(samples: Sequence[float]) -> float:
    """Return the 50th percentile."""
    return percentile(samples, 50)


def below(limit: float, value: float, unit: str) -> Goal:
    """Return the goal that `value` is less than `limit`."""
    return Goal(f"< {limit:g} {unit}", value < limit)


def ratio_at_most(limit: float, ratio: float) -> Goal:
    """Return the goal that a ratio, as it is shown, does not exceed `limit`."""
    return Goal(f"ratio ≤ {limit:g}", round(ratio, 2) <= limit)


def ratio_at_least(limit: float, ratio: float) -> Goal:
    """Return the goal that a ratio, as it is shown, reaches `limit`."""
    return Goal(f"ratio ≥ {limit:g}", round(ratio, 2) >= limit)


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
        peers = {"0 endpoints": alone} | ({"1 endpoint": percentile(beside_one, percent)} if beside_one else {})
        name = f"{what}, p{percent}"
        rows.append(Row(f"{name}, 0 endpoints", "ms", alone, goals=limits[alone], sample_count=len(empty)))
        for peer, peer_value in peers.items():
            ratio = crowded / peer_value
            goals = (*limits[crowded], ratio_at_most(LARGEST_GROWTH, ratio))
            rows.append(
                Row(f"{name}, 1,000 endpoints", "ms", crowded, peer, peer_value, ratio, goals, sample_count=len(full))
            )
    return rows


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table whose columns are aligned, so that it reads well on a terminal too."""
    lines = [["what", "figure", "peer in the same run", "ratio", "goal", "verdict"]]
    for row in rows:
        peer = f"{row.peer}: {shown(row.peer_value)} {row.unit}" if row.peer_value is not None else ""
        ratio = f"{row.ratio:.2f}" if row.ratio is not None else ""
        goals = ", ".join(goal.text for goal in row.goals)
        missed = [goal.text for goal in row.goals if not goal.is_met]
        verdict = f"NOT MET: {', '.join(missed)}" if missed else ("met" if row.goals else "")
        lines.append([row.what, f"{shown(row.value)} {row.unit}", peer, ratio, goals, verdict])
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(f"| {' | '.join(map(str.ljust, line, widths))} |" for line in lines)


def shown(value: float) -> str:
    """Return a number with three significant digits, and thousands separated."""
    if value == 0:
        return "0"
    decimals = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{decimals}f}"
