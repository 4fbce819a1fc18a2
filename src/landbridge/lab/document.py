"""Turn YAML text into values that know their place in the file.

Plain values are taken as they are written: `password: 0123` is the text 0123, whatever YAML 1.1 thinks of it.
Anchors, aliases and tags are refused, so no file can grow while it is read, and a password that begins with
`&`, `*` or `!` cannot silently become something else. Messages of this module repeat keys but never a value,
which may be a secret. What the values mean is decided in `file`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import ClassVar, Protocol, cast

import yaml

from landbridge.domain.errors import LandbridgeError

SIZE_LIMIT = 10 * 1024 * 1024
"""Bytes of the largest lab file."""

_DEPTH_LIMIT = 30
"""Values inside values. A valid lab file needs 9."""

_NULL_TAG = "tag:yaml.org,2002:null"


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a file, counted from 1; None for the file as a whole."""

    file: str
    line: int | None


class LabFileError(LandbridgeError):
    """A lab file cannot be used. The message is `FILE:LINE: what is wrong; what to write instead`."""

    slug: ClassVar[str] = "lab-file"

    def __init__(self, place: Place, problem: str) -> None:
        where = place.file if place.line is None else f"{place.file}:{place.line}"
        self.message = f"{where}: {problem}"
        self.file = place.file
        self.line = place.line
        super().__init__(self.message)


@dataclass(frozen=True, slots=True)
class Scalar:
    """A single value as it is written; `text` is None if nothing is."""

    place: Place
    text: str | None = field(repr=False)
    kind: ClassVar[str] = "a single value"


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    place: Place
    values: "tuple[Value, ...]"
    kind: ClassVar[str] = "a list"


@dataclass(frozen=True, slots=True)
class Table:
    """Keys with values; no key twice."""

    place: Place
    values: "Mapping[str, Value]"
    places: Mapping[str, Place]
    """Where each key is written."""
    kind: ClassVar[str] = "keys with values"


Value = Scalar | Items | Table


@dataclass(frozen=True, slots=True)
class Text:
    """A value that is there, and where it is written."""

    place: Place
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Shape:
    """Which keys one kind of thing has, each with an example to show in messages."""

    what: str
    required: Mapping[str, str]
    optional: Mapping[str, str] = field(default_factory=dict[str, str])

    def example(self, key: str) -> str:
        """Return `key: example`."""
        return f"{key}: {(dict(self.required) | dict(self.optional))[key]}"


@dataclass(frozen=True, slots=True)
class Section:
    """One thing of the file, with known keys only and all required ones. Methods raise `LabFileError`."""

    table: Table
    shape: Shape
    label: str
    """How messages call it, such as `host web-1`."""

    def mistake(self, place: Place, problem: str) -> LabFileError:
        """Return the error for something wrong in this section."""
        return LabFileError(place, f"{self.label}: {problem}")

    def text(self, key: str) -> Text:
        """Return a value that must be there, with at least one character."""
        value = self.table.values[key]
        example = self.shape.example(key)
        if not isinstance(value, Scalar):
            raise self.mistake(value.place, f"{key} must be a single value, not {value.kind}; write {example}")
        if not value.text:
            raise self.mistake(
                value.place, f"{key} has no value; write {example} (in quotes if it begins with a special character)"
            )
        return Text(value.place, value.text)

    def optional_text(self, key: str) -> Text | None:
        """Return a value, or None if the key is not written."""
        return self.text(key) if key in self.table.values else None

    def items(self, key: str) -> tuple[Value, ...]:
        """Return a list; a key that is missing or has no value means none."""
        value = self.table.values.get(key)
        if value is None or (isinstance(value, Scalar) and value.text is None):
            return ()
        if not isinstance(value, Items):
            raise self.mistake(value.place, f"{key} must be a list, not {value.kind}; write {self.shape.example(key)}")
        return value.values

    def texts(self, key: str) -> tuple[Text, ...]:
        """Return a list of single values."""
        texts: list[Text] = []
        for value in self.items(key):
            if not isinstance(value, Scalar) or not value.text:
                found = "an empty one" if isinstance(value, Scalar) else value.kind
                raise self.mistake(
                    value.place, f"{key} must list single values, not {found}; write {self.shape.example(key)}"
                )
            texts.append(Text(value.place, value.text))
        return tuple(texts)


def as_section(value: Value, shape: Shape, label: str) -> Section:
    """Check the keys of one thing.

    Raises:
        LabFileError: no table, a key that is not known, or a required one is missing.
    """
    if not isinstance(value, Table):
        example = ", ".join(shape.example(key) for key in shape.required)
        raise LabFileError(value.place, f"{label} must have keys with values; write {example}")
    known = [*shape.required, *shape.optional]
    for key in value.values:
        if key not in known:
            close = get_close_matches(key, known, n=1)
            advice = close[0] if close else f"one of {', '.join(known)}"
            entry = value.values[key]
            if isinstance(entry, Scalar) and entry.text is None:
                # `{password: one, two}` has the key `two`: the rest of a secret that nobody put in quotes.
                problem = f"a key without a value is not known here; write {advice}, and a comma in quotes"
                raise LabFileError(value.places[key], f"{label}: {problem}")
            raise LabFileError(value.places[key], f"{label}: there is no key {shown(key)}; write {advice}")
    for key in shape.required:
        if key not in value.values:
            raise LabFileError(value.place, f"{label}: {key} is missing; write {shape.example(key)}")
    return Section(value, shape, label)


