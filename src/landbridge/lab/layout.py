"""Derive ids, names and the fabric from a checked lab.

Ids depend on the region and on names only, never on the order of the file or on chance: scripts may rely on them,
and a server that is started again finds its own things. A host keeps its port_id when its address changes; a virtual
IP is its address. Records are made here and stored elsewhere.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from uuid import UUID, uuid5

from landbridge.control.public_services import PublicOffer
from landbridge.dataplane.fabric import Fabric, FabricSubnet, Host, namespace_name
from landbridge.dataplane.model import Attachment
from landbridge.domain.ids import DomainId, NicId, ProjectId, ServiceId, SubnetId, VpcId
from landbridge.domain.networking import default_route_table_id, mac_of
from landbridge.domain.resources import Nic, QuotaType, ServiceType, Subnet, Vpc, WayOut
from landbridge.lab.records import HostEntry, Lab, PublicServiceEntry, SubnetEntry, VpcEntry

_LANDBRIDGE = UUID("13dc9740-cd22-406d-aeba-7ab4056b6eef")
"""The namespace of all lab ids. Another value would rename every lab there is."""


@dataclass(frozen=True, slots=True)
class LabProject:
    """A project with its ids."""

    id: ProjectId
    name: str
    domain_id: DomainId
    domain_name: str


@dataclass(frozen=True, slots=True)
class LabUser:
    """A user with ids and secrets, who has `roles` in one project."""

    id: str
    name: str
    domain_id: DomainId
    domain_name: str
    project_id: ProjectId
    project_name: str
    password: str = field(repr=False)
    roles: frozenset[str]
    access_key: str | None = None
    secret_key: str | None = field(default=None, repr=False)
    """None exactly when `access_key` is."""


def projects(lab: Lab) -> tuple[LabProject, ...]:
    """Return the projects, in the order of the file."""
    return tuple(
        LabProject(
            id=_project_id(lab, project.name),
            name=project.name,
            domain_id=_domain_id(lab, project.domain),
            domain_name=project.domain,
        )
        for project in lab.projects
    )


def quotas(lab: Lab) -> Mapping[ProjectId, Mapping[QuotaType, int]]:
    """Return the quotas that the file names, of every project; those of most projects are none."""
    return {_project_id(lab, project.name): project.quotas for project in lab.projects}


def users(lab: Lab) -> tuple[LabUser, ...]:
    """Return the users of all projects, in the order of the file."""
    return tuple(
        LabUser(
            id=_uuid(lab, "user", project.domain, user.name).hex,
            name=user.name,
            domain_id=_domain_id(lab, project.domain),
            domain_name=project.domain,
            project_id=_project_id(lab, project.name),
            project_name=project.name,
            password=user.password,
            roles=user.roles,
            access_key=user.access_key,
            secret_key=user.secret_key,
        )
        for project in lab.projects
        for user in project.users
    )


def vpcs(lab: Lab) -> tuple[Vpc, ...]:
    """Return the VPCs, in the order of the file, and the public network, which belongs to a project of nobody's."""
    return tuple(
        Vpc(
            id=_vpc_id(lab, vpc),
            project_id=_project_id(lab, vpc.project),
            name=vpc.name,
            cidr=vpc.cidr,
            routes=vpc.routes,
        )
        for vpc in _networks(lab)
    )


def subnets(lab: Lab) -> tuple[Subnet, ...]:
    """Return the subnets of all VPCs, in the order of the file."""
    return tuple(
        Subnet(
            id=_subnet_id(lab, vpc, subnet),
            vpc_id=_vpc_id(lab, vpc),
            name=subnet.name,
            cidr=subnet.cidr,
            gateway=subnet.gateway,
            mtu=subnet.mtu,
        )
        for vpc, subnet in _subnets(lab)
    )


def nics(lab: Lab) -> tuple[Nic, ...]:
    """Return the NICs of all hosts, each followed by the virtual IPs that the host carries."""
    found: list[Nic] = []
    for vpc, subnet, host in _hosts(lab):
        found.append(_nic(lab, vpc, subnet, host))
        found.extend(_vip_nic(lab, vpc, subnet, host, vip) for vip in host.vips)
    return tuple(found)


def public_services(lab: Lab) -> tuple[PublicOffer, ...]:
    """Return the services that are offered to everybody, in the order of the file."""
    places = {host.name: (vpc, subnet, host) for vpc, subnet, host in _hosts(lab)}
    domains = {"": _domain_id(lab, "")} | {project.name: _domain_id(lab, project.domain) for project in lab.projects}
    offers: list[PublicOffer] = []
    for service in lab.public_services:
        if isinstance(service, PublicServiceEntry):
            vpc, subnet, host = places[service.host]
            kind, place, ports = "public-service", _nic(lab, vpc, subnet, host), service.ports
        else:
            vpc = lab.public
            assert vpc is not None  # noqa: S101 - a file with a gateway service has a public network
            # Another kind of id: a service that becomes a gateway is another service.
            kind, place, ports = "public-gateway", WayOut(_subnet_id(lab, vpc, vpc.subnets[0]), service.cidrs), ()
        offers.append(
            PublicOffer(
                id=ServiceId(str(_uuid(lab, kind, vpc.project, service.name))),
                name=service.name,
                owner=service.owner,
                project_id=_project_id(lab, vpc.project),
                domain_id=domains[vpc.project],
                vpc_id=_vpc_id(lab, vpc),
                place=place,
                ports=ports,
            )
        )
    return tuple(offers)


