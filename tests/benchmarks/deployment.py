"""Run real servers with labs of their own, talk to them, and put processes on their hosts.

Two worlds never share a region, so they can run side by side. Only processes that were started here are ended, by
their ids; whatever happens, the lab is taken down.
"""

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from tests.benchmarks.failures import BenchmarkBroken
from tests.benchmarks.processes import LANDBRIDGE, ON_HOST, PYTHON_ON_HOST, START_SECONDS, OnHost, inside, run_inside
from tests.benchmarks.tenants import PAGE_SIZE, Tenant

GREET_PORT, SECOND_GREET_PORT = 9000, 9001
"""The backend's ports, see on_host/backend.py."""

STOP_SECONDS = 180.0
FILL_SECONDS_PER_THOUSAND = 60.0
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
"""
CONSUMER_VPC = """\
  - name: {name}
    project: globex
    cidr: 10.0.0.0/16
    subnets:
      - name: apps
        cidr: 10.0.0.0/17
        hosts:
          - {{name: {client}, ip: 10.0.0.10}}
"""
CONSUMERS = {"globex-vpc": "client", "globex-options": "options-client", "globex-headers": "headers-client"}
"""VPC → its host. Several, because what one mode puts on a VPC's interfaces is passed by all packets of that VPC."""

BACKEND_ADDRESS = "10.0.0.20"
FIRST_MEASURED_ADDRESS = IPv4Address("10.0.96.0")
"""Endpoints that are measured get addresses from here on, each its own: no client has ever asked for them before."""


