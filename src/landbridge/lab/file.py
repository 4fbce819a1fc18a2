"""Read a lab file and check every rule of docs/reference/lab-file.md.

The first mistake is raised as a `LabFileError` that names the file, the line, what is wrong and what to write
instead. A `Lab` that comes out of here can be brought up; passwords and secret keys appear in no message.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from ipaddress import AddressValueError, IPv4Address, IPv4Network
from itertools import pairwise
from pathlib import Path

from landbridge.domain.naming import REGION_NAME
from landbridge.domain.networking import NARROWEST_PREFIX, UNUSABLE_RANGES, WIDEST_PREFIX
from landbridge.domain.resources import QuotaType
from landbridge.domain.validation import RESERVED_RANGE
from landbridge.lab import operators, publishing
from landbridge.lab.document import (
    LabFileError,
    Place,
    Scalar,
    Section,
    Shape,
    Table,
    Text,
    Value,
    as_section,
    parse_document,
    read_document,
    shown,
)
from landbridge.lab.records import HostEntry, Lab, ProjectEntry, SubnetEntry, UserEntry, VpcEntry

PUBLIC = "public"
"""What the operator's own network and its subnet are called."""

ROLES = ("reader", "member", "admin")
SMALLEST_MTU, LARGEST_MTU, DEFAULT_MTU = 576, 9000, 1500

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
_NAME_RULE = "1 to 32 letters, digits, - and _ that begin with a letter or digit"
_USER_NAME = re.compile(r"[!-~]{1,64}")
_ACCESS_KEY = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_CIDR = re.compile(r"[0-9.]+/(0|[1-9][0-9]?)")
_MTU = re.compile(r"[1-9][0-9]{0,4}")
_QUOTA = re.compile(r"0|[1-9][0-9]{0,8}")

_LAB = Shape(
    "lab",
    {"region": "lab-1", "projects": "[{name: acme}]"},
    {
        "vpcs": "[{name: acme-vpc, project: acme, cidr: 10.0.0.0/16}]",
        "public": "{cidr: 100.125.0.0/16, hosts: [{name: obs-1, ip: 100.125.0.10}]}",
        "public_services": publishing.EXAMPLE,
        "operators": operators.EXAMPLE,
    },
)
_PROJECT = Shape(
    "project",
    {"name": "acme"},
    {
        "domain": "acme",
        "users": "[{name: acme-admin, password: a secret}]",
        "quotas": "{endpoint_service: 20, endpoint: 50}",
    },
)
_QUOTAS = Shape("quotas", {}, {QuotaType.ENDPOINT_SERVICE: "20", QuotaType.ENDPOINT: "50"})
_USER = Shape(
    "user",
    {"name": "acme-admin", "password": "a secret"},
    {"access_key": "ACMEKEY", "secret_key": "a secret", "roles": "[admin]"},
)
_VPC = Shape(
    "vpc",
    {"name": "acme-vpc", "project": "acme", "cidr": "10.0.0.0/16"},
    {"routes": "[{destination: 192.168.0.0/24}]", "subnets": "[{name: web, cidr: 10.0.0.0/24}]"},
)
_ROUTE = Shape("route", {"destination": "192.168.0.0/24"})
_SUBNET = Shape(
    "subnet",
    {"name": "web", "cidr": "10.0.0.0/24"},
    {"gateway": "10.0.0.1", "mtu": "1500", "hosts": "[{name: web-1, ip: 10.0.0.20}]"},
)
_PUBLIC = Shape(
    "public",
    {"cidr": "100.125.0.0/16"},
    {"gateway": "100.125.0.1", "mtu": "1500", "hosts": "[{name: obs-1, ip: 100.125.0.10}]"},
)
_HOST = Shape("host", {"name": "web-1", "ip": "10.0.0.20"}, {"vips": "[10.0.0.30]", "mtu": "1500"})


class _Taken:
    """Remember what may be used once, and where it was used."""

    def __init__(self) -> None:
        self._places: dict[object, Place] = {}

    def take(self, section: Section, text: Text, thing: str, key: object = None) -> None:
        """Raise `LabFileError` if somebody has it already."""
        key = text.text if key is None else key
        first = self._places.setdefault(key, text.place)
        if first is not text.place:
            problem = f"{thing} {shown(text.text)} is already on line {first.line}; write another one"
            raise section.mistake(text.place, problem)


@dataclass(frozen=True, slots=True)
class _FileWide:
    """What may appear once in the whole file."""

    projects: _Taken = field(default_factory=_Taken)
    users: _Taken = field(default_factory=_Taken)
    access_keys: _Taken = field(default_factory=_Taken)
    vpcs: _Taken = field(default_factory=_Taken)
    hosts: _Taken = field(default_factory=_Taken)


