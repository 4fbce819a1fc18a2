"""Try the Linux driver on networks that somebody else made: plain bridges, hosts, and a router for each VPC.

Nothing here is wired by Landbridge but the edges and their ports. The routers know one thing of us, the route back to
transit addresses; hosts know nothing. What the attached subnets look like is what the how-to page tells operators.
"""

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address

from conformance import topology
from conformance.linux_plane import IGNORE_RESETS, LinuxPlane, remove_what_dead_runs_left
from conformance.linux_probe import LinuxProbe
from conformance.world import Sabotage
from landbridge.dataplane.driver import finish
from landbridge.dataplane.model import TRANSIT_RANGE, Attachment, Bridge
from landbridge.domain.ids import VpcId
from landbridge.drivers.linux.attaching import Attaching, port_name
from landbridge.drivers.linux.edges import Edges
from landbridge.drivers.linux.elements import subnet_interface
from landbridge.drivers.linux.namespaces import Namespaces
from landbridge.drivers.linux.ownership import edge_namespace

_OURS = re.compile(r"(?:lbt-bridges-|lb\.bridges-)(?P<process>\d+)[.-].*")


class BridgePlane(LinuxPlane):
    def __init__(self, namespaces: Namespaces) -> None:
        remove_what_dead_runs_left(namespaces, _OURS)
        self._namespaces = namespaces
        self._region = f"bridges-{os.getpid()}"
        self._instance = f"instance-of-{self._region}"
        self._fabric = topology.fabric(self._region)
        self._made: list[str] = []
        try:
            self._make_networks()
            for name in topology.STUBBORN:
                self.run_inside(self.namespace_of(name), ["nft", "-f", "-"], IGNORE_RESETS)
            self._attach()
        except BaseException:
            self._remove_everything()
            raise
        self.probe = LinuxProbe(lambda name: namespaces.path(self.namespace_of(name)))
        self.driver = self.new_driver()
        assert finish(self.driver.survey(())) == {}

    @property
    def edge_is_gateway(self) -> bool:
        return False

    def attachment(self, subnet_name: str) -> Attachment:
        plain = topology.attachment(subnet_name)
        return replace(plain, bridge=Bridge(_bridge(plain), _edge_address(plain), self.wires))

    def namespace_of(self, host_name: str) -> str:
        return f"lbt-{self._region}-{host_name}"

    @property
    def region(self) -> str:
        return self._region

    @property
    def instance(self) -> str:
        return self._instance

    @property
    def wires(self) -> str:
        """The namespace with all bridges."""
        return f"lbt-{self._region}.wires"

    def router_of(self, vpc_id: VpcId) -> str:
        """Return the namespace that is the gateway of a VPC's subnets."""
        return f"lbt-{self._region}.router-{vpc_id}"

    def edge_of(self, vpc_id: VpcId) -> str:
        """Return the namespace of a VPC's edge."""
        return edge_namespace(self._region, vpc_id)

    def port_of(self, attachment: Attachment) -> str:
        """Return the name of the edge's port in a bridge."""
        return port_name(self._instance, attachment.subnet_id)

    def attachments(self) -> list[Attachment]:
        """Return all attached subnets."""
        return [self.attachment(name) for name in topology.subnet_names()]

    def sabotages(self) -> list[Sabotage]:
        return [*super().sabotages(), *self._sabotages_of_attachments()]

    def _sabotages_of_attachments(self) -> Iterator[Sabotage]:
        def doing(what: str, namespace: str, *command: str) -> Sabotage:
            return Sabotage(what, lambda: self.run_inside(namespace, list(command)))

        for subnet in ("red-web", "blue-web"):
            attachment = self.attachment(subnet)
            edge, inside = self.edge_of(attachment.vpc_id), subnet_interface(attachment.subnet_id)
            port = self.port_of(attachment)
            address = f"{attachment.edge_address}/{attachment.cidr.prefixlen}"
            yield doing(f"{subnet} losing its cable", edge, "ip", "link", "delete", inside)
            yield doing(f"{subnet} losing its port", self.wires, "ip", "link", "delete", port)
            yield doing(f"{subnet} unplugged", self.wires, "ip", "link", "set", port, "nomaster")
            yield doing(f"{subnet} switched off", self.wires, "ip", "link", "set", port, "down")
            yield doing(f"{subnet} switched off inside", edge, "ip", "link", "set", inside, "down")
            yield doing(f"{subnet} losing its way out", edge, "ip", "route", "delete", "default")
            yield doing(f"{subnet} losing the edge's address", edge, "ip", "address", "delete", address, "dev", inside)

    def close(self) -> None:
        self.driver.close()
        self.probe.close()
        self._remove_everything()

    def _make_networks(self) -> None:
        vpc_ids = {subnet.attachment.vpc_id for subnet in self._fabric.subnets}
        hosts = [self.namespace_of(name) for name in topology.host_names()]
        self._made = [self.wires, *map(self.router_of, sorted(vpc_ids)), *hosts]
        _ip([f"netns add {name}" for name in self._made])
        for name in (self.wires, *map(self.router_of, vpc_ids)):
            quiet = ("net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1")
            # Sources are checked where they come from: the edge cannot tell what a router has let pass.
            routing = ("net.ipv4.ip_forward=1", "net.ipv4.conf.all.rp_filter=1", "net.ipv4.conf.default.rp_filter=1")
            self.run_inside(name, ["sysctl", "-qw", *quiet, *routing])
        _ip(list(self._wiring()), self.wires)
        for vpc_id in vpc_ids:
            _ip(list(self._routing(vpc_id)), self.router_of(vpc_id))
        for subnet in self._fabric.subnets:
            gateway, prefix = subnet.attachment.gateway, subnet.attachment.cidr.prefixlen
            for host in subnet.hosts:
                up = ["link set lo up", "link set eth0 up", f"address add {host.address}/{prefix} dev eth0"]
                _ip([*up, f"route add default via {gateway}"], self.namespace_of(host.name))

    def _wiring(self) -> Iterator[str]:
        for number, subnet in enumerate(self._fabric.subnets):
            bridge = _bridge(subnet.attachment)
            yield f"link add {bridge} type bridge"
            yield f"link set {bridge} up"
            ends = [(self.namespace_of(host.name), "eth0") for host in subnet.hosts]
            ends.append((self.router_of(subnet.attachment.vpc_id), _bridge(subnet.attachment)))
            for place, (namespace, inside) in enumerate(ends):
                port = f"port{number}-{place}"
                yield f"link add {port} type veth peer name {inside} netns {namespace}"
                yield f"link set {port} master {bridge} up"

    def _routing(self, vpc_id: VpcId) -> Iterator[str]:
        own = [subnet.attachment for subnet in self._fabric.subnets if subnet.attachment.vpc_id == vpc_id]
        for attachment in own:
            interface = _bridge(attachment)
            yield f"link set {interface} up"
            yield f"address add {attachment.gateway}/{attachment.cidr.prefixlen} dev {interface}"
        yield f"route add {TRANSIT_RANGE} via {_edge_address(own[0])}"

    def _attach(self) -> None:
        edges = Edges(self._namespaces, self._instance, self._region)
        try:
            attaching = Attaching(self._namespaces, self._instance, edges)
            for attachment in self.attachments():
                attaching.attach(attachment)
        finally:
            edges.close()

    def _remove_everything(self) -> None:
        for name in (*self.edges(), *self._made):
            self._namespaces.remove(name)


def _bridge(attachment: Attachment) -> str:
    return f"br-{attachment.subnet_id[:8]}"


def _edge_address(attachment: Attachment) -> IPv4Address:
    return attachment.cidr.network_address + 5


def _ip(commands: list[str], namespace: str = "") -> None:
    place = ["-n", namespace] if namespace else []
    done = subprocess.run(
        ["ip", *place, "-batch", "-"],
        input="\n".join(commands),
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
