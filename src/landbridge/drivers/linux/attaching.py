"""Put edges into existing bridges: one veth for each attached subnet.

The edge is a guest in the subnet: it has one address there, answers for endpoints, and routes for nobody. What is
there already and right is left untouched, so a restart cuts nothing. The end in the bridge carries our instance and
the subnet in its alias; interfaces without that alias are never changed or removed.
"""

import os
from collections.abc import Collection, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv4Network

from landbridge.dataplane.model import Attachment, Bridge
from landbridge.domain.ids import SubnetId
from landbridge.drivers.linux import ownership, ruleset, sysctl
from landbridge.drivers.linux.edges import Edge, Edges
from landbridge.drivers.linux.elements import hashed, mac, subnet_interface
from landbridge.drivers.linux.namespaces import Namespaces, NoSuchNamespace
from landbridge.drivers.linux.netlink import End, Link, Netlink, PortVlan, Route

_EVERYWHERE = IPv4Network("0.0.0.0/0")
_OWN_NAMESPACE = "/proc/self/ns/net"


class NotAttachable(Exception):
    """A bridge is not there, or is not what the configuration says; the message says what to do."""


@dataclass(frozen=True, slots=True)
class _Place:
    """A network namespace with bridges in it: a socket inside, and a descriptor of it."""

    netlink: Netlink
    descriptor: int


