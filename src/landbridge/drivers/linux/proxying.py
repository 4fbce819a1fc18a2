"""Carry the elements of the kind `proxy`: tell the proxy which ports of which endpoints are its business.

A translator between elements and listeners. An edge that was replaced under its name is a new place: what the proxy
has in the old one is told as an element that nobody wants, so it is put in again.
"""

from collections.abc import Collection, Mapping
from ipaddress import IPv4Address

from landbridge.domain.ids import EndpointId, VpcId
from landbridge.drivers.envoy.listeners import ProxyListener
from landbridge.drivers.envoy.process import ProcessState
from landbridge.drivers.envoy.proxy import Proxy
from landbridge.drivers.linux import ownership
from landbridge.drivers.linux.edges import Edge
from landbridge.drivers.linux.elements import Element, Kind, join, split
from landbridge.drivers.linux.namespaces import Namespaces

_ELSEWHERE = "in an edge that is gone"


class ProxyEngine:
    """Carries proxied ports; a `landbridge.drivers.linux.engines.Engine`."""

    def __init__(self, namespaces: Namespaces, region: str, proxy: Proxy) -> None:
        self._namespaces = namespaces
        self._region = region
        self._proxy = proxy

    @property
    def kind(self) -> Kind:
        """The kind of element that it carries."""
        return Kind.PROXY

    @property
    def state(self) -> ProcessState:
        """How the proxy's process is at this moment."""
        return self._proxy.state

    def read(self, edges: Mapping[VpcId, Edge]) -> set[Element]:
        """Return what the proxy carries; see `Engine.read`."""
        places = {str(self._namespaces.path(edge.name)): (vpc_id, edge.identity) for vpc_id, edge in edges.items()}
        found: set[Element] = set()
        for listener in self._proxy.listeners():
            vpc_id, identity = places.get(listener.namespace) or (self._former_vpc(listener.namespace), None)
            value = join(listener.endpoint_id, listener.marker, listener.source, listener.target, listener.server_port)
            if listener.namespace_identity != identity:
                value = join(value, _ELSEWHERE)
            found.add(Element(vpc_id, Kind.PROXY, join(listener.address, listener.client_port), value))
        return found

    def change(self, removals: Collection[Element], additions: Collection[Element]) -> Mapping[Element, str]:
        """Change what the proxy carries; see `Engine.change`."""
        failures: dict[Element, str] = {}
        listeners: dict[Element, ProxyListener] = {}
        for element in additions:
            listener = self._listener(element)
            if listener is None:
                failures[element] = f"the edge of VPC {element.vpc_id} is away"
            else:
                listeners[element] = listener
        names = {element: _name(element) for element in removals}
        refused = self._proxy.change(set(names.values()), list(listeners.values()))
        added_names = {element: listener.name for element, listener in listeners.items()}
        for element, name in (*names.items(), *added_names.items()):
            if name in refused:
                failures[element] = refused[name]
        return failures

    def refit(self, vpc_id: VpcId) -> None:
        """Do nothing: the proxy listens on addresses, whatever interface a packet comes by."""

    def close(self) -> None:
        """Let go of the proxy, which goes on."""
        self._proxy.close()

    def _listener(self, element: Element) -> ProxyListener | None:
        name = ownership.edge_namespace(self._region, element.vpc_id)
        identity = self._namespaces.identity(name)
        if identity is None:
            return None
        address, client_port = split(element.key)
        endpoint_id, marker, source, target, server_port = split(element.value)
        return ProxyListener(
            endpoint_id=EndpointId(endpoint_id),
            namespace=str(self._namespaces.path(name)),
            namespace_identity=identity,
            address=IPv4Address(address),
            client_port=int(client_port),
            source=IPv4Address(source),
            target=IPv4Address(target),
            server_port=int(server_port),
            marker=int(marker),
        )

    def _former_vpc(self, namespace: str) -> VpcId:
        name = namespace.rpartition("/")[2]
        return VpcId(name.removeprefix(ownership.edge_prefix(self._region)))


def _name(element: Element) -> str:
    """Return the name of an element's listener, see `ProxyListener.name`."""
    return f"{split(element.value)[0]}:{split(element.key)[1]}"
