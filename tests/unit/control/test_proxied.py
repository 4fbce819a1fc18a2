"""Which client is behind which connection of the proxy is known as long as somebody may ask."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address

from landbridge.control.proxied import ProxiedConnections
from landbridge.domain.ids import EndpointId

NOW = datetime(2026, 2, 2, tzinfo=UTC)
ENDPOINT = EndpointId("e-1")


@dataclass(frozen=True)
class Told:
    """What the proxy says."""

    port: int
    source_port: int
    ended_at: datetime | None = None
    endpoint_id: EndpointId = ENDPOINT
    client_port: int = 8080

    @property
    def client(self) -> tuple[IPv4Address, int]:
        return IPv4Address("10.0.0.20"), self.port

    @property
    def source(self) -> tuple[IPv4Address, int]:
        return IPv4Address("198.19.128.2"), self.source_port


class Watch:
    def __init__(self) -> None:
        self.at = NOW

    def __call__(self) -> datetime:
        return self.at


def test_each_end_leads_to_the_other():
    known = ProxiedConnections(Watch())

    known.proxied(Told(43210, 40001))

    assert known.source_of(ENDPOINT, "10.0.0.20:43210", 8080) == "198.19.128.2:40001"
    assert known.client_of(ENDPOINT, "198.19.128.2:40001") == "10.0.0.20:43210"


def test_what_nobody_told_is_not_known():
    known = ProxiedConnections(Watch())
    known.proxied(Told(43210, 40001))

    assert known.source_of(ENDPOINT, "10.0.0.20:43210", 8081) == ""
    assert known.source_of(EndpointId("e-2"), "10.0.0.20:43210", 8080) == ""
    assert known.client_of(EndpointId("e-2"), "198.19.128.2:40001") == ""


def test_an_ended_connection_is_known_until_the_kernel_has_told_of_it():
    watch = Watch()
    known = ProxiedConnections(watch)
    known.proxied(Told(43210, 40001))
    known.proxied(Told(43210, 40001, ended_at=NOW))

    watch.at = NOW + timedelta(minutes=4)
    known.proxied(Told(50000, 50000))
    assert known.source_of(ENDPOINT, "10.0.0.20:43210", 8080) == "198.19.128.2:40001"

    watch.at = NOW + timedelta(minutes=6)
    known.proxied(Told(50001, 50001))
    assert known.source_of(ENDPOINT, "10.0.0.20:43210", 8080) == ""
    assert len(known) == 2


def test_the_end_of_a_connection_does_not_take_its_successor_from_the_same_port_away():
    watch = Watch()
    known = ProxiedConnections(watch)
    known.proxied(Told(43210, 40001))
    known.proxied(Told(43210, 40001, ended_at=NOW))
    known.proxied(Told(43210, 40002))

    watch.at = NOW + timedelta(minutes=6)
    known.proxied(Told(50000, 50000))

    assert known.source_of(ENDPOINT, "10.0.0.20:43210", 8080) == "198.19.128.2:40002"


def test_the_oldest_are_given_up_when_there_are_too_many():
    known = ProxiedConnections(Watch(), most=2)

    for port in (1001, 1002, 1003):
        known.proxied(Told(port, port))

    assert len(known) == 2
    assert known.source_of(ENDPOINT, "10.0.0.20:1001", 8080) == ""
    assert known.client_of(ENDPOINT, "198.19.128.2:1001") == ""
    assert known.source_of(ENDPOINT, "10.0.0.20:1003", 8080) == "198.19.128.2:1003"
