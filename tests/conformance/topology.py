"""Draw the networks that every driver is tried on: four VPCs with the same address range, and a public network."""

from ipaddress import IPv4Address, IPv4Network
from uuid import NAMESPACE_DNS, uuid5

from landbridge.dataplane.fabric import Fabric, FabricSubnet, Host
from landbridge.dataplane.model import Attachment
from landbridge.domain.ids import SubnetId, VpcId

SERVER_PORTS = (80, 8080, 9000)
"""Every host listens on these, TCP and UDP, so that a packet that gets through is always noticed."""
BULK_PORT = 7000
"""Every host takes and gives bytes in bulk here."""
CLOSED_PORT = 4444
"""Nobody listens here."""

FIRST_SUBNET, SECOND_SUBNET = IPv4Network("10.0.0.0/24"), IPv4Network("10.0.1.0/24")
PUBLIC_NETWORK = IPv4Network("100.125.0.0/24")
"""Where gateway endpoints lead."""

_SUBNETS: dict[str, tuple[str, IPv4Network, int, dict[str, str]]] = {
    "red-web": (
        "red",
        FIRST_SUBNET,
        1500,
        {"red-client": "10.0.0.10", "red-neighbour": "10.0.0.11", "red-stubborn": "10.0.0.12"},
    ),
    "red-app": ("red", SECOND_SUBNET, 1500, {"red-far": "10.0.1.10"}),
    "blue-web": (
        "blue",
        FIRST_SUBNET,
        1500,
        {"blue-client": "10.0.0.10", "blue-backend": "10.0.0.20", "blue-stubborn": "10.0.0.21"},
    ),
    "blue-app": ("blue", SECOND_SUBNET, 1500, {"blue-far": "10.0.1.10"}),
    "green-web": ("green", FIRST_SUBNET, 1500, {"green-client": "10.0.0.10", "green-backend": "10.0.0.20"}),
    "narrow-web": ("narrow", FIRST_SUBNET, 1400, {"narrow-backend": "10.0.0.20"}),
    "public-net": ("public", PUBLIC_NETWORK, 1500, {"public-store": "100.125.0.10", "public-other": "100.125.0.11"}),
}

STUBBORN = frozenset({"red-stubborn", "blue-stubborn"})
"""Hosts that ignore resets: what is cut must stay cut although both ends go on sending."""


def vpc_id(name: str) -> VpcId:
    return VpcId(str(uuid5(NAMESPACE_DNS, f"{name}.vpc.conformance")))


def attachment(subnet_name: str) -> Attachment:
    vpc_name, cidr, mtu, _ = _SUBNETS[subnet_name]
    subnet_id = SubnetId(str(uuid5(NAMESPACE_DNS, f"{subnet_name}.subnet.conformance")))
    return Attachment(vpc_id(vpc_name), subnet_id, cidr, next(cidr.hosts()), mtu)


def unattached() -> Attachment:
    """Return a subnet that nobody has plugged in anywhere."""
    subnet_id = SubnetId(str(uuid5(NAMESPACE_DNS, "nowhere.subnet.conformance")))
    cidr = IPv4Network("10.9.0.0/24")
    return Attachment(vpc_id("nowhere"), subnet_id, cidr, next(cidr.hosts()), 1500)


def subnet_of(host_name: str) -> str:
    return next(subnet for subnet, (_, _, _, hosts) in _SUBNETS.items() if host_name in hosts)


def address_of(host_name: str) -> IPv4Address:
    return IPv4Address(_SUBNETS[subnet_of(host_name)][3][host_name])


def subnet_names() -> list[str]:
    return list(_SUBNETS)


def host_names() -> list[str]:
    return [name for _, _, _, hosts in _SUBNETS.values() for name in hosts]


def fabric(region: str) -> Fabric:
    """Return the whole topology, with namespace names that no other run uses."""
    return Fabric(
        region,
        tuple(
            FabricSubnet(
                attachment(subnet),
                tuple(
                    Host(name=name, namespace=f"lb.{region}.{name}", address=IPv4Address(address))
                    for name, address in hosts.items()
                ),
            )
            for subnet, (_, _, _, hosts) in _SUBNETS.items()
        ),
    )
