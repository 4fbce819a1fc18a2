"""Speak rtnetlink(7): links, addresses and routes of one network namespace.

One plain blocking socket per namespace, opened inside it and usable from any thread afterwards. pyroute2 is not
used: since 0.9 it opens another socket, in the wrong namespace, for each thread that calls, forks to enter a
namespace, and takes ten times as long per request. Adding what is there and deleting what is not are errors
here; callers say which errno they expect.
"""

import errno
import os
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

_NEWLINK, _DELLINK, _GETLINK, _SETLINK = 16, 17, 18, 19
_NEWADDR, _DELADDR, _GETADDR = 20, 21, 22
_NEWROUTE, _DELROUTE, _GETROUTE = 24, 25, 26
_ERROR, _DONE = 2, 3

_REQUEST, _ACK, _DUMP = 0x1, 0x4, 0x300
_REPLACE, _EXCL, _CREATE = 0x100, 0x200, 0x400
_DUMP_INTERRUPTED, _ACK_TLVS, _CAPPED = 0x10, 0x200, 0x100
_NESTED = 0x8000

_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_LINK, _IFLA_MASTER = 1, 3, 4, 5, 10
_IFLA_LINKINFO, _IFLA_IFALIAS, _IFLA_AF_SPEC, _IFLA_NET_NS_FD, _IFLA_EXT_MASK = 18, 20, 26, 28, 29
_INFO_KIND, _INFO_DATA, _VETH_INFO_PEER, _BRIDGE_VLAN_FILTERING = 1, 2, 1, 7
_PORT_VLAN, _VLAN_IS_PVID, _VLAN_IS_UNTAGGED, _WITH_VLANS = 2, 0x2, 0x4, 0x2
_AF_BRIDGE = 7
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_RTA_DST, _RTA_OIF, _RTA_GATEWAY = 1, 4, 5

_UP, _NOARP = 0x1, 0x80
_SOL_NETLINK, _EXT_ACK, _STRICT_CHECK = 270, 11, 12
_TABLE_MAIN, _TABLE_LOCAL, _PROTOCOL_STATIC, _UNICAST, _LOCAL = 254, 255, 4, 1, 2
_SCOPE_UNIVERSE, _SCOPE_LINK, _SCOPE_HOST = 0, 253, 254
_TABLES, _PROTOCOL_KERNEL = frozenset({_TABLE_MAIN, _TABLE_LOCAL}), 2
_ADDRESS_BITS = 32
_ROUTE_KINDS = frozenset({(_TABLE_MAIN, _UNICAST), (_TABLE_LOCAL, _LOCAL)})
_RECEIVE_BYTES = 1 << 18


class NetlinkError(OSError):
    """The kernel refused a request; `errno` says why."""


@dataclass(frozen=True, slots=True)
class Link:
    """One network interface."""

    index: int
    name: str
    mtu: int
    is_up: bool
    alias: str
    master: int
    """Index of the bridge that it is a port of, 0 without one."""
    peer: int
    """Index of the other end of a veth pair, in the namespace where that is."""
    address: bytes
    """MAC."""
    kind: str = ""
    """What it is, such as veth or bridge; empty for hardware."""
    is_filtering_vlans: bool = False
    """It is a bridge that lets only a port's VLANs pass through it."""


@dataclass(frozen=True, slots=True)
class PortVlan:
    """One VLAN of a bridge's port."""

    id: int
    is_untagged_in: bool
    """Frames without a tag that come in by the port belong to it."""
    is_untagged_out: bool
    """Its frames leave the port without a tag."""


@dataclass(frozen=True, slots=True)
class End:
    """One end of a new veth pair."""

    name: str
    mtu: int
    address: bytes = b""
    """MAC; empty: the kernel chooses."""
    is_without_arp: bool = False
    namespace: int | None = None
    """Descriptor of the namespace that it is made in; None: the socket's own."""


@dataclass(frozen=True, slots=True)
class Route:
    """One IPv4 route that somebody set: unicast in the main table, or local in the table `local`."""

    destination: IPv4Network
    index: int
    """Of the interface that it leads out of."""
    gateway: IPv4Address | None = None
    is_local: bool = False
    """The destination is here: packets to it are delivered, ARP for it is answered."""


Destination = tuple[str, int, bool]
"""What counts of a route: where to, the index of the interface, and whether the destination is here.

Where to is an address, or a network with the length of its prefix.
"""


