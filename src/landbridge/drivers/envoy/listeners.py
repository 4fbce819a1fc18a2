"""Say what the proxy should listen for, and what it says of connections.

Pure, and without Envoy's messages, whose import takes a while: who only asks whether there is something to carry
need not load them.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Address
from typing import Protocol

from landbridge.domain.ids import EndpointId

MARKER_TLV_TYPE = 0xE5
"""The type of the TLV with the endpoint's marker, unless the operator says otherwise (contract 9.6)."""

_CUSTOM_TYPES = range(0xE0, 0xF0)
_GCP_TYPE, _AWS_TYPE, _AZURE_TYPE = 0xE0, 0xEA, 0xEE
_AWS_ENDPOINT_ID, _AZURE_LINK_ID = b"\x01", b"\x01"


class ProxyUnavailable(Exception):
    """The proxy cannot be started or fed here; the message says why."""


@dataclass(frozen=True, slots=True)
class ProxyListener:
    """One port of one endpoint that the proxy carries.

    Clients connect to `address:client_port` in the edge of their VPC, the proxy connects from `source` to
    `target:server_port` in the hub.
    """

    endpoint_id: EndpointId
    namespace: str
    """The file that stands for the consumer's edge."""
    namespace_identity: int
    """What tells that edge from a later one under the same name."""
    address: IPv4Address
    client_port: int
    source: IPv4Address
    """The endpoint's transit address: what the backend sees as the source."""
    target: IPv4Address
    """The transit address of the backend."""
    server_port: int
    marker: int
    """32 bits."""

    @property
    def name(self) -> str:
        """What listener and cluster are called: the endpoint's id and port."""
        return f"{self.endpoint_id}:{self.client_port}"


@dataclass(frozen=True, slots=True)
class TlvDialects:
    """Which type-length-value fields a header gets beside the addresses (PROXY protocol 2.2)."""

    marker_type: int = MARKER_TLV_TYPE
    """The type of the field with the marker: 4 bytes in network order (contract 14)."""
    aws: bool = False
    """The endpoint's id as AWS PrivateLink writes it: type 0xEA, subtype 0x01, the id in ASCII."""
    azure: bool = False
    """The marker as Azure Private Link writes its LinkID: type 0xEE, subtype 0x01, 4 bytes, the lowest first."""
    gcp: bool = False
    """The marker as Private Service Connect writes its connection id: type 0xE0, 8 bytes in network order."""

    def __post_init__(self) -> None:
        if self.marker_type not in _CUSTOM_TYPES:
            raise ValueError(
                f"TLV type {self.marker_type:#04x} is not for own use: choose one from 0xe0 to 0xef for the marker"
            )
        taken = {_AWS_TYPE: self.aws, _AZURE_TYPE: self.azure, _GCP_TYPE: self.gcp}
        if taken.get(self.marker_type):
            raise ValueError(
                f"TLV type {self.marker_type:#04x} is that of a dialect in use: choose another one for the marker"
            )

    def fields(self, endpoint_id: EndpointId, marker: int) -> list[tuple[int, bytes]]:
        """Return type and value of each field in the headers of an endpoint's connections, the marker first."""
        found = [(self.marker_type, marker.to_bytes(4, "big"))]
        if self.aws:
            found.append((_AWS_TYPE, _AWS_ENDPOINT_ID + endpoint_id.encode("ascii")))
        if self.azure:
            found.append((_AZURE_TYPE, _AZURE_LINK_ID + marker.to_bytes(4, "little")))
        if self.gcp:
            found.append((_GCP_TYPE, marker.to_bytes(8, "big")))
        return found


@dataclass(frozen=True, slots=True)
class ProxiedConnection:
    """A connection that the proxy carries or has carried; told once when it is open and once when it has ended."""

    endpoint_id: EndpointId
    client_port: int
    """The endpoint's port."""
    client: tuple[IPv4Address, int]
    """The client's own address and port."""
    source: tuple[IPv4Address, int]
    """The endpoint's transit address, and the port by which the backend knows the connection."""
    opened_at: datetime
    ended_at: datetime | None
    """None while it is open."""
    bytes_sent: int
    """What the client has sent, without the header."""
    bytes_received: int
    """What the client has received."""


class Feed(Protocol):
    """Who tells Envoy what to listen for. Safe to use from several threads."""

    def change(self, removals: Collection[str], additions: Collection[ProxyListener]) -> dict[str, str]:
        """Take listeners away by name and add or change others; return why some failed, by name.

        A name may stand in both, then it is changed. Waits until Envoy has confirmed, and gives up when it confirms
        nothing for a while. What failed to be added is not wanted any more.
        """
        ...

    def forget(self, names: Collection[str]) -> None:
        """Want these no more, without waiting for an Envoy that is not there."""
        ...

    def close(self) -> None:
        """Stop listening to Envoy; it goes on with what it has."""
        ...
