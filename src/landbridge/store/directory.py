"""Keep the tables of the built-in directory: VPCs, subnets, NICs, route tables.

A NIC's address is claimed in the same ledger as the endpoints' addresses, so neither can take the other's. What one
project asks for is looked up with the project in the query: another's thing is as absent as one that never was.
"""

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address

from sqlalchemy import BindParameter, Connection, Select, Table, bindparam, delete, func, insert, select, update

from landbridge.control.network_protocols import NetworkUse
from landbridge.domain.addressing import check_wanted_address, host_numbers
from landbridge.domain.errors import AddressTaken, SubnetFull
from landbridge.domain.ids import NicId, PoolId, ProjectId, RouteTableId, SubnetId, VpcId
from landbridge.domain.resources import Nic, Origin, RouteTable, Subnet, Vpc
from landbridge.store.claims import subnet_ledger
from landbridge.store.directory_rows import (
    nic_from_row,
    nic_values,
    route_table_from_row,
    route_table_values,
    subnet_from_row,
    subnet_values,
    vpc_from_row,
    vpc_values,
)
from landbridge.store.rows import AnyRow, Values
from landbridge.store.tables import endpoints, nics, route_tables, services, subnet_addresses, subnets, vpcs

USES_SHOWN = 5
"""How many users of a network are named; more would only make the message longer."""

_this_id: BindParameter[str] = bindparam("id")
_this_project: BindParameter[str] = bindparam("project_id")
_this_vpc: BindParameter[str] = bindparam("vpc_id")
_this_subnet: BindParameter[str] = bindparam("subnet_id")
_subnet_in_project = subnets.c.vpc_id.in_(select(vpcs.c.id).where(vpcs.c.project_id == _this_project))

_VPC = select(vpcs).where(vpcs.c.id == _this_id)
_VPC_OF = _VPC.where(vpcs.c.project_id == _this_project)
_VPCS_OF = select(vpcs).where(vpcs.c.project_id == _this_project).order_by(vpcs.c.id)
_ALL_VPCS = select(vpcs).order_by(vpcs.c.id)
_SUBNET = select(subnets).where(subnets.c.id == _this_id)
_SUBNET_OF = _SUBNET.where(_subnet_in_project)
_SUBNETS_OF = select(subnets).where(_subnet_in_project).order_by(subnets.c.id)
_SUBNETS_OF_VPC = select(subnets).where(subnets.c.vpc_id == _this_vpc).order_by(subnets.c.id)
_ALL_SUBNETS = select(subnets).order_by(subnets.c.id)
_NIC = select(nics).where(nics.c.id == _this_id)
_NIC_OF = _NIC.where(nics.c.project_id == _this_project)
_NICS_OF = select(nics).where(nics.c.project_id == _this_project).order_by(nics.c.id)
_NICS_IN = select(nics).where(nics.c.subnet_id == _this_subnet).order_by(nics.c.id)
_MADE_NIC_COUNT = select(func.count()).where(nics.c.project_id == _this_project, nics.c.origin == Origin.API.value)
_NIC_ON_HOST = select(nics).where(nics.c.host == bindparam("host"))
_ALL_NICS = select(nics).order_by(nics.c.id)
_ROUTE_TABLE_OF = select(route_tables).where(route_tables.c.id == _this_id, route_tables.c.project_id == _this_project)
_by_default_first = (route_tables.c.is_default.desc(), route_tables.c.id)
_ROUTE_TABLES = select(route_tables).where(route_tables.c.vpc_id == _this_vpc).order_by(*_by_default_first)
_ROUTE_TABLES_OF = select(route_tables).where(route_tables.c.project_id == _this_project).order_by(route_tables.c.id)
_SERVICES_IN_VPC = select(services.c.id).where(services.c.vpc_id == _this_id)
_ENDPOINTS_IN_VPC = select(endpoints.c.id).where(endpoints.c.vpc_id == _this_id)
_SERVICES_IN_SUBNET = select(services.c.id).where(services.c.backend_subnet_id == _this_id)
_ENDPOINTS_IN_SUBNET = select(endpoints.c.id).where(endpoints.c.subnet_id == _this_id)
_SERVICES_ON_NIC = select(services.c.id).where((services.c.nic_id == _this_id) | (services.c.vip_nic_id == _this_id))
_EDGE = "edge"
_EDGE_ADDRESSES = select(subnet_addresses).where(
    subnet_addresses.c.owner_kind == _EDGE, subnet_addresses.c.owner_id == bindparam("pool_id")
)
_ADDRESS_OWNER = select(subnet_addresses.c.owner_kind, subnet_addresses.c.owner_id).where(
    subnet_addresses.c.subnet_id == _this_id, subnet_addresses.c.address == bindparam("address")
)
_ORPHANS = select(subnet_addresses.c.subnet_id, subnet_addresses.c.address, subnet_addresses.c.owner_id).where(
    subnet_addresses.c.owner_kind == "nic", subnet_addresses.c.owner_id.not_in(select(nics.c.id))
)


