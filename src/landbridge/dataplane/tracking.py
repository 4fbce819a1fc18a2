"""Decide when tracked connections leave no room for another endpoint. Pure.

The kernel keeps one table of connections for each edge, and one limit counts for every table. When a table is full, the
first packet of each further connection in that edge is dropped. So whose connections would be tracked there gets no new
endpoints before: what is there goes on, and has the last tenth for itself. Others are not concerned: one consumer with
many connections stops nobody else.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from landbridge.domain.ids import VpcId
from landbridge.domain.resources import EndpointService, ServiceType, TcpProxy

HUB = "hub"
"""The edge from which the proxy connects to backends: it tracks the connections of all consumers that it serves."""
FULL_PERCENT = 90
"""From when on an edge is nearly full."""
ROOM_PERCENT = 85
"""Below which it no longer is; the distance keeps it from changing with every connection."""
FRESH = timedelta(minutes=1)
"""For how long a look counts: an agent that is away says nothing about its edges."""
_REPEAT_AFTER = FRESH / 3


@dataclass(frozen=True, slots=True)
class FullEdges:
    """The edges of a pool that track nearly as many connections as they may."""

    edges: frozenset[str]
    """Ids of the edges' VPCs, or `HUB`."""
    looked_at: datetime


def nearly_full(tracked: Mapping[str, int], limit: int, before: Collection[str] = ()) -> frozenset[str]:
    """Return the edges that are nearly full, of those that track so many of `limit`; `before`: those that were."""
    return frozenset(
        edge
        for edge, count in tracked.items()
        if count * 100 >= limit * (ROOM_PERCENT if edge in before else FULL_PERCENT)
    )


def tracking_edges(consumer: VpcId, service: EndpointService) -> frozenset[str]:
    """Return the edges that have to have room for a consumer's endpoint: its own, and one that all consumers share.

    A provider's edge does not count. It tracks connections only where returns are masqueraded, and its table is the
    provider's: it must not be able to stop its consumers.
    """
    if service.service_type is ServiceType.GATEWAY:
        return frozenset({consumer, service.vpc_id})
    return frozenset({consumer, HUB} if service.tcp_proxy is TcpProxy.PROXY_OPEN else {consumer})


def has_room(full: FullEdges | None, edges: Collection[str], now: datetime) -> bool:
    """Say whether all of these edges have room for another endpoint's connections; None: nobody has looked.

    A look that is too long ago does not count, and one in the future neither: then a clock was set back.
    """
    return full is None or full.edges.isdisjoint(edges) or abs(now - full.looked_at) > FRESH


def is_news(seen: FullEdges, told: FullEdges | None) -> bool:
    """Say whether what is seen has to be told, so that an idle pool writes nothing.

    Nearly full edges are told again before the look is too long ago to count.
    """
    if told is None or seen.edges != told.edges:
        return True
    return bool(seen.edges) and abs(seen.looked_at - told.looked_at) >= _REPEAT_AFTER
