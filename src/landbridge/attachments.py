"""Read which subnets are attached to existing bridges: the tables `[[attachments]]` of the settings file.

Everything that can be told from the file alone is checked here; whether subnet, address and bridge exist is checked
when the server starts, see `bootstrap.attached_networks`.
"""

import re
from collections.abc import Mapping, Sequence
from ipaddress import AddressValueError, IPv4Address
from typing import Final
from uuid import UUID

from landbridge.dataplane.bridging import BridgedSubnet, by_subnet
from landbridge.dataplane.model import Bridge
from landbridge.domain.errors import OperatorError
from landbridge.domain.ids import SubnetId

_KEYS: Final = ("subnet", "bridge", "edge", "vlan", "mtu", "return", "namespace")
_NEEDED: Final = ("subnet", "bridge", "edge")
_LONGEST_INTERFACE_NAME: Final = 15  # IFNAMSIZ, without the end
_SMALLEST_MTU: Final = 576
_LARGEST_MTU: Final = 65535
_LARGEST_VLAN: Final = 4094
_OWN_NAMESPACES: Final = "lb."
_NAMESPACE: Final = re.compile(r"[^/\s]{1,255}")
_RETURNS: Final = ("route", "masquerade")


def read_attachments(path: str, tables: Sequence[Mapping[str, object]]) -> tuple[BridgedSubnet, ...]:
    """Return the attachments that the tables of a settings file describe; `path` is for messages.

    Raises:
        OperatorError: a table is wrong, or two contradict each other; the message says which and what to write.
    """
    found = tuple(_Table(path, number, values).read() for number, values in enumerate(tables, 1))
    try:
        by_subnet(found)
    except OperatorError as error:
        raise OperatorError(f"{path}: {error}") from error
    return found


class _Table:
    def __init__(self, path: str, number: int, values: Mapping[str, object]) -> None:
        self._place = f"{path}: attachment {number}"
        self._values = values

    def read(self) -> BridgedSubnet:
        for key in self._values:
            if key not in _KEYS:
                raise self._mistake(f"{key} is no key; there are {', '.join(_KEYS)}")
        for key in _NEEDED:
            if key not in self._values:
                raise self._mistake(f"{key} is missing: write subnet, bridge and edge")
        bridge = Bridge(
            name=self._interface("bridge"),
            edge_address=self._address("edge"),
            namespace=self._namespace("namespace"),
            vlan=self._number("vlan", 1, _LARGEST_VLAN),
            masquerade=self._return("return") == "masquerade",
        )
        return BridgedSubnet(self._subnet("subnet"), bridge, self._number("mtu", _SMALLEST_MTU, _LARGEST_MTU))

    def _mistake(self, problem: str) -> OperatorError:
        return OperatorError(f"{self._place}: {problem}")

    def _text(self, key: str) -> str:
        value = self._values.get(key, "")
        if not isinstance(value, str):
            raise self._mistake(f"{key} must be a text")
        return value

    def _subnet(self, key: str) -> SubnetId:
        text = self._text(key)
        try:
            return SubnetId(str(UUID(text)))
        except ValueError:
            raise self._mistake(f"{key} is {text!r}: write the subnet's id, a UUID") from None

    def _interface(self, key: str) -> str:
        name = self._text(key)
        if (
            not name
            or len(name.encode()) > _LONGEST_INTERFACE_NAME
            or re.search(r"[/\s:]", name)
            or name in {".", ".."}
        ):
            raise self._mistake(
                f"{key} is {name!r}: write the name of a bridge, at most {_LONGEST_INTERFACE_NAME} characters"
            )
        return name

    def _address(self, key: str) -> IPv4Address:
        text = self._text(key)
        try:
            return IPv4Address(text)
        except AddressValueError:
            raise self._mistake(f"{key} is {text!r}: write a free address of the subnet such as 10.0.0.5") from None

    def _namespace(self, key: str) -> str:
        name = self._text(key)
        if name and (_NAMESPACE.fullmatch(name) is None or name in {".", ".."}):
            raise self._mistake(f"{key} is {name!r}: write a name that `ip netns list` shows, or leave it out")
        if name.startswith(_OWN_NAMESPACES):
            raise self._mistake(f"{key} is {name!r}: names that begin with {_OWN_NAMESPACES} are Landbridge's own")
        return name

    def _number(self, key: str, smallest: int, largest: int) -> int | None:
        value = self._values.get(key)
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool) or not smallest <= value <= largest:
            raise self._mistake(f"{key} is {value!r}: write a number from {smallest} to {largest}, or leave it out")
        return value

    def _return(self, key: str) -> str:
        text = self._text(key) or _RETURNS[0]
        if text not in _RETURNS:
            raise self._mistake(f"{key} is {text!r}: write {' or '.join(_RETURNS)}")
        return text
