"""Who may connect to which service."""

import pytest

from landbridge.domain.admission import may_connect, permission_type
from landbridge.domain.errors import InvalidPermission
from landbridge.domain.ids import DomainId
from landbridge.domain.resources import PermissionType
from tests.examples import a_service

GLOBEX = DomainId("globex")


@pytest.mark.parametrize(
    ("entries", "allowed"),
    [
        ((), False),
        (("*",), True),
        (("iam:domain::*",), True),
        (("iam:domain::globex",), True),
        (("iam:domain::GLOBEX", "iam:domain::glob*", "iam:domain::globe"), False),
        (("organizations:orgPath::*",), False),
    ],
)
def test_a_stranger_needs_an_entry_that_names_it_or_everybody(entries: tuple[str, ...], allowed: bool):
    assert may_connect(a_service(), entries, GLOBEX) is allowed


def test_the_owners_domain_needs_no_entry():
    assert may_connect(a_service(), (), a_service().domain_id)


def test_a_public_service_needs_no_entry():
    assert may_connect(a_service(public_owner="lab"), (), GLOBEX)


@pytest.mark.parametrize(
    ("entry", "names"),
    [
        ("*", PermissionType.DOMAIN_ID),
        ("iam:domain::*", PermissionType.DOMAIN_ID),
        ("iam:domain::" + "a" * 64, PermissionType.DOMAIN_ID),
        ("organizations:orgPath::o-1/r-1/ou-*/?", PermissionType.ORG_PATH),
        ("organizations:orgPath::" + "a" * 1024, PermissionType.ORG_PATH),
    ],
)
def test_an_entry_says_what_it_names(entry: str, names: PermissionType):
    assert permission_type(entry) is names


@pytest.mark.parametrize(
    "entry",
    [
        "",
        "**",
        "iam:domain::",
        "iam:domain::a*",
        "iam:domain::" + "a" * 65,
        "iam:domain::a\n",
        "IAM:domain::a",
        "organizations:orgPath::",
        "organizations:orgPath::a b",
        "organizations:orgPath::" + "a" * 1025,
    ],
)
def test_anything_else_is_no_entry(entry: str):
    with pytest.raises(InvalidPermission):
        permission_type(entry)
