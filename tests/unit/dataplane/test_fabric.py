"""Which hosts there are beside those of the lab file."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

from landbridge.dataplane.fabric import Fabric, FabricSubnet, Host, hosts_of, with_made_networks
from landbridge.dataplane.model import Attachment
from landbridge.domain.ids import NicId, ProjectId, SubnetId, VpcId
from landbridge.domain.resources import AddressPair, Nic, Origin, Subnet

VPC = VpcId("v")
WEB = Subnet(SubnetId("web"), VPC, "web", IPv4Network("10.0.0.0/24"), IPv4Address("10.0.0.1"), mtu=1400)
MADE = replace(WEB, id=SubnetId("made"), cidr=IPv4Network("10.0.1.0/24"), origin=Origin.API)
LAB_HOST = Host("web-1", "lb.lab-1.web-1", IPv4Address("10.0.0.20"))
LAB = Fabric("lab-1", (FabricSubnet(Attachment(VPC, WEB.id, WEB.cidr, WEB.gateway, WEB.mtu), (LAB_HOST,)),))
VIP = IPv4Address("10.0.0.30")


def a_nic(id_: str, address: str, *pairs: str, subnet: Subnet = WEB, is_virtual_ip: bool = False) -> Nic:
    return Nic(
        NicId(id_),
        subnet.id,
        VPC,
        ProjectId("p"),
        IPv4Address(address),
        id_,
        is_virtual_ip=is_virtual_ip,
        address_pairs=tuple(AddressPair(IPv4Network(pair)) for pair in pairs),
        host=None if is_virtual_ip else id_,
        origin=Origin.API,
    )


def test_a_made_port_is_a_host_in_the_lab_files_subnet_and_in_a_made_one():
    one, other = a_nic("one", "10.0.0.50"), a_nic("other", "10.0.1.50", subnet=MADE)
    lab_nic = replace(a_nic("web-1", "10.0.0.20"), origin=Origin.LAB)

    fabric = with_made_networks(LAB, [WEB, MADE], [lab_nic, one, other])

    web, made = fabric.subnets
    assert [host.name for host in web.hosts] == ["web-1", "one"]
    assert (web.hosts[1].namespace, web.hosts[1].address, web.hosts[1].mtu) == (
        "lb.lab-1.one",
        IPv4Address("10.0.0.50"),
        1400,
    )
    assert made.attachment.subnet_id == MADE.id
    assert [host.name for host in made.hosts] == ["other"]


def test_a_virtual_ip_is_on_the_first_host_that_may_carry_it_and_on_no_other():
    vip = a_nic("vip", str(VIP), is_virtual_ip=True)
    carriers = [a_nic("b", "10.0.0.51", str(VIP)), a_nic("a", "10.0.0.50", str(VIP)), a_nic("c", "10.0.0.52")]

    hosts = hosts_of("lab-1", WEB, [vip, *carriers])

    assert {id_: host.virtual_addresses for id_, host in hosts.items()} == {"a": (VIP,), "b": (), "c": ()}
    assert hosts_of("lab-1", WEB, carriers)[NicId("a")].virtual_addresses == ()