class Netlink:
    """A socket that stays in the namespace in which it was opened."""

    def __init__(self, before_effect: Callable[[], None] = lambda: None) -> None:
        """Call `before_effect` before each request that changes something."""
        self._before_effect = before_effect
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
        self._socket.bind((0, 0))
        self._socket.setsockopt(_SOL_NETLINK, _EXT_ACK, 1)
        self._socket.setsockopt(_SOL_NETLINK, _STRICT_CHECK, 1)
        self._sequence = 0

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def links(self) -> list[Link]:
        """Return all interfaces."""
        return [_link(body) for body in self._dump(_GETLINK, _if_info())]

    def find_link(self, name: str) -> Link | None:
        """Return the interface of that name."""
        try:
            replies = self._request(_GETLINK, 0, _if_info() + _text(_IFLA_IFNAME, name))
        except NetlinkError as error:
            if error.errno == 19:  # ENODEV
                return None
            raise
        return _link(replies[0])

    def add_veth(self, end: End, peer: End) -> None:
        """Make a veth pair. `end` is up at once; the kernel lets `peer` be set up only afterwards."""
        pair = _nested(_VETH_INFO_PEER, _end(peer, flags=0))
        info = _text(_INFO_KIND, "veth") + _nested(_INFO_DATA, pair)
        self._request(_NEWLINK, _CREATE | _EXCL, _end(end, flags=_UP) + _nested(_IFLA_LINKINFO, info))

    def add_bridge(self, name: str) -> None:
        """Make a bridge that is up; it runs no spanning tree, so its ports forward at once."""
        body = _if_info(flags=_UP, change=_UP) + _text(_IFLA_IFNAME, name)
        self._request(_NEWLINK, _CREATE | _EXCL, body + _nested(_IFLA_LINKINFO, _text(_INFO_KIND, "bridge")))

    def set_link(
        self,
        index: int,
        *,
        mtu: int | None = None,
        master: int | None = None,
        alias: str | None = None,
        is_up: bool = True,
    ) -> None:
        """Set the interface up, or down, and what else is given. Master 0 unplugs it."""
        body = _if_info(index, flags=_UP if is_up else 0, change=_UP)
        if mtu is not None:
            body += _number(_IFLA_MTU, mtu)
        if master is not None:
            body += _number(_IFLA_MASTER, master)
        if alias is not None:
            body += _text(_IFLA_IFALIAS, alias)
        self._request(_SETLINK, 0, body)

    def delete_link(self, index: int) -> None:
        """Delete an interface, and with a veth its other end."""
        self._request(_DELLINK, 0, _if_info(index))

    def port_vlans(self, index: int) -> set[PortVlan]:
        """Return the VLANs of a bridge's port, none without a bridge that filters by VLAN."""
        head = struct.pack("=BBHiII", _AF_BRIDGE, 0, 0, 0, 0, 0)
        found: set[PortVlan] = set()
        for body in self._dump(_GETLINK, head + _number(_IFLA_EXT_MASK, _WITH_VLANS)):
            if struct.unpack_from("=i", body, 4)[0] != index:
                continue
            for kind, payload in _each_attribute(_attributes(body[16:]).get(_IFLA_AF_SPEC, b"")):
                if kind == _PORT_VLAN:
                    flags, vlan = struct.unpack_from("=HH", payload)
                    found.add(PortVlan(vlan, bool(flags & _VLAN_IS_PVID), bool(flags & _VLAN_IS_UNTAGGED)))
        return found

    def make_access_port(self, index: int, vlan: int) -> None:
        """Let one VLAN pass a bridge's port, without tags, and no other."""
        self._request(_SETLINK, 0, _port_vlan(index, vlan, _VLAN_IS_PVID | _VLAN_IS_UNTAGGED))
        for other in self.port_vlans(index):
            if other.id != vlan:
                self._request(_DELLINK, 0, _port_vlan(index, other.id, 0))

    def addresses(self) -> list[tuple[int, IPv4Interface]]:
        """Return all IPv4 addresses, each with the index of its interface."""
        found: list[tuple[int, IPv4Interface]] = []
        for body in self._dump(_GETADDR, struct.pack("=BBBBI", socket.AF_INET, 0, 0, 0, 0)):
            prefix, index = body[1], struct.unpack_from("=I", body, 4)[0]
            local = _attributes(body[8:]).get(_IFA_LOCAL, b"")
            found.append((index, IPv4Interface((local, prefix))))
        return found

    def add_address(self, index: int, address: IPv4Interface) -> None:
        """Put an address on an interface."""
        self._request(_NEWADDR, _CREATE | _EXCL, _address(index, address))

    def delete_address(self, index: int, address: IPv4Interface) -> None:
        """Take an address from an interface."""
        self._request(_DELADDR, 0, _address(index, address))

    def routes(self) -> list[Route]:
        """Return the routes that were set, without those that the kernel made for addresses."""
        return [_read_route(body) for body in self._route_bodies() if _is_set_by_us(body)]

    def destinations(self) -> list[Destination]:
        """Return what counts of the same routes, quickly."""
        return [_read_destination(body) for body in self._route_bodies() if _is_set_by_us(body)]

    def foreign_routes(self) -> list[Route]:
        """Return the routes in the same tables that `routes` leaves out, and that the kernel did not make either."""
        return [
            _read_route(body)
            for body in self._route_bodies()
            if body[4] in _TABLES and body[5] != _PROTOCOL_KERNEL and not _is_set_by_us(body)
        ]

    def _route_bodies(self) -> list[bytes]:
        return self._dump(_GETROUTE, struct.pack("=BBBBBBBBI", socket.AF_INET, *([0] * 7), 0))

    def set_route(self, route: Route) -> None:
        """Add a route, in place of one to the same destination."""
        self._request(_NEWROUTE, _CREATE | _REPLACE, _route(route))

    def add_route(self, route: Route) -> bool:
        """Add a route, unless there is one to the same destination; return whether there was none."""
        try:
            self._request(_NEWROUTE, _CREATE | _EXCL, _route(route))
        except NetlinkError as error:
            if error.errno == errno.EEXIST:
                return False
            raise
        return True

    def delete_route(self, route: Route) -> None:
        """Delete exactly this route."""
        self._request(_DELROUTE, 0, _route(route))

    def _send(self, kind: int, flags: int, body: bytes) -> None:
        self._sequence += 1
        header = struct.pack("=IHHII", 16 + len(body), kind, _REQUEST | flags, self._sequence, 0)
        self._socket.send(header + body)

    def _request(self, kind: int, flags: int, body: bytes) -> list[bytes]:
        if kind != _GETLINK:
            self._before_effect()
        self._send(kind, flags | _ACK, body)
        replies: list[bytes] = []
        while True:
            for reply_kind, reply_flags, reply in self._receive():
                if reply_kind == _ERROR:
                    _raise(reply, reply_flags)
                    return replies
                replies.append(reply)

    def _dump(self, kind: int, body: bytes) -> list[bytes]:
        while True:
            self._send(kind, _DUMP, body)
            replies: list[bytes] = []
            is_complete, is_done = True, False
            while not is_done:
                for reply_kind, reply_flags, reply in self._receive():
                    is_complete = is_complete and not reply_flags & _DUMP_INTERRUPTED
                    if reply_kind == _ERROR:
                        _raise(reply, reply_flags)
                    if reply_kind in {_ERROR, _DONE}:
                        is_done = True
                        break
                    replies.append(reply)
            # Somebody changed the table while we read it: what we have may lack entries that were there all along.
            if is_complete:
                return replies

    def _receive(self) -> Iterator[tuple[int, int, bytes]]:
        data = self._socket.recv(_RECEIVE_BYTES)
        offset = 0
        while offset < len(data):
            length, kind, flags, sequence, _ = struct.unpack_from("=IHHII", data, offset)
            # Answers to a request that an exception cut short are nobody's any more.
            if sequence == self._sequence:
                yield kind, flags, data[offset + 16 : offset + length]
            offset += (length + 3) & ~3


