"""Decide who may connect to an endpoint service, and whether the provider must accept first."""

import re
from collections.abc import Iterable

from landbridge.domain.errors import InvalidPermission
from landbridge.domain.ids import DomainId
from landbridge.domain.resources import Admission, EndpointService, PermissionType

PERMISSION_LIMIT = 500
"""Entries per service (contract 14, decision 5)."""

EVERYBODY = "*"
_DOMAIN = re.compile(r"iam:domain::(?P<domain>[A-Za-z0-9]{1,64}|\*)")
_ORGANISATION = re.compile(r"organizations:orgPath::[A-Za-z0-9/\-*?]{1,1024}")


def permission_type(entry: str) -> PermissionType:
    """Return what a permission entry names (contract 3.14).

    Raises:
        InvalidPermission: the text is no permission entry.
    """
    if entry == EVERYBODY or _DOMAIN.fullmatch(entry):
        return PermissionType.DOMAIN_ID
    if _ORGANISATION.fullmatch(entry):
        return PermissionType.ORG_PATH
    raise InvalidPermission(
        "a permission is *, iam:domain::<domain id or *> or organizations:orgPath::<path>, nothing else"
    )


def may_connect(service: EndpointService, entries: Iterable[str], domain_id: DomainId) -> bool:
    """Say whether a domain may create endpoints of a service.

    A public service is for everybody. The owner's own domain needs no entry (contract 14, decision 4). Built-in
    identity knows no organisations, so an organisation path matches nobody.
    """
    if service.public_owner is not None or domain_id == service.domain_id:
        return True
    wanted = {EVERYBODY, "iam:domain::*", f"iam:domain::{domain_id}"}
    return any(entry in wanted for entry in entries)


def initial_admission(service: EndpointService) -> Admission:
    """Return how a new endpoint begins; the owner's own endpoints wait like anybody's."""
    return Admission.PENDING if service.approval_enabled else Admission.ACCEPTED
