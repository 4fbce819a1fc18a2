"""Every `openstack vpcep …` command of otcextensions against a live server, as people type it.

Each command is a process of its own and takes two seconds, so what a command stands on is made through the SDK, and
no command is there twice without a reason.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from openstack.connection import Connection

from tests.integration.live import Server
from tests.integration.otc import Backend, Network, make_backend, make_network, new_name, signed_in, until

# openstacksdk warns about parameters that it passes itself, and about its own defaults.
pytestmark = pytest.mark.filterwarnings("ignore::PendingDeprecationWarning:openstack.*")

OPENSTACK = str(Path(sys.executable).with_name("openstack"))
MAPPING = "client_port=8080,server_port=80,protocol=TCP"


@dataclass(frozen=True)
class Person:
    """A project's admin at a terminal, and with the SDK."""

    variables: dict[str, str]
    cloud: Connection

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run `openstack vpcep` with some words."""
        return subprocess.run(
            [OPENSTACK, "vpcep", *words],
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
            env=self.variables,
        )

    def does(self, *words: str) -> None:
        """Run a command that must succeed and has nothing to say."""
        done = self.run(*words)
        assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr

    def sees(self, *words: str) -> Any:
        """Run a command that must succeed; return what it prints as JSON."""
        done = self.run(*words, "-f", "json")
        assert done.returncode == 0, done.stdout + done.stderr
        return _without_empty(json.loads(done.stdout))


def _without_empty(printed: Any) -> Any:
    """Leave out the members of parts that the SDK adds and nobody fills, such as a tag's `location`."""
    if isinstance(printed, dict):
        return {name: _without_empty(value) for name, value in printed.items() if value is not None}
    return [_without_empty(value) for value in printed] if isinstance(printed, list) else printed


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home without settings of whoever runs the tests."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def acme(server: Server, home: Path) -> Iterator[Person]:
    with signed_in(server, "acme") as cloud:
        yield Person(server.openstack_variables("acme") | {"HOME": str(home)}, cloud)


@pytest.fixture(scope="module")
def globex(server: Server, home: Path) -> Iterator[Person]:
    with signed_in(server, "globex") as cloud:
        yield Person(server.openstack_variables("globex") | {"HOME": str(home)}, cloud)


@pytest.fixture(scope="module")
def backend(acme: Person) -> Backend:
    return make_backend(acme.cloud)


@pytest.fixture(scope="module")
def network(globex: Person) -> Network:
    return make_network(globex.cloud)


@pytest.fixture
def service(acme: Person, backend: Backend) -> Iterator[Any]:
    """A service that is available."""
    made = acme.cloud.vpcep.create_service(
        service_name=new_name("svc"),
        port_id=backend.port_id,
        router_id=backend.vpc_id,
        server_type="VM",
        ports=[{"client_port": 8080, "server_port": 80, "protocol": "TCP"}],
    )
    yield until(lambda: acme.cloud.vpcep.get_service(made.id), lambda found: found.status == "available")
    acme.cloud.vpcep.delete_service(made.id)


def test_a_service_is_created_shown_listed_changed_and_deleted_by_its_name(
    acme: Person, server: Server, backend: Backend
):
    made = acme.sees(
        "service", "create", "billing", "--port-id", backend.port_id, "--router-id", backend.vpc_id,
        "--server-type", "lb", "--service-type", "interface", "--ports", MAPPING, "--tcp-proxy", "close",
        "--ports", "client_port=443,server_port=8443,protocol=TCP", "--tags", "key=team,value=fin",
    )  # fmt: skip
    known = until(lambda: acme.cloud.vpcep.get_service(made["id"]), lambda found: found.status == "available")
    service_name = f"lab-1.billing.{known.id}"
    assert made == {
        "id": known.id,
        "service_name": service_name,
        "service_type": "interface",
        "server_type": "LB",
        "status": "creating",
        "port_id": backend.port_id,
        "router_id": backend.vpc_id,
        "project_id": server.project_id("acme"),
        "domain_id": server.domain_id("acme"),
        "pool_id": known.pool_id,
        "is_approval_enabled": True,
        "connection_count": 0,
        "description": "",
        "tcp_proxy": "close",
        "ports": [
            {"client_port": 8080, "server_port": 80, "protocol": "TCP"},
            {"client_port": 443, "server_port": 8443, "protocol": "TCP"},
        ],
        "tags": [{"key": "team", "value": "fin"}],
        "created_at": known.created_at,
        "updated_at": known.updated_at,
    }
    assert acme.sees("service", "show", service_name) == made | {"status": "available"}
    listed = acme.sees(
        "service", "list", "--name", "billing", "--id", known.id, "--status", "available",
        "--sort-key", "created_at", "--sort-dir", "desc", "--limit", "5",
    )  # fmt: skip
    assert listed == [
        {
            "Id": known.id,
            "Service Name": service_name,
            "Service Type": "interface",
            "Server Type": "LB",
            "Connection Count": 0,
            "Status": "available",
        }
    ]
    changed = acme.sees(
        "service", "update", service_name, "--name", "bills", "--disable-approval",
        "--ports", "client_port=9090,server_port=90,protocol=TCP", "--tcp-proxy", "close",
    )  # fmt: skip
    assert changed == made | {
        "service_name": f"lab-1.bills.{known.id}",
        "status": "available",
        "is_approval_enabled": False,
        "ports": [{"client_port": 9090, "server_port": 90, "protocol": "TCP"}],
        "updated_at": changed["updated_at"],
    }
    acme.does("service", "delete", f"lab-1.bills.{known.id}")
    until(lambda: list(acme.cloud.vpcep.services(id=known.id)), lambda left: not left)


