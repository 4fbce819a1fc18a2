"""Say what the local cloud consists of: subnets, and hosts plugged into them.

Pure values, made from a lab file and given to whoever wires them. A host is one NIC and one network namespace.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address

from landbridge.dataplane.model import Attachment


@dataclass(frozen=True, slots=True)
class Host:
    """One machine of the local cloud."""

    name: str
    """Unique in the fabric, as people write it."""
    namespace: str
    """Name of its network namespace, unique on the machine."""
    address: IPv4Address
    virtual_addresses: tuple[IPv4Address, ...] = ()
    """Virtual IPs that it carries beside its own address."""
    mtu: int = 1500
    """Bytes; what the host itself believes. May be more than its subnet's."""


@dataclass(frozen=True, slots=True)
class FabricSubnet:
    """One layer-2 segment with the edge's interface and its hosts."""

    attachment: Attachment
    hosts: tuple[Host, ...]


@dataclass(frozen=True, slots=True)
class Fabric:
    """The whole local cloud."""

    region: str
    subnets: tuple[FabricSubnet, ...]
