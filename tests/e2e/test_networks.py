"""Networks made through the VPC API with the cloud's own SDK, on a real server: hosts and real packets."""

import contextlib
import json
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.exceptions.exceptions import (
    ClientRequestException,
    ConnectionException,
    ServerResponseException,
)
from huaweicloudsdkvpc.v2 import (
    AllowedAddressPair,
    CreatePortOption,
    CreatePortRequest,
    CreatePortRequestBody,
    CreateSubnetOption,
    CreateSubnetRequest,
    CreateSubnetRequestBody,
    CreateVpcOption,
    CreateVpcRequest,
    CreateVpcRequestBody,
    DeletePortRequest,
    DeleteSubnetRequest,
    DeleteVpcRequest,
    FixedIp,
    ListPortsRequest,
    VpcClient,
)

from tests.e2e.deployment import ECHO, Deployment, as_root_and_user

KEYS = {"acme": ("ACMEKEY", "acme-secret"), "globex": ("GLOBEXKEY", "globex-secret")}


class Cloud:
    """What one project does with the SDK."""

    def __init__(self, deployment: Deployment, project: str) -> None:
        credentials = BasicCredentials(*KEYS[project], deployment.ids()["projects"][project]["project_id"])
        builder = VpcClient.new_builder().with_credentials(credentials).with_endpoint(deployment.url)
        self.client = builder.build()

    def vpc(self, **fields: Any) -> Any:
        option = CreateVpcOption(**({"name": "shop", "cidr": "10.0.0.0/16"} | fields))
        return self.client.create_vpc(CreateVpcRequest(CreateVpcRequestBody(option))).vpc

    def subnet(self, vpc_id: str, **fields: Any) -> Any:
        option = {"name": "web", "cidr": "10.0.0.0/24", "gateway_ip": "10.0.0.1", "vpc_id": vpc_id} | fields
        return self.client.create_subnet(
            CreateSubnetRequest(CreateSubnetRequestBody(CreateSubnetOption(**option)))
        ).subnet

    def port(self, subnet_id: str, name: str, address: str, **fields: Any) -> Any:
        option = CreatePortOption(name=name, network_id=subnet_id, fixed_ips=[FixedIp(ip_address=address)], **fields)
        return self.client.create_port(CreatePortRequest(CreatePortRequestBody(option))).port


def start_backend(deployment: Deployment, host: str, port: int = 80) -> None:
    backend = deployment.start_on_host(host, "python3", "-c", ECHO, str(port))
    assert backend.stdout is not None
    assert backend.stdout.readline() == "ready\n"


def publish(deployment: Deployment, vpc_id: str, port_id: str, server_type: str = "VM") -> Any:
    acme = deployment.tenant("acme")
    body = {
        "port_id": port_id,
        "vpc_id": vpc_id,
        "server_type": server_type,
        "approval_enabled": False,
        "ports": [{"client_port": 8080, "server_port": 80}],
    }
    service = acme.send("POST", "vpc-endpoint-services", body)
    path = f"vpc-endpoint-services/{service['id']}"
    acme.send("POST", f"{path}/permissions/action", {"action": "add", "permissions": ["*"]})
    return acme.until(path, "available")


def connect(deployment: Deployment, service_id: str, vpc_id: str, subnet_id: str, address: str) -> Any:
    globex = deployment.tenant("globex")
    body = {"endpoint_service_id": service_id, "vpc_id": vpc_id, "subnet_id": subnet_id, "port_ip": address}
    endpoint = globex.send("POST", "vpc-endpoints", body)
    return globex.until(f"vpc-endpoints/{endpoint['id']}", "accepted")


def connect_the_lab(deployment: Deployment, service_id: str) -> Any:
    ids = deployment.ids()
    vpc_id, subnet_id = ids["vpcs"]["globex-vpc"]["vpc_id"], ids["subnets"]["globex-vpc/apps"]["subnet_id"]
    return connect(deployment, service_id, vpc_id, subnet_id, "10.0.0.100")


