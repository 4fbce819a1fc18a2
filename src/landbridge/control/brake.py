"""Hold removals back that nobody asked for, if they are many.

An empty, wrong or older database must not wipe a data plane. While removals are held, nothing new is wired either: the
database does not know what addresses the held things have, so it may give them out again, and two owners of one address
is the one state that is never allowed. What was wired before is still repaired, changed and cut. Pure, but for what it
remembers from one round to the next.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from ipaddress import IPv4Address

from landbridge.dataplane.compile import Compiled
from landbridge.dataplane.driver import DriverError, Retry
from landbridge.dataplane.model import Binding, Digest, GatewayBinding, Target, Wired, WiredId
from landbridge.dataplane.plan import Ensure, Plan, Step, id_of
from landbridge.domain.draining import is_cut_due
from landbridge.domain.resources import Endpoint, EndpointService

UNASKED_REMOVALS_ALLOWED = 10
"""So many things that nobody asked for may always be taken away."""
UNASKED_SHARE_ALLOWED = 0.2
"""Beyond that, at most this share of what is wired."""

WAITING = DriverError("it waits until the operator has looked at removals that are held back", Retry.NEVER)
"""What came of a step that was not taken. Nobody but the round sees it; the sweep that ends the hold takes the step."""


def removes_too_much(plan: Plan, asked_for: Collection[WiredId], wired_count: int) -> int:
    """Return how many removals nobody asked for if they are too many to take on trust, else 0."""
    unasked = sum(step.id not in asked_for for step in plan.removals)
    limit = max(UNASKED_REMOVALS_ALLOWED, int(wired_count * UNASKED_SHARE_ALLOWED))
    return unasked if unasked > limit else 0


def removals_asked_for(
    plan: Plan,
    rows: Mapping[WiredId, EndpointService | Endpoint],
    compiled: Mapping[WiredId, Compiled],
    now: datetime,
) -> Collection[WiredId]:
    """Return which of a plan's removals somebody asked for and has not got yet.

    A row that says that nothing is wired for it, and that this was reached, asks for nothing: if something is wired all
    the same, the row is older than the data plane, or somebody else's.
    """
    return {step.id for step in plan.removals if step.id in rows and _asks(rows[step.id], compiled.get(step.id), now)}


def _asks(row: EndpointService | Endpoint, result: Compiled | None, now: datetime) -> bool:
    if row.observed_generation != row.generation or row.last_error is not None or row.delete_requested_at is not None:
        return True
    if result is not None and result.failure is not None:
        return True  # Another row's change leaves it nowhere to lead to: its service was deleted, say.
    return isinstance(row, Endpoint) and (row.cut_requested_at is not None or is_cut_due(row, now))


class Brake:
    """What is held back, and what the operator has consented to. One round at a time asks."""

    def __init__(self, *, confirms_first_sweep: bool = False) -> None:
        """`confirms_first_sweep`: the operator has consented, before the start, to whatever the first sweep removes."""
        self._confirms_all = confirms_first_sweep
        self._confirmed: frozenset[WiredId] = frozenset()
        self._heeded: frozenset[WiredId] = frozenset()
        self._held: frozenset[WiredId] = frozenset()
        self._known_targets: frozenset[IPv4Address] = frozenset()
        self._wired_count = 0

    @property
    def held_count(self) -> int:
        """How many removals wait for the operator's consent."""
        return len(self._held)

    @property
    def has_consent(self) -> bool:
        """Whether the operator has consented to something that no sweep has carried out."""
        return bool(self._confirmed)

    def confirm(self) -> int:
        """Consent to the removals that are held at this moment, and to no others; return how many they are."""
        self._confirmed |= self._held
        return len(self._held)

    def in_sweep(
        self,
        plan: Plan,
        asked_for: Collection[WiredId],
        desired: Mapping[WiredId, Wired | None],
        observed: Mapping[WiredId, Digest],
    ) -> Plan:
        """Return what a sweep may do of its plan. It decides anew what is held, from everything there is."""
        self._wired_count = len(observed)
        self._heeded = self._confirmed
        allowed = {*asked_for, *self._confirmed}
        held = 0 if self._confirms_all else removes_too_much(plan, allowed, len(observed))
        self._held = frozenset(step.id for step in plan.removals if step.id not in allowed) if held else frozenset()
        if not held:
            return plan
        known = (wired for id_, wired in desired.items() if wired is not None and id_ in observed)
        self._known_targets = frozenset(address for wired in known for address in _target_addresses(wired))
        return self._without_waiting(plan, allowed)

    def in_round(self, plan: Plan, asked_for: Collection[WiredId]) -> Plan:
        """Return what a round may do of its plan. Who begins to hold here has to sweep, to see everything."""
        if not self._held and removes_too_much(plan, asked_for, self._wired_count):
            self._held = frozenset(step.id for step in plan.removals if step.id not in asked_for)
            self._known_targets = frozenset()
        return self._without_waiting(plan, asked_for) if self._held else plan

    def swept(self) -> None:
        """Note that a sweep went through: what was consented to has happened."""
        self._confirms_all = False
        # Not what was consented to meanwhile: that is for the next one.
        self._confirmed -= self._heeded

    def _without_waiting(self, plan: Plan, allowed: Collection[WiredId]) -> Plan:
        # Not a sweep's plan any more: what cannot be ascribed may belong to what is held.
        return Plan(tuple(step for step in plan.steps if self._may_be_taken(step, allowed)))

    def _may_be_taken(self, step: Step, allowed: Collection[WiredId]) -> bool:
        if not isinstance(step, Ensure):
            return step.id in allowed
        # An endpoint's own addresses are its own for life; where its service listens may change.
        return step.is_repair and self._known_targets.issuperset(_target_addresses(step.wired))


def waiting(plan: Plan, allowed: Plan) -> Mapping[WiredId, DriverError]:
    """Return an error for each step of a plan that is not taken now."""
    if allowed is plan:
        return {}
    taken = {id_of(step) for step in allowed.steps}
    return {id_: WAITING for step in plan.steps if (id_ := id_of(step)) not in taken}


def _target_addresses(wired: Wired) -> Collection[IPv4Address]:
    """Return the transit addresses at which something reaches, or publishes, backends."""
    match wired:
        case Target():
            return [wired.transit_address, *(place.transit_address for place in wired.former_places)]
        case Binding():
            return [wired.target_transit_address, *wired.former_targets]
        case GatewayBinding():
            return []