def _raise(body: bytes, flags: int) -> None:
    number = -struct.unpack_from("=i", body)[0]
    if number == 0:
        return
    message = os.strerror(number)
    if flags & _ACK_TLVS:
        echoed = 16 if flags & _CAPPED else struct.unpack_from("=I", body, 4)[0]
        detail = _attributes(body[4 + echoed :]).get(1)
        if detail:
            message = f"{message}: {detail.rstrip(bytes(1)).decode(errors='replace')}"
    raise NetlinkError(number, message)


def _attribute(kind: int, payload: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(payload), kind) + payload + bytes(-len(payload) % 4)


def _nested(kind: int, payload: bytes) -> bytes:
    return _attribute(kind | _NESTED, payload)


def _text(kind: int, text: str) -> bytes:
    return _attribute(kind, text.encode() + b"\0")


def _number(kind: int, number: int) -> bytes:
    return _attribute(kind, struct.pack("=I", number))


def _attributes(data: bytes) -> dict[int, bytes]:
    return dict(_each_attribute(data))


def _each_attribute(data: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, offset)
        if length < 4:
            break
        yield kind & 0x3FFF, data[offset + 4 : offset + length]
        offset += (length + 3) & ~3


def _port_vlan(index: int, vlan: int, flags: int) -> bytes:
    head = struct.pack("=BBHiII", _AF_BRIDGE, 0, 0, index, 0, 0)
    return head + _nested(_IFLA_AF_SPEC, _attribute(_PORT_VLAN, struct.pack("=HH", flags, vlan)))


