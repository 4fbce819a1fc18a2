"""Keep the edges: one network namespace per VPC, its interfaces in the VPC's subnets, and its links.

An edge has its settings and rules before any interface, so it never lets a packet pass that it should not.
Sockets into an edge are kept open; an edge that was replaced under the same name is noticed and opened anew.
"""

import os
import socket
import struct
from collections.abc import Callable, Iterator
from functools import cached_property
from ipaddress import IPv4Address, IPv4Interface

from landbridge.dataplane.model import LINK_MTU, Attachment
from landbridge.domain.ids import VpcId
from landbridge.drivers.linux import ownership, ruleset, sysctl
from landbridge.drivers.linux.conntrack import Conntrack
from landbridge.drivers.linux.elements import HUB, link_interface, mac, subnet_interface
from landbridge.drivers.linux.namespaces import Namespaces
from landbridge.drivers.linux.netlink import End, Link, Netlink
from landbridge.drivers.linux.nft import KeptContexts, Nft
from landbridge.drivers.linux.set_queries import SetQueries

# Both ends of a link have one MAC and do no ARP: a packet sent to "my own MAC" is for the other end, so routes
# over a link need neither addresses nor neighbours.
_LINK_MAC = bytes.fromhex("026c62000001")
_ETHERTYPE_ARP = 0x0806

SETTINGS = {
    "ipv4/ip_forward": "1",
    # The proxy has one source address for each endpoint, and may need many ports of it.
    "ipv4/ip_local_port_range": "1024 65535",
    # nftables looks at the source of every packet, also of those that the kernel's own check lets pass.
    "ipv4/conf/all/rp_filter": "0",
    "ipv4/conf/default/rp_filter": "0",
    # Nor its second look-up of the source, which local routes of single addresses would cost for every packet.
    "ipv4/conf/all/accept_local": "1",
    "ipv4/conf/all/send_redirects": "0",
    "ipv4/conf/default/send_redirects": "0",
    "ipv4/conf/all/accept_redirects": "0",
    "ipv4/conf/default/accept_redirects": "0",
    **sysctl.WITHOUT_IPV6,
}
CONNECTION_SETTINGS = {
    # The kernel's 120 s would fill the table at 15,000 connections a second.
    "netfilter/nf_conntrack_tcp_timeout_time_wait": "10",
    # A connection that was cut must not come back to life with its next data packet.
    "netfilter/nf_conntrack_tcp_loose": "0",
    # What people ask about their connections: how many bytes, since when.
    "netfilter/nf_conntrack_acct": "1",
    "netfilter/nf_conntrack_timestamp": "1",
}


class Edge:
    """The open edge of one VPC."""

    def __init__(
        self,
        namespaces: Namespaces,
        name: str,
        identity: int,
        contexts: KeptContexts | None = None,
        before_effect: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = name
        self.identity = identity
        self.netlink = namespaces.inside(name, lambda: Netlink(before_effect))
        self.nft = Nft(namespaces, name, contexts, before_effect)
        self.sets = namespaces.inside(name, SetQueries)
        self._namespaces = namespaces
        self._links: dict[str, Link] = {}

    def close(self) -> None:
        """Close the sockets; the edge stays."""
        self.netlink.close()
        self.nft.close()
        self.sets.close()
        # Not opened for nothing: the kernel takes ten milliseconds to close a packet socket.
        if "_announcer" in self.__dict__:
            self._announcer.close()

    @cached_property
    def _announcer(self) -> socket.socket:
        return self._namespaces.inside(self.name, _open_announcer)

    def open_conntrack(self) -> Conntrack:
        """Return who knows the connections that are tracked here; to be closed by whoever asked."""
        return self._namespaces.inside(self.name, Conntrack)

    def interface(self, name: str) -> Link | None:
        """Return one interface, from memory if it was seen before."""
        found = self._links.get(name) or self.netlink.find_link(name)
        if found is not None:
            self._links[name] = found
        return found

    def forget_interface(self, name: str) -> None:
        """Look an interface up afresh next time."""
        self._links.pop(name, None)

    def forget_interfaces(self) -> None:
        """Look all interfaces up afresh."""
        self._links.clear()

    def announce(self, interface: Link, address: IPv4Address) -> None:
        """Tell everybody in the subnet that an address is here now (gratuitous ARP, RFC 5944 4.6)."""
        everybody, nobody = b"\xff" * 6, bytes(6)
        ethernet = everybody + interface.address + struct.pack("!H", _ETHERTYPE_ARP)
        arp = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1)
        arp += interface.address + address.packed + nobody + address.packed
        try:
            self._announcer.sendto(ethernet + arp, (interface.name, _ETHERTYPE_ARP))
        except OSError:
            return  # nobody plugged in yet: then nobody has an old answer either


