"""A server on a machine whose networks are somebody else's: bridges, hosts and routers that know nothing of it.

The machine is a network namespace, so that its bridges are in the server's own namespace, as on a real one.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

from landbridge.drivers.linux.namespaces import CLONE_NEWNET, setns
from tests.e2e.deployment import ECHO, TALK, Deployment, HttpTenant, Talk

T = TypeVar("T")

pytestmark = pytest.mark.parametrize("new_deployment", ["root"], indirect=True)

ATTACHMENTS = """
[[attachments]]
subnet = "{acme}"
bridge = "br-acme"
edge = "10.0.0.5"
return = "{way_back}"

[[attachments]]
subnet = "{globex}"
bridge = "br-globex"
edge = "10.0.0.5"
"""


def ip(*words: str) -> str:
    done = subprocess.run(["ip", *words], check=False, capture_output=True, text=True, timeout=10)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"
    return done.stdout


@dataclass
class Machine:
    """A network namespace with two bridges, a host and a router on each; and a server in it."""

    deployment: Deployment
    name: str
    namespaces: list[str] = field(default_factory=list)
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "machine", self._enter)
        self._make(self.name)
        ip("-n", self.name, "link", "set", "lo", "up")
        for network, host, address in (("acme", "web-1", "10.0.0.20"), ("globex", "client-1", "10.0.0.10")):
            ip("-n", self.name, "link", "add", f"br-{network}", "type", "bridge")
            ip("-n", self.name, "link", "set", f"br-{network}", "up")
            self._plug(f"{network}-router", network, "10.0.0.1/24")
            self._plug(host, network, f"{address}/24")
            ip("-n", self.namespace_of(host), "route", "add", "default", "via", "10.0.0.1")
            router = self.namespace_of(f"{network}-router")
            ip("netns", "exec", router, "sysctl", "-qw", "net.ipv4.ip_forward=1")
            ip("-n", router, "route", "add", "198.19.128.0/17", "via", "10.0.0.5")

    def _enter(self) -> None:
        with Path("/run/netns", self.name).open() as namespace:
            setns(namespace.fileno(), CLONE_NEWNET)

    def _make(self, name: str) -> None:
        self.namespaces.append(name)
        ip("netns", "add", name)

    def _plug(self, host: str, network: str, address: str) -> None:
        self._make(self.namespace_of(host))
        port = f"to-{host}"[:15]
        peer = ("peer", "name", "eth0", "netns", self.namespace_of(host))
        ip("-n", self.name, "link", "add", port, "type", "veth", *peer)
        ip("-n", self.name, "link", "set", port, "master", f"br-{network}", "up")
        for words in (
            ("link", "set", "lo", "up"),
            ("link", "set", "eth0", "up"),
            ("address", "add", address, "dev", "eth0"),
        ):
            ip("-n", self.namespace_of(host), *words)

    def namespace_of(self, host: str) -> str:
        return f"{self.name}-{host}"

    def run(self, work: Callable[[], T]) -> T:
        """Do something as somebody who is logged in to the machine."""
        return self._thread.submit(work).result(60)

    def configure(self, text: str) -> list[str]:
        """Write the settings file; return the options that name it."""
        path = self.deployment.home / "landbridge.toml"
        path.write_text(text)
        return ["--config", str(path)]

    def attachments(self, way_back: str = "route") -> str:
        subnets = self.deployment.ids()["subnets"]
        acme, globex = (subnets[name]["subnet_id"] for name in ("acme-vpc/web", "globex-vpc/apps"))
        return ATTACHMENTS.format(acme=acme, globex=globex, way_back=way_back)

    def start_on(self, host: str, *words: str) -> subprocess.Popen[str]:
        command = ["ip", "netns", "exec", self.namespace_of(host), *words]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.started.append(process)
        return process

    def start_backend(self) -> None:
        backend = self.start_on("web-1", "python3", "-c", ECHO, "80")
        assert backend.stdout is not None
        assert backend.stdout.readline() == "ready\n"

    def talk(self, address: str, port: int) -> Talk:
        return Talk(self.start_on("client-1", "python3", "-c", TALK, address, str(port), "5"))

    def ports(self) -> list[Any]:
        """Return the machine's interfaces that are Landbridge's."""
        links = json.loads(ip("-n", self.name, "-j", "link", "show"))
        return [link for link in links if link.get("ifalias", "").startswith("landbridge ")]

    def clean_up(self) -> None:
        for process in self.started:
            process.kill()
            process.wait(10)
            for stream in (process.stdin, process.stdout):
                assert stream is not None
                stream.close()
        process = self.deployment.process
        if process is not None and process.poll() is None:
            process.kill()
            process.wait(10)
        self.run(lambda: self.deployment.run("lab", "down", "--state", str(self.deployment.state)))
        self.run(lambda: self.deployment.run("detach", "--state", str(self.deployment.state)))
        self._thread.shutdown()
        for name in self.namespaces:
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


@pytest.fixture
def machine(new_deployment: Callable[..., Deployment]) -> Iterator[Machine]:
    made = Machine(new_deployment(f"e2e-att-{os.getpid()}"), f"lbt-att-{os.getpid()}")
    yield made
    made.clean_up()


def test_traffic_between_attached_networks_outlives_the_server_until_they_are_detached(machine: Machine):
    deployment, options = machine.deployment, machine.configure(machine.attachments())
    machine.start_backend()
    machine.run(lambda: deployment.serve("--keep", *options))
    assert {port["master"] for port in machine.ports()} == {"br-acme", "br-globex"}
    endpoint = machine.run(deployment.accepted_endpoint)
    connection = machine.talk("10.0.0.100", 8080)
    assert connection.seen_source.startswith("198.19.")

    machine.run(lambda: deployment.stop(signal.SIGKILL))
    assert connection.say("killed") == "killed"
    before = machine.ports()
    machine.run(lambda: deployment.serve("--keep", *options))
    assert machine.ports() == before
    assert machine.run(deployment.stop) == 0
    (deployment.state / "lab.json").unlink()  # as if its networks had been made through the API

    machine.run(lambda: deployment.serve_without_lab(*options))
    assert machine.run(deployment.stop) == 0
    assert connection.say("ended") == "ended"
    assert machine.talk("10.0.0.100", 8080).seen_source == connection.seen_source
    assert endpoint["ip"] == "10.0.0.100"

    detached = machine.run(lambda: deployment.run("detach", "--state", str(deployment.state)))
    assert (detached.returncode, detached.stderr) == (0, "")
    assert machine.ports() == []
    assert f"lb.{deployment.region}.edge." not in ip("netns", "list")


@dataclass
class Project:
    """A project made by command, and what its tenant made through the VPC API."""

    tenant: HttpTenant
    vpc_id: str
    subnet_id: str
    port_id: str


def made_by_command(deployment: Deployment, name: str, address: str) -> Project:
    """Describe one of the machine's networks to the server, the way a tenant does."""
    state = ("--state", str(deployment.state))
    user = ("user", "create", f"{name}-admin", "--project", name, "--password-stdin")
    for words in (("project", "create", name), user):
        done = deployment.run(*words, *state, "--json", input=f"{name}-password\n")
        assert done.returncode == 0, done.stderr
        if words[0] == "project":
            project_id = json.loads(done.stdout)["id"]
    tenant = deployment.tenant_of(name, project_id)
    vpc_id = tenant.send("POST", "vpcs", {"vpc": {"name": name, "cidr": "10.0.0.0/16"}})["vpc"]["id"]
    subnet = {"name": name, "cidr": "10.0.0.0/24", "gateway_ip": "10.0.0.1", "vpc_id": vpc_id}
    subnet_id = tenant.send("POST", "subnets", {"subnet": subnet})["subnet"]["id"]
    port = {"network_id": subnet_id, "fixed_ips": [{"ip_address": address}]}
    return Project(tenant, vpc_id, subnet_id, tenant.send("POST", "ports", {"port": port})["port"]["id"])


