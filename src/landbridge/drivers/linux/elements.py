"""Decide which elements make a binding or target real on Linux.

Pure. An element is one entry of an nftables set or map, one address, one route, one link, one port of the proxy or of
the option writer, in the edge of one VPC. Equal elements of several bindings are one element in the kernel: who
applies them counts. Keys and values are texts as nft writes them, so what is read back from a kernel compares equal.
"""

import hashlib
from collections.abc import Iterable, Iterator
from enum import StrEnum
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network
from socket import inet_ntoa
from typing import NamedTuple

from landbridge.dataplane.model import (
    PROBE_ADDRESS,
    Binding,
    Digest,
    GatewayBinding,
    Place,
    Target,
    Wired,
    WiredId,
    attachments,
    digest,
)
from landbridge.domain.ids import EndpointId, SubnetId, VpcId
from landbridge.domain.resources import TcpProxy

HUB = VpcId("hub")
"""The edge that belongs to no tenant: the proxy's connections to backends and the probes start there."""

LOOPBACK = "lo"
"""The interface that has the hub's addresses."""

_TCP_IP_HEADER_BYTES = 40
_PROXIED = frozenset({TcpProxy.PROXY_OPEN})
_WITH_OPTION = frozenset({TcpProxy.TOA_OPEN, TcpProxy.OPEN})
_WITH_HEADER = frozenset({TcpProxy.OPEN})


class Kind(StrEnum):
    """What an element is an element of; the nftables sets and maps go by these names."""

    __hash__ = str.__hash__  # elements are hashed all the time, and an enumeration's own way is slow

    LISTENERS = "listeners"
    ACCEPTED = "accepted_ports"
    TERMINATED = "terminated"
    UPSTREAMS = "upstreams"
    GATEWAYS = "gateways"
    DEPARTURES = "departures"
    EXITS = "exits"
    SEGMENTS = "segment_sizes"
    MARKS = "marks"
    RESTRICTED = "restricted"
    ALLOWED = "allowed"
    BARRED = "barred"
    BUDGETS = "budgets"
    SENT = "sent"
    RECEIVED = "received"
    OPENED = "opened"
    ENDPOINTS = "endpoints"
    BACKENDS = "backends"
    REPLIES = "replies"
    MASQUERADED = "masqueraded"
    PUBLIC = "public"
    TARGETS = "targets"
    ADDRESS = "address"
    ROUTE = "route"
    LINK = "link"
    PROXY = "proxy"
    OPTION = "option"
    HEADER = "header"


LABELS = frozenset({Kind.ENDPOINTS, Kind.TARGETS})
"""Kinds whose value is a comment: the id and the digest of what they stand for."""

MAPS = frozenset(
    {
        Kind.LISTENERS,
        Kind.GATEWAYS,
        Kind.EXITS,
        Kind.SEGMENTS,
        Kind.MARKS,
        Kind.BACKENDS,
        Kind.MASQUERADED,
        Kind.REPLIES,
    }
)
"""Kinds whose elements have a value in nftables."""

ENGINES = frozenset({Kind.PROXY, Kind.OPTION, Kind.HEADER})
"""Kinds that an engine of its own carries, see `engines`."""

OUTSIDE_NFT = frozenset({Kind.ADDRESS, Kind.ROUTE, Kind.LINK}) | ENGINES


class Element(NamedTuple):
    """One thing placed in the edge of `vpc_id`.

    A link has two edges: `vpc_id` is the smaller id and `key` the larger. A tuple, because there are many of them,
    and all of them are hashed again and again.
    """

    vpc_id: VpcId
    kind: Kind
    key: str
    value: str = ""


def elements(wired: Wired) -> frozenset[Element]:
    """Return all elements of what should be wired."""
    return shared_elements(wired).union(own_elements(wired))