class DirectoryReading:
    """The directory's part of a read transaction."""

    _connection: Connection

    def _one(self, statement: Select[*tuple[object, ...]], **values: object) -> AnyRow | None:
        return self._connection.execute(statement, values).one_or_none()

    def _all(self, statement: Select[*tuple[object, ...]], **values: object) -> Sequence[AnyRow]:
        return self._connection.execute(statement, values).all()

    def vpc(self, id_: VpcId) -> Vpc | None:
        """Return a VPC of the built-in directory."""
        row = self._one(_VPC, id=id_)
        return None if row is None else vpc_from_row(row)

    def vpcs(self) -> Sequence[Vpc]:
        """Return all VPCs of the built-in directory."""
        return [vpc_from_row(row) for row in self._all(_ALL_VPCS)]

    def vpc_of(self, project_id: ProjectId, id_: VpcId) -> Vpc | None:
        """Return a VPC of a project."""
        row = self._one(_VPC_OF, id=id_, project_id=project_id)
        return None if row is None else vpc_from_row(row)

    def vpcs_of(self, project_id: ProjectId) -> Sequence[Vpc]:
        """Return all VPCs of a project, by id."""
        return [vpc_from_row(row) for row in self._all(_VPCS_OF, project_id=project_id)]

    def subnet(self, id_: SubnetId) -> Subnet | None:
        """Return a subnet of the built-in directory."""
        row = self._one(_SUBNET, id=id_)
        return None if row is None else subnet_from_row(row)

    def subnets(self, vpc_id: VpcId | None = None) -> Sequence[Subnet]:
        """Return all subnets of one VPC, or of all VPCs, of the built-in directory."""
        rows = self._all(_ALL_SUBNETS) if vpc_id is None else self._all(_SUBNETS_OF_VPC, vpc_id=vpc_id)
        return [subnet_from_row(row) for row in rows]

    def subnet_of(self, project_id: ProjectId, id_: SubnetId) -> Subnet | None:
        """Return a subnet of a project."""
        row = self._one(_SUBNET_OF, id=id_, project_id=project_id)
        return None if row is None else subnet_from_row(row)

    def subnets_of(self, project_id: ProjectId) -> Sequence[Subnet]:
        """Return all subnets of a project, by id."""
        return [subnet_from_row(row) for row in self._all(_SUBNETS_OF, project_id=project_id)]

    def nic(self, id_: NicId) -> Nic | None:
        """Return a NIC or virtual IP of the built-in directory."""
        row = self._one(_NIC, id=id_)
        return None if row is None else nic_from_row(row)

    def nics(self) -> Sequence[Nic]:
        """Return all NICs and virtual IPs of the built-in directory."""
        return [nic_from_row(row) for row in self._all(_ALL_NICS)]

    def nic_of(self, project_id: ProjectId, id_: NicId) -> Nic | None:
        """Return a NIC or virtual IP of a project."""
        row = self._one(_NIC_OF, id=id_, project_id=project_id)
        return None if row is None else nic_from_row(row)

    def nics_of(self, project_id: ProjectId) -> Sequence[Nic]:
        """Return all NICs and virtual IPs of a project, by id."""
        return [nic_from_row(row) for row in self._all(_NICS_OF, project_id=project_id)]

    def made_nic_count(self, project_id: ProjectId) -> int:
        """Return how many NICs and virtual IPs of a project were made through the API."""
        return self._connection.execute(_MADE_NIC_COUNT, {"project_id": project_id}).scalar_one()

    def nics_in(self, subnet_id: SubnetId) -> Sequence[Nic]:
        """Return all NICs and virtual IPs of a subnet, by id."""
        return [nic_from_row(row) for row in self._all(_NICS_IN, subnet_id=subnet_id)]

    def nic_on_host(self, host: str) -> Nic | None:
        """Return the NIC of the lab's host of this name."""
        row = self._one(_NIC_ON_HOST, host=host)
        return None if row is None else nic_from_row(row)

    def route_table_of(self, project_id: ProjectId, id_: RouteTableId) -> RouteTable | None:
        """Return a route table of a project."""
        row = self._one(_ROUTE_TABLE_OF, id=id_, project_id=project_id)
        return None if row is None else route_table_from_row(row)

    def route_tables(self, vpc_id: VpcId) -> Sequence[RouteTable]:
        """Return the route tables of a VPC, the default one first."""
        return [route_table_from_row(row) for row in self._all(_ROUTE_TABLES, vpc_id=vpc_id)]

    def route_tables_of(self, project_id: ProjectId) -> Sequence[RouteTable]:
        """Return all route tables of a project, by id."""
        return [route_table_from_row(row) for row in self._all(_ROUTE_TABLES_OF, project_id=project_id)]

    def uses_of_vpc(self, id_: VpcId) -> Sequence[NetworkUse]:
        """Return some services and endpoints of a VPC, deleting ones included; empty: there are none."""
        return self._uses(id_, _SERVICES_IN_VPC, _ENDPOINTS_IN_VPC)

    def uses_of_subnet(self, id_: SubnetId) -> Sequence[NetworkUse]:
        """Return some services and endpoints that a subnet carries, deleting ones included; empty: there are none."""
        return self._uses(id_, _SERVICES_IN_SUBNET, _ENDPOINTS_IN_SUBNET)

    def uses_of_nic(self, id_: NicId) -> Sequence[NetworkUse]:
        """Return some services behind which a NIC or virtual IP stands, deleting ones included; empty: none."""
        return self._uses(id_, _SERVICES_ON_NIC, None)

    def _uses(
        self, id_: str, of_services: Select[*tuple[str]], of_endpoints: Select[*tuple[str]] | None
    ) -> Sequence[NetworkUse]:
        statements = [("endpoint service", of_services), ("endpoint", of_endpoints)]
        return [
            NetworkUse(kind, found)
            for kind, statement in statements
            if statement is not None
            for found in self._connection.execute(statement.limit(USES_SHOWN), {"id": id_}).scalars()
        ]