class Attaching:
    """Gives edges their interfaces in bridges, for one instance."""

    def __init__(self, namespaces: Namespaces, instance: str, edges: Edges) -> None:
        self._namespaces = namespaces
        self._instance = instance
        self._edges = edges
        self._settled: set[tuple[int, Attachment]] = set()

    def check(self, bridge: Bridge, mtu: int = 0) -> None:
        """Refuse a bridge that cannot carry what is asked for, and change nothing.

        `mtu` are the bytes of the largest packet, 0 if nobody knows yet. Raises NotAttachable.
        """
        with _opened(self._namespaces, bridge.namespace) as place:
            _bridge_in(place, bridge, mtu)

    def attach(self, attachment: Attachment) -> bool:
        """Give a VPC's edge its interface in a bridge, or correct the one it has; the edge is made if there is none.

        Says whether the interface is a new one, which has none of the addresses that an older one had. Raises
        NotAttachable, NamespaceTaken, OSError, NftError.
        """
        bridge = _wanted(attachment)
        with _opened(self._namespaces, bridge.namespace) as place:
            master = _bridge_in(place, bridge, attachment.mtu)
            edge = self._edges.ensure(attachment.vpc_id)
            is_known = (edge.identity, attachment) in self._settled
            if is_known and self._is_plugged(place.netlink, edge, attachment):
                return False
            is_new = self._lay_cable(edge, place, attachment, master)
            self._settle_in(edge, attachment)
            self._plug(place.netlink, master, attachment)
        self._settled.add((edge.identity, attachment))
        return is_new

    def is_attached(self, attachment: Attachment) -> bool:
        """Say whether everything is as `attach` would leave it. Reads the kernel afresh, and changes nothing."""
        bridge = _wanted(attachment)
        try:
            edge = self._edges.find(attachment.vpc_id)
            if edge is None:
                return False
            self._settled.discard((edge.identity, attachment))
            with _opened(self._namespaces, bridge.namespace) as place:
                return self._is_plugged(place.netlink, edge, attachment) and _is_settled(edge, attachment)
        except (NotAttachable, ownership.NamespaceTaken):
            return False

    def _lay_cable(self, edge: Edge, place: _Place, attachment: Attachment, master: Link) -> bool:
        """Return whether a cable had to be laid."""
        name, port = subnet_interface(attachment.subnet_id), self._port(attachment)
        edge.forget_interface(name)
        end, other = edge.netlink.find_link(name), place.netlink.find_link(port)
        if _is_cable(end, other):
            return False
        if other is not None and other.alias != self._alias(attachment):
            raise NotAttachable(
                f"the machine has an interface {port} that is not ours: remove it with `ip link delete {port}`"
            )
        if end is not None:
            edge.netlink.delete_link(end.index)
            other = place.netlink.find_link(port)
        if other is not None:
            place.netlink.delete_link(other.index)
        edge.netlink.add_veth(
            End(name, attachment.mtu, mac(attachment.subnet_id)), End(port, master.mtu, namespace=place.descriptor)
        )
        return True

    def _settle_in(self, edge: Edge, attachment: Attachment) -> None:
        """Give the edge's end all it needs, before it is plugged in."""
        name = subnet_interface(attachment.subnet_id)
        edge.nft.run(ruleset.render_guest(name))
        settings = {
            # Two interfaces may be in one segment: only the one whose subnet asks may answer.
            f"ipv4/conf/{name}/arp_filter": "1",
            f"ipv4/conf/{name}/arp_announce": "2",
        }
        self._namespaces.inside(edge.name, lambda: sysctl.write(settings))
        interface = edge.interface(name)
        assert interface is not None  # noqa: S101 - made by our caller
        if interface.mtu != attachment.mtu or not interface.is_up:
            edge.netlink.set_link(interface.index, mtu=attachment.mtu)
            edge.forget_interface(name)
        own = _own_address(attachment)
        there = {address for index, address in edge.netlink.addresses() if index == interface.index}
        if own not in there:
            edge.netlink.add_address(interface.index, own)
        for other in there - {own}:
            edge.netlink.delete_address(interface.index, other)
        # The VPC's other ranges are behind the subnet's router. The first attached subnet of a VPC wins.
        edge.netlink.add_route(Route(_EVERYWHERE, interface.index, attachment.gateway))

    def _plug(self, netlink: Netlink, master: Link, attachment: Attachment) -> None:
        port = netlink.find_link(self._port(attachment))
        assert port is not None  # noqa: S101 - made by our caller
        if self._is_right(netlink, port, master, attachment):
            return
        # Not before its VLAN is set may it carry anything, and a VLAN of before goes with the bridge of before.
        netlink.set_link(port.index, mtu=master.mtu, master=0, alias=self._alias(attachment), is_up=False)
        netlink.set_link(port.index, master=master.index, is_up=False)
        vlan = _wanted(attachment).vlan
        if vlan is not None:
            netlink.make_access_port(port.index, vlan)
        netlink.set_link(port.index)

    def _is_plugged(self, netlink: Netlink, edge: Edge, attachment: Attachment) -> bool:
        end = edge.netlink.find_link(subnet_interface(attachment.subnet_id))
        port, master = netlink.find_link(self._port(attachment)), netlink.find_link(_wanted(attachment).name)
        if end is None or port is None or master is None or not _is_cable(end, port):
            return False
        return end.is_up and end.mtu == attachment.mtu and self._is_right(netlink, port, master, attachment)

    def _is_right(self, netlink: Netlink, port: Link, master: Link, attachment: Attachment) -> bool:
        if (port.master, port.is_up, port.alias) != (master.index, True, self._alias(attachment)):
            return False
        vlan = _wanted(attachment).vlan
        only = {PortVlan(vlan, is_untagged_in=True, is_untagged_out=True)} if vlan is not None else None
        return only is None or netlink.port_vlans(port.index) == only

    def _port(self, attachment: Attachment) -> str:
        return port_name(self._instance, attachment.subnet_id)

    def _alias(self, attachment: Attachment) -> str:
        vlan = _wanted(attachment).vlan
        return _alias_prefix(self._instance) + attachment.subnet_id + ("" if vlan is None else f" vlan={vlan}")


