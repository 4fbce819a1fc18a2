"""The main job, end to end, on real packets: two VPCs with the same address range, joined by an endpoint.

Starts a real server with a lab, uses it with the vendor's SDK (AK/SK) and with curl (token), and proves each claim with
connections from inside the consumer's network. Exits 0 only if every step went as said; leaves nothing behind.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkvpcep.v1 import (
    AcceptOrRejectEndpointRequest,
    AcceptOrRejectEndpointRequestBody,
    AddOrRemoveServicePermissionsRequest,
    AddOrRemoveServicePermissionsRequestBody,
    CreateEndpointRequest,
    CreateEndpointRequestBody,
    CreateEndpointServiceRequest,
    CreateEndpointServiceRequestBody,
    DeleteEndpointRequest,
    DeleteEndpointServiceRequest,
    ListEndpointInfoDetailsRequest,
    ListServiceConnectionsRequest,
    ListServiceDetailsRequest,
    PortList,
    VpcepClient,
)

HERE = Path(__file__).parent
LANDBRIDGE = str(Path(sys.executable).with_name("landbridge"))
ENDPOINT_ADDRESS = "10.0.0.100"
CLIENT_PORT, SERVER_PORT = 8080, 80


class DemoFailed(Exception):
    """A step went differently from what it claims."""


def main() -> None:
    """Run the demo."""
    started = time.monotonic()
    state = Path(tempfile.mkdtemp(prefix="landbridge-demo-"))
    try:
        with server(state) as url:
            run(state, url)
        say("cleaned up: the server took the lab down and ended")
        nothing_is_left(state)
    finally:
        shutil.rmtree(state, ignore_errors=True)
    print(f"\nThe demo is through in {time.monotonic() - started:.1f} s.")


def run(state: Path, url: str) -> None:
    """Walk the way of a provider and a consumer."""
    ids = lab_ids()
    acme, globex = ids["projects"]["acme"], ids["projects"]["globex"]
    provider = sdk_client(url, "ACMEDEMOKEY", "acme-demo-secret-key", acme["project_id"])
    consumer = sdk_client(url, "GLOBEXDEMOKEY", "globex-demo-secret-key", globex["project_id"])
    with on_host(state, "backend", "python3", str(HERE / "backend.py"), str(SERVER_PORT)) as backend:
        expect(backend.stdout.readline() == "ready\n", "the backend did not start")

        with step("acme creates an endpoint service for its backend, and waits until it is available"):
            service = provider.create_endpoint_service(
                CreateEndpointServiceRequest(
                    CreateEndpointServiceRequestBody(
                        port_id=ids["hosts"]["backend"]["port_id"],
                        vpc_id=ids["vpcs"]["acme-vpc"]["vpc_id"],
                        service_name="web",
                        server_type="VM",
                        ports=[PortList(client_port=CLIENT_PORT, server_port=SERVER_PORT, protocol="TCP")],
                    )
                )
            )
            expect(service.status == "creating", f"the new service is {service.status}, not creating")
            wait_for("available", lambda: provider.list_service_details(ListServiceDetailsRequest(service.id)).status)
        say(f"    service {service.service_name}")

        with step("acme lets globex's domain connect"):
            provider.add_or_remove_service_permissions(
                AddOrRemoveServicePermissionsRequest(
                    service.id,
                    AddOrRemoveServicePermissionsRequestBody(
                        permissions=[f"iam:domain::{globex['domain_id']}"], action="add"
                    ),
                )
            )

        with step("globex creates an endpoint in its own VPC, also 10.0.0.0/24"):
            endpoint = consumer.create_endpoint(
                CreateEndpointRequest(
                    CreateEndpointRequestBody(
                        endpoint_service_id=service.id,
                        vpc_id=ids["vpcs"]["globex-vpc"]["vpc_id"],
                        subnet_id=ids["subnets"]["globex-vpc/apps"]["subnet_id"],
                        port_ip=ENDPOINT_ADDRESS,
                    )
                )
            )
            expect(endpoint.status == "pendingAcceptance", f"the new endpoint is {endpoint.status}")
        say(f"    endpoint {endpoint.id} is {endpoint.status}")

        with step("the same, seen with a token through curl"):
            listed = with_curl(url, globex["project_id"])
            states = [(item["id"], item["status"]) for item in listed["endpoints"]]
            expect(states == [(endpoint.id, "pendingAcceptance")], f"curl lists {states}")

        with step("nothing passes before the provider has accepted"):
            expect(fetch(state, seconds=0.5)["page"] is None, "bytes passed before the acceptance")

        with fetching(state, seconds=5) as attempt:
            with step("acme accepts"):
                accepted_at = time.monotonic()
                decide(provider, service.id, endpoint.id, "receive")
            page = json.loads(attempt.communicate(timeout=10)[0].splitlines()[-1])
        expect(page["page"] is not None, "no byte arrived after the acceptance")
        took = (page["first_byte_at"] - accepted_at) * 1000
        say(f"{took:8.1f} ms  first byte from the backend, counted from sending the acceptance")
        say(f"    the page says: {page['page']}")
        saw = page["page"].rpartition(" ")[2]
        expect(saw.startswith("198.19."), f"the backend saw {saw}, which is no transit address")
        shown = consumer.list_endpoint_info_details(ListEndpointInfoDetailsRequest(endpoint.id))
        expect((shown.status, shown.ip) == ("accepted", ENDPOINT_ADDRESS), f"{shown.status} at {shown.ip}")

        with step("acme rejects"):
            decide(provider, service.id, endpoint.id, "reject")
        with step("from the answer on, nothing passes"):
            expect(fetch(state, seconds=0.5)["page"] is None, "bytes passed after the rejection")
        connections = provider.list_service_connections(ListServiceConnectionsRequest(service.id)).connections
        expect([item.status for item in connections] == ["rejected"], "the connection does not show as rejected")

        with step("globex deletes the endpoint, acme the service"):
            consumer.delete_endpoint(DeleteEndpointRequest(endpoint.id))
            provider.delete_endpoint_service(DeleteEndpointServiceRequest(service.id))

    tell_clients(state, ids, provider, consumer)


def tell_clients(state: Path, ids: Any, provider: VpcepClient, consumer: VpcepClient) -> None:
    """Show each way in which a backend hears by what address the client really has."""
    tell_the_client(state, ids, provider, consumer, "proxy_open", "proxy", "a PROXY protocol header")
    if os.geteuid() == 0:
        tell_the_client(state, ids, provider, consumer, "toa_open", "option", "a TCP option")
    else:
        say("    (as root it would also show toa_open: only root may load eBPF programs)")


def tell_the_client(
    state: Path, ids: Any, provider: VpcepClient, consumer: VpcepClient, tcp_proxy: str, reader: str, what: str
) -> None:
    """Publish a backend that is told by what address the client really has."""
    with on_host(state, "backend", "python3", str(HERE / "backend.py"), str(SERVER_PORT), reader) as backend:
        expect(backend.stdout.readline() == "ready\n", "the backend did not start")
        with step(f"acme publishes a backend that reads the client's address from {what} ({tcp_proxy})"):
            service = provider.create_endpoint_service(
                CreateEndpointServiceRequest(
                    CreateEndpointServiceRequestBody(
                        port_id=ids["hosts"]["backend"]["port_id"],
                        vpc_id=ids["vpcs"]["acme-vpc"]["vpc_id"],
                        server_type="VM",
                        approval_enabled=False,
                        tcp_proxy=tcp_proxy,
                        ports=[PortList(client_port=CLIENT_PORT, server_port=SERVER_PORT, protocol="TCP")],
                    )
                )
            )
            wait_for("available", lambda: provider.list_service_details(ListServiceDetailsRequest(service.id)).status)
            provider.add_or_remove_service_permissions(
                AddOrRemoveServicePermissionsRequest(
                    service.id, AddOrRemoveServicePermissionsRequestBody(permissions=["*"], action="add")
                )
            )
        with step("globex connects to it"):
            endpoint = consumer.create_endpoint(
                CreateEndpointRequest(
                    CreateEndpointRequestBody(
                        endpoint_service_id=service.id,
                        vpc_id=ids["vpcs"]["globex-vpc"]["vpc_id"],
                        subnet_id=ids["subnets"]["globex-vpc/apps"]["subnet_id"],
                        port_ip=ENDPOINT_ADDRESS,
                    )
                )
            )
            shown = ListEndpointInfoDetailsRequest(endpoint.id)
            wait_for("accepted", lambda: consumer.list_endpoint_info_details(shown).status)
        page = fetch(state, seconds=5)["page"]
        expect(page is not None, f"no byte arrived by {tcp_proxy}")
        say(f"    the page says: {page}")
        expect("says 10.0.0.10:" in page, "the backend was not told the client's address")
        consumer.delete_endpoint(DeleteEndpointRequest(endpoint.id))
        provider.delete_endpoint_service(DeleteEndpointServiceRequest(service.id))


@contextlib.contextmanager
def server(state: Path) -> Iterator[str]:
    """Run a server with the demo's lab; yield its URL; end it in order."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        listen = f"127.0.0.1:{probe.getsockname()[1]}"
    log = state / "server.log"
    command = [LANDBRIDGE, "serve", "--state", str(state), "--listen", listen, "--lab", str(HERE / "lab.yaml")]
    with log.open("wb") as stderr, step("a server starts: API, database, two VPCs, a host in each"):
        process = subprocess.Popen(command, stderr=stderr)
        deadline = time.monotonic() + 30
        while not answers(listen):
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                raise DemoFailed(f"the server did not start:\n{log.read_text()}")
            time.sleep(0.005)
    try:
        yield f"http://{listen}"
    except DemoFailed as failure:
        raise DemoFailed(f"{failure}\nThe server's log:\n{log.read_text()}") from failure
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            status = process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            raise DemoFailed("the server did not end within 15 s") from None
    expect(status == 0, f"the server ended with {status}:\n{log.read_text()}")


