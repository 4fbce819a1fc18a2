"""Two VPCs with real edges, for what programs do to packets: hosts with sockets, wires that are listened to."""

import os
import re
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

from landbridge.dataplane.driver import finish
from landbridge.dataplane.fabric import Fabric, FabricSubnet, Host, namespace_name
from landbridge.dataplane.model import Attachment, Binding, PortForward, Target, Wired
from landbridge.dataplane.plan import Plan, diff
from landbridge.domain.ids import EndpointId, ServiceId, SubnetId, VpcId
from landbridge.domain.resources import TcpProxy
from landbridge.drivers.linux import ownership
from landbridge.drivers.linux.driver import LinuxDriver
from landbridge.drivers.linux.elements import mac, subnet_interface
from landbridge.drivers.linux.engines import Engine
from landbridge.drivers.linux.lab_network import LabNetwork
from landbridge.drivers.linux.namespaces import Namespaces
from landbridge.drivers.toa import kernel
from landbridge.drivers.toa.hooks import Direction, Hook
from tests.integration.packets.tcp_packets import Packet, read_packet

T = TypeVar("T")

CONSUMER, PROVIDER = VpcId("consumer"), VpcId("provider")
CLIENT, FAR_CLIENT, BACKEND = IPv4Address("10.0.0.10"), IPv4Address("10.0.1.10"), IPv4Address("10.0.0.20")
ENDPOINT, PLAIN_ENDPOINT = IPv4Address("10.0.0.100"), IPv4Address("10.0.0.101")
SOURCE, TARGET, NARROW_TARGET = (IPv4Address(f"198.19.128.{last}") for last in (5, 6, 7))
CLIENT_PORT, SERVER_PORT = 8080, 80
TIMEOUT_SECONDS = 10.0
NARROW_MTU = 1400
OFFLOADS = [word for name in ("tso", "gso", "gro", "tx", "rx") for word in (name, "off")]
_OURS = re.compile(r"lb\.lbt-toa-(?P<process>\d+)\..*")
TCP_SAVE_SYN, TCP_SAVED_SYN = 27, 28
_SOME_MAC = bytes.fromhex("020000000001")
_PACKET_OUTGOING = 4
_RECEIVE_BYTES = 1 << 22


def attachment(vpc_id: VpcId, name: str, cidr: str, mtu: int = 1500) -> Attachment:
    network = IPv4Network(cidr)
    return Attachment(vpc_id, SubnetId(name), network, next(network.hosts()), mtu)


NEAR, FAR = attachment(CONSUMER, "near", "10.0.0.0/24"), attachment(CONSUMER, "far", "10.0.1.0/24")
SERVERS = attachment(PROVIDER, "servers", "10.0.0.0/24")
NARROW = attachment(PROVIDER, "narrow", "10.0.1.0/24", NARROW_MTU)