def fabric(lab: Lab) -> Fabric:
    """Return what is to be wired: every subnet with the edge's interface and its hosts."""
    return Fabric(
        region=lab.region,
        subnets=tuple(
            FabricSubnet(
                attachment=Attachment(
                    vpc_id=_vpc_id(lab, vpc),
                    subnet_id=_subnet_id(lab, vpc, subnet),
                    cidr=subnet.cidr,
                    gateway=subnet.gateway,
                    mtu=subnet.mtu,
                ),
                hosts=tuple(
                    Host(
                        name=host.name,
                        namespace=namespace_name(lab.region, host.name),
                        address=host.ip,
                        virtual_addresses=host.vips,
                        mtu=host.mtu,
                        mac=mac_of(_nic(lab, vpc, subnet, host).id),
                    )
                    for host in subnet.hosts
                ),
            )
            for vpc, subnet in _subnets(lab)
        ),
    )


def show(lab: Lab) -> dict[str, object]:
    """Return every id and namespace, as `landbridge lab show --json` prints it. No secrets."""
    user_ids: dict[str, dict[str, object]] = {project.name: {} for project in lab.projects}
    for user in users(lab):
        user_ids[user.project_name][user.name] = {"user_id": user.id, "roles": sorted(user.roles)}
    return {
        "region": lab.region,
        "projects": {
            project.name: {
                "project_id": project.id,
                "domain_id": project.domain_id,
                "domain": project.domain_name,
                "users": user_ids[project.name],
            }
            for project in projects(lab)
        },
        "vpcs": {
            vpc.name: {"vpc_id": _vpc_id(lab, vpc), "project": vpc.project, "cidr": str(vpc.cidr)} for vpc in lab.vpcs
        },
        "subnets": {
            f"{vpc.name}/{subnet.name}": {
                "subnet_id": _subnet_id(lab, vpc, subnet),
                "vpc_id": _vpc_id(lab, vpc),
                "cidr": str(subnet.cidr),
                "gateway": str(subnet.gateway),
                "mtu": subnet.mtu,
            }
            for vpc, subnet in _subnets(lab)
            if vpc is not lab.public
        },
        "routetables": {
            vpc.name: {"routetable_id": default_route_table_id(_vpc_id(lab, vpc)), "vpc_id": _vpc_id(lab, vpc)}
            for vpc in lab.vpcs
        },
        **({} if lab.public is None else {"public": _shown_public(lab, lab.public)}),
        "hosts": {
            host.name: {
                **_shown_nic(_nic(lab, vpc, subnet, host)),
                "namespace": namespace_name(lab.region, host.name),
            }
            for vpc, subnet, host in _hosts(lab)
        },
        "vips": {
            nic.name: {**_shown_nic(nic), "host": host.name}
            for vpc, subnet, host in _hosts(lab)
            for nic in (_vip_nic(lab, vpc, subnet, host, vip) for vip in host.vips)
        },
        "public_services": {
            offer.name: {
                "service_id": offer.id,
                "type": (ServiceType.GATEWAY if isinstance(offer.place, WayOut) else ServiceType.INTERFACE).value,
                "owner": offer.owner,
                "project_id": offer.project_id,
                **_shown_place(offer.place),
            }
            for offer in public_services(lab)
        },
    }


def _shown_public(lab: Lab, public: VpcEntry) -> dict[str, object]:
    subnet = public.subnets[0]
    return {
        "vpc_id": _vpc_id(lab, public),
        "subnet_id": _subnet_id(lab, public, subnet),
        "cidr": str(subnet.cidr),
        "gateway": str(subnet.gateway),
    }


def _shown_place(place: Nic | WayOut) -> dict[str, object]:
    if isinstance(place, WayOut):
        return {"cidrs": [str(network) for network in place.networks], "subnet_id": place.subnet_id}
    return {"port_id": place.id, "host": place.name}


