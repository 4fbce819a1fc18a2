"""Name the kinds of fields that bodies have, as the OpenAPI document shows them.

What is said here is for readers and their tools only: which error a wrong value gets is said where the value is
checked, in `schemas` and its neighbours and in the domain.
"""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, StrictInt, StrictStr

from landbridge.api.answer_fields import UUID_PATTERN
from landbridge.domain.resources import PermissionType, ServerType, TcpProxy

_OWN_TEXT_LIMIT = 128


def shown(**schema: Any) -> Any:
    """Return what adds members to the schema of a field, and checks nothing."""
    return Field(json_schema_extra=schema)


def one_of(words: type[StrEnum]) -> Any:
    """Return what shows the words that a field may have."""
    return shown(enum=[word.value for word in words])


IdText = Annotated[StrictStr, shown(pattern=UUID_PATTERN)]
AddressText = Annotated[StrictStr, shown(format="ipv4")]
RangeText = Annotated[StrictStr, shown(examples=["10.0.0.0/24"])]
Description = Annotated[StrictStr, shown(maxLength=_OWN_TEXT_LIMIT, pattern="^[^<>]*$")]
PortNumber = Annotated[StrictInt, shown(minimum=1, maximum=65535)]
Protocol = Annotated[StrictStr, shown(enum=["TCP"])]
ShortName = Annotated[StrictStr, shown(maxLength=16, pattern="^[A-Za-z0-9_-]*$")]
ServerTypeText = Annotated[StrictStr, one_of(ServerType)]
TcpProxyText = Annotated[StrictStr, one_of(TcpProxy)]
PermissionTypeText = Annotated[StrictStr, one_of(PermissionType)]
PermissionEntry = Annotated[
    StrictStr,
    shown(
        pattern=r"^(\*|iam:domain::([A-Za-z0-9]{1,64}|\*)|organizations:orgPath::[A-Za-z0-9/*?-]{1,1024})$",
        examples=["*", "iam:domain::5fc973eea581490997e82ea11a1df31f"],
    ),
]
