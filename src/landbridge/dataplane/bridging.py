"""Say which subnets existing bridges carry, and check it against the directory.

Pure. Who reads the configuration, who reserves the edge's address and who plugs the edge in are elsewhere.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from landbridge.dataplane.model import LINK_MTU, TRANSIT_RANGE, Bridge
from landbridge.domain.errors import OperatorError
from landbridge.domain.ids import SubnetId
from landbridge.domain.resources import Subnet


@dataclass(frozen=True, slots=True)
class BridgedSubnet:
    """One attachment of the configuration: a subnet, and the bridge that carries it."""

    subnet_id: SubnetId
    bridge: Bridge
    mtu: int | None = None
    """Bytes of the largest packet in the subnet; None: what the directory says."""


Bridged = Mapping[SubnetId, BridgedSubnet]
"""The attachments by their subnets."""

NO_BRIDGES: Bridged = MappingProxyType({})


def by_subnet(attachments: Iterable[BridgedSubnet]) -> Bridged:
    """Return the attachments by their subnets.

    Raises:
        OperatorError: two contradict each other.
    """
    found: dict[SubnetId, BridgedSubnet] = {}
    for one in attachments:
        if one.subnet_id in found:
            raise OperatorError(f"subnet {one.subnet_id} has two attachments: leave one of them out")
        for other in found.values():
            if _segment(one.bridge) == _segment(other.bridge) and one.bridge.edge_address == other.bridge.edge_address:
                raise OperatorError(
                    f"the attachments of subnets {other.subnet_id} and {one.subnet_id} have one edge address, "
                    f"{one.bridge.edge_address}, in one bridge: give each its own"
                )
        found[one.subnet_id] = one
    return found


def check_edge_address(subnet: Subnet, attachment: BridgedSubnet) -> None:
    """Refuse an edge address that cannot be one of a host in the subnet.

    Raises:
        OperatorError: it is outside the subnet, or the gateway's; the message shows an address that may be free.
    """
    address = attachment.bridge.edge_address
    where = f"attachment of subnet {subnet.id}: edge address {address}"
    example = next(host for host in subnet.cidr.hosts() if host != subnet.gateway)
    if subnet.cidr.overlaps(TRANSIT_RANGE):
        raise OperatorError(f"{where}: the subnet overlaps {TRANSIT_RANGE}: such a subnet cannot be attached")
    if address not in subnet.cidr or address in {subnet.cidr.network_address, subnet.cidr.broadcast_address}:
        raise OperatorError(f"{where} is no host address of {subnet.cidr}: write a free one such as {example}")
    if address == subnet.gateway:
        raise OperatorError(
            f"{where} is the gateway's, and the edge is not the gateway: write a free one such as {example}"
        )


def mtu_of(subnet: Subnet, attachment: BridgedSubnet) -> int:
    """Return the bytes of the largest packet in an attached subnet."""
    return attachment.mtu or subnet.mtu or LINK_MTU


def _segment(bridge: Bridge) -> tuple[str, str, int | None]:
    return bridge.namespace, bridge.name, bridge.vlan