class Ground:
    """The networks, and a driver with the engines to be tried. `engines` makes new ones, as a new process would."""

    def __init__(self, engines: Callable[[Namespaces, str, str], Sequence[Engine]]) -> None:
        self.namespaces = Namespaces(Path("/run/netns"))
        _remove_what_dead_runs_left(self.namespaces)
        self.region = f"lbt-toa-{os.getpid()}"
        self.instance = f"instance-of-{self.region}"
        self._engines = engines
        self._lab = LabNetwork(self.namespaces, self.instance)
        self._wired: list[Wired] = []
        self._sockets: list[socket.socket] = []
        self.driver: LinuxDriver | None = None
        subnets = ((NEAR, "client", CLIENT), (FAR, "far", FAR_CLIENT), (SERVERS, "backend", BACKEND))
        narrow = (NARROW, "narrow", IPv4Address("10.0.1.20"))
        try:
            self._lab.wire(Fabric(self.region, tuple(self._subnet(*each) for each in (*subnets, narrow))))
            self.open_driver()
        except BaseException:
            self._lab.remove_all()
            raise

    def _subnet(self, its_attachment: Attachment, host: str, address: IPv4Address) -> FabricSubnet:
        return FabricSubnet(its_attachment, (Host(host, self.namespace(host), address),))

    def open_driver(self) -> None:
        """Start as a new process does: with nothing in memory."""
        if self.driver is not None:
            self.driver.close()
        self.engines = self._engines(self.namespaces, self.instance, self.region)
        self.driver = LinuxDriver(self.namespaces, self.instance, self.region, self.engines)
        finish(self.driver.survey(()))

    def namespace(self, host: str) -> str:
        return namespace_name(self.region, host)

    @property
    def edge(self) -> str:
        """The namespace of the consumer's edge."""
        return ownership.edge_namespace(self.region, CONSUMER)

    def add_subnet(self, its_attachment: Attachment, host: str, address: IPv4Address) -> None:
        """Plug one more subnet into the running edges."""
        self._lab.add_subnet(self.region, its_attachment)
        self._lab.add_host(self.region, its_attachment, Host(host, self.namespace(host), address))

    def remove_subnet(self, its_attachment: Attachment, host: str, address: IPv4Address) -> None:
        self._lab.remove_host(self.region, Host(host, self.namespace(host), address))
        self._lab.remove_subnet(self.region, its_attachment.subnet_id)

    # Wiring

    def wire(self, *wired: Wired) -> None:
        desired = {thing.id: thing for thing in wired}
        assert self.driver.apply(diff(desired, self.driver.observe(list(desired)))) == {}
        self._wired = [known for known in self._wired if known.id not in desired] + list(wired)

    def unwire(self, *wired: Wired) -> None:
        desired = {thing.id: None for thing in wired}
        assert self.driver.apply(diff(desired, self.driver.observe(list(desired)))) == {}
        self._wired = [known for known in self._wired if known.id not in desired]

    def sweep(self) -> list[Wired]:
        """Survey, and put right what is not as wired; return that."""
        expected = {thing.id: thing for thing in self._wired}
        plan = diff(expected, finish(self.driver.survey(self._wired)))
        errors = self.driver.apply(Plan(plan.steps, is_sweep=True))
        assert errors == {}
        return [step.wired for step in plan.steps if hasattr(step, "wired")]

    # Hosts

    def inside(self, namespace: str, function: Callable[[], T]) -> T:
        return self.namespaces.inside(namespace, function)

    def run(self, namespace: str, *command: str, text: str = "") -> str:
        """Run a program inside a namespace and return what it printed."""
        done = subprocess.run(
            ["nsenter", f"--net={self.namespaces.path(namespace)}", *command],
            input=text,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_SECONDS,
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout

    def open_socket(self, host: str) -> socket.socket:
        made = self.inside(self.namespace(host), socket.socket)
        made.settimeout(TIMEOUT_SECONDS)
        self._sockets.append(made)
        return made

    def listen(self, host: str = "backend", port: int = SERVER_PORT) -> socket.socket:
        """Listen, and keep the SYN of each connection."""
        listening = self.open_socket(host)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setsockopt(socket.IPPROTO_TCP, TCP_SAVE_SYN, 1)
        listening.bind(("0.0.0.0", port))
        listening.listen()
        return listening

    def connect(self, address: IPv4Address = ENDPOINT, host: str = "client", port: int = CLIENT_PORT) -> socket.socket:
        connecting = self.open_socket(host)
        connecting.connect((str(address), port))
        return connecting

    def accept(self, listening: socket.socket) -> socket.socket:
        accepted, _ = listening.accept()
        accepted.settimeout(TIMEOUT_SECONDS)
        self._sockets.append(accepted)
        return accepted

    def without_offloads(self, *hosts: str) -> None:
        for host in hosts:
            self.run(self.namespace(host), "ethtool", "-K", "eth0", *OFFLOADS)

    def with_offloads(self, *hosts: str) -> None:
        for host in hosts:
            self.run(self.namespace(host), "ethtool", "-K", "eth0", *[w.replace("off", "on") for w in OFFLOADS])

    def tap(self, host: str) -> "Tap":
        return Tap(self, host)

    def send(self, packet: Packet | bytes, host: str = "client", tags: Sequence[int] = ()) -> None:
        """Put a packet on a host's wire, addressed to the edge, with VLAN tags if wanted."""
        data = packet.wire_format() if isinstance(packet, Packet) else packet
        near = NEAR if host == "client" else FAR
        frame = mac(near.subnet_id) + _SOME_MAC
        frame += b"".join(b"\x81\x00" + tag.to_bytes(2, "big") for tag in tags) + b"\x08\x00" + data

        def emit() -> None:
            with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sending:
                sending.bind(("eth0", 0))
                sending.send(frame)

        self.inside(self.namespace(host), emit)

    # Ending

    def close_sockets(self) -> None:
        for each in self._sockets:
            # Wakes threads that wait for it: as long as they do, it is not closed.
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._sockets.clear()

    def clear(self) -> None:
        """Take out what a test wired."""
        self.close_sockets()
        self._wired = []
        self.sweep()

    def close(self) -> None:
        self.close_sockets()
        self.driver.close()
        self._lab.remove_all()


class Tap:
    """Listens to what comes in at a host's interface, from now on."""

    def __init__(self, ground: Ground, host: str) -> None:
        def open_() -> socket.socket:
            listening = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
            listening.bind(("eth0", 0x0800))
            return listening

        self._socket = ground.inside(ground.namespace(host), open_)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)
        self._socket.setblocking(False)
        ground._sockets.append(self._socket)
        self.seen: list[Packet] = []

    def packets(self) -> list[Packet]:
        """Return what has come in so far, in its order."""
        while True:
            try:
                data, (_, _, kind, *_) = self._socket.recvfrom(1 << 17)
            except BlockingIOError:
                return self.seen
            packet = read_packet(data)
            if kind != _PACKET_OUTGOING and packet is not None:
                self.seen.append(packet)

    def wait_for(self, wanted: Callable[[Packet], bool], count: int = 1) -> list[Packet]:
        """Return the first packets that are wanted, as soon as they are there."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while True:
            found = [packet for packet in self.packets() if wanted(packet)]
            if len(found) >= count:
                return found[:count]
            assert time.monotonic() < deadline, f"only {found} of {count} packets came"
            time.sleep(0.002)


def saved_syn(accepted: socket.socket) -> Packet:
    """Return the SYN that opened a connection, as an application can read it."""
    packet = read_packet(accepted.getsockopt(socket.IPPROTO_TCP, TCP_SAVED_SYN, 512))
    assert packet is not None
    return packet


def target(where: Attachment = SERVERS) -> Target:
    """Return the backend's service."""
    address, transit = (BACKEND, TARGET) if where is SERVERS else (IPv4Address("10.0.1.20"), NARROW_TARGET)
    return Target(ServiceId(str(uuid4())), where, address, transit, (SERVER_PORT,))


