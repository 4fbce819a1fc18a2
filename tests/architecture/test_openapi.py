"""The committed description of the API is the one that its routes make, and it is whole."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from landbridge.api.app import routed_app
from landbridge.api.openapi import describe, operations_of

COMMITTED = Path(__file__).parents[2] / "docs" / "reference" / "openapi.json"
UNDOCUMENTED = {"/healthz", "/readyz", "/openapi.json", "/docs", "/docs/{file}"}


@pytest.fixture(scope="module")
def document() -> Any:
    return describe(routed_app())


def operations(document: Any) -> Iterator[tuple[str, Any]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every JSON object in a value."""
    if isinstance(value, dict):
        yield value
        for item in value.values():
            yield from objects(item)
    elif isinstance(value, list):
        for item in value:
            yield from objects(item)


def test_the_committed_document_is_the_one_that_the_routes_make(document: Any):
    committed = json.loads(COMMITTED.read_text())

    assert committed == document, "docs/reference/openapi.json is not up to date: run `make openapi` and commit it"


def test_every_route_is_described_but_those_that_are_no_clients_business(document: Any):
    described = {operation for operation, _ in operations(document)}

    undescribed = {path for method, path, _ in operations_of(routed_app()) if f"{method} {path}" not in described}

    assert undescribed == UNDOCUMENTED


def test_every_reference_leads_somewhere_and_nothing_is_left_over(document: Any):
    references = {value["$ref"] for value in objects(document) if isinstance(value.get("$ref"), str)}
    there = {f"#/components/{kind}/{name}" for kind, named in document["components"].items() for name in named}
    schemes = {f"#/components/securitySchemes/{name}" for name in document["components"]["securitySchemes"]}

    assert references == there - schemes


def test_every_schema_is_valid(document: Any):
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_every_operation_has_a_name_of_its_own_and_says_what_it_does(document: Any):
    names = [operation["operationId"] for _, operation in operations(document)]

    assert len(names) == len(set(names))
    assert [name for name, operation in operations(document) if not operation["summary"]] == []


def test_every_success_with_a_body_has_a_schema(document: Any):
    without = [
        f"{name} {status}"
        for name, operation in operations(document)
        for status, response in operation["responses"].items()
        if "$ref" not in response
        and status != "204"
        and "$ref" not in response.get("content", {}).get("application/json", {}).get("schema", {})
    ]

    assert without == []


def test_every_operation_that_takes_a_body_describes_it(document: Any):
    without = [
        name
        for name, operation in operations(document)
        if name.startswith(("POST", "PUT")) and "requestBody" not in operation
    ]

    assert without == []


def test_every_path_parameter_says_what_it_may_be(document: Any):
    for name, operation in operations(document):
        parameters = [parameter for parameter in operation.get("parameters", []) if parameter["in"] == "path"]
        assert {parameter["name"] for parameter in parameters} == set(re.findall(r"\{(\w+)\}", name)), name
        for parameter in parameters:
            assert parameter["description"], name
            assert parameter["schema"].keys() & {"pattern", "enum"}, name


def test_the_document_shows_no_internals(document: Any):
    extensions = {name for value in objects(document["paths"]) for name in value if name.startswith("x-")}

    assert extensions == {"x-landbridge-action", "x-landbridge-roles"}
