"""Read what clients send: bodies within bounds, JSON without surprises, query parameters.

Whatever cannot be read raises a `UserError`, never anything else, and a body above the bound is not read to its end.
"""

import re
from collections.abc import Iterator, Mapping
from typing import TypeVar, cast

from fastapi import Request
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json
from starlette.requests import ClientDisconnect

from landbridge.control.queries import Page
from landbridge.domain.errors import (
    BodyTooLarge,
    InvalidLimit,
    InvalidOffset,
    InvalidParameter,
    InvalidSortDirection,
    InvalidSortKey,
    MalformedRequest,
    UserError,
)

BODY_LIMIT_BYTES = 1024 * 1024
BODY_LIMIT_VALUES = 20_000
"""Numbers, texts, lists and so on; an endpoint policy has half as many at most."""
LIST_LIMIT = 2_000
"""Entries of one list. The longest that is taken has 500."""
PAGE_LIMIT = 1000

_NUMBER = re.compile(r"[0-9]{1,9}")
_SORT_KEYS = {
    "create_at": "created_at",
    "created_at": "created_at",
    "update_at": "updated_at",
    "updated_at": "updated_at",
}

M = TypeVar("M", bound=BaseModel)


async def read_body(request: Request) -> bytes:
    """Return the raw body; a second call returns the same.

    Raises:
        BodyTooLarge: more than 1 MiB; the rest is not read.
    """
    kept = cast("bytes | None", getattr(request.state, "body", None))
    if kept is not None:
        return kept
    announced = request.headers.get("content-length", "")
    if announced and not (announced.isascii() and announced.isdigit()):
        raise BodyTooLarge("the body is larger than 1 MiB")
    if announced and int(announced) > BODY_LIMIT_BYTES:
        raise BodyTooLarge("the body is larger than 1 MiB")
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > BODY_LIMIT_BYTES:
                raise BodyTooLarge("the body is larger than 1 MiB")
    except ClientDisconnect:
        raise MalformedRequest("the client hung up before its request was complete") from None
    request.state.body = bytes(body)
    return request.state.body


async def read_object(request: Request) -> dict[str, object]:
    """Return the body as a JSON object.

    Raises:
        MalformedRequest: empty, not UTF-8, not JSON, too deep, of too many parts, not an object, or with a NUL
            character.
    """
    body = await read_body(request)
    if not body.strip():
        raise MalformedRequest("the body is empty: send a JSON object")
    try:
        value = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise MalformedRequest(f"the body is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise MalformedRequest("the body must be a JSON object")
    document = cast("dict[str, object]", value)
    if any("\0" in text for text in _texts(document)):
        raise MalformedRequest("the body must not contain NUL characters")
    return document


def _texts(value: object) -> Iterator[str]:
    waiting = [value]
    count = 0
    while waiting:
        item = waiting.pop()
        count += 1
        # What is wrong with each of them is written down before the first fault can be told: half a million faults,
        # which fit into a body, take seconds and 400 MB, and whoever signs in need not say who they are.
        if count + len(waiting) > BODY_LIMIT_VALUES:
            raise MalformedRequest(f"the body has more than {BODY_LIMIT_VALUES} values: send several requests")
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            members = cast("dict[str, object]", item)
            yield from members.keys()
            waiting.extend(members.values())
        elif isinstance(item, list):
            entries = cast("list[object]", item)
            if len(entries) > LIST_LIMIT:
                raise MalformedRequest(f"the body has a list of more than {LIST_LIMIT} entries: send several requests")
            waiting.extend(entries)


def parse(model: type[M], document: Mapping[str, object], errors: Mapping[str, type[UserError]]) -> M:
    """Return the document as a model.

    `errors` names the error of each field whose check has a code of its own; the innermost field decides.

    Raises:
        UserError: the first thing that is wrong, with the path of the field.
    """
    try:
        return model.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        path = ".".join(str(part) for part in first["loc"])
        names = [str(part) for part in first["loc"] if isinstance(part, str)]
        for end in range(len(names), 0, -1):
            kind = errors.get(".".join(names[:end]))
            if kind is not None:
                raise kind(f"{path}: {first['msg']}") from None
        raise InvalidParameter(f"{path}: {first['msg']}") from None


class Query:
    """The query parameters of one request; unknown ones are ignored.

    Raises:
        InvalidParameter: a parameter is given twice. A signature does not say in which order (contract 8.2).
    """

    def __init__(self, request: Request) -> None:
        self._values: dict[str, str] = {}
        for name, value in request.query_params.multi_items():
            if name in self._values:
                raise InvalidParameter(f"the parameter {name[:64]!r} is given twice: give it once")
            self._values[name] = value

    def text(self, name: str, longest: int = 128) -> str | None:
        """Return a parameter, None if absent or empty.

        Raises:
            InvalidParameter: over-long, or with a NUL character.
        """
        value = self._values.get(name) or None
        if value is not None and (len(value) > longest or "\0" in value):
            raise InvalidParameter(f"{name} must be at most {longest} characters, without NUL")
        return value

    def page(self, longest: int = PAGE_LIMIT) -> Page:
        """Return limit, offset and order (contract 1.5)."""
        limit = self._number("limit", 10, InvalidLimit)
        if limit > longest:
            raise InvalidLimit(f"limit must be a number from 0 to {longest}")
        offset = self._number("offset", 0, InvalidOffset)
        sort_key = self._values.get("sort_key", "created_at")
        if sort_key not in _SORT_KEYS:
            raise InvalidSortKey("sort_key must be create_at or update_at")
        direction = self._values.get("sort_dir", "desc")
        if direction not in {"asc", "desc"}:
            raise InvalidSortDirection("sort_dir must be asc or desc")
        return Page(limit, offset, _SORT_KEYS[sort_key], direction == "desc")

    def _number(self, name: str, default: int, error: type[UserError]) -> int:
        text = self._values.get(name, str(default))
        if _NUMBER.fullmatch(text) is None:
            raise error(f"{name} must be a number, 0 or more")
        return int(text)
