"""Say what a test may do with a world: wire things in it, and send packets through it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from itertools import count
from typing import Protocol
from uuid import uuid4

from conformance import topology
from landbridge.dataplane.driver import Driver, DriverError, finish
from landbridge.dataplane.model import (
    TRANSIT_RANGE,
    Attachment,
    Binding,
    GatewayBinding,
    PortForward,
    Target,
    Wired,
    WiredId,
)
from landbridge.dataplane.plan import Plan, diff
from landbridge.domain.ids import EndpointId, ServiceId

BRIEFLY = 0.35
"""Seconds to wait for what must not come; what does come takes about a millisecond."""
PATIENTLY = 3.0
"""Seconds to wait at most for what must come."""

TCP, UDP, ICMP, ICMP_ERROR = "tcp", "udp", "icmp", "icmp-error"
SYN, ACK, SYN_ACK = "S", "A", "SA"


@dataclass(frozen=True, slots=True)
class Answer:
    """Who answered, on which of its ports, and which client it saw."""

    host: str
    port: int
    source: IPv4Address


@dataclass(frozen=True, slots=True)
class Attempt:
    """A connection that a host tries to open."""

    host: str
    address: IPv4Address
    port: int
    source_port: int | None = None


@dataclass(frozen=True, slots=True)
class Emission:
    """A single packet that a host puts on its wire, headers as it likes."""

    host: str
    source: IPv4Address
    source_port: int
    destination: IPv4Address
    destination_port: int
    protocol: str = TCP
    flags: str = SYN
    about: "Emission | None" = None
    """Of an ICMP error: the packet that it complains of."""
    is_fragmented: bool = False
    """Sent in two pieces, of which the first has not even a whole TCP header."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """Where an emitted packet was seen coming in, and with which headers."""

    host: str
    source: IPv4Address
    source_port: int
    destination: IPv4Address
    destination_port: int


@dataclass(frozen=True, slots=True)
class Exchange:
    """How many bytes arrived at each end while both ends kept sending."""

    at_backend: int
    at_client: int


NOTHING = Exchange(0, 0)


class Flow(Protocol):
    """An established connection on which both ends never stop sending."""

    @property
    def seen_source(self) -> tuple[IPv4Address, int]:
        """The client, as the backend sees it."""
        ...

    def is_alive(self) -> bool:
        """Say whether bytes go on arriving at both ends; wait for them patiently."""
        ...

    def exchange(self, seconds: float) -> Exchange:
        """Return what arrives at both ends from now on, within so many seconds."""
        ...


class Probe(Protocol):
    """Hosts that really connect, listen, and put packets on wires."""

    def reach_each(self, attempts: Sequence[Attempt], timeout: float) -> list[Answer | None]:
        """Open all the connections at the same time; return who answered each."""
        ...

    def refuses_each(self, attempts: Sequence[Attempt]) -> list[bool]:
        """Say for each attempt to connect whether it is turned down by a packet (reset or ICMP error)."""
        ...

    def open(self, host: str, address: IPv4Address, port: int, source_port: int | None = None) -> Flow:
        """Open a connection and keep it busy."""
        ...

    def ask_by_udp(self, host: str, address: IPv4Address, port: int, timeout: float = BRIEFLY) -> Answer | None:
        """Send a datagram and return who answered."""
        ...

    def ping_each(self, pings: Sequence[tuple[str, IPv4Address]]) -> list[bool]:
        """Say for each host and address whether an ICMP echo request is answered."""
        ...

    def emit_each(self, emissions: Sequence[Emission]) -> list[Arrival | None]:
        """Put packets on wires at the same time; return at which host each came in."""
        ...

    def close_flows(self) -> None:
        """End what `open` began."""
        ...


@dataclass(frozen=True, slots=True)
class Sabotage:
    """Something that somebody does to the data plane by hand."""

    what: str
    do: Callable[[], object]


class Plane(Protocol):
    """One kind of data plane, with the whole topology on it."""

    @property
    def probe(self) -> Probe: ...

    @property
    def driver(self) -> Driver: ...

    @property
    def edge_is_gateway(self) -> bool:
        """Whether the edges route between the subnets of their VPC, and so know every way into it."""
        ...

    def attachment(self, subnet_name: str) -> Attachment:
        """Return how a subnet of the topology is attached here."""
        ...

    def new_driver(self, instance: str | None = None, *, before_effect: Callable[[], None] = lambda: None) -> Driver:
        """Return another driver object over the same state; of another instance if one is named.

        `before_effect` is called before each thing that it changes by itself: what raises there dies there.
        """
        ...

    def dump(self) -> str:
        """Return everything that drivers have made, as text: equal for equal states."""
        ...

    def sabotages(self) -> list[Sabotage]:
        """Return one way to take away each thing that is wired now."""
        ...

    def close(self) -> None:
        """Take everything down."""
        ...


@dataclass
class World:
    """A plane, and what is wired on it in one test."""

    plane: Plane
    _numbers: "count[int]" = field(default_factory=lambda: count(1))
    _target_transit: dict[str, IPv4Address] = field(default_factory=dict)

    @property
    def probe(self) -> Probe:
        return self.plane.probe

    @property
    def driver(self) -> Driver:
        return self.plane.driver

    # Things to wire

    def transit_address(self) -> IPv4Address:
        return TRANSIT_RANGE.network_address + 0x100 + next(self._numbers)

    def service(self, host: str, *server_ports: int) -> Target:
        """Return a service on a host; services on one NIC share its transit address."""
        return Target(
            id=ServiceId(str(uuid4())),
            attachment=self.plane.attachment(topology.subnet_of(host)),
            address=topology.address_of(host),
            transit_address=self._target_transit.setdefault(host, self.transit_address()),
            server_ports=tuple(sorted(server_ports)),
        )

    def endpoint(
        self,
        subnet: str,
        address: str,
        service: Target,
        forwards: Mapping[int, int],
        allowed: Sequence[str] | None = None,
    ) -> Binding:
        """Return an accepted endpoint of a service; `forwards` maps client ports to server ports."""
        consumer = self.plane.attachment(subnet)
        networks = None if allowed is None else tuple(sorted(map(IPv4Network, allowed)))
        return Binding(
            id=EndpointId(str(uuid4())),
            consumer=consumer,
            provider=service.attachment,
            address=IPv4Address(address),
            transit_address=self.transit_address(),
            target_transit_address=service.transit_address,
            forwards=tuple(PortForward(client, server) for client, server in sorted(forwards.items())),
            marker=next(self._numbers),
            mtu=min(consumer.mtu, service.attachment.mtu, 1500),
            allowed_sources=networks,
        )

    def gateway(self, *subnets: str, networks: Sequence[str] = ("100.125.0.0/24",)) -> GatewayBinding:
        """Return an accepted gateway endpoint that leads from these subnets of one VPC to the public network."""
        entries = tuple(sorted(map(self.plane.attachment, subnets), key=lambda entry: entry.subnet_id))
        exit_ = self.plane.attachment("public-net")
        return GatewayBinding(
            id=EndpointId(str(uuid4())),
            entries=entries,
            exit=exit_,
            networks=tuple(sorted(map(IPv4Network, networks))),
            transit_address=self.transit_address(),
            marker=next(self._numbers),
            mtu=min(exit_.mtu, 1500, *(entry.mtu for entry in entries)),
        )

    # Wiring, as the loop does it

    def apply(self, desired: Mapping[WiredId, Wired | None]) -> Mapping[WiredId, DriverError]:
        return self.driver.apply(diff(desired, self.driver.observe(list(desired))))

    def wire(self, *wired: Wired) -> None:
        assert self.apply({thing.id: thing for thing in wired}) == {}

    def unwire(self, *wired: Wired) -> None:
        assert self.apply({thing.id: None for thing in wired}) == {}

    def sweep(self, *expected: Wired) -> Mapping[WiredId, DriverError]:
        """Survey everything, and make it equal to what is expected."""
        desired = {thing.id: thing for thing in expected}
        plan = diff(desired, finish(self.driver.survey(expected)))
        return self.driver.apply(Plan(plan.steps, is_sweep=True))

    def clear(self) -> None:
        self.probe.close_flows()
        assert self.sweep() == {}
        assert finish(self.driver.survey(())) == {}

    # Asking

    def reach(
        self, host: str, address: IPv4Address, port: int, source_port: int | None = None, timeout: float = PATIENTLY
    ) -> Answer | None:
        return self.probe.reach_each([Attempt(host, address, port, source_port)], timeout)[0]

    def nobody_reaches(self, *attempts: Attempt) -> bool:
        """Try all at the same time, and say whether none was answered."""
        return self.probe.reach_each(attempts, BRIEFLY) == [None] * len(attempts)

    def emit(self, emission: Emission) -> Arrival | None:
        return self.probe.emit_each([emission])[0]