def test_networks_made_through_the_api_are_attached_as_soon_as_the_configuration_names_them(machine: Machine):
    deployment, region = machine.deployment, f'region = "{machine.deployment.region}"\n'
    options = machine.configure(region)
    machine.start_backend()
    machine.run(lambda: deployment.serve_without_lab(*options))
    acme = machine.run(lambda: made_by_command(deployment, "acme", "10.0.0.20"))
    globex = machine.run(lambda: made_by_command(deployment, "globex", "10.0.0.10"))
    service = {
        "port_id": acme.port_id,
        "vpc_id": acme.vpc_id,
        "server_type": "VM",
        "approval_enabled": False,
        "ports": [{"client_port": 8080, "server_port": 80}],
    }
    endpoint = {"vpc_id": globex.vpc_id, "subnet_id": globex.subnet_id, "port_ip": "10.0.0.100"}

    def publish() -> None:
        made = acme.tenant.send("POST", "vpc-endpoint-services", service)
        path = f"vpc-endpoint-services/{made['id']}"
        acme.tenant.send("POST", f"{path}/permissions/action", {"action": "add", "permissions": ["*"]})
        assert machine.ports() == []
        # Until an operator says how, nobody can reach the subnets.
        acme.tenant.until(path, "failed")
        assert deployment.process is not None
        machine.configure(region + ATTACHMENTS.format(acme=acme.subnet_id, globex=globex.subnet_id, way_back="route"))
        deployment.process.send_signal(signal.SIGHUP)
        acme.tenant.until(path, "available")
        wanted = globex.tenant.send("POST", "vpc-endpoints", {"endpoint_service_id": made["id"], **endpoint})
        globex.tenant.until(f"vpc-endpoints/{wanted['id']}", "accepted")

    machine.run(publish)

    assert machine.talk("10.0.0.100", 8080).seen_source.startswith("198.19.")


