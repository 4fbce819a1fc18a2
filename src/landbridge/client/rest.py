"""Speak the VPC Endpoint REST API v1 as a typed client.

Records (`client_records`) are the API's own JSON, so what a program gets is what the server sent. How a
request travels, and as whom, is the transport's job: `client_session` makes one from `OS_*` variables and
`clouds.yaml`. Importing this module costs nothing beyond the standard library.

ClientError
├── NoCredentials         nobody said who is asking, or which cloud
├── Unreachable           no answer came
├── NotInCatalogue        signed in, but the cloud offers no service of type vpcep here
├── ApiError              the server answered with an error
├── UnexpectedAnswer      the server answered something that is not this API
├── InvalidId             a word that cannot be an id
├── NoSuchName            no service, endpoint or connection goes by this name
└── AmbiguousName         several services go by this name
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, Protocol, TypeVar, cast
from urllib.parse import quote

from landbridge.client.records import (
    Connection,
    Endpoint,
    EndpointHealth,
    Failure,
    Permission,
    PermissionChange,
    Service,
    ServiceDescription,
    ServiceHealth,
    Trace,
)
from landbridge.domain.admission import EVERYBODY
from landbridge.domain.errors import LandbridgeError

Query = Mapping[str, str | int | None]
"""Filters, sorting and paging of a list call (contract 1.5); None means: not asked for."""

_PAGE_SIZE = 500
"""What every list call allows; permissions allow no more (contract 1.5)."""

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SHOWN_CANDIDATES = 10

Record = TypeVar("Record")


class ClientError(LandbridgeError):
    """A command of the client cannot do what was asked; the text says what to do next."""


class NoCredentials(ClientError):
    """Nobody said who is asking, or the cloud that was named is not known."""


class Unreachable(ClientError):
    """No answer came: nothing listens, the name is unknown, TLS failed, or it took too long."""


class NotInCatalogue(ClientError):
    """The cloud offers no service of type vpcep in this region to this project."""


class UnexpectedAnswer(ClientError):
    """What answered does not speak this API."""


class InvalidId(ClientError):
    """A word that cannot be an id."""


class NoSuchName(ClientError):
    """No service, endpoint or connection goes by this name."""


class AmbiguousName(ClientError):
    """Several services go by this name."""


class ApiError(ClientError):
    """The server refused or failed; `code` is the wire's `EndPoint.*` or, from Keystone, the HTTP status."""

    def __init__(self, status: int, code: str, message: str, request_id: str | None) -> None:
        tail = f" (request id {request_id})" if request_id else ""
        super().__init__(f"{code}: {message}{tail}")
        self.status = status
        self.code = code
        self.message = message
        self.request_id = request_id


@dataclass(frozen=True, slots=True)
class Page(Generic[Record]):
    """One answer of a list call, and how many records match in all."""

    records: list[Record]
    total_count: int


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: `body` is parsed JSON, or None if there was none."""

    status: int
    body: object
    request_id: str | None


class Transport(Protocol):
    """Carries one request as somebody to the project's root, `…/v1/<project_id>`."""

    def send(self, method: str, path: str, query: Query, body: Mapping[str, object] | None) -> Reply:
        """Return the reply, whatever its status.

        Raises:
            Unreachable: no answer came.
            ApiError: Keystone refused to give a token.
        """
        ...


