"""Form and check the names of endpoint services.

A full name is `region.short.id`, or `region.id` without a short name; neither a region nor a short name has a dot,
so clients can cut the name at dots (contract 4.9).
"""

import re

from landbridge.domain.errors import InvalidServiceName
from landbridge.domain.ids import EndpointId, ServiceId

_SHORT_NAME = re.compile(r"[A-Za-z0-9_-]{0,16}")
REGION_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
"""What a region may be called: no dot, and short enough that full names stay within 128 characters."""


def check_short_name(name: str) -> str:
    """Return the name if tenants may use it.

    Raises:
        InvalidServiceName: longer than 16, or with other characters than letters, digits, `_` and `-`.
    """
    if _SHORT_NAME.fullmatch(name) is None:
        raise InvalidServiceName("service_name must be at most 16 letters, digits, underscores and hyphens")
    return name


def full_service_name(region: str, short_name: str, service_id: ServiceId) -> str:
    """Return the name under which a service is known to everybody."""
    return ".".join(part for part in (region, short_name, service_id) if part)


def endpoint_dns_name(endpoint_id: EndpointId, region: str, dns_domain: str) -> str:
    """Return the private domain name of an endpoint (contract 14, decision 7)."""
    return f"vpcep-{endpoint_id}.{region}.{dns_domain}"