def answers(listen: str) -> bool:
    """Say whether the server answers `GET /`."""
    host, _, port = listen.partition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=1) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: demo\r\nConnection: close\r\n\r\n")
            return connection.recv(12) == b"HTTP/1.1 200"
    except OSError:
        return False


def lab_ids() -> dict[str, Any]:
    """Return the ids of everything in the lab file; they need no server."""
    command = [LANDBRIDGE, "lab", "show", "--lab", str(HERE / "lab.yaml"), "--json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def sdk_client(url: str, access_key: str, secret_key: str, project_id: str) -> VpcepClient:
    """Return the vendor's client, which signs every request."""
    credentials = BasicCredentials(access_key, secret_key, project_id)
    return VpcepClient.new_builder().with_credentials(credentials).with_endpoint(url).build()


def decide(client: VpcepClient, service_id: str, endpoint_id: str, action: str) -> None:
    """Accept or reject."""
    body = AcceptOrRejectEndpointRequestBody(action=action, endpoints=[endpoint_id])
    client.accept_or_reject_endpoint(AcceptOrRejectEndpointRequest(service_id, body))


def with_curl(url: str, project_id: str) -> dict[str, Any]:
    """List globex's endpoints with a token, as anybody would by hand."""
    user = {"name": "globex-admin", "password": "globex-demo-password", "domain": {"name": "globex"}}
    identity = {"methods": ["password"], "password": {"user": user}}
    scope = {"project": {"id": project_id}}
    login = json.dumps({"auth": {"identity": identity, "scope": scope}})
    curl = ["curl", "--silent", "--show-error", "--fail", "--max-time", "10"]
    # The login goes over standard input: arguments can be read by every user of the machine.
    headers = subprocess.run(
        [*curl, "--output", os.devnull, "--dump-header", "-", "--json", "@-", f"{url}/v3/auth/tokens"],
        input=login,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    token = next(
        line.partition(":")[2].strip() for line in headers.splitlines() if line.lower().startswith("x-subject-token:")
    )
    answer = subprocess.run(
        [*curl, "--header", "@-", f"{url}/v1/{project_id}/vpc-endpoints"],
        input=f"X-Auth-Token: {token}",
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return json.loads(answer)


@contextlib.contextmanager
def on_host(state: Path, host: str, *command: str) -> Iterator[subprocess.Popen[str]]:
    """Run a command on a host of the lab while the block runs."""
    process = subprocess.Popen(
        [LANDBRIDGE, "lab", "exec", "--state", str(state), host, "--", *command], stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=10)
        process.stdout.close()


@contextlib.contextmanager
def fetching(state: Path, seconds: float) -> Iterator[subprocess.Popen[str]]:
    """Try to fetch the backend's page from the client's host while the block runs."""
    arguments = [str(HERE / "client.py"), ENDPOINT_ADDRESS, str(CLIENT_PORT), str(seconds)]
    with on_host(state, "client", "python3", *arguments) as process:
        expect(process.stdout.readline() == "trying\n", "the client did not start")
        yield process


def fetch(state: Path, seconds: float) -> dict[str, Any]:
    """Return what fetching the page gave."""
    with fetching(state, seconds) as process:
        return json.loads(process.communicate(timeout=seconds + 10)[0].splitlines()[-1])


def wait_for(wanted: str, look: Any) -> None:
    """Poll until the status is `wanted`."""
    deadline = time.monotonic() + 10
    while (status := look()) != wanted:
        expect(status == "creating", f"the status became {status} instead of {wanted}")
        expect(time.monotonic() < deadline, f"the status stayed {status}")
        time.sleep(0.002)


def nothing_is_left(state: Path) -> None:
    """Prove that no network of the demo remains."""
    if os.geteuid() == 0:
        left = [name.name for name in Path("/run/netns").glob("lb.demo.*")] if Path("/run/netns").exists() else []
        expect(not left, f"network namespaces are left: {left}")
    expect(not (state / "holder.json").exists(), "a process still holds the demo's networks")


@contextlib.contextmanager
def step(title: str) -> Iterator[None]:
    """Time a step and print it."""
    began = time.monotonic()
    yield
    say(f"{(time.monotonic() - began) * 1000:8.1f} ms  {title}")


def say(line: str) -> None:
    """Print a line now."""
    print(line, flush=True)


def expect(truth: bool, otherwise: str) -> None:
    """End the demo unless something is true."""
    if not truth:
        raise DemoFailed(otherwise)


if __name__ == "__main__":
    try:
        main()
    except DemoFailed as failure:
        sys.exit(f"THE DEMO FAILED: {failure}")
