"""Nothing of the SDK is left out: this module's test comes last, and looks at what the other ones have called."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from huaweicloudsdkvpcep import v1
from huaweicloudsdkvpcep.v1 import model

from tests.integration.huawei_sdk.clients import Record

OPERATIONS = {
    name
    for name in vars(v1.VpcepClient)
    if not name.startswith("_") and not name.endswith("_invoker") and name not in {"new_builder", "call_api"}
}
"""One method for each of the operations 1 to 33."""


def sent_members(name: str) -> Iterator[str]:
    """Name the members of a model, and those of the models in it."""
    for member, kind in getattr(model, name).openapi_types.items():
        yield f"{name}.{member}"
        inner = kind.removeprefix("list[").removesuffix("]")
        if hasattr(model, inner):
            yield from sent_members(inner)


def chosen_only_in_part(request: pytest.FixtureRequest) -> bool:
    """Say whether tests of the SDK are left out of this run: nothing can be said about what they call."""
    chosen = {getattr(item, "originalname", "") for item in request.session.items}
    there = {
        node.name
        for path in Path(__file__).parent.glob("test_*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }
    return not there <= chosen


def test_every_method_is_called_and_every_member_of_every_request_is_sent(
    request: pytest.FixtureRequest, record: Record
):
    if chosen_only_in_part(request):
        pytest.skip("only some of the SDK's tests were chosen")
    if request.session.testsfailed:
        pytest.skip("a test has failed, and may not have come to all its calls")
    requests = [name for name in vars(model) if name.endswith("Request") and not name.startswith("Eps")]

    members = {member for name in requests for member in sent_members(name)}

    assert len(OPERATIONS) == 33
    assert sorted(OPERATIONS - record.methods) == []
    assert len(requests) == 33
    assert sorted(members - record.members) == []
