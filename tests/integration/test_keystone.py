"""A real server behind a real Keystone, and the clients that people bring: nobody here wrote any of them.

The clients find the server through Keystone's catalogue; access keys are Keystone's EC2 credentials. There is no lab:
the networks are made through the VPC API.
"""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdkvpc.v2 import (
    CreatePortOption,
    CreatePortRequest,
    CreatePortRequestBody,
    CreateSubnetOption,
    CreateSubnetRequest,
    CreateSubnetRequestBody,
    CreateVpcOption,
    CreateVpcRequest,
    CreateVpcRequestBody,
    VpcClient,
)
from huaweicloudsdkvpcep.v1 import (
    AcceptOrRejectEndpointRequest,
    AcceptOrRejectEndpointRequestBody,
    AddOrRemoveServicePermissionsRequest,
    AddOrRemoveServicePermissionsRequestBody,
    CreateEndpointServiceRequest,
    CreateEndpointServiceRequestBody,
    ListServiceDetailsRequest,
    PortList,
    VpcepClient,
)

from tests.integration.live import Server, live_server
from tests.keystone import REGION, SERVICE_PASSWORD, KeyPair, Keystone, Person

OPENSTACK = str(Path(sys.executable).with_name("openstack"))
CACHE_SECONDS = 1
SERVICES = "vpc-endpoint-services"


@dataclass(frozen=True)
class Cloud:
    """The server, and Keystone before it."""

    server: Server
    keystone: Keystone

    def send(self, person: Person, token: str | None, method: str = "GET", path: str = SERVICES) -> tuple[int, Any]:
        """Send a request below the person's project; return status and body."""
        url = f"{self.server.url}/v1/{person.account.project_id}/{path}"
        return self.fetch(url, {"X-Auth-Token": token} if token is not None else {}, method)

    def fetch(self, url: str, headers: dict[str, str], method: str = "GET") -> tuple[int, Any]:
        body = b"{}" if method == "POST" else None
        request = urllib.request.Request(url, body, {"Content-Type": "application/json", **headers}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as refused:
            return refused.code, json.load(refused)

    def openstack(self, person: Person, *words: str) -> Any:
        """Run a command of `openstack` as somebody, and return what it prints as JSON."""
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.server.state.parent)}
        done = subprocess.run(
            [OPENSTACK, *words, "-f", "json"],
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
            env=environment | person.openstack_variables(self.keystone.url) | {"OS_REGION_NAME": REGION},
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)


def settings_for(keystone: Keystone, directory: Path) -> str:
    password_file = directory / "keystone-password"
    password_file.write_text(f"{SERVICE_PASSWORD}\n")
    return (
        f'identity = "keystone"\nkeystone_url = "{keystone.url}"\nkeystone_password_file = "{password_file}"\n'
        f'keystone_cache_seconds = {CACHE_SECONDS}\nregion = "{REGION}"\nlog_level = "DEBUG"\n'
        "[keystone_roles]\n"
        'admin = "admin"\nmember = "member"\nreader = "reader"\n"network operator" = "operator"\n'
    )


