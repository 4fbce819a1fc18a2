"""Make the kernel forget connections that were cut, so that nothing brings them back.

The rules stop every packet of a connection that is not wanted any more. But while its ends are silent the kernel
remembers it, for days: it would keep its place in the endpoint's budget, and go on once its endpoint is accepted, or
its client let in, again. Forgetting is idempotent; what is allowed is never touched.
"""

import errno
import os
import time
from collections.abc import Callable, Collection
from contextlib import closing
from ipaddress import IPv4Address

from landbridge.dataplane.model import Binding
from landbridge.domain.ids import VpcId
from landbridge.drivers.linux.conntrack import Conntrack
from landbridge.drivers.linux.edges import Edge, Edges
from landbridge.drivers.linux.elements import Element, connection_mark
from landbridge.drivers.linux.ownership import NamespaceTaken

_WITHOUT_A_LOOK = 8
"""So many endpoints of an edge are forgotten one by one; for more it is cheaper to look first which have anything."""

_PATIENCE_SECONDS = 5.0
"""How long the kernel may take to list connections; 100,000 take it a third of a second."""


class Forgetting:
    """Ends for good what an earlier life of an endpoint, or of a client's place in its whitelist, has left."""

    def __init__(self, edges: Edges, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._edges = edges
        self._monotonic = monotonic

    def endpoints(self, opened: Collection[Element]) -> dict[Element, str]:
        """Forget all connections of endpoints that are about to be wired; return why some could not be.

        An endpoint is named by its element of the kind `OPENED`.
        """
        failures: dict[Element, str] = {}
        for vpc_id in {element.vpc_id for element in opened}:
            here = [element for element in opened if element.vpc_id == vpc_id]
            edge = self._find(vpc_id)
            if edge is None:
                continue
            try:
                with closing(edge.open_conntrack()) as conntrack:
                    for mark in self._known(conntrack, {int(element.key) for element in here}):
                        conntrack.forget(mark)
            except OSError as error:
                failures.update(dict.fromkeys(here, _reason(error)))
        return failures

    def clients(self, binding: Binding) -> str | None:
        """Forget the connections of clients that an endpoint does not carry any more; return why that failed."""
        allowed, edge = binding.allowed_sources, self._find(binding.consumer.vpc_id)
        if allowed is None or edge is None:
            return None
        mark = int(connection_mark(binding.id, str(binding.address)))
        goes_on: dict[str, bool] = {}
        try:
            with closing(edge.open_conntrack()) as conntrack:
                tracked = conntrack.connections(lambda _: True, self._monotonic() + _PATIENCE_SECONDS, mark)
                _check_is_complete(tracked.is_complete)
                for connection in tracked.connections:
                    client = connection.client.rpartition(":")[0]
                    if client not in goes_on:
                        goes_on[client] = any(IPv4Address(client) in network for network in allowed)
                    if not goes_on[client]:
                        conntrack.forget_one(connection)
        except OSError as error:
            return _reason(error)
        return None

    def _known(self, conntrack: Conntrack, marks: set[int]) -> set[int]:
        """Return those of the marks that connections may have."""
        if conntrack.count() == 0:
            return set()
        if len(marks) <= _WITHOUT_A_LOOK:
            return marks
        # Closed ones too: who takes no notice of a reset goes on sending, and the kernel lets that pass.
        tracked = conntrack.connections(marks.__contains__, self._monotonic() + _PATIENCE_SECONDS)
        _check_is_complete(tracked.is_complete)
        return {connection.mark for connection in tracked.connections}

    def _find(self, vpc_id: VpcId) -> Edge | None:
        try:
            return self._edges.find(vpc_id)
        except NamespaceTaken:
            return None


def _check_is_complete(is_complete: bool) -> None:
    if not is_complete:
        raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))


def _reason(error: OSError) -> str:
    return f"old connections cannot be forgotten: {error.strerror or error}"
