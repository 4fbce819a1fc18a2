"""Give the shapes of the bodies of connections and permissions (contract 3.11 to 3.17) and turn them into values.

As in `schemas`, types are strict, null means absent and unknown fields are ignored.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import StrictStr

from landbridge.api.body_fields import Description, IdText, PermissionEntry, PermissionTypeText, shown
from landbridge.api.requests import parse
from landbridge.api.schemas import Body
from landbridge.domain.errors import (
    EmptyEndpointList,
    EmptyPermissionList,
    InvalidConnectionAction,
    InvalidParameter,
    InvalidPermission,
    InvalidPermissionAction,
    TooManyEndpoints,
    UserError,
)
from landbridge.domain.ids import EndpointId, PermissionId
from landbridge.domain.resources import PermissionType


class ConnectionActionBody(Body):
    """What is to happen with which endpoint (contract 3.11)."""

    action: Annotated[StrictStr, shown(enum=["receive", "reject"])]
    endpoints: Annotated[list[IdText], shown(minItems=1, maxItems=1)]


def connection_action(document: Mapping[str, object]) -> tuple[str, EndpointId]:
    """Return `receive` or `reject`, and the one endpoint that is meant."""
    errors: Mapping[str, type[UserError]] = {"action": InvalidConnectionAction, "endpoints": EmptyEndpointList}
    body = parse(ConnectionActionBody, document, errors)
    if body.action not in {"receive", "reject"}:
        raise InvalidConnectionAction("action must be receive or reject")
    if not body.endpoints:
        raise EmptyEndpointList("endpoints must name one endpoint id")
    if len(body.endpoints) > 1:
        raise TooManyEndpoints(f"endpoints names {len(body.endpoints)} ids: send one request for each")
    return body.action, EndpointId(body.endpoints[0])


class ConnectionDescription(Body):
    """A connection, and the provider's text about it."""

    id: IdText
    description: Description


class ConnectionDescriptionsBody(Body):
    """Connections and their texts (contract 3.12)."""

    connections: Annotated[list[ConnectionDescription], shown(minItems=1)]


def connection_descriptions(document: Mapping[str, object]) -> Sequence[tuple[EndpointId, str]]:
    """Return each connection with its new description, in the order of the request."""
    body = parse(ConnectionDescriptionsBody, document, {})
    return [(EndpointId(item.id), item.description) for item in body.connections]


class PermissionActionBody(Body):
    """What is to happen with which entries (contract 3.14)."""

    action: Annotated[StrictStr, shown(enum=["add", "remove"])]
    permissions: Annotated[list[PermissionEntry], shown(minItems=1)]
    permission_type: PermissionTypeText | None = None


@dataclass(frozen=True, slots=True)
class PermissionAction:
    """What to do with which entries."""

    action: str
    """`add` or `remove`."""
    entries: list[str]
    wanted_type: PermissionType | None
    """What each entry must name; None: anything."""


def permission_action(document: Mapping[str, object]) -> PermissionAction:
    """Return what is to be done with which entries."""
    errors: Mapping[str, type[UserError]] = {
        "action": InvalidPermissionAction,
        "permissions": InvalidPermission if _has_no_text(document) else EmptyPermissionList,
        "permission_type": InvalidPermission,
    }
    body = parse(PermissionActionBody, document, errors)
    if body.action not in {"add", "remove"}:
        raise InvalidPermissionAction("action must be add or remove")
    return PermissionAction(body.action, body.permissions, _wanted_type(body.permission_type))


class PermissionToCreate(Body):
    """An entry, and what it is for."""

    permission: PermissionEntry
    description: Description | None = None


class PermissionsToCreateBody(Body):
    """Entries to create (contract 3.15)."""

    permissions: Annotated[list[PermissionToCreate], shown(minItems=1)]
    permission_type: PermissionTypeText | None = None


def permissions_to_create(
    document: Mapping[str, object],
) -> tuple[Sequence[tuple[str, str]], PermissionType | None]:
    """Return each entry with its description, and what each entry must name; None: anything."""
    errors: Mapping[str, type[UserError]] = {
        "permissions.permission": InvalidPermission,
        "permissions.description": InvalidParameter,
        "permissions": EmptyPermissionList,
        "permission_type": InvalidPermission,
    }
    body = parse(PermissionsToCreateBody, document, errors)
    entries = [(item.permission, item.description or "") for item in body.permissions]
    return entries, _wanted_type(body.permission_type)


class PermissionToDelete(Body):
    """The id of an entry."""

    id: IdText


class PermissionsToDeleteBody(Body):
    """Entries to delete (contract 3.16)."""

    permissions: Annotated[list[PermissionToDelete], shown(minItems=1)]


def permissions_to_delete(document: Mapping[str, object]) -> Sequence[PermissionId]:
    """Return the ids of the entries that are to go."""
    errors: Mapping[str, type[UserError]] = {
        "permissions.id": InvalidParameter,
        "permissions": EmptyPermissionList,
    }
    return [PermissionId(item.id) for item in parse(PermissionsToDeleteBody, document, errors).permissions]


class PermissionText(Body):
    """What an entry is for."""

    description: Description


class PermissionDescriptionBody(Body):
    """The new text of an entry (contract 3.17)."""

    permission: PermissionText


def permission_description(document: Mapping[str, object]) -> str:
    """Return the new description of an entry."""
    return parse(PermissionDescriptionBody, document, {}).permission.description


def _wanted_type(text: str | None) -> PermissionType | None:
    if not text:
        return None
    if text not in set(PermissionType):
        raise InvalidPermission("permission_type must be domainId or orgPath")
    return PermissionType(text)


def _has_no_text(document: Mapping[str, object]) -> bool:
    raw = document.get("permissions")
    return isinstance(raw, list) and not all(isinstance(entry, str) for entry in raw)  # pyright: ignore[reportUnknownVariableType]
