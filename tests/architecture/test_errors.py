"""Every error has its place on the wire."""

import re

from landbridge.api.problems import PROBLEMS
from landbridge.domain import errors, network_errors
from landbridge.domain.errors import BadRequest, Conflict, NotFound, UserError

ABSTRACT = {UserError, BadRequest, NotFound, Conflict}


def concrete_errors() -> list[type[UserError]]:
    named = [*vars(errors).values(), *vars(network_errors).values()]
    found = {value for value in named if isinstance(value, type) and issubclass(value, UserError)}
    return sorted(found - ABSTRACT, key=lambda error: error.__name__)


def test_each_error_has_a_slug_of_its_own():
    slugs = [error.slug for error in concrete_errors()]

    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", slug) for slug in slugs)
    assert len(set(slugs)) == len(slugs)


def test_each_slug_has_a_status_and_a_code_and_no_code_is_without_an_error():
    assert {error.slug for error in concrete_errors()} == PROBLEMS.keys()


def test_codes_are_written_as_the_contract_prints_them():
    for problem in PROBLEMS.values():
        assert re.fullmatch(r"(EndPoint|VPC)\.\d{4}|Endpoint\.1018", problem.code)
        assert 400 <= problem.status <= 504
