"""Name the kinds of fields that answers have, with what is true of each wherever it appears (contract 1.4)."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

__all__ = ["Absent", "Address", "Answer", "Code", "Id", "Moment", "ProjectId", "TcpPort"]

UUID_PATTERN = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
PROJECT_ID_PATTERN = r"^[A-Za-z0-9_-]{1,64}$"


class Answer(BaseModel):
    """An object of an answer: it has these fields and no others."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)


Id = Annotated[str, Field(pattern=UUID_PATTERN, examples=["8f0a1c52-6d3e-4c1b-9f57-2f4b1c9a7e10"])]
"""The id of something of ours."""

ProjectId = Annotated[str, Field(pattern=PROJECT_ID_PATTERN, examples=["0d5c0000000000000000000000000001"])]
"""The id of a project or a domain."""

Moment = Annotated[
    str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$", examples=["2026-01-01T12:00:00Z"])
]
"""A moment in UTC, in whole seconds."""

Address = Annotated[str, Field(json_schema_extra={"format": "ipv4"}, examples=["10.0.0.20"])]
"""An IPv4 address."""

TcpPort = Annotated[int, Field(ge=1, le=65535)]

Code = Annotated[str, Field(pattern=r"^(EndPoint|Endpoint|VPC)\.[0-9]{4}$", examples=["EndPoint.0002"])]
"""A code of an error (contract 7)."""

Absent = SkipJsonSchema[None]
"""Beside another type: the field may be absent; it is never null."""
