"""Real servers in processes of their own, as root and as an ordinary user."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from landbridge.drivers.linux.user_namespace import is_privileged
from tests.ordinary_user import NOBODY, as_an_ordinary_user

LANDBRIDGE = str(Path(sys.executable).with_name("landbridge"))

LAB = """\
region: {region}
projects:
  - name: acme
    users: [{{name: acme-admin, password: acme-password, access_key: ACMEKEY, secret_key: acme-secret}}]
  - name: globex
    users: [{{name: globex-admin, password: globex-password, access_key: GLOBEXKEY, secret_key: globex-secret}}]
vpcs:
  - name: acme-vpc
    project: acme
    cidr: 10.0.0.0/16
    subnets:
      - name: web
        cidr: 10.0.0.0/24
        hosts: [{{name: web-1, ip: 10.0.0.20}}]
  - name: globex-vpc
    project: globex
    cidr: 10.0.0.0/16
    subnets:
      - name: apps
        cidr: 10.0.0.0/24
        hosts: [{{name: client-1, ip: 10.0.0.10}}]
"""

ECHO = """\
import socket, sys, threading
server = socket.create_server(("", int(sys.argv[1])))
print("ready", flush=True)
def answer(connection, peer):
    with connection:
        connection.sendall(f"{peer[0]}\\n".encode())
        while data := connection.recv(65536):
            connection.sendall(data)
while True:
    threading.Thread(target=answer, args=server.accept(), daemon=True).start()
"""

TALK = """\
import socket, sys
connection = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=float(sys.argv[3]))
lines = connection.makefile("r")
print(lines.readline().strip(), flush=True)
for line in sys.stdin:
    connection.sendall(line.encode())
    print(lines.readline().strip(), flush=True)
