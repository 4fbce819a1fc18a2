"""Every ended connection becomes one line, with the names of whose it was as soon as they are known."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from ipaddress import IPv4Address
from typing import Any

from landbridge.control.flow_recording import FlowRecorder
from landbridge.control.parties import PartiesBook
from landbridge.control.proxied import ProxiedConnections
from landbridge.control.queries import Changes
from landbridge.dataplane.flows import Connection, EndedConnection, Ending, State, TrafficCounters, TrafficKey
from landbridge.domain.ids import EndpointId
from landbridge.domain.resources import Endpoint, TcpProxy
from tests.examples import CONSUMER_VPC, NOW, a_service, an_endpoint

ENDPOINT, SERVICE = an_endpoint(), a_service()
MARK = 77
CONNECTION = Connection(
    1,
    MARK,
    "10.0.0.20:43210",
    "10.0.0.100:8080",
    "198.19.128.1:80",
    "198.19.130.1:40001",
    "tcp",
    State.CLOSED,
    1_770_000_000_000_000_000,
    3,
    1200,
    4,
    90_000,
)
ENDED = EndedConnection(CONNECTION, 1_770_000_060_000_000_000, Ending.CLOSED)


def key_of(endpoint: Endpoint) -> TrafficKey:
    return TrafficKey(endpoint.vpc_id, MARK if endpoint.id == ENDPOINT.id else endpoint.marker)


@dataclass
class Kept:
    """A log in memory."""

    lines: list[dict[str, Any]] = field(default_factory=list)
    is_closed: bool = False
    tidied: int = 0

    def append(self, lines: Sequence[str]) -> None:
        self.lines += map(json.loads, lines)

    def tidy(self) -> None:
        self.tidied += 1

    def close(self) -> None:
        self.is_closed = True


@dataclass
class Watch:
    """Counts what it hears."""

    lost_events: int = 0

    def traffic_measured(self, total: TrafficCounters, open_connections: int) -> None: ...

    def flow_events_lost(self) -> None:
        self.lost_events += 1

    def flows_written(self, count: int) -> None: ...

    def flows_lost(self, count: int, reason: str) -> None: ...


@dataclass
class Desk:
    """A recorder, and all that is around it."""

    book: PartiesBook = field(default_factory=lambda: PartiesBook(key_of))
    log: Kept = field(default_factory=Kept)
    watch: Watch = field(default_factory=Watch)
    at: datetime = NOW
    asked: int = 0

    def __post_init__(self) -> None:
        self.proxied = ProxiedConnections(lambda: self.at)
        self.recorder = FlowRecorder(self.book, self.proxied, self.log, self.watch, lambda: self.at, self.ask)

    def ask(self) -> None:
        self.asked += 1


def test_a_line_names_endpoint_service_and_both_tenants():
    desk = Desk()
    desk.book.update(Changes(1, [SERVICE], [ENDPOINT]))

    desk.recorder.ended(CONSUMER_VPC, [ENDED])

    (line,) = desk.log.lines
    assert (line["endpoint_id"], line["service_id"]) == (ENDPOINT.id, SERVICE.id)
    assert (line["consumer_project"], line["provider_project"]) == (ENDPOINT.project_id, SERVICE.project_id)
    assert (line["client"], line["source"], line["ending"]) == ("10.0.0.20:43210", "198.19.130.1:40001", "closed")
    assert desk.asked == 0


def test_a_connection_of_a_new_endpoint_waits_for_its_names():
    desk = Desk()
    desk.recorder.ended(CONSUMER_VPC, [ENDED])
    assert (desk.log.lines, desk.asked) == ([], 1)

    desk.recorder.tick()
    assert desk.log.lines == []
    desk.book.update(Changes(1, [SERVICE], [ENDPOINT]))
    desk.recorder.tick()

    assert [line["endpoint_id"] for line in desk.log.lines] == [ENDPOINT.id]


def test_a_connection_of_nobody_known_is_written_without_names_after_a_while():
    desk = Desk()
    desk.recorder.ended(CONSUMER_VPC, [ENDED])

    desk.at += timedelta(seconds=4)
    desk.recorder.tick()

    (line,) = desk.log.lines
    assert (line["endpoint_id"], line["client"]) == ("", "10.0.0.20:43210")


def test_what_waits_is_written_at_the_end():
    desk = Desk()
    desk.recorder.ended(CONSUMER_VPC, [ENDED])

    desk.recorder.close()

    assert len(desk.log.lines) == 1
    assert desk.log.is_closed


def test_an_endpoint_that_is_gone_is_remembered():
    desk = Desk()
    desk.book.update(Changes(1, [SERVICE], [ENDPOINT]))
    desk.book.update(Changes(2, [], []))

    desk.recorder.ended(CONSUMER_VPC, [ENDED])

    assert desk.log.lines[0]["endpoint_id"] == ENDPOINT.id


def test_a_change_of_the_service_is_in_later_lines():
    desk = Desk()
    desk.book.update(Changes(1, [SERVICE], [ENDPOINT]))
    desk.book.update(Changes(2, [replace(SERVICE, tcp_proxy=TcpProxy.TOA_OPEN)], []))

    desk.recorder.ended(CONSUMER_VPC, [ENDED])

    assert desk.log.lines[0]["tcp_proxy"] == "toa_open"
    assert desk.log.lines[0]["consumer_project"] == ENDPOINT.project_id


def test_no_more_endpoints_are_remembered_than_told():
    book = PartiesBook(key_of, most=2)
    others = [an_endpoint(id=EndpointId(f"e-{number}"), marker=number) for number in (1, 2, 3)]

    book.update(Changes(1, [SERVICE], others))

    known = [book.find(key_of(one)) is not None for one in others]
    assert known == [False, True, True]


def test_the_source_of_a_proxied_connection_is_what_the_proxy_told():
    desk = Desk()
    desk.book.update(Changes(1, [SERVICE], [ENDPOINT]))
    desk.proxied.proxied(Told())

    desk.recorder.ended(CONSUMER_VPC, [ENDED._replace(connection=CONNECTION._replace(source="", target=""))])

    assert desk.log.lines[0]["source"] == "198.19.130.1:50001"


@dataclass(frozen=True)
class Told:
    """A connection that the proxy carries."""

    endpoint_id: EndpointId = ENDPOINT.id
    client_port: int = 8080
    client: tuple[IPv4Address, int] = (IPv4Address("10.0.0.20"), 43210)
    source: tuple[IPv4Address, int] = (IPv4Address("198.19.130.1"), 50001)
    ended_at: datetime | None = None


def test_losses_are_counted_and_written_down():
    desk = Desk()

    desk.recorder.lost(CONSUMER_VPC)

    assert desk.watch.lost_events == 1
    assert desk.log.lines == [
        {
            "kind": "lost",
            "at": "2026-11-22T17:00:00.000Z",
            "vpc_id": CONSUMER_VPC,
            "reason": "the kernel's buffer was full",
        }
    ]
