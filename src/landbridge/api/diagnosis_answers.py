"""Describe the bodies of health and trace answers, an extension of the contract, for the OpenAPI document.

Nothing is built from these models: `diagnosis_presentation` writes the answers, and tests hold the two together.
"""

from typing import Literal

from pydantic import Field

from landbridge.api.answer_fields import Absent, Address, Answer, Id, Moment, TcpPort
from landbridge.dataplane.health import Cause, Health
from landbridge.dataplane.hops import Step, Verdict


class PortHealthAnswer(Answer):
    """What is known about one port of a backend."""

    server_port: TcpPort
    client_ports: list[TcpPort]
    health: Health
    cause: Cause | Absent = Field(default=None, description="Absent for a backend that is passing.")
    reason: str | Absent = Field(default=None, description="Why it is not passing, and what to do.")
    checked_at: Moment | Absent = None
    since: Moment | Absent = Field(default=None, description="Since when it has been so.")
    latency_milliseconds: float | Absent = Field(default=None, ge=0)


class ServiceHealthAnswer(Answer):
    """Whether the backend of an endpoint service takes connections, for its provider."""

    id: Id
    health: Health
    ports: list[PortHealthAnswer]


class EndpointHealthAnswer(Answer):
    """Whether the backend behind an endpoint takes connections, for its consumer."""

    id: Id
    health: Health


class HopAnswer(Answer):
    """One place on the way of a connection."""

    hop: Step
    verdict: Verdict
    confirmed: bool = Field(description="What really is there has been looked at, too.")
    text: str
    advice: str = Field(description="What to do; empty if nothing needs to be done.")


class TraceAnswer(Answer):
    """What happens to a connection on its way through an endpoint."""

    endpoint_id: Id
    outcome: Literal["passes", "stopped", "unknown"]
    client: Address | Absent = Field(default=None, alias="from", description="The address of the client.")
    port: TcpPort | Absent = Field(default=None, description="The port of the endpoint.")
    hops: list[HopAnswer]
