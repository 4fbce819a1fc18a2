"""Change tags, gather them, and find resources by them (contract 3.28 to 3.30).

Pure. Tags keep the order in which they were first given; a key belongs to one tag of a resource. What a single tag
may be is in `validation`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from landbridge.domain.errors import (
    DuplicateTag,
    DuplicateTagValue,
    EmptyTag,
    TagKeyTooLong,
    TagValueTooLong,
    TooManyTags,
    TooManyTagValues,
)
from landbridge.domain.resources import Tag
from landbridge.domain.validation import MODERN_TAGS, TagRules, check_tags

CRITERION_VALUE_LIMIT = 10
"""Values that a filter may name for one key (contract 3.30)."""


class ResourceType(StrEnum):
    """What carries tags."""

    ENDPOINT_SERVICE = "endpoint_service"
    ENDPOINT = "endpoint"


@dataclass(frozen=True, slots=True)
class TaggedResource:
    """A service or an endpoint, as far as tags go."""

    id: str
    name: str
    """The full name of a service; the id of an endpoint, which has no name."""
    tags: Mapping[str, str]
    """Values by key, in the order in which the keys were first given."""


@dataclass(frozen=True, slots=True)
class TagRemoval:
    """A key to take away, whatever its value; or only if it has this value."""

    key: str
    value: str | None = None


@dataclass(frozen=True, slots=True)
class TagCriterion:
    """A key, and the values that will do; without values any will. A leading `*` means: contains the rest."""

    key: str
    values: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class TagFilter:
    """Which resources are wanted. An empty list of criteria filters nothing."""

    all_of: Sequence[TagCriterion] = ()
    any_of: Sequence[TagCriterion] = ()
    not_all_of: Sequence[TagCriterion] = ()
    none_of: Sequence[TagCriterion] = ()
    is_untagged: bool = False
    """Only resources without any tag; the criteria do not count then."""
    name: str | None = None
    """A part of the name, in capitals or not; empty: exactly the empty name."""


def with_tags(present: Sequence[Tag], new: Sequence[Tag], rules: TagRules) -> tuple[Tag, ...]:
    """Return the tags after a `create`: a key that is there gets its new value, others follow in their order.

    Raises:
        EmptyTag, DuplicateTag, InvalidTag, TagKeyTooLong, TagValueTooLong: a new tag breaks the rules.
        TooManyTags: there would be more than one resource may have.
    """
    values = {tag.key: tag.value for tag in present} | {tag.key: tag.value for tag in check_tags(new, rules)}
    # A resource may have more than the rules allow since they were changed: only a further tag is refused.
    if len(values) > max(rules.tag_limit, len(present)):
        raise TooManyTags(
            f"there would be {len(values)} tags: a resource has at most {rules.tag_limit}, delete some first"
        )
    return tuple(Tag(key, value) for key, value in values.items())


def without_tags(present: Sequence[Tag], removals: Sequence[TagRemoval]) -> tuple[Tag, ...]:
    """Return the tags after a `delete`; taking away what is not there is no error.

    Neither characters nor lengths are checked, so that everything that was ever stored can be taken away.

    Raises:
        EmptyTag, DuplicateTag: a key is blank, or named twice.
    """
    _check_keys([removal.key for removal in removals])
    values = {removal.key: removal.value for removal in removals}
    return tuple(tag for tag in present if tag.key not in values or values[tag.key] not in {None, tag.value})


def checked_criteria(criteria: Sequence[TagCriterion], rules: TagRules) -> tuple[TagCriterion, ...]:
    """Return one list of a filter, without the spaces around its texts. Characters are not checked.

    Raises:
        TooManyTags, TooManyTagValues: too many keys, or values of one key.
        EmptyTag, DuplicateTag, TagKeyTooLong: a key is blank, appears twice or is too long for any tag.
        DuplicateTagValue, TagValueTooLong: the same of a value, which may be empty.
    """
    if len(criteria) > rules.tag_limit:
        raise TooManyTags(f"{len(criteria)} keys in one tag filter: at most {rules.tag_limit} are allowed")
    checked = tuple(
        TagCriterion(criterion.key.strip(" "), tuple(value.strip(" ") for value in criterion.values))
        for criterion in criteria
    )
    _check_keys([criterion.key for criterion in checked])
    for criterion in checked:
        if len(criterion.key) > MODERN_TAGS.key_limit:
            raise TagKeyTooLong(f"a tag key in a filter has at most {MODERN_TAGS.key_limit} characters")
        if len(criterion.values) > CRITERION_VALUE_LIMIT:
            raise TooManyTagValues(
                f"{len(criterion.values)} values for one key: at most {CRITERION_VALUE_LIMIT} are allowed"
            )
        if len(set(criterion.values)) < len(criterion.values):
            raise DuplicateTagValue("each value of a key may appear once in a tag filter")
        if any(len(value) > MODERN_TAGS.value_limit for value in criterion.values):
            raise TagValueTooLong(f"a tag value in a filter has at most {MODERN_TAGS.value_limit} characters")
    return checked


def find(resources: Iterable[TaggedResource], wanted: TagFilter) -> list[TaggedResource]:
    """Return those resources that a filter wants, in the order given."""
    tests = _tests(wanted)
    return [resource for resource in resources if all(test(resource) for test in tests)]


def values_by_key(resources: Iterable[TaggedResource]) -> dict[str, list[str]]:
    """Return each key that some resource carries with its distinct values, both sorted."""
    gathered: dict[str, set[str]] = {}
    for resource in resources:
        for key, value in resource.tags.items():
            gathered.setdefault(key, set()).add(value)
    return {key: sorted(gathered[key]) for key in sorted(gathered)}


_Test = Callable[[TaggedResource], bool]


def _tests(wanted: TagFilter) -> list[_Test]:
    tests: list[_Test] = []
    if wanted.name is not None:
        tests.append(_name_test(wanted.name))
    if wanted.is_untagged:
        return [lambda resource: not resource.tags, *tests]
    if all_of := [_carries(criterion) for criterion in wanted.all_of]:
        tests.append(lambda resource: all(carries(resource) for carries in all_of))
    if any_of := [_carries(criterion) for criterion in wanted.any_of]:
        tests.append(lambda resource: any(carries(resource) for carries in any_of))
    if not_all_of := [_carries(criterion) for criterion in wanted.not_all_of]:
        tests.append(lambda resource: not all(carries(resource) for carries in not_all_of))
    if none_of := [_carries(criterion) for criterion in wanted.none_of]:
        tests.append(lambda resource: not any(carries(resource) for carries in none_of))
    return tests


def _name_test(part: str) -> _Test:
    if not part:
        return lambda resource: not resource.name
    folded = part.casefold()
    return lambda resource: folded in resource.name.casefold()


def _carries(criterion: TagCriterion) -> _Test:
    """Return the question whether a resource has the key with one of the values."""
    key = criterion.key
    exact = frozenset(value for value in criterion.values if not value.startswith("*"))
    parts = [value[1:] for value in criterion.values if value.startswith("*")]

    def carries(resource: TaggedResource) -> bool:
        value = resource.tags.get(key)
        if value is None:
            return False
        return not criterion.values or value in exact or any(part in value for part in parts)

    return carries


def _check_keys(keys: Sequence[str]) -> None:
    if not all(key.strip() for key in keys):
        raise EmptyTag("a tag needs a key that is not blank")
    if len(set(keys)) < len(keys):
        raise DuplicateTag("each tag key may appear once")
