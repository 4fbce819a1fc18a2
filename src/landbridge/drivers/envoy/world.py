"""Decide what to tell Envoy next: what is wanted, what it has confirmed, and the difference.

Pure bookkeeping of the delta variant of xDS, one exchange at a time. A cluster is there before its listener and goes
after it. What Envoy refuses is halved until the bad resource stands alone, so that it fails alone.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice

from landbridge.drivers.envoy.listeners import ProxyListener
from landbridge.drivers.envoy.versions import Versions, read_versions
from landbridge.drivers.envoy.xds import ResourceType

BATCH_SIZE = 200
"""How many resources are sent at once: few enough that progress shows, enough that thousands go quickly."""

_ABSENT = ""
_UNKNOWN = "?"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One discovery response: what is new or changed, and the names of what goes."""

    nonce: str
    resource_type: ResourceType
    changed: Mapping[str, ProxyListener] = field(default_factory=dict[str, ProxyListener])
    removed: tuple[str, ...] = ()


class World:
    """What Envoy should have and what it has. Not safe for several threads at once."""

    def __init__(self, versions: Callable[[ProxyListener], Versions]) -> None:
        self._versions = versions
        self._wanted: dict[str, ProxyListener] = {}
        self._wanted_versions: dict[str, Versions] = {}
        self._confirmed: dict[ResourceType, dict[str, str]] = {kind: {} for kind in ResourceType}
        self._refused: dict[ResourceType, dict[str, str]] = {kind: {} for kind in ResourceType}
        self._differing: dict[ResourceType, dict[str, None]] = {kind: {} for kind in ResourceType}
        self._halves: dict[ResourceType, deque[list[str]]] = {kind: deque() for kind in ResourceType}
        self._subscribed: set[ResourceType] = set()
        self._ungreeted: set[ResourceType] = set()
        self._has_listeners_to_tell = False
        self._in_flight: Delivery | None = None
        self._sent_count = 0
        self._is_acquainted = False
        self._forgotten: set[str] = set()

    @property
    def wanted(self) -> Mapping[str, ProxyListener]:
        """What should be there, by name."""
        return self._wanted

    def want(self, listener: ProxyListener) -> None:
        """Want a listener, in place of one of the same name; what was refused before is tried again."""
        self._wanted[listener.name] = listener
        self._wanted_versions[listener.name] = self._versions(listener)
        self._forgotten.discard(listener.name)
        self._compare(listener.name)

    def forget(self, name: str) -> None:
        """Want a listener no more; Envoy is told to let go of it whether or not we know that it has it."""
        if self._wanted.pop(name, None) is not None:
            del self._wanted_versions[name]
        if not self._is_acquainted:
            self._forgotten.add(name)
        for confirmed in self._confirmed.values():
            confirmed.setdefault(name, _UNKNOWN)
        self._compare(name)

    def is_done(self, name: str) -> bool:
        """Say whether Envoy has confirmed what is wanted of this name, also its absence."""
        return self._is_ready() and all(
            self._confirmed[kind].get(name, _ABSENT) == self._wish(kind, name) for kind in ResourceType
        )

    def refusal(self, name: str) -> str | None:
        """Return why Envoy refused what is wanted of this name; None while it did not."""
        return next((self._refused[kind][name] for kind in ResourceType if name in self._refused[kind]), None)

    def subscribe(self, kind: ResourceType, has: Mapping[str, str]) -> None:
        """Take note that Envoy wants to hear of one kind of resource, and has these versions of them by name."""
        self._subscribed.add(kind)
        self._confirmed[kind] = dict(has)
        if kind is ResourceType.CLUSTER:
            self._has_listeners_to_tell = bool(has)
        if not has:
            self._ungreeted.add(kind)
        self._refused[kind].clear()
        self._halves[kind].clear()
        if not self._is_ready():
            return
        if not self._is_acquainted:
            self._adopt()
        for each in ResourceType:
            self._differing[each].clear()
        for names in (self._wanted, *self._confirmed.values()):
            for name in names:
                self._compare(name)

    def disconnect(self) -> None:
        """Take note that Envoy is away; what it has is known again when it is back."""
        self._subscribed.clear()
        self._ungreeted.clear()
        self._in_flight = None
        for kind in ResourceType:
            self._confirmed[kind].clear()

    def next_delivery(self) -> Delivery | None:
        """Return what to send now, None to wait for an answer or a wish."""
        if self._in_flight is not None or not self._is_ready():
            return None
        choices = (
            (ResourceType.LISTENER, self._to_remove),
            # A listener as soon as its cluster is there: of thousands, the first need not wait for the last cluster.
            (ResourceType.LISTENER, self._to_change),
            (ResourceType.CLUSTER, self._to_change),
            (ResourceType.CLUSTER, self._to_remove),
            (ResourceType.CLUSTER, self._to_greet),
            (ResourceType.LISTENER, self._to_greet),
        )
        for kind, choose in choices:
            delivery = choose(kind) if kind in self._subscribed else None
            if delivery is not None:
                self._in_flight = delivery
                self._ungreeted.discard(kind)
                return delivery
        return None

    def answer(self, nonce: str, refusal: str | None) -> bool:
        """Take Envoy's answer to a delivery; say whether it was one that was waited for."""
        delivery = self._in_flight
        if delivery is None or delivery.nonce != nonce:
            return False
        self._in_flight = None
        kind, confirmed = delivery.resource_type, self._confirmed[delivery.resource_type]
        names = [*delivery.changed, *delivery.removed]
        if refusal is None:
            for name in delivery.removed:
                confirmed.pop(name, None)
            for name, listener in delivery.changed.items():
                confirmed[name] = _version(kind, self._versions(listener))
        elif len(names) > 1 and delivery.changed:
            # Envoy has taken the good ones among them, without saying which.
            for name in names:
                confirmed[name] = _UNKNOWN
                self._compare(name)
            self._halves[kind].extend((names[: len(names) // 2], names[len(names) // 2 :]))
            return True
        for name in names:
            self._compare(name)
            if refusal is not None and delivery.changed.get(name) == self._wanted.get(name):
                self._refused[kind][name] = refusal
                for differing in self._differing.values():
                    differing.pop(name, None)
        return True

    def _is_ready(self) -> bool:
        """Say whether all is known that Envoy has: one that has clusters is about to say which listeners it has."""
        if ResourceType.CLUSTER not in self._subscribed:
            return False
        return ResourceType.LISTENER in self._subscribed or not self._has_listeners_to_tell

    def _adopt(self) -> None:
        """Want what Envoy has since before our time; what cannot be read is left unwanted, and so goes."""
        self._is_acquainted = True
        clusters, listeners = (self._confirmed[kind] for kind in ResourceType)
        for name in (clusters.keys() & listeners.keys()) - self._wanted.keys() - self._forgotten:
            listener = read_versions(name, Versions(clusters[name], listeners[name]))
            if listener is not None:
                self._wanted[name] = listener
                self._wanted_versions[name] = self._versions(listener)
        self._forgotten.clear()

    def _wish(self, kind: ResourceType, name: str) -> str:
        versions = self._wanted_versions.get(name)
        return _version(kind, versions) if versions is not None else _ABSENT

    def _compare(self, name: str) -> None:
        for kind in ResourceType:
            self._refused[kind].pop(name, None)
            if self._confirmed[kind].get(name, _ABSENT) == self._wish(kind, name):
                self._differing[kind].pop(name, None)
            else:
                self._differing[kind][name] = None

    def _to_greet(self, kind: ResourceType) -> Delivery | None:
        """Envoy starts only when it has heard something of each kind, be it nothing."""
        return self._delivery(kind) if kind in self._ungreeted else None

    def _to_remove(self, kind: ResourceType) -> Delivery | None:
        names = tuple(islice((name for name in self._differing[kind] if self._must_go(kind, name)), BATCH_SIZE))
        return self._delivery(kind, removed=names) if names else None

    def _must_go(self, kind: ResourceType, name: str) -> bool:
        if name not in self._confirmed[kind] or name in self._wanted:
            return False
        return kind is ResourceType.LISTENER or name not in self._confirmed[ResourceType.LISTENER]

    def _to_change(self, kind: ResourceType) -> Delivery | None:
        halves = self._halves[kind]
        while halves:
            names = self._changeable(kind, halves.popleft())
            if names:
                return self._delivery(kind, changed=names)
        names = self._changeable(kind, self._differing[kind])
        return self._delivery(kind, changed=names) if names else None

    def _changeable(self, kind: ResourceType, names: Iterable[str]) -> list[str]:
        return list(islice((name for name in names if self._may_change(kind, name)), BATCH_SIZE))

    def _may_change(self, kind: ResourceType, name: str) -> bool:
        if name not in self._wanted or name not in self._differing[kind]:
            return False
        cluster = self._confirmed[ResourceType.CLUSTER].get(name)
        return kind is ResourceType.CLUSTER or cluster == self._wanted_versions[name].cluster

    def _delivery(self, kind: ResourceType, changed: Collection[str] = (), removed: tuple[str, ...] = ()) -> Delivery:
        self._sent_count += 1
        return Delivery(str(self._sent_count), kind, {name: self._wanted[name] for name in changed}, removed)


def _version(kind: ResourceType, versions: Versions) -> str:
    return versions.cluster if kind is ResourceType.CLUSTER else versions.listener
