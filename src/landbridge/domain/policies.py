"""Check endpoint policies: JSON that says what an endpoint may be used for (contract 3.24).

A gateway endpoint may have a list of statements, any endpoint an object. A policy is kept and shown as it was sent.
What is in it is for others to read: nothing here enforces it.
"""

import json
from collections.abc import Mapping
from typing import cast

from landbridge.domain.errors import InvalidPolicy

POLICY_LIMIT_BYTES = 20 * 1024
"""Of the policy's JSON text in UTF-8, without the spaces between its parts."""
STATEMENT_LIMIT = 10
POLICY_DEPTH_LIMIT = 16
"""How many objects and lists may stand inside one another, the policy itself included."""


def check_policy_document(document: object) -> str:
    """Return a policy as compact JSON text, its members in the order given.

    Raises:
        InvalidPolicy: no JSON object, an empty one, too deep or too large.
    """
    if not isinstance(document, Mapping) or not document:
        raise InvalidPolicy("policy_document must be a JSON object with at least one member")
    if _depth(cast("object", document)) > POLICY_DEPTH_LIMIT:
        raise InvalidPolicy(f"policy_document is nested deeper than {POLICY_DEPTH_LIMIT} levels: write it flatter")
    try:
        text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError:
        # Python refuses to write numbers of thousands of digits, which JSON allows.
        raise InvalidPolicy("policy_document has a number that is too long: write it as a text") from None
    size = len(text.encode())
    if size > POLICY_LIMIT_BYTES:
        raise InvalidPolicy(f"policy_document has {size} bytes: at most {POLICY_LIMIT_BYTES} are allowed")
    return text


def check_policy_statement(statements: object) -> str:
    """Return a list of statements as compact JSON text, members in the order given (contract 4.5).

    Raises:
        InvalidPolicy: no list of 1 to 10 statements, one without Effect, Action or Resource, too deep or too large.
    """
    listed = cast("list[object]", statements) if isinstance(statements, list) else []
    if not 1 <= len(listed) <= STATEMENT_LIMIT:
        raise InvalidPolicy(f"policy_statement must be a list of 1 to {STATEMENT_LIMIT} statements")
    for statement in listed:
        members = dict(cast("Mapping[str, object]", statement)) if isinstance(statement, Mapping) else {}
        if members.get("Effect") not in ("Allow", "Deny"):
            raise InvalidPolicy("each policy statement must be an object with Effect Allow or Deny")
        for name in ("Action", "Resource"):
            if not _is_list_of_texts(members.get(name)):
                raise InvalidPolicy(f"{name} of a policy statement must be a list of texts, at least one")
    # The same bounds as for an object; the object around it adds nothing that anybody sees.
    return check_policy_document({"": listed}).removeprefix('{"":').removesuffix("}")


def _is_list_of_texts(value: object) -> bool:
    texts = cast("list[object]", value) if isinstance(value, list) else []
    return bool(texts) and all(isinstance(text, str) and text for text in texts)


def _depth(document: object) -> int:
    deepest = 0
    waiting = [(document, 1)]
    while waiting:
        value, depth = waiting.pop()
        if isinstance(value, Mapping):
            inner = list(cast("Mapping[str, object]", value).values())
        elif isinstance(value, list):
            inner = cast("list[object]", value)
        else:
            continue
        deepest = max(deepest, depth)
        waiting.extend((item, depth + 1) for item in inner)
    return deepest