def show_table(lab: Lab) -> str:
    """Return the same for people: one table per kind of thing, lines without spaces at their ends."""
    project_rows = [(project.name, project.domain_name, project.id, project.domain_id) for project in projects(lab)]
    vpc_rows = [(vpc.name, vpc.project, str(vpc.cidr), _vpc_id(lab, vpc)) for vpc in lab.vpcs]
    subnet_rows = [
        (_where(vpc, subnet), str(subnet.cidr), str(subnet.gateway), _subnet_id(lab, vpc, subnet))
        for vpc, subnet in _subnets(lab)
    ]
    table_rows = [(vpc.name, default_route_table_id(_vpc_id(lab, vpc))) for vpc in lab.vpcs]
    host_rows: list[tuple[str, ...]] = []
    vip_rows: list[tuple[str, ...]] = []
    for vpc, subnet, host in _hosts(lab):
        where = _where(vpc, subnet)
        nic = _nic(lab, vpc, subnet, host)
        host_rows.append((host.name, where, str(host.ip), nic.id, namespace_name(lab.region, host.name)))
        vip_rows.extend(
            (vip_nic.name, where, vip_nic.id)
            for vip_nic in (_vip_nic(lab, vpc, subnet, host, vip) for vip in host.vips)
        )
    public_rows = [(offer.name, offer.owner, _leads_to(offer.place), offer.id) for offer in public_services(lab)]
    tables = (
        (("PROJECT", "DOMAIN", "PROJECT ID", "DOMAIN ID"), project_rows),
        (("VPC", "PROJECT", "RANGE", "VPC ID"), vpc_rows),
        (("SUBNET", "RANGE", "GATEWAY", "SUBNET ID"), subnet_rows),
        (("ROUTE TABLE OF", "ROUTE TABLE ID"), table_rows),
        (("HOST", "SUBNET", "ADDRESS", "PORT ID", "NAMESPACE"), host_rows),
        (("VIRTUAL IP", "SUBNET", "PORT ID"), vip_rows),
        (("PUBLIC SERVICE", "OWNER", "LEADS TO", "SERVICE ID"), public_rows),
    )
    return "\n\n".join([f"region {lab.region}", *(_table(head, rows) for head, rows in tables if rows)]) + "\n"


def _where(vpc: VpcEntry, subnet: SubnetEntry) -> str:
    """Return a subnet as tables show it; the public network is one subnet without a project."""
    return f"{vpc.name}/{subnet.name}" if vpc.project else vpc.name


def _leads_to(place: Nic | WayOut) -> str:
    return ", ".join(map(str, place.networks)) if isinstance(place, WayOut) else place.name


def _networks(lab: Lab) -> tuple[VpcEntry, ...]:
    return lab.vpcs if lab.public is None else (*lab.vpcs, lab.public)


def _subnets(lab: Lab) -> Iterator[tuple[VpcEntry, SubnetEntry]]:
    return ((vpc, subnet) for vpc in _networks(lab) for subnet in vpc.subnets)


def _hosts(lab: Lab) -> Iterator[tuple[VpcEntry, SubnetEntry, HostEntry]]:
    return ((vpc, subnet, host) for vpc, subnet in _subnets(lab) for host in subnet.hosts)


def _uuid(lab: Lab, kind: str, *names: str) -> UUID:
    # Of the names only a user's may contain a slash, and it comes last; and only that of the project which the public
    # network belongs to is empty. So two paths are never equal by accident.
    return uuid5(_LANDBRIDGE, "/".join((lab.region, kind, *names)))


def _project_id(lab: Lab, name: str) -> ProjectId:
    return ProjectId(_uuid(lab, "project", name).hex)


def _domain_id(lab: Lab, name: str) -> DomainId:
    return DomainId(_uuid(lab, "domain", name).hex)


def _vpc_id(lab: Lab, vpc: VpcEntry) -> VpcId:
    # The project is part of it, here and below: what passes to another tenant is another thing.
    return VpcId(str(_uuid(lab, "vpc", vpc.project, vpc.name)))


def _subnet_id(lab: Lab, vpc: VpcEntry, subnet: SubnetEntry) -> SubnetId:
    return SubnetId(str(_uuid(lab, "subnet", vpc.project, vpc.name, subnet.name)))


def _nic(lab: Lab, vpc: VpcEntry, subnet: SubnetEntry, host: HostEntry) -> Nic:
    return Nic(
        id=NicId(str(_uuid(lab, "port", vpc.project, vpc.name, subnet.name, host.name))),
        subnet_id=_subnet_id(lab, vpc, subnet),
        vpc_id=_vpc_id(lab, vpc),
        project_id=_project_id(lab, vpc.project),
        address=host.ip,
        name=host.name,
        host=host.name,
    )


def _vip_nic(lab: Lab, vpc: VpcEntry, subnet: SubnetEntry, host: HostEntry, vip: IPv4Address) -> Nic:
    # The host is not part of the id: a virtual IP that moves to another host stays the same backend.
    return Nic(
        id=NicId(str(_uuid(lab, "vip", vpc.project, vpc.name, subnet.name, str(vip)))),
        subnet_id=_subnet_id(lab, vpc, subnet),
        vpc_id=_vpc_id(lab, vpc),
        project_id=_project_id(lab, vpc.project),
        address=vip,
        name=f"{host.name}/{vip}",
        is_virtual_ip=True,
    )


def _shown_nic(nic: Nic) -> dict[str, object]:
    return {"port_id": nic.id, "ip": str(nic.address), "vpc_id": nic.vpc_id, "subnet_id": nic.subnet_id}


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in (head, *rows)
    )
