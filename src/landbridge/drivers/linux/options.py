"""Have each client's address written into a TCP option, for the ports of `toa_open` and `open`.

An element's value is the MTU on the way to the backend, in bytes: no packet may grow beyond it.
"""

import struct

from landbridge.drivers.linux.elements import Kind
from landbridge.drivers.linux.namespaces import Namespaces
from landbridge.drivers.linux.packet_programs import PacketProgram
from landbridge.drivers.toa.fitting import refusal
from landbridge.drivers.toa.hooks import Hook

_OBJECT = "toa"
_MTU = struct.Struct("=I")
_LARGEST_MTU = 65535


class OptionEngine(PacketProgram):
    """Carries elements of the kind `option`; a `landbridge.drivers.linux.engines.Engine`."""

    def __init__(self, namespaces: Namespaces, instance: str, region: str, hook: Hook | None = None) -> None:
        # First: whether a header fits beside the data is known once the option is there.
        super().__init__(Kind.OPTION, _OBJECT, _write, _read, namespaces, instance, region, hook, is_first=True)

    @staticmethod
    def supported() -> str | None:
        """Return why this machine cannot do it, as an end of the sentence "… because …"; None if it can."""
        return refusal(_OBJECT)


def _write(_address: str, _port: int, value: str) -> bytes:
    mtu = int(value)
    if not 0 < mtu <= _LARGEST_MTU:
        raise ValueError(f"the MTU must be from 1 to {_LARGEST_MTU}")
    return _MTU.pack(mtu)


def _read(_address: str, _port: int, content: bytes) -> str:
    return str(_MTU.unpack(content)[0])