def _if_info(index: int = 0, flags: int = 0, change: int = 0) -> bytes:
    return struct.pack("=BBHiII", socket.AF_UNSPEC, 0, 0, index, flags, change)


def _end(end: End, flags: int) -> bytes:
    if end.is_without_arp:
        flags |= _NOARP
    body = _if_info(flags=flags, change=flags) + _text(_IFLA_IFNAME, end.name) + _number(_IFLA_MTU, end.mtu)
    if end.address:
        body += _attribute(_IFLA_ADDRESS, end.address)
    if end.namespace is not None:
        body += _number(_IFLA_NET_NS_FD, end.namespace)
    return body


def _link(body: bytes) -> Link:
    _, _, _, index, flags, _ = struct.unpack_from("=BBHiII", body)
    attributes = _attributes(body[16:])

    def number(kind: int) -> int:
        return struct.unpack("=I", attributes.get(kind, bytes(4)))[0]

    def text(kind: int) -> str:
        return attributes.get(kind, b"").rstrip(b"\0").decode(errors="replace")

    info = _attributes(attributes.get(_IFLA_LINKINFO, b""))
    filtering = _attributes(info.get(_INFO_DATA, b"")).get(_BRIDGE_VLAN_FILTERING, b"\0")
    info_kind = info.get(_INFO_KIND, b"").rstrip(b"\0").decode(errors="replace")
    return Link(
        index=index,
        name=text(_IFLA_IFNAME),
        mtu=number(_IFLA_MTU),
        is_up=bool(flags & _UP),
        alias=text(_IFLA_IFALIAS),
        master=number(_IFLA_MASTER),
        peer=number(_IFLA_LINK),
        address=attributes.get(_IFLA_ADDRESS, b""),
        kind=info_kind,
        is_filtering_vlans=info_kind == "bridge" and filtering != b"\0",
    )


def _address(index: int, address: IPv4Interface) -> bytes:
    head = struct.pack("=BBBBI", socket.AF_INET, address.network.prefixlen, 0, 0, index)
    return head + _attribute(_IFA_LOCAL, address.ip.packed) + _attribute(_IFA_ADDRESS, address.ip.packed)


def _route(route: Route) -> bytes:
    table, kind = (_TABLE_LOCAL, _LOCAL) if route.is_local else (_TABLE_MAIN, _UNICAST)
    scope = _SCOPE_HOST if route.is_local else _SCOPE_LINK if route.gateway is None else _SCOPE_UNIVERSE
    prefix = route.destination.prefixlen
    body = struct.pack("=BBBBBBBBI", socket.AF_INET, prefix, 0, 0, table, _PROTOCOL_STATIC, scope, kind, 0)
    if prefix:
        body += _attribute(_RTA_DST, route.destination.network_address.packed)
    if route.gateway is not None:
        body += _attribute(_RTA_GATEWAY, route.gateway.packed)
    return body + _number(_RTA_OIF, route.index)


def _is_set_by_us(body: bytes) -> bool:
    return body[5] == _PROTOCOL_STATIC and (body[4], body[7]) in _ROUTE_KINDS


def _read_destination(body: bytes) -> Destination:
    attributes = _attributes(body[12:])
    text, length = socket.inet_ntoa(attributes.get(_RTA_DST, bytes(4))), body[1]
    index = int.from_bytes(attributes.get(_RTA_OIF, b""), sys.byteorder)
    return text if length == _ADDRESS_BITS else f"{text}/{length}", index, body[7] == _LOCAL


def _read_route(body: bytes) -> Route:
    attributes = _attributes(body[12:])
    gateway = attributes.get(_RTA_GATEWAY)
    return Route(
        IPv4Network((attributes.get(_RTA_DST, bytes(4)), body[1])),
        struct.unpack("=I", attributes.get(_RTA_OIF, bytes(4)))[0],
        IPv4Address(gateway) if gateway else None,
        is_local=body[7] == _LOCAL,
    )
