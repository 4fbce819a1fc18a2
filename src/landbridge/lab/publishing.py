"""Read the public services of a lab file, and check the rules for them in docs/reference/lab-file.md."""

import re
from collections.abc import Collection, Iterable
from difflib import get_close_matches
from typing import TypeVar

from landbridge.domain.errors import UserError
from landbridge.domain.naming import NAME_LIMIT, is_public_name
from landbridge.domain.resources import PortMapping
from landbridge.domain.validation import check_ports
from landbridge.lab.document import Place, Scalar, Section, Shape, Table, Value, as_section, shown
from landbridge.lab.records import PublicServiceEntry

EXAMPLE = "[{name: com.example.lab-1.dns, host: web-1, ports: [{client_port: 53, server_port: 53}]}]"
DEFAULT_OWNER = "lab"

T = TypeVar("T")

_SERVICE = Shape(
    "public service",
    {"name": "com.example.lab-1.dns", "host": "web-1", "ports": "[{client_port: 53, server_port: 53}]"},
    {"type": "interface", "owner": DEFAULT_OWNER},
)
_PORT = Shape("port", {"client_port": "53", "server_port": "53"})
_NUMBER = re.compile(r"[1-9][0-9]{0,4}")
_OWNER = re.compile(r"[!-~]([ -~]{0,62}[!-~])?")


def public_services(values: Iterable[Value], host_names: Collection[str]) -> tuple[PublicServiceEntry, ...]:
    """Return the public services of a file that has these hosts.

    Raises:
        LabFileError: one of them breaks a rule.
    """
    names: dict[str, Place] = {}
    server_ports: dict[tuple[str, int], Place] = {}
    entries: list[PublicServiceEntry] = []
    for value in values:
        section = _section(value)
        entry = _entry(section, host_names)
        _take(section, names, entry.name, section.table.places["name"], f"name {entry.name}")
        for number in {mapping.server_port for mapping in entry.ports}:
            taken = f"server_port {number} of host {entry.host}"
            _take(section, server_ports, (entry.host, number), section.table.places["ports"], taken)
        entries.append(entry)
    return tuple(entries)


def _section(value: Value) -> Section:
    name = value.values.get("name") if isinstance(value, Table) else None
    if isinstance(name, Scalar) and name.text and is_public_name(name.text):
        return as_section(value, _SERVICE, f"public service {name.text}")
    return as_section(value, _SERVICE, "public service")


def _entry(section: Section, host_names: Collection[str]) -> PublicServiceEntry:
    name, host = section.text("name"), section.text("host")
    if not is_public_name(name.text):
        problem = (
            f"name {shown(name.text)} must be three or more words of letters, digits, - and _ with dots between them, "
            f"at most {NAME_LIMIT} characters, and must not end in an id"
        )
        raise section.mistake(name.place, f"{problem}; write {_SERVICE.example('name')}")
    if host.text not in host_names:
        close = get_close_matches(host.text, host_names, n=1) or list(host_names)[:1]
        advice = f"write host: {close[0]}" if close else "describe the host in a subnet first"
        raise section.mistake(host.place, f"there is no host {shown(host.text)} in this file; {advice}")
    type_ = section.optional_text("type")
    if type_ is not None and type_.text != "interface":
        problem = "gateway services are not there yet" if type_.text == "gateway" else "there is no such type"
        raise section.mistake(type_.place, f"{problem}; write type: interface")
    owner = section.optional_text("owner")
    if owner is not None and _OWNER.fullmatch(owner.text) is None:
        problem = "owner must be 1 to 64 ASCII characters without control characters"
        raise section.mistake(owner.place, f"{problem}; write {_SERVICE.example('owner')}")
    return PublicServiceEntry(name.text, host.text, _ports(section), owner.text if owner else DEFAULT_OWNER)


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
