"""Namespaces for the proxy: two VPCs with the same addresses, the hub, and a backend behind it.

Plain routing, no nftables: what Envoy does is seen alone.
"""

import os
import re
import socket
import subprocess
from ipaddress import IPv4Address
from pathlib import Path

from landbridge.domain.ids import EndpointId, VpcId
from landbridge.drivers.envoy.listeners import ProxyListener
from landbridge.drivers.linux import ownership
from landbridge.drivers.linux.namespaces import Namespaces

VPC, OTHER_VPC, HUB = VpcId("vpc-a"), VpcId("vpc-b"), VpcId("hub")
CLIENT, GATEWAY, ADDRESS = "10.0.0.10", "10.0.0.1", "10.0.0.100"
SOURCE, TARGET, OTHER_TARGET = "198.19.128.5", "198.19.200.1", "198.19.200.2"
MARKER = 16777217
TIMEOUT_SECONDS = 10.0
_OURS = re.compile(r"lb\.lbt-(?P<process>\d+)\..*")


class Ground:
    def __init__(self, namespaces: Namespaces) -> None:
        _remove_what_dead_runs_left(namespaces)
        self.namespaces = namespaces
        self.region = f"lbt-{os.getpid()}"
        self.hub, self.backend = self.edge(HUB), f"lb.{self.region}.backend"
        try:
            self._build()
        except BaseException:
            self.remove()
            raise

    def edge(self, vpc_id: VpcId) -> str:
        return ownership.edge_namespace(self.region, vpc_id)

    def client(self, vpc_id: VpcId) -> str:
        return f"lb.{self.region}.client.{vpc_id}"

    def make_vpc(self, vpc_id: VpcId) -> None:
        client, edge = self.client(vpc_id), self.edge(vpc_id)
        for name in (client, edge):
            self._make(name)
        self._join(client, f"{CLIENT}/24", edge, f"{GATEWAY}/24")
        self.ip(client, "route add default via 10.0.0.1")
        for last in range(100, 110):
            self.ip(edge, f"route add local 10.0.0.{last} dev lo")

    def remove_vpc(self, vpc_id: VpcId) -> None:
        for name in (self.client(vpc_id), self.edge(vpc_id)):
            self.namespaces.remove(name)

    def make_hub(self) -> None:
        self._make(self.hub)
        self._join(self.hub, "192.0.2.1/24", self.backend, "192.0.2.2/24")
        self.ip(self.backend, "route add 198.19.128.0/18 via 192.0.2.1")
        self.ip(self.hub, "route add 198.19.192.0/18 via 192.0.2.2")
        self.ip(self.hub, f"address add {SOURCE}/32 dev lo")

    def remove_hub(self) -> None:
        self.ip(self.backend, f"link delete to-{_short(self.hub)}")
        self.namespaces.remove(self.hub)

    def connect(self, port: int, vpc_id: VpcId = VPC, address: str = ADDRESS) -> socket.socket:
        """Connect as a client of a VPC does."""

        def open_() -> socket.socket:
            return socket.create_connection((address, port), TIMEOUT_SECONDS)

        return self.namespaces.inside(self.client(vpc_id), open_)

    def listen(self, port: int, address: str = TARGET) -> socket.socket:
        """Listen as a backend does."""
        listening = self.namespaces.inside(self.backend, lambda: socket.create_server((address, port)))
        listening.settimeout(TIMEOUT_SECONDS)
        return listening

    def listener(self, client_port: int = 443, vpc_id: VpcId = VPC, **others: object) -> ProxyListener:
        edge = self.edge(vpc_id)
        values: dict[str, object] = {
            "endpoint_id": EndpointId(f"endpoint-in-{vpc_id}"),
            "namespace": str(self.namespaces.path(edge)),
            "namespace_identity": self.namespaces.identity(edge) or 0,
            "address": IPv4Address(ADDRESS),
            "client_port": client_port,
            "source": IPv4Address(SOURCE),
            "target": IPv4Address(TARGET),
            "server_port": 8443,
            "marker": MARKER,
        }
        return ProxyListener(**(values | others))  # type: ignore[arg-type]

    def command(self, namespace: str, *argv: str) -> list[str]:
        return ["nsenter", f"--net={self.namespaces.path(namespace)}", *argv]

    def ip(self, namespace: str, command: str) -> None:
        subprocess.run(self.command(namespace, "ip", *command.split()), check=True, timeout=10)

    def remove(self) -> None:
        for name in self.namespaces.names():
            if name.startswith(f"lb.{self.region}."):
                self.namespaces.remove(name)

    def _build(self) -> None:
        for vpc_id in (VPC, OTHER_VPC):
            self.make_vpc(vpc_id)
        self._make(self.backend)
        self.make_hub()
        for target in (TARGET, OTHER_TARGET):
            self.ip(self.backend, f"address add {target}/32 dev lo")

    def _make(self, name: str) -> None:
        self.namespaces.create(name)
        self.ip(name, "link set lo up")

    def _join(self, one: str, its_address: str, other: str, others_address: str) -> None:
        there = self.namespaces.path(other)
        self.ip(one, f"link add to-{_short(other)} type veth peer name to-{_short(one)} netns {there}")
        for name, peer, address in ((one, other, its_address), (other, one, others_address)):
            self.ip(name, f"address add {address} dev to-{_short(peer)}")
            self.ip(name, f"link set to-{_short(peer)} up")


def _short(name: str) -> str:
    return name.rpartition(".")[2][:8]


def _remove_what_dead_runs_left(namespaces: Namespaces) -> None:
    for name in namespaces.names():
        found = _OURS.fullmatch(name)
        if found is not None and not Path("/proc", found["process"]).exists():
            namespaces.remove(name)
