"""Give the shapes of the bodies of tag operations (contract 3.29, 3.30) and turn them into what the use cases take.

As in `schemas`, types are strict, null means absent and unknown fields are ignored.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, StrictInt, StrictStr

from landbridge.api.requests import parse
from landbridge.domain.errors import (
    EmptyTag,
    InvalidLimit,
    InvalidOffset,
    InvalidParameter,
    InvalidTag,
    InvalidTagAction,
    UserError,
)
from landbridge.domain.resources import Tag
from landbridge.domain.tagging import TagCriterion, TagFilter, TagRemoval, checked_criteria
from landbridge.domain.validation import TagRules

FOUND_LIMIT = 1000
_OFFSET_LIMIT = 999_999_999
_MATCH_LENGTH = 255


class _Body(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class TagToChange(_Body):
    """A tag to create, or to delete; a deletion may leave the value out."""

    key: StrictStr
    value: StrictStr | None = None


class TagActionBody(_Body):
    """Tags to create or to delete (contract 3.29)."""

    action: Literal["create", "delete"]
    tags: Annotated[list[TagToChange], Field(min_length=1)]


def tag_action(document: Mapping[str, object]) -> tuple[Sequence[Tag], Sequence[TagRemoval]]:
    """Return the tags to create, and what to delete; one of the two is empty.

    Raises:
        InvalidTagAction, EmptyTag, InvalidTag: the body is no such action.
    """
    errors: Mapping[str, type[UserError]] = {
        "action": InvalidTagAction,
        "tags.key": EmptyTag,
        "tags": InvalidTag if document.get("tags") else EmptyTag,
    }
    body = parse(TagActionBody, document, errors)
    if body.action == "delete":
        return [], [TagRemoval(tag.key, tag.value) for tag in body.tags]
    return [_new_tag(tag) for tag in body.tags], []


def _new_tag(tag: TagToChange) -> Tag:
    if tag.value is None:
        raise InvalidTag(f"the tag {tag.key!r} has no value: give one, which may be empty")
    return Tag(tag.key, tag.value)


def _list_or_empty(value: object) -> object:
    return [] if value is None else value


class CriterionBody(_Body):
    """A key, and which of its values will do; an empty list: any."""

    key: StrictStr
    values: list[StrictStr]


class MatchBody(_Body):
    """A property of a resource, and what it must contain."""

    key: Literal["resource_name"]
    value: Annotated[StrictStr, Field(max_length=_MATCH_LENGTH)]


Criteria = Annotated[list[CriterionBody], BeforeValidator(_list_or_empty)]
Number = StrictInt | Annotated[StrictStr, Field(pattern="^[0-9]{1,9}$")]


class FindBody(_Body):
    """What is searched for (contract 3.30). Numbers arrive as numbers or as texts."""

    action: Literal["filter", "count"]
    limit: Number | None = None
    offset: Number | None = None
    tags: Criteria = Field(default_factory=list[CriterionBody])
    tags_any: Criteria = Field(default_factory=list[CriterionBody])
    not_tags: Criteria = Field(default_factory=list[CriterionBody])
    not_tags_any: Criteria = Field(default_factory=list[CriterionBody])
    without_any_tag: StrictBool | None = None
    matches: Annotated[list[MatchBody], BeforeValidator(_list_or_empty)] = Field(default_factory=list[MatchBody])


_CRITERIA = ("tags", "tags_any", "not_tags", "not_tags_any")
_FIND_ERRORS: Mapping[str, type[UserError]] = {
    "action": InvalidTagAction,
    "limit": InvalidLimit,
    "offset": InvalidOffset,
    **{f"{name}.key": EmptyTag for name in _CRITERIA},
    **dict.fromkeys(_CRITERIA, InvalidTag),
}


@dataclass(frozen=True, slots=True)
class Search:
    """What is searched for, and which part of it is wanted."""

    wanted: TagFilter
    counts_only: bool
    offset: int = 0
    limit: int = FOUND_LIMIT


def tag_search(document: Mapping[str, object], rules: TagRules) -> Search:
    """Return what a search asks for.

    Raises:
        UserError: the body is no search. What `count` or `without_any_tag` makes meaningless is not looked at.
    """
    meaningless: set[str] = set()
    if document.get("action") == "count":
        meaningless |= {"limit", "offset"}
    if document.get("without_any_tag") is True:
        meaningless |= set(_CRITERIA)
    body = parse(FindBody, {key: document[key] for key in document.keys() - meaningless}, _FIND_ERRORS)
    wanted = TagFilter(
        all_of=_criteria(body.tags, rules),
        any_of=_criteria(body.tags_any, rules),
        not_all_of=_criteria(body.not_tags, rules),
        none_of=_criteria(body.not_tags_any, rules),
        is_untagged=bool(body.without_any_tag),
        name=_name(body.matches),
    )
    limit = FOUND_LIMIT if body.limit is None else int(body.limit)
    offset = 0 if body.offset is None else int(body.offset)
    if not 1 <= limit <= FOUND_LIMIT:
        raise InvalidLimit(f"limit must be a number from 1 to {FOUND_LIMIT}")
    if not 0 <= offset <= _OFFSET_LIMIT:
        raise InvalidOffset(f"offset must be a number from 0 to {_OFFSET_LIMIT}")
    return Search(wanted, body.action == "count", offset, limit)


def _criteria(bodies: Sequence[CriterionBody], rules: TagRules) -> Sequence[TagCriterion]:
    return checked_criteria([TagCriterion(body.key, body.values) for body in bodies], rules)


def _name(matches: Sequence[MatchBody]) -> str | None:
    if len(matches) > 1:
        raise InvalidParameter("matches names resource_name more than once: give one value")
    return matches[0].value if matches else None
