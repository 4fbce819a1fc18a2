"""Run our API process on either database, with what the requests need, and say what the requests are.

What is measured is one process that answers and, with PostgreSQL, the server behind it. An agent makes the lab and
brings the services about that are connected to; then it is ended, so that nothing but answers is measured.
"""

import contextlib
import hashlib
import hmac
import http.client
import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Generator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.benchmarks.api_load import Request, Target
from tests.benchmarks.background import answers, free_port, in_background
from tests.benchmarks.crowd_rows import CrowdFacts, insert_endpoints
from tests.benchmarks.failures import BenchmarkBroken
from tests.benchmarks.processes import LANDBRIDGE, START_SECONDS
from tests.benchmarks.tenants import Tenant
from tests.postgresql import running_postgresql

CREATE, SHOW, LIST, LIST_FAR, CONNECT, ACCEPT = (
    "create service",
    "show service",
    "list 100",
    "list 100 from the middle",
    "create endpoint",
    "accept",
)
SIGNED_SHOW, SIGN_IN = "show service signed", "sign in with a password"
SQLITE, POSTGRESQL = "sqlite", "postgresql"
_ACCESS_KEY, _SECRET_KEY = "BENCHKEY", b"bench-secret"
_USER = f"name: acme-admin, password: acme-password, access_key: {_ACCESS_KEY}, secret_key: {_SECRET_KEY.decode()}"
_LAB = f"""\
region: bench-api
projects:
  - name: acme
    users: [{{{_USER}}}]
    quotas: {{endpoint_service: 1000000}}
  - name: globex
    users: [{{name: globex-admin, password: globex-password}}]
    quotas: {{endpoint: 1000000}}
  - name: crowd
    users: [{{name: crowd-admin, password: crowd-password}}]
vpcs:
  - name: acme-vpc
    project: acme
    cidr: 10.0.0.0/16
    subnets:
      - {{name: web, cidr: 10.0.0.0/24, hosts: [{{name: backend, ip: 10.0.0.20}}]}}
  - name: globex-vpc
    project: globex
    cidr: 10.0.0.0/15
    subnets:
      - {{name: apps, cidr: 10.0.0.0/16, hosts: [{{name: client, ip: 10.0.0.10}}]}}
"""
_SETTINGS = """\
driver = "memory"
metrics_listen = "none"
rate_requests_per_second = 0
"""
_JSON = {"Content-Type": "application/json"}
_DURABLE = {"fsync": "on", "full_page_writes": "on", "shared_buffers": "128MB", "max_wal_size": "1GB"}
"""As the package ships it."""


