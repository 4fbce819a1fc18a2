"""Take apart what `nft list ruleset` prints, and tell what of a table was changed.

Pure. Two listings by one libnftables on one kernel write equal rules equally, so lines are compared as they are.
"""

from collections.abc import Iterator, Mapping
from itertools import zip_longest

Table = Mapping[str, tuple[str, ...]]
"""The lines of each chain, set and map, by its kind and name, such as `chain enter`."""


def read_tables(listing: str) -> dict[str, Table]:
    """Return the tables of a listing without elements, by family and name."""
    tables: dict[str, dict[str, tuple[str, ...]]] = {}
    table: dict[str, tuple[str, ...]] = {}
    block, lines = "", list[str]()
    for line in listing.splitlines():
        text = line.strip()
        if line.startswith("table "):
            table = tables.setdefault(text.removeprefix("table ").removesuffix("{").strip(), {})
        elif line.startswith("\t\t"):
            lines.append(text)
        elif text.endswith("{"):
            block, lines = text.removesuffix("{").strip(), []
        elif text == "}" and block:
            table[block] = tuple(lines)
            block = ""
    return dict(tables)


def rule_differences(wanted: Table, found: Table) -> Iterator[tuple[str, str, str]]:
    """Yield what differs, what is wanted and what was found; an empty text stands for nothing."""
    for block in sorted(wanted.keys() | found.keys()):
        what = f"nftables {block}"
        if block not in found:
            yield what, f"{len(wanted[block])} lines", ""
        elif block not in wanted:
            yield what, "", f"{len(found[block])} lines that are not ours"
        elif wanted[block] != found[block]:
            yield from _line_differences(what, wanted[block], found[block])


def _line_differences(what: str, wanted: tuple[str, ...], found: tuple[str, ...]) -> Iterator[tuple[str, str, str]]:
    missing = [line for line in wanted if line not in found]
    surplus = [line for line in found if line not in wanted]
    if not missing and not surplus:
        yield what, "the rules in our order, each once", "the same rules otherwise"
    for one, other in zip_longest(missing, surplus, fillvalue=""):
        yield what, one, other
