"""Say what an endpoint still carries while its connections end, and what is due to be cut.

Pure. An endpoint that is rejected, or whose deletion was asked for, may carry on for a time (its `grace`); so may
clients that were taken out of its whitelist (`former_clients`). These facts stay until the data plane has confirmed the
cut.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from ipaddress import IPv4Network

from landbridge.domain.cutting import (
    EVERYBODY,
    CutMode,
    CutOff,
    Grace,
    allowed_and_barred,
    with_former_clients,
    without,
)
from landbridge.domain.resources import Admission, Endpoint


@dataclass(frozen=True, slots=True)
class Sources:
    """Whose packets an endpoint carries."""

    allowed: tuple[IPv4Network, ...] | None
    """None: everybody's. Sorted and collapsed."""
    barred: tuple[IPv4Network, ...]
    """Who of them may open nothing new. Sorted and collapsed."""


def is_open(endpoint: Endpoint) -> bool:
    """Say whether new connections may be made: it is accepted, and nobody has asked for its end."""
    return endpoint.admission is Admission.ACCEPTED and endpoint.delete_requested_at is None


def is_carried(endpoint: Endpoint, now: datetime) -> bool:
    """Say whether connections may be carried: new ones, or those that are open."""
    return is_open(endpoint) or (endpoint.grace is not None and not endpoint.grace.is_over(now))


def sources(endpoint: Endpoint, now: datetime) -> Sources:
    """Return whose packets an endpoint carries that is carried."""
    allowed, barred = allowed_and_barred(_allowed(endpoint), endpoint.former_clients, now)
    return Sources(allowed, barred if is_open(endpoint) else EVERYBODY)


def rejected(endpoint: Endpoint, cut_off: CutOff, now: datetime) -> Endpoint:
    """Return the endpoint as rejected; the same object if nothing is different.

    Only an endpoint that was carried needs a cut; its round may be under way even before it shows as accepted. One
    that is rejected already, and whose connections still go on, loses them if they are to be killed now.
    """
    was_accepted = endpoint.admission is Admission.ACCEPTED
    is_killed = cut_off.mode is CutMode.KILL and endpoint.grace is not None
    if endpoint.admission is Admission.REJECTED and endpoint.last_error is None and not is_killed:
        return endpoint
    grace = cut_off.grace(now) if was_accepted or is_killed else endpoint.grace
    return replace(
        endpoint,
        admission=Admission.REJECTED,
        generation=endpoint.generation + 1,
        cut_requested_at=now if was_accepted else endpoint.cut_requested_at or (now if is_killed else None),
        grace=grace,
        former_clients=() if grace is None else endpoint.former_clients,
        last_error=None,
        updated_at=now,
    )


def accepted(endpoint: Endpoint, now: datetime) -> Endpoint:
    """Return the endpoint as accepted; the same object if it already is and has not failed.

    What still goes on after a rejection just goes on.
    """
    if endpoint.admission is Admission.ACCEPTED and endpoint.last_error is None:
        return endpoint
    generation = endpoint.generation + 1
    return replace(
        endpoint,
        admission=Admission.ACCEPTED,
        accepted_generation=generation,
        generation=generation,
        cut_requested_at=None,
        grace=None,
        last_error=None,
        updated_at=now,
    )


def deleting(endpoint: Endpoint, cut_off: CutOff, now: datetime) -> Endpoint:
    """Return the endpoint with its end asked for; the same object if that was so before.

    A deadline that its connections have already is not put off.
    """
    if endpoint.delete_requested_at is not None:
        return endpoint
    grace = cut_off.grace(now) if is_carried(endpoint, now) else None
    if grace is not None and endpoint.grace is not None:
        grace = _earlier(endpoint.grace, grace)
    return replace(
        endpoint,
        delete_requested_at=now,
        cut_requested_at=endpoint.cut_requested_at or now,
        grace=grace,
        former_clients=() if grace is None else endpoint.former_clients,
        updated_at=now,
        generation=endpoint.generation + 1,
    )


def with_whitelist(
    endpoint: Endpoint,
    whitelist: tuple[IPv4Network, ...] | None,
    enable_whitelist: bool | None,
    cut_off: CutOff,
    now: datetime,
) -> Endpoint:
    """Return the endpoint with another whitelist or switch, None as it is; the same object if nothing is different.

    Where somebody may use it now who may not any more, the data plane is asked for a cut: of new connections, and of
    open ones as the provider has chosen.
    """
    changed = replace(
        endpoint,
        whitelist=endpoint.whitelist if whitelist is None else whitelist,
        enable_whitelist=endpoint.enable_whitelist if enable_whitelist is None else enable_whitelist,
    )
    if changed == endpoint:
        return endpoint
    is_cut, former = False, endpoint.former_clients
    if is_carried(endpoint, now):
        before, after = _allowed(endpoint), _allowed(changed)
        is_cut = bool(without(before, after))
        former = with_former_clients(former, before, after, cut_off.grace(now))
    return replace(
        changed,
        former_clients=former,
        generation=endpoint.generation + 1,
        cut_requested_at=endpoint.cut_requested_at or now if is_cut else endpoint.cut_requested_at,
        updated_at=now,
    )


def next_cut_at(endpoint: Endpoint) -> datetime | None:
    """Return the first moment at which something of an endpoint is to be cut; None: there is none."""
    return min(_deadlines(endpoint), default=None)


def is_cut_due(endpoint: Endpoint, now: datetime) -> bool:
    """Say whether a deadline has passed, and the data plane has not confirmed the cut."""
    deadline = next_cut_at(endpoint)
    return deadline is not None and deadline <= now


def cut_due_since(endpoint: Endpoint, now: datetime) -> datetime | None:
    """Return since when a cut is due that the data plane has not confirmed; None: none is."""
    due = [deadline for deadline in _deadlines(endpoint) if deadline <= now]
    return min([*due, *([endpoint.cut_requested_at] if endpoint.cut_requested_at else [])], default=None)


def after_the_cut(endpoint: Endpoint, now: datetime, *, is_unwired: bool) -> Endpoint:
    """Return the endpoint without what the data plane has cut: what was due by `now`, or all if nothing is wired.

    The same object if nothing was to be cut.
    """
    if endpoint.grace is None and not endpoint.former_clients:
        return endpoint
    is_over = endpoint.grace is not None and endpoint.grace.is_over(now)
    return replace(
        endpoint,
        grace=None if is_unwired or is_over else endpoint.grace,
        former_clients=()
        if is_unwired
        else tuple(former for former in endpoint.former_clients if not former.grace.is_over(now)),
    )


def _deadlines(endpoint: Endpoint) -> Iterator[datetime]:
    for grace in (endpoint.grace, *(former.grace for former in endpoint.former_clients)):
        if grace is not None and grace.until_at is not None:
            yield grace.until_at


def _earlier(present: Grace, wanted: Grace) -> Grace:
    if present.until_at is None or (wanted.until_at is not None and wanted.until_at < present.until_at):
        return wanted
    return present


def _allowed(endpoint: Endpoint) -> tuple[IPv4Network, ...]:
    return endpoint.whitelist if endpoint.enable_whitelist else EVERYBODY