class Client:
    """The calls of contract section 3 that the command line needs."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    # Endpoint services

    def create_service(self, wanted: Mapping[str, object]) -> Service:
        """Ask for a service (contract 3.3); it is `creating` at first."""
        return cast("Service", self._object("POST", "/vpc-endpoint-services", wanted))

    def services(self, query: Query) -> Page[Service]:
        """Return one page of the project's services (contract 3.4)."""
        return cast("Page[Service]", self._page("/vpc-endpoint-services", "endpoint_services", query))

    def all_services(self, query: Query) -> list[Service]:
        """Return all of the project's services that match."""
        return cast("list[Service]", self._walk("/vpc-endpoint-services", "endpoint_services", query))

    def service(self, service_id: str) -> Service:
        """Return one service of the project (contract 3.5)."""
        return cast("Service", self._object("GET", _service_path(service_id)))

    def delete_service(self, service_id: str) -> None:
        """Ask for the deletion of a service (contract 3.7)."""
        self._send("DELETE", _service_path(service_id))

    def describe_service(self, name: str) -> ServiceDescription:
        """Return what anybody may know about the service with this full name (contract 3.9)."""
        query = {"endpoint_service_name": name}
        return cast("ServiceDescription", self._object("GET", "/vpc-endpoint-services/describe", query=query))

    def own_service_id(self, name_or_id: str) -> str:
        """Return the id of a service of the project, found by id, full name or short name.

        Raises:
            NoSuchName: no service is called that; services with similar names are listed.
            AmbiguousName: several are.
        """
        if _UUID.fullmatch(name_or_id):
            return name_or_id
        similar = self.all_services({"endpoint_service_name": name_or_id})
        found = [one for one in similar if name_or_id in {one["service_name"], short_name(one["service_name"])}]
        match found:
            case [only]:
                return only["id"]
            case []:
                hint = f"; similar names:{_candidates(similar)}" if similar else ""
                raise NoSuchName(f"this project has no service called {name_or_id!r}{hint}")
            case _:
                raise AmbiguousName(
                    f"{len(found)} services are called {name_or_id!r}: use the id of one{_candidates(found)}"
                )

    def target_service_id(self, name_or_id: str) -> str:
        """Return the id of a service to connect to: anybody's by id or full name, one's own by short name."""
        if _UUID.fullmatch(name_or_id):
            return name_or_id
        if "." in name_or_id:
            return self.describe_service(name_or_id)["id"]
        return self.own_service_id(name_or_id)

    # Who may connect

    def permissions(self, service_id: str, query: Query) -> Page[Permission]:
        """Return one page of a service's permissions (contract 3.13)."""
        return cast("Page[Permission]", self._page(_service_path(service_id, "/permissions"), "permissions", query))

    def all_permissions(self, service_id: str, query: Query) -> list[Permission]:
        """Return all permissions of a service that match."""
        return cast("list[Permission]", self._walk(_service_path(service_id, "/permissions"), "permissions", query))

    def change_permissions(
        self, service_id: str, action: Literal["add", "remove"], entries: Sequence[str]
    ) -> PermissionChange:
        """Add or remove permission entries (contract 3.14)."""
        wanted = {"action": action, "permissions": list(entries)}
        return cast("PermissionChange", self._object("POST", _service_path(service_id, "/permissions/action"), wanted))

    # Connections, the provider's view of endpoints

    def connections(self, service_id: str, query: Query) -> Page[Connection]:
        """Return one page of a service's connections (contract 3.10)."""
        return cast("Page[Connection]", self._page(_service_path(service_id, "/connections"), "connections", query))

    def all_connections(self, service_id: str, query: Query) -> list[Connection]:
        """Return all connections of a service that match."""
        return cast("list[Connection]", self._walk(_service_path(service_id, "/connections"), "connections", query))

    def connection(self, service_id: str, endpoint_id: str) -> Connection | None:
        """Return one connection of a service, None if it has no such one."""
        found = self.connections(service_id, {"id": _checked_id(endpoint_id)}).records
        return found[0] if found else None

    def decide_connection(self, service_id: str, endpoint_id: str, action: Literal["receive", "reject"]) -> Connection:
        """Accept ("receive") or reject one connection and return it in its new state (contract 3.11)."""
        path = _service_path(service_id, "/connections/action")
        answer = self._send("POST", path, {"action": action, "endpoints": [endpoint_id]})
        touched = [one for one in _records(answer, "connections") if one.get("id") == endpoint_id]
        if not touched:
            raise UnexpectedAnswer(f"the answer to {action!r} does not tell the state of connection {endpoint_id}")
        return cast("Connection", cast("object", touched[0]))

    # Endpoints

    def create_endpoint(self, wanted: Mapping[str, object]) -> Endpoint:
        """Ask for an endpoint (contract 3.19); it is `creating` or `pendingAcceptance` at first."""
        return cast("Endpoint", self._object("POST", "/vpc-endpoints", wanted))

    def endpoints(self, query: Query) -> Page[Endpoint]:
        """Return one page of the project's endpoints (contract 3.20)."""
        return cast("Page[Endpoint]", self._page("/vpc-endpoints", "endpoints", query))

    def all_endpoints(self, query: Query) -> list[Endpoint]:
        """Return all of the project's endpoints that match."""
        return cast("list[Endpoint]", self._walk("/vpc-endpoints", "endpoints", query))

    def endpoint(self, endpoint_id: str) -> Endpoint:
        """Return one endpoint of the project (contract 3.21)."""
        return cast("Endpoint", self._object("GET", _endpoint_path(endpoint_id)))

    def delete_endpoint(self, endpoint_id: str) -> None:
        """Ask for the deletion of an endpoint (contract 3.23)."""
        self._send("DELETE", _endpoint_path(endpoint_id))

    # What the contract does not have

    def extension(
        self,
        kind: Literal["vpc-endpoints", "vpc-endpoint-services"],
        id_: str,
        what: str,
        query: Query | None = None,
    ) -> Mapping[str, object]:
        """Return what the server says of one endpoint or service beyond the contract: `/ext/KIND/ID/WHAT`."""
        return _members(self._send("GET", f"/ext/{kind}/{quote(_checked_id(id_))}/{what}", query=query))

    def change_extension(
        self,
        kind: Literal["vpc-endpoints", "vpc-endpoint-services"],
        id_: str,
        what: str,
        wanted: Mapping[str, object],
    ) -> Mapping[str, object]:
        """Change it, and return what the server says of it then."""
        return _members(self._send("PUT", f"/ext/{kind}/{quote(_checked_id(id_))}/{what}", wanted))

    def audit_page(self, query: Query) -> Mapping[str, object]:
        """Return one page of the project's audit log, an extension of the contract."""
        return _members(self._send("GET", "/ext/audit", query=query))

    # Health and traces, an extension of the contract

    def service_health(self, service_id: str) -> ServiceHealth:
        """Return whether the backend of one of the project's services takes connections."""
        return cast("ServiceHealth", self._object("GET", f"/ext{_service_path(service_id, '/health')}"))

    def endpoint_health(self, endpoint_id: str) -> EndpointHealth:
        """Return whether the backend behind one of the project's endpoints takes connections."""
        return cast("EndpointHealth", self._object("GET", f"/ext{_endpoint_path(endpoint_id)}/health"))

    def trace(self, endpoint_id: str, wanted: Mapping[str, object]) -> Trace:
        """Return what happens to a connection on its way through an endpoint, hop by hop."""
        return cast("Trace", self._object("POST", f"/ext{_endpoint_path(endpoint_id)}/trace", wanted))

    # The wire

    def _send(
        self, method: str, path: str, body: Mapping[str, object] | None = None, query: Query | None = None
    ) -> Reply:
        asked_for = {key: value for key, value in (query or {}).items() if value is not None}
        reply = self._transport.send(method, path, asked_for, body)
        if reply.status >= 300:
            raise api_error(reply)
        return reply

    def _object(
        self, method: str, path: str, body: Mapping[str, object] | None = None, query: Query | None = None
    ) -> object:
        return _members(self._send(method, path, body, query))

    def _page(self, path: str, member: str, query: Query) -> Page[Mapping[str, object]]:
        reply = self._send("GET", path, query=query)
        records = _records(reply, member)
        total_count = _members(reply).get("total_count")
        return Page(records, total_count if isinstance(total_count, int) else len(records))

    def _walk(self, path: str, member: str, query: Query) -> list[Mapping[str, object]]:
        return list(self._each(path, member, query))

    def _each(self, path: str, member: str, query: Query) -> Iterator[Mapping[str, object]]:
        offset = int(query.get("offset") or 0)
        while True:
            page = self._page(path, member, {**query, "limit": _PAGE_SIZE, "offset": offset})
            yield from page.records
            offset += len(page.records)
            # An empty page ends the walk even if the count says more: somebody deleted in the meantime.
            if not page.records or offset >= page.total_count:
                return


