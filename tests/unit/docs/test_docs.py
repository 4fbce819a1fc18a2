"""What the documentation names exists, and what exists is named."""

import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import click
import pytest

from landbridge.cli.main import main
from landbridge.observability import Telemetry
from landbridge.settings import Settings

ROOT = Path(__file__).parents[3]
REFERENCE = ROOT / "docs" / "reference"
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *ROOT.glob("docs/**/*.md")])

FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
COMMAND = re.compile(r"^## (landbridge .+)$", re.MULTILINE)
OPTION = re.compile(r"`(--[a-z-]+)")
FIRST_CELL = re.compile(r"^\| (.*?) (?<!\\)\|", re.MULTILINE)


def prose(page: Path) -> str:
    return FENCED.sub("", page.read_text())


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a page."""
    headings = (LINK.sub(lambda link: link.group(0), text) for text in HEADING.findall(prose(page)))
    return {re.sub(r"[^\w -]", "", text.lower()).replace(" ", "-") for text in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page: Path):
    dead: list[str] = []
    for target in LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        if not there.exists() or (anchor and anchor not in anchors(there)):
            dead.append(target)

    assert dead == []


def commands(group: click.Group, name: str = "landbridge") -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for word in group.list_commands(context):
        command = group.get_command(context, word)
        if isinstance(command, click.Group):
            yield from commands(command, f"{name} {word}")
        elif command is not None:
            yield f"{name} {word}", command


def options(command: click.Command) -> set[str]:
    named = (param for param in command.params if isinstance(param, click.Option))
    return {text for option in named for text in (*option.opts, *option.secondary_opts)}


def documented_options() -> dict[str, set[str]]:
    _, *parts = COMMAND.split((REFERENCE / "command-line.md").read_text())
    return {
        name: {option for cell in FIRST_CELL.findall(text) for option in OPTION.findall(cell)}
        for name, text in zip(parts[::2], parts[1::2], strict=True)
    }


def test_the_command_line_page_has_exactly_the_options_that_there_are():
    assert documented_options() == {name: options(command) for name, command in commands(main)}


def first_cells(page: Path) -> set[str]:
    """Return what stands in code type in the first column of a page's tables."""
    return {text for cell in FIRST_CELL.findall(page.read_text()) for text in re.findall(r"`([^`]+)`", cell)}


def test_the_metrics_page_has_exactly_the_metrics_that_there_are():
    collected = Telemetry("memory", "a-pool").registry.collect()
    # The exposition adds _total to the name of a counter.
    names = {metric.name + "_total" * (metric.type == "counter") for metric in collected}

    assert first_cells(REFERENCE / "metrics.md") == names


def test_the_settings_page_has_exactly_the_settings_that_there_are():
    assert first_cells(REFERENCE / "settings.md") == {field.name for field in fields(Settings)}
