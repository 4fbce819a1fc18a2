"""Give the shape of the body of a trace, an extension of the contract, and turn it into values.

As in `schemas`, types are strict, null means absent and unknown fields are ignored.
"""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictStr

from landbridge.api.body_fields import PortNumber, shown
from landbridge.api.requests import parse
from landbridge.control.tracing import TraceWish
from landbridge.domain.errors import InvalidClientPort, InvalidParameter

_CLIENT_LIMIT = 64


class TraceBody(BaseModel):
    """A question: what happens to a connection from there to this port?"""

    model_config = ConfigDict(extra="ignore", frozen=True)

    client: Annotated[StrictStr, shown(minLength=1, maxLength=_CLIENT_LIMIT)] | None = Field(
        default=None,
        alias="from",
        description="An address, or the name or port id of a host. A provider leaves it out.",
        examples=["10.0.0.10"],
    )
    port: PortNumber | None = Field(default=None, description="The port of the endpoint; by default its lowest.")
    probe: StrictBool | None = Field(default=None, description="Connect to the backend now.")


def trace_wish(document: Mapping[str, object]) -> TraceWish:
    """Return what somebody wants to know.

    Raises:
        InvalidClientPort: the port is no number from 1 to 65535.
        InvalidParameter: another part has the wrong type, or from is too long.
    """
    body = parse(TraceBody, document, {"port": InvalidClientPort})
    if body.port is not None and not 1 <= body.port <= 65535:
        raise InvalidClientPort("port must be a number from 1 to 65535")
    if body.client is not None and len(body.client) > _CLIENT_LIMIT:
        raise InvalidParameter(f"from must have at most {_CLIENT_LIMIT} characters")
    return TraceWish(body.client or None, body.port, bool(body.probe))
