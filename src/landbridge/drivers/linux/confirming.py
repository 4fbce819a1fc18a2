"""Look whether the kernel really has what one connection needs, hop by hop.

Reads exactly the elements, routes, links and interfaces of one endpoint and its backend, through sockets of its own,
and changes nothing, not even the rules. `needs` says what to look for. Must be called in the driver's thread, because
engines are the driver's.
"""

from collections import defaultdict
from collections.abc import Collection
from ipaddress import IPv4Address, IPv4Network

from landbridge.dataplane.driver import DriverError
from landbridge.dataplane.explain import Way
from landbridge.dataplane.hops import Confirmation, Step
from landbridge.dataplane.model import Attachment, Binding, GatewayBinding
from landbridge.domain.ids import SubnetId, VpcId
from landbridge.drivers.linux import ownership
from landbridge.drivers.linux.edges import Edge
from landbridge.drivers.linux.element_lookup import ElementLookup
from landbridge.drivers.linux.elements import (
    ENGINES,
    HUB,
    LABELS,
    MAPS,
    Element,
    Kind,
    connection_mark,
    join,
    link_interface,
    subnet_interface,
)
from landbridge.drivers.linux.engines import Engine
from landbridge.drivers.linux.lookup import Lookup
from landbridge.drivers.linux.namespaces import Namespaces, NoSuchNamespace
from landbridge.drivers.linux.needs import needs
from landbridge.drivers.linux.netlink import Route
from landbridge.drivers.linux.nft import NftError
from landbridge.drivers.linux.probing import is_absent

_WITH_VALUE = MAPS | LABELS | ENGINES | {Kind.BUDGETS}


class _Place:
    """One edge that is looked at."""

    def __init__(self, namespaces: Namespaces, name: str, identity: int) -> None:
        self._namespaces, self._name, self._identity = namespaces, name, identity
        self._edge: Edge | None = None
        self.elements, self.lookup = namespaces.inside(name, _open)
        self.interfaces = {link.name: link for link in self.lookup.links()}

    def has_route(self, element: Element) -> bool:
        """Say whether an address or a route is there, on its interface."""
        wanted = IPv4Network(element.key)
        interface, found = self.interfaces.get(element.value), self.lookup.route_to(wanted.network_address)
        return interface is not None and found == Route(wanted, interface.index, is_local=element.kind is Kind.ADDRESS)

    def open_edge(self) -> Edge:
        """Return the edge as engines want it."""
        if self._edge is None:
            self._edge = Edge(self._namespaces, self._name, self._identity)
        return self._edge

    def close(self) -> None:
        self.elements.close()
        self.lookup.close()
        if self._edge is not None:
            self._edge.close()


def _open() -> tuple[ElementLookup, Lookup]:
    return ElementLookup(), Lookup()


class Confirmer:
    """Looks into the edges of one region; a `landbridge.control.tracing.Kernel`."""

    def __init__(self, namespaces: Namespaces, instance: str, region: str, engines: Collection[Engine] = ()) -> None:
        self._namespaces = namespaces
        self._instance = instance
        self._region = region
        self._engines = {engine.kind: engine for engine in engines}

    def confirm(self, way: Way) -> Confirmation:
        """Return what is not there as it should be.

        Raises:
            DriverError: the kernel, or an engine, cannot be asked.
        """
        look = _Look(self._namespaces, self._instance, self._region, self._engines)
        try:
            look.at_elements(way)
            look.at_interfaces(way)
            look.at_whitelist(way)
            absent = look.at_neighbours(way)
        except (OSError, NftError, NoSuchNamespace) as error:
            raise DriverError("the data plane cannot be read", detail=str(error)) from error
        finally:
            look.close()
        return Confirmation(dict(look.missing), dict(look.flaws), absent)


