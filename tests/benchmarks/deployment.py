"""Run real servers with labs of their own, talk to them, and put processes on their hosts.

Two worlds never share a region, so they can run side by side. Only processes that were started here are ended, by
their ids; whatever happens, the lab is taken down.
"""

import contextlib
import http.client
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

LANDBRIDGE = str(Path(sys.executable).with_name("landbridge"))
ON_HOST = Path(__file__).parent / "on_host"
PYTHON_ON_HOST = [sys.executable, "-I", "-S"]

GREET_PORT, SINK_PORT, ECHO_PORT, SECOND_GREET_PORT = 9000, 9001, 9002, 9003
"""The backend's ports, see on_host/backend.py."""

START_SECONDS = 60.0
STOP_SECONDS = 60.0
ORDER_SECONDS = 60.0
IDLE_SECONDS = 3.0
"""A server closes a connection that was idle for 5 s; one that was idle for this long is replaced before it is used."""

LAB = """\
region: {region}
projects:
  - name: acme
    users: [{{name: acme-admin, password: acme-password}}]
    quotas: {{endpoint_service: 1000}}
  - name: globex
    users: [{{name: globex-admin, password: globex-password}}]
    quotas: {{endpoint: 100000}}
vpcs:
  - name: acme-vpc
    project: acme
    cidr: 10.0.0.0/16
    subnets:
      - name: web
        cidr: 10.0.0.0/24
        hosts:
          - {{name: backend, ip: 10.0.0.20}}
          - {{name: other, ip: 10.0.0.21}}
      - name: clients
        cidr: 10.0.1.0/24
        hosts:
          - {{name: neighbour, ip: 10.0.1.10}}
          - {{name: proxy, ip: 10.0.1.11}}
  - name: globex-vpc
    project: globex
    cidr: 10.0.0.0/16
    subnets:
      - name: apps
        cidr: 10.0.0.0/19
        hosts:
          - {{name: client, ip: 10.0.0.10}}
"""

BACKEND_ADDRESS = "10.0.0.20"
PROXY_ADDRESS = "10.0.1.11"
FIRST_MEASURED_ADDRESS = IPv4Address("10.0.16.0")
"""Endpoints that are measured get addresses from here on, each its own: no client has ever asked for them before."""


class BenchmarkBroken(Exception):
    """Something did not work, so there is nothing to measure."""


class Tenant:
    """A project's user with a token, on one connection that is kept alive. Not for several threads."""

    def __init__(self, port: int, project_id: str, token: str) -> None:
        self.port = port
        self.project_id = project_id
        self._headers = {"X-Auth-Token": token, "Content-Type": "application/json"}
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self._used_at = time.monotonic()
        self._token = token

    def another(self) -> "Tenant":
        """Return the same user on a connection of its own."""
        return Tenant(self.port, self.project_id, self._token)

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Send a request and return the answer's JSON; whatever is not a success ends the run."""
        if time.monotonic() - self._used_at > IDLE_SECONDS:
            self._connection.close()
        payload = None if body is None else json.dumps(body).encode()
        self._connection.request(method, f"/v1/{self.project_id}/{path}", payload, self._headers)
        answer = self._connection.getresponse()
        content = answer.read()
        self._used_at = time.monotonic()
        if answer.status >= 300:
            raise BenchmarkBroken(f"{method} {path} was answered {answer.status}: {content.decode(errors='replace')}")
        return json.loads(content) if content else None

    def poll(self, path: str, status: str) -> Any:
        """Ask once a millisecond until the resource has a status."""
        deadline = time.monotonic() + 30
        while (found := self.call("GET", path))["status"] != status:
            if time.monotonic() > deadline or found["status"] == "failed":
                raise BenchmarkBroken(f"{path} is {found['status']} instead of {status}: {found.get('error')}")
            time.sleep(0.001)
        return found

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class OnHost:
    """A process on a host of the lab that answers one line with one line."""

    def __init__(self, command: list[str]) -> None:
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self._hear(START_SECONDS, "ready\n")

    def start(self, order: str) -> None:
        """Give an order; the answer is taken by `result`."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{order}\n")

    def result(self) -> Any:
        """Wait for the answer to the last order."""
        return json.loads(self._hear(ORDER_SECONDS))

    def ask(self, order: str) -> Any:
        """Give an order and return the answer."""
        self.start(order)
        return self.result()

    def end(self) -> None:
        """End the process: it ends with its standard input, or is made to."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(5)
        self._process.stdout.close()

    def _hear(self, seconds: float, expected: str = "") -> str:
        output = self._process.stdout
        assert output is not None
        line = output.readline() if select.select([output], [], [], seconds)[0] else ""
        if not line or (expected and line != expected):
            raise BenchmarkBroken(f"{self._process.args} said {line!r} (exit status {self._process.poll()})")
        return line


