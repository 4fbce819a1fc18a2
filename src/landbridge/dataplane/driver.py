"""State what the core may ask of a data plane.

A driver observes and applies; it decides nothing. It knows whether retrying an error helps, the loop knows when.
"""

from collections.abc import Collection, Generator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Protocol

from landbridge.dataplane.model import Digest, Wired, WiredId
from landbridge.dataplane.plan import Plan
from landbridge.domain.resources import TcpProxy


class Retry(StrEnum):
    """Whether trying again can help."""

    SOON = "soon"
    NEVER = "never"


class DriverError(Exception):
    """The data plane refused one thing.

    The message is safe to show to the resource's owner; `detail` is for the operator's log alone, as it may name
    what other tenants must not know.
    """

    def __init__(self, message: str, retry: Retry = Retry.SOON, detail: str = "") -> None:
        super().__init__(f"{message}: {detail}" if detail else message)
        self.message = message
        self.retry = retry
        self.detail = detail


NO_REFUSALS: Mapping[TcpProxy, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a driver can carry; the core turns the rest down with a clear error."""

    tcp_proxy: frozenset[TcpProxy] = frozenset({TcpProxy.CLOSE})
    refusals: Mapping[TcpProxy, str] = field(default_factory=lambda: NO_REFUSALS)
    """Why other modes are not carried here, as an end of the sentence "… because …"."""

    def refusal(self, mode: TcpProxy) -> str | None:
        """Return why a mode is not carried, and what to do; None if it is."""
        if mode in self.tcp_proxy:
            return None
        reason = self.refusals.get(mode, "it has nothing that could")
        carried = ", ".join(sorted(self.tcp_proxy))
        return f"tcp_proxy {mode} is not carried by this data plane, because {reason}: choose one of {carried}"


DRIFTED = Digest("drifted")
"""Observed for a thing that is labelled as ours and not wired as its label says."""


Surveying = Generator[None, None, Mapping[WiredId, Digest]]
"""A look at everything, a part at a time: what it yields says nothing, what it returns is what was found."""


def finish(surveying: Surveying) -> Mapping[WiredId, Digest]:
    """Go through with a look without a pause, and return what was found."""
    while True:
        try:
            next(surveying)
        except StopIteration as ended:
            return ended.value


class Driver(Protocol):
    """A data plane. Calls block, and come from one thread at a time.

    A call that cannot be carried out at all (the whole data plane is away) raises `DriverError`.
    """

    @property
    def capabilities(self) -> Capabilities:
        """What this driver can carry."""
        ...

    def observe(self, ids: Collection[WiredId]) -> Mapping[WiredId, Digest]:
        """Return the digests of those of `ids` that are wired. Costs what `ids` cost, not what all cost."""
        ...

    def survey(self, expected: Collection[Wired]) -> Surveying:
        """Look at everything of this instance, deeply, and return in the end the digest of each thing found.

        What is labelled but differs in any part from what it should be is reported as `DRIFTED`. Changes nothing, and
        other instances' things are not reported. Parts are short: between two of them the driver may be asked to do
        something else, and what it does is seen by the look or left out of it.
        """
        ...

    def apply(self, plan: Plan) -> Mapping[WiredId, DriverError]:
        """Take the plan's steps; return the errors by id, empty when everything went well.

        A removal without an error means: not one more packet of it passes. A failing step never
        stops its neighbours.
        """
        ...

    def close(self) -> None:
        """Let go of sockets and threads; what is wired stays wired."""
        ...
