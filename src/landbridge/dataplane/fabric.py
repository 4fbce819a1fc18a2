"""Say what the local cloud consists of: subnets, and hosts plugged into them.

Pure values, made from a lab file and from what was made through the VPC API beside it, and given to whoever wires
them. A host is one NIC and one network namespace.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network

from landbridge.dataplane.compile import attachment_of
from landbridge.dataplane.model import Attachment
from landbridge.domain.ids import NicId, SubnetId
from landbridge.domain.networking import mac_of
from landbridge.domain.resources import Nic, Origin, Subnet


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
    mac: str = ""
    """Of its interface; empty: derived from the namespace's name."""


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


def namespace_name(region: str, host_name: str) -> str:
    """Return the name of a host's network namespace: at most 68 characters, since both parts have at most 32."""
    return f"lb.{region}.{host_name}"


def hosts_of(region: str, subnet: Subnet, nics: Iterable[Nic]) -> Mapping[NicId, Host]:
    """Return the hosts that stand for a subnet's NICs made through the API.

    A virtual IP made there is carried by the first NIC, in the order of ids, whose address pairs name it: two hosts
    that answer for one address is what must not be.
    """
    made = sorted((nic for nic in nics if nic.origin is Origin.API), key=lambda nic: nic.id)
    carried: dict[NicId, list[IPv4Address]] = {}
    for virtual in (nic for nic in made if nic.is_virtual_ip):
        carrier = next((nic for nic in made if _may_carry(nic, virtual.address)), None)
        if carrier is not None:
            carried.setdefault(carrier.id, []).append(virtual.address)
    return {
        nic.id: Host(
            name=nic.host,
            namespace=namespace_name(region, nic.host),
            address=nic.address,
            virtual_addresses=tuple(sorted(carried.get(nic.id, ()))),
            mtu=subnet.mtu,
            mac=mac_of(nic.id),
        )
        for nic in made
        if nic.host is not None
    }


def _may_carry(nic: Nic, address: IPv4Address) -> bool:
    return nic.host is not None and any(pair.address == IPv4Network(address) for pair in nic.address_pairs)


def with_made_networks(fabric: Fabric, subnets: Sequence[Subnet], nics: Sequence[Nic]) -> Fabric:
    """Return a lab file's fabric together with the subnets and NICs that were made through the API."""
    nics_by_subnet: dict[SubnetId, list[Nic]] = {}
    for nic in nics:
        nics_by_subnet.setdefault(nic.subnet_id, []).append(nic)
    subnets_by_id = {subnet.id: subnet for subnet in subnets}

    def made_hosts(subnet_id: SubnetId) -> tuple[Host, ...]:
        subnet = subnets_by_id.get(subnet_id)
        return (
            () if subnet is None else tuple(hosts_of(fabric.region, subnet, nics_by_subnet.get(subnet_id, ())).values())
        )

    kept = [
        replace(segment, hosts=(*segment.hosts, *made_hosts(segment.attachment.subnet_id)))
        for segment in fabric.subnets
    ]
    made = [
        FabricSubnet(attachment_of(subnet), made_hosts(subnet.id)) for subnet in subnets if subnet.origin is Origin.API
    ]
    return Fabric(fabric.region, (*kept, *made))