def endpoint(
    service: Target,
    mode: TcpProxy = TcpProxy.TOA_OPEN,
    address: IPv4Address = ENDPOINT,
    source: IPv4Address = SOURCE,
    ports: Sequence[int] = (CLIENT_PORT,),
) -> Binding:
    """Return an endpoint of a service in the subnet of `client`."""
    return Binding(
        id=EndpointId(str(uuid4())),
        consumer=NEAR,
        provider=service.attachment,
        address=address,
        transit_address=source,
        target_transit_address=service.transit_address,
        forwards=tuple(PortForward(port, SERVER_PORT) for port in ports),
        marker=0x01020304,
        mtu=min(1500, service.attachment.mtu),
        tcp_proxy=mode,
    )


def programs(ground: Ground, hook: Hook, direction: Direction = Direction.INGRESS) -> list[str]:
    """Return the names of the programs on the edge's interface in the client's subnet."""

    def ask() -> list[str]:
        opened = [
            kernel.open_program(number)
            for number in hook.attached(socket.if_nametoindex(subnet_interface(NEAR.subnet_id)), direction)
        ]
        names = [program.info.name for program in opened]
        for program in opened:
            program.close()
        return names

    return ground.inside(ground.edge, ask)


def _remove_what_dead_runs_left(namespaces: Namespaces) -> None:
    for name in namespaces.names():
        found = _OURS.fullmatch(name)
        if found is not None and not Path("/proc", found["process"]).exists():
            namespaces.remove(name)
