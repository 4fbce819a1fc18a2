"""Say what is known of connections: live ones, ended ones, and how much went through an endpoint.

Pure values, and the one line of JSON that the flow log keeps of an ended connection. A data plane knows an endpoint by
a `TrafficKey`; whose endpoint that is, is looked up elsewhere. An end of a connection is a text, `ADDRESS:PORT`: it is
written and compared, never reckoned with, and there may be 15,000 of them in a second.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, NamedTuple, cast

from landbridge.domain.ids import VpcId

NANOSECONDS = 1_000_000_000


class TrafficKey(NamedTuple):
    """What a data plane knows an endpoint by; equal only for one life of one endpoint at one address."""

    vpc_id: VpcId
    """The consumer's VPC, in whose edge the connections are tracked."""
    mark: int
    """32 bits; never 0."""


class State(StrEnum):
    """How far a connection has come."""

    OPENING = "opening"
    ESTABLISHED = "established"
    CLOSING = "closing"
    CLOSED = "closed"


class Ending(StrEnum):
    """How a connection ended."""

    CLOSED = "closed"
    """Both ends said goodbye."""
    RESET = "reset"
    """One end, or the edge, broke it off."""
    UNANSWERED = "unanswered"
    """It never came about."""
    TIMED_OUT = "timed-out"
    """It fell silent."""
    REMOVED = "removed"
    """Somebody made the kernel forget it, as when its endpoint is cut."""


class Connection(NamedTuple):
    """A connection of an endpoint, as the consumer's edge tracks it."""

    id: int
    """Tells it from others with the same ends; 32 bits, stable for its life."""
    mark: int
    client: str
    """The client's own address and port."""
    listener: str
    """What the client connected to: the endpoint's address and port, or a public one behind a gateway endpoint."""
    target: str
    """Where it went: the backend's transit address and port. Empty where a proxy opened another connection."""
    source: str
    """By what the backend knows it: the endpoint's transit address and a port. Empty as `target` is."""
    protocol: str
    """`tcp`, `udp`, or the number of another one."""
    state: State
    opened_ns: int
    """Nanoseconds since 1970; 0: unknown."""
    packets_sent: int
    bytes_sent: int
    """From the client, headers included."""
    packets_received: int
    bytes_received: int

    @property
    def is_open(self) -> bool:
        """Whether more may pass; what is only remembered so that late packets find nobody else is not open."""
        return self.state is not State.CLOSED


class EndedConnection(NamedTuple):
    """A connection that the data plane tracks no more."""

    connection: Connection
    ended_ns: int
    """When the last packet passed, in nanoseconds since 1970, as nearly as it is known."""
    ending: Ending | None


@dataclass(frozen=True, slots=True)
class TrafficCounters:
    """What has gone through an endpoint."""

    bytes_sent: int = 0
    """From clients to the backend, IP headers included."""
    packets_sent: int = 0
    bytes_received: int = 0
    packets_received: int = 0
    opened: int = 0
    """Connections."""

    def plus(self, other: "TrafficCounters") -> "TrafficCounters":
        """Return the sum, number by number."""
        return TrafficCounters(
            self.bytes_sent + other.bytes_sent,
            self.packets_sent + other.packets_sent,
            self.bytes_received + other.bytes_received,
            self.packets_received + other.packets_received,
            self.opened + other.opened,
        )

    def since(self, before: "TrafficCounters") -> "TrafficCounters":
        """Return how much more this is; a number that went down was counted anew from 0."""

        def more(now: int, then: int) -> int:
            return now - then if now >= then else now

        return TrafficCounters(
            more(self.bytes_sent, before.bytes_sent),
            more(self.packets_sent, before.packets_sent),
            more(self.bytes_received, before.bytes_received),
            more(self.packets_received, before.packets_received),
            more(self.opened, before.opened),
        )


NOTHING_COUNTED = TrafficCounters()


class GrowingCounters:
    """Adds up what counters say that may begin anew, so that no sum ever goes down.

    What a counter counted between the last look at it and its new beginning is nobody's.
    """

    def __init__(self) -> None:
        self._seen: dict[TrafficKey, TrafficCounters] = {}
        self._sums: dict[TrafficKey, TrafficCounters] = {}
        self.total = NOTHING_COUNTED
        """Of all keys that there ever were."""

    def add(self, seen: Mapping[TrafficKey, TrafficCounters], asked: Iterable[TrafficKey] = ()) -> None:
        """Take in what counters show now; those of `asked` that are not among them are not there any more."""
        for key, now in seen.items():
            more = now.since(self._seen.get(key, NOTHING_COUNTED))
            if now == NOTHING_COUNTED:
                self._seen.pop(key, None)
            else:
                self._seen[key] = now
            if more != NOTHING_COUNTED:
                self._sums[key] = self._sums.get(key, NOTHING_COUNTED).plus(more)
                self.total = self.total.plus(more)
        for key in asked:
            if key not in seen:
                self._seen.pop(key, None)

    def add_all(self, seen: Mapping[TrafficKey, TrafficCounters]) -> None:
        """Take in what all counters show that there are."""
        self.add(seen, list(self._seen))

    def sum_of(self, key: TrafficKey) -> TrafficCounters:
        """Return what an endpoint has had so far."""
        return self._sums.get(key, NOTHING_COUNTED)

    def shrink(self, most: int, present: Collection[TrafficKey]) -> None:
        """Forget endpoints that are not present when more than `most` are remembered; the total keeps what they had.

        Not at once: an endpoint that is rejected and accepted again is away for a while.
        """
        if len(self._sums) > most:
            self._sums = {key: value for key, value in self._sums.items() if key in present}