class _Addresses:
    """The addresses of one subnet, each for one owner."""

    def __init__(self, subnet: IPv4Network, gateway: IPv4Address) -> None:
        self._subnet = subnet
        self._owners = {
            subnet.network_address: "the network's own address",
            subnet.broadcast_address: "the broadcast address",
            gateway: "the gateway",
        }

    def take(self, host: Section, text: Text, key: str) -> IPv4Address:
        """Return the address, which is in the subnet and nobody else's."""
        address = _address(host, text, key)
        if address not in self._subnet:
            raise host.mistake(text.place, f"{key} {address} is outside subnet {self._subnet}; {self._advice()}")
        if address in self._owners:
            raise host.mistake(text.place, f"{key} {address} is {self._owners[address]}; {self._advice()}")
        self._owners[address] = f"already on line {text.place.line}"
        return address

    def _advice(self) -> str:
        # From .20 on, as in the examples; the few low ones only if the subnet is small or crowded.
        size = self._subnet.num_addresses
        for offset in (*range(20, min(size, 21 + len(self._owners))), *range(1, min(size, 20))):
            if (address := self._subnet.network_address + offset) not in self._owners:
                return f"write an address such as {address}"
        return "write a larger subnet"


def read_lab(path: Path | str) -> Lab:
    """Return what a lab file says.

    Raises:
        LabFileError: the file cannot be read, or breaks a rule.
    """
    return _lab(*read_document(Path(path)))


def parse_lab(text: str, file: str = "lab.yaml") -> Lab:
    """Return what the text of a lab file says; `file` is its name in messages.

    Raises:
        LabFileError: the text breaks a rule.
    """
    return _lab(file, parse_document(text, file))


def _lab(file: str, document: Value) -> Lab:
    if isinstance(document, Scalar) and not document.text:
        raise LabFileError(Place(file, 1), "is empty; write at least region: lab-1 and a list of projects")
    section = as_section(document, _LAB, "lab")
    region = section.text("region")
    if REGION_NAME.fullmatch(region.text) is None:
        raise section.mistake(
            region.place, f"region {shown(region.text)} must be {_NAME_RULE}, without a dot; write region: lab-1"
        )
    file_wide = _FileWide()
    projects = tuple(_project(value, file_wide) for value in section.items("projects"))
    if not projects:
        place = section.table.values["projects"].place
        raise section.mistake(place, f"projects must not be empty; write {_LAB.example('projects')}")
    projects = operators.with_operators(section, projects)
    project_names = [project.name for project in projects]
    vpcs = tuple(_vpc(value, project_names, file_wide) for value in section.items("vpcs"))
    public = _public(section, file_wide)
    networks = (*vpcs, *([public] if public else []))
    host_names = [host.name for vpc in networks for subnet in vpc.subnets for host in subnet.hosts]
    offered = publishing.public_services(section.items("public_services"), host_names, public.cidr if public else None)
    return Lab(region.text, projects, vpcs, offered, public)


def _public(lab: Section, file_wide: _FileWide) -> VpcEntry | None:
    """Return the operator's own network as a VPC that is nobody's, with one subnet."""
    value = lab.table.values.get("public")
    if value is None:
        return None
    section = as_section(value, _PUBLIC, "public")
    text = section.text("cidr")
    cidr = _vpc_range(section, text)
    if cidr.overlaps(RESERVED_RANGE):
        problem = f"cidr {cidr} overlaps {RESERVED_RANGE}, which endpoints need"
        raise section.mistake(text.place, f"{problem}; write a range such as 100.125.0.0/16")
    return VpcEntry(PUBLIC, "", cidr, (), (_subnet_of(section, PUBLIC, cidr, file_wide),))


def _project(value: Value, file_wide: _FileWide) -> ProjectEntry:
    section = _named_section(value, _PROJECT)
    name = _name(section, "name")
    file_wide.projects.take(section, name, "name")
    domain = _name(section, "domain") if "domain" in section.table.values else name
    users = tuple(_user(user, domain.text, file_wide) for user in section.items("users"))
    return ProjectEntry(name.text, domain.text, users, _quotas(section))


def _quotas(project: Section) -> Mapping[QuotaType, int]:
    value = project.table.values.get("quotas")
    if value is None:
        return {}
    if not isinstance(value, Table):
        raise project.mistake(
            value.place, f"quotas must have keys with values; write {project.shape.example('quotas')}"
        )
    section = as_section(value, _QUOTAS, f"{project.label}: quotas")
    quotas: dict[QuotaType, int] = {}
    for type_ in QuotaType:
        text = section.optional_text(type_)
        if text is None:
            continue
        if _QUOTA.fullmatch(text.text) is None:
            problem = f"{type_} {shown(text.text)} is no whole number from 0 to 999999999"
            raise section.mistake(text.place, f"{problem}; write {_QUOTAS.example(type_)}")
        quotas[type_] = int(text.text)
    return quotas


