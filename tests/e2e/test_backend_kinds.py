"""Services behind a virtual IP and behind a load balancer, through a real server."""

import time
from collections.abc import Callable
from typing import Any

from tests.e2e.deployment import ECHO, Deployment, as_root_and_user

LAB = """\
region: {region}
projects:
  - name: acme
    users: [{{name: acme-admin, password: acme-password}}]
  - name: globex
    users: [{{name: globex-admin, password: globex-password}}]
vpcs:
  - name: acme-vpc
    project: acme
    cidr: 10.0.0.0/16
    subnets:
      - name: web
        cidr: 10.0.0.0/24
        hosts:
          - {{name: web-1, ip: 10.0.0.20, vips: [10.0.0.30]}}
          - {{name: web-2, ip: 10.0.0.21}}
          - {{name: balancer, ip: 10.0.0.22}}
  - name: globex-vpc
    project: globex
    cidr: 10.0.0.0/16
    subnets:
      - name: apps
        cidr: 10.0.0.0/24
        hosts: [{{name: client-1, ip: 10.0.0.10}}]
"""

# Says who it is, in the place where others say whom they see.
NAMED = ECHO.replace('f"{peer[0]}\\n"', 'f"{sys.argv[2]}\\n"')

BALANCER = """\
import itertools, socket, threading
server = socket.create_server(("", 80))
print("ready", flush=True)
def pump(one, other):
    while data := one.recv(65536):
        other.sendall(data)
    other.shutdown(socket.SHUT_WR)
for backend in itertools.cycle(["10.0.0.20", "10.0.0.21"]):
    client, _ = server.accept()
    behind = socket.create_connection((backend, 80))
    for pair in ((client, behind), (behind, client)):
        threading.Thread(target=pump, args=pair, daemon=True).start()
"""

# A gratuitous ARP as keepalived sends it when it takes an address over.
ANNOUNCE = """\
import socket, struct
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
wire.bind(("eth0", 0x0806))
mac, address = wire.getsockname()[4], socket.inet_aton("10.0.0.30")
arp = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + mac + address + bytes(6) + address
wire.send(b"\\xff" * 6 + mac + b"\\x08\\x06" + arp)
"""


def listening(deployment: Deployment, host: str, program: str, *words: str) -> None:
    process = deployment.start_on_host(host, "python3", "-c", program, *words)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"


def on_host(deployment: Deployment, host: str, *words: str) -> None:
    done = deployment.run(*deployment.on_host(host, *words)[len(deployment.command()) :])
    assert done.returncode == 0, done.stderr


def published(deployment: Deployment, address: str, **options: Any) -> None:
    endpoint = deployment.accepted_endpoint(address, **options)
    assert endpoint["ip"] == address


@as_root_and_user
def test_a_virtual_ip_is_followed_and_a_load_balancer_balances(new_deployment: Callable[..., Deployment]):
    deployment = new_deployment()
    deployment.lab.write_text(LAB.format(region=deployment.region))
    deployment.serve()
    ids = deployment.ids()
    for host in ("web-1", "web-2"):
        listening(deployment, host, NAMED, "80", host)
    listening(deployment, "balancer", BALANCER)

    published(deployment, "10.0.0.100", port_id=ids["vips"]["web-1/10.0.0.30"]["port_id"], server_type="VIP")
    published(deployment, "10.0.0.101", port_id=ids["hosts"]["balancer"]["port_id"], server_type="LB")

    assert deployment.talk("10.0.0.100", 8080).seen_source == "web-1"
    # Two would do, if the health probe did not take its turn now and then.
    assert {deployment.talk("10.0.0.101", 8080).seen_source for _ in range(4)} == {"web-1", "web-2"}

    on_host(deployment, "web-1", "ip", "address", "delete", "10.0.0.30/32", "dev", "eth0")
    on_host(deployment, "web-2", "ip", "address", "add", "10.0.0.30/32", "dev", "eth0")
    on_host(deployment, "web-2", "python3", "-c", ANNOUNCE)

    deadline = time.monotonic() + 10
    while deployment.talk("10.0.0.100", 8080).seen_source != "web-2":
        assert time.monotonic() < deadline, "the endpoint still leads to the host of before"
