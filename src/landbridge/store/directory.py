"""Keep the tables of the built-in directory: VPCs, subnets, NICs.

A NIC's address is claimed in the same ledger as the endpoints' addresses, so neither can take the other's.
"""

from collections.abc import Sequence
from ipaddress import IPv4Network

from sqlalchemy import Connection, Table, bindparam, delete, insert, select, update

from landbridge.domain.ids import NicId, SubnetId, VpcId
from landbridge.domain.resources import Nic, Subnet, Vpc
from landbridge.store.claims import subnet_ledger
from landbridge.store.rows import AnyRow, Values
from landbridge.store.tables import nics, subnets, vpcs

_VPC = select(vpcs).where(vpcs.c.id == bindparam("id"))
_SUBNET = select(subnets).where(subnets.c.id == bindparam("id"))
_SUBNETS_OF_VPC = select(subnets).where(subnets.c.vpc_id == bindparam("vpc_id")).order_by(subnets.c.id)
_NIC = select(nics).where(nics.c.id == bindparam("id"))
_ALL_VPCS = select(vpcs).order_by(vpcs.c.id)
_ALL_SUBNETS = select(subnets).order_by(subnets.c.id)
_ALL_NICS = select(nics).order_by(nics.c.id)


class DirectoryReading:
    """The directory's part of a read transaction."""

    _connection: Connection

    def vpc(self, id_: VpcId) -> Vpc | None:
        """Return a VPC of the built-in directory."""
        row = self._connection.execute(_VPC, {"id": id_}).one_or_none()
        return None if row is None else _vpc(row)

    def vpcs(self) -> Sequence[Vpc]:
        """Return all VPCs of the built-in directory."""
        return [_vpc(row) for row in self._connection.execute(_ALL_VPCS)]

    def subnet(self, id_: SubnetId) -> Subnet | None:
        """Return a subnet of the built-in directory."""
        row = self._connection.execute(_SUBNET, {"id": id_}).one_or_none()
        return None if row is None else _subnet(row)

    def subnets(self, vpc_id: VpcId | None = None) -> Sequence[Subnet]:
        """Return all subnets of one VPC, or of all VPCs, of the built-in directory."""
        if vpc_id is None:
            return [_subnet(row) for row in self._connection.execute(_ALL_SUBNETS)]
        return [_subnet(row) for row in self._connection.execute(_SUBNETS_OF_VPC, {"vpc_id": vpc_id})]

    def nic(self, id_: NicId) -> Nic | None:
        """Return a NIC or virtual IP of the built-in directory."""
        row = self._connection.execute(_NIC, {"id": id_}).one_or_none()
        return None if row is None else _nic(row)

    def nics(self) -> Sequence[Nic]:
        """Return all NICs and virtual IPs of the built-in directory."""
        return [_nic(row) for row in self._connection.execute(_ALL_NICS)]


class DirectoryWriting(DirectoryReading):
    """The directory's part of a write transaction."""

    def put_vpc(self, vpc: Vpc) -> None:
        """Store a VPC in the built-in directory, or replace it."""
        values: Values = {
            "id": vpc.id,
            "project_id": vpc.project_id,
            "name": vpc.name,
            "cidr": str(vpc.cidr),
            "routes": [str(route) for route in vpc.routes],
        }
        put(self._connection, vpcs, values)

    def remove_vpc(self, id_: VpcId) -> None:
        """Forget a VPC."""
        self._connection.execute(delete(vpcs).where(vpcs.c.id == id_))

    def put_subnet(self, subnet: Subnet) -> None:
        """Store a subnet in the built-in directory, or replace it."""
        values: Values = {
            "id": subnet.id,
            "vpc_id": subnet.vpc_id,
            "name": subnet.name,
            "cidr": str(subnet.cidr),
            "gateway": subnet.gateway,
            "mtu": subnet.mtu,
        }
        put(self._connection, subnets, values)

    def remove_subnet(self, id_: SubnetId) -> None:
        """Forget a subnet. Addresses that endpoints still have in it stay theirs."""
        self._connection.execute(delete(subnets).where(subnets.c.id == id_))
        subnet_ledger.forget_freed(self._connection, id_)

    def put_nic(self, nic: Nic) -> None:
        """Store a NIC in the built-in directory, or replace it, and claim its address.

        Raises:
            AddressTaken: an endpoint or another NIC has the address.
        """
        before = self.nic(nic.id)
        if before is not None and (before.subnet_id, before.address) != (nic.subnet_id, nic.address):
            subnet_ledger.free(self._connection, before.subnet_id, before.address, "nic", nic.id)
        subnet_ledger.claim(self._connection, nic.subnet_id, nic.address, "nic", nic.id)
        values: Values = {
            "id": nic.id,
            "subnet_id": nic.subnet_id,
            "vpc_id": nic.vpc_id,
            "project_id": nic.project_id,
            "address": nic.address,
            "name": nic.name,
            "is_virtual_ip": nic.is_virtual_ip,
        }
        put(self._connection, nics, values)

    def remove_nic(self, id_: NicId) -> None:
        """Forget a NIC and free its address."""
        nic = self.nic(id_)
        if nic is not None:
            self._connection.execute(delete(nics).where(nics.c.id == id_))
            subnet_ledger.free(self._connection, nic.subnet_id, nic.address, "nic", id_)


def put(connection: Connection, table: Table, values: Values) -> None:
    """Replace the row with this id, or add it."""
    if connection.execute(update(table).where(table.c.id == values["id"]).values(values)).rowcount == 0:
        connection.execute(insert(table), values)


def _vpc(row: AnyRow) -> Vpc:
    routes = tuple(IPv4Network(route) for route in row.routes)
    return Vpc(id=row.id, project_id=row.project_id, name=row.name, cidr=IPv4Network(row.cidr), routes=routes)


def _subnet(row: AnyRow) -> Subnet:
    return Subnet(
        id=row.id,
        vpc_id=row.vpc_id,
        name=row.name,
        cidr=IPv4Network(row.cidr),
        gateway=row.gateway,
        mtu=row.mtu,
    )


def _nic(row: AnyRow) -> Nic:
    return Nic(
        id=row.id,
        subnet_id=row.subnet_id,
        vpc_id=row.vpc_id,
        project_id=row.project_id,
        address=row.address,
        name=row.name,
        is_virtual_ip=row.is_virtual_ip,
    )