@contextlib.contextmanager
def ours(database: str, crowd_count: int) -> Generator[Target]:
    """Run an API process on a fresh database of this kind, with so many endpoints of one project in it."""
    with contextlib.ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="landbridge-bench-api-")))
        url = ""
        if database == POSTGRESQL:
            server = stack.enter_context(running_postgresql(**_DURABLE))
            url = server.url(server.new_database())
        lab, settings, log = home / "lab.yaml", home / "landbridge.toml", home / "log"
        lab.write_text(_LAB)
        settings.write_text(_SETTINGS + (f'database = "{url}"\n' if url else ""))
        place = ["--config", str(settings), "--state", str(home / "state")]
        port = free_port()
        with in_background([LANDBRIDGE, "agent", *place, "--lab", str(lab)], log) as agent:
            _wait_until(lambda: "server.ready" in log.read_text(errors="replace"), agent, log)
            command = [LANDBRIDGE, "api", *place, "--listen", f"127.0.0.1:{port}"]
            api = stack.enter_context(in_background(command, home / "api.log"))
            _wait_until(lambda: answers(port), api, home / "api.log")
            shown = subprocess.run([LANDBRIDGE, "lab", "show", "--lab", lab, "--json"], check=True, capture_output=True)
            prepared = _Prepared(port, json.loads(shown.stdout))
            agent.kill()
        crowd_ids = insert_endpoints(
            url or f"sqlite:///{home / 'state' / 'landbridge.sqlite3'}", prepared.crowd_facts(), crowd_count
        )
        yield Target(database, port, home, prepared.requests(crowd_count // 2), {ACCEPT: crowd_ids})


class _Prepared:
    """Services to show and to connect to, and everybody's tokens."""

    def __init__(self, port: int, ids: Any) -> None:
        self._port = port
        self._ids = ids
        self._tokens = {project: self._sign_in(project) for project in ids["projects"]}
        self._provider = Tenant(port, self._project("acme"), self._tokens["acme"])
        with contextlib.closing(self._provider):
            self._shown = self._publish(1)
            self._open = self._publish(2, approval_enabled=False)
            self._asking = self._publish(3)

    def crowd_facts(self) -> CrowdFacts:
        """Return whose endpoints there shall be many of, and which service they wait for."""
        return CrowdFacts(self._project("crowd"), self._asking["id"], self._asking["service_name"])

    def requests(self, middle: int) -> Mapping[str, Request]:
        """Return what is measured; `middle` is the offset of the far page."""
        provider, consumer, crowd = ({"X-Auth-Token": self._tokens[project]} for project in ("acme", "globex", "crowd"))
        services, endpoints = f"/v1/{self._project('acme')}/vpc-endpoint-services", "vpc-endpoints"
        shown = f"{services}/{self._shown['id']}"
        many = f"/v1/{self._project('crowd')}/{endpoints}?limit=100"
        # The generator puts the number in; as JSON it is no number yet.
        service = json.dumps(self._service_body("{number}", approval_enabled=True)).replace('"{number}"', "{number}")
        endpoint = {
            "endpoint_service_id": self._open["id"],
            "vpc_id": self._ids["vpcs"]["globex-vpc"]["vpc_id"],
            "subnet_id": self._ids["subnets"]["globex-vpc/apps"]["subnet_id"],
        }
        action = f"{services}/{self._asking['id']}/connections/action"
        return {
            CREATE: Request("POST", services, provider | _JSON, service),
            SHOW: Request("GET", shown, provider),
            LIST: Request("GET", many, crowd),
            LIST_FAR: Request("GET", f"{many}&offset={middle}", crowd),
            CONNECT: Request(
                "POST", f"/v1/{self._project('globex')}/{endpoints}", consumer | _JSON, json.dumps(endpoint)
            ),
            ACCEPT: Request("POST", action, provider | _JSON, '{"action": "receive", "endpoints": ["{line}"]}'),
            SIGNED_SHOW: Request("GET", shown, signature(shown, datetime.now(UTC))),
            SIGN_IN: Request("POST", "/v3/auth/tokens", _JSON, self._sign_in_body("acme")),
        }

    def _project(self, name: str) -> str:
        return self._ids["projects"][name]["project_id"]

    def _sign_in_body(self, project: str) -> str:
        user = {"name": f"{project}-admin", "password": f"{project}-password", "domain": {"name": project}}
        identity = {"methods": ["password"], "password": {"user": user}}
        return json.dumps({"auth": {"identity": identity, "scope": {"project": {"id": self._project(project)}}}})

    def _sign_in(self, project: str) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        with contextlib.closing(connection):
            connection.request("POST", "/v3/auth/tokens", self._sign_in_body(project), _JSON)
            answer = connection.getresponse()
            if answer.status != 201:
                raise BenchmarkBroken(f"the login was answered {answer.status}: {answer.read().decode()}")
            return answer.headers["X-Subject-Token"]

    def _publish(self, server_port: int, *, approval_enabled: bool = True) -> Any:
        body = self._service_body(server_port, approval_enabled=approval_enabled)
        service_id = self._provider.call("POST", "vpc-endpoint-services", body)["id"]
        path = f"vpc-endpoint-services/{service_id}"
        self._provider.call("POST", f"{path}/permissions/action", {"action": "add", "permissions": ["*"]})
        return self._provider.poll(path, "available")

    def _service_body(self, server_port: int | str, *, approval_enabled: bool) -> Mapping[str, Any]:
        return {
            "port_id": self._ids["hosts"]["backend"]["port_id"],
            "vpc_id": self._ids["vpcs"]["acme-vpc"]["vpc_id"],
            "server_type": "VM",
            "approval_enabled": approval_enabled,
            "ports": [{"client_port": 80, "server_port": server_port}],
        }


def signature(path: str, at: datetime) -> Mapping[str, str]:
    """Return the headers that sign a GET with SDK-HMAC-SHA256; they are good for some minutes (contract 8.2)."""
    headers = {"host": "bench.example", "x-sdk-date": at.strftime("%Y%m%dT%H%M%SZ")}
    names = ";".join(headers)
    lines = ["GET", f"{path}/", "", *(f"{name}:{value}" for name, value in headers.items()), "", names]
    canonical = "\n".join([*lines, hashlib.sha256().hexdigest()])
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    to_sign = f"SDK-HMAC-SHA256\n{headers['x-sdk-date']}\n{digest}"
    proof = hmac.digest(_SECRET_KEY, to_sign.encode(), "sha256").hex()
    value = f"SDK-HMAC-SHA256 Access={_ACCESS_KEY}, SignedHeaders={names}, Signature={proof}"
    return {"Host": headers["host"], "X-Sdk-Date": headers["x-sdk-date"], "Authorization": value}


def _wait_until(holds: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not holds():
        if process.poll() is not None or time.monotonic() > deadline:
            raise BenchmarkBroken(f"a server did not start: {log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.02)