def _user(value: Value, domain: str, file_wide: _FileWide) -> UserEntry:
    section = _named_section(value, _USER)
    name = section.text("name")
    if _USER_NAME.fullmatch(name.text) is None:
        problem = f"name {shown(name.text)} must be 1 to 64 ASCII characters without spaces; write name: acme-admin"
        raise section.mistake(name.place, problem)
    file_wide.users.take(section, name, f"in domain {domain} the name", (domain, name.text))
    access_key = section.optional_text("access_key")
    secret_key = section.optional_text("secret_key")
    if (access_key is None) != (secret_key is None):
        there, missing = ("secret_key", "access_key") if access_key is None else ("access_key", "secret_key")
        raise section.mistake(
            section.table.places[there], f"{there} stands without {missing}; write both keys or neither"
        )
    if access_key is not None:
        if _ACCESS_KEY.fullmatch(access_key.text) is None:
            problem = "access_key must be 1 to 128 letters, digits, - _ and .; write access_key: ACMEKEY"
            raise section.mistake(access_key.place, problem)
        file_wide.access_keys.take(section, access_key, "access_key")
    return UserEntry(
        name=name.text,
        password=section.text("password").text,
        roles=_roles(section),
        access_key=access_key.text if access_key else None,
        secret_key=secret_key.text if secret_key else None,
    )


def _roles(user: Section) -> frozenset[str]:
    if "roles" not in user.table.values:
        return frozenset({"admin"})
    roles: set[str] = set()
    taken = _Taken()
    for role in user.texts("roles"):
        if role.text == operators.OPERATOR:
            problem = "operator is not given here"
            raise user.mistake(role.place, f"{problem}; write the user's name under operators at the top of the file")
        if role.text not in ROLES:
            close = get_close_matches(role.text, ROLES, n=1)
            advice = close[0] if close else "reader, member or admin"
            raise user.mistake(role.place, f"there is no role {shown(role.text)}; write {advice}")
        taken.take(user, role, "role")
        roles.add(role.text)
    if not roles:
        raise user.mistake(user.table.places["roles"], "roles is empty; write roles: [admin] or leave it out")
    return frozenset(roles)


def _vpc(value: Value, project_names: list[str], file_wide: _FileWide) -> VpcEntry:
    section = _named_section(value, _VPC)
    name = _name(section, "name")
    file_wide.vpcs.take(section, name, "name")
    project = section.text("project")
    if project.text not in project_names:
        close = get_close_matches(project.text, project_names, n=1) or project_names[:1]
        problem = f"there is no project {shown(project.text)} in this file; write project: {close[0]}"
        raise section.mistake(project.place, problem)
    cidr_text = section.text("cidr")
    cidr = _vpc_range(section, cidr_text)
    routes = _routes(section)
    names_in_vpc = _Taken()
    subnets: list[tuple[Section, SubnetEntry]] = []
    for subnet_value in section.items("subnets"):
        subnet_section = _named_section(subnet_value, _SUBNET)
        names_in_vpc.take(subnet_section, _name(subnet_section, "name"), "name")
        subnets.append((subnet_section, _subnet(subnet_section, cidr, file_wide)))
    _check_disjoint(subnets)
    return VpcEntry(name.text, project.text, cidr, routes, tuple(subnet for _, subnet in subnets))


def _vpc_range(section: Section, text: Text) -> IPv4Network:
    cidr = _network(section, text, "cidr", "10.0.0.0/16")
    if not WIDEST_PREFIX <= cidr.prefixlen <= NARROWEST_PREFIX or any(map(cidr.overlaps, UNUSABLE_RANGES)):
        problem = f"cidr {cidr} must be /{WIDEST_PREFIX} to /{NARROWEST_PREFIX} of ordinary unicast addresses"
        raise section.mistake(text.place, f"{problem}; write a range such as 10.0.0.0/16")
    return cidr


def _routes(vpc: Section) -> tuple[IPv4Network, ...]:
    taken = _Taken()
    routes: list[IPv4Network] = []
    for value in vpc.items("routes"):
        section = as_section(value, _ROUTE, f"{vpc.label}: route")
        text = section.text("destination")
        destination = _network(section, text, "destination", "192.168.0.0/24")
        taken.take(section, text, "destination")
        routes.append(destination)
    return tuple(routes)


