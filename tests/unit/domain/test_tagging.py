"""Changing tags, gathering them, and finding resources by them (contract 3.28 to 3.30, 4.2)."""

import pytest

from landbridge.domain.errors import (
    DuplicateTag,
    DuplicateTagValue,
    EmptyTag,
    InvalidTag,
    TagKeyTooLong,
    TagValueTooLong,
    TooManyTags,
    TooManyTagValues,
    UserError,
)
from landbridge.domain.resources import Tag
from landbridge.domain.tagging import (
    TagCriterion,
    TagFilter,
    TaggedResource,
    TagRemoval,
    checked_criteria,
    find,
    values_by_key,
    with_tags,
    without_tags,
)
from landbridge.domain.validation import MODERN_TAGS, STANDARD_TAGS

TEAM, STAGE = Tag("team", "fin"), Tag("stage", "")
TEN = tuple(Tag(f"k{number}", "") for number in range(10))


# Changing


def test_a_new_value_keeps_the_place_of_its_key_and_new_keys_follow_in_their_order():
    after = with_tags((TEAM, STAGE), [Tag("b", "1"), Tag("team", "ops"), Tag("a", "2")], STANDARD_TAGS)

    assert after == (Tag("team", "ops"), STAGE, Tag("b", "1"), Tag("a", "2"))


def test_keys_in_capitals_are_other_keys():
    assert with_tags((TEAM,), [Tag("Team", "x")], STANDARD_TAGS) == (TEAM, Tag("Team", "x"))


def test_an_eleventh_tag_is_refused_and_a_new_value_for_one_of_ten_is_not():
    with pytest.raises(TooManyTags, match="delete some first"):
        with_tags(TEN, [Tag("further", "")], STANDARD_TAGS)

    assert with_tags(TEN, [Tag("k3", "new")], STANDARD_TAGS)[3] == Tag("k3", "new")


def test_a_resource_that_has_more_than_ten_tags_from_modern_times_may_change_them_and_get_no_further_one():
    fifteen = tuple(Tag(f"k{number}", "") for number in range(15))

    assert len(with_tags(fifteen, [Tag("k14", "new")], STANDARD_TAGS)) == 15
    with pytest.raises(TooManyTags):
        with_tags(fifteen, [Tag("further", "")], STANDARD_TAGS)


@pytest.mark.parametrize(
    ("tag", "error"),
    [
        (Tag("", "x"), EmptyTag),
        (Tag("  ", "x"), EmptyTag),
        (Tag("k" * 37, ""), TagKeyTooLong),
        (Tag("k", "v" * 44), TagValueTooLong),
        (Tag("a=b", ""), InvalidTag),
        (Tag("k", "a/b"), InvalidTag),
        (Tag("k", "a\nb"), InvalidTag),
        (Tag("k", " v"), InvalidTag),
    ],
)
def test_a_tag_to_create_follows_the_rules_of_a_tag(tag: Tag, error: type[UserError]):
    with pytest.raises(error):
        with_tags((), [tag], STANDARD_TAGS)


@pytest.mark.parametrize("tag", [Tag("k" * 36, "v" * 43), Tag("ключ 键", ""), Tag("_sys_x", "a:b")])
def test_what_the_create_service_page_allows_passes(tag: Tag):
    assert with_tags((), [tag], STANDARD_TAGS) == (tag,)


def test_modern_rules_allow_longer_tags_more_of_them_and_more_characters():
    tags = [Tag(f"{number:03}" + "k" * 125, "v" * 255) for number in range(19)] + [Tag("a=b", "c=d/e")]

    assert with_tags((), tags, MODERN_TAGS) == tuple(tags)


@pytest.mark.parametrize(
    ("tag", "error"),
    [
        (Tag("k" * 129, ""), TagKeyTooLong),
        (Tag("k", "v" * 256), TagValueTooLong),
        (Tag("_sys_x", ""), InvalidTag),
        (Tag("a/b", ""), InvalidTag),
        (Tag("k", "a*b"), InvalidTag),
    ],
)
def test_modern_rules_have_their_ends_too(tag: Tag, error: type[UserError]):
    with pytest.raises(error):
        with_tags((), [tag], MODERN_TAGS)


def test_a_key_named_twice_in_one_request_is_refused_for_creation_and_for_deletion():
    with pytest.raises(DuplicateTag):
        with_tags((), [Tag("k", "1"), Tag("k", "2")], STANDARD_TAGS)
    with pytest.raises(DuplicateTag):
        without_tags((), [TagRemoval("k"), TagRemoval("k", "2")])


def test_a_deletion_without_value_goes_by_the_key_and_with_one_by_both():
    assert without_tags((TEAM, STAGE), [TagRemoval("team")]) == (STAGE,)
    assert without_tags((TEAM, STAGE), [TagRemoval("team", "fin")]) == (STAGE,)
    assert without_tags((TEAM, STAGE), [TagRemoval("team", "ops")]) == (TEAM, STAGE)
    assert without_tags((TEAM, STAGE), [TagRemoval("team", ""), TagRemoval("stage", "")]) == (TEAM,)


