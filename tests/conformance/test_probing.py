"""Backends are probed as consumers' packets would go, and what became of a probe is told apart."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from conformance.linux_plane import LinuxPlane
from conformance.topology import CLOSED_PORT
from conformance.world import World
from landbridge.dataplane.health import CONNECT_SECONDS, Cause, Probe, Result
from landbridge.dataplane.model import PROBE_ADDRESS, Target
from landbridge.domain.resources import TcpProxy
from landbridge.drivers.linux.probing import HubProber

pytestmark = pytest.mark.linux_only

NOBODYS = IPv4Address("10.0.0.99")
DROPPING = """\
table ip lbt_silence {
	chain take { type filter hook input priority filter; policy accept; tcp dport 9000 drop; }
}
"""
READER = """\
import socket, sys
server = socket.create_server(("", int(sys.argv[1])))
print("ready", flush=True)
connection, peer = server.accept()
data = b""
while more := connection.recv(1024):
    data += more
print(peer[0], data.hex() or "-", flush=True)
"""


@pytest.fixture
def linux(plane: LinuxPlane) -> LinuxPlane:
    return plane


@pytest.fixture
def prober(linux: LinuxPlane) -> Iterator[HubProber]:
    made = HubProber(linux._namespaces, linux._instance, linux._region)
    yield made
    made.close()


def probe_of(service: Target, port: int, mode: TcpProxy = TcpProxy.CLOSE) -> Probe:
    attachment = service.attachment
    return Probe(attachment.vpc_id, attachment.subnet_id, service.address, service.transit_address, port, mode)


async def test_a_backend_that_takes_the_connection_is_passing(world: World, prober: HubProber):
    service = world.service("blue-backend", 80)
    world.wire(service)

    result = await prober.probe(probe_of(service, 80), CONNECT_SECONDS)

    assert result.cause is None
    assert result.latency_seconds is not None
    assert 0 < result.latency_seconds < CONNECT_SECONDS


@pytest.mark.parametrize(
    ("mode", "first_bytes"), [(TcpProxy.CLOSE, "-"), (TcpProxy.PROXY_OPEN, "0d0a0d0a000d0a515549540a20000000")]
)
async def test_a_backend_sees_the_reserved_source_and_the_header_that_it_expects(
    world: World, linux: LinuxPlane, prober: HubProber, mode: TcpProxy, first_bytes: str
):
    service = world.service("blue-backend", 6000)
    world.wire(service)
    path = linux._namespaces.path(linux.namespace_of("blue-backend"))
    command = ["nsenter", f"--net={path}", sys.executable, "-c", READER, "6000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as backend:  # noqa: ASYNC220 — it is quick
        try:
            assert backend.stdout is not None
            assert backend.stdout.readline() == "ready\n"

            result = await prober.probe(probe_of(service, 6000, mode), CONNECT_SECONDS)

            assert result.cause is None
            seen = backend.stdout.readline().split()
        finally:
            backend.kill()
    # Where backends have no way back to transit addresses, they see the edge.
    assert seen == [str(PROBE_ADDRESS), first_bytes]


async def test_a_closed_port_refuses(world: World, prober: HubProber):
    service = world.service("blue-backend", CLOSED_PORT)
    world.wire(service)

    assert await prober.probe(probe_of(service, CLOSED_PORT), CONNECT_SECONDS) == Result(Cause.REFUSED)


async def test_a_backend_that_drops_packets_is_silent(world: World, linux: LinuxPlane, prober: HubProber):
    service = world.service("blue-backend", 9000)
    world.wire(service)
    host = linux.namespace_of("blue-backend")
    linux.run_inside(host, ["nft", "-f", "-"], DROPPING)
    try:
        result = await prober.probe(probe_of(service, 9000), 0.5)
    finally:
        linux.run_inside(host, ["nft", "delete", "table", "ip", "lbt_silence"])

    assert result == Result(Cause.SILENT)


async def test_an_address_that_nobody_has_is_unreachable(world: World, prober: HubProber):
    service = replace(world.service("blue-backend", 80), address=NOBODYS)
    world.wire(service)

    assert await prober.probe(probe_of(service, 80), 0.5) == Result(Cause.UNREACHABLE)


async def test_what_is_not_published_is_not_reached_by_probes_either(world: World, prober: HubProber):
    service = world.service("blue-backend", 80)
    world.wire(service)

    on_another_port = await prober.probe(probe_of(service, 9000), 0.5)
    world.unwire(service)
    after_its_end = await prober.probe(probe_of(service, 80), 0.5)

    assert on_another_port.cause is Cause.REFUSED
    assert after_its_end.cause is Cause.AWAY
    assert after_its_end.detail


async def test_another_instance_cannot_probe(world: World, linux: LinuxPlane):
    service = world.service("blue-backend", 80)
    world.wire(service)
    stranger = HubProber(linux._namespaces, "somebody-else", linux._region)

    result = await stranger.probe(probe_of(service, 80), 0.5)

    assert result.cause is Cause.AWAY


async def test_without_a_hub_nothing_is_known(world: World, linux: LinuxPlane):
    nowhere = HubProber(linux._namespaces, linux._instance, "no-such-region")

    assert await nowhere.probe(probe_of(world.service("blue-backend", 80), 80), 0.5) == Result(
        Cause.AWAY, detail="there is no hub"
    )
