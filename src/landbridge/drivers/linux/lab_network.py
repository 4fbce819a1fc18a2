"""Wire the local cloud: hosts in network namespaces, plugged into bridges, plugged into the edges.

`wire` compares with what is there, so it adopts the hosts of a killed server untouched, programs that run in them
included. Only namespaces with our own instance's label are changed or removed; names that somebody else has are
refused before anything is changed.
"""

import os
from collections.abc import Collection, Generator, Iterable
from contextlib import contextmanager
from ipaddress import IPv4Interface, IPv4Network

from landbridge.dataplane.fabric import Fabric, FabricSubnet, Host
from landbridge.dataplane.model import Attachment
from landbridge.domain.ids import SubnetId, VpcId
from landbridge.drivers.linux import ownership, sysctl
from landbridge.drivers.linux.edges import Edges
from landbridge.drivers.linux.elements import HUB, hashed, mac, subnet_interface
from landbridge.drivers.linux.namespaces import Namespaces
from landbridge.drivers.linux.netlink import End, Link, Netlink, Route

_SWITCH_SETTINGS = {
    **sysctl.WITHOUT_IPV6,
    # A bridge is a bridge: frames between its ports have no business in the hooks for IP packets.
    "bridge/bridge-nf-call-iptables": "0",
    "bridge/bridge-nf-call-ip6tables": "0",
    "bridge/bridge-nf-call-arptables": "0",
}
_HOST_INTERFACE = "eth0"
_DEFAULT = IPv4Network("0.0.0.0/0")
# The bridge's side takes whatever the other side sends: only the hosts and the edge have an opinion.
_SMALLEST_PORT_MTU = 1500


class LabNetwork:
    """The local cloud of one instance on this machine."""

    def __init__(self, namespaces: Namespaces, instance: str) -> None:
        self._namespaces = namespaces
        self._instance = instance

    def wire(self, fabric: Fabric, attached: Collection[VpcId] = ()) -> None:
        """Make the machine carry exactly this fabric. Raises NamespaceTaken, with nothing changed.

        `attached` are VPCs whose edges stay, because subnets of theirs are attached to existing bridges.
        """
        switch_name = ownership.switch_namespace(fabric.region)
        hub_name = ownership.edge_namespace(fabric.region, HUB)
        hosts = {host.namespace for subnet in fabric.subnets for host in subnet.hosts}
        edge_names = {ownership.edge_namespace(fabric.region, subnet.attachment.vpc_id) for subnet in fabric.subnets}
        edge_names |= {ownership.edge_namespace(fabric.region, vpc_id) for vpc_id in attached}
        there = {
            name
            for name in (*hosts, *edge_names, switch_name)
            if ownership.is_ours(self._namespaces, name, self._instance)
        }
        if switch_name not in there:
            # The bridges are nobody's neighbour: without this they speak IPv6 in every subnet.
            ownership.create(self._namespaces, switch_name, self._instance, lambda: sysctl.write(_SWITCH_SETTINGS))
        for name in hosts - there:
            ownership.create(self._namespaces, name, self._instance, _nothing)
        edges = Edges(self._namespaces, self._instance, fabric.region)
        try:
            with self._switch(fabric.region) as (switch, descriptor):
                self._remove_others(switch, fabric, hosts | edge_names | {switch_name, hub_name})
                for subnet in fabric.subnets:
                    self._wire_subnet(switch, descriptor, edges, subnet)
        finally:
            edges.close()

    def add_subnet(self, region: str, attachment: Attachment) -> None:
        """Add one segment with the edge's interface, and the edge if it is the VPC's first. Raises NamespaceTaken."""
        edges = Edges(self._namespaces, self._instance, region)
        try:
            with self._switch(region) as (switch, descriptor):
                self._wire_segment(switch, descriptor, edges, attachment, _port_mtu(attachment, ()))
        finally:
            edges.close()

    def remove_subnet(self, region: str, subnet_id: SubnetId) -> None:
        """Remove a segment without hosts; the edge's interface in it goes too."""
        with self._switch(region) as (switch, _):
            for name in (_edge_port(subnet_id), _bridge(subnet_id)):
                _delete_link(switch, name)

    def add_host(self, region: str, attachment: Attachment, host: Host) -> None:
        """Plug one host into a segment that is there, or correct one that is plugged in. Raises NamespaceTaken."""
        if not ownership.is_ours(self._namespaces, host.namespace, self._instance):
            ownership.create(self._namespaces, host.namespace, self._instance, _nothing)
        with self._switch(region) as (switch, descriptor):
            bridge = switch.find_link(_bridge(attachment.subnet_id))
            if bridge is None:
                raise LookupError(f"subnet {attachment.subnet_id} is not wired")
            self._wire_host(switch, descriptor, bridge, attachment, host, _port_mtu(attachment, (host,)))

    def remove_host(self, region: str, host: Host) -> None:
        """Unplug a host and take its name away; programs that still run on it reach nobody any more."""
        with self._switch(region) as (switch, _):
            _delete_link(switch, _host_port(host))
        self._remove_ours(host.namespace)

    def remove_edge(self, region: str, vpc_id: VpcId) -> None:
        """Remove the edge of a VPC without subnets; one that never was is no error."""
        self._remove_ours(ownership.edge_namespace(region, vpc_id))

    def remove_all(self) -> None:
        """Remove every namespace of this instance, edges included. Close the driver first: it keeps edges alive."""
        for name in ownership.all_of(self._namespaces, self._instance):
            self._namespaces.remove(name)

    def _remove_others(self, switch: Netlink, fabric: Fabric, wanted: set[str]) -> None:
        ports = {_host_port(host) for subnet in fabric.subnets for host in subnet.hosts}
        for subnet in fabric.subnets:
            ports |= {_bridge(subnet.attachment.subnet_id), _edge_port(subnet.attachment.subnet_id)}
        for link in switch.links():
            # Cables first: a program may keep a removed namespace alive, and it must not stay plugged in.
            if link.name.startswith(("br-", "host-", "edge-")) and link.name not in ports:
                switch.delete_link(link.index)
        for name in ownership.all_of(self._namespaces, self._instance):
            if name not in wanted:
                self._namespaces.remove(name)

    def _remove_ours(self, name: str) -> None:
        if ownership.is_ours(self._namespaces, name, self._instance):
            self._namespaces.remove(name)

    def _wire_subnet(self, switch: Netlink, switch_descriptor: int, edges: Edges, subnet: FabricSubnet) -> None:
        mtu = _port_mtu(subnet.attachment, subnet.hosts)
        bridge = self._wire_segment(switch, switch_descriptor, edges, subnet.attachment, mtu)
        for host in subnet.hosts:
            self._wire_host(switch, switch_descriptor, bridge, subnet.attachment, host, mtu)

    def _wire_segment(
        self, switch: Netlink, switch_descriptor: int, edges: Edges, attachment: Attachment, mtu: int
    ) -> Link:
        name, port = _bridge(attachment.subnet_id), _edge_port(attachment.subnet_id)
        bridge = switch.find_link(name)
        if bridge is None:
            switch.add_bridge(name)
            bridge = switch.find_link(name)
        assert bridge is not None  # noqa: S101 - made one line above
        edge = edges.ensure(attachment.vpc_id)
        self._unplug_half(edge.netlink, subnet_interface(attachment.subnet_id), switch, port)
        edges.attach(attachment, End(port, mtu, namespace=switch_descriptor))
        _plug(switch, port, bridge, mtu)
        return bridge

    def _wire_host(
        self, switch: Netlink, switch_descriptor: int, bridge: Link, attachment: Attachment, host: Host, mtu: int
    ) -> None:
        port = _host_port(host)
        with self._open(host.namespace) as netlink:
            self._unplug_half(netlink, _HOST_INTERFACE, switch, port)
            if netlink.find_link(_HOST_INTERFACE) is None:
                address = bytes.fromhex(host.mac.replace(":", "")) if host.mac else mac(host.namespace)
                end = End(port, mtu, namespace=switch_descriptor)
                netlink.add_veth(End(_HOST_INTERFACE, host.mtu, address), end)
            _plug(switch, port, bridge, mtu)
            _configure(netlink, host, attachment)

    def _unplug_half(self, inside: Netlink, name: str, switch: Netlink, port: str) -> None:
        """Remove an interface and a port that are not the two ends of one cable."""
        end, other = inside.find_link(name), switch.find_link(port)
        if end is not None and other is not None and (end.peer, other.peer) == (other.index, end.index):
            return
        if end is not None:
            inside.delete_link(end.index)
        if other is not None:
            switch.delete_link(other.index)

    @contextmanager
    def _switch(self, region: str) -> Generator[tuple[Netlink, int]]:
        """Open the namespace with the bridges: a socket in it, and a descriptor of it."""
        name = ownership.switch_namespace(region)
        descriptor = self._namespaces.open(name)
        try:
            with self._open(name) as switch:
                yield switch, descriptor
        finally:
            os.close(descriptor)

    @contextmanager
    def _open(self, name: str) -> Generator[Netlink]:
        netlink = self._namespaces.inside(name, Netlink)
        try:
            yield netlink
        finally:
            netlink.close()