def own_elements(wired: Wired) -> Iterator[Element]:
    """Yield those elements that nothing else can want: an endpoint's, but for the way to its backend."""
    return _of_binding(wired) if isinstance(wired, Binding) else iter(())


def shared_elements(wired: Wired) -> frozenset[Element]:
    """Return those elements that other things may want too."""
    match wired:
        case Target():
            return frozenset(_of_target(wired))
        case Binding():
            return frozenset(_way_to_backend(wired))
        case GatewayBinding():
            return frozenset(_of_gateway(wired))


def label_place(wired: Binding) -> tuple[Kind, str]:
    """Return where in its home an endpoint's label is: of which kind, and at which key."""
    return Kind.ENDPOINTS, address_text(wired.address)


def needs_engine(wired: Wired) -> bool:
    """Say whether an engine carries a part of a thing."""
    return isinstance(wired, Binding) and wired.tcp_proxy is not TcpProxy.CLOSE


def home_of(wired: Wired) -> VpcId:
    """Return the VPC in whose edge most of a thing is, its labels among it."""
    match wired:
        case Target():
            return wired.attachment.vpc_id
        case Binding():
            return wired.consumer.vpc_id
        case GatewayBinding():
            return wired.entries[0].vpc_id


def vpcs_of(wired: Wired) -> frozenset[VpcId]:
    """Return the VPCs in whose edges a thing has elements."""
    found = {attachment.vpc_id for attachment in attachments(wired)}
    in_hub = isinstance(wired, Target) or (isinstance(wired, Binding) and wired.tcp_proxy in _PROXIED)
    return frozenset(found | {HUB} if in_hub else found)


def _way_to_backend(binding: Binding) -> Iterator[Element]:
    consumer = HUB if binding.tcp_proxy in _PROXIED else binding.consumer.vpc_id
    provider = binding.provider.vpc_id
    interface = link_interface(consumer, provider, is_consumer=True)
    yield link(consumer, provider)
    for target in (binding.target_transit_address, *binding.former_targets):
        yield Element(consumer, Kind.ROUTE, address_text(target), interface)


def _of_binding(binding: Binding) -> Iterator[Element]:
    consumer, address = binding.consumer.vpc_id, address_text(binding.address)
    mark = connection_mark(binding.id, address)
    yield Element(consumer, Kind.ADDRESS, address, subnet_interface(binding.consumer.subnet_id))
    yield Element(consumer, Kind.MARKS, address, mark)
    if binding.allowed_sources is not None:
        yield Element(consumer, Kind.RESTRICTED, address)
        for network in binding.allowed_sources:
            yield Element(consumer, Kind.ALLOWED, join(address, network_text(network)))
    yield from _measured(consumer, mark, binding)
    yield from _proxied(binding, mark) if binding.tcp_proxy in _PROXIED else _translated(binding, mark)
    yield Element(consumer, Kind.ENDPOINTS, address, label(binding.id, digest(binding)))


def _measured(consumer: VpcId, mark: str, binding: Binding | GatewayBinding) -> Iterator[Element]:
    """Yield what counts and limits the connections of an endpoint."""
    yield Element(consumer, Kind.BUDGETS, mark, str(binding.connection_limit))
    for kind in (Kind.SENT, Kind.RECEIVED, Kind.OPENED):
        yield Element(consumer, kind, mark)
    for network in binding.barred_sources:
        yield Element(consumer, Kind.BARRED, join(mark, network_text(network)))


