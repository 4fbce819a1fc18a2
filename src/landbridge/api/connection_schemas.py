"""Give the shapes of the bodies of connections and permissions (contract 3.11 to 3.17) and turn them into values.

As in `schemas`, types are strict, null means absent and unknown fields are ignored.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import StrictStr

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
    """Contract 3.11."""

    action: StrictStr
    endpoints: list[StrictStr]


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

    id: StrictStr
    description: StrictStr


class ConnectionDescriptionsBody(Body):
    """Contract 3.12."""

    connections: list[ConnectionDescription]


def connection_descriptions(document: Mapping[str, object]) -> Sequence[tuple[EndpointId, str]]:
    """Return each connection with its new description, in the order of the request."""
    body = parse(ConnectionDescriptionsBody, document, {})
    return [(EndpointId(item.id), item.description) for item in body.connections]


class PermissionActionBody(Body):
    """Contract 3.14."""

    action: StrictStr
    permissions: list[StrictStr]
    permission_type: StrictStr | None = None


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

    permission: StrictStr
    description: StrictStr | None = None


class PermissionsToCreateBody(Body):
    """Contract 3.15."""

    permissions: list[PermissionToCreate]
    permission_type: StrictStr | None = None


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

    id: StrictStr


class PermissionsToDeleteBody(Body):
    """Contract 3.16."""

    permissions: list[PermissionToDelete]


def permissions_to_delete(document: Mapping[str, object]) -> Sequence[PermissionId]:
    """Return the ids of the entries that are to go."""
    errors: Mapping[str, type[UserError]] = {
        "permissions.id": InvalidParameter,
        "permissions": EmptyPermissionList,
    }
    return [PermissionId(item.id) for item in parse(PermissionsToDeleteBody, document, errors).permissions]


class PermissionText(Body):
    """What an entry is for."""

    description: StrictStr


class PermissionDescriptionBody(Body):
    """Contract 3.17."""

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
