"""Say which elements one connection needs, and at which hop.

Pure. What is needed is chosen from what the driver puts in (`elements`), so the two cannot disagree.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from landbridge.dataplane.explain import Way
from landbridge.dataplane.hops import Step
from landbridge.dataplane.model import GatewayBinding, Target
from landbridge.drivers.linux.elements import HUB, Element, Kind, elements, split, subnet_interface

_STEPS = {
    Kind.ADDRESS: Step.ADDRESS,
    Kind.MARKS: Step.ADMISSION,
    Kind.ACCEPTED: Step.ADMISSION,
    Kind.TERMINATED: Step.ADMISSION,
    Kind.DEPARTURES: Step.ADMISSION,
    Kind.ENDPOINTS: Step.ADMISSION,
    Kind.RESTRICTED: Step.WHITELIST,
    Kind.BUDGETS: Step.BUDGET,
    Kind.SENT: Step.BUDGET,
    Kind.RECEIVED: Step.BUDGET,
    Kind.OPENED: Step.BUDGET,
    Kind.LISTENERS: Step.PORT,
    Kind.PROXY: Step.PROXY,
    Kind.UPSTREAMS: Step.PROXY,
    Kind.OPTION: Step.OPTION,
    Kind.HEADER: Step.OPTION,
    Kind.EXITS: Step.SOURCE,
    Kind.SEGMENTS: Step.LINK,
    Kind.LINK: Step.LINK,
    Kind.ROUTE: Step.LINK,
    Kind.GATEWAYS: Step.ROUTE_TABLE,
    Kind.PUBLIC: Step.PUBLIC,
    Kind.BACKENDS: Step.TARGET,
    Kind.MASQUERADED: Step.TARGET,
    Kind.REPLIES: Step.TARGET,
    Kind.TARGETS: Step.TARGET,
}
"""The hop of each kind of element; `allowed` and `barred` depend on the client."""

_STOPS_NOTHING = frozenset(
    {
        Kind.ENDPOINTS,
        Kind.TARGETS,
        Kind.RESTRICTED,
        Kind.BUDGETS,
        Kind.SENT,
        Kind.RECEIVED,
        Kind.OPENED,
        Kind.SEGMENTS,
        Kind.OPTION,
    }
)
"""Without these, connections are not labelled, limited, counted, clamped or told apart, and pass all the same."""

_WITH_CLIENT_PORT = frozenset({Kind.LISTENERS, Kind.ACCEPTED, Kind.TERMINATED, Kind.PROXY, Kind.OPTION, Kind.HEADER})
"""The second part of their keys is the client port."""


@dataclass(frozen=True, slots=True)
class Need:
    """One element that a connection needs."""

    step: Step
    element: Element
    stops: bool
    """Nothing passes without it."""


def needs(way: Way) -> Iterator[Need]:
    """Yield what a new connection needs, of its endpoint and of its backend.

    Whom a whitelist lets in depends on the client, so `allowed` and `barred` are not among these.
    """
    own = elements(way.wired)
    for element in own:
        if _is_on(way, element):
            yield Need(_step_of(element), element, stops=_stops(element))
    target, forward = way.target, way.forward
    if target is None or forward is None:
        return
    for element in elements(target) - own:
        if not _is_for(target, forward.server_port, element):
            continue
        if element.vpc_id == HUB or element.kind in {Kind.LINK, Kind.ROUTE}:
            # It is there for probes: these may fail while consumers get through.
            yield Need(Step.BACKEND, element, stops=False)
        else:
            yield Need(_STEPS[element.kind], element, stops=_stops(element))


def _is_on(way: Way, element: Element) -> bool:
    """Say whether the connection in question needs an element of its endpoint."""
    if element.kind in {Kind.ALLOWED, Kind.BARRED}:
        return False
    parts = split(element.key)
    if isinstance(way.wired, GatewayBinding):
        is_of_subnet = element.kind in {Kind.GATEWAYS, Kind.DEPARTURES}
        subnet_id = None if way.client is None else way.client.subnet_id
        return not is_of_subnet or subnet_id is None or parts[0] == subnet_interface(subnet_id)
    if not {str(former) for former in way.wired.former_targets}.isdisjoint(parts):
        return False
    client_port, server_port = (
        ("", "") if way.forward is None else (str(way.forward.client_port), str(way.forward.server_port))
    )
    if element.kind in _WITH_CLIENT_PORT:
        return parts[1] == client_port
    return element.kind is not Kind.UPSTREAMS or parts[2] == server_port


def _is_for(target: Target, server_port: int, element: Element) -> bool:
    """Say whether a new connection to this port of a backend, or a probe of it, needs an element of the target."""
    parts = split(element.key)
    if element.kind in {Kind.BACKENDS, Kind.MASQUERADED}:
        return parts == [str(target.transit_address), str(server_port)]
    if element.kind is Kind.REPLIES:
        return parts == [str(target.address), str(server_port)] and element.value == str(target.transit_address)
    if element.kind is Kind.TARGETS:
        return parts[2:] == [str(target.transit_address), str(server_port)]
    return element.kind is not Kind.UPSTREAMS or parts[2] == str(server_port)


def _step_of(element: Element) -> Step:
    if element.vpc_id == HUB and element.kind in {Kind.ADDRESS, Kind.MARKS}:
        return Step.SOURCE
    return _STEPS[element.kind]


def _stops(element: Element) -> bool:
    # In the hub, the mark only tells whose the proxy's connections are.
    return element.kind not in _STOPS_NOTHING and not (element.vpc_id == HUB and element.kind is Kind.MARKS)