def hosts(deployment: Deployment) -> set[str]:
    return set(json.loads((deployment.state / "lab.json").read_text())["hosts"])


def is_there(deployment: Deployment, host: str) -> bool:
    return deployment.run("lab", "exec", "--state", str(deployment.state), host, "true").returncode == 0


@as_root_and_user
def test_a_host_made_with_the_sdk_is_published_and_reached_from_another_made_vpc(deployment: Deployment):
    deployment.serve()
    acme, globex = Cloud(deployment, "acme"), Cloud(deployment, "globex")
    vpc = acme.vpc()
    subnet = acme.subnet(vpc.id)
    backend = acme.port(subnet.id, "shop-1", "10.0.0.20")
    theirs = globex.vpc()
    their_subnet = globex.subnet(theirs.id)
    globex.port(their_subnet.id, "buyer", "10.0.0.20")

    start_backend(deployment, "shop-1")
    service = publish(deployment, vpc.id, backend.id)
    connect(deployment, service["id"], theirs.id, their_subnet.id, "10.0.0.100")
    connect_the_lab(deployment, service["id"])

    for client in ("client-1", "buyer"):
        talk = deployment.talk("10.0.0.100", 8080, client=client)
        assert talk.seen_source.startswith("198.19.")
        assert talk.say("hello") == "hello"
    link = deployment.run(
        "lab", "exec", "--state", str(deployment.state), "shop-1", "--", "ip", "-o", "addr", "show", "dev", "eth0"
    ).stdout
    assert "10.0.0.20/24" in link
    shown = deployment.run(
        "lab", "exec", "--state", str(deployment.state), "shop-1", "--", "ip", "-o", "link", "show", "dev", "eth0"
    ).stdout
    assert backend.mac_address in shown
    planned = deployment.run("plan", "--state", str(deployment.state), "--json")
    assert (planned.returncode, json.loads(planned.stdout)) == (0, []), planned.stderr


@as_root_and_user
def test_a_port_beside_the_lab_files_hosts_speaks_with_them_until_it_is_deleted(deployment: Deployment):
    deployment.serve()
    deployment.start_backend()
    acme = Cloud(deployment, "acme")
    port = acme.port(deployment.ids()["subnets"]["acme-vpc/web"]["subnet_id"], "web-2", "10.0.0.21")

    talk = deployment.talk("10.0.0.20", 80, client="web-2")
    assert (talk.seen_source, talk.say("neighbour")) == ("10.0.0.21", "neighbour")
    acme.client.delete_port(DeletePortRequest(port.id))

    assert not is_there(deployment, "web-2")
    assert hosts(deployment) == {"web-1", "client-1"}
    assert talk.say("gone") == ""


@as_root_and_user
def test_networks_that_are_deleted_leave_nothing_and_can_be_made_again(deployment: Deployment):
    deployment.serve()
    acme = Cloud(deployment, "acme")

    for _ in range(2):
        vpc = acme.vpc()
        for _ in range(2):
            subnet = acme.subnet(vpc.id)
            port = acme.port(subnet.id, "shop-1", "10.0.0.20")
            start_backend(deployment, "shop-1")
            with pytest.raises(ClientRequestException) as refused:
                acme.client.delete_subnet(DeleteSubnetRequest(vpc.id, subnet.id))
            assert (refused.value.status_code, refused.value.error_code) == (409, "VPC.0208")
            assert port.id in refused.value.error_msg
            acme.client.delete_port(DeletePortRequest(port.id))
            acme.client.delete_subnet(DeleteSubnetRequest(vpc.id, subnet.id))
        acme.client.delete_vpc(DeleteVpcRequest(vpc.id))

    assert hosts(deployment) == {"web-1", "client-1"}
    if Path("/run/netns").exists() and not deployment.prefix:
        assert not [path for path in Path("/run/netns").iterdir() if path.name.endswith(vpc.id)]


