"""Apply plans to the edges of this machine, and say what is wired there.

A thing is a set of elements. A plan only changes which things want which elements; the mirror gives the
difference to the kernel, `wiring` carries it out. So nothing is reachable before all of it is there, a changed
binding leaves the connections of its unchanged ports alone, and what was left undone once is done by the next
call, whatever its plan.
"""

from collections.abc import Callable, Collection, Iterable, Mapping

from landbridge.dataplane.driver import DRIFTED, NO_REFUSALS, Capabilities, DriverError, Surveying, finish
from landbridge.dataplane.model import (
    Attachment,
    Binding,
    Digest,
    GatewayBinding,
    Target,
    Wired,
    WiredId,
    attachments,
    may_be_missing,
)
from landbridge.dataplane.plan import Ensure, Plan
from landbridge.domain.ids import VpcId
from landbridge.domain.resources import TcpProxy
from landbridge.drivers.linux.attaching import Attaching, NotAttachable
from landbridge.drivers.linux.edges import Edges
from landbridge.drivers.linux.elements import LABELS, Element, Kind, elements, split, subnet_interface, vpcs_of
from landbridge.drivers.linux.engines import Engine
from landbridge.drivers.linux.forgetting import Forgetting
from landbridge.drivers.linux.mirror import Mirror
from landbridge.drivers.linux.namespaces import Namespaces
from landbridge.drivers.linux.nft import NftError
from landbridge.drivers.linux.ownership import NamespaceTaken
from landbridge.drivers.linux.survey import Look, Survey
from landbridge.drivers.linux.wiring import Failures, Wiring

_NEEDED = {
    TcpProxy.CLOSE: frozenset[Kind](),
    TcpProxy.PROXY_OPEN: frozenset({Kind.PROXY}),
    TcpProxy.TOA_OPEN: frozenset({Kind.OPTION}),
    TcpProxy.OPEN: frozenset({Kind.OPTION, Kind.HEADER}),
}
"""What must be carried for a mode beside nftables and routes."""

_OWN = frozenset({Kind.ADDRESS, Kind.MARKS, Kind.EXITS, Kind.BUDGETS, Kind.SENT, Kind.RECEIVED, Kind.OPENED})
"""Kinds of which an endpoint's elements are no other's."""

_REFUSED = "the data plane refused a part of it; it is tried again by itself"