@dataclass
class World:
    """One server with a lab of its own, and a backend and clients on the lab's hosts."""

    name: str
    congestion_control: str
    home: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="landbridge-bench-")))
    port: int = 0
    operators_port: int = 0
    more_settings: str = ""
    """Lines of the settings file."""
    endpoint_count: int = 0
    _server: subprocess.Popen[bytes] | None = None
    _on_hosts: list[OnHost] = field(default_factory=list)
    _tenants: list[Tenant] = field(default_factory=list)
    _measured: int = 0

    @property
    def region(self) -> str:
        """The region, which is in the names of all namespaces."""
        return f"bench-{self.name}-{os.getpid()}"

    @property
    def state(self) -> Path:
        """The server's state directory."""
        return self.home / "state"

    @property
    def lab(self) -> Path:
        """The lab file."""
        return self.home / "lab.yaml"

    @property
    def settings(self) -> Path:
        """The settings file."""
        return self.home / "landbridge.toml"

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
            vpcs = [CONSUMER_VPC.format(name=name, client=client) for name, client in CONSUMERS.items()]
            self.lab.write_text(LAB.format(region=self.region) + "".join(vpcs))
        if not self.port:
            self.port, self.operators_port = _free_port(), _free_port()
            metrics = f'metrics_listen = "127.0.0.1:{self.operators_port}"\n'
            self.settings.write_text(metrics + self.more_settings)
        command = [LANDBRIDGE, "serve", "--config", str(self.settings), "--state", str(self.state)]
        began = time.monotonic()
        with self.log.open("ab") as log:
            command += ["--listen", f"127.0.0.1:{self.port}", "--lab", str(self.lab)]
            self._server = subprocess.Popen(command, stdout=log, stderr=log, process_group=0)
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

    def stop(self) -> None:
        """End the server in order; it takes its lab down."""
        self._stop()
        self._server = None

    @property
    def memory_kib(self) -> int:
        """How much of the machine's memory the server has, in KiB."""
        assert self._server is not None
        status = Path(f"/proc/{self._server.pid}/status").read_text()
        return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:")))

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
            done = subprocess.run(down, check=False, timeout=STOP_SECONDS, capture_output=True, text=True)
            # A server that was ended before it had made its lab leaves none to take down.
            if done.returncode and self.edges():
                raise BenchmarkBroken(f"the lab was not taken down: {done.stderr.strip()}")

    def log_tail(self) -> str:
        """Return the last lines of the server's log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])

    def metrics(self) -> str:
        """Return what the server counted, in Prometheus' text form."""
        connection = http.client.HTTPConnection("127.0.0.1", self.operators_port, timeout=30)
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
        self.on_host("backend", "backend.py", str(GREET_PORT))

    def client(self, host: str) -> OnHost:
        """Start a client on a host."""
        return self.on_host(host, "client.py")

    def edges(self) -> list[str]:
        """Return the names of the namespaces that are edges, the hub included if there is one."""
        return run_inside(self.state, "names", f"lb.{self.region}.edge.")

    def switches(self) -> list[str]:
        """Return the names of the namespaces that stand for the tenants' networks."""
        return run_inside(self.state, "names", f"lb.{self.region}.lab.")

    def processor_seconds(self) -> float:
        """Return how long the server has had a processor since it was started, in seconds."""
        assert self._server is not None
        fields = Path(f"/proc/{self._server.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def namespace(self, host: str) -> str:
        """Return the name of a host's namespace."""
        return self.ids["hosts"][host]["namespace"]

    def in_namespace(self, namespace: str, *command: str) -> OnHost:
        """Start a program in a namespace of this world; it is ended with the world."""
        process = OnHost(inside(self.state, "exec", namespace, *command))
        self._on_hosts.append(process)
        return process

    def set_everywhere(self, settings: Mapping[str, str]) -> None:
        """Write kernel settings into all namespaces that are there."""
        words = [f"{name}={value}" for name, value in settings.items()]
        run_inside(self.state, "set", f"lb.{self.region}.", *words)

    def service_body(
        self, ports: list[tuple[int, int]], host: str, needs_approval: bool, mode: str = "close"
    ) -> dict[str, Any]:
        """Return what a provider sends to publish (client port, server port) pairs of a host."""
        return {
            "tcp_proxy": mode,
            "port_id": self.ids["hosts"][host]["port_id"],
            "vpc_id": self.ids["vpcs"]["acme-vpc"]["vpc_id"],
            "server_type": "VM",
            "approval_enabled": needs_approval,
            "ports": [{"client_port": client, "server_port": server} for client, server in ports],
        }

    def publish(
        self,
        provider: Tenant,
        ports: list[tuple[int, int]],
        host: str,
        needs_approval: bool = False,
        mode: str = "close",
    ) -> str:
        """Make a service that everybody may connect to, and return its id once it is available.

        Raises NotCarried when this server does not carry the mode.
        """
        body = self.service_body(ports, host, needs_approval, mode)
        service_id = provider.call("POST", "vpc-endpoint-services", body)["id"]
        path = f"vpc-endpoint-services/{service_id}"
        provider.call("POST", f"{path}/permissions/action", {"action": "add", "permissions": ["*"]})
        provider.poll(path, "available")
        return service_id

    def connect(self, consumer: Tenant, service_id: str, vpc: str = "globex-vpc") -> str:
        """Make an endpoint and return its address once it is accepted. Raises NotCarried when it failed."""
        address = self.fresh_address()
        endpoint_id = consumer.call("POST", "vpc-endpoints", self.endpoint_body(service_id, address, vpc))["id"]
        consumer.poll(f"vpc-endpoints/{endpoint_id}", "accepted")
        return address

    def endpoint_body(self, service_id: str, address: str | None = None, vpc: str = "globex-vpc") -> dict[str, Any]:
        """Return what a consumer sends to connect one of its VPCs to a service."""
        body = {
            "endpoint_service_id": service_id,
            "vpc_id": self.ids["vpcs"][vpc]["vpc_id"],
            "subnet_id": self.ids["subnets"][f"{vpc}/apps"]["subnet_id"],
        }
        return body | ({"port_ip": address} if address else {})

    def fresh_address(self) -> str:
        """Return an address that no endpoint has had, and that no client has asked for."""
        self._measured += 1
        return str(FIRST_MEASURED_ADDRESS + self._measured)

    def fill(self, consumer: Tenant, services: Sequence[tuple[str, str]], count: int, clients: int = 8) -> float:
        """Create that many accepted endpoints; return the seconds until all of them were accepted.

        `services` has the id of each service and the VPC that is connected to it; they are taken in turns.
        """
        began = time.monotonic()
        deadline = began + FILL_SECONDS_PER_THOUSAND * max(1, count / 1000)
        tenants = [consumer.another() for _ in range(clients)]

        def create(tenant: Tenant, share: range) -> None:
            for number in share:
                service_id, vpc = services[number % len(services)]
                tenant.call("POST", "vpc-endpoints", self.endpoint_body(service_id, vpc=vpc))

        with ThreadPoolExecutor(clients) as threads:
            shares = (range(start, count, clients) for start in range(clients))
            list(threads.map(create, tenants, shares))
        for tenant in tenants:
            tenant.close()
        self.endpoint_count += count
        while (accepted := self._accepted_count(consumer)) < self.endpoint_count:
            if time.monotonic() > deadline:
                raise BenchmarkBroken(
                    f"{accepted} of {self.endpoint_count} endpoints were accepted:\n{self.log_tail()}"
                )
            time.sleep(0.02 if count < PAGE_SIZE else 0.5)  # a look at many pages is work that delays what it waits for
        return time.monotonic() - began

    def _accepted_count(self, consumer: Tenant) -> int:
        return sum(endpoint["status"] == "accepted" for endpoint in consumer.page("vpc-endpoints", "endpoints"))


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
