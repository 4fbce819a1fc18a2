from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from landbridge.dataplane.driver import DRIFTED, DriverError, Retry, finish
from landbridge.dataplane.fabric import Fabric, FabricSubnet, Host
from landbridge.dataplane.model import Attachment, Binding, PortForward, Target, digest
from landbridge.dataplane.plan import Ensure, Plan, Remove
from landbridge.domain.ids import EndpointId, ServiceId, SubnetId, VpcId
from landbridge.drivers.memory import Delivery, MemoryDriver, MemoryNetwork, Packet, Protocol, TcpFlag

RANGE, GATEWAY = IPv4Network("10.0.0.0/24"), IPv4Address("10.0.0.1")
RED = Attachment(VpcId("red"), SubnetId("red-web"), RANGE, GATEWAY, 1500)
BLUE = Attachment(VpcId("blue"), SubnetId("blue-web"), RANGE, GATEWAY, 1500)
CLIENT, BACKEND = IPv4Address("10.0.0.10"), IPv4Address("10.0.0.20")
SERVICE = Target(ServiceId("s1"), BLUE, BACKEND, IPv4Address("198.19.128.2"), (8080,))
ENDPOINT = Binding(
    EndpointId("e1"),
    RED,
    BLUE,
    address=IPv4Address("10.0.0.100"),
    transit_address=IPv4Address("198.19.128.3"),
    target_transit_address=SERVICE.transit_address,
    forwards=(PortForward(80, 8080),),
    marker=1,
    mtu=1500,
)
SYN = Packet(RED.subnet_id, CLIENT, 40000, ENDPOINT.address, 80)
SYN_ACK = Packet(BLUE.subnet_id, BACKEND, 8080, ENDPOINT.transit_address, 40000, flags=TcpFlag.SYN | TcpFlag.ACK)


def wired(*things: Target | Binding, network: MemoryNetwork | None = None) -> MemoryDriver:
    driver = MemoryDriver(network)
    assert driver.apply(Plan(tuple(map(Ensure, things)))) == {}
    return driver


def test_a_packet_to_an_endpoint_comes_out_at_the_backend_with_the_transit_address_as_its_source():
    network = wired(SERVICE, ENDPOINT).network

    assert network.send(SYN) == Delivery(
        "10.0.0.20", Packet(BLUE.subnet_id, ENDPOINT.transit_address, 40000, BACKEND, 8080)
    )


def test_the_answer_comes_back_from_the_endpoints_address():
    network = wired(SERVICE, ENDPOINT).network

    assert network.send(SYN_ACK) is None, "nobody has asked yet"
    network.send(SYN)

    assert network.send(SYN_ACK) == Delivery(
        "10.0.0.10",
        Packet(RED.subnet_id, ENDPOINT.address, 80, CLIENT, 40000, flags=TcpFlag.SYN | TcpFlag.ACK),
    )


def test_two_clients_with_one_source_port_get_two_behind_the_endpoint():
    network = wired(SERVICE, ENDPOINT).network
    neighbour = IPv4Address("10.0.0.11")

    first, second = network.send(SYN), network.send(replace(SYN, source=neighbour))

    assert first is not None
    assert second is not None
    assert first.packet.source_port == 40000
    assert second.packet.source_port != 40000
    back = network.send(replace(SYN_ACK, destination_port=second.packet.source_port))
    assert back is not None
    assert (back.packet.destination, back.packet.destination_port) == (neighbour, 40000)


def test_a_living_flow_is_cut_by_the_removal_and_not_revived_by_the_same_endpoint():
    driver = wired(SERVICE, ENDPOINT)
    acknowledgement = replace(SYN, flags=TcpFlag.ACK)
    driver.network.send(SYN)
    assert driver.network.send(acknowledgement) is not None

    driver.apply(Plan((Remove(ENDPOINT.id), Ensure(ENDPOINT))))

    assert driver.network.send(acknowledgement) is None
    assert driver.network.send(SYN) is not None


def test_icmp_to_an_endpoint_is_answered_by_the_edge_itself():
    network = wired(SERVICE, ENDPOINT).network
    echo = replace(SYN, protocol=Protocol.ICMP)

    answer = network.send(echo)

    assert answer is not None
    assert answer.host is None
    assert network.send(replace(echo, destination=GATEWAY)) is None