def test_what_is_not_there_or_could_never_be_is_taken_away_without_error():
    assert without_tags((TEAM,), [TagRemoval("absent"), TagRemoval("k" * 1000, "a=b")]) == (TEAM,)
    with pytest.raises(EmptyTag):
        without_tags((TEAM,), [TagRemoval(" ")])


# Finding

FIN = TaggedResource("1", "lab-1.Billing.1", {"team": "fin", "stage": "prod"})
OPS = TaggedResource("2", "lab-1.log.2", {"team": "ops"})
BARE = TaggedResource("3", "", {})
ALL = [FIN, OPS, BARE]


def one(key: str, *values: str) -> list[TagCriterion]:
    return [TagCriterion(key, values)]


def two(*keys: str) -> list[TagCriterion]:
    return [TagCriterion(key) for key in keys]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (TagFilter(), ALL),
        (TagFilter(all_of=one("team")), [FIN, OPS]),
        (TagFilter(all_of=one("team", "fin")), [FIN]),
        (TagFilter(all_of=one("team", "fin", "ops")), [FIN, OPS]),
        (TagFilter(all_of=one("team", "FIN")), []),
        (TagFilter(all_of=two("team", "stage")), [FIN]),
        (TagFilter(all_of=one("team", "*i")), [FIN]),
        (TagFilter(all_of=one("team", "*", "x")), [FIN, OPS]),
        (TagFilter(all_of=one("team", "f*")), []),
        (TagFilter(any_of=two("stage", "absent")), [FIN]),
        (TagFilter(any_of=one("team", "ops") + one("stage", "prod")), [FIN, OPS]),
        (TagFilter(not_all_of=one("team", "fin")), [OPS, BARE]),
        (TagFilter(not_all_of=two("team", "stage")), [OPS, BARE]),
        (TagFilter(none_of=two("team", "stage")), [BARE]),
        (TagFilter(none_of=one("stage")), [OPS, BARE]),
        (TagFilter(is_untagged=True), [BARE]),
        (TagFilter(is_untagged=True, all_of=one("team")), [BARE]),
        (TagFilter(name="BILL"), [FIN]),
        (TagFilter(name="lab-1"), [FIN, OPS]),
        (TagFilter(name="lab-1", is_untagged=True), []),
        (TagFilter(name=""), [BARE]),
        (TagFilter(all_of=one("team"), none_of=one("stage"), name="log"), [OPS]),
    ],
)
def test_a_filter_finds_those_that_meet_all_its_parts_in_their_order(wanted: TagFilter, found: list[TaggedResource]):
    assert find(ALL, wanted) == found


def test_an_empty_value_is_a_value():
    bare, empty = TaggedResource("1", "1", {"k": "x"}), TaggedResource("2", "2", {"k": ""})

    assert find([bare, empty], TagFilter(all_of=one("k", ""))) == [empty]


def test_criteria_are_compared_without_the_spaces_around_them():
    (criterion,) = checked_criteria([TagCriterion(" team ", [" fin", "* n "])], STANDARD_TAGS)

    assert criterion == TagCriterion("team", ("fin", "* n"))


@pytest.mark.parametrize(
    ("criteria", "error"),
    [
        (two(*(f"k{number}" for number in range(11))), TooManyTags),
        (one("k", *(f"v{number}" for number in range(11))), TooManyTagValues),
        (two("k", " k "), DuplicateTag),
        (one("k", "v", "v "), DuplicateTagValue),
        (two(" "), EmptyTag),
        (two("k" * 129), TagKeyTooLong),
        (one("k", "v" * 256), TagValueTooLong),
    ],
)
def test_a_criterion_out_of_bounds_is_refused(criteria: list[TagCriterion], error: type[UserError]):
    with pytest.raises(error):
        checked_criteria(criteria, STANDARD_TAGS)


def test_ten_keys_with_ten_values_of_any_characters_pass_and_twenty_keys_under_modern_rules():
    values = [f"{number}" + "=" * 254 for number in range(10)]
    ten = [TagCriterion(f"{number}" + "<" * 127, values) for number in range(10)]

    assert len(checked_criteria(ten, STANDARD_TAGS)) == 10
    assert len(checked_criteria(two(*(f"k{number}" for number in range(20))), MODERN_TAGS)) == 20


def test_keys_are_gathered_with_their_distinct_values_in_order():
    more = TaggedResource("4", "4", {"team": "fin", "area": ""})

    assert list(values_by_key([*ALL, more]).items()) == [("area", [""]), ("stage", ["prod"]), ("team", ["fin", "ops"])]
