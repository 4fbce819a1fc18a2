"""Read the public services of a lab file, and check the rules for them in docs/reference/lab-file.md."""

import re
from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches
from ipaddress import IPv4Network
from typing import TypeVar

from landbridge.domain.errors import UserError
from landbridge.domain.gateways import check_networks
from landbridge.domain.naming import NAME_LIMIT, is_public_name, is_public_owner
from landbridge.domain.resources import PortMapping, ServiceType
from landbridge.domain.validation import check_ports
from landbridge.lab.document import Place, Scalar, Section, Shape, Table, Value, as_section, shown
from landbridge.lab.records import PublicGatewayEntry, PublicServiceEntry

EXAMPLE = "[{name: com.example.lab-1.dns, host: web-1, ports: [{client_port: 53, server_port: 53}]}]"
DEFAULT_OWNER = "lab"

T = TypeVar("T")

_SERVICE = Shape(
    "public service",
    {"name": "com.example.lab-1.dns", "host": "web-1", "ports": "[{client_port: 53, server_port: 53}]"},
    {"type": "interface", "owner": DEFAULT_OWNER},
)
_GATEWAY = Shape(
    "public service",
    {"name": "com.example.lab-1.obs", "type": "gateway", "cidrs": "[100.125.0.0/16]"},
    {"owner": DEFAULT_OWNER},
)
_PORT = Shape("port", {"client_port": "53", "server_port": "53"})
_NUMBER = re.compile(r"[1-9][0-9]{0,4}")


def public_services(
    values: Iterable[Value], host_names: Collection[str], public_cidr: IPv4Network | None = None
) -> tuple[PublicServiceEntry | PublicGatewayEntry, ...]:
    """Return the public services of a file that has these hosts and this public network.

    Raises:
        LabFileError: one of them breaks a rule.
    """
    names: dict[str, Place] = {}
    server_ports: dict[tuple[str, int], Place] = {}
    networks: list[tuple[IPv4Network, Place]] = []
    entries: list[PublicServiceEntry | PublicGatewayEntry] = []
    for value in values:
        section = _section(value)
        places = section.table.places
        entry: PublicServiceEntry | PublicGatewayEntry
        if section.shape is _GATEWAY:
            entry = _gateway(section, public_cidr)
            for cidr in entry.cidrs:
                _take_network(section, networks, cidr, places["cidrs"])
        else:
            entry = _interface(section, host_names)
            for number in {mapping.server_port for mapping in entry.ports}:
                taken = f"server_port {number} of host {entry.host}"
                _take(section, server_ports, (entry.host, number), places["ports"], taken)
        _take(section, names, entry.name, places["name"], f"name {entry.name}")
        entries.append(entry)
    return tuple(entries)


def _section(value: Value) -> Section:
    fields: Mapping[str, Value] = value.values if isinstance(value, Table) else {}
    type_, name = fields.get("type"), fields.get("name")
    is_gateway = isinstance(type_, Scalar) and type_.text == ServiceType.GATEWAY
    shape = _GATEWAY if is_gateway else _SERVICE
    if isinstance(name, Scalar) and name.text and is_public_name(name.text):
        return as_section(value, shape, f"public service {name.text}")
    return as_section(value, shape, "public service")


def _interface(section: Section, host_names: Collection[str]) -> PublicServiceEntry:
    name, host = _name(section), section.text("host")
    if host.text not in host_names:
        close = get_close_matches(host.text, host_names, n=1) or list(host_names)[:1]
        advice = f"write host: {close[0]}" if close else "describe the host in a subnet first"
        raise section.mistake(host.place, f"there is no host {shown(host.text)} in this file; {advice}")
    type_ = section.optional_text("type")
    if type_ is not None and type_.text != ServiceType.INTERFACE:
        raise section.mistake(type_.place, "there is no such type; write type: interface, or type: gateway")
    return PublicServiceEntry(name, host.text, _ports(section), _owner(section))


def _gateway(section: Section, public_cidr: IPv4Network | None) -> PublicGatewayEntry:
    texts = section.texts("cidrs")
    place = section.table.places["cidrs"]
    try:
        cidrs = check_networks([text.text for text in texts])
    except UserError as error:
        raise section.mistake(place, f"{error.message}; write {_GATEWAY.example('cidrs')}") from error
    if public_cidr is None:
        problem = "there is no public network that it could lead to"
        raise section.mistake(place, f"{problem}; write public: {{cidr: {cidrs[0]}}} at the top of the file")
    for cidr in cidrs:
        if not cidr.subnet_of(public_cidr):
            problem = f"{cidr} is outside the public network {public_cidr}"
            raise section.mistake(place, f"{problem}; write cidrs: [{public_cidr}] or parts of it")
    return PublicGatewayEntry(_name(section), cidrs, _owner(section))


def _name(section: Section) -> str:
    name = section.text("name")
    if not is_public_name(name.text):
        problem = (
            f"name {shown(name.text)} must be three or more words of letters, digits, - and _ with dots between them, "
            f"at most {NAME_LIMIT} characters, and must not end in an id"
        )
        raise section.mistake(name.place, f"{problem}; write {section.shape.example('name')}")
    return name.text


def _owner(section: Section) -> str:
    owner = section.optional_text("owner")
    if owner is None:
        return DEFAULT_OWNER
    if not is_public_owner(owner.text):
        problem = "owner must be 1 to 64 ASCII characters without control characters"
        raise section.mistake(owner.place, f"{problem}; write {section.shape.example('owner')}")
    return owner.text


def _ports(service: Section) -> tuple[PortMapping, ...]:
    mappings: list[PortMapping] = []
    for value in service.items("ports"):
        section = as_section(value, _PORT, f"{service.label}: port")
        mappings.append(PortMapping(_number(section, "client_port"), _number(section, "server_port")))
    try:
        return check_ports(mappings)
    except UserError as error:
        place = service.table.places["ports"]
        raise service.mistake(place, f"{error.message}; write {_SERVICE.example('ports')}") from error


def _number(port: Section, key: str) -> int:
    text = port.text(key)
    if _NUMBER.fullmatch(text.text) is None or int(text.text) > 65535:
        problem = f"{key} {shown(text.text)} is no number from 1 to 65535"
        raise port.mistake(text.place, f"{problem}; write {_PORT.example(key)}")
    return int(text.text)


def _take(section: Section, taken: dict[T, Place], key: T, place: Place, thing: str) -> None:
    first = taken.setdefault(key, place)
    if first is not place:
        raise section.mistake(place, f"{thing} is already on line {first.line}; write another one")


def _take_network(section: Section, taken: list[tuple[IPv4Network, Place]], cidr: IPv4Network, place: Place) -> None:
    for other, first in taken:
        if cidr.overlaps(other):
            problem = f"{cidr} has addresses of {other}, which is already on line {first.line}"
            raise section.mistake(place, f"{problem}; write each address in one service only")
    taken.append((cidr, place))
