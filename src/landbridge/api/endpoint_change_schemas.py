"""Give the shapes of the bodies that change an endpoint (contract 3.22, 3.24, 3.26), and turn them into values.

As in `schemas`, types are strict, null means absent and unknown fields are ignored.
"""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictStr

from landbridge.api.body_fields import IdText, shown
from landbridge.api.requests import parse
from landbridge.api.schemas import route_table_ids
from landbridge.domain.errors import InvalidRouteTableId, InvalidWhitelist, UserError
from landbridge.domain.ids import RouteTableId
from landbridge.domain.policies import STATEMENT_LIMIT


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
    """The policy of an endpoint (contract 3.24): one of the two; `policy_statement` is for gateway endpoints."""

    policy_document: Annotated[object, Field(json_schema_extra={"type": "object", "minProperties": 1})] = None
    policy_statement: Annotated[
        object, Field(json_schema_extra={"type": "array", "minItems": 1, "maxItems": STATEMENT_LIMIT})
    ] = None


class RouteTablesBody(_Body):
    """The route tables of a gateway endpoint (contract 3.26)."""

    routetables: Annotated[list[IdText], shown(minItems=1)]


def wanted_route_tables(document: Mapping[str, object]) -> list[RouteTableId]:
    """Return the ids of the route tables that a gateway endpoint is to have.

    Raises:
        InvalidRouteTableId: absent, no list, or one is no UUID.
    """
    body = parse(RouteTablesBody, document, {"routetables": InvalidRouteTableId})
    return route_table_ids(body.routetables)