class Edges:
    """The edges of one region that belong to one instance."""

    def __init__(
        self,
        namespaces: Namespaces,
        instance: str,
        region: str,
        *,
        looks_only: bool = False,
        before_effect: Callable[[], None] = lambda: None,
    ) -> None:
        """Who `looks_only` opens edges as they are, with whatever rules and settings they have.

        `before_effect` is called before each change of an edge that exists.
        """
        self._before_effect = before_effect
        self._namespaces = namespaces
        self._instance = instance
        self._region = region
        self._looks_only = looks_only
        self._contexts = KeptContexts()
        self._open: dict[VpcId, Edge] = {}

    def ensure(self, vpc_id: VpcId) -> Edge:
        """Return the edge of a VPC, made if there is none. Raises NamespaceTaken."""
        found = self.find(vpc_id)
        if found is None:
            name = ownership.edge_namespace(self._region, vpc_id)
            ownership.create(self._namespaces, name, self._instance, lambda: sysctl.write(SETTINGS))
            found = self.find(vpc_id)
        assert found is not None  # noqa: S101 - made one line above
        return found

    def find(self, vpc_id: VpcId) -> Edge | None:
        """Return the edge of a VPC if there is one. Raises NamespaceTaken."""
        name = ownership.edge_namespace(self._region, vpc_id)
        identity = self._namespaces.identity(name)
        edge = self._open.get(vpc_id)
        if edge is not None and edge.identity == identity:
            return edge
        if edge is not None:
            self._open.pop(vpc_id).close()
        if identity is None or not ownership.is_ours(self._namespaces, name, self._instance):
            return None
        edge = Edge(self._namespaces, name, identity, self._contexts, self._before_effect)
        if not self._looks_only:
            # Also for an edge that was there: it may carry the rules of an older version.
            edge.nft.run(ruleset.RULES)
            self._namespaces.inside(name, lambda: sysctl.write(CONNECTION_SETTINGS))
        self._open[vpc_id] = edge
        return edge

    def all(self) -> Iterator[tuple[VpcId, Edge]]:
        """Yield every edge that is there and ours; let go of those that are gone."""
        prefix = ownership.edge_prefix(self._region)
        names = self._namespaces.names()
        for gone in [vpc_id for vpc_id, edge in self._open.items() if edge.name not in names]:
            # An open socket would keep the namespace of a removed edge alive.
            self._open.pop(gone).close()
        for name in names:
            if name.startswith(prefix):
                vpc_id = VpcId(name.removeprefix(prefix))
                try:
                    edge = self.find(vpc_id)
                except ownership.NamespaceTaken:
                    continue
                if edge is not None:
                    yield vpc_id, edge

    def attach(self, attachment: Attachment, peer: End) -> None:
        """Give a VPC's edge an interface in a subnet, or correct the one it has.

        `peer` is what the other end of a new cable is plugged into.
        """
        edge = self.ensure(attachment.vpc_id)
        name = subnet_interface(attachment.subnet_id)
        edge.forget_interface(name)
        interface = edge.interface(name)
        if interface is None:
            edge.netlink.add_veth(End(name, attachment.mtu, mac(attachment.subnet_id)), peer)
            interface = edge.interface(name)
        assert interface is not None  # noqa: S101 - made one line above
        if interface.mtu != attachment.mtu or not interface.is_up:
            edge.netlink.set_link(interface.index, mtu=attachment.mtu)
        gateway = IPv4Interface((attachment.gateway, attachment.cidr.prefixlen))
        there = {address for index, address in edge.netlink.addresses() if index == interface.index}
        if gateway not in there:
            edge.netlink.add_address(interface.index, gateway)
        for other in there - {gateway}:
            edge.netlink.delete_address(interface.index, other)
        # Where the edge is the gateway, it also routes between its subnets.
        edge.nft.run(ruleset.render_routed(name))

    def add_link(self, one: VpcId, other: VpcId) -> bool:
        """Join two edges, or an edge with itself.

        Says whether a broken link was in the way: it was replaced, and its routes went with it.
        """
        was_broken = self.remove_link(one, other)
        here, there = self._edge(one), self._edge(other)
        near, far = _link_names(one, other)
        descriptor = self._namespaces.open(there.name)
        try:
            here.netlink.add_veth(
                End(near, LINK_MTU, _LINK_MAC, is_without_arp=True),
                End(far, LINK_MTU, _LINK_MAC, is_without_arp=True, namespace=descriptor),
            )
        finally:
            os.close(descriptor)
        end = there.netlink.find_link(far)
        if end is not None:
            there.netlink.set_link(end.index)
        return was_broken

    def remove_link(self, one: VpcId, other: VpcId) -> bool:
        """Take a link away and say whether there was one, or an end of one."""
        was_there = False
        for vpc_id, name in zip((one, other), _link_names(one, other), strict=True):
            edge = self.find(vpc_id)
            if edge is None:
                continue
            edge.forget_interface(name)
            end = edge.netlink.find_link(name)
            if end is not None:
                edge.netlink.delete_link(end.index)
                was_there = True
        return was_there

    def close(self) -> None:
        """Close all sockets; the edges stay."""
        for edge in self._open.values():
            edge.close()
        self._open.clear()

    def _edge(self, vpc_id: VpcId) -> Edge:
        # The hub is nobody's network, so it is there as soon as something needs it.
        edge = self.ensure(HUB) if vpc_id == HUB else self.find(vpc_id)
        if edge is None:
            raise LookupError(f"the VPC {vpc_id} has no edge")
        return edge


def _link_names(one: VpcId, other: VpcId) -> tuple[str, str]:
    return link_interface(one, other, is_consumer=True), link_interface(other, one, is_consumer=False)


def _open_announcer() -> socket.socket:
    # Protocol 0: it sends only, and no packet is ever queued for it.
    return socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
