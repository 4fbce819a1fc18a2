"""Name the hops of a connection, their verdicts, and who is told what about them.

Pure values, told by `explain` from the model and laid over by what a look into the kernel found. Consumer and provider
each see their own side; what belongs to the other is told by its verdict alone, and what is in the kernel is told in
full to whoever may see both sides.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum


class Step(StrEnum):
    """The hops, in the order in which they are told."""

    SUBNET = "subnet"
    """The client is in the endpoint's VPC, and the VPC is attached."""
    ROUTE_TABLE = "route-table"
    """The client's subnet sends packets to a gateway endpoint."""
    ADDRESS = "address"
    """Somebody answers for the endpoint's address."""
    ADMISSION = "admission"
    """The provider has let the endpoint in, and every packet is checked for that."""
    WHITELIST = "whitelist"
    """The endpoint lets this client in."""
    BUDGET = "budget"
    """One more connection may be open."""
    PORT = "port"
    """The client's port leads to a port of the backend."""
    PROXY = "proxy"
    """The proxy takes the connection and writes the header."""
    OPTION = "option"
    """The client's address is written into a TCP option."""
    SOURCE = "source"
    """The packet gets the endpoint's transit address."""
    LINK = "link"
    """Links and routes lead to the provider's VPC and back."""
    TARGET = "target"
    """The provider's edge knows the backend."""
    BACKEND = "backend"
    """The backend takes connections."""
    PUBLIC = "public"
    """The public network is open to the gateway endpoint."""


class Verdict(StrEnum):
    """What happens to a connection at a hop."""

    PASSES = "passes"
    STOPPED = "stopped"
    UNKNOWN = "unknown"
    SKIPPED = "skipped"
    """Not looked at: something before it stops, or it is not the asker's business."""


class Viewer(StrEnum):
    """Who asks."""

    CONSUMER = "consumer"
    PROVIDER = "provider"
    OPERATOR = "operator"
    """Sees both sides; so does whoever is both."""


@dataclass(frozen=True, slots=True)
class Words:
    """What one viewer is told about a hop."""

    text: str
    advice: str = ""
    """What to do; empty if nothing needs to be done."""


@dataclass(frozen=True, slots=True)
class Hop:
    """One place on the way, and what happens there."""

    step: Step
    verdict: Verdict
    words: Words
    """For whoever may see both sides."""
    to_consumer: Words | None = None
    """None: the same."""
    to_provider: Words | None = None
    """None: the same."""
    is_confirmed: bool = False
    """The kernel has been asked, too."""

    def told_to(self, viewer: Viewer) -> Words:
        """Return what this viewer is told."""
        own = {Viewer.CONSUMER: self.to_consumer, Viewer.PROVIDER: self.to_provider}
        return own.get(viewer) or self.words


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What a look into the kernel found, in words that name interfaces, addresses and elements."""

    missing: Mapping[Step, Sequence[str]] = field(default_factory=dict[Step, Sequence[str]])
    """What is not as it should be, and stops packets."""
    flaws: Mapping[Step, Sequence[str]] = field(default_factory=dict[Step, Sequence[str]])
    """What is not as it should be, and stops none."""
    is_backend_absent: bool | None = None
    """Nobody in the backend's subnet answers for its address; None: not known."""


_REPAIR = "the next sweep of the server puts it back; `landbridge plan` shows what it would do"
_NOT_WIRED_RIGHT = Words(
    "the data plane lacks a part of this", "the next sweep of the server puts it back; tell the operator if it stays so"
)
_ABSENT = Words("nobody in the backend's subnet answers for its address", "start the backend, or plug it in")
_ABSENT_TO_CONSUMER = Words("the backend takes no connections", "ask the provider of the service to mend its backend")


def outcome(hops: Collection[Hop]) -> Verdict:
    """Return what happens to the connection as a whole: stopped, unknown or passes."""
    verdicts = {hop.verdict for hop in hops}
    if Verdict.STOPPED in verdicts:
        return Verdict.STOPPED
    return Verdict.UNKNOWN if Verdict.UNKNOWN in verdicts else Verdict.PASSES


def confirmed(hops: Sequence[Hop], found: Confirmation) -> tuple[Hop, ...]:
    """Return the hops after a look into the kernel: what passes by the model and is missing there is stopped."""
    return tuple(_confirmed(hop, found) for hop in hops)


def unconfirmed(hops: Sequence[Hop], why: str) -> tuple[Hop, ...]:
    """Return the hops where nobody knows whether the kernel has them: what passes by the model is unknown."""
    return tuple(
        _said_anew(hop, Verdict.UNKNOWN, lambda words: Words(f"should pass ({words.text}): {why}"))
        if hop.verdict is Verdict.PASSES and not hop.is_confirmed
        else hop
        for hop in hops
    )


def _confirmed(hop: Hop, found: Confirmation) -> Hop:
    flaws = found.flaws.get(hop.step, ())
    if hop.step is Step.BACKEND:
        if found.is_backend_absent and hop.verdict is Verdict.UNKNOWN:
            return Hop(hop.step, Verdict.STOPPED, _ABSENT, _ABSENT_TO_CONSUMER, is_confirmed=True)
        return _with_flaws(hop, flaws) if flaws else hop
    if hop.verdict is not Verdict.PASSES:
        return hop
    missing = found.missing.get(hop.step, ())
    if missing:
        words = Words("; ".join([*missing, *flaws]), _REPAIR)
        return Hop(hop.step, Verdict.STOPPED, words, _NOT_WIRED_RIGHT, _NOT_WIRED_RIGHT, is_confirmed=True)
    return replace(_with_flaws(hop, flaws) if flaws else hop, is_confirmed=True)


def _with_flaws(hop: Hop, flaws: Sequence[str]) -> Hop:
    """Return a hop at which something is wrong that stops nothing: tenants need not care."""
    return replace(
        hop,
        words=Words(f"{hop.words.text}, but {'; '.join(flaws)}", hop.words.advice or _REPAIR),
        to_consumer=hop.told_to(Viewer.CONSUMER),
        to_provider=hop.told_to(Viewer.PROVIDER),
    )


def _said_anew(hop: Hop, verdict: Verdict, say: Callable[[Words], Words]) -> Hop:
    return replace(
        hop,
        verdict=verdict,
        words=say(hop.words),
        to_consumer=None if hop.to_consumer is None else say(hop.to_consumer),
        to_provider=None if hop.to_provider is None else say(hop.to_provider),
    )