def test_with_a_fabric_only_its_hosts_get_packets_by_all_their_addresses():
    virtual = IPv4Address("10.0.0.30")
    host = Host("web", "ns-web", BACKEND, virtual_addresses=(virtual,))
    network = MemoryNetwork(Fabric("r", (FabricSubnet(RED, (host,)),)))

    def host_at(address: IPv4Address) -> str | None:
        delivery = network.send(replace(SYN, destination=address))
        return delivery.host if delivery else None

    assert host_at(BACKEND) == "web"
    assert host_at(virtual) == "web"
    assert host_at(IPv4Address("10.0.0.31")) is None
    assert network.send(replace(SYN, subnet_id=SubnetId("unknown"))) is None


def test_with_a_fabric_a_subnet_outside_it_is_refused():
    driver = MemoryDriver(MemoryNetwork(Fabric("r", (FabricSubnet(RED, ()),))))

    errors = driver.apply(Plan((Ensure(SERVICE),)))

    assert errors[SERVICE.id].message == "subnet blue-web is not attached to this data plane"


@pytest.mark.parametrize(
    "second",
    [
        replace(ENDPOINT, id=EndpointId("e2"), transit_address=IPv4Address("198.19.128.9")),
        replace(ENDPOINT, id=EndpointId("e2"), address=IPv4Address("10.0.0.101")),
        replace(SERVICE, id=ServiceId("s2")),
        replace(SERVICE, id=ServiceId("s2"), address=IPv4Address("10.0.0.21"), server_ports=(9000,)),
    ],
    ids=["endpoint-address", "transit-address", "server-port", "target-transit-address"],
)
def test_one_address_never_has_two_owners(second: Target | Binding):
    driver = wired(SERVICE, ENDPOINT)

    errors = driver.apply(Plan((Ensure(second),)))

    assert set(errors) == {second.id}
    assert errors[second.id].retry is Retry.SOON
    assert driver.observe([second.id]) == {}


def test_services_on_one_nic_share_its_transit_address():
    wired(SERVICE, replace(SERVICE, id=ServiceId("s2"), server_ports=(9000,)))


def test_an_injected_failure_lasts_until_it_is_taken_back():
    driver = MemoryDriver()
    error = DriverError("no room", Retry.NEVER)
    driver.fail_on(ENDPOINT.id, error)
    plan = Plan((Ensure(SERVICE), Ensure(ENDPOINT)))

    assert driver.apply(plan) == {ENDPOINT.id: error}
    assert driver.observe([SERVICE.id, ENDPOINT.id]) == {SERVICE.id: digest(SERVICE)}
    driver.fail_on(ENDPOINT.id, None)

    assert driver.apply(plan) == {}
    assert driver.network.send(SYN) is not None


def test_what_was_lost_is_seen_by_a_survey_only_and_mended_by_the_next_plan():
    driver = wired(SERVICE, ENDPOINT)
    driver.network.lose(ENDPOINT.id)

    assert driver.network.send(SYN) is None
    assert driver.observe([ENDPOINT.id]) == {ENDPOINT.id: digest(ENDPOINT)}
    assert finish(driver.survey([SERVICE, ENDPOINT])) == {SERVICE.id: digest(SERVICE), ENDPOINT.id: DRIFTED}

    driver.apply(Plan((Ensure(ENDPOINT, is_repair=True),)))
    assert driver.network.send(SYN) is not None


def test_a_survey_reports_what_nobody_expects_and_calls_what_differs_drifted():
    driver = wired(SERVICE, ENDPOINT)
    changed = replace(ENDPOINT, mtu=1400)

    assert finish(driver.survey([changed])) == {SERVICE.id: digest(SERVICE), ENDPOINT.id: DRIFTED}


def test_instances_on_one_network_do_not_see_each_other():
    network = MemoryNetwork()
    ours, theirs = MemoryDriver(network, "ours"), MemoryDriver(network, "theirs")
    ours.apply(Plan((Ensure(SERVICE), Ensure(ENDPOINT))))

    assert finish(theirs.survey([SERVICE, ENDPOINT])) == {}
    theirs.apply(Plan((Remove(ENDPOINT.id),), is_sweep=True))

    assert network.send(SYN) is not None