def test_the_edges_address_is_nobody_elses(machine: Machine):
    deployment = machine.deployment
    machine.run(lambda: deployment.serve(*machine.configure(machine.attachments())))

    with pytest.raises(OSError, match=r"400|409"):
        machine.run(lambda: deployment.accepted_endpoint("10.0.0.5"))


def test_attachments_are_read_again_on_sighup(machine: Machine):
    deployment = machine.deployment
    options = machine.configure("")
    machine.start_backend()
    machine.run(lambda: deployment.serve("--keep", *options))
    process = deployment.process
    assert process is not None
    assert machine.ports() == []

    machine.configure(machine.attachments("masquerade"))
    process.send_signal(signal.SIGHUP)
    _wait_until(lambda: len(machine.ports()) == 2, deployment)
    machine.run(deployment.accepted_endpoint)
    assert machine.talk("10.0.0.100", 8080).seen_source == "10.0.0.5"

    machine.configure(machine.attachments().replace("br-globex", "br-nowhere"))
    process.send_signal(signal.SIGHUP)
    _wait_until(lambda: "attachments.kept" in deployment.log.read_text(), deployment)
    assert len(machine.ports()) == 2

    machine.configure(machine.attachments())
    process.send_signal(signal.SIGHUP)
    _wait_until(lambda: machine.talk("10.0.0.100", 8080).seen_source.startswith("198.19."), deployment)

    machine.configure("")
    process.send_signal(signal.SIGHUP)
    _wait_until(lambda: machine.ports() == [], deployment)


EDGE = '"10.0.0.5"\nreturn'
MISTAKES = [
    ("br-acme", "br-nowhere", "has no bridge br-nowhere"),
    (EDGE, '"10.0.0.20"\nreturn', "belongs to nic"),
]


def test_an_attachment_that_cannot_be_is_refused_at_the_start(machine: Machine):
    deployment, text = machine.deployment, machine.attachments()

    def refusal(before: str, after: str) -> tuple[int, str]:
        assert before in text
        options = machine.configure(text.replace(before, after, 1))
        where = ("--state", str(deployment.state), "--listen", "127.0.0.1:0", "--lab", str(deployment.lab))
        done = machine.run(lambda: deployment.run("serve", *where, *options))
        return done.returncode, done.stderr

    for before, after, message in MISTAKES:
        status, said = refusal(before, after)
        assert status == 1, said
        assert message in said


def _wait_until(holds: Callable[[], bool], deployment: Deployment) -> None:
    deadline = time.monotonic() + 15
    while not holds():
        assert time.monotonic() < deadline, deployment.log.read_text()
        time.sleep(0.05)