class _Look:
    """One look: what was opened for it, and what it found."""

    def __init__(self, namespaces: Namespaces, instance: str, region: str, engines: dict[Kind, Engine]) -> None:
        self._namespaces = namespaces
        self._instance = instance
        self._region = region
        self._engines = engines
        self._places: dict[VpcId, _Place | None] = {}
        self.missing: defaultdict[Step, list[str]] = defaultdict(list)
        self.flaws: defaultdict[Step, list[str]] = defaultdict(list)

    def close(self) -> None:
        for place in self._places.values():
            if place is not None:
                place.close()

    def at_elements(self, way: Way) -> None:
        for need in sorted(needs(way), key=lambda need: (need.element.kind, need.element.vpc_id, need.element.key)):
            problem = self._problem(need.element)
            if problem is not None:
                notes = self.missing if need.stops else self.flaws
                notes[need.step].append(f"{_where(need.element.vpc_id)}, {problem}")

    def at_interfaces(self, way: Way) -> None:
        wired, client = way.wired, way.client
        match wired:
            case Binding():
                entries, exit_, last = [wired.consumer], wired.provider, Step.TARGET
            case GatewayBinding():
                entries, exit_, last = list(wired.entries), wired.exit, Step.PUBLIC
        for entry in entries:
            if isinstance(wired, Binding) or client is None or client.subnet_id == entry.subnet_id:
                self._expect_interface(Step.SUBNET, entry.vpc_id, entry.subnet_id)
        # Where the edge is a guest, clients of other subnets come through the VPC's own router.
        is_router = isinstance(wired, Binding) and wired.consumer.bridge is None
        subnet_id = None if client is None or not is_router else client.subnet_id
        if subnet_id is not None and subnet_id != entries[0].subnet_id:
            self._expect_interface(Step.SUBNET, entries[0].vpc_id, subnet_id)
        self._expect_interface(last, exit_.vpc_id, exit_.subnet_id)

    def at_whitelist(self, way: Way) -> None:
        wired, client = way.wired, way.client
        place = None if client is None else self._place(_consumer(wired).vpc_id)
        if client is None or place is None:
            return
        vpc_id = _consumer(wired).vpc_id
        if isinstance(wired, Binding):
            address = str(wired.address)
            allowed = Element(vpc_id, Kind.ALLOWED, join(address, client.address))
            restricted = place.elements.find(Element(vpc_id, Kind.RESTRICTED, address))
            if wired.allowed_sources is None and restricted is not None:
                self.missing[Step.WHITELIST].append(f"{_where(vpc_id)}, restricted has {address}, without a whitelist")
            if wired.allowed_sources is not None and place.elements.find(allowed) is None:
                self.missing[Step.WHITELIST].append(f"{_where(vpc_id)}, allowed lacks {allowed.key}")
        barred = place.elements.find(Element(vpc_id, Kind.BARRED, join(_mark(wired), client.address)))
        if barred is not None and not any(client.address in network for network in wired.barred_sources):
            step = Step.WHITELIST if isinstance(wired, Binding) else Step.ADMISSION
            self.missing[step].append(f"{_where(vpc_id)}, barred has {barred.key}, and should not")

    def at_neighbours(self, way: Way) -> bool | None:
        """Say whether nobody answers for the backend's address; None: not known."""
        place = None if way.probe is None else self._place(way.probe.vpc_id)
        return None if way.probe is None or place is None else is_absent(place.lookup, way.probe)

    def _expect_interface(self, step: Step, vpc_id: VpcId, subnet_id: SubnetId) -> None:
        place = self._place(vpc_id)
        name = subnet_interface(subnet_id)
        if place is None:
            self.missing[step].append(f"the edge of VPC {vpc_id} is not there")
        elif name not in place.interfaces:
            self.missing[step].append(f"{_where(vpc_id)}, the interface {name} of subnet {subnet_id} is not there")
        elif not place.interfaces[name].is_up:
            self.missing[step].append(f"{_where(vpc_id)}, the interface {name} of subnet {subnet_id} is down")

    def _problem(self, element: Element) -> str | None:
        place = self._place(element.vpc_id)
        if place is None:
            return "which is not there"
        if element.kind is Kind.LINK:
            return self._problem_of_link(element.vpc_id, VpcId(element.key))
        if element.kind in {Kind.ADDRESS, Kind.ROUTE}:
            what = "nobody answers for" if element.kind is Kind.ADDRESS else "there is no route to"
            return None if place.has_route(element) else f"{what} {element.key} on {element.value}"
        found = self._found(place, element)
        if found is None:
            return f"{element.kind} lacks {element.key}"
        has_its_value = element.kind not in _WITH_VALUE or found.value == element.value
        return None if has_its_value else f"{element.kind} has {found.value} for {element.key}, not {element.value}"

    def _found(self, place: _Place, element: Element) -> Element | None:
        """Return what is there under the key of an element."""
        if element.kind in ENGINES:
            engine = self._engines.get(element.kind)
            present = set[Element]() if engine is None else engine.read({element.vpc_id: place.open_edge()})
            return next((one for one in present if (one.vpc_id, one.key) == (element.vpc_id, element.key)), None)
        found = place.elements.find(element)
        return found if found is not None and found.key == element.key else None

    def _problem_of_link(self, one: VpcId, other: VpcId) -> str | None:
        near, far = link_interface(one, other, is_consumer=True), link_interface(other, one, is_consumer=False)
        here, there = self._place(one), self._place(other)
        if there is None:
            return f"no link to the edge of VPC {other}, which is not there"
        end, other_end = None if here is None else here.interfaces.get(near), there.interfaces.get(far)
        if end is None or other_end is None or (end.peer, other_end.peer) != (other_end.index, end.index):
            return f"no link to {_where(other).removeprefix('in ')}"
        if not end.is_up or not other_end.is_up:
            return f"the link to {_where(other).removeprefix('in ')} is down"
        return None

    def _place(self, vpc_id: VpcId) -> _Place | None:
        if vpc_id not in self._places:
            name = ownership.edge_namespace(self._region, vpc_id)
            identity = self._namespaces.identity(name)
            try:
                is_ours = identity is not None and ownership.is_ours(self._namespaces, name, self._instance)
            except ownership.NamespaceTaken:
                is_ours = False
            self._places[vpc_id] = _Place(self._namespaces, name, identity) if is_ours and identity else None
        return self._places[vpc_id]


def _consumer(wired: Binding | GatewayBinding) -> Attachment:
    return wired.consumer if isinstance(wired, Binding) else wired.entries[0]


def _mark(wired: Binding | GatewayBinding) -> str:
    address: IPv4Address = wired.address if isinstance(wired, Binding) else wired.transit_address
    return connection_mark(wired.id, str(address))


def _where(vpc_id: VpcId) -> str:
    return "in the hub" if vpc_id == HUB else f"in the edge of VPC {vpc_id}"
