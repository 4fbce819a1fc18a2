"""Hold answers against the OpenAPI document: status, content type, headers and body of each.

The document is made from the routes; the answers are written elsewhere. Whatever the tests of the API ask, this finds
where the two say different things.
"""

import functools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import httpx
from jsonschema import Draft202012Validator, FormatChecker

from landbridge.api.app import routed_app
from landbridge.api.openapi import describe

UNDESCRIBED = re.compile(r"/healthz|/readyz|/openapi\.json|/docs(/[^/]*)?")


@dataclass(frozen=True)
class Described:
    """A path of the document, with its operations by method."""

    pattern: re.Pattern[str]
    operations: dict[str, Any]


class Description:
    """The OpenAPI document, as answers are held against it."""

    def __init__(self, document: Any) -> None:
        self._document = document
        # In the order of the routes: as in the server, the first one that fits counts.
        self._paths = [
            Described(re.compile(re.sub(r"\{\w+\}", "[^/]+", path)), operations)
            for path, operations in document["paths"].items()
        ]

    def complaints(self, method: str, path: str, answer: httpx.Response) -> Iterator[str]:
        """Say what is wrong with an answer whose body has been read."""
        if UNDESCRIBED.fullmatch(path):
            return
        response = self._response(method, path, answer.status_code)
        if response is None:
            yield f"status {answer.status_code} is not described"
            return
        for name, header in response["headers"].items():
            described = self._resolve(header)
            if name not in answer.headers:
                if described.get("required"):
                    yield f"the header {name} is missing"
            elif not _fits(answer.headers[name], described["schema"]):
                yield f"the header {name} is {answer.headers[name]!r}"
        if method != "HEAD":
            yield from self._complaints_about_body(response, answer)

    def _complaints_about_body(self, response: Any, answer: httpx.Response) -> Iterator[str]:
        if "content" not in response:
            if answer.content:
                yield "it has a body"
            return
        if answer.headers.get("content-type") != "application/json":
            yield f"its type is {answer.headers.get('content-type')}"
            return
        schema = response["content"]["application/json"]["schema"]
        for error in self._validator(json.dumps(schema)).iter_errors(answer.json()):
            yield f"{error.json_path}: {error.message}"

    def _response(self, method: str, path: str, status: int) -> Any:
        """Return what is described for an answer; for a path or method that nobody has, the shape of a refusal."""
        fitting = [described.operations for described in self._paths if described.pattern.fullmatch(path)]
        wanted = "get" if method == "HEAD" else method.lower()
        for operations in fitting:
            if wanted in operations:
                return self._resolve(operations[wanted]["responses"].get(str(status)))
        if status != (405 if fitting else 404):
            return None
        api = "Identity" if re.match("/v3(/|$)", path) else "Network" if _OF_VPC_API.match(path) else ""
        return self._resolve({"$ref": f"#/components/responses/{api}NotFound"})

    def _resolve(self, value: Any) -> Any:
        while isinstance(value, dict) and "$ref" in value:
            found = self._document
            for part in value["$ref"].removeprefix("#/").split("/"):
                found = found[part]
            value = found
        return value

    @functools.cache  # noqa: B019 — there is one description, for all tests
    def _validator(self, schema: str) -> Draft202012Validator:
        whole = json.loads(schema) | {"components": self._document["components"]}
        return Draft202012Validator(whole, format_checker=FormatChecker(["ipv4"]))


_OF_VPC_API = re.compile(r"/v1/[^/]+/(vpcs|subnets|ports|routetables)(/|$)")


def _fits(text: str, schema: Any) -> bool:
    value = int(text) if schema["type"] == "integer" and text.isdigit() else text
    return Draft202012Validator(schema).is_valid(value)


@functools.cache
def description() -> Description:
    """Return the description of the API; made once, as it takes its time."""
    return Description(describe(routed_app()))


class DescribedTransport(httpx.AsyncBaseTransport):
    """Lets an answer through if it is as the document says."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request."""
        answer = await self._transport.handle_async_request(request)
        await answer.aread()
        path = unquote(request.url.raw_path.partition(b"?")[0].decode("latin-1"))
        complaints = list(description().complaints(request.method, path, answer))
        assert not complaints, (request.method, path, answer.status_code, answer.text[:2000], complaints)
        return answer