def _nothing() -> None:
    """Prepare nothing more: hosts are plain namespaces."""


def _bridge(subnet_id: SubnetId) -> str:
    return f"br-{hashed(subnet_id, 11)}"


def _edge_port(subnet_id: SubnetId) -> str:
    return f"edge-{hashed(subnet_id, 10)}"


def _host_port(host: Host) -> str:
    return f"host-{hashed(host.namespace, 10)}"


def _port_mtu(attachment: Attachment, hosts: Iterable[Host]) -> int:
    return max(_SMALLEST_PORT_MTU, attachment.mtu, *(host.mtu for host in hosts))


def _delete_link(netlink: Netlink, name: str) -> None:
    link = netlink.find_link(name)
    if link is not None:
        netlink.delete_link(link.index)


def _plug(switch: Netlink, name: str, bridge: Link, mtu: int) -> None:
    port = switch.find_link(name)
    assert port is not None, f"the switch has no port {name}"  # noqa: S101 - made by our caller
    if port.master != bridge.index or not port.is_up or port.mtu != mtu:
        switch.set_link(port.index, mtu=mtu, master=bridge.index)


def _configure(netlink: Netlink, host: Host, attachment: Attachment) -> None:
    interface = netlink.find_link(_HOST_INTERFACE)
    assert interface is not None  # noqa: S101 - made by our caller
    if interface.mtu != host.mtu or not interface.is_up:
        netlink.set_link(interface.index, mtu=host.mtu)
    wanted = {IPv4Interface((host.address, attachment.cidr.prefixlen))}
    wanted |= {IPv4Interface(address) for address in host.virtual_addresses}
    there = {address for index, address in netlink.addresses() if index == interface.index}
    for address in there - wanted:
        netlink.delete_address(interface.index, address)
    for address in sorted(wanted - there, key=lambda address: address.network.prefixlen):
        netlink.add_address(interface.index, address)
    route = Route(_DEFAULT, interface.index, attachment.gateway)
    if route not in netlink.routes():
        netlink.set_route(route)
