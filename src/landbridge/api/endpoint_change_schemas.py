"""Give the shapes of the bodies that change an endpoint (contract 3.22, 3.24, 3.26), and turn them into values.

As in `schemas`, types are strict, null means absent and unknown fields are ignored.
"""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictStr

from landbridge.api.body_fields import IdText
from landbridge.api.requests import parse
from landbridge.domain.errors import InvalidWhitelist, UserError


class _Body(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class AccessBody(_Body):
    """Who may use an endpoint (contract 3.22). A part that is absent stays as it is."""

    whitelist: list[StrictStr] | None = None
    enable_whitelist: StrictBool | None = None


def access_change(document: Mapping[str, object]) -> tuple[list[str] | None, bool | None]:
    """Return the new whitelist and the new switch; None: unchanged.

    Raises:
        InvalidWhitelist, InvalidParameter: a part has the wrong type.
    """
    errors: Mapping[str, type[UserError]] = {"whitelist": InvalidWhitelist}
    body = parse(AccessBody, document, errors)
    return body.whitelist, body.enable_whitelist


class PolicyBody(_Body):
    """The policy of an endpoint (contract 3.24). `policy_statement` is for gateway endpoints: there are none."""

    policy_document: Annotated[object, Field(json_schema_extra={"type": "object", "minProperties": 1})]


class RouteTablesBody(_Body):
    """The route tables of a gateway endpoint (contract 3.26)."""

    routetables: list[IdText]