class DirectoryWriting(DirectoryReading):
    """The directory's part of a write transaction."""

    def put_vpc(self, vpc: Vpc) -> None:
        """Store a VPC in the built-in directory, or replace it."""
        put(self._connection, vpcs, vpc_values(vpc))

    def remove_vpc(self, id_: VpcId) -> None:
        """Forget a VPC and its route tables."""
        self._connection.execute(delete(route_tables).where(route_tables.c.vpc_id == id_))
        self._connection.execute(delete(vpcs).where(vpcs.c.id == id_))

    def put_subnet(self, subnet: Subnet) -> None:
        """Store a subnet in the built-in directory, or replace it."""
        put(self._connection, subnets, subnet_values(subnet))

    def remove_subnet(self, id_: SubnetId) -> None:
        """Forget a subnet. Addresses that endpoints still have in it stay theirs."""
        self._connection.execute(delete(subnets).where(subnets.c.id == id_))
        subnet_ledger.forget_freed(self._connection, id_)

    def claim_nic_address(self, nic_id: NicId, subnet: Subnet, wanted: IPv4Address | None) -> IPv4Address:
        """Reserve an address of the subnet for a NIC, `wanted` or a free one.

        Raises:
            AddressTaken: `wanted` is in use, by an endpoint, a NIC, or the gateway.
            AddressOutsideSubnet: `wanted` is no host address of the subnet.
            SubnetFull: no address is free.
        """
        if wanted is not None:
            check_wanted_address(subnet, wanted)
            subnet_ledger.claim(self._connection, subnet.id, wanted, "nic", nic_id)
            return wanted
        numbers = host_numbers(subnet.cidr)
        address = subnet_ledger.claim_any(self._connection, subnet.id, numbers, subnet.gateway, "nic", nic_id)
        if address is None:
            raise SubnetFull(f"subnet {subnet.cidr} has no free address: delete a port or use another subnet")
        return address

    def put_nic(self, nic: Nic) -> None:
        """Store a NIC in the built-in directory, or replace it, and claim its address.

        Raises:
            AddressTaken: an endpoint or another NIC has the address.
        """
        before = self.nic(nic.id)
        if before is not None and (before.subnet_id, before.address) != (nic.subnet_id, nic.address):
            self.free_nic_address(before)
        subnet_ledger.claim(self._connection, nic.subnet_id, nic.address, "nic", nic.id)
        put(self._connection, nics, nic_values(nic))

    def remove_nic(self, id_: NicId) -> None:
        """Forget a NIC and free its address."""
        nic = self.nic(id_)
        if nic is not None:
            self.forget_nic(id_)
            self.free_nic_address(nic)

    def forget_nic(self, id_: NicId) -> None:
        """Forget a NIC, and keep its address for it until `free_nic_address`: something may still answer there."""
        self._connection.execute(delete(nics).where(nics.c.id == id_))

    def free_nic_address(self, nic: Nic) -> None:
        """Free the address of a NIC that is forgotten."""
        subnet_ledger.free(self._connection, nic.subnet_id, nic.address, "nic", nic.id)

    def free_addresses_of_forgotten_nics(self) -> None:
        """Free what `forget_nic` has kept; for a start, when nothing of theirs is wired any more."""
        for subnet_id, address, owner in self._connection.execute(_ORPHANS).all():
            subnet_ledger.free(self._connection, subnet_id, address, "nic", owner)

    def claim_edge_addresses(self, pool_id: PoolId, addresses: Mapping[SubnetId, IPv4Address]) -> None:
        """Reserve the addresses that a pool's edges have in attached subnets, and free all others that they had.

        Raises:
            AddressTaken: an endpoint or a NIC has one; the message names it.
        """
        for row in self._connection.execute(_EDGE_ADDRESSES, {"pool_id": pool_id}).all():
            if addresses.get(SubnetId(row.subnet_id)) != row.address:
                subnet_ledger.free(self._connection, row.subnet_id, row.address, _EDGE, pool_id)
        for subnet_id, address in addresses.items():
            try:
                subnet_ledger.claim(self._connection, subnet_id, address, _EDGE, pool_id)
            except AddressTaken as error:
                owner = self._connection.execute(_ADDRESS_OWNER, {"id": subnet_id, "address": address}).one()
                raise AddressTaken(
                    f"{address} in subnet {subnet_id} belongs to {owner.owner_kind} {owner.owner_id}: "
                    "choose another address for the edge, or delete that first"
                ) from error

    def put_route_table(self, table: RouteTable) -> None:
        """Store a route table, or replace it."""
        put(self._connection, route_tables, route_table_values(table))

    def remove_route_table(self, id_: RouteTableId) -> None:
        """Forget a route table."""
        self._connection.execute(delete(route_tables).where(route_tables.c.id == id_))


def put(connection: Connection, table: Table, values: Values) -> None:
    """Replace the row with this id, or add it."""
    if connection.execute(update(table).where(table.c.id == values["id"]).values(values)).rowcount == 0:
        connection.execute(insert(table), values)
