"""Make and read TCP packets byte by byte, checksums included."""

import socket
import struct
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address

FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10
ETHERTYPE_IPV4, ETHERTYPE_VLAN = 0x0800, 0x8100
NOP, END, TIMESTAMPS = b"\x01", b"\x00", b"\x01\x01\x08\x0a" + bytes(8)
_TCP_AT_LEAST, _IP_AT_LEAST = 20, 20


@dataclass(frozen=True, slots=True)
class Packet:
    """One IPv4 packet with TCP in it."""

    source: IPv4Address
    source_port: int
    destination: IPv4Address
    destination_port: int
    flags: int
    sequence: int = 1000
    acknowledged: int = 0
    options: bytes = b""
    payload: bytes = b""
    window: int = 64000
    ip_options: bytes = b""
    is_whole: bool = field(default=True, compare=False)
    """Both checksums are right, and nothing is missing."""

    @property
    def size(self) -> int:
        """Bytes of the IPv4 packet."""
        return len(self.wire_format())

    @property
    def is_syn(self) -> bool:
        return self.flags & (SYN | ACK) == SYN

    def wire_format(self) -> bytes:
        """Return the packet as it is on a wire."""
        assert len(self.options) % 4 == 0 == len(self.ip_options) % 4
        header = _TCP_AT_LEAST + len(self.options)
        ports = self.source_port, self.destination_port
        numbers = self.sequence & 0xFFFFFFFF, self.acknowledged & 0xFFFFFFFF
        tcp = struct.pack("!HHIIBBHHH", *ports, *numbers, header // 4 << 4, self.flags, self.window, 0, 0)
        tcp += self.options + self.payload
        tcp = tcp[:16] + struct.pack("!H", checksum(self._pseudo_header(len(tcp)) + tcp)) + tcp[18:]
        ip_header = _IP_AT_LEAST + len(self.ip_options)
        ip = struct.pack("!BBHHHBBH", 4 << 4 | ip_header // 4, 0, ip_header + len(tcp), 7, 0x4000, 64, 6, 0)
        ip += self.source.packed + self.destination.packed + self.ip_options
        return ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:] + tcp

    def _pseudo_header(self, length: int) -> bytes:
        return self.source.packed + self.destination.packed + struct.pack("!BBH", 0, socket.IPPROTO_TCP, length)


def read_packet(data: bytes) -> Packet | None:
    """Return what is in an IPv4 packet, None if it is not TCP or a fragment."""
    if len(data) < _IP_AT_LEAST + _TCP_AT_LEAST or data[9] != socket.IPPROTO_TCP:
        return None
    total, fragment = struct.unpack_from("!H2xH", data, 2)
    if fragment & 0x3FFF:
        return None
    ip_header = (data[0] & 15) * 4
    tcp = data[ip_header:total]
    source_port, destination_port, sequence, acknowledged, offset, flags, window = struct.unpack_from("!HHIIBBH", tcp)
    header = (offset >> 4) * 4
    packet = Packet(
        IPv4Address(data[12:16]),
        source_port,
        IPv4Address(data[16:20]),
        destination_port,
        flags,
        sequence,
        acknowledged,
        tcp[_TCP_AT_LEAST:header],
        tcp[header:],
        window,
        data[_IP_AT_LEAST:ip_header],
    )
    is_right = checksum(packet._pseudo_header(len(tcp)) + tcp) == 0 == checksum(data[:ip_header])
    return replace(packet, is_whole=is_right and len(data) >= total)


def fragments(packet: Packet, first_bytes: int) -> list[bytes]:
    """Return a packet in two fragments; `first_bytes`, a multiple of 8, of TCP are in the first."""
    data = packet.wire_format()
    head, body = data[:_IP_AT_LEAST], data[_IP_AT_LEAST:]

    def piece(content: bytes, fragment: int) -> bytes:
        ip = (
            head[:2] + struct.pack("!HHH", _IP_AT_LEAST + len(content), 7, fragment) + head[8:10] + bytes(2) + head[12:]
        )
        return ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:] + content

    return [piece(body[:first_bytes], 0x2000), piece(body[first_bytes:], first_bytes // 8)]


def checksum(data: bytes) -> int:
    """Return the Internet checksum; 0 over data that contain a right one (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def client_option(address: IPv4Address | str, port: int) -> bytes:
    """Return the option that names a client: kind 254, length 8, port, IPv4 address."""
    return struct.pack("!BBH", 254, 8, port) + IPv4Address(address).packed


def named_client(options: bytes) -> tuple[IPv4Address, int] | None:
    """Return the client that a reader finds: the first option of kind 254 and length 8, as toa.ko looks for it."""
    at = 0
    while at < len(options) and options[at] != 0:
        if options[at] == 1:
            at += 1
            continue
        length = options[at + 1] if at + 1 < len(options) else 0
        if length < 2 or at + length > len(options):
            return None
        if options[at] == 254 and length == 8:
            return IPv4Address(options[at + 4 : at + 8]), struct.unpack_from("!H", options, at + 2)[0]
        at += length
    return None