class Parties(NamedTuple):
    """Whose connection it is: what the flow log says beside the kernel's own facts."""

    endpoint_id: str = ""
    marker: int = 0
    service_id: str = ""
    consumer_project: str = ""
    consumer_domain: str = ""
    provider_project: str = ""
    provider_domain: str = ""
    tcp_proxy: str = ""


UNKNOWN_PARTIES = Parties()
"""Of a connection whose endpoint nobody remembers."""


class FlowRecord(NamedTuple):
    """A line of the flow log about a connection."""

    parties: Parties
    opened_at: datetime | None
    ended_at: datetime
    client: str
    listener: str
    source: str
    """Empty where it is not known."""
    target: str
    protocol: str
    bytes_sent: int
    packets_sent: int
    bytes_received: int
    packets_received: int
    ending: str | None


def flow_line(ended: EndedConnection, parties: Parties) -> str:
    """Return the line of an ended connection."""
    # Written by hand: json.dumps of the whole takes as long as reading and joining it together. All texts in it are
    # addresses and words of ours.
    one = ended.connection
    ending = f'"{ended.ending}"' if ended.ending is not None else "null"
    opened = f'"{moment_text(one.opened_ns)}"' if one.opened_ns else "null"
    return (
        f'{{"kind":"connection","ended_at":"{moment_text(ended.ended_ns)}","opened_at":{opened},{_members(parties)},'
        f'"client":"{one.client}","endpoint":"{one.listener}","source":"{one.source}","target":"{one.target}",'
        f'"protocol":"{one.protocol}","bytes_sent":{one.bytes_sent},"packets_sent":{one.packets_sent},'
        f'"bytes_received":{one.bytes_received},"packets_received":{one.packets_received},"ending":{ending}}}\n'
    )


@lru_cache(maxsize=4096)
def _members(parties: Parties) -> str:
    # Few have most of the connections.
    return json.dumps(parties._asdict(), separators=(",", ":"))[1:-1]


def lost_line(at: datetime, vpc_id: VpcId | None, reason: str) -> str:
    """Return the line that says that connections ended and nobody knows which; None: of any VPC."""
    facts = {"kind": "lost", "at": moment_text(int(at.timestamp() * NANOSECONDS)), "vpc_id": vpc_id, "reason": reason}
    return json.dumps(facts, separators=(",", ":")) + "\n"


def source_needle(source: str) -> bytes:
    """Return what every line about connections with this source contains, and hardly any other."""
    return f'"source":"{source}"'.encode()


def read_flow_line(line: bytes) -> FlowRecord | None:
    """Return what a line says of a connection; None if it says something else, or is not whole."""
    try:
        facts = cast("dict[str, Any]", json.loads(line))
        if facts["kind"] != "connection":
            return None
        return FlowRecord(
            Parties(**{name: facts[name] for name in Parties._fields}),
            datetime.fromisoformat(facts["opened_at"]) if facts["opened_at"] else None,
            datetime.fromisoformat(facts["ended_at"]),
            facts["client"],
            facts["endpoint"],
            facts["source"],
            facts["target"],
            facts["protocol"],
            facts["bytes_sent"],
            facts["packets_sent"],
            facts["bytes_received"],
            facts["packets_received"],
            facts["ending"],
        )
    except (ValueError, KeyError, TypeError):
        return None


def moment_text(nanoseconds: int) -> str:
    """Return a moment of the kernel's clock as text: UTC, milliseconds."""
    return f"{_second_text(nanoseconds // NANOSECONDS)}.{nanoseconds // 1_000_000 % 1000:03}Z"


def moment_of(nanoseconds: int) -> datetime | None:
    """Return a moment of the kernel's clock; None for 0, which stands for an unknown one."""
    return datetime.fromtimestamp(nanoseconds / NANOSECONDS, UTC) if nanoseconds else None


@lru_cache(maxsize=4096)
def _second_text(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