def remove_ports(namespaces: Namespaces, instance: str, kept: Collection[SubnetId] = ()) -> None:
    """Take the instance's interfaces out of all bridges, but for those of the subnets in `kept`.

    The other ends, in the edges, go with them.
    """
    prefix = _alias_prefix(instance)
    for name in ("", *(name for name in namespaces.names() if not name.startswith(ownership.PREFIX))):
        try:
            with _opened(namespaces, name) as place:
                for link in place.netlink.links():
                    subnet_id, _, _ = link.alias.removeprefix(prefix).partition(" ")
                    if link.alias.startswith(prefix) and subnet_id not in kept:
                        place.netlink.delete_link(link.index)
        except (NotAttachable, NoSuchNamespace, OSError):
            continue  # it went away while we looked


def port_name(instance: str, subnet_id: SubnetId) -> str:
    """Return the name of a cable's end in a bridge: the same for ever, and another for each instance."""
    return f"lb-{hashed(f'{instance} {subnet_id}', 12)}"


def _alias_prefix(instance: str) -> str:
    return f"landbridge instance={instance} subnet="


def _wanted(attachment: Attachment) -> Bridge:
    assert attachment.bridge is not None, "a segment of the lab has no bridge of others"  # noqa: S101 - our own mistake
    return attachment.bridge


def _own_address(attachment: Attachment) -> IPv4Interface:
    return IPv4Interface((attachment.edge_address, attachment.cidr.prefixlen))


@contextmanager
def _opened(namespaces: Namespaces, name: str) -> Generator[_Place]:
    """Open the machine's own namespace, or a named one. Raises NotAttachable if there is none of that name."""
    try:
        descriptor = namespaces.open(name) if name else os.open(_OWN_NAMESPACE, os.O_RDONLY | os.O_CLOEXEC)
    except NoSuchNamespace as error:
        raise NotAttachable(f"{error}: make it with `ip netns add {name}`, or correct `namespace`") from error
    try:
        netlink = namespaces.inside(name, Netlink) if name else Netlink()
        try:
            yield _Place(netlink, descriptor)
        finally:
            netlink.close()
    finally:
        os.close(descriptor)


def _bridge_in(place: _Place, wanted: Bridge, mtu: int) -> Link:
    where = f"network namespace {wanted.namespace}" if wanted.namespace else "this machine"
    found = place.netlink.find_link(wanted.name)
    if found is None:
        raise NotAttachable(
            f"{where} has no bridge {wanted.name}: make it with `ip link add {wanted.name} type bridge`, "
            "or correct `bridge`"
        )
    if found.kind != "bridge":
        raise NotAttachable(
            f"{wanted.name} of {where} is no Linux bridge{f' but {found.kind}' if found.kind else ''}: "
            "write the name of one"
        )
    if wanted.vlan is not None and not found.is_filtering_vlans:
        raise NotAttachable(
            f"bridge {wanted.name} of {where} does not filter by VLAN: set `ip link set {wanted.name} type bridge "
            "vlan_filtering 1`, or leave `vlan` out and name the bridge of that VLAN"
        )
    if mtu > found.mtu:
        raise NotAttachable(
            f"bridge {wanted.name} of {where} carries packets of {found.mtu} bytes, and the subnet's have up to {mtu}: "
            f"write mtu = {found.mtu}"
        )
    return found


def _is_cable(end: Link | None, other: Link | None) -> bool:
    return end is not None and other is not None and (end.peer, other.peer) == (other.index, end.index)


def _is_settled(edge: Edge, attachment: Attachment) -> bool:
    name = subnet_interface(attachment.subnet_id)
    interfaces = {interface.index: interface.name for interface in edge.netlink.links()}
    there = {address for index, address in edge.netlink.addresses() if interfaces.get(index) == name}
    ways_out = [route for route in edge.netlink.routes() if route.destination == _EVERYWHERE]
    listed = edge.nft.list_json(f"set {ruleset.TABLE} guests")
    is_guest = any(name in item["set"].get("elem", ()) for item in listed if "set" in item)
    return there == {_own_address(attachment)} and bool(ways_out) and is_guest
