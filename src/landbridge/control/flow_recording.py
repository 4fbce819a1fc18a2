"""Write a line for each connection that ended: join what the kernel says with whose endpoint it was.

Runs in the thread that hears the kernel. An endpoint that is not known yet gets a few seconds, in which somebody else
looks it up; the line is written in any case, at worst without names.
"""

from collections import deque
from collections.abc import Callable, Collection
from datetime import datetime, timedelta

from landbridge.control.parties import PartiesBook
from landbridge.control.proxied import ProxiedConnections
from landbridge.control.traffic_protocols import FlowLog, TrafficWatch
from landbridge.dataplane.flows import (
    UNKNOWN_PARTIES,
    Connection,
    EndedConnection,
    Parties,
    TrafficKey,
    flow_line,
    lost_line,
)
from landbridge.domain.ids import EndpointId, VpcId

PATIENCE = timedelta(seconds=3)
"""How long a line waits for its endpoint's names."""
MOST_WAITING = 10_000

_KERNEL = "the kernel's buffer was full"


class FlowRecorder:
    """Keeps the flow log (`drivers.linux.conntrack_events.EndingsSink`)."""

    def __init__(
        self,
        book: PartiesBook,
        proxied: ProxiedConnections,
        log: FlowLog,
        watch: TrafficWatch,
        now: Callable[[], datetime],
        on_unknown: Callable[[], None],
    ) -> None:
        """`on_unknown` is called when the book lacks an endpoint; must return at once."""
        self._book = book
        self._proxied = proxied
        self._log = log
        self._watch = watch
        self._now = now
        self._on_unknown = on_unknown
        self._waiting: deque[tuple[datetime, TrafficKey, EndedConnection]] = deque()

    def ended(self, vpc_id: VpcId, connections: Collection[EndedConnection]) -> None:
        """Write lines for connections in a VPC."""
        lines: list[str] = []
        was_waiting = len(self._waiting)
        now = self._now()
        for ended in connections:
            key = TrafficKey(vpc_id, ended.connection.mark)
            known = self._book.find(key)
            if known is not None:
                lines.append(self._line(ended, known))
            elif len(self._waiting) < MOST_WAITING:
                self._waiting.append((now, key, ended))
            else:
                lines.append(flow_line(ended, UNKNOWN_PARTIES))
        if lines:
            self._log.append(lines)
        if len(self._waiting) > was_waiting:
            self._on_unknown()

    def lost(self, vpc_id: VpcId) -> None:
        """Write down that connections in a VPC ended and nobody knows which."""
        self._watch.flow_events_lost()
        self._log.append([lost_line(self._now(), vpc_id, _KERNEL)])

    def tick(self) -> None:
        """Write the lines that have waited long enough, or need not any more."""
        lines: list[str] = []
        now = self._now()
        for _ in range(len(self._waiting)):
            since, key, ended = self._waiting.popleft()
            known = self._book.find(key)
            if known is not None:
                lines.append(self._line(ended, known))
            elif now - since >= PATIENCE:
                lines.append(flow_line(ended, UNKNOWN_PARTIES))
            else:
                self._waiting.append((since, key, ended))
        if lines:
            self._log.append(lines)
        self._log.tidy()

    def close(self) -> None:
        """Write what still waits, and close the log."""
        lines = [
            flow_line(ended, UNKNOWN_PARTIES) if (known := self._book.find(key)) is None else self._line(ended, known)
            for _, key, ended in self._waiting
        ]
        self._waiting.clear()
        if lines:
            self._log.append(lines)
        self._log.close()

    def _line(self, ended: EndedConnection, known: Parties) -> str:
        one = ended.connection
        if not one.source:
            source = self._proxied.source_of(EndpointId(known.endpoint_id), one.client, _port(one))
            if source:
                ended = ended._replace(connection=one._replace(source=source))
        return flow_line(ended, known)


def _port(connection: Connection) -> int:
    return int(connection.listener.rpartition(":")[2])
