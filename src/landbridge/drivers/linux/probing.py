"""Probe backends from the hub, the edge that belongs to no tenant.

A socket stays in the namespace in which it was opened, so only opening one needs a thread inside; some are opened at
once and kept for the next probes. The connections themselves are the event loop's, thousands at a time. A connection
comes from the reserved probe address, through the rules and links that consumers' packets take.
"""

import asyncio
import errno
import socket
import time
from contextlib import suppress

from landbridge.dataplane.health import Cause, Probe, Result
from landbridge.dataplane.model import PROBE_ADDRESS
from landbridge.domain.ids import VpcId
from landbridge.drivers.linux import ownership
from landbridge.drivers.linux.elements import HUB, subnet_interface
from landbridge.drivers.linux.lookup import Lookup
from landbridge.drivers.linux.namespaces import Namespaces, NoSuchNamespace

_SPARE_SOCKETS = 32
_KEPT_SECONDS = 1.0
_BIND_ADDRESS_NO_PORT = 24
"""IP_BIND_ADDRESS_NO_PORT, see ip(7): the port is chosen at the connection, when the other end is known."""

_AWAY = {
    errno.EADDRNOTAVAIL: "the hub has not the probe address",
    errno.ENETUNREACH: "the hub has no route to the backend",
}


class _Away(Exception):
    """There is no way to probe now; the text says why."""


class HubProber:
    """Opens connections inside the hub of one region; a `landbridge.control.health.Prober`."""

    def __init__(self, namespaces: Namespaces, instance: str, region: str) -> None:
        self._namespaces = namespaces
        self._instance = instance
        self._region = region
        self._identity: int | None = None
        self._spare: list[socket.socket] = []
        self._lookups: dict[VpcId, Lookup] = {}

    async def probe(self, probe: Probe, timeout_seconds: float) -> Result:
        """Return what came of one connection; see `Prober.probe`."""
        try:
            connection = self._take_socket()
        except _Away as away:
            return Result(Cause.AWAY, detail=str(away))
        with connection:
            try:
                return await self._connect(connection, probe, timeout_seconds)
            except OSError as error:
                return self._result_of(error)

    def close(self) -> None:
        """Close the sockets that were kept."""
        self._drop_spare()
        for vpc_id in list(self._lookups):
            self._let_go(vpc_id)

    async def _connect(self, connection: socket.socket, probe: Probe, timeout_seconds: float) -> Result:
        loop = asyncio.get_running_loop()
        connection.bind((str(PROBE_ADDRESS), 0))
        started = time.monotonic()
        try:
            async with asyncio.timeout(timeout_seconds):
                await loop.sock_connect(connection, (str(probe.transit_address), probe.server_port))
        except TimeoutError:
            return Result(Cause.UNREACHABLE if self._nobody_is_there(probe) else Cause.SILENT)
        latency = time.monotonic() - started
        # The backend took the connection; what it thinks of what follows does not change that.
        with suppress(OSError):
            if probe.first_bytes:
                connection.send(probe.first_bytes)
            # An orderly end: a reset would make servers complain in their logs.
            connection.shutdown(socket.SHUT_WR)
        return Result(latency_seconds=latency)

    def _result_of(self, error: OSError) -> Result:
        if error.errno in {errno.ECONNREFUSED, errno.ECONNRESET}:
            return Result(Cause.REFUSED)
        if error.errno == errno.EHOSTUNREACH:
            return Result(Cause.UNREACHABLE)
        if error.errno == errno.ETIMEDOUT:
            return Result(Cause.SILENT)
        return Result(Cause.AWAY, detail=_AWAY.get(error.errno or 0, error.strerror or str(error)))

    def _take_socket(self) -> socket.socket:
        name = ownership.edge_namespace(self._region, HUB)
        identity = self._namespaces.identity(name)
        if identity != self._identity:
            # Sockets of a hub that was replaced would keep it alive.
            self._drop_spare()
            self._identity = identity
        if not self._spare:
            try:
                if identity is None or not ownership.is_ours(self._namespaces, name, self._instance):
                    raise _Away("there is no hub")
                self._spare = self._namespaces.inside(name, _open_sockets)
            except (OSError, NoSuchNamespace, ownership.NamespaceTaken) as error:
                raise _Away(str(error)) from error
        return self._spare.pop()

    def _nobody_is_there(self, probe: Probe) -> bool:
        """Say whether nobody in the backend's subnet answers for its address."""
        try:
            return bool(is_absent(self._lookup(probe.vpc_id), probe))
        except (OSError, NoSuchNamespace):
            return False

    def _lookup(self, vpc_id: VpcId) -> Lookup:
        found = self._lookups.get(vpc_id)
        if found is None:
            found = self._namespaces.inside(ownership.edge_namespace(self._region, vpc_id), Lookup)
            self._lookups[vpc_id] = found
            # Not for long: it would keep an edge alive that is removed.
            asyncio.get_running_loop().call_later(_KEPT_SECONDS, self._let_go, vpc_id)
        return found

    def _let_go(self, vpc_id: VpcId) -> None:
        lookup = self._lookups.pop(vpc_id, None)
        if lookup is not None:
            lookup.close()

    def _drop_spare(self) -> None:
        for spare in self._spare:
            spare.close()
        self._spare.clear()


def is_absent(lookup: Lookup, probe: Probe) -> bool | None:
    """Say whether the provider's edge asked for a backend's address and nobody answered; None: it did not ask.

    Raises:
        OSError: the kernel cannot be asked.
    """
    interface = lookup.find_link(subnet_interface(probe.subnet_id))
    return None if interface is None else lookup.is_absent(interface.index, probe.address)


def _open_sockets() -> list[socket.socket]:
    opened: list[socket.socket] = []
    try:
        for _ in range(_SPARE_SOCKETS):
            one = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
            opened.append(one)
            one.setsockopt(socket.IPPROTO_IP, _BIND_ADDRESS_NO_PORT, 1)
    except OSError:
        for one in opened:
            one.close()
        raise
    return opened
