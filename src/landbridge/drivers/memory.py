"""Carry bindings in a dict: the reference for every other driver.

The network (`memory_network`) outlives the driver as a kernel does, so a new driver adopts what an old one left.
"""

from collections.abc import Collection, Mapping

from landbridge.dataplane.driver import DRIFTED, Capabilities, DriverError, Surveying
from landbridge.dataplane.model import Digest, Wired, WiredId, digest
from landbridge.dataplane.plan import Plan, Remove, Step
from landbridge.drivers.memory_network import MemoryNetwork
from landbridge.drivers.memory_packets import Delivery, Packet, Protocol, TcpFlag

__all__ = ["Delivery", "MemoryDriver", "MemoryNetwork", "Packet", "Protocol", "TcpFlag"]


class MemoryDriver:
    """Drive a network that exists in memory only."""

    def __init__(self, network: MemoryNetwork | None = None, instance: str = "memory") -> None:
        self.network = network if network is not None else MemoryNetwork()
        self._instance = instance
        self._errors: dict[WiredId, DriverError] = {}

    @property
    def capabilities(self) -> Capabilities:
        """What this driver can carry."""
        return Capabilities()

    def fail_on(self, id_: WiredId, error: DriverError | None) -> None:
        """From now on refuse every step about this id with the error; None: refuse no longer."""
        if error is None:
            self._errors.pop(id_, None)
        else:
            self._errors[id_] = error

    def observe(self, ids: Collection[WiredId]) -> Mapping[WiredId, Digest]:
        """Return the digests of those of `ids` that are wired, as their labels say."""
        labels = self.network.labels(self._instance)
        return {id_: labels[id_] for id_ in ids if id_ in labels}

    def survey(self, expected: Collection[Wired]) -> Surveying:
        """Return the digest of everything of this instance; `DRIFTED` for what is not as expected or is broken."""
        yield
        intact = self.network.intact(self._instance)
        wanted = {wired.id: digest(wired) for wired in expected}
        return {
            id_: label if intact.get(id_) == label == wanted.get(id_, label) else DRIFTED
            for id_, label in self.network.labels(self._instance).items()
        }

    def apply(self, plan: Plan) -> Mapping[WiredId, DriverError]:
        """Take the plan's steps; return the errors by id."""
        errors: dict[WiredId, DriverError] = {}
        for step in plan.steps:
            id_ = step.id if isinstance(step, Remove) else step.wired.id
            try:
                self._take(id_, step)
            except DriverError as error:
                errors[id_] = error
        return errors

    def _take(self, id_: WiredId, step: Step) -> None:
        if id_ in self._errors:
            raise self._errors[id_]
        if isinstance(step, Remove):
            self.network.unwire(self._instance, id_)
        else:
            self.network.wire(self._instance, step.wired)

    def close(self) -> None:
        """Do nothing: the network stays as it is."""
