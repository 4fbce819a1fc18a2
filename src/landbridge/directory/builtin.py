"""Answer what networks exist from our own tables."""

from collections.abc import Collection, Sequence

from landbridge.control.protocols import ReadTransaction, Store
from landbridge.directory.lab_contents import replace_contents
from landbridge.domain.errors import PortNotFound, SubnetNotFound, VpcNotFound
from landbridge.domain.ids import NicId, ProjectId, SubnetId, VpcId
from landbridge.domain.resources import Nic, Subnet, Vpc
from landbridge.domain.validation import check_transit_range_is_free

__all__ = ["BuiltinDirectory", "replace_contents"]


class BuiltinDirectory:
    """The directory in the server's own database."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def vpc(self, project_id: ProjectId, id_: VpcId) -> Vpc | None:
        """Return a VPC of a project, or None."""
        return await self._store.read(lambda tx: tx.vpc_of(project_id, id_))

    async def subnet(self, project_id: ProjectId, id_: SubnetId) -> Subnet | None:
        """Return a subnet of a project, or None."""
        return await self._store.read(lambda tx: tx.subnet_of(project_id, id_))

    async def subnets(self, vpc_id: VpcId) -> Sequence[Subnet]:
        """Return all subnets of a VPC."""
        return await self._store.read(lambda tx: tx.subnets(vpc_id))

    async def nic(self, project_id: ProjectId, id_: NicId) -> Nic | None:
        """Return a NIC or virtual IP of a project, or None."""
        return await self._store.read(lambda tx: tx.nic_of(project_id, id_))

    def recheck(
        self,
        tx: ReadTransaction,
        vpc_id: VpcId,
        *,
        subnet_ids: Collection[SubnetId] = (),
        nic_ids: Collection[NicId] = (),
    ) -> None:
        """Refuse, inside a transaction, what has changed since it was looked up.

        Raises:
            VpcNotFound, SubnetNotFound, PortNotFound: it has been deleted.
            TransitRangeOverlap: a subnet or custom route of the VPC overlaps 198.19.128.0/17.
        """
        vpc = tx.vpc(vpc_id)
        if vpc is None:
            raise VpcNotFound(f"VPC {vpc_id} has just been deleted: use another one")
        subnets = tx.subnets(vpc_id)
        check_transit_range_is_free(vpc, subnets)
        there = {subnet.id for subnet in subnets}
        for subnet_id in subnet_ids:
            if subnet_id not in there:
                raise SubnetNotFound(f"subnet {subnet_id} has just been deleted: use another one")
        for nic_id in nic_ids:
            if tx.nic(nic_id) is None:
                raise PortNotFound(f"port_id {nic_id} has just been deleted: use another one")
