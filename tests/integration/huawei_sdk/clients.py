"""What the tests of the SDK share: clients that write down what is called, networks to use, and models as values."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdkvpc import v2 as vpc
from huaweicloudsdkvpcep import v1

from tests.integration.live import Server

KEYS = {
    "acme": ("ACMEKEY", "acme-secret-key"),
    "globex": ("GLOBEXKEY", "globex-secret-key"),
    "initech": ("INITECHKEY", "initech-secret-key"),
}
JUST_NOW = "just now"
"""What `members` shows for a moment of the last minutes, which it has as an aware one."""
UNKNOWN = "00000000-0000-4000-8000-000000000000"
"""An id that nothing has."""

_PATIENCE_SECONDS = 20


@dataclass
class Record:
    """Which methods were called, and which members of requests were sent: `PortList.client_port`."""

    methods: set[str] = field(default_factory=set)
    members: set[str] = field(default_factory=set)

    def note(self, model: Any) -> None:
        """Write down the members that a request has, and those of the models in it."""
        for name in getattr(model, "openapi_types", ()):
            value = getattr(model, name)
            if value is not None:
                self.members.add(f"{type(model).__name__}.{name}")
            for item in value if isinstance(value, list) else [value]:
                self.note(item)


class RecordedClient:
    """A client of the SDK whose calls are written down."""

    def __init__(self, sdk: v1.VpcepClient, record: Record) -> None:
        self.sdk = sdk
        self._record = record

    def __getattr__(self, name: str) -> Callable[[Any], Any]:
        method = getattr(self.sdk, name)

        def call(request: Any) -> Any:
            self._record.methods.add(name)
            self._record.note(request)
            return method(request)

        return call


def client_of(server: Server, project: str, record: Record) -> RecordedClient:
    credentials = BasicCredentials(*KEYS[project], server.project_id(project))
    builder = v1.VpcepClient.new_builder().with_credentials(credentials).with_endpoints([server.url])
    return RecordedClient(builder.build(), record)


@dataclass(frozen=True)
class Nic:
    """A port, and where it is."""

    vpc_id: str
    subnet_id: str
    port_id: str


class Networks:
    """A project's own networks: tests make what they need, and are in nobody's way."""

    def __init__(self, server: Server, project: str) -> None:
        credentials = BasicCredentials(*KEYS[project], server.project_id(project))
        self._sdk = vpc.VpcClient.new_builder().with_credentials(credentials).with_endpoint(server.url).build()
        self.vpc_id = self.new_vpc()
        self._numbers = count()

    def new_vpc(self) -> str:
        """Make a VPC of 10.0.0.0/16."""
        option = vpc.CreateVpcOption(name="sdk", cidr="10.0.0.0/16")
        return self._sdk.create_vpc(vpc.CreateVpcRequest(vpc.CreateVpcRequestBody(option))).vpc.id

    def new_subnet(self, cidr: str | None = None, vpc_id: str | None = None) -> str:
        """Make a subnet: the next free /24 of the project's VPC, or what is asked for."""
        cidr = cidr or f"10.0.{next(self._numbers)}.0/24"
        gateway = cidr.replace(".0/24", ".1")
        option = vpc.CreateSubnetOption(name="sdk", cidr=cidr, vpc_id=vpc_id or self.vpc_id, gateway_ip=gateway)
        return self._sdk.create_subnet(vpc.CreateSubnetRequest(vpc.CreateSubnetRequestBody(option))).subnet.id

    def new_nic(self, subnet_id: str) -> Nic:
        """Make a port in a subnet of the project's VPC."""
        option = vpc.CreatePortOption(network_id=subnet_id)
        port = self._sdk.create_port(vpc.CreatePortRequest(vpc.CreatePortRequestBody(option))).port
        return Nic(self.vpc_id, subnet_id, port.id)


def members(value: Any) -> Any:
    """Return a model as a value with every member it has, those without a value too."""
    if isinstance(value, list):
        return [members(item) for item in value]
    if hasattr(value, "openapi_types"):
        return {name: members(getattr(value, name)) for name in value.openapi_types}
    if isinstance(value, datetime):
        return JUST_NOW if abs(datetime.now(UTC) - value) < timedelta(minutes=5) else value
    return value


def refused(work: Callable[[], object]) -> tuple[int, str]:
    """Do what must be refused; return status and code."""
    with pytest.raises(ClientRequestException) as failure:
        work()
    assert failure.value.error_msg
    assert failure.value.request_id.startswith("req-")
    return failure.value.status_code, failure.value.error_code


def until(look: Callable[[], Any], status: str) -> Any:
    """Look until something has a status."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while (found := look()).status != status:
        assert time.monotonic() < deadline, found
        time.sleep(0.01)
    return found


def until_gone(look: Callable[[], Any]) -> tuple[int, str]:
    """Look until something is not there any more, and `deleting` before that; return status and code."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            found = look()
        except ClientRequestException as failure:
            return failure.status_code, failure.error_code
        assert found.status == "deleting"
        assert time.monotonic() < deadline, found
        time.sleep(0.01)


def new_service(client: RecordedClient, nic: Nic, **changes: Any) -> Any:
    """Create a service and return it when it is available."""
    wish: dict[str, Any] = {
        "port_id": nic.port_id,
        "vpc_id": nic.vpc_id,
        "server_type": "VM",
        "ports": [v1.PortList(client_port=8080, server_port=80)],
    }
    body = v1.CreateEndpointServiceRequestBody(**(wish | changes))
    created = client.create_endpoint_service(v1.CreateEndpointServiceRequest(body))
    return until(lambda: show_service(client, created.id), "available")


def open_to_everybody(client: RecordedClient, service_id: str) -> None:
    body = v1.AddOrRemoveServicePermissionsRequestBody(action="add", permissions=["*"])
    client.add_or_remove_service_permissions(v1.AddOrRemoveServicePermissionsRequest(service_id, body))


def show_service(client: RecordedClient, service_id: str) -> Any:
    return client.list_service_details(v1.ListServiceDetailsRequest(service_id))


def new_endpoint(client: RecordedClient, service_id: str, networks: Networks, subnet_id: str, **changes: Any) -> Any:
    """Create an endpoint in the project's VPC."""
    wish: dict[str, Any] = {
        "endpoint_service_id": service_id,
        "vpc_id": networks.vpc_id,
        "subnet_id": subnet_id,
    }
    body = v1.CreateEndpointRequestBody(**(wish | changes))
    return client.create_endpoint(v1.CreateEndpointRequest(body))


def show_endpoint(client: RecordedClient, endpoint_id: str) -> Any:
    return client.list_endpoint_info_details(v1.ListEndpointInfoDetailsRequest(endpoint_id))


def decide(client: RecordedClient, service_id: str, endpoint_id: str, action: str) -> Any:
    """Accept (`receive`) or `reject` an endpoint, and return its connection."""
    body = v1.AcceptOrRejectEndpointRequestBody(action=action, endpoints=[endpoint_id])
    [connection] = client.accept_or_reject_endpoint(v1.AcceptOrRejectEndpointRequest(service_id, body)).connections
    return connection
