"""Read and write how the connections of a service end, an extension of the contract.

The models describe for the OpenAPI document; a test holds answers against them.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, StrictInt, StrictStr

from landbridge.api.answer_fields import Absent, Answer, Id, Moment
from landbridge.api.body_fields import one_of, shown
from landbridge.api.presentation import Json, moment
from landbridge.api.requests import parse
from landbridge.api.schemas import Body
from landbridge.control.cut_offs import CutOffView, EndingConnections
from landbridge.domain.cutting import LONGEST_DRAIN_SECONDS, CutMode, CutOff, Occasion, check_cut_off
from landbridge.domain.errors import InvalidCutOff, UserError

Deadline = Annotated[int, Field(ge=1, le=LONGEST_DRAIN_SECONDS)]


class CutOffBody(Body):
    """What happens to open connections on one occasion."""

    mode: Annotated[StrictStr, one_of(CutMode)]
    deadline_seconds: Annotated[StrictInt, shown(minimum=1, maximum=LONGEST_DRAIN_SECONDS)] | None = None


class CutOffsBody(Body):
    """What is to change; an occasion that is absent stays as it is."""

    on_reject: CutOffBody | None = None
    on_delete: CutOffBody | None = None
    on_permission_removal: CutOffBody | None = None
    on_whitelist_edit: CutOffBody | None = None


_ERRORS: Mapping[str, type[UserError]] = {occasion.value: InvalidCutOff for occasion in Occasion}


def cut_off_choices(document: Mapping[str, object]) -> Mapping[Occasion, CutOff]:
    """Return what a provider chooses, by occasion.

    Raises:
        InvalidCutOff: a choice is not offered, or its deadline does not fit it.
    """
    body = parse(CutOffsBody, document, _ERRORS)
    named: dict[Occasion, CutOffBody | None] = {
        Occasion.REJECT: body.on_reject,
        Occasion.DELETE: body.on_delete,
        Occasion.PERMISSION_REMOVAL: body.on_permission_removal,
        Occasion.WHITELIST_EDIT: body.on_whitelist_edit,
    }
    return {
        occasion: check_cut_off(occasion, choice.mode, choice.deadline_seconds)
        for occasion, choice in named.items()
        if choice is not None
    }


class CutOffAnswer(Answer):
    """What happens to open connections on one occasion; the deadline goes with `drain`."""

    mode: CutMode
    deadline_seconds: Deadline | Absent = None


class EndingAnswer(Answer):
    """Connections that go on although nothing new may be opened.

    Without `until_at` they end by themselves.
    """

    endpoint_id: Id
    marker_id: Annotated[int, Field(gt=2**24)]
    connections: Literal["all", "removed-clients"]
    since_at: Moment
    until_at: Moment | Absent = None


class CutOffsAnswer(Answer):
    """How connections of a service end, and which are ending."""

    service_id: Id
    on_reject: CutOffAnswer
    on_delete: CutOffAnswer
    on_permission_removal: CutOffAnswer
    on_whitelist_edit: CutOffAnswer
    ending: list[EndingAnswer]
    ending_endpoint_count: Annotated[int, Field(ge=0)]


def cut_offs_body(view: CutOffView) -> Json:
    """Return what is chosen for a service, and what is ending."""
    chosen = {occasion.value: _choice_body(getattr(view.chosen, occasion.value)) for occasion in Occasion}
    return {
        "service_id": view.service_id,
        **chosen,
        "ending": [_ending_body(one) for one in view.connections],
        "ending_endpoint_count": view.endpoint_count,
    }


def _choice_body(choice: CutOff) -> Json:
    deadline = {} if choice.deadline_seconds is None else {"deadline_seconds": choice.deadline_seconds}
    return {"mode": choice.mode.value, **deadline}


def _ending_body(one: EndingConnections) -> Json:
    until = {} if one.until_at is None else {"until_at": moment(one.until_at)}
    return {
        "endpoint_id": one.endpoint_id,
        "marker_id": one.marker,
        "connections": one.ending.value,
        "since_at": moment(one.since_at),
        **until,
    }