def shown(text: str) -> str:
    """Return text as messages may show it: one short line without control characters."""
    short = text if len(text) <= 60 else f"{text[:57]}..."
    return short if short.isprintable() and short else repr(short)


def read_document(path: Path) -> tuple[str, Value]:
    """Return the name of a lab file as messages show it, and its only document.

    Raises:
        LabFileError: the file cannot be read, or is no YAML.
    """
    whole = Place(str(path), None)
    try:
        with path.open("rb") as file:
            content = file.read(SIZE_LIMIT + 1)
    except FileNotFoundError:
        raise LabFileError(whole, "there is no such file; write the path of a lab file") from None
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise LabFileError(whole, f"cannot be read ({reason}); write the path of a lab file") from error
    if len(content) > SIZE_LIMIT:
        raise LabFileError(whole, "is larger than 10 MiB; write a smaller lab")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        # Not chained, here and below: the causes quote the file, and the file has passwords.
        raise LabFileError(Place(str(path), line), "is not UTF-8; write the file in UTF-8") from None
    return str(path), parse_document(text, str(path))


def parse_document(text: str, file: str) -> Value:
    """Return the only YAML document of a text.

    Raises:
        LabFileError: no YAML, or YAML with anchors, aliases, tags, a key twice, or several documents.
    """
    try:
        loader = _Loader(text)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise LabFileError(
            Place(file, line), "a character here is not allowed in YAML; write it as an escape in double quotes"
        ) from None
    try:
        node = loader.get_single_node()
    except _Refused as refusal:
        raise LabFileError(Place(file, refusal.line), refusal.problem) from None
    except yaml.MarkedYAMLError as error:
        raise LabFileError(Place(file, _line(error, loader)), _syntax_problem(error)) from None
    except (ValueError, OverflowError):
        # PyYAML converts escapes such as "\UFFFFFFFF" and directives such as %YAML 1.99… without checking.
        raise LabFileError(
            Place(file, loader.line + 1), "an escape or number here is too large; write a smaller one"
        ) from None
    finally:
        loader.dispose()
    if node is None:
        raise LabFileError(Place(file, 1), "is empty; write at least region: lab-1 and a list of projects")
    return _value(node, file)


class _Refused(Exception):
    """YAML that lab files do not use."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(problem)
        self.line = line
        self.problem = problem


class _NodeStart(Protocol):
    """The event that begins any node but an alias; PyYAML's stubs do not say this much."""

    start_mark: yaml.Mark
    anchor: str | None
    tag: str | None


class _Loader(yaml.SafeLoader):
    """A loader that only composes nodes, to a limited depth, without anchors, aliases and tags."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = cast("_NodeStart", self.peek_event())  # pyright: ignore[reportUnknownMemberType]
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise _Refused(line, "lab files have no anchors and aliases; write a value with & or * in quotes")
        if event.tag is not None:
            raise _Refused(line, "lab files have no tags; write a value that begins with ! in quotes")
        if self.depth >= _DEPTH_LIMIT:
            raise _Refused(line, f"values are nested more than {_DEPTH_LIMIT} deep; write fewer levels")
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1


def _line(error: yaml.MarkedYAMLError, loader: _Loader) -> int:
    mark = error.problem_mark or error.context_mark
    return (loader.line if mark is None else mark.line) + 1


def _syntax_problem(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or error.context or "it cannot be parsed"
    if "tag handle" in problem:
        return "lab files have no tags; write a value that begins with ! in quotes"
    if "another document" in problem:
        return "a second document begins; write one document without --- and ..."
    return f"this is no YAML: {problem}; write spaces to indent, and quotes around special characters"


def _value(node: yaml.Node, file: str) -> Value:
    place = Place(file, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        return _table(node, place)
    if isinstance(node, yaml.SequenceNode):
        return Items(place, tuple(_value(item, file) for item in node.value))
    text: str = node.value
    if node.tag == _NULL_TAG:
        return Scalar(place, None)
    if not _is_unicode(text):
        raise LabFileError(place, "half a surrogate pair is no character; write the whole character")
    return Scalar(place, text)


def _table(node: yaml.MappingNode, place: Place) -> Table:
    values: dict[str, Value] = {}
    places: dict[str, Place] = {}
    for key_node, value_node in node.value:
        key_place = Place(place.file, key_node.start_mark.line + 1)
        if not isinstance(key_node, yaml.ScalarNode):
            raise LabFileError(key_place, "a key must be a word, not a list or a table; write key: value")
        key: str = key_node.value
        if key in values:
            problem = f"the key {shown(key)} is already on line {places[key].line}; write it once"
            raise LabFileError(key_place, problem)
        values[key] = _value(value_node, place.file)
        places[key] = key_place
    return Table(place, values, places)


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)
