"""Compute the ordered change from what is observed to what is desired.

Pure. Removals come first: an address may pass from a deleted endpoint to a new one in this very plan, and two
owners of one address is the one state that is never allowed. Targets are ensured before bindings, because a
binding without its target accepts packets that nobody answers.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from landbridge.dataplane.model import Digest, Target, Wired, WiredId, digest


@dataclass(frozen=True, slots=True)
class Ensure:
    """Make the data plane carry exactly this target or binding."""

    wired: Wired
    is_repair: bool = False
    """It was there before, in another form."""


@dataclass(frozen=True, slots=True)
class Remove:
    """Make the data plane forget everything labelled with this id."""

    id: WiredId


Step = Ensure | Remove


def id_of(step: Step) -> WiredId:
    """Return what a step is about."""
    return step.wired.id if isinstance(step, Ensure) else step.id


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps in the order in which a driver takes them.

    Any prefix of a plan leaves a state from which the next round converges.
    """

    steps: tuple[Step, ...] = ()
    is_sweep: bool = False
    """Made from a survey of everything: what the survey found and could not ascribe goes too."""

    @property
    def removals(self) -> tuple[Remove, ...]:
        """The steps that take something away."""
        return tuple(step for step in self.steps if isinstance(step, Remove))

    @property
    def ensures(self) -> tuple[Ensure, ...]:
        """The steps that add or change something."""
        return tuple(step for step in self.steps if isinstance(step, Ensure))


def batches(plan: Plan, size: int) -> Iterator[Plan]:
    """Cut a plan into pieces of so many steps, at least one. What cannot be ascribed goes with the last."""
    pieces = [plan.steps[start : start + size] for start in range(0, len(plan.steps), size)] or [()]
    for index, steps in enumerate(pieces):
        yield Plan(steps, is_sweep=plan.is_sweep and index == len(pieces) - 1)


def diff(desired: Mapping[WiredId, Wired | None], observed: Mapping[WiredId, Digest]) -> Plan:
    """Return the plan that turns `observed` into `desired`.

    `desired` maps each id in question to what should be there; None, or absence, means nothing should be.
    Ids in neither mapping are not touched.
    """
    removals = [Remove(id_) for id_ in sorted(observed) if desired.get(id_) is None]
    ensures = [
        Ensure(wired, is_repair=id_ in observed)
        for id_, wired in sorted(desired.items())
        if wired is not None and observed.get(id_) != digest(wired)
    ]
    ensures.sort(key=lambda step: not isinstance(step.wired, Target))
    return Plan((*removals, *ensures))
