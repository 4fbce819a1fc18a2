"""Check what tenants write into their resources: ports, tags, descriptions, whitelists.

Each rule is one function that returns the value it was given in the domain's form, or raises the error that is
named after the rule. The limits are those of the create-service page (contract 3.3, 4.1, 4.2) and of 3.19.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv4Network, NetmaskValueError

from landbridge.domain.errors import (
    DuplicateClientPort,
    DuplicateTag,
    EmptyTag,
    InvalidClientPort,
    InvalidEndpointAddress,
    InvalidParameter,
    InvalidProtocol,
    InvalidServerPort,
    InvalidTag,
    InvalidWhitelist,
    TagKeyTooLong,
    TagValueTooLong,
    TooManyPorts,
    TooManyTags,
    TooManyWhitelistEntries,
    TransitRangeOverlap,
)
from landbridge.domain.resources import PortMapping, Subnet, Tag, Vpc

PORT_MAPPING_LIMIT = 200
DESCRIPTION_LIMIT = 128
WHITELIST_LIMIT = 20
RESERVED_RANGE = IPv4Network("198.19.128.0/17")
"""No subnet and no custom route of a VPC that takes part may overlap it (contract 9.1)."""


@dataclass(frozen=True, slots=True)
class TagRules:
    """What tags may be; lengths in characters (contract 4.2)."""

    tag_limit: int
    """Tags per resource, and keys per tag filter."""
    key_limit: int
    value_limit: int
    forbidden_in_keys: str
    forbidden_in_values: str
    reserved_prefix: str | None = None
    """What no key begins with."""


STANDARD_TAGS = TagRules(10, 36, 43, "=*<>\\,|/", "=*<>\\,|/")
"""The rules of the create-service page."""

MODERN_TAGS = TagRules(20, 128, 255, "*<>\\,|/", "*<>\\,|", reserved_prefix="_sys_")
"""The rules of the newer documents: longer, more of them, `=` in both and `/` in values."""

_CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f]")


def check_ports(mappings: Sequence[PortMapping]) -> tuple[PortMapping, ...]:
    """Return the port mappings of one service, in the order given."""
    if not mappings:
        raise InvalidParameter("ports must have at least one mapping of client_port to server_port")
    if len(mappings) > PORT_MAPPING_LIMIT:
        raise TooManyPorts(f"ports has {len(mappings)} mappings: at most {PORT_MAPPING_LIMIT} are allowed")
    seen: set[tuple[int, str]] = set()
    checked: list[PortMapping] = []
    for mapping in mappings:
        protocol = mapping.protocol.upper() or "TCP"
        if protocol != "TCP":
            raise InvalidProtocol("protocol must be TCP")
        if not 1 <= mapping.server_port <= 65535:
            raise InvalidServerPort("server_port must be a number from 1 to 65535")
        if not 1 <= mapping.client_port <= 65535:
            raise InvalidClientPort("client_port must be a number from 1 to 65535")
        if (mapping.client_port, protocol) in seen:
            raise DuplicateClientPort(f"client_port {mapping.client_port} is mapped twice: each may appear once")
        seen.add((mapping.client_port, protocol))
        checked.append(PortMapping(mapping.client_port, mapping.server_port, protocol))
    return tuple(checked)


def check_tags(tags: Sequence[Tag], rules: TagRules = STANDARD_TAGS) -> tuple[Tag, ...]:
    """Return the tags of one resource, in the order given."""
    if len(tags) > rules.tag_limit:
        raise TooManyTags(f"{len(tags)} tags: at most {rules.tag_limit} are allowed")
    for tag in tags:
        _check_tag(tag, rules)
    if len({tag.key for tag in tags}) < len(tags):
        raise DuplicateTag("each tag key may appear once")
    return tuple(tags)


def _check_tag(tag: Tag, rules: TagRules) -> None:
    if not tag.key.strip():
        raise EmptyTag("a tag needs a key that is not blank")
    if len(tag.key) > rules.key_limit:
        raise TagKeyTooLong(f"a tag key has at most {rules.key_limit} characters")
    if len(tag.value) > rules.value_limit:
        raise TagValueTooLong(f"a tag value has at most {rules.value_limit} characters")
    if rules.reserved_prefix is not None and tag.key.startswith(rules.reserved_prefix):
        raise InvalidTag(f"a tag key must not begin with {rules.reserved_prefix}")
    for text, forbidden in ((tag.key, rules.forbidden_in_keys), (tag.value, rules.forbidden_in_values)):
        if not set(forbidden).isdisjoint(text) or _CONTROL_CHARACTERS.search(text):
            raise InvalidTag(f"a tag must not contain control characters, nor {' '.join(forbidden)} in this place")
        if text != text.strip(" "):
            raise InvalidTag("tag keys and values must not begin or end with a space")


def check_description(text: str) -> str:
    """Return the description, which has neither `<` nor `>`."""
    if "<" in text or ">" in text:
        raise InvalidParameter("description must not contain < or >")
    if len(text) > DESCRIPTION_LIMIT:
        raise InvalidParameter(f"description has at most {DESCRIPTION_LIMIT} characters")
    return text


def check_whitelist(entries: Sequence[str], limit: int = WHITELIST_LIMIT) -> tuple[IPv4Network, ...]:
    """Return the clients that a consumer lets use an endpoint (contract 9.9)."""
    if len(entries) > limit:
        raise TooManyWhitelistEntries(f"{len(entries)} whitelist entries: at most {limit} are allowed")
    networks: list[IPv4Network] = []
    for entry in entries:
        try:
            network = IPv4Network(entry, strict=False)
        except (AddressValueError, NetmaskValueError, ValueError) as error:
            raise InvalidWhitelist("a whitelist entry is an IPv4 address or a CIDR such as 10.0.0.0/24") from error
        if network.prefixlen == 0 or network.network_address == IPv4Address(0):
            raise InvalidWhitelist("a whitelist entry must not mean everybody: switch enable_whitelist off instead")
        networks.append(network)
    return tuple(networks)


def check_endpoint_address(text: str) -> IPv4Address:
    """Return a wanted endpoint address (`port_ip`)."""
    try:
        return IPv4Address(text)
    except AddressValueError as error:
        raise InvalidEndpointAddress("port_ip must be an IPv4 address such as 10.0.0.100") from error


def check_transit_range_is_free(vpc: Vpc, subnets: Iterable[Subnet]) -> None:
    """Refuse a VPC in which addresses of the transit domain would lead elsewhere.

    Raises:
        TransitRangeOverlap: a subnet or a custom route of the VPC overlaps 198.19.128.0/17.
    """
    for subnet in subnets:
        if subnet.cidr.overlaps(RESERVED_RANGE):
            raise TransitRangeOverlap(
                f"subnet {subnet.cidr} of VPC {vpc.id} overlaps {RESERVED_RANGE}, which endpoints need: "
                "use a VPC without it"
            )
    for route in vpc.routes:
        if route.overlaps(RESERVED_RANGE):
            raise TransitRangeOverlap(
                f"custom route {route} of VPC {vpc.id} overlaps {RESERVED_RANGE}, which endpoints need: remove it"
            )
