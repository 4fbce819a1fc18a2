"""Answer what networks exist from our own tables, and fill these tables from a lab file."""

from collections.abc import Sequence

from landbridge.control.protocols import ReadTransaction, Store, WriteTransaction
from landbridge.domain.errors import AddressTaken, OperatorError
from landbridge.domain.ids import NicId, SubnetId, VpcId
from landbridge.domain.resources import Nic, ServerType, Subnet, Vpc


class BuiltinDirectory:
    """The directory in the server's own database."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def vpc(self, id_: VpcId) -> Vpc | None:
        """Return a VPC, or None."""
        return await self._store.read(lambda tx: tx.vpc(id_))

    async def subnet(self, id_: SubnetId) -> Subnet | None:
        """Return a subnet, or None."""
        return await self._store.read(lambda tx: tx.subnet(id_))

    async def subnets(self, vpc_id: VpcId) -> Sequence[Subnet]:
        """Return all subnets of a VPC."""
        return await self._store.read(lambda tx: tx.subnets(vpc_id))

    async def nic(self, id_: NicId) -> Nic | None:
        """Return a NIC or virtual IP, or None."""
        return await self._store.read(lambda tx: tx.nic(id_))


def replace_contents(tx: WriteTransaction, vpcs: Sequence[Vpc], subnets: Sequence[Subnet], nics: Sequence[Nic]) -> None:
    """Make the directory hold exactly these networks.

    Raises:
        OperatorError: something that a service or an endpoint uses would vanish or change its address.
    """
    _refuse_pulling_the_rug(tx, vpcs, subnets, nics)
    kept_nics = {nic.id: nic for nic in nics}
    for nic in tx.nics():
        if kept_nics.get(nic.id) != nic:
            tx.remove_nic(nic.id)
    for subnet in tx.subnets():
        if subnet.id not in {kept.id for kept in subnets}:
            tx.remove_subnet(subnet.id)
    for vpc in tx.vpcs():
        if vpc.id not in {kept.id for kept in vpcs}:
            tx.remove_vpc(vpc.id)
    for vpc in vpcs:
        tx.put_vpc(vpc)
    for subnet in subnets:
        tx.put_subnet(subnet)
    for nic in nics:
        try:
            tx.put_nic(nic)
        except AddressTaken as error:
            raise OperatorError(
                f"{nic.name} cannot have {nic.address}, an endpoint has it: "
                "give it another address in the lab file, or delete the endpoint first"
            ) from error


def _refuse_pulling_the_rug(
    tx: ReadTransaction, vpcs: Sequence[Vpc], subnets: Sequence[Subnet], nics: Sequence[Nic]
) -> None:
    everything = tx.changes_since(0)
    vpc_ids = {vpc.id for vpc in vpcs}
    subnet_by_id = {subnet.id: subnet for subnet in subnets}
    address_by_nic = {nic.id: nic.address for nic in nics}
    for service in everything.services:
        backend = service.backend
        is_virtual = backend.server_type is ServerType.VIP and backend.vip_nic_id is not None
        target = backend.vip_nic_id if is_virtual else backend.nic_id
        if target is None or address_by_nic.get(target) != backend.address or service.vpc_id not in vpc_ids:
            raise OperatorError(
                f"endpoint service {service.name} needs port_id {target} at {backend.address}: "
                "put it back into the lab file, or delete the service first"
            )
    for endpoint in everything.endpoints:
        subnet = subnet_by_id.get(endpoint.subnet_id)
        if subnet is None or endpoint.address not in subnet.cidr or endpoint.vpc_id not in vpc_ids:
            raise OperatorError(
                f"endpoint {endpoint.id} needs subnet {endpoint.subnet_id} with {endpoint.address}: "
                "put it back into the lab file, or delete the endpoint first"
            )
        if endpoint.address == subnet.gateway:
            raise OperatorError(
                f"endpoint {endpoint.id} has {endpoint.address}, which the lab file now gives to the gateway of its "
                "subnet: give the gateway another address, or delete the endpoint first"
            )
