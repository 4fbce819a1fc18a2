"""Name the kinds of identifiers, and where new ones come from.

Resource ids are lower-case UUIDs with dashes, project and domain ids 32 hex digits (contract 1.4).
Chance is an effect, so new ids come in through an `IdSource`.
"""

import re
from typing import NewType, Protocol

ServiceId = NewType("ServiceId", str)
EndpointId = NewType("EndpointId", str)
PermissionId = NewType("PermissionId", str)
ProjectId = NewType("ProjectId", str)
DomainId = NewType("DomainId", str)
VpcId = NewType("VpcId", str)
SubnetId = NewType("SubnetId", str)
NicId = NewType("NicId", str)
RouteTableId = NewType("RouteTableId", str)
PoolId = NewType("PoolId", str)

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class IdSource(Protocol):
    """Where new resource ids come from."""

    def new(self) -> str:
        """Return a lower-case UUID that nobody has yet."""
        ...


def is_uuid(text: str) -> bool:
    """Say whether `text` is written as resource ids are (contract 1.4)."""
    return _UUID.fullmatch(text) is not None