def _translated(binding: Binding, mark: str) -> Iterator[Element]:
    """Yield what is special where the consumer's edge translates addresses."""
    consumer, provider = binding.consumer.vpc_id, binding.provider.vpc_id
    address, source = address_text(binding.address), address_text(binding.transit_address)
    targets = [address_text(one) for one in (binding.target_transit_address, *binding.former_targets)]
    yield Element(provider, Kind.ROUTE, source, link_interface(provider, consumer, is_consumer=False))
    yield Element(consumer, Kind.EXITS, mark, source)
    yield Element(consumer, Kind.SEGMENTS, mark, str(binding.mtu - _TCP_IP_HEADER_BYTES))
    for forward in binding.forwards:
        listener = join(address, forward.client_port)
        yield Element(consumer, Kind.LISTENERS, listener, join(targets[0], forward.server_port))
        for target in targets:
            server = join(target, forward.server_port)
            yield Element(consumer, Kind.ACCEPTED, join(mark, forward.client_port, server))
        if binding.tcp_proxy in _WITH_OPTION:
            yield Element(consumer, Kind.OPTION, listener, str(binding.mtu))
        if binding.tcp_proxy in _WITH_HEADER:
            yield Element(consumer, Kind.HEADER, listener, join(binding.id, binding.marker, binding.mtu))


def _proxied(binding: Binding, mark: str) -> Iterator[Element]:
    """Yield what is special where the proxy takes the connection and opens another from the hub."""
    consumer, provider = binding.consumer.vpc_id, binding.provider.vpc_id
    address, source = address_text(binding.address), address_text(binding.transit_address)
    targets = [address_text(one) for one in (binding.target_transit_address, *binding.former_targets)]
    yield Element(provider, Kind.ROUTE, source, link_interface(provider, HUB, is_consumer=False))
    yield Element(HUB, Kind.ADDRESS, source, LOOPBACK)
    yield Element(HUB, Kind.MARKS, source, mark)
    yield Element(HUB, Kind.SEGMENTS, mark, str(binding.mtu - _TCP_IP_HEADER_BYTES))
    for forward in binding.forwards:
        listener = join(address, forward.client_port)
        yield Element(consumer, Kind.TERMINATED, join(mark, forward.client_port))
        for target in targets:
            yield Element(HUB, Kind.UPSTREAMS, join(source, target, forward.server_port))
        its_end = join(binding.id, binding.marker, source, targets[0], forward.server_port)
        yield Element(consumer, Kind.PROXY, listener, its_end)


def _of_gateway(binding: GatewayBinding) -> Iterator[Element]:
    consumer, exit_ = binding.entries[0].vpc_id, binding.exit.vpc_id
    source = str(binding.transit_address)
    mark = connection_mark(binding.id, source)
    yield link(consumer, exit_)
    yield Element(exit_, Kind.ROUTE, source, link_interface(exit_, consumer, is_consumer=False))
    yield Element(consumer, Kind.EXITS, mark, source)
    yield Element(consumer, Kind.SEGMENTS, mark, str(binding.mtu - _TCP_IP_HEADER_BYTES))
    yield from _measured(consumer, mark, binding)
    for network in binding.networks:
        text = network_text(network)
        yield Element(consumer, Kind.ROUTE, text, link_interface(consumer, exit_, is_consumer=True))
        yield Element(exit_, Kind.PUBLIC, join(source, text))
        for entry in binding.entries:
            yield Element(consumer, Kind.GATEWAYS, join(subnet_interface(entry.subnet_id), text), mark)
    for entry in binding.entries:
        yield Element(consumer, Kind.DEPARTURES, join(subnet_interface(entry.subnet_id), mark))
    yield Element(consumer, Kind.ENDPOINTS, source, label(binding.id, digest(binding)))