"""


def free_port() -> int:
    """Return a port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class Deployment:
    """One state directory and lab, and the server that runs from it now and then."""

    prefix: list[str]
    home: Path
    region: str
    log: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    agents: list[subprocess.Popen[bytes]] = field(default_factory=list)
    started: list[subprocess.Popen[str]] = field(default_factory=list)
    shown: dict[str, str] = field(default_factory=dict)
    last_words: str = ""

    @property
    def state(self) -> Path:
        return self.home / "state"

    @property
    def lab(self) -> Path:
        return self.home / "lab.yaml"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def command(self, *words: str) -> list[str]:
        """Return a command line of ours, as this deployment's user."""
        return [*self.prefix, LANDBRIDGE, *words]

    def environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": str(self.home)}

    def run(self, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a command of ours to its end."""
        options = {"capture_output": True, "text": True, "timeout": 60, "env": self.environment()} | options
        return subprocess.run(self.command(*words), check=False, **options)

    def serve(self, *options: str) -> None:
        """Start the server with its lab and wait until it answers."""
        self.serve_without_lab("--lab", str(self.lab), *options)

    def serve_without_lab(self, *options: str) -> None:
        """Start the server and wait until it answers."""
        self._start_answering("serve", *options)

    def serve_api(self, *options: str) -> None:
        """Start an API process and wait until it answers."""
        self._start_answering("api", *options)

    def start_agent(self, *options: str) -> subprocess.Popen[bytes]:
        """Start an agent; `wait_for_log` says when it has come far enough."""
        command = self.command("agent", "--state", str(self.state), *options)
        with self.log.open("ab") as log:
            agent = subprocess.Popen(command, stdout=log, stderr=log, env=self.environment())
        self.agents.append(agent)
        return agent

    def wait_for_log(self, event: str, count: int = 1) -> None:
        """Wait until the processes have logged an event this often."""
        deadline = time.monotonic() + 30
        while self.log.read_text().count(event) < count:
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.01)

    def _start_answering(self, role: str, *options: str) -> None:
        command = self.command(role, "--state", str(self.state), "--listen", f"127.0.0.1:{self.port}", *options)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=self.environment())
        deadline = time.monotonic() + 60
        while not self._is_listening():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.01)
        assert self.get_version(timeout_seconds=60)["id"] == "v1", self.log.read_text()

    def _is_listening(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def get_version(self, timeout_seconds: float = 5) -> Any:
        with urllib.request.urlopen(f"{self.url}/", timeout=timeout_seconds) as answer:
            return json.load(answer)["versions"][0]

    def stop(self, number: signal.Signals = signal.SIGTERM, within_seconds: float = 10.0) -> int:
        """Send the server a signal and return its exit status."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(within_seconds)

    def on_host(self, host: str, *words: str) -> list[str]:
        return self.command("lab", "exec", "--state", str(self.state), host, "--", *words)

    def start_on_host(self, host: str, *words: str) -> subprocess.Popen[str]:
        """Start a command on a host; it is ended with the test."""
        process = subprocess.Popen(
            self.on_host(host, *words),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            env=self.environment(),
        )
        self.started.append(process)
        return process

    def start_backend(self, port: int = 80) -> None:
        backend = self.start_on_host("web-1", "python3", "-c", ECHO, str(port))
        assert backend.stdout is not None
        assert backend.stdout.readline() == "ready\n"

    def talk(self, address: str, port: int, timeout_seconds: float = 2.0, client: str = "client-1") -> "Talk":
        return Talk(self.start_on_host(client, "python3", "-c", TALK, address, str(port), str(timeout_seconds)))

    def ids(self) -> Any:
        """Return the ids of the lab file as it is now; asking takes most of a second, so it is asked once."""
        text = self.lab.read_text()
        if text not in self.shown:
            shown = self.run("lab", "show", "--lab", str(self.lab), "--json")
            assert shown.returncode == 0, shown.stderr
            self.shown[text] = shown.stdout
        return json.loads(self.shown[text])

    def tenant(self, project: str) -> "HttpTenant":
        return self.tenant_of(project, self.ids()["projects"][project]["project_id"])

    def tenant_of(self, project: str, project_id: str) -> "HttpTenant":
        """Sign in to a project of this id, as the user that each project has here."""
        user = {"name": f"{project}-admin", "password": f"{project}-password", "domain": {"name": project}}
        identity = {"methods": ["password"], "password": {"user": user}}
        body = {"auth": {"identity": identity, "scope": {"project": {"id": project_id}}}}
        request = urllib.request.Request(
            f"{self.url}/v3/auth/tokens", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return HttpTenant(f"{self.url}/v1/{project_id}", answer.headers["X-Subject-Token"])

    def accepted_endpoint(
        self, address: str = "10.0.0.100", client_port: int = 8080, server_port: int = 80, **service_options: Any
    ) -> Any:
        """Publish the backend, connect globex, and wait until the endpoint is accepted."""
        ids, acme, globex = self.ids(), self.tenant("acme"), self.tenant("globex")
        service = acme.send(
            "POST",
            "vpc-endpoint-services",
            {
                "port_id": ids["hosts"]["web-1"]["port_id"],
                "vpc_id": ids["vpcs"]["acme-vpc"]["vpc_id"],
                "server_type": "VM",
                "approval_enabled": False,
                "ports": [{"client_port": client_port, "server_port": server_port}],
                **service_options,
            },
        )
        path = f"vpc-endpoint-services/{service['id']}"
        acme.send("POST", f"{path}/permissions/action", {"action": "add", "permissions": ["*"]})
        acme.until(path, "available")
        endpoint = globex.send(
            "POST",
            "vpc-endpoints",
            {
                "endpoint_service_id": service["id"],
                "vpc_id": ids["vpcs"]["globex-vpc"]["vpc_id"],
                "subnet_id": ids["subnets"]["globex-vpc/apps"]["subnet_id"],
                "port_ip": address,
            },
        )
        return globex.until(f"vpc-endpoints/{endpoint['id']}", "accepted")

    def clean_up(self) -> None:
        """End everything that the test started, whatever state it is in."""
        for process in self.started:
            process.kill()
            process.wait(10)
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()
        for server in (*self.agents, *([] if self.process is None else [self.process])):
            if server.poll() is None:
                server.kill()
                server.wait(10)
        self.last_words = self.run("lab", "down", "--state", str(self.state)).stderr


class Talk:
    """A TCP connection from the client's host, which says what it was answered."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        assert process.stdin is not None
        assert process.stdout is not None
        self._stdin, self._stdout = process.stdin, process.stdout
        self.seen_source = self._stdout.readline().strip()

    def say(self, text: str) -> str:
        """Send a line; return the backend's echo, empty if the connection is dead."""
        try:
            self._stdin.write(text + "\n")
            self._stdin.flush()
        except BrokenPipeError:
            return ""
        return self._stdout.readline().strip()


@dataclass
class HttpTenant:
    """A client with a token."""

    base: str
    token: str = field(repr=False)

    def send(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"X-Auth-Token": self.token, "Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.base}/{path}", data, headers, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def until(self, path: str, status: str) -> Any:
        deadline = time.monotonic() + 10
        while (found := self.send("GET", path))["status"] != status:
            assert time.monotonic() < deadline, f"{path} stays {found}"
            time.sleep(0.005)
        return found


def envoy_of(deployment: Deployment) -> int:
    """Return the process id of a deployment's proxy, as the machine sees it."""
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0].endswith(b"/envoy") and any(str(deployment.state).encode() in word for word in words):
            return int(process.name)
    raise AssertionError(f"no proxy of {deployment.state} runs")


def _root_prefix() -> list[str]:
    if not is_privileged():
        # Not silent: pytest prints it. What ordinary users can do is tested by the same test's `user` variant.
        pytest.skip("only root can use the machine's own /run/netns")
    return []


@pytest.fixture(scope="session")
def user_prefix(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What makes a command run as an ordinary user."""
    prefix = as_an_ordinary_user(tmp_path_factory.mktemp("aside"))
    probe = subprocess.run([*prefix, LANDBRIDGE, "--version"], check=False, capture_output=True, text=True)
    assert probe.returncode == 0, f"an ordinary user cannot run {LANDBRIDGE}: {probe.stderr}"
    return prefix


@pytest.fixture
def new_deployment(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest, user_prefix: list[str]
) -> Iterator[Callable[..., Deployment]]:
    """Make deployments of one kind of user; they are gone after the test."""
    kind: str = getattr(request, "param", "user")
    made: list[Deployment] = []

    def make(region: str = f"e2e-{os.getpid()}") -> Deployment:
        prefix = _root_prefix() if kind == "root" else user_prefix
        home = Path(f"/tmp/landbridge-e2e-{os.getpid()}-{len(made)}-{time.monotonic_ns()}")  # noqa: S108 - open to nobody
        home.mkdir(mode=0o700)
        deployment = Deployment(prefix, home, region, tmp_path_factory.mktemp("log") / "serve.log")
        deployment.lab.write_text(LAB.format(region=region))
        if prefix:
            for path in (home, deployment.lab):
                os.chown(path, NOBODY, NOBODY)
        made.append(deployment)
        return deployment

    yield make
    for deployment in made:
        deployment.clean_up()
        shutil.rmtree(deployment.home, ignore_errors=True)
    # The next test would find their names taken.
    left = [path for deployment in made for path in Path("/run/netns").glob(f"lb.{deployment.region}.*")]
    assert not left, [deployment.last_words for deployment in made]


@pytest.fixture
def deployment(new_deployment: Callable[..., Deployment]) -> Deployment:
    return new_deployment()


as_root_and_user = pytest.mark.parametrize("new_deployment", ["root", "user"], indirect=True)
as_user = pytest.mark.parametrize("new_deployment", ["user"], indirect=True)
"""For what is the same whoever runs the server: conformance shows each promise as root, too."""