def _subnet(section: Section, vpc_cidr: IPv4Network, file_wide: _FileWide) -> SubnetEntry:
    cidr_text = section.text("cidr")
    # A VPC's first addresses make an example that fits.
    example = IPv4Network((vpc_cidr.network_address, max(24, vpc_cidr.prefixlen)))
    cidr = _network(section, cidr_text, "cidr", str(example))
    if not cidr.subnet_of(vpc_cidr):
        raise section.mistake(
            cidr_text.place, f"cidr {cidr} is outside the VPC's {vpc_cidr}; write a range such as {example}"
        )
    if cidr.prefixlen > NARROWEST_PREFIX:
        raise section.mistake(
            cidr_text.place, f"cidr {cidr} is too small; write a range of /{NARROWEST_PREFIX} or larger"
        )
    return _subnet_of(section, _name(section, "name").text, cidr, file_wide)


def _subnet_of(section: Section, name: str, cidr: IPv4Network, file_wide: _FileWide) -> SubnetEntry:
    gateway = _gateway(section, cidr)
    mtu = _mtu(section, default=DEFAULT_MTU)
    addresses = _Addresses(cidr, gateway)
    hosts = tuple(_host(value, addresses, mtu, file_wide) for value in section.items("hosts"))
    return SubnetEntry(name, cidr, gateway, mtu, hosts)


def _gateway(subnet: Section, cidr: IPv4Network) -> IPv4Address:
    first = cidr.network_address + 1
    text = subnet.optional_text("gateway")
    if text is None:
        return first
    gateway = _address(subnet, text, "gateway")
    if gateway not in cidr or gateway in {cidr.network_address, cidr.broadcast_address}:
        problem = f"gateway {gateway} is no host address of {cidr}; write an address such as {first}"
        raise subnet.mistake(text.place, problem)
    return gateway


def _host(value: Value, addresses: _Addresses, subnet_mtu: int, file_wide: _FileWide) -> HostEntry:
    section = _named_section(value, _HOST)
    name = _name(section, "name")
    file_wide.hosts.take(section, name, "name")
    ip = addresses.take(section, section.text("ip"), "ip")
    vips = tuple(addresses.take(section, vip, "virtual IP") for vip in section.texts("vips"))
    return HostEntry(name.text, ip, vips, _mtu(section, default=subnet_mtu))


def _check_disjoint(subnets: Iterable[tuple[Section, SubnetEntry]]) -> None:
    # Two ranges are disjoint or one holds the other, so in this order an overlap shows between neighbours.
    ordered = sorted(subnets, key=lambda pair: (pair[1].cidr.network_address, pair[1].cidr.prefixlen))
    for one, other in pairwise(ordered):
        if one[1].cidr.overlaps(other[1].cidr):
            earlier, later = sorted((one, other), key=lambda pair: pair[0].table.place.line or 0)
            problem = f"cidr {later[1].cidr} overlaps {earlier[1].cidr} of subnet {earlier[1].name}"
            place = later[0].text("cidr").place
            raise later[0].mistake(place, f"{problem}; write a range that no other subnet of the VPC uses")


def _named_section(value: Value, shape: Shape) -> Section:
    """Check the keys of one thing that messages call by its name, if it has a fit one."""
    name = value.values.get("name") if isinstance(value, Table) else None
    if isinstance(name, Scalar) and name.text and _USER_NAME.fullmatch(name.text):
        return as_section(value, shape, f"{shape.what} {name.text}")
    return as_section(value, shape, shape.what)


def _name(section: Section, key: str) -> Text:
    name = section.text(key)
    if _NAME.fullmatch(name.text) is None:
        problem = f"{key} {shown(name.text)} must be {_NAME_RULE}; write {section.shape.example(key)}"
        raise section.mistake(name.place, problem)
    return name


def _mtu(section: Section, default: int) -> int:
    text = section.optional_text("mtu")
    if text is None:
        return default
    if _MTU.fullmatch(text.text) is None or not SMALLEST_MTU <= int(text.text) <= LARGEST_MTU:
        problem = f"mtu {shown(text.text)} is no number from {SMALLEST_MTU} to {LARGEST_MTU}; write mtu: {DEFAULT_MTU}"
        raise section.mistake(text.place, problem)
    return int(text.text)


def _address(section: Section, text: Text, key: str) -> IPv4Address:
    try:
        return IPv4Address(text.text)
    except AddressValueError:
        problem = f"{key} {shown(text.text)} is no IPv4 address; write one such as 10.0.0.20"
        raise section.mistake(text.place, problem) from None


def _network(section: Section, text: Text, key: str, example: str) -> IPv4Network:
    try:
        if _CIDR.fullmatch(text.text) is None:
            raise ValueError
        network = IPv4Network(text.text, strict=False)
    except ValueError:
        problem = f"{key} {shown(text.text)} is no IPv4 range; write one such as {example}"
        raise section.mistake(text.place, problem) from None
    if str(network) != text.text:
        raise section.mistake(text.place, f"{key} {text.text} begins inside its range; write {network}")
    return network
