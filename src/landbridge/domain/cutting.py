"""Say how connections end when the right to them ends, and which of them go on until when.

Pure. A provider chooses per service and per occasion: cut at once, let what is open go on until a deadline, or until it
ends by itself. In every case nothing new may be opened. What goes on is a fact with moments in it, so it survives a
restart and ends when it should; `draining` applies these facts to endpoints.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, collapse_addresses, summarize_address_range

from landbridge.domain.errors import InvalidCutOff

LONGEST_DRAIN_SECONDS = 86_400
"""A day. Until a drain has ended, the endpoint's addresses are nobody else's."""

FORMER_CLIENTS_LIMIT = 4
"""How many edits of one whitelist may leave connections behind; the oldest are cut for the next one."""

EVERYBODY = (IPv4Network("0.0.0.0/0"),)


class CutMode(StrEnum):
    """What happens to open connections."""

    KILL = "kill"
    """Not one more byte passes."""
    DRAIN = "drain"
    """They go on until a deadline, and are cut then."""
    KEEP = "keep"
    """They go on until they end by themselves."""


class Occasion(StrEnum):
    """What ends the right to a connection."""

    REJECT = "on_reject"
    DELETE = "on_delete"
    PERMISSION_REMOVAL = "on_permission_removal"
    WHITELIST_EDIT = "on_whitelist_edit"


@dataclass(frozen=True, slots=True)
class Grace:
    """Open connections go on, although nothing new may be opened."""

    since_at: datetime
    until_at: datetime | None
    """When they are cut; None: never, they end by themselves."""

    def is_over(self, now: datetime) -> bool:
        """Say whether they are to be cut by now."""
        return self.until_at is not None and self.until_at <= now


@dataclass(frozen=True, slots=True)
class CutOff:
    """One choice: what happens on one occasion."""

    mode: CutMode
    deadline_seconds: int | None = None
    """For `DRAIN` only, and never missing there."""

    def grace(self, now: datetime) -> Grace | None:
        """Return how long open connections go on from now; None: not at all."""
        match self.mode:
            case CutMode.KILL:
                return None
            case CutMode.DRAIN:
                return Grace(now, now + timedelta(seconds=self.deadline_seconds or 0))
            case CutMode.KEEP:
                return Grace(now, None)


KILL, KEEP = CutOff(CutMode.KILL), CutOff(CutMode.KEEP)


@dataclass(frozen=True, slots=True)
class CutOffs:
    """What a provider has chosen for one service."""

    on_reject: CutOff = KILL
    on_delete: CutOff = KILL
    """When a consumer deletes an endpoint; never `KEEP`."""
    on_permission_removal: CutOff = KEEP
    """`KEEP` leaves accepted endpoints as they are, with new connections too (contract 3.14)."""
    on_whitelist_edit: CutOff = KILL


@dataclass(frozen=True, slots=True)
class FormerClients:
    """Clients that an edit has taken out of a whitelist; what they have open goes on."""

    networks: tuple[IPv4Network, ...]
    """Never empty. Sorted and collapsed."""
    grace: Grace


def check_cut_off(occasion: Occasion, mode: str, deadline_seconds: int | None) -> CutOff:
    """Return a choice that may be made.

    Raises:
        InvalidCutOff: there is no such mode, it is not offered here, or the deadline does not fit it.
    """
    if mode not in set(CutMode):
        raise InvalidCutOff(f"{occasion}.mode must be kill, drain or keep")
    chosen = CutMode(mode)
    if chosen is CutMode.KEEP and occasion is Occasion.DELETE:
        raise InvalidCutOff(
            "on_delete.mode must be kill or drain: with keep the addresses of deleted endpoints would be held for ever"
        )
    if chosen is not CutMode.DRAIN:
        if deadline_seconds is not None:
            raise InvalidCutOff(f"{occasion}.deadline_seconds belongs to the mode drain: leave it out with {chosen}")
        return CutOff(chosen)
    if deadline_seconds is None or not 1 <= deadline_seconds <= LONGEST_DRAIN_SECONDS:
        raise InvalidCutOff(f"{occasion}.deadline_seconds must be a number from 1 to {LONGEST_DRAIN_SECONDS}")
    return CutOff(chosen, deadline_seconds)


def with_former_clients(
    former: Sequence[FormerClients],
    before: Sequence[IPv4Network],
    after: Sequence[IPv4Network],
    grace: Grace | None,
) -> tuple[FormerClients, ...]:
    """Return whose connections go on when other clients are allowed than before.

    Who is let in again is no former client any more. Without grace those taken out are cut, and only those.
    """
    kept = [replace(one, networks=without(one.networks, after)) for one in former]
    if grace is not None:
        kept.append(FormerClients(without(before, after), grace))
    return tuple(one for one in kept if one.networks)[-FORMER_CLIENTS_LIMIT:]


def allowed_and_barred(
    may_open: Sequence[IPv4Network], former: Iterable[FormerClients], now: datetime
) -> tuple[tuple[IPv4Network, ...] | None, tuple[IPv4Network, ...]]:
    """Return whose packets pass (None: everybody's), and who of them may open nothing new."""
    left = [network for one in former if not one.grace.is_over(now) for network in one.networks]
    if not left:
        # As it is almost always; networks are told apart slowly.
        return None if may_open == EVERYBODY else union(may_open), ()
    allowed = union([*may_open, *left])
    return None if allowed == EVERYBODY else allowed, without(left, may_open)


def union(networks: Iterable[IPv4Network]) -> tuple[IPv4Network, ...]:
    """Return the fewest networks that hold the same addresses, sorted."""
    return tuple(sorted(collapse_addresses(networks)))


def without(networks: Iterable[IPv4Network], taken: Iterable[IPv4Network]) -> tuple[IPv4Network, ...]:
    """Return the fewest networks that hold what is in `networks` and not in `taken`, sorted."""
    # Ranges in one pass: excluding a thousand addresses one by one from everything would take seconds.
    parts = _parts(map(_range, union(networks)), [_range(network) for network in union(taken)])
    return union(
        network for first, last in parts for network in summarize_address_range(IPv4Address(first), IPv4Address(last))
    )


def _parts(ranges: Iterable[tuple[int, int]], holes: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield what no hole covers; ranges and holes are both sorted, and each apart from the next."""
    position = 0
    for low, high in ranges:
        while position < len(holes) and holes[position][1] < low:
            position += 1
        begin = low
        for index in range(position, len(holes)):
            first, last = holes[index]
            if first > high:
                break
            if first > begin:
                yield begin, first - 1
            begin = last + 1
        if begin <= high:
            yield begin, high


def _range(network: IPv4Network) -> tuple[int, int]:
    return int(network.network_address), int(network.broadcast_address)
