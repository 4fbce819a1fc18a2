"""Create, list, show, change and delete VPCs and subnets of the built-in directory.

A rule that depends on what else there is, is checked in the transaction that writes, against one snapshot: a service or
an endpoint that comes at the same moment is seen, or sees the change itself. In a lab a subnet is wired before the
answer is given, and changes of networks take turns, so that what replaces a thing never meets it on the wire.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network

from landbridge.control.gateway_following import FollowingGateways
from landbridge.control.network_protocols import NetworkWiring
from landbridge.control.network_rules import (
    NetworkPage,
    check_room,
    made_count,
    named,
    named_uses,
    own_subnet,
    own_vpc,
    page_of,
    refuse_lab_file,
    refuse_reserved_range,
)
from landbridge.control.protocols import Clock, ReadTransaction, Store, WriteTransaction
from landbridge.domain.gateways import overlap
from landbridge.domain.ids import IdSource, ProjectId, SubnetId, VpcId
from landbridge.domain.network_errors import (
    InvalidSubnet,
    InvalidVpc,
    RangeLeadsOut,
    SubnetHasPorts,
    SubnetInUse,
    SubnetOfAnotherVpc,
    VpcHasRouteTables,
    VpcHasSubnets,
    VpcInUse,
    VpcRangeTooSmall,
    WiringFailed,
)
from landbridge.domain.networking import (
    SUBNET_LIMIT,
    VPC_LIMIT,
    check_address,
    check_gateway,
    check_name,
    check_network_description,
    check_subnet_range,
    check_vpc_range,
    default_route_table,
)
from landbridge.domain.resources import Caller, Origin, Route, RouteTable, Subnet, Vpc, WayOut
from landbridge.domain.validation import RESERVED_RANGE

DNS_SERVER_LIMIT = 5


@dataclass(frozen=True, slots=True)
class NewVpc:
    """What somebody asks for, types checked, rules not yet."""

    name: str
    cidr: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class VpcChanges:
    """What is to change; None leaves it as it is."""

    name: str | None = None
    description: str | None = None
    cidr: str | None = None


@dataclass(frozen=True, slots=True)
class ShownVpc:
    """A VPC with the custom routes of all its route tables."""

    vpc: Vpc
    routes: tuple[Route, ...]


@dataclass(frozen=True, slots=True)
class NewSubnet:
    """What somebody asks for, types checked, rules not yet."""

    vpc_id: VpcId
    name: str
    cidr: str
    gateway: str | None = None
    description: str = ""
    dhcp_enabled: bool = True
    dns_servers: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class SubnetChanges:
    """What is to change; None leaves it as it is."""

    name: str | None = None
    description: str | None = None
    dhcp_enabled: bool | None = None
    dns_servers: Sequence[str] | None = None


class Networks:
    """The use cases of VPCs and subnets."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        ids: IdSource,
        wiring: NetworkWiring,
        turn: asyncio.Lock,
        gateways: FollowingGateways,
    ) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._wiring = wiring
        self._turn = turn
        self._gateways = gateways

    async def create_vpc(self, caller: Caller, wish: NewVpc) -> ShownVpc:
        """Store a new VPC with its default route table.

        Raises:
            InvalidVpc, InvalidVpcRange: a field is wrong.
            TooManyNetworks: the project has as many VPCs as it may have.
        """
        now = self._clock.now()
        vpc = Vpc(
            id=VpcId(self._ids.new()),
            project_id=caller.project_id,
            name=check_name(wish.name, InvalidVpc, shortest=0),
            cidr=check_vpc_range(wish.cidr),
            description=check_network_description(wish.description, InvalidVpc),
            origin=Origin.API,
            created_at=now,
            updated_at=now,
        )

        def work(tx: WriteTransaction) -> None:
            check_room(made_count(tx.vpcs_of(caller.project_id)), VPC_LIMIT, "VPCs")
            tx.put_vpc(vpc)
            tx.put_route_table(default_route_table(vpc))

        await self._store.write(work)
        return ShownVpc(vpc, ())

    async def vpcs(self, project_id: ProjectId, page: NetworkPage, id_: str | None = None) -> Sequence[ShownVpc]:
        """Return one page of a project's VPCs, by id."""

        def look(tx: ReadTransaction) -> tuple[Sequence[Vpc], Sequence[RouteTable]]:
            return tx.vpcs_of(project_id), tx.route_tables_of(project_id)

        vpcs, tables = await self._store.read(look)
        chosen = page_of([vpc for vpc in vpcs if id_ in {None, vpc.id}], page)
        return [ShownVpc(vpc, _routes_of(vpc, tables)) for vpc in chosen]

    async def show_vpc(self, project_id: ProjectId, id_: VpcId) -> ShownVpc:
        """Return one VPC of a project.

        Raises:
            NoSuchVpc: unknown, or of another project.
        """

        def look(tx: ReadTransaction) -> ShownVpc:
            vpc = own_vpc(tx, project_id, id_)
            return ShownVpc(vpc, _routes_of(vpc, tx.route_tables(id_)))

        return await self._store.read(look)

    async def update_vpc(self, project_id: ProjectId, id_: VpcId, changes: VpcChanges) -> ShownVpc:
        """Change a VPC's name, description or range.

        Raises:
            NoSuchVpc: unknown, or of another project.
            FromLabFile: the lab file describes it.
            InvalidVpc, InvalidVpcRange, VpcRangeTooSmall: a field is wrong.
            RangeLeadsOut: a gateway endpoint of the VPC leads to a part of the new range.
        """
        name = None if changes.name is None else check_name(changes.name, InvalidVpc, shortest=0)
        description = (
            None if changes.description is None else check_network_description(changes.description, InvalidVpc)
        )
        cidr = None if changes.cidr is None else check_vpc_range(changes.cidr)
        now = self._clock.now()

        def work(tx: WriteTransaction) -> ShownVpc:
            before = own_vpc(tx, project_id, id_)
            refuse_lab_file(before.origin, f"VPC {id_}")
            if cidr is not None:
                for subnet in tx.subnets(id_):
                    if not subnet.cidr.subnet_of(cidr):
                        raise VpcRangeTooSmall(
                            f"cidr {cidr} leaves out {subnet.cidr} of subnet {subnet.id}: choose a range around it"
                        )
                _refuse_range_that_leads_out(tx, id_, cidr)
            vpc = replace(
                before,
                name=before.name if name is None else name,
                description=before.description if description is None else description,
                cidr=cidr or before.cidr,
                updated_at=now,
            )
            tx.put_vpc(vpc)
            return ShownVpc(vpc, _routes_of(vpc, tx.route_tables(id_)))

        return await self._store.write(work)

    async def delete_vpc(self, project_id: ProjectId, id_: VpcId) -> None:
        """Delete a VPC without subnets.

        Raises:
            NoSuchVpc: unknown, or of another project.
            FromLabFile: the lab file describes it.
            VpcHasSubnets, VpcHasRouteTables, VpcInUse: named in the message.
        """

        def work(tx: WriteTransaction) -> None:
            vpc = own_vpc(tx, project_id, id_)
            refuse_lab_file(vpc.origin, f"VPC {id_}")
            if subnets := tx.subnets(id_):
                raise VpcHasSubnets(
                    f"VPC {id_} has subnets ({named(subnet.id for subnet in subnets)}): delete them first"
                )
            if tables := [table for table in tx.route_tables(id_) if not table.is_default]:
                raise VpcHasRouteTables(
                    f"VPC {id_} has route tables ({named(table.id for table in tables)}): delete them first"
                )
            if uses := tx.uses_of_vpc(id_):
                raise VpcInUse(f"VPC {id_} is used by {named_uses(uses)}: delete that first")
            tx.remove_vpc(id_)

        async with self._turn:
            await self._store.write(work)
            await self._wiring.remove(id_)

    async def create_subnet(self, caller: Caller, wish: NewSubnet) -> Subnet:
        """Store a new subnet; in a lab it is wired when this returns.

        Raises:
            NoSuchVpc: unknown, or of another project.
            InvalidSubnet, InvalidSubnetRange, SubnetOutsideVpc, SubnetOverlap: a field is wrong.
            ReservedRange: it overlaps 198.19.128.0/17, and the VPC has services or endpoints.
            TooManyNetworks: the project has as many subnets as it may have.
            WiringFailed: the lab could not wire it; it has not been made.
        """
        subnet_id = SubnetId(self._ids.new())
        name = check_name(wish.name, InvalidSubnet)
        description = check_network_description(wish.description, InvalidSubnet)
        dns_servers = _dns_servers(wish.dns_servers)
        now = self._clock.now()

        def work(tx: WriteTransaction) -> Subnet:
            vpc = own_vpc(tx, caller.project_id, wish.vpc_id)
            check_room(made_count(tx.subnets_of(caller.project_id)), SUBNET_LIMIT, "subnets")
            cidr = check_subnet_range(wish.cidr, vpc, tx.subnets(vpc.id))
            if cidr.overlaps(RESERVED_RANGE):
                refuse_reserved_range(f"cidr {cidr}", vpc, tx.uses_of_vpc(vpc.id))
            subnet = Subnet(
                id=subnet_id,
                vpc_id=vpc.id,
                name=name,
                cidr=cidr,
                gateway=check_gateway(wish.gateway, cidr),
                description=description,
                dhcp_enabled=wish.dhcp_enabled,
                dns_servers=dns_servers,
                origin=Origin.API,
                created_at=now,
                updated_at=now,
            )
            tx.put_subnet(subnet)
            return subnet

        async with self._turn:
            subnet = await self._store.write(work)
            try:
                await self._wiring.attach(subnet)
            except WiringFailed:
                await self._wiring.detach(subnet)
                await self._store.write(lambda tx: _forget_if_unused(tx, subnet_id))
                raise
            # Only now: a data plane that is told of a subnet before it is wired gives up the whole endpoint.
            await self._gateways.let_in(subnet)
        return subnet

    async def subnets(self, project_id: ProjectId, page: NetworkPage, vpc_id: str | None = None) -> Sequence[Subnet]:
        """Return one page of a project's subnets, by id."""
        subnets = await self._store.read(lambda tx: tx.subnets_of(project_id))
        return page_of([subnet for subnet in subnets if vpc_id in {None, subnet.vpc_id}], page)

    async def show_subnet(self, project_id: ProjectId, id_: SubnetId) -> Subnet:
        """Return one subnet of a project.

        Raises:
            NoSuchSubnet: unknown, or of another project.
        """
        return await self._store.read(lambda tx: own_subnet(tx, project_id, id_))

    async def update_subnet(
        self, project_id: ProjectId, vpc_id: VpcId, id_: SubnetId, changes: SubnetChanges
    ) -> Subnet:
        """Change what of a subnet is no matter of wiring.

        Raises:
            NoSuchSubnet: unknown, or of another project.
            SubnetOfAnotherVpc: it is not in this VPC.
            FromLabFile: the lab file describes it.
            InvalidSubnet: a field is wrong.
        """
        name = None if changes.name is None else check_name(changes.name, InvalidSubnet)
        description = (
            None if changes.description is None else check_network_description(changes.description, InvalidSubnet)
        )
        dns_servers = None if changes.dns_servers is None else _dns_servers(changes.dns_servers)
        now = self._clock.now()

        def work(tx: WriteTransaction) -> Subnet:
            before = _changeable_subnet(tx, project_id, vpc_id, id_)
            subnet = replace(
                before,
                name=before.name if name is None else name,
                description=before.description if description is None else description,
                dhcp_enabled=before.dhcp_enabled if changes.dhcp_enabled is None else changes.dhcp_enabled,
                dns_servers=before.dns_servers if dns_servers is None else dns_servers,
                updated_at=now,
            )
            tx.put_subnet(subnet)
            return subnet

        return await self._store.write(work)

    async def delete_subnet(self, project_id: ProjectId, vpc_id: VpcId, id_: SubnetId) -> None:
        """Delete a subnet that nobody uses.

        Raises:
            NoSuchSubnet: unknown, or of another project.
            SubnetOfAnotherVpc: it is not in this VPC.
            FromLabFile: the lab file describes it.
            SubnetHasPorts, SubnetInUse: named in the message.
        """

        def work(tx: WriteTransaction) -> Subnet:
            subnet = _changeable_subnet(tx, project_id, vpc_id, id_)
            if nics := tx.nics_in(id_):
                raise SubnetHasPorts(f"subnet {id_} has ports ({named(nic.id for nic in nics)}): delete them first")
            if uses := tx.uses_of_subnet(id_):
                raise SubnetInUse(f"subnet {id_} is used by {named_uses(uses)}: delete that first")
            tx.remove_subnet(id_)
            return subnet

        async with self._turn:
            subnet = await self._gateways.change(vpc_id, work)
            await self._wiring.detach(subnet)


