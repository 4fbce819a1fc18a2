"""Decide which elements make a binding or target real on Linux.

Pure. An element is one entry of an nftables set or map, one address, one route or one link, in the edge of one
VPC. Equal elements of several bindings are one element in the kernel: who applies them counts. Keys and values
are texts as nft writes them, so what is read back from a kernel compares equal.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network

from landbridge.dataplane.model import Binding, Digest, Target, Wired, WiredId, digest
from landbridge.domain.ids import EndpointId, SubnetId, VpcId

_TCP_IP_HEADER_BYTES = 40


class Kind(StrEnum):
    """What an element is an element of; the nftables sets and maps go by these names."""

    LISTENERS = "listeners"
    SOURCES = "sources"
    ACCEPTED = "accepted"
    SEGMENTS = "segments"
    MARKS = "marks"
    RESTRICTED = "restricted"
    ALLOWED = "allowed"
    ENDPOINTS = "endpoints"
    BACKENDS = "backends"
    REPLIES = "replies"
    TARGETS = "targets"
    ADDRESS = "address"
    ROUTE = "route"
    LINK = "link"


LABELS = frozenset({Kind.ENDPOINTS, Kind.TARGETS})
"""Kinds whose value is a comment: the id and the digest of what they stand for."""

OUTSIDE_NFT = frozenset({Kind.ADDRESS, Kind.ROUTE, Kind.LINK})


@dataclass(frozen=True, slots=True)
class Element:
    """One thing placed in the edge of `vpc_id`.

    A link has two edges: `vpc_id` is the smaller id and `key` the larger.
    """

    vpc_id: VpcId
    kind: Kind
    key: str
    value: str = ""


def elements(wired: Wired) -> frozenset[Element]:
    """Return all elements of a binding or target."""
    return frozenset(_of_binding(wired) if isinstance(wired, Binding) else _of_target(wired))


def _of_binding(binding: Binding) -> Iterator[Element]:
    consumer, provider = binding.consumer.vpc_id, binding.provider.vpc_id
    address, source, target = (
        str(binding.address),
        str(binding.transit_address),
        str(binding.target_transit_address),
    )
    yield link(consumer, provider)
    yield Element(consumer, Kind.ROUTE, target, link_interface(consumer, provider, is_consumer=True))
    yield Element(provider, Kind.ROUTE, source, link_interface(provider, consumer, is_consumer=False))
    yield Element(consumer, Kind.ADDRESS, address, subnet_interface(binding.consumer.subnet_id))
    yield Element(consumer, Kind.SOURCES, address, source)
    yield Element(consumer, Kind.SEGMENTS, address, str(binding.mtu - _TCP_IP_HEADER_BYTES))
    mark = connection_mark(binding.id, address)
    yield Element(consumer, Kind.MARKS, address, mark)
    for forward in binding.forwards:
        listener = join(address, forward.client_port)
        server = join(target, forward.server_port)
        yield Element(consumer, Kind.LISTENERS, listener, server)
        yield Element(consumer, Kind.ACCEPTED, join(mark, forward.client_port, server, source))
    if binding.allowed_sources is not None:
        yield Element(consumer, Kind.RESTRICTED, address)
        for network in binding.allowed_sources:
            yield Element(consumer, Kind.ALLOWED, join(address, network_text(network)))
    yield Element(consumer, Kind.ENDPOINTS, address, label(binding.id, digest(binding)))


def _of_target(target: Target) -> Iterator[Element]:
    vpc_id, transit, backend = target.attachment.vpc_id, str(target.transit_address), str(target.address)
    for port in target.server_ports:
        yield Element(vpc_id, Kind.BACKENDS, join(transit, port), backend)
        yield Element(vpc_id, Kind.REPLIES, join(backend, port), transit)
    # A label per port, so that what belongs to an unknown service can be told from its labels alone. Two services
    # may share transit address and port, hence the service in the key.
    its_label = label(target.id, digest(target))
    for port in target.server_ports or (0,):
        yield Element(vpc_id, Kind.TARGETS, join(*_numbers(target.id), transit, port), its_label)


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


def join(*parts: str | int) -> str:
    """Return a concatenation as nft writes it."""
    return " . ".join(map(str, parts))


def split(text: str) -> list[str]:
    """Return the parts of a concatenation."""
    return text.split(" . ")


def network_text(network: IPv4Network) -> str:
    """Return a network as nft writes it: a single address has no prefix length."""
    return str(network.network_address) if network.prefixlen == 32 else str(network)


def subnet_interface(subnet_id: SubnetId) -> str:
    """Return the name of an edge's interface in a subnet."""
    return f"sub-{hashed(subnet_id, 11)}"


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
