"""Rows about connections and permissions (contract 6.2)."""

from typing import Any

from tests.integration.code_table.row import PERMISSIONS, SERVICE, UNKNOWN, Row

LONG_LIST = 501
"""One more than any batch may have."""


def deciding(rule: str, slug: str, code: str, *, status: int = 400, given: str = "a service", **body: Any) -> Row:
    """Return the row of a part of operation 11."""
    base = {"action": "receive", "endpoints": ["{endpoint}"]}
    return Row(rule, slug, code, "POST", f"{SERVICE}/connections/action", base | body, status=status, given=given)


def describing(
    rule: str, slug: str, code: str, body: Any, *, status: int = 400, given: str = "a pending endpoint"
) -> Row:
    """Return the row of operation 12."""
    return Row(rule, slug, code, "PUT", f"{SERVICE}/connections/description", body, status=status, given=given)


CONNECTIONS = [
    deciding("an action is known", "invalid-connection-action", "EndPoint.2027", action="allow", endpoints=[UNKNOWN]),
    deciding("an action is needed", "invalid-connection-action", "EndPoint.2027", action=None, endpoints=[UNKNOWN]),
    deciding("an endpoint is needed", "empty-endpoint-list", "EndPoint.2002", endpoints=[]),
    deciding("one endpoint is decided at a time", "too-many-endpoints", "EndPoint.2031", endpoints=[UNKNOWN] * 2),
    deciding("the endpoint exists", "endpoint-not-found", "EndPoint.2006", status=404, endpoints=[UNKNOWN]),
    deciding(
        "the endpoint is one of this service",
        "other-services-endpoint",
        "EndPoint.2013",
        given="an endpoint of another service of the project",
    ),
    deciding(
        "an endpoint that is being deleted is not decided",
        "endpoint-deleting",
        "EndPoint.2018",
        given="a deleting endpoint",
    ),
    describing("descriptions name connections", "invalid-parameter", "EndPoint.0002", {}),
    describing(
        "a connection that is described exists",
        "endpoint-not-found",
        "EndPoint.2006",
        {"connections": [{"id": UNKNOWN, "description": ""}]},
        status=404,
    ),
    describing(
        "a connection that is described is one of this service",
        "other-services-endpoint",
        "EndPoint.2013",
        {"connections": [{"id": "{endpoint}", "description": ""}]},
        given="an endpoint of another service of the project",
    ),
    describing(
        "a connection's description has no <",
        "invalid-parameter",
        "EndPoint.0002",
        {"connections": [{"id": "{endpoint}", "description": "<"}]},
    ),
    describing(
        "500 connections are described at a time",
        "batch-too-long",
        "EndPoint.0016",
        {"connections": [{"id": UNKNOWN, "description": ""}] * LONG_LIST},
    ),
]


def permitting(rule: str, slug: str, code: str, *, given: str = "a service", **body: Any) -> Row:
    """Return the row of a part of operation 14."""
    base = {"action": "add", "permissions": ["*"]}
    return Row(rule, slug, code, "POST", f"{PERMISSIONS}/action", base | body, given=given)


def batch(rule: str, slug: str, code: str, which: str, entries: Any, *, status: int = 400) -> Row:
    """Return the row of operation 15 or 16."""
    path = f"{PERMISSIONS}/batch-{which}"
    return Row(rule, slug, code, "POST", path, {"permissions": entries}, given="a service", status=status)


PERMISSION_ROWS = [
    permitting("an action on permissions is known", "invalid-permission-action", "EndPoint.3035", action="grant"),
    permitting("an action on permissions is needed", "invalid-permission-action", "EndPoint.3035", action=None),
    permitting("permissions are needed", "empty-permission-list", "EndPoint.3036", permissions=[]),
    permitting("a permission has the form of one", "invalid-permission", "EndPoint.3002", permissions=["everybody"]),
    permitting("a permission is a text", "invalid-permission", "EndPoint.3002", permissions=[7]),
    permitting(
        "a permission fits its permission_type",
        "invalid-permission",
        "EndPoint.3002",
        permissions=["iam:domain::a"],
        permission_type="orgPath",
    ),
    permitting(
        "a service has 500 permissions",
        "too-many-permissions",
        "EndPoint.3049",
        given="500 permissions",
        permissions=["iam:domain::further"],
    ),
    batch(
        "a batch leaves a service within 500 permissions",
        "too-many-permissions",
        "EndPoint.3049",
        "create",
        [{"permission": f"iam:domain::{number}", "description": ""} for number in range(LONG_LIST - 1)],
    ),
    batch("a batch is not empty", "empty-permission-list", "EndPoint.3036", "create", []),
    batch(
        "a permission of a batch has the form of one",
        "invalid-permission",
        "EndPoint.3002",
        "create",
        [{"permission": "x", "description": ""}],
    ),
    batch(
        "the description of a permission has no <",
        "invalid-parameter",
        "EndPoint.0002",
        "create",
        [{"permission": "*", "description": "<"}],
    ),
    batch(
        "500 permissions are created at a time",
        "batch-too-long",
        "EndPoint.0016",
        "create",
        [{"permission": f"iam:domain::{number}", "description": ""} for number in range(LONG_LIST)],
    ),
    batch(
        "500 permissions are deleted at a time",
        "batch-too-long",
        "EndPoint.0016",
        "delete",
        [{"id": UNKNOWN}] * LONG_LIST,
    ),
    batch(
        "a permission to delete exists",
        "permission-not-found",
        "EndPoint.0005",
        "delete",
        [{"id": UNKNOWN}],
        status=404,
    ),
    Row(
        "a permission to describe exists",
        "permission-not-found",
        "EndPoint.0005",
        "PUT",
        f"{PERMISSIONS}/{UNKNOWN}",
        {"permission": {"description": ""}},
        status=404,
        given="a service",
    ),
]

ROWS = [*CONNECTIONS, *PERMISSION_ROWS]
