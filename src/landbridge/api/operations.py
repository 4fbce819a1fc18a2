"""Declare a route: its path, its action of the policy, and what its page in the OpenAPI document says.

Bodies and queries are read by `requests` and `schemas`, which know the contract's codes; what is declared here is for
the document and for the policy. A route without an action cannot be declared.
"""

import functools
import inspect
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field
from pydantic_core import to_json

from landbridge.api.answer_fields import Answer, Code
from landbridge.api.policy import POLICY, PUBLIC, SIGNED_IN
from landbridge.domain.errors import OperatorError

ACTION = "x-landbridge-action"
BODY_SCHEMAS = "x-landbridge-body-schemas"
"""Where the schemas of a body wait until the document is put together."""

H = TypeVar("H", bound=Callable[..., Awaitable[Any]])


@dataclass(frozen=True, slots=True)
class Parameter:
    """A query parameter, as the document shows it."""

    name: str
    description: str
    schema: dict[str, Any] = field(default_factory=lambda: {"type": "string"})
    required: bool = False


class ErrorDetail(Answer):
    """Code and sentence of an error."""

    code: Code
    message: str = Field(min_length=1)


class ErrorAnswer(Answer):
    """An error, in the union of both documented shapes (contract 1.7)."""

    error: ErrorDetail
    error_code: Code
    error_msg: str = Field(min_length=1)


def operation(
    router: APIRouter,
    method: str,
    path: str,
    *,
    action: str,
    answer: type[BaseModel] | None = None,
    body: type[BaseModel] | None = None,
    query: Sequence[Parameter] = (),
    status: int = 200,
    error: type[BaseModel] = ErrorAnswer,
    is_sign_in: bool = False,
    may_miss: bool = False,
    is_documented: bool = True,
) -> Callable[[H], H]:
    """Return a decorator that makes a function the handler of a route.

    `action` is a key of `policy.POLICY`, `SIGNED_IN` or `PUBLIC`; `is_sign_in` says of a public route that it may yet
    refuse whoever cannot prove who they are. `answer` describes the body of a success, `body` that of the
    request; the function's docstring is what the document says. `may_miss` says that something other than what the
    path names may not be there (404).
    """
    if action not in {PUBLIC, SIGNED_IN} and action not in POLICY:
        raise OperatorError(f"{method} {path} names the action {action!r}, which the policy does not know")
    extra: dict[str, Any] = {ACTION: action}
    statuses = _error_statuses(
        method,
        router.prefix + path,
        is_public=action == PUBLIC,
        is_sign_in=is_sign_in,
        takes_something=bool(body or query),
        may_miss=may_miss,
    )
    if query:
        extra["parameters"] = [
            {
                "name": parameter.name,
                "in": "query",
                "required": parameter.required,
                "description": parameter.description,
                "schema": parameter.schema,
            }
            for parameter in query
        ]
    if body is not None:
        schema = body.model_json_schema(ref_template="#/components/schemas/{model}")
        extra[BODY_SCHEMAS] = {**schema.pop("$defs", {}), body.__name__: schema}
        reference = {"$ref": f"#/components/schemas/{body.__name__}"}
        extra["requestBody"] = {"required": True, "content": {"application/json": {"schema": reference}}}

    def declare(handler: H) -> H:
        router.add_api_route(
            path,
            _answering(handler, status),
            methods=[method],
            status_code=status,
            response_model=None,
            summary=_summary(handler),
            responses=_responses(status, answer, error, statuses),
            openapi_extra=extra,
            operation_id=handler.__name__,
            include_in_schema=is_documented,
        )
        return handler

    return declare


def _answering(handler: Callable[..., Awaitable[Any]], status: int) -> Callable[..., Awaitable[Response]]:
    """Return a handler whose bodies are written as they are.

    They are plain JSON already. FastAPI would look at each value of each row once more to find that out.
    """

    @functools.wraps(handler)
    async def answered(*arguments: Any, **named: Any) -> Response:
        body = await handler(*arguments, **named)
        return body if isinstance(body, Response) else Response(to_json(body), status, media_type="application/json")

    return answered


def action_of(request: Request) -> str:
    """Return the action of the route that serves a request.

    Raises:
        OperatorError: the route was not declared as an operation; nobody may use it.
    """
    extra: dict[str, Any] = getattr(request.scope.get("route"), "openapi_extra", None) or {}
    action = extra.get(ACTION)
    if not isinstance(action, str):
        raise OperatorError(f"the route of {request.method} {request.url.path} names no action")
    return action


_ERRORS = {
    400: "The request is wrong in itself, the state of the world forbids it, or there were too many requests.",
    401: "Nobody knows who is asking.",
    403: "The caller is known and not allowed to do this.",
    404: "There is no such thing for this caller.",
    409: "What is there already, or who uses it, forbids it.",
    500: "Something is wrong on our side: quote the request id.",
    503: "Whoever knows the users, or wires the networks, cannot do it now.",
}
_NAMED_THING = re.compile(r"\{(version|(?!project_id)\w+_id)\}")
_OF_VPC_API = re.compile(r"/v1/\{project_id\}/(vpcs|subnets|ports|routetables)\b")


def is_of_vpc_api(path: str) -> bool:
    """Say whether a path, as a route declares it, belongs to the VPC API."""
    return _OF_VPC_API.match(path) is not None


def _error_statuses(
    method: str, path: str, *, is_public: bool, is_sign_in: bool, takes_something: bool, may_miss: bool
) -> set[int]:
    """Return the statuses with which a route may refuse: an answer with another one is a fault of ours."""
    statuses = {500}
    is_of_identity = path.startswith("/v3")
    if takes_something or not is_public:
        statuses.add(400)
    if is_sign_in or not is_public:
        statuses.add(401)
    if not is_public:
        statuses.add(403)
    # Where identity is somebody else's, none of ours is there.
    if may_miss or is_of_identity or _NAMED_THING.search(path):
        statuses.add(404)
    if not is_public and not is_of_identity:
        statuses.add(503)
    if is_of_vpc_api(path) and method != "GET":
        statuses.add(409)
    return statuses


def _summary(handler: Callable[..., object]) -> str:
    """Return the first sentence of a handler's docstring."""
    first_line = (inspect.getdoc(handler) or "").partition("\n")[0]
    if not first_line:
        raise OperatorError(f"the handler {handler.__name__} has no docstring: the API's description needs one")
    return first_line.removesuffix(".")


def _responses(
    status: int, answer: type[BaseModel] | None, error: type[BaseModel], error_statuses: set[int]
) -> dict[int | str, dict[str, Any]]:
    responses: dict[int | str, dict[str, Any]] = {
        code: {"model": error, "description": text} for code, text in _ERRORS.items() if code in error_statuses
    }
    responses[status] = {"description": "Done."} if answer is None else {"model": answer, "description": "Done."}
    return responses
