"""Try the memory driver on the same topology: hosts that exist in a dict."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from itertools import count

from conformance import topology
from conformance.world import (
    ACK,
    BRIEFLY,
    ICMP,
    SYN,
    SYN_ACK,
    TCP,
    UDP,
    Answer,
    Arrival,
    Attempt,
    Emission,
    Exchange,
    Flow,
    Sabotage,
)
from landbridge.dataplane.driver import DriverError
from landbridge.dataplane.model import Attachment, WiredId
from landbridge.dataplane.plan import Plan
from landbridge.drivers.memory import Delivery, MemoryDriver, MemoryNetwork, Packet, Protocol, TcpFlag

_FLAGS = {SYN: TcpFlag.SYN, ACK: TcpFlag.ACK, SYN_ACK: TcpFlag.SYN | TcpFlag.ACK}
_PROTOCOLS = {TCP: Protocol.TCP, UDP: Protocol.UDP, ICMP: Protocol.ICMP}
_INSTANCE = "conformance"


def _packet(emission: Emission) -> Packet:
    return Packet(
        topology.attachment(topology.subnet_of(emission.host)).subnet_id,
        emission.source,
        emission.source_port,
        emission.destination,
        emission.destination_port,
        _PROTOCOLS[emission.protocol],
        _FLAGS[emission.flags],
    )


def _back(delivery: Delivery, flags: TcpFlag) -> Packet:
    """Return the packet that a host answers with."""
    there = delivery.packet
    return Packet(
        there.subnet_id,
        there.destination,
        there.destination_port,
        there.source,
        there.source_port,
        there.protocol,
        flags,
    )


@dataclass
class MemoryFlow:
    """Both ends of a connection, each sending to what it believes to be the other."""

    network: MemoryNetwork
    client: str
    backend: str
    to_backend: Packet
    to_client: Packet

    @property
    def seen_source(self) -> tuple[IPv4Address, int]:
        return self.to_client.destination, self.to_client.destination_port

    def is_alive(self) -> bool:
        return self.exchange(0) == Exchange(1, 1)

    def exchange(self, seconds: float) -> Exchange:
        del seconds
        forth, back = self.network.send(self.to_backend), self.network.send(self.to_client)
        return Exchange(
            int(forth is not None and forth.host == self.backend), int(back is not None and back.host == self.client)
        )


@dataclass
class MemoryProbe:
    network: MemoryNetwork
    _source_ports: "count[int]" = field(default_factory=lambda: count(40000))

    def _send(self, host: str, address: IPv4Address, port: int, source_port: int | None, protocol: str) -> Emission:
        source_port = next(self._source_ports) if source_port is None else source_port
        return Emission(host, topology.address_of(host), source_port, address, port, protocol)

    def _is_answered(self, emission: Emission) -> Answer | None:
        there = self.network.send(_packet(emission))
        if there is None or there.host is None or there.packet.destination_port not in topology.SERVER_PORTS:
            return None
        back = self.network.send(_back(there, _FLAGS[SYN_ACK]))
        if back is None or back.host != emission.host:
            return None
        asked = (emission.destination, emission.destination_port)
        return (
            Answer(there.host, there.packet.destination_port, there.packet.source)
            if (back.packet.source, back.packet.source_port) == asked
            else None
        )

    def reach_each(self, attempts: Sequence[Attempt], timeout: float) -> list[Answer | None]:
        del timeout
        return [
            self._is_answered(self._send(each.host, each.address, each.port, each.source_port, TCP))
            for each in attempts
        ]

    def refuses_each(self, attempts: Sequence[Attempt]) -> list[bool]:
        return [self._refuses(each) for each in attempts]

    def _refuses(self, attempt: Attempt) -> bool:
        there = self.network.send(_packet(self._send(attempt.host, attempt.address, attempt.port, None, TCP)))
        # A host resets what it does not listen for; an edge never does.
        return there is not None and there.host is not None and attempt.port not in topology.SERVER_PORTS

    def open(self, host: str, address: IPv4Address, port: int, source_port: int | None = None) -> Flow:
        emission = self._send(host, address, port, source_port, TCP)
        there = self.network.send(_packet(emission))
        assert there is not None
        assert there.host is not None
        acknowledge = Emission(
            host, emission.source, emission.source_port, emission.destination, emission.destination_port, flags=ACK
        )
        return MemoryFlow(self.network, host, there.host, _packet(acknowledge), _back(there, _FLAGS[ACK]))

    def ask_by_udp(self, host: str, address: IPv4Address, port: int, timeout: float = BRIEFLY) -> Answer | None:
        del timeout
        return self._is_answered(self._send(host, address, port, None, UDP))

    def ping_each(self, pings: Sequence[tuple[str, IPv4Address]]) -> list[bool]:
        return [
            self.network.send(_packet(self._send(host, address, 0, 0, ICMP))) is not None for host, address in pings
        ]

    def emit_each(self, emissions: Sequence[Emission]) -> list[Arrival | None]:
        arrivals: list[Arrival | None] = []
        for emission in emissions:
            there = self.network.send(_packet(emission))
            if there is None or there.host is None:
                arrivals.append(None)
                continue
            packet = there.packet
            arrivals.append(
                Arrival(there.host, packet.source, packet.source_port, packet.destination, packet.destination_port)
            )
        return arrivals

    def close_flows(self) -> None:
        return


class _StepByStep(MemoryDriver):
    """Calls something before each step."""

    def __init__(self, network: MemoryNetwork, instance: str, before_effect: Callable[[], None]) -> None:
        super().__init__(network, instance)
        self._before_effect = before_effect

    def apply(self, plan: Plan) -> Mapping[WiredId, DriverError]:
        errors: dict[WiredId, DriverError] = {}
        for step in plan.steps:
            self._before_effect()
            errors |= super().apply(Plan((step,), is_sweep=plan.is_sweep))
        return errors


class MemoryPlane:
    def __init__(self) -> None:
        self.network = MemoryNetwork(topology.fabric("memory"))
        self.probe = MemoryProbe(self.network)
        self.driver = self.new_driver()

    @property
    def edge_is_gateway(self) -> bool:
        return True

    def attachment(self, subnet_name: str) -> Attachment:
        return topology.attachment(subnet_name)

    def new_driver(self, instance: str | None = None, before_effect: Callable[[], None] = lambda: None) -> MemoryDriver:
        return _StepByStep(self.network, instance or _INSTANCE, before_effect)

    def dump(self) -> str:
        return repr((self.network.labels(_INSTANCE), self.network.intact(_INSTANCE)))

    def sabotages(self) -> list[Sabotage]:
        return [
            Sabotage(f"losing {id_}", lambda id_=id_: self.network.lose(id_)) for id_ in self.network.labels(_INSTANCE)
        ]

    def close(self) -> None:
        self.driver.close()