def short_name(full_name: str) -> str:
    """Return the middle of `region.short.id`, "" for a service without one (contract 4.9)."""
    parts = full_name.split(".")
    return parts[1] if len(parts) == 3 else ""


def permission_entry(text: str) -> str:
    """Return the entry that a word of a person means: a bare domain id stands for that domain."""
    return text if text == EVERYBODY or ":" in text else f"iam:domain::{text}"


def failure_text(failures: Sequence[Failure]) -> str:
    """Return why a resource failed in one line."""
    return "; ".join(
        f"{one.get('error_code') or one.get('code') or 'error'}: "
        f"{one.get('error_message') or one.get('message') or 'no reason given'}"
        for one in failures
    )


def _checked_id(text: str) -> str:
    # The id becomes part of a path: a word like `..` would ask for something else.
    if _ID.fullmatch(text) is None:
        raise InvalidId(f"{text!r} is no id")
    return text


def _service_path(service_id: str, rest: str = "") -> str:
    return f"/vpc-endpoint-services/{quote(_checked_id(service_id))}{rest}"


def _endpoint_path(endpoint_id: str) -> str:
    return f"/vpc-endpoints/{quote(_checked_id(endpoint_id))}"


def _candidates(services: Sequence[Service]) -> str:
    shown = [f"\n  {one['id']}  {one['service_name']}  {one['status']}" for one in services[:_SHOWN_CANDIDATES]]
    more = len(services) - len(shown)
    return "".join(shown) + (f"\n  and {more} more" if more > 0 else "")


def _members(reply: Reply) -> Mapping[str, object]:
    if not isinstance(reply.body, dict):
        raise UnexpectedAnswer(f"the answer (HTTP {reply.status}) is no JSON object: is this a VPC Endpoint API?")
    return cast("Mapping[str, object]", reply.body)


def _records(reply: Reply, member: str) -> list[Mapping[str, object]]:
    records = _members(reply).get(member)
    if not isinstance(records, list) or not all(isinstance(one, dict) for one in cast("list[object]", records)):
        raise UnexpectedAnswer(f"the answer has no list of {member}: is this a VPC Endpoint API?")
    return cast("list[Mapping[str, object]]", records)


def api_error(reply: Reply) -> ApiError:
    """Read every error form of contract 1.7: nested, flat, both, and Keystone's."""
    members: Mapping[str, object] = cast("Mapping[str, object]", reply.body) if isinstance(reply.body, dict) else {}
    nested_error = members.get("error")
    nested: Mapping[str, object] = cast("Mapping[str, object]", nested_error) if isinstance(nested_error, dict) else {}
    code = members.get("error_code") or nested.get("code") or f"HTTP {reply.status}"
    message = members.get("error_msg") or nested.get("message") or "the server gave no reason"
    return ApiError(reply.status, str(code), str(message), reply.request_id)
