"""An endpoint policy is any JSON object of bounded size, kept as it was sent."""

import json

import pytest

from landbridge.domain.errors import InvalidPolicy
from landbridge.domain.policies import POLICY_DEPTH_LIMIT, POLICY_LIMIT_BYTES, check_policy_document


def nested(levels: int) -> dict[str, object]:
    document: dict[str, object] = {"leaf": []}
    for _ in range(levels - 2):
        document = {"inner": document}
    return document


def test_a_policy_is_kept_with_its_members_in_order_and_its_letters_as_they_are():
    document = {"Version": "5.0", "Statement": [{"Effect": "Allow", "Action": ["ö:*:*"], "n": 1.5, "x": None}]}

    text = check_policy_document(document)

    assert text == '{"Version":"5.0","Statement":[{"Effect":"Allow","Action":["ö:*:*"],"n":1.5,"x":null}]}'
    assert json.loads(text) == document


@pytest.mark.parametrize("document", [None, [], {}, "{}", 7, True, [{"Effect": "Allow"}]])
def test_what_is_no_object_with_members_is_no_policy(document: object):
    with pytest.raises(InvalidPolicy, match="JSON object"):
        check_policy_document(document)


def test_a_policy_may_be_as_deep_as_the_limit_and_no_deeper():
    assert check_policy_document(nested(POLICY_DEPTH_LIMIT))

    with pytest.raises(InvalidPolicy, match="nested deeper than 16 levels"):
        check_policy_document(nested(POLICY_DEPTH_LIMIT + 1))


def test_a_policy_may_have_as_many_bytes_as_the_limit_and_no_more():
    frame = len('{"a":""}')
    assert check_policy_document({"a": "ö" * ((POLICY_LIMIT_BYTES - frame) // 2)})

    with pytest.raises(InvalidPolicy, match="20482 bytes"):
        check_policy_document({"a": "ö" * ((POLICY_LIMIT_BYTES - frame) // 2 + 1)})


def test_a_number_that_cannot_be_written_again_is_refused():
    with pytest.raises(InvalidPolicy, match="too long"):
        check_policy_document({"a": 10**5000})