def _routes_of(vpc: Vpc, tables: Iterable[RouteTable]) -> tuple[Route, ...]:
    return tuple(route for table in tables if table.vpc_id == vpc.id for route in table.routes)


def _refuse_range_that_leads_out(tx: ReadTransaction, vpc_id: VpcId, cidr: IPv4Network) -> None:
    for endpoint in tx.gateway_endpoints(vpc_id):
        service = tx.service(endpoint.service_id)
        way_out = None if service is None else service.backend
        common = overlap(way_out.networks, [cidr]) if isinstance(way_out, WayOut) else None
        if common is not None:
            raise RangeLeadsOut(
                f"cidr {cidr} overlaps {common}, to which gateway endpoint {endpoint.id} leads: "
                "choose another range, or delete the endpoint first"
            )


def _changeable_subnet(tx: ReadTransaction, project_id: ProjectId, vpc_id: VpcId, id_: SubnetId) -> Subnet:
    subnet = own_subnet(tx, project_id, id_)
    if subnet.vpc_id != vpc_id:
        raise SubnetOfAnotherVpc(f"subnet {id_} is in VPC {subnet.vpc_id}: write that into the path")
    refuse_lab_file(subnet.origin, f"subnet {id_}")
    return subnet


def _forget_if_unused(tx: WriteTransaction, id_: SubnetId) -> None:
    """Undo a creation, unless somebody has found the subnet meanwhile: then the next start wires it."""
    if not tx.nics_in(id_) and not tx.uses_of_subnet(id_):
        tx.remove_subnet(id_)


def _dns_servers(servers: Sequence[str]) -> tuple[IPv4Address, ...]:
    if len(servers) > DNS_SERVER_LIMIT:
        raise InvalidSubnet(f"dnsList has {len(servers)} servers: at most {DNS_SERVER_LIMIT} are allowed")
    return tuple(dict.fromkeys(check_address(server, "dnsList", InvalidSubnet) for server in servers))