@pytest.fixture(scope="module")
def cloud(keystone: Keystone, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    directory = tmp_path_factory.mktemp("behind-keystone")
    with (
        live_server(directory, settings=settings_for(keystone, directory), lab=None) as server,
        keystone.registered(server.url),
    ):
        yield Cloud(server, keystone)


@pytest.fixture(scope="module")
def provider(keystone: Keystone) -> Person:
    return keystone.person(keystone.account("acme"), "member")


@pytest.fixture(scope="module")
def consumer(keystone: Keystone) -> Person:
    return keystone.person(keystone.account("globex"), "member")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the SDK keep its files elsewhere than with the person who runs the tests."""
    monkeypatch.setenv("HOME", str(tmp_path))


def sdk(client: Any, cloud: Cloud, person: Person, keys: KeyPair) -> Any:
    credentials = BasicCredentials(keys.access, keys.secret, person.account.project_id)
    return client.new_builder().with_credentials(credentials).with_endpoint(cloud.server.url).build()


def make_network(cloud: Cloud, person: Person, keys: KeyPair) -> tuple[str, str]:
    """Make a VPC and a subnet; return their ids."""
    client = sdk(VpcClient, cloud, person, keys)
    wanted = CreateVpcOption(name="shop", cidr="10.0.0.0/16")
    vpc = client.create_vpc(CreateVpcRequest(CreateVpcRequestBody(wanted))).vpc
    wanted = CreateSubnetOption(name="web", cidr="10.0.0.0/24", gateway_ip="10.0.0.1", vpc_id=vpc.id)
    return vpc.id, client.create_subnet(CreateSubnetRequest(CreateSubnetRequestBody(wanted))).subnet.id


def until(look: Callable[[], Any], is_right: Callable[[Any], bool]) -> Any:
    """Look until something is right, and return it."""
    deadline = time.monotonic() + 60
    while not is_right(found := look()):
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    return found


@pytest.mark.usefixtures("home")
def test_sdk_and_openstack_work_with_keystones_users(cloud: Cloud, provider: Person, consumer: Person):
    keys = cloud.keystone.key_pair(provider)
    vpc_id, subnet_id = make_network(cloud, provider, keys)
    wanted = CreatePortOption(network_id=subnet_id, name="backend")
    port = sdk(VpcClient, cloud, provider, keys).create_port(CreatePortRequest(CreatePortRequestBody(wanted))).port
    vpcep = sdk(VpcepClient, cloud, provider, keys)

    # The provider signs with an EC2 credential.
    service = vpcep.create_endpoint_service(
        CreateEndpointServiceRequest(
            CreateEndpointServiceRequestBody(
                service_name="billing",
                vpc_id=vpc_id,
                port_id=port.id,
                server_type="VM",
                ports=[PortList(client_port=8080, server_port=80)],
            )
        )
    )
    show = ListServiceDetailsRequest(service.id)
    shown = until(lambda: vpcep.list_service_details(show), lambda found: found.status == "available")
    assert shown.project_id == provider.account.project_id
    assert shown.service_name == f"{REGION}.billing.{service.id}"
    permit = AddOrRemoveServicePermissionsRequestBody(
        action="add", permissions=[f"iam:domain::{consumer.account.domain_id}"]
    )
    vpcep.add_or_remove_service_permissions(AddOrRemoveServicePermissionsRequest(service.id, permit))

    # `openstack` finds the server in Keystone's catalogue.
    assert [row["Id"] for row in cloud.openstack(provider, "vpcep", "service", "list")] == [service.id]
    consumer_keys = cloud.keystone.key_pair(consumer)
    consumer_vpc_id, consumer_subnet_id = make_network(cloud, consumer, consumer_keys)
    endpoint = cloud.openstack(
        consumer, "vpcep", "endpoint", "create", "--service-id", service.id, "--router-id", consumer_vpc_id,
        "--network-id", consumer_subnet_id,
    )  # fmt: skip
    assert endpoint["status"] == "pendingAcceptance"
    accept = AcceptOrRejectEndpointRequestBody(action="receive", endpoints=[endpoint["id"]])
    accepted = vpcep.accept_or_reject_endpoint(AcceptOrRejectEndpointRequest(service.id, accept))
    assert accepted.connections[0].domain_id == consumer.account.domain_id


@pytest.mark.usefixtures("home")
def test_a_wrong_secret_key_is_refused_as_the_sdk_reads_it(cloud: Cloud, provider: Person):
    keys = KeyPair(cloud.keystone.key_pair(provider).access, "a wrong secret key")

    with pytest.raises(ClientRequestException) as refusal:
        sdk(VpcepClient, cloud, provider, keys).list_service_details(ListServiceDetailsRequest("x"))

    assert (refusal.value.status_code, refusal.value.error_code) == (401, "EndPoint.0003")


@pytest.mark.usefixtures("home")
def test_a_key_opens_its_own_project_only(cloud: Cloud, provider: Person, consumer: Person):
    keys = cloud.keystone.key_pair(provider)

    with pytest.raises(ClientRequestException) as refusal:
        sdk(VpcepClient, cloud, consumer, keys).list_service_details(ListServiceDetailsRequest("x"))

    assert (refusal.value.status_code, refusal.value.error_code) == (403, "EndPoint.0004")


def test_a_token_opens_its_own_project_only(cloud: Cloud, provider: Person, consumer: Person):
    token = cloud.keystone.token(provider)

    assert cloud.send(provider, token)[0] == 200
    assert cloud.send(consumer, token)[0] == 403
    assert cloud.send(provider, cloud.keystone.token(provider, "unscoped"))[0] == 403
    for nobody in (None, "gAAAAABforged", token[:-4] + "AAAA"):
        status, body = cloud.send(provider, nobody)
        assert (status, body["error_code"]) == (401, "EndPoint.0003")


@pytest.mark.parametrize(
    ("role", "reading", "writing"),
    [("reader", 200, 403), ("member", 200, 400), ("network operator", 200, 400), ("auditor", 403, 403)],
)
def test_a_role_of_keystone_opens_what_the_settings_say(
    cloud: Cloud, provider: Person, role: str, reading: int, writing: int
):
    token = cloud.keystone.token(cloud.keystone.person(provider.account, role))

    assert cloud.send(provider, token)[0] == reading
    # An empty body: whoever may write is told what is wrong with it.
    assert cloud.send(provider, token, "POST")[0] == writing


def test_a_revoked_token_is_refused_within_the_cache_time(cloud: Cloud, provider: Person):
    token = cloud.keystone.token(provider)
    assert cloud.send(provider, token)[0] == 200

    cloud.keystone.revoke(token)
    revoked_at = time.monotonic()

    until(lambda: cloud.send(provider, token)[0], lambda status: status == 401)
    # The request itself takes a while on a busy machine.
    assert time.monotonic() - revoked_at < CACHE_SECONDS + 20


def test_while_keystone_is_away_the_answer_is_503_and_nothing_need_be_restarted(cloud: Cloud, provider: Person):
    token = cloud.keystone.token(provider)

    with cloud.keystone.stopped():
        status, body = cloud.send(provider, token)
        assert (status, body["error_code"]) == (503, "EndPoint.1008")
        assert "127.0.0.1" not in body["error_msg"]

    assert cloud.send(provider, token)[0] == 200
    log = cloud.server.log.read_text()
    assert log.index("identity.failed") < log.rindex("identity.answers")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("GET", "/"),
        ("POST", "/auth/tokens"),
        ("GET", "/auth/tokens"),
        ("GET", "/auth/projects"),
        ("GET", "/auth/domains"),
        ("GET", "/auth/catalog"),
        ("GET", "/projects?name=lab-1"),
    ],
)
def test_there_is_no_identity_api_beside_keystones(cloud: Cloud, provider: Person, method: str, path: str):
    headers = {"X-Auth-Token": cloud.keystone.token(provider)}

    for sent in (headers, {}):
        status, body = cloud.fetch(f"{cloud.server.url}/v3{path}", sent, method)
        assert (status, body["error"]["code"]) == (404, 404)


@pytest.mark.usefixtures("home")
def test_the_log_holds_no_secret_even_at_debug(cloud: Cloud, provider: Person):
    token, keys = cloud.keystone.token(provider), cloud.keystone.key_pair(provider)
    assert cloud.send(provider, token)[0] == 200
    with pytest.raises(ClientRequestException):
        sdk(VpcepClient, cloud, provider, keys).list_service_details(ListServiceDetailsRequest("x"))

    log = cloud.server.log.read_text()

    assert '"level": "debug"' in log
    for secret in (token, keys.secret, SERVICE_PASSWORD):
        assert secret not in log
