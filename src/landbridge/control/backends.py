"""Find out where an endpoint service really listens, from what its provider names (contract 3.3, 3.6)."""

from dataclasses import dataclass
from ipaddress import IPv4Address

from landbridge.control.protocols import Directory
from landbridge.domain.errors import InvalidVipPortId, PortNotFound, PortNotInVpc
from landbridge.domain.ids import NicId, ProjectId, VpcId
from landbridge.domain.resources import Backend, Nic, ServerType


@dataclass(frozen=True, slots=True)
class FoundBackend:
    """A backend whose NICs the directory knows; it has no transit address yet."""

    server_type: ServerType
    nic: Nic
    """The NIC that was named as port_id."""
    vip: Nic | None
    """The virtual IP that was named beside it; a VIP service only."""

    @property
    def address(self) -> IPv4Address:
        """The address that packets are sent to."""
        return self._target.address

    @property
    def nic_ids(self) -> frozenset[NicId]:
        """What must be there for the backend to be there."""
        return frozenset({self.nic.id, self._target.id})

    @property
    def _target(self) -> Nic:
        return self.nic if self.vip is None else self.vip

    def at(self, transit_address: IPv4Address) -> Backend:
        """Return the backend for which `transit_address` stands."""
        return Backend(
            server_type=self.server_type,
            nic_id=self.nic.id,
            vip_nic_id=None if self.vip is None else self.vip.id,
            subnet_id=self._target.subnet_id,
            address=self.address,
            transit_address=transit_address,
        )


async def find_backend(
    directory: Directory,
    project_id: ProjectId,
    vpc_id: VpcId,
    server_type: ServerType,
    port_id: NicId,
    vip_port_id: NicId | None,
) -> FoundBackend:
    """Return the backend that a provider names by one port_id or two.

    Raises:
        PortNotFound, PortNotInVpc: port_id is not there, or in another VPC.
        InvalidVipPortId: vip_port_id is no virtual IP of the VPC, or a VIP service names none.
    """
    nic = await directory.nic(project_id, port_id)
    if nic is None:
        raise PortNotFound(f"port_id {port_id} does not exist in this project")
    if nic.vpc_id != vpc_id:
        raise PortNotInVpc(f"port_id {nic.id} is not in VPC {vpc_id}")
    vip = None
    if vip_port_id is not None:
        vip = await directory.nic(project_id, vip_port_id)
        if vip is None or vip.vpc_id != vpc_id or not vip.is_virtual_ip:
            raise InvalidVipPortId(f"vip_port_id {vip_port_id} is no virtual IP of VPC {vpc_id}")
    if server_type is not ServerType.VIP:
        return FoundBackend(server_type, nic, None)
    if vip is None and not nic.is_virtual_ip:
        raise InvalidVipPortId(
            f"port_id {nic.id} is no virtual IP: give the virtual IP's port as vip_port_id or as port_id"
        )
    return FoundBackend(server_type, nic, vip)