def test_domains_are_put_on_the_whitelist_of_a_service(acme: Person, server: Server, service: Any):
    domain = server.domain_id("globex")

    added = acme.sees("service", "whitelist", "set", service.service_name, domain, "*", "--add")

    assert added == [{"Permission": f"iam:domain::{domain}"}, {"Permission": "iam:domain::*"}]
    list(acme.cloud.vpcep.manage_service_whitelist(service, "remove", ["*"]))
    listed = acme.sees(
        "service", "whitelist", "list", service.service_name, "--sort-key", "created_at", "--sort-dir", "asc",
        "--limit", "5",
    )  # fmt: skip
    (known,) = acme.cloud.vpcep.service_whitelist(service)
    assert listed == [{"Id": known.id, "Permission": f"iam:domain::{domain}", "Created At": known.created_at}]


def test_an_endpoint_is_created_accepted_rejected_and_deleted(
    acme: Person, globex: Person, server: Server, service: Any, network: Network
):
    list(acme.cloud.vpcep.manage_service_whitelist(service, "add", ["*"]))
    made = globex.sees(
        "endpoint", "create", "--service-id", service.id, "--router-id", network.vpc_id,
        "--network-id", network.subnet_id, "--port-ip", "192.168.0.77", "--enable-dns", "--enable-whitelist",
        "--whitelist", "192.168.0.0/24", "192.168.1.9", "--tags", "key=team,value=shop",
        "--specification-name", "default", "--description", "For the shop",
    )  # fmt: skip
    known = globex.cloud.vpcep.get_endpoint(made["id"])
    assert made == {
        "id": known.id,
        "status": "pendingAcceptance",
        "active_status": ["active"],
        "is_enabled": True,
        "service_type": "interface",
        "specification_name": "default",
        "endpoint_service_id": service.id,
        "endpoint_service_name": service.service_name,
        "endpoint_pool_id": service.pool_id,
        "router_id": network.vpc_id,
        "network_id": network.subnet_id,
        "project_id": server.project_id("globex"),
        "port_ip": "192.168.0.77",
        "marker_id": known.marker_id,
        "is_dns_enabled": True,
        "is_whitelist_enabled": True,
        "whitelist": ["192.168.0.0/24", "192.168.1.9"],
        "route_tables": [],
        "tags": [{"key": "team", "value": "shop"}],
        "description": "For the shop",
        "created_at": known.created_at,
        "updated_at": known.updated_at,
    }
    connections = acme.sees(
        "service", "connection", "list", service.service_name, "--id", known.id,
        "--marker-id", str(known.marker_id), "--sort-key", "created_at", "--sort-dir", "desc", "--limit", "5",
    )  # fmt: skip
    connection = {
        "Id": known.id,
        "Domain Id": server.domain_id("globex"),
        "Status": "pendingAcceptance",
        "Created At": known.created_at,
        "Updated At": known.updated_at,
    }
    assert connections == [connection]

    (accepted,) = acme.sees("service", "connection", "set", service.service_name, known.id, "--accept")

    assert accepted["Status"] in {"creating", "accepted"}
    known = until(lambda: globex.cloud.vpcep.get_endpoint(known.id), lambda found: found.status == "accepted")
    assert globex.sees("endpoint", "show", known.id) == made | {
        "status": "accepted",
        "ip": "192.168.0.77",
        "dns_names": [f"vpcep-{known.id}.lab-1.landbridge.internal"],
        "updated_at": known.updated_at,
    }
    (rejected,) = acme.sees("service", "connection", "set", service.id, known.id, "--reject")
    assert rejected == connection | {"Status": "rejected", "Updated At": rejected["Updated At"]}
    listed = globex.sees(
        "endpoint", "list", "--service-name", service.service_name, "--id", known.id,
        "--sort-key", "updated_at", "--sort-dir", "asc", "--limit", "5",
    )  # fmt: skip
    assert listed == [
        {"Id": known.id, "Endpoint Service Name": service.service_name, "Status": "rejected", "Is Enabled": True}
    ]
    globex.does("endpoint", "delete", known.id)
    until(lambda: list(globex.cloud.vpcep.endpoints(id=known.id)), lambda left: not left)


def test_the_quotas_of_a_project_are_listed(globex: Person):
    (quota,) = globex.sees("quota", "list", "--type", "endpoint_service")

    (known,) = globex.cloud.vpcep.resource_quota("endpoint_service")
    assert quota == {"Type": "endpoint_service", "Quota": 1000, "Used": known.used}


def test_a_refusal_makes_the_command_fail_and_says_why(acme: Person, backend: Backend, service: Any):
    refused = acme.run(
        "service", "create", "another", "--port-id", backend.port_id, "--router-id", backend.vpc_id,
        "--server-type", "VM", "--ports", MAPPING,
    )  # fmt: skip

    assert refused.returncode == 1
    assert f"another endpoint service on port_id {service.port_id} has server_port 80" in refused.stderr
