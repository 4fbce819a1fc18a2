"""Form and check the names of endpoint services.

A full name is `region.short.id`, or `region.id` without a short name; neither a region nor a short name has a dot,
so clients can cut the name at dots (contract 4.9). Public services have names of their own, such as
`com.example.lab-1.dns`; these never end in an id, so that no name is both.
"""

import re

from landbridge.domain.errors import InvalidServiceName
from landbridge.domain.ids import EndpointId, ServiceId, is_uuid

_SHORT_NAME = re.compile(r"[A-Za-z0-9_-]{0,16}")
REGION_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
"""What a region may be called: no dot, and short enough that full names stay within 128 characters."""
_PUBLIC_NAME = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+){2,}")
_OWNER = re.compile(r"[!-~]([ -~]{0,62}[!-~])?")
NAME_LIMIT = 128
"""Characters of a full name."""


def is_public_name(name: str) -> bool:
    """Say whether a public service may be called so: three or more words with dots, the last one no id.

    Clients take the second of three or more words for the short name (contract 4.9, 12.3).
    """
    is_short_enough = len(name) <= NAME_LIMIT
    return is_short_enough and _PUBLIC_NAME.fullmatch(name) is not None and not is_uuid(name.rpartition(".")[2])


def is_public_owner(text: str) -> bool:
    """Say whether a public service may show this as its owner: 1 to 64 ASCII characters, none of them a control."""
    return _OWNER.fullmatch(text) is not None


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


def short_name_of(full_name: str) -> str:
    """Return the middle of a tenant's service's full name, "" if it has none."""
    parts = full_name.split(".")
    return parts[1] if len(parts) == 3 else ""


def endpoint_dns_name(endpoint_id: EndpointId, region: str, dns_domain: str) -> str:
    """Return the private domain name of an endpoint (contract 14, decision 7)."""
    return f"vpcep-{endpoint_id}.{region}.{dns_domain}"