@as_root_and_user
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_what_was_made_is_wired_again_after_a_restart(deployment: Deployment, number: signal.Signals):
    deployment.serve()
    acme = Cloud(deployment, "acme")
    vpc = acme.vpc()
    subnet = acme.subnet(vpc.id)
    backend = acme.port(subnet.id, "shop-1", "10.0.0.20")
    service = publish(deployment, vpc.id, backend.id)
    connect_the_lab(deployment, service["id"])
    if number is signal.SIGKILL:
        start_backend(deployment, "shop-1")
        talk = deployment.talk("10.0.0.100", 8080)

    deployment.stop(number)
    deployment.serve()

    if number is signal.SIGKILL:
        assert talk.say("adopted") == "adopted"
    else:
        start_backend(deployment, "shop-1")
    assert deployment.talk("10.0.0.100", 8080).say("again") == "again"
    assert hosts(deployment) == {"web-1", "client-1", "shop-1"}


@as_root_and_user
def test_a_server_killed_while_ports_are_made_has_exactly_their_hosts_after_its_restart(deployment: Deployment):
    deployment.serve()
    acme = Cloud(deployment, "acme")
    subnet = acme.subnet(acme.vpc().id)
    acknowledged: list[str] = []

    def make_ports() -> None:
        with contextlib.suppress(ConnectionException, ServerResponseException):
            for number in range(2, 200):
                acme.port(subnet.id, f"shop-{number}", f"10.0.0.{number}")
                acknowledged.append(f"shop-{number}")

    maker = threading.Thread(target=make_ports)
    maker.start()
    while len(acknowledged) < 5:
        assert maker.is_alive()
        time.sleep(0.001)
    deployment.stop(signal.SIGKILL)
    maker.join(60)
    deployment.serve()

    listed = acme.client.list_ports(ListPortsRequest(network_id=subnet.id)).ports
    made = {port.name for port in listed}
    assert set(acknowledged) <= made
    assert hosts(deployment) == made | {"web-1", "client-1"}
    assert all(is_there(deployment, host) for host in made)
    again = acme.port(subnet.id, "shop-again", "10.0.0.250")
    acme.client.delete_port(DeletePortRequest(again.id))


def test_a_lab_file_that_wants_a_made_hosts_name_is_refused(deployment: Deployment):
    deployment.serve()
    port = Cloud(deployment, "acme").port(
        deployment.ids()["subnets"]["acme-vpc/web"]["subnet_id"], "web-2", "10.0.0.21"
    )
    deployment.stop(signal.SIGTERM)
    text = deployment.lab.read_text()
    deployment.lab.write_text(
        text.replace("web-1, ip: 10.0.0.20}", "web-1, ip: 10.0.0.20}, {name: web-2, ip: 10.0.0.22}")
    )

    refused = deployment.run("serve", "--state", str(deployment.state), "--lab", str(deployment.lab))

    assert refused.returncode == 1
    assert port.id in refused.stderr
    assert "Traceback" not in refused.stderr
    deployment.lab.write_text(text)
    deployment.serve()
    assert is_there(deployment, "web-2")


def test_a_virtual_ip_is_carried_by_the_port_whose_address_pairs_name_it(deployment: Deployment):
    deployment.serve()
    acme = Cloud(deployment, "acme")
    vpc = acme.vpc()
    subnet = acme.subnet(vpc.id)
    vip = acme.port(subnet.id, "shop", "10.0.0.30", device_owner="neutron:VIP_PORT")
    acme.port(subnet.id, "shop-1", "10.0.0.20", allowed_address_pairs=[AllowedAddressPair(ip_address="10.0.0.30")])
    start_backend(deployment, "shop-1")

    service = publish(deployment, vpc.id, vip.id, server_type="VIP")
    connect_the_lab(deployment, service["id"])

    assert deployment.talk("10.0.0.100", 8080).say("hello") == "hello"
