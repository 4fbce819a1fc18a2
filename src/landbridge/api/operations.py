"""Declare a route: its path, its action of the policy, and what its page in the OpenAPI document says.

Bodies and queries are read by `requests` and `schemas`, which know the contract's codes; what is declared here is for
the document and for the policy. A route without an action cannot be declared.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from fastapi import APIRouter, Request
from pydantic import BaseModel

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


class ErrorDetail(BaseModel):
    """Code and sentence of an error."""

    code: str
    message: str


class ErrorAnswer(BaseModel):
    """An error, in the union of both documented shapes (contract 1.7)."""

    error: ErrorDetail
    error_code: str
    error_msg: str


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
) -> Callable[[H], H]:
    """Return a decorator that makes a function the handler of a route.

    `action` is a key of `policy.POLICY`, `SIGNED_IN` or `PUBLIC`; `is_sign_in` says of a public route that it may yet
    refuse whoever cannot prove who they are. `answer` describes the body of a success, `body` that of the
    request; the function's docstring is what the document says.
    """
    if action not in {PUBLIC, SIGNED_IN} and action not in POLICY:
        raise OperatorError(f"{method} {path} names the action {action!r}, which the policy does not know")
    extra: dict[str, Any] = {ACTION: action}
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
            handler,
            methods=[method],
            status_code=status,
            response_model=None,
            responses=_responses(status, answer, error, is_public=action == PUBLIC and not is_sign_in),
            openapi_extra=extra,
            operation_id=handler.__name__,
        )
        return handler

    return declare


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
    400: "The request is wrong in itself, or the state of the world forbids it.",
    401: "Nobody knows who is asking.",
    403: "The caller is known and not allowed to do this.",
    404: "There is no such thing for this caller.",
    405: "The path has no such method.",
    409: "What is there already, or who uses it, forbids it.",
    500: "Something is wrong on our side: quote the request id.",
    503: "Whoever knows the users cannot be asked now.",
}


def _responses(
    status: int, answer: type[BaseModel] | None, error: type[BaseModel], *, is_public: bool
) -> dict[int | str, dict[str, Any]]:
    unused = {401, 403, 503} if is_public else set[int]()
    responses: dict[int | str, dict[str, Any]] = {
        code: {"model": error, "description": text} for code, text in _ERRORS.items() if code not in unused
    }
    responses[status] = {"description": "Done."} if answer is None else {"model": answer, "description": "Done."}
    return responses
