"""Check endpoint policies: JSON objects that say what an endpoint may be used for (contract 3.24).

A policy is kept and shown as it was sent. What is in it is for others to read: nothing here enforces it.
"""

import json
from collections.abc import Mapping
from typing import cast

from landbridge.domain.errors import InvalidPolicy

POLICY_LIMIT_BYTES = 20 * 1024
"""Of the policy's JSON text in UTF-8, without the spaces between its parts."""
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