@dataclass
class World:
    """One server with a lab of its own, and a backend and clients on the lab's hosts."""

    name: str
    congestion_control: str
    home: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="landbridge-bench-")))
    port: int = 0
    endpoint_count: int = 0
    _server: subprocess.Popen[bytes] | None = None
    _on_hosts: list[OnHost] = field(default_factory=list)
    _tenants: list[Tenant] = field(default_factory=list)
    _measured: int = 0

    @property
    def state(self) -> Path:
        """The server's state directory."""
        return self.home / "state"

    @property
    def lab(self) -> Path:
        """The lab file."""
        return self.home / "lab.yaml"

    @property
    def log(self) -> Path:
        """What the server says."""
        return self.home / "server.log"

    @cached_property
    def ids(self) -> Any:
        """All ids of the lab."""
        command = [LANDBRIDGE, "lab", "show", "--lab", str(self.lab), "--json"]
        return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)

    def start(self) -> float:
        """Start the server and return the seconds until it answered."""
        if not self.lab.exists():
            self.lab.write_text(LAB.format(region=f"bench-{self.name}-{os.getpid()}"))
            self.port = _free_port()
        command = [LANDBRIDGE, "serve", "--state", str(self.state), "--listen", f"127.0.0.1:{self.port}"]
        began = time.monotonic()
        with self.log.open("ab") as log:
            self._server = subprocess.Popen([*command, "--lab", str(self.lab)], stdout=log, stderr=log)
        while not _answers(self.port):
            if self._server.poll() is not None or time.monotonic() - began > START_SECONDS:
                raise BenchmarkBroken(f"the server did not start:\n{self.log_tail()}")
            time.sleep(0.002)
        return time.monotonic() - began

    def kill(self) -> None:
        """End the server as a crash does; its lab and its data plane stay."""
        assert self._server is not None
        self._server.send_signal(signal.SIGKILL)
        self._server.wait(STOP_SECONDS)

    def clean_up(self) -> None:
        """End everything that was started here, and take the lab down."""
        for process in self._on_hosts:
            process.end()
        for tenant in self._tenants:
            tenant.close()
        try:
            self._stop()
        finally:
            shutil.rmtree(self.home, ignore_errors=True)

    def _stop(self) -> None:
        if self._server is None:
            return
        ended_well = False
        if self._server.poll() is None:
            self._server.send_signal(signal.SIGTERM)
            try:
                ended_well = self._server.wait(STOP_SECONDS) == 0
            except subprocess.TimeoutExpired:
                self.kill()
        if not ended_well:
            down = [LANDBRIDGE, "lab", "down", "--state", str(self.state)]
            subprocess.run(down, check=True, timeout=STOP_SECONDS, capture_output=True)

    def log_tail(self) -> str:
        """Return the last lines of the server's log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])

    def metrics(self) -> str:
        """Return what the server counted, in Prometheus' text form."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request("GET", "/metrics")
            return connection.getresponse().read().decode()

    def tenant(self, project: str) -> Tenant:
        """Log in and return the project's administrator."""
        facts = self.ids["projects"][project]
        user = {"name": f"{project}-admin", "password": f"{project}-password", "domain": {"name": project}}
        identity = {"methods": ["password"], "password": {"user": user}}
        body = json.dumps({"auth": {"identity": identity, "scope": {"project": {"id": facts["project_id"]}}}})
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request("POST", "/v3/auth/tokens", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            if answer.status != 201:
                raise BenchmarkBroken(f"the login was answered {answer.status}")
        tenant = Tenant(self.port, facts["project_id"], answer.headers["X-Subject-Token"])
        self._tenants.append(tenant)
        return tenant

    def exec_command(self, host: str, *words: str) -> list[str]:
        """Return the command line that runs `words` on a host."""
        return [LANDBRIDGE, "lab", "exec", "--state", str(self.state), host, "--", *words]

    def on_host(self, host: str, script: str, *arguments: str) -> OnHost:
        """Start a script of `on_host/` on a host; it is ended with the world."""
        command = self.exec_command(host, *PYTHON_ON_HOST, str(ON_HOST / script), *arguments)
        process = OnHost(command)
        self._on_hosts.append(process)
        return process

    def start_backend(self) -> None:
        """Start what the endpoints lead to."""
        self.on_host("backend", "backend.py", str(GREET_PORT), self.congestion_control)

    def client(self, host: str) -> OnHost:
        """Start a client on a host."""
        return self.on_host(host, "client.py", self.congestion_control)

    def service_body(self, ports: list[tuple[int, int]], host: str, needs_approval: bool) -> dict[str, Any]:
        """Return what a provider sends to publish (client port, server port) pairs of a host."""
        return {
            "port_id": self.ids["hosts"][host]["port_id"],
            "vpc_id": self.ids["vpcs"]["acme-vpc"]["vpc_id"],
            "server_type": "VM",
            "approval_enabled": needs_approval,
            "ports": [{"client_port": client, "server_port": server} for client, server in ports],
        }

    def publish(self, provider: Tenant, ports: list[tuple[int, int]], host: str, needs_approval: bool = False) -> str:
        """Make a service that everybody may connect to, and return its id once it is available."""
        body = self.service_body(ports, host, needs_approval)
        service_id = provider.call("POST", "vpc-endpoint-services", body)["id"]
        path = f"vpc-endpoint-services/{service_id}"
        provider.call("POST", f"{path}/permissions/action", {"action": "add", "permissions": ["*"]})
        provider.poll(path, "available")
        return service_id

    def endpoint_body(self, service_id: str, address: str | None = None) -> dict[str, Any]:
        """Return what a consumer sends to connect to a service."""
        body = {
            "endpoint_service_id": service_id,
            "vpc_id": self.ids["vpcs"]["globex-vpc"]["vpc_id"],
            "subnet_id": self.ids["subnets"]["globex-vpc/apps"]["subnet_id"],
        }
        return body | ({"port_ip": address} if address else {})

    def fresh_address(self) -> str:
        """Return an address that no endpoint has had, and that no client has asked for."""
        self._measured += 1
        return str(FIRST_MEASURED_ADDRESS + self._measured)

    def fill(self, consumer: Tenant, service_ids: list[str], count: int, clients: int = 8) -> float:
        """Create that many accepted endpoints; return the seconds until all of them were accepted."""
        began = time.monotonic()
        tenants = [consumer.another() for _ in range(clients)]

        def create(tenant: Tenant, share: range) -> None:
            for number in share:
                service_id = service_ids[number % len(service_ids)]
                tenant.call("POST", "vpc-endpoints", self.endpoint_body(service_id))

        with ThreadPoolExecutor(clients) as threads:
            shares = (range(start, count, clients) for start in range(clients))
            list(threads.map(create, tenants, shares))
        for tenant in tenants:
            tenant.close()
        self.endpoint_count += count
        while (accepted := self.accepted_count(consumer)) < count:
            if time.monotonic() - began > START_SECONDS:
                raise BenchmarkBroken(f"only {accepted} of {count} endpoints were accepted:\n{self.log_tail()}")
            time.sleep(0.02)
        return time.monotonic() - began

    def accepted_count(self, consumer: Tenant) -> int:
        """Return how many endpoints are accepted; 1,000 are counted at most."""
        listed = consumer.call("GET", "vpc-endpoints?limit=1000")["endpoints"]
        return sum(endpoint["status"] == "accepted" for endpoint in listed)


@contextlib.contextmanager
def running(name: str, congestion_control: str) -> Iterator[World]:
    """Run a world while the block runs."""
    world = World(name, congestion_control)
    try:
        world.start()
        yield world
    finally:
        world.clean_up()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
            return connection.recv(12) == b"HTTP/1.1 200"
    except OSError:
        return False
