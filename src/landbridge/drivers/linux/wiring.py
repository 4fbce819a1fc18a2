"""Carry out the difference between what is wanted and what is in the kernel.

Takes out first, in the order in which traffic ends: nftables elements, then what engines carry, then addresses,
routes, links. Puts in the other way round. An nftables transaction is all or nothing; when a batch fails, its groups
are tried one by one, so that a bad one only fails itself. The mirror is told of each success at once, so it is right
after any failure.
"""

import errno
from collections.abc import Callable, Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network

from landbridge.domain.ids import VpcId
from landbridge.drivers.linux import ruleset
from landbridge.drivers.linux.edges import Edge, Edges
from landbridge.drivers.linux.elements import (
    ENGINES,
    LOOPBACK,
    OUTSIDE_NFT,
    Element,
    Kind,
    link_interface,
    split,
)
from landbridge.drivers.linux.engines import Engine
from landbridge.drivers.linux.mirror import Mirror
from landbridge.drivers.linux.netlink import Link, NetlinkError, Route
from landbridge.drivers.linux.nft import NftError
from landbridge.drivers.linux.ownership import NamespaceTaken

Failures = dict[Element, str]
"""What could not be put in or taken out, and why."""

_ORDER = {Kind.LINK: 0, Kind.ROUTE: 1, Kind.ADDRESS: 2}
_GONE = frozenset({errno.EADDRNOTAVAIL, errno.ESRCH, errno.ENODEV, errno.ENOENT})


