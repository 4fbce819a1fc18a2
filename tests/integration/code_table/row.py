"""Say what a row of the code table is, and how rows about one operation begin.

Names in braces stand for ids: those of the lab (`{port:web-1}`, `{vpc:acme-vpc}`), and those that the situation made.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SERVICES = "vpc-endpoint-services"
SERVICE = f"{SERVICES}/{{service}}"
PERMISSIONS = f"{SERVICE}/permissions"
ENDPOINTS = "vpc-endpoints"
ENDPOINT = f"{ENDPOINTS}/{{endpoint}}"
UNKNOWN = "00000000-0000-4000-8000-000000000000"
"""The id of nothing."""


@dataclass(frozen=True)
class Row:
    """One rule, and the request that breaks it."""

    rule: str
    slug: str
    code: str
    method: str
    path: str
    body: Any = None
    params: Mapping[str, Any] = field(default_factory=dict)
    status: int = 400
    given: str = "nothing"
    """A situation."""
    who: str = "acme"
    headers: Mapping[str, str | None] = field(default_factory=dict)
    """None takes a header away."""
    content: bytes | None = None


def creating(rule: str, slug: str, code: str, *, given: str = "nothing", status: int = 400, **change: Any) -> Row:
    """Return the row of a field of operation 3; everything else in the body is right."""
    base = {
        "port_id": "{port:web-1}",
        "vpc_id": "{vpc:acme-vpc}",
        "server_type": "VM",
        "ports": [{"client_port": 8080, "server_port": 80}],
    }
    return Row(rule, slug, code, "POST", SERVICES, base | change, given=given, status=status)


def connecting(
    rule: str, slug: str, code: str, *, given: str = "a service", status: int = 400, without: str = "", **change: Any
) -> Row:
    """Return the row of a field of operation 19; everything else in the body is right."""
    base = {
        "endpoint_service_id": "{service}",
        "vpc_id": "{vpc:globex-vpc}",
        "subnet_id": "{subnet:globex-vpc/apps}",
    }
    body = {name: value for name, value in (base | change).items() if name != without}
    return Row(rule, slug, code, "POST", ENDPOINTS, body, given=given, status=status, who="globex")


def modifying(rule: str, slug: str, code: str, *, given: str = "a service", **change: Any) -> Row:
    """Return the row of a field of operation 6."""
    return Row(rule, slug, code, "PUT", SERVICE, change, given=given)


def asking(rule: str, slug: str, code: str, path: str, **params: Any) -> Row:
    """Return the row of a query parameter."""
    return Row(rule, slug, code, "GET", path, params=params, given="a service" if "{" in path else "nothing")


def tagging(rule: str, slug: str, code: str, *, status: int = 400, given: str = "a service", **body: Any) -> Row:
    """Return the row of a part of operation 29."""
    return Row(rule, slug, code, "POST", "endpoint_service/{service}/tags/action", body, given=given, status=status)


def finding(rule: str, slug: str, code: str, **parts: Any) -> Row:
    """Return the row of a part of operation 30."""
    return Row(rule, slug, code, "POST", "endpoint_service/resource_instances/action", {"action": "filter"} | parts)


def port(**change: Any) -> list[dict[str, Any]]:
    return [{"client_port": 80, "server_port": 80} | change]


def tags(count: int = 1, **change: Any) -> list[dict[str, Any]]:
    return [{"key": f"k{number}", "value": "v"} | change for number in range(count)]


def key(name: str, *values: str) -> dict[str, Any]:
    return {"key": name, "values": values}
