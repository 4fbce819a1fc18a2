"""Say what the use cases of the VPC API need from the world: the directory's tables, and whoever wires a lab."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Protocol

from landbridge.dataplane.fabric import Host
from landbridge.domain.ids import NicId, PoolId, ProjectId, RouteTableId, SubnetId, VpcId
from landbridge.domain.resources import Nic, RouteTable, Subnet, Vpc


@dataclass(frozen=True, slots=True)
class NetworkUse:
    """Who uses a network."""

    kind: str
    """`endpoint service` or `endpoint`."""
    id: str


class NetworkReading(Protocol):
    """The VPC API's part of a look at the database. A foreign thing is as absent as one that never was."""

    def vpc_of(self, project_id: ProjectId, id_: VpcId) -> Vpc | None:
        """Return a VPC of a project."""
        ...

    def vpcs_of(self, project_id: ProjectId) -> Sequence[Vpc]:
        """Return all VPCs of a project, by id."""
        ...

    def subnet_of(self, project_id: ProjectId, id_: SubnetId) -> Subnet | None:
        """Return a subnet of a project."""
        ...

    def subnets_of(self, project_id: ProjectId) -> Sequence[Subnet]:
        """Return all subnets of a project, by id."""
        ...

    def nic_of(self, project_id: ProjectId, id_: NicId) -> Nic | None:
        """Return a NIC or virtual IP of a project."""
        ...

    def nics_of(self, project_id: ProjectId) -> Sequence[Nic]:
        """Return all NICs and virtual IPs of a project, by id."""
        ...

    def made_nic_count(self, project_id: ProjectId) -> int:
        """Return how many NICs and virtual IPs of a project were made through the API."""
        ...

    def nics_in(self, subnet_id: SubnetId) -> Sequence[Nic]:
        """Return all NICs and virtual IPs of a subnet, by id."""
        ...

    def nic_on_host(self, host: str) -> Nic | None:
        """Return the NIC of the lab's host of this name."""
        ...

    def route_table_of(self, project_id: ProjectId, id_: RouteTableId) -> RouteTable | None:
        """Return a route table of a project."""
        ...

    def route_tables(self, vpc_id: VpcId) -> Sequence[RouteTable]:
        """Return the route tables of a VPC, the default one first."""
        ...

    def route_tables_of(self, project_id: ProjectId) -> Sequence[RouteTable]:
        """Return all route tables of a project, by id."""
        ...

    def uses_of_vpc(self, id_: VpcId) -> Sequence[NetworkUse]:
        """Return some services and endpoints of a VPC, deleting ones included; empty: there are none."""
        ...

    def uses_of_subnet(self, id_: SubnetId) -> Sequence[NetworkUse]:
        """Return some services and endpoints that a subnet carries, deleting ones included; empty: there are none."""
        ...

    def uses_of_nic(self, id_: NicId) -> Sequence[NetworkUse]:
        """Return some services behind which a NIC or virtual IP stands, deleting ones included; empty: none."""
        ...


class NetworkWriting(NetworkReading, Protocol):
    """The VPC API's part of a transaction that may write."""

    def claim_nic_address(self, nic_id: NicId, subnet: Subnet, wanted: IPv4Address | None) -> IPv4Address:
        """Reserve an address of the subnet for a NIC, `wanted` or a free one.

        Raises:
            AddressTaken: `wanted` is in use, by an endpoint, a NIC, or the gateway.
            AddressOutsideSubnet: `wanted` is no host address of the subnet.
            SubnetFull: no address is free.
        """
        ...

    def forget_nic(self, id_: NicId) -> None:
        """Forget a NIC, and keep its address for it until `free_nic_address`: something may still answer there."""
        ...

    def free_nic_address(self, nic: Nic) -> None:
        """Free the address of a NIC that is forgotten."""
        ...

    def free_addresses_of_forgotten_nics(self) -> None:
        """Free what `forget_nic` has kept; for a start, when nothing of theirs is wired any more."""
        ...

    def claim_edge_addresses(self, pool_id: PoolId, addresses: Mapping[SubnetId, IPv4Address]) -> None:
        """Reserve the addresses that a pool's edges have in attached subnets, and free all others that they had.

        Raises:
            AddressTaken: an endpoint or a NIC has one; the message names it.
        """
        ...

    def put_route_table(self, table: RouteTable) -> None:
        """Store a route table, or replace it."""
        ...

    def remove_route_table(self, id_: RouteTableId) -> None:
        """Forget a route table."""
        ...


class NetworkWiring(Protocol):
    """Whoever makes networks real as they are made through the API. Calls come one at a time.

    What fails here is wired, or taken away, at the next start: a lab is always made from the database.
    """

    async def attach(self, subnet: Subnet) -> None:
        """Make a new subnet's segment.

        Raises:
            WiringFailed: it is not there; half of it may be.
        """
        ...

    async def detach(self, subnet: Subnet) -> None:
        """Take a subnet's segment away; never raises, as nobody could do anything about it."""
        ...

    async def plug(self, subnet: Subnet, host: Host) -> None:
        """Make a host, or correct one that is there.

        Raises:
            WiringFailed: it is not there; half of it may be.
        """
        ...

    async def unplug(self, host: Host) -> bool:
        """Take a host away; return whether it is certain that it reaches nobody any more. Never raises."""
        ...

    async def remove(self, vpc_id: VpcId) -> None:
        """Take away what is left of a VPC without subnets; never raises."""
        ...


class Unwired:
    """Networks that exist in the database only, as without a lab."""

    async def attach(self, subnet: Subnet) -> None:
        """Do nothing."""

    async def detach(self, subnet: Subnet) -> None:
        """Do nothing."""

    async def plug(self, subnet: Subnet, host: Host) -> None:
        """Do nothing."""

    async def unplug(self, host: Host) -> bool:
        """Say that it reaches nobody."""
        del host
        return True

    async def remove(self, vpc_id: VpcId) -> None:
        """Do nothing."""