class Wiring:
    """Brings the kernel nearer to what the mirror says is wanted; for one plan.

    An edge that is replaced meanwhile is noticed when the next plan begins.
    """

    def __init__(self, edges: Edges, mirror: Mirror, engines: Iterable[Engine] = ()) -> None:
        self._edges = edges
        self._mirror = mirror
        self._engines = {engine.kind: engine for engine in engines}
        self._found: dict[VpcId, Edge] = {}

    def take_out(self, groups: Sequence[frozenset[Element]]) -> Failures:
        """Take out what nobody wants, but for rules' elements that get another value: `load` replaces those."""
        replaced = {_slot(element) for element in self._mirror.missing}
        surplus = list(self._mirror.surplus)
        failures: Failures = {}
        in_nft = (element for element in surplus if element.kind not in OUTSIDE_NFT and _slot(element) not in replaced)
        for vpc_id, removals in _by_edge(in_nft).items():
            failures |= self._transact(vpc_id, removals, set(), groups)
        in_engines = [element for element in surplus if element.kind in ENGINES and _slot(element) not in replaced]
        failures |= self._change_engines(in_engines, ())
        outside = [element for element in surplus if element.kind in _ORDER]
        for element in sorted(outside, key=lambda element: _ORDER[element.kind], reverse=True):
            problem = _problem(lambda element=element: self._take_out(element))
            if problem is None:
                self._mirror.note_absent(element)
            else:
                failures[element] = problem
        return failures

    def connect(self) -> Failures:
        """Put in the missing links, routes and addresses, and what engines carry on top of them."""
        failures: Failures = {}
        for kind in (Kind.LINK, Kind.ROUTE, Kind.ADDRESS):
            # Looked at anew for each kind: a replaced link has lost routes that were there.
            for element in [element for element in self._mirror.missing if element.kind is kind]:
                problem = _problem(lambda element=element: self._put_in(element))
                if problem is None:
                    self._mirror.note_present(element)
                else:
                    failures[element] = problem
        in_engines = [element for element in self._mirror.missing if element.kind in ENGINES]
        replaced = [element for element in self._mirror.surplus if element.kind in ENGINES]
        return failures | self._change_engines(replaced, in_engines)

    def load(self, groups: Sequence[frozenset[Element]]) -> Failures:
        """Put in the missing rules' elements, in place of what has their keys."""
        additions = _by_edge(element for element in self._mirror.missing if element.kind not in OUTSIDE_NFT)
        removals = _by_edge(element for element in self._mirror.surplus if element.kind not in OUTSIDE_NFT)
        failures: Failures = {}
        for vpc_id, missing in additions.items():
            failures |= self._transact(vpc_id, removals.get(vpc_id, set()), missing, groups)
        return failures

    def _change_engines(self, removals: Sequence[Element], additions: Sequence[Element]) -> Failures:
        failures: Failures = {}
        for kind in {element.kind for element in (*removals, *additions)}:
            gone = [element for element in removals if element.kind is kind]
            new = [element for element in additions if element.kind is kind]
            failures |= self._change_engine(kind, gone, new)
        for element in removals:
            if element not in failures:
                self._mirror.note_absent(element)
        for element in additions:
            if element not in failures:
                self._mirror.note_present(element)
        return failures

    def _change_engine(self, kind: Kind, removals: Sequence[Element], additions: Sequence[Element]) -> Failures:
        engine = self._engines.get(kind)
        if engine is None:
            return dict.fromkeys((*removals, *additions), f"nothing here carries the kind {kind}")
        try:
            return dict(engine.change(removals, additions))
        except OSError as error:
            return dict.fromkeys((*removals, *additions), error.strerror or str(error))

    def _transact(
        self,
        vpc_id: VpcId,
        removals: set[Element],
        additions: set[Element],
        groups: Sequence[frozenset[Element]],
    ) -> Failures:
        edge = self._find(vpc_id)
        if edge is None:
            for element in removals:
                self._mirror.note_absent(element)
            return dict.fromkeys(additions, f"the edge of VPC {vpc_id} is away")
        if self._commit(edge, removals, additions) is None:
            return {}
        failures: Failures = {}
        for group in groups:
            own_removals = group & removals & self._mirror.surplus
            own_additions = group & additions & self._mirror.missing
            problem = self._commit(edge, own_removals, own_additions)
            if problem is not None:
                failures.update(dict.fromkeys(own_additions, problem))
        for element in removals & self._mirror.surplus:
            if _place(element) not in {_place(addition) for addition in additions}:
                failures |= self._force_out(edge, element)
        return failures

    def _commit(self, edge: Edge, removals: Iterable[Element], additions: Iterable[Element]) -> str | None:
        removals, additions = list(removals), list(additions)
        text = ruleset.render(removals, additions)
        try:
            if text:
                edge.nft.run(text)
        except NftError as error:
            return str(error)
        for element in removals:
            self._mirror.note_absent(element)
        for element in additions:
            self._mirror.note_present(element)
        return None

    def _force_out(self, edge: Edge, element: Element) -> Failures:
        try:
            edge.nft.run(ruleset.render_forced_removal(element))
        except NftError as error:
            return {element: str(error)}
        self._mirror.note_absent(element)
        return {}

    def _find(self, vpc_id: VpcId) -> Edge | None:
        found = self._found.get(vpc_id)
        if found is not None:
            return found
        try:
            found = self._edges.find(vpc_id)
        except NamespaceTaken:
            return None  # ours is gone, whoever took the name
        if found is not None:
            self._found[vpc_id] = found
        return found

    def _take_out(self, element: Element) -> None:
        if element.kind is Kind.LINK:
            self._edges.remove_link(element.vpc_id, VpcId(element.key))
            return
        edge = self._find(element.vpc_id)
        interface = edge.interface(element.value) if edge else None
        if edge is None or interface is None:
            return
        try:
            edge.netlink.delete_route(_route(element, interface))
        except NetlinkError as error:
            if error.errno not in _GONE:
                raise

    def _put_in(self, element: Element) -> None:
        if element.kind is Kind.LINK:
            if self._edges.add_link(element.vpc_id, VpcId(element.key)):
                self._forget_routes(element.vpc_id, VpcId(element.key))
            return
        try:
            self._put_on_interface(element)
        except NetlinkError as error:
            if error.errno != errno.ENODEV:
                raise
            # The interface was replaced by another of the same name since we looked.
            edge = self._find(element.vpc_id)
            if edge is not None:
                edge.forget_interface(element.value)
            self._put_on_interface(element)

    def _forget_routes(self, one: VpcId, other: VpcId) -> None:
        for own, peer in {(one, other), (other, one)}:
            names = {link_interface(own, peer, is_consumer=is_consumer) for is_consumer in (True, False)}
            self._mirror.lose_interfaces(own, Kind.ROUTE, names)

    def _put_on_interface(self, element: Element) -> None:
        edge = self._find(element.vpc_id)
        interface = edge.interface(element.value) if edge else None
        if edge is None or interface is None:
            raise LookupError(f"the edge of VPC {element.vpc_id} has no interface {element.value}")
        edge.netlink.set_route(_route(element, interface))
        if element.kind is Kind.ADDRESS and element.value != LOOPBACK:
            edge.announce(interface, IPv4Address(element.key))


def _problem(action: Callable[[], None]) -> str | None:
    try:
        action()
    except (OSError, LookupError, NamespaceTaken, NftError) as error:
        return error.strerror or str(error) if isinstance(error, OSError) else str(error)
    return None


def _place(element: Element) -> tuple[VpcId, Kind, str]:
    return element.vpc_id, element.kind, element.key


def _slot(element: Element) -> tuple[VpcId, Kind, str]:
    """Return what must not stand empty between two transactions while a thing changes.

    For a whitelist that is the whole endpoint: between the old list and the new one, clients of both would be cut.
    """
    vpc_id, kind, key = _place(element)
    return vpc_id, kind, split(key)[0] if kind is Kind.ALLOWED else key


def _by_edge(elements: Iterable[Element]) -> dict[VpcId, set[Element]]:
    grouped: dict[VpcId, set[Element]] = {}
    for element in elements:
        grouped.setdefault(element.vpc_id, set()).add(element)
    return grouped


def _route(element: Element, interface: Link) -> Route:
    # An endpoint's address is a local route, not an address of the interface: the kernel walks through all
    # addresses of an interface for each that comes or goes (1.2 ms at 10,000).
    return Route(IPv4Network(element.key), interface.index, is_local=element.kind is Kind.ADDRESS)