class LinuxDriver:
    """The data plane of one region on this machine; a `landbridge.dataplane.driver.Driver`.

    Opening it reads nothing: call `survey` before anything else, so that it knows what is already there.
    """

    def __init__(
        self,
        namespaces: Namespaces,
        instance: str,
        region: str,
        engines: Collection[Engine] = (),
        refusals: Mapping[TcpProxy, str] = NO_REFUSALS,
        before_effect: Callable[[], None] = lambda: None,
    ) -> None:
        """Carry what the engines can; `refusals` says of other modes why this machine does not carry them.

        `before_effect` is called before each transaction and request that changes an edge.
        """
        self._edges = Edges(namespaces, instance, region, before_effect=before_effect)
        self._attaching = Attaching(namespaces, instance, self._edges)
        self._engines = tuple(engines)
        kinds = {engine.kind for engine in self._engines}
        carried = frozenset(mode for mode, needed in _NEEDED.items() if needed <= kinds)
        self._capabilities = Capabilities(carried, refusals)
        self._forgetting = Forgetting(self._edges)
        self._with_cut_clients: set[WiredId] = set()
        self._mirror = Mirror()
        self._looks: dict[VpcId, Look] = {}
        self._unsettled: dict[WiredId, Digest] = {}
        self._identities: dict[VpcId, int] = {}

    @property
    def capabilities(self) -> Capabilities:
        """What this driver can carry."""
        return self._capabilities

    @property
    def engines(self) -> tuple[Engine, ...]:
        """Who carries what nftables and routing tables cannot hold; to be asked in the driver's thread only."""
        return self._engines

    def observe(self, ids: Collection[WiredId]) -> Mapping[WiredId, Digest]:
        """Return the digests of those of `ids` that are wired, from memory."""
        return {id_: found for id_ in ids if (found := self._digest(id_)) is not None}

    def survey(self, expected: Collection[Wired]) -> Surveying:
        """Read the kernel afresh; see `Driver.survey`."""
        try:
            edges = dict(self._edges.all())
            look = Survey(self._mirror, edges, self._engines, expected, self._looks)
            yield from look.parts()
            unplugged = {one for one in _bridged(expected) if not self._attaching.is_attached(one)}
        except (OSError, NftError) as error:
            raise DriverError("the data plane cannot be read", detail=str(error)) from error
        self._identities = {vpc_id: edge.identity for vpc_id, edge in edges.items()}
        self._unsettled = look.conclude()
        drifted = self._with_cut_clients & self._mirror.settled.keys()
        if unplugged:
            drifted |= {wired.id for wired in expected if not unplugged.isdisjoint(attachments(wired))}
        for id_ in drifted:
            if self._digest(id_) is not None:
                self._unsettled[id_] = DRIFTED
        return self.observe(list({**self._mirror.settled, **self._unsettled}))

    def apply(self, plan: Plan) -> Mapping[WiredId, DriverError]:
        """Take the plan's steps; see `Driver.apply`."""
        self._notice_replaced_edges(plan)
        errors: dict[WiredId, DriverError] = {}
        before: dict[WiredId, frozenset[Element]] = {}
        wanted: dict[WiredId, Wired | None] = {}
        attached: dict[Attachment, DriverError | None] = {}
        new: set[Element] = set()
        for step in plan.steps:
            if isinstance(step, Ensure):
                id_, wired = step.wired.id, step.wired
                obstacle = self._obstacle(wired, attached)
                if obstacle is not None:
                    errors[id_] = obstacle
                    continue
            else:
                id_, wired = step.id, None
            before.setdefault(id_, self._mirror.claimed(id_))
            self._mirror.claim(id_, elements(wired) if wired is not None else frozenset())
            wanted[id_] = wired
            new |= self._endpoint_that_was_not_there(wired)
        self._with_cut_clients |= self._narrowed(wanted.values(), new)

        wiring = Wiring(self._edges, self._mirror, self._engines)
        groups = [before[id_] | self._mirror.claimed(id_) for id_ in wanted]
        failures = wiring.take_out(groups)
        failures |= wiring.connect()
        failures |= self._forgetting.endpoints(new)
        errors |= self._concede(wanted, before, failures)
        loading = wiring.load([group & self._mirror.surplus | group & self._mirror.missing for group in groups])
        errors |= self._concede({id_: wanted[id_] for id_ in wanted if id_ not in errors}, before, loading)
        for id_, wired in wanted.items():
            if id_ not in errors:
                self._settle(id_, wired)
        self._mirror.settle_again()
        errors |= self._forget_cut_clients({id_: wired for id_, wired in wanted.items() if id_ not in errors})
        if errors and self._mirror.surplus:
            # What a failed thing got half-way. Should this fail too, the next call does it.
            wiring.take_out(groups)
        return errors

    def refit(self, vpc_id: VpcId) -> None:
        """Tell the engines that the edge of a VPC has got another interface in a subnet."""
        for engine in self._engines:
            engine.refit(vpc_id)

    def close(self) -> None:
        """Close all sockets; what is wired stays wired."""
        for engine in self._engines:
            engine.close()
        self._edges.close()

    def _endpoint_that_was_not_there(self, wired: Wired | None) -> set[Element]:
        """Return what counts an endpoint's new connections, if nothing of its own is in the kernel yet.

        What is only damaged has connections that are to go on.
        """
        if wired is None or isinstance(wired, Target):
            return set()
        claimed, way_back = self._mirror.claimed(wired.id), str(wired.transit_address)
        own = (one for one in claimed if one.kind in _OWN or (one.kind is Kind.ROUTE and one.key == way_back))
        is_there = any(element in self._mirror.present for element in own)
        return set() if is_there else {element for element in claimed if element.kind is Kind.OPENED}

    def _narrowed(self, wanted: Iterable[Wired | None], new: set[Element]) -> set[WiredId]:
        """Return the endpoints among these, but not new ones, that are about to stop carrying some of their clients."""
        lost = {
            (element.vpc_id, split(element.key)[0]) for element in self._mirror.surplus if element.kind is Kind.ALLOWED
        }
        lost |= {(element.vpc_id, element.key) for element in self._mirror.missing if element.kind is Kind.RESTRICTED}
        return {
            wired.id
            for wired in wanted
            if isinstance(wired, Binding)
            and (wired.consumer.vpc_id, str(wired.address)) in lost
            and new.isdisjoint(self._mirror.claimed(wired.id))
        }

    def _forget_cut_clients(self, reached: Mapping[WiredId, Wired | None]) -> dict[WiredId, DriverError]:
        errors: dict[WiredId, DriverError] = {}
        for id_ in self._with_cut_clients & reached.keys():
            wired = reached[id_]
            problem = self._forgetting.clients(wired) if isinstance(wired, Binding) else None
            if problem is None:
                self._with_cut_clients.discard(id_)
            else:
                errors[id_] = DriverError(_REFUSED, detail=problem)
                self._unsettled[id_] = DRIFTED
        return errors

    def _settle(self, id_: WiredId, wired: Wired | None) -> None:
        self._unsettled.pop(id_, None)
        if wired is not None:
            self._mirror.settle(wired)

    def _digest(self, id_: WiredId) -> Digest | None:
        """Return the digest of a thing that is wired, None if it is not."""
        if id_ in self._unsettled:
            return self._unsettled[id_]
        settled = self._mirror.digest(id_)
        if settled is not None:
            return settled
        return DRIFTED if id_ in self._mirror.claims else None

    def _concede(
        self,
        wanted: Mapping[WiredId, Wired | None],
        before: Mapping[WiredId, frozenset[Element]],
        failures: Failures,
    ) -> dict[WiredId, DriverError]:
        """Give up, for now, things with a failed element; a thing that has a label stays and is drifted."""
        errors: dict[WiredId, DriverError] = {}
        if not failures:
            return errors
        for id_ in wanted:
            failed = [element for element in before[id_] | self._mirror.claimed(id_) if element in failures]
            if not failed:
                continue
            errors[id_] = DriverError(_REFUSED, detail=_reasons(failed, failures))
            left = frozenset(element for element in before[id_] if element in self._mirror.present)
            is_labelled = wanted[id_] is None or any(element.kind in LABELS for element in left)
            self._mirror.claim(id_, left if is_labelled else frozenset())
            if is_labelled:
                self._unsettled[id_] = DRIFTED
            else:
                self._unsettled.pop(id_, None)
        return errors

    def _obstacle(self, wired: Wired, known: dict[Attachment, DriverError | None]) -> DriverError | None:
        """Return why something cannot be wired; `known` says of attachments what came of them in this very plan."""
        obstacles: dict[Attachment, DriverError] = {}
        for attachment in attachments(wired):
            if attachment not in known:
                known[attachment] = self._attach(attachment)
            obstacle = known[attachment]
            if obstacle is not None and not may_be_missing(wired, attachment):
                return obstacle
            if obstacle is not None:
                obstacles[attachment] = obstacle
        # There is no edge that could carry anything if none of the subnets is there.
        is_nowhere = isinstance(wired, GatewayBinding) and obstacles.keys() == set(wired.entries)
        return next(iter(obstacles.values())) if is_nowhere else None

    def _attach(self, attachment: Attachment) -> DriverError | None:
        not_attached = f"subnet {attachment.subnet_id} is not attached to this data plane"
        try:
            if attachment.bridge is None:
                return None if self._has_interface(attachment) else DriverError(not_attached)
            if self._attaching.attach(attachment):
                self._forget_addresses(attachment)
                self.refit(attachment.vpc_id)
            self._has_interface(attachment)
        except NotAttachable as error:
            return DriverError(not_attached, detail=str(error))
        except (NamespaceTaken, OSError, NftError) as error:
            return DriverError(_REFUSED, detail=str(error))
        return None

    def _forget_addresses(self, attachment: Attachment) -> None:
        """Take note that an interface is a new one: what addresses the one before had are gone."""
        self._mirror.lose_interfaces(attachment.vpc_id, Kind.ADDRESS, {subnet_interface(attachment.subnet_id)})

    def _has_interface(self, attachment: Attachment) -> bool:
        edge = self._edges.find(attachment.vpc_id)
        if edge is None:
            return False
        self._identities.setdefault(attachment.vpc_id, edge.identity)
        return edge.interface(subnet_interface(attachment.subnet_id)) is not None

    def _notice_replaced_edges(self, plan: Plan) -> None:
        """Read everything afresh if an edge that the plan touches is not the one that was surveyed."""
        for vpc_id in set(self._touched(plan)):
            known = self._identities.get(vpc_id)
            try:
                edge = self._edges.find(vpc_id)
            except (NamespaceTaken, OSError, NftError):
                edge = None
            if known is None and edge is not None:
                self._identities[vpc_id] = edge.identity
            elif known is not None and (edge is None or edge.identity != known):
                finish(self.survey(()))
                return

    def _touched(self, plan: Plan) -> Iterable[VpcId]:
        for step in plan.steps:
            if isinstance(step, Ensure):
                yield from (attachment.vpc_id for attachment in attachments(step.wired))
            id_ = step.wired.id if isinstance(step, Ensure) else step.id
            settled = self._mirror.settled.get(id_)
            if settled is None:
                yield from (element.vpc_id for element in self._mirror.claimed(id_))
            else:
                yield from vpcs_of(settled)


def _bridged(expected: Collection[Wired]) -> set[Attachment]:
    """Return the attachments to existing bridges that these things need."""
    every = {attachment for wired in expected for attachment in attachments(wired)}
    return {attachment for attachment in every if attachment.bridge is not None}


def _reasons(failed: Collection[Element], failures: Failures) -> str:
    reasons = sorted({f"{element.kind} {element.key}: {failures[element]}" for element in failed})
    return "; ".join(reasons)
