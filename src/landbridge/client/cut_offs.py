"""Name what the client reads of the extension about how connections end.

As with `client.records`, nothing is converted: a record is the parsed JSON itself.
"""

from collections.abc import Mapping
from typing import NotRequired, TypedDict, cast

from landbridge.client.rest import Client, UnexpectedAnswer


class Choice(TypedDict):
    """What happens to open connections on one occasion; the deadline goes with `drain`."""

    mode: str
    deadline_seconds: NotRequired[int]


class Ending(TypedDict):
    """Connections that go on although nothing new may be opened; without `until_at` they end by themselves."""

    endpoint_id: str
    marker_id: int
    connections: str
    since_at: str
    until_at: NotRequired[str]


class CutOffs(TypedDict):
    """How connections of a service end, and which are ending."""

    service_id: str
    on_reject: Choice
    on_delete: Choice
    on_permission_removal: Choice
    on_whitelist_edit: Choice
    ending: list[Ending]
    ending_endpoint_count: int


class CutOffCalls:
    """The calls about how connections end."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def of_service(self, service_id: str) -> CutOffs:
        """Return what is chosen for a service, and what is ending."""
        return _checked(self._client.extension("vpc-endpoint-services", service_id, "cut-off"))

    def choose(self, service_id: str, choices: Mapping[str, Choice]) -> CutOffs:
        """Change what is chosen on some occasions, and return all of it."""
        return _checked(self._client.change_extension("vpc-endpoint-services", service_id, "cut-off", choices))


def _checked(found: Mapping[str, object]) -> CutOffs:
    if found.get("service_id") is None or not isinstance(found.get("ending"), list):
        raise UnexpectedAnswer("the answer does not say how connections end: is this Landbridge?")
    return cast("CutOffs", cast("object", found))
