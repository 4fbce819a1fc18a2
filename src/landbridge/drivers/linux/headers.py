"""Have a PROXY protocol header put in front of what each client sends, without a proxy, for the ports of `open`.

An element has the value "endpoint id . marker . MTU on the way to the backend": a header is put into a packet with data
only if the packet stays within the MTU.

All headers have one size for ever: living connections are shifted by it.
"""

import struct
from collections.abc import Callable, Sequence
from contextlib import suppress
from ipaddress import IPv4Address

from landbridge.domain.ids import EndpointId
from landbridge.drivers.linux.elements import Kind, split
from landbridge.drivers.linux.namespaces import Namespaces
from landbridge.drivers.linux.packet_programs import PacketProgram
from landbridge.drivers.toa.fitting import refusal
from landbridge.drivers.toa.hooks import Hook

Fields = Callable[[EndpointId, int], Sequence[tuple[int, bytes]]]
"""Type and value of each field (TLV) of a header, for an endpoint's id and marker."""

HEADER_BYTES = 128
_OBJECT = "header"
_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
_VERSION_2_PROXY, _TCP_OVER_IPV4, _NO_OPERATION = 0x21, 0x11, 0x04
_ADDRESSES = struct.Struct("!4s4sHH")
_FIELD = struct.Struct("!BH")
_VALUE = struct.Struct(f"=I{HEADER_BYTES}s64s")
_LABEL_BYTES = 64


class HeaderEngine(PacketProgram):
    """Carries elements of the kind `header`; a `landbridge.drivers.linux.engines.Engine`."""

    def __init__(
        self, namespaces: Namespaces, instance: str, region: str, fields: Fields, hook: Hook | None = None
    ) -> None:
        def write(address: str, port: int, value: str) -> bytes:
            endpoint_id, marker, mtu = split(value)
            header = header_of(IPv4Address(address), port, fields(EndpointId(endpoint_id), int(marker)))
            label = value.encode()
            if len(label) > _LABEL_BYTES:
                raise ValueError(f"it is longer than {_LABEL_BYTES} bytes")
            return _VALUE.pack(int(mtu), header, label)

        def read(address: str, port: int, content: bytes) -> str | None:
            value = _VALUE.unpack(content)[2].rstrip(b"\0").decode()
            # What stands there may be of another configuration of fields.
            with suppress(ValueError):
                return value if write(address, port, value) == content else None
            return None

        super().__init__(Kind.HEADER, _OBJECT, write, read, namespaces, instance, region, hook)

    @staticmethod
    def supported() -> str | None:
        """Return why this machine cannot do it, as an end of the sentence "… because …"; None if it can."""
        return refusal(_OBJECT)


def header_of(address: IPv4Address, port: int, fields: Sequence[tuple[int, bytes]]) -> bytes:
    """Return the header of all connections to an endpoint's port, with the client's address and port left zero.

    PROXY protocol 2.2, filled up with a field that means nothing. Raises ValueError if the fields do not fit.
    """
    addresses = _ADDRESSES.pack(bytes(4), address.packed, 0, port)
    needed = sum(_FIELD.size + len(value) for _, value in fields)
    room = HEADER_BYTES - len(_SIGNATURE) - 4 - len(addresses) - needed
    if room != 0 and room < _FIELD.size:
        raise ValueError(f"its fields take {needed} bytes, for which a header of {HEADER_BYTES} has no room")
    written = b"".join(_FIELD.pack(type_, len(value)) + value for type_, value in fields)
    filling = _FIELD.pack(_NO_OPERATION, room - _FIELD.size) + bytes(room - _FIELD.size) if room else b""
    length = struct.pack("!H", HEADER_BYTES - len(_SIGNATURE) - 4)
    head = _SIGNATURE + bytes((_VERSION_2_PROXY, _TCP_OVER_IPV4)) + length
    return head + addresses + written + filling
