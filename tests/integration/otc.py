"""Be a tenant of the live server with otcextensions, and have networks of one's own there.

Tests make a VPC and a backend of their own: two services on one port of a lab's host would be in each other's way.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from openstack.connection import Connection
from otcextensions.sdk import register_otc_extensions

from tests.integration.live import Server

WAIT_SECONDS = 30


@contextmanager
def signed_in(server: Server, project: str) -> Iterator[Connection]:
    """Sign in as a project's admin; the server is found in the catalogue."""
    account = server.openstack_variables(project)
    auth = {
        "auth_url": account["OS_AUTH_URL"],
        "username": account["OS_USERNAME"],
        "password": account["OS_PASSWORD"],
        "project_name": account["OS_PROJECT_NAME"],
        "user_domain_name": account["OS_USER_DOMAIN_NAME"],
        "project_domain_name": account["OS_PROJECT_DOMAIN_NAME"],
    }
    connection = Connection(auth=auth, region_name=server.ids["region"])
    register_otc_extensions(connection)
    try:
        yield connection
    finally:
        connection.close()


@dataclass(frozen=True)
class Network:
    """A VPC ("router") and its only subnet ("network")."""

    vpc_id: str
    subnet_id: str


@dataclass(frozen=True)
class Backend:
    """A NIC that listens for a service, and the VPC that it is in."""

    vpc_id: str
    port_id: str


def make_network(connection: Connection) -> Network:
    """Make a VPC with a subnet, 192.168.0.0/24."""
    name = new_name("net")
    vpc = connection.vpc.create_vpc(name=name, cidr="192.168.0.0/16")
    subnet = connection.vpc.create_subnet(name=name, vpc_id=vpc.id, cidr="192.168.0.0/24", gateway_ip="192.168.0.1")
    return Network(vpc.id, subnet.id)


def make_port(connection: Connection, network: Network) -> str:
    """Make a NIC in a network; return its id. otcextensions leaves ports to Neutron, so this is the plain request."""
    answer = connection.vpcep.post("/ports", json={"port": {"network_id": network.subnet_id, "name": new_name("nic")}})
    assert answer.status_code == 200, answer.text
    return answer.json()["port"]["id"]


def make_backend(connection: Connection) -> Backend:
    """Make a NIC in a VPC of its own."""
    network = make_network(connection)
    return Backend(network.vpc_id, make_port(connection, network))


def new_name(prefix: str) -> str:
    """Return a name that nobody has, short enough for a service."""
    return prefix + uuid4().hex[:8]


def until(look: Callable[[], Any], is_right: Callable[[Any], Any]) -> Any:
    """Look until what is found is right, and return it."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not is_right(found := look()):
        assert time.monotonic() < deadline, found
        time.sleep(0.02)
    return found
