"""Wire the local cloud: hosts in network namespaces, plugged into bridges, plugged into the edges.

`wire` compares with what is there, so it adopts the hosts of a killed server untouched, programs that run in them
included. Only namespaces with our own instance's label are changed or removed; names that somebody else has are
refused before anything is changed.
"""

import os
from collections.abc import Generator
from contextlib import contextmanager
from ipaddress import IPv4Interface, IPv4Network

from landbridge.dataplane.fabric import Fabric, FabricSubnet, Host
from landbridge.drivers.linux import ownership, sysctl
from landbridge.drivers.linux.edges import Edges
from landbridge.drivers.linux.elements import hashed, mac, subnet_interface
from landbridge.drivers.linux.namespaces import Namespaces
from landbridge.drivers.linux.netlink import End, Link, Netlink, Route

_HOST_INTERFACE = "eth0"
_DEFAULT = IPv4Network("0.0.0.0/0")
# The bridge's side takes whatever the other side sends: only the hosts and the edge have an opinion.
_SMALLEST_PORT_MTU = 1500


class LabNetwork:
    """The local cloud of one instance on this machine."""

    def __init__(self, namespaces: Namespaces, instance: str) -> None:
        self._namespaces = namespaces
        self._instance = instance

    def wire(self, fabric: Fabric) -> None:
        """Make the machine carry exactly this fabric. Raises NamespaceTaken, with nothing changed."""
        switch_name = ownership.switch_namespace(fabric.region)
        hosts = {host.namespace for subnet in fabric.subnets for host in subnet.hosts}
        edge_names = {ownership.edge_namespace(fabric.region, subnet.attachment.vpc_id) for subnet in fabric.subnets}
        there = {
            name
            for name in (*hosts, *edge_names, switch_name)
            if ownership.is_ours(self._namespaces, name, self._instance)
        }
        if switch_name not in there:
            # The bridges are nobody's neighbour: without this they speak IPv6 in every subnet.
            ownership.create(self._namespaces, switch_name, self._instance, lambda: sysctl.write(sysctl.WITHOUT_IPV6))
        for name in hosts - there:
            ownership.create(self._namespaces, name, self._instance, _nothing)
        edges = Edges(self._namespaces, self._instance, fabric.region)
        try:
            with self._open(switch_name) as switch:
                self._remove_others(switch, fabric, hosts | edge_names | {switch_name})
                descriptor = self._namespaces.open(switch_name)
                try:
                    for subnet in fabric.subnets:
                        self._wire_subnet(switch, descriptor, edges, subnet)
                finally:
                    os.close(descriptor)
        finally:
            edges.close()

    def remove_all(self) -> None:
        """Remove every namespace of this instance, edges included. Close the driver first: it keeps edges alive."""
        for name in self._ours():
            self._namespaces.remove(name)

    def _ours(self) -> list[str]:
        return [name for name in self._namespaces.names() if ownership.owner(self._namespaces, name) == self._instance]

    def _remove_others(self, switch: Netlink, fabric: Fabric, wanted: set[str]) -> None:
        ports = {_host_port(host) for subnet in fabric.subnets for host in subnet.hosts}
        for subnet in fabric.subnets:
            ports |= {_bridge(subnet), _edge_port(subnet)}
        for link in switch.links():
            # Cables first: a program may keep a removed namespace alive, and it must not stay plugged in.
            if link.name.startswith(("br-", "host-", "edge-")) and link.name not in ports:
                switch.delete_link(link.index)
        for name in self._ours():
            if name not in wanted:
                self._namespaces.remove(name)

    def _wire_subnet(self, switch: Netlink, switch_descriptor: int, edges: Edges, subnet: FabricSubnet) -> None:
        attachment = subnet.attachment
        bridge = switch.find_link(_bridge(subnet))
        if bridge is None:
            switch.add_bridge(_bridge(subnet))
            bridge = switch.find_link(_bridge(subnet))
        assert bridge is not None  # noqa: S101 - made one line above
        mtu = max(_SMALLEST_PORT_MTU, attachment.mtu, *(host.mtu for host in subnet.hosts))
        edge = edges.ensure(attachment.vpc_id)
        interface = subnet_interface(attachment.subnet_id)
        self._unplug_half(edge.netlink, interface, switch, _edge_port(subnet))
        edges.attach(attachment, End(_edge_port(subnet), mtu, namespace=switch_descriptor))
        _plug(switch, _edge_port(subnet), bridge, mtu)
        for host in subnet.hosts:
            with self._open(host.namespace) as netlink:
                self._unplug_half(netlink, _HOST_INTERFACE, switch, _host_port(host))
                if netlink.find_link(_HOST_INTERFACE) is None:
                    port = End(_host_port(host), mtu, namespace=switch_descriptor)
                    netlink.add_veth(End(_HOST_INTERFACE, host.mtu, mac(host.namespace)), port)
                _plug(switch, _host_port(host), bridge, mtu)
                _configure(netlink, host, subnet)

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
    def _open(self, name: str) -> Generator[Netlink]:
        netlink = self._namespaces.inside(name, Netlink)
        try:
            yield netlink
        finally:
            netlink.close()


def _nothing() -> None:
    """Prepare nothing more: hosts are plain namespaces."""


def _bridge(subnet: FabricSubnet) -> str:
    return f"br-{hashed(subnet.attachment.subnet_id, 11)}"


def _edge_port(subnet: FabricSubnet) -> str:
    return f"edge-{hashed(subnet.attachment.subnet_id, 10)}"


def _host_port(host: Host) -> str:
    return f"host-{hashed(host.namespace, 10)}"


def _plug(switch: Netlink, name: str, bridge: Link, mtu: int) -> None:
    port = switch.find_link(name)
    assert port is not None, f"the switch has no port {name}"  # noqa: S101 - made by our caller
    if port.master != bridge.index or not port.is_up or port.mtu != mtu:
        switch.set_link(port.index, mtu=mtu, master=bridge.index)


def _configure(netlink: Netlink, host: Host, subnet: FabricSubnet) -> None:
    interface = netlink.find_link(_HOST_INTERFACE)
    assert interface is not None  # noqa: S101 - made by our caller
    if interface.mtu != host.mtu or not interface.is_up:
        netlink.set_link(interface.index, mtu=host.mtu)
    wanted = {IPv4Interface((host.address, subnet.attachment.cidr.prefixlen))}
    wanted |= {IPv4Interface(address) for address in host.virtual_addresses}
    there = {address for index, address in netlink.addresses() if index == interface.index}
    for address in there - wanted:
        netlink.delete_address(interface.index, address)
    for address in sorted(wanted - there, key=lambda address: address.network.prefixlen):
        netlink.add_address(interface.index, address)
    route = Route(_DEFAULT, interface.index, subnet.attachment.gateway)
    if route not in netlink.routes():
        netlink.set_route(route)