def _of_target(target: Target) -> Iterator[Element]:
    vpc_id = target.attachment.vpc_id
    bridge = target.attachment.bridge
    is_masqueraded = bridge is not None and bridge.masquerade
    # A label per port, so that what belongs to an unknown service can be told from its labels alone. Two services
    # may share transit address and port, hence the service in the key.
    its_label = label(target.id, digest(target))
    places = [Place(target.address, target.transit_address, is_masqueraded), *target.former_places]
    for place in places:
        transit, backend = str(place.transit_address), str(place.address)
        for port in target.server_ports:
            inward = Kind.MASQUERADED if place.masquerade else Kind.BACKENDS
            yield Element(vpc_id, inward, join(transit, port), backend)
            yield Element(vpc_id, Kind.REPLIES, join(backend, port), transit)
        for port in target.server_ports or (0,):
            yield Element(vpc_id, Kind.TARGETS, join(*_numbers(target.id), transit, port), its_label)
    # How the backend is probed: only where it is now.
    transit = str(target.transit_address)
    yield link(HUB, vpc_id)
    yield Element(HUB, Kind.ROUTE, transit, link_interface(HUB, vpc_id, is_consumer=True))
    yield Element(HUB, Kind.ADDRESS, str(PROBE_ADDRESS), LOOPBACK)
    yield Element(vpc_id, Kind.ROUTE, str(PROBE_ADDRESS), link_interface(vpc_id, HUB, is_consumer=False))
    for port in target.server_ports:
        yield Element(HUB, Kind.UPSTREAMS, join(PROBE_ADDRESS, transit, port))


def connection_mark(endpoint_id: WiredId, address: str) -> str:
    """Return the mark of all connections made through an endpoint.

    A later endpoint may have the same addresses and ports, and must not revive them. Stands for the endpoint's
    address in accepted tuples: nft takes no more than five fields.
    """
    return str(int(hashed(f"{endpoint_id} {address}", 8), 16))


def link(one: VpcId, other: VpcId) -> Element:
    """Return the link between the edges of two VPCs, the same whichever comes first."""
    return Element(min(one, other), Kind.LINK, max(one, other))


def label(wired_id: WiredId, its_digest: Digest) -> str:
    """Return the comment that says what an element stands for."""
    return f"{wired_id} {its_digest}"


def read_label(comment: str) -> tuple[WiredId, Digest] | None:
    """Return the id (of an endpoint or a service, both are texts) and digest in a comment of ours."""
    wired_id, blank, its_digest = comment.partition(" ")
    return (EndpointId(wired_id), Digest(its_digest)) if blank else None


def digest_in(wanted: Iterable[Element]) -> Digest:
    """Return the digest in the labels among the elements of one thing."""
    return next(read[1] for element in wanted if element.kind in LABELS and (read := read_label(element.value)))


def join(*parts: object) -> str:
    """Return a concatenation as nft writes it."""
    return " . ".join(map(str, parts))


def split(text: str) -> list[str]:
    """Return the parts of a concatenation."""
    return text.split(" . ")


def address_text(address: IPv4Address) -> str:
    """Return what `str` does, faster."""
    return inet_ntoa(address.packed)


def network_text(network: IPv4Network) -> str:
    """Return a network as nft writes it: a single address has no prefix length."""
    return str(network.network_address) if network.prefixlen == 32 else str(network)


@lru_cache(maxsize=65536)
def subnet_interface(subnet_id: SubnetId) -> str:
    """Return the name of an edge's interface in a subnet."""
    return f"sub-{hashed(subnet_id, 11)}"


@lru_cache(maxsize=65536)
def link_interface(own: VpcId, peer: VpcId, *, is_consumer: bool) -> str:
    """Return the name of the link's end in the edge of `own`.

    A VPC linked to itself has both ends in one edge: packets leave by one and come in by the other.
    """
    side = "" if own != peer else "c" if is_consumer else "p"
    return f"link-{hashed(peer, 9)}{side}"


def mac(name: str) -> bytes:
    """Return the MAC that a thing of that name always gets, so that a new one needs no new ARP at its neighbours."""
    return b"\x02" + hashlib.sha256(name.encode()).digest()[:5]


def hashed(text: str, digits: int) -> str:
    """Return hex digits that stand for a text in names too short for it."""
    return hashlib.sha256(text.encode()).hexdigest()[:digits]


def _numbers(service: str) -> tuple[int, int]:
    return int(hashed(service, 16)[:8], 16), int(hashed(service, 16)[8:], 16)
