"""A gateway endpoint on a real server: made with the cloud's SDK, used from a host, seen in the VPC API, and gone."""

import json
import signal
import subprocess
import time
from collections.abc import Callable
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote

import pytest
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkvpc import v2 as vpc
from huaweicloudsdkvpcep import v1 as vpcep

from tests.e2e.deployment import ECHO, Deployment, HttpTenant, as_root_and_user

PUBLIC = """\
operators: [{{name: acme-admin, domain: acme}}]
public:
  cidr: 100.125.0.0/16
  hosts: [{{name: obs-1, ip: 100.125.0.10}}]
public_services:
  - {{name: com.landbridge.{region}.obs, type: gateway, cidrs: [100.125.0.0/24], owner: lab}}
  - name: com.landbridge.{region}.echo
    type: interface
    host: obs-1
    ports: [{{client_port: 80, server_port: 80}}]
"""
STORE = "100.125.0.10"


@pytest.fixture
def serving(deployment: Deployment) -> Deployment:
    """A server whose lab has a public network with a host that answers on port 80."""
    with deployment.lab.open("a") as lab:
        lab.write(PUBLIC.format(region=deployment.region))
    deployment.serve()
    store = deployment.start_on_host("obs-1", "python3", "-c", ECHO, "80")
    assert store.stdout is not None
    assert store.stdout.readline() == "ready\n"
    return deployment


def clients(deployment: Deployment, project: str) -> tuple[vpcep.VpcepClient, vpc.VpcClient]:
    keys = f"{project.upper()}KEY", f"{project}-secret"
    credentials = BasicCredentials(*keys, deployment.ids()["projects"][project]["project_id"])
    return (
        vpcep.VpcepClient.new_builder().with_credentials(credentials).with_endpoints([deployment.url]).build(),
        vpc.VpcClient.new_builder().with_credentials(credentials).with_endpoint(deployment.url).build(),
    )


def routes(deployment: Deployment, client: vpc.VpcClient, vpc_name: str) -> list[tuple[str, str, str]]:
    table = deployment.ids()["routetables"][vpc_name]["routetable_id"]
    shown = client.show_route_table(vpc.ShowRouteTableRequest(table)).routetable
    return [(route.type, route.destination, route.nexthop) for route in shown.routes]


def service_id(deployment: Deployment, name: str) -> str:
    return deployment.ids()["public_services"][f"com.landbridge.{deployment.region}.{name}"]["service_id"]


def gateway_body(deployment: Deployment, vpc_name: str, **changes: Any) -> dict[str, Any]:
    body = {
        "endpoint_service_id": service_id(deployment, "obs"),
        "vpc_id": deployment.ids()["vpcs"][vpc_name]["vpc_id"],
    }
    return body | changes


def connected(deployment: Deployment, project: str) -> tuple[HttpTenant, Any]:
    tenant = deployment.tenant(project)
    endpoint = tenant.send("POST", "vpc-endpoints", gateway_body(deployment, f"{project}-vpc"))
    return tenant, tenant.until(f"vpc-endpoints/{endpoint['id']}", "accepted")


@as_root_and_user
def test_a_gateway_endpoint_made_with_the_huawei_sdk_leads_to_the_public_network_until_it_is_deleted(
    serving: Deployment,
):
    endpoints, networks = clients(serving, "globex")
    assert serving.talk(STORE, 80, timeout_seconds=0.5).seen_source == ""

    body = vpcep.CreateEndpointRequestBody(**gateway_body(serving, "globex-vpc"))
    id_ = endpoints.create_endpoint(vpcep.CreateEndpointRequest(body)).id
    deadline = time.monotonic() + 10
    while (shown := endpoints.list_endpoint_info_details(vpcep.ListEndpointInfoDetailsRequest(id_))).status != (
        "accepted"
    ):
        assert time.monotonic() < deadline, shown
        time.sleep(0.01)
    table = serving.ids()["routetables"]["globex-vpc"]["routetable_id"]
    assert (shown.service_type, shown.routetables, shown.ip) == ("gateway", [table], None)

    talk = serving.talk(STORE, 80)
    assert talk.seen_source.startswith("198.19.")
    assert talk.say("stored") == "stored"
    assert routes(serving, networks, "globex-vpc") == [("egw", "100.125.0.0/24", id_)]

    endpoints.delete_endpoint(vpcep.DeleteEndpointRequest(id_))
    assert talk.say("deleted") == ""
    assert routes(serving, networks, "globex-vpc") == []
    assert serving.talk(STORE, 80, timeout_seconds=0.5).seen_source == ""


@as_root_and_user
def test_two_vpcs_with_one_range_leave_with_sources_of_their_own_and_a_table_that_is_taken_away_cuts(
    serving: Deployment,
):
    globex, endpoint = connected(serving, "globex")
    connected(serving, "acme")
    talks = [serving.talk(STORE, 80, client=client) for client in ("client-1", "web-1")]
    assert len({talk.seen_source for talk in talks} - {""}) == 2

    vpc_id = serving.ids()["vpcs"]["globex-vpc"]["vpc_id"]
    empty = globex.send("POST", "routetables", {"routetable": {"name": "empty", "vpc_id": vpc_id}})["routetable"]["id"]
    changed = globex.send("PUT", f"vpc-endpoints/{endpoint['id']}/routetables", {"routetables": [empty]})

    assert changed == {"routetables": [empty]}
    assert talks[0].say("taken away") == ""
    assert talks[1].say("untouched") == "untouched"
    # The subnet follows its endpoint, and may leave again.
    subnets = {"associate": [serving.ids()["subnets"]["globex-vpc/apps"]["subnet_id"]]}
    globex.send("POST", f"routetables/{empty}/action", {"routetable": {"subnets": subnets}})
    assert serving.talk(STORE, 80).say("again") == "again"


def test_connections_through_a_gateway_go_on_while_the_server_is_killed_and_starts_again(serving: Deployment):
    globex, endpoint = connected(serving, "globex")
    talk = serving.talk(STORE, 80)
    assert talk.say("before") == "before"

    serving.stop(signal.SIGKILL)
    assert talk.say("without a server") == "without a server"
    serving.serve()

    assert talk.say("after") == "after"
    assert globex.send("GET", f"vpc-endpoints/{endpoint['id']}")["status"] == "accepted"
    globex.send("DELETE", f"vpc-endpoints/{endpoint['id']}")
    assert talk.say("deleted") == ""


def test_the_same_host_is_reached_by_an_interface_endpoint_and_by_a_gateway_from_the_command_line(
    serving: Deployment,
):
    ids = serving.ids()
    credentials = {
        "OS_AUTH_URL": f"{serving.url}/v3",
        "OS_USERNAME": "globex-admin",
        "OS_PASSWORD": "globex-password",
        "OS_PROJECT_NAME": "globex",
        "OS_USER_DOMAIN_NAME": "globex",
        "OS_PROJECT_DOMAIN_NAME": "globex",
    }
    by_service = {
        "obs": ["--route-table", ids["routetables"]["globex-vpc"]["routetable_id"]],
        "echo": ["--subnet-id", ids["subnets"]["globex-vpc/apps"]["subnet_id"], "--ip", "10.0.0.100"],
    }
    sources = {}
    for name, options in by_service.items():
        made: subprocess.CompletedProcess[str] = serving.run(
            "endpoint", "create", "--service", f"com.landbridge.{serving.region}.{name}", "--wait", "--json",
            "--vpc-id", ids["vpcs"]["globex-vpc"]["vpc_id"], *options,
            env=serving.environment() | credentials,
        )  # fmt: skip
        assert made.returncode == 0, made.stdout + made.stderr
        assert json.loads(made.stdout)["status"] == "accepted"
        sources[name] = serving.talk(STORE if name == "obs" else "10.0.0.100", 80).seen_source

    # The store's port 80 is published, and reached through the gateway all the same.
    sources["obs, again"] = serving.talk(STORE, 80).seen_source
    assert sources["obs"] == sources["obs, again"]
    assert sources["obs"] != sources["echo"]
    assert all(source.startswith("198.19.") for source in sources.values())


def test_what_the_operator_publishes_by_api_is_there_after_a_restart(serving: Deployment):
    operator, globex = serving.tenant("acme"), serving.tenant("globex")
    wish = {
        "service_name": "com.example.archive",
        "service_type": "gateway",
        "cidrs": ["100.125.7.0/24"],
        "subnet_id": serving.ids()["public"]["subnet_id"],
    }
    published = operator.send("POST", "ext/public-services", wish)

    assert serving.stop() == 0
    serving.serve()

    operator, globex = serving.tenant("acme"), serving.tenant("globex")
    (found,) = operator.send("GET", f"ext/public-services?id={published['id']}")["public_services"]
    assert (found["status"], found["origin"]) == ("available", "api")
    body = gateway_body(serving, "globex-vpc", endpoint_service_id=published["id"])
    endpoint = globex.send("POST", "vpc-endpoints", body)
    globex.until(f"vpc-endpoints/{endpoint['id']}", "accepted")


def until(look: Callable[[], Any], is_there: Callable[[Any], bool]) -> Any:
    """Return what is seen when it is as it should be."""
    deadline = time.monotonic() + 90
    while not is_there(found := look()):
        assert time.monotonic() < deadline, found
        time.sleep(0.2)
    return found


def test_what_leaves_by_a_gateway_is_shown_to_its_consumer_and_to_the_operator_and_remembered(serving: Deployment):
    operator, (globex, endpoint) = serving.tenant("acme"), connected(serving, "globex")
    own, services = f"ext/vpc-endpoints/{endpoint['id']}", "ext/vpc-endpoint-services"
    talk = serving.talk(STORE, 80)
    assert talk.say("hello") == "hello"

    traffic = globex.send("GET", f"{own}/traffic")
    assert (traffic["connections_opened"], traffic["connections_open"]) == (1, 1)
    assert traffic["bytes_sent"] > 100 < traffic["bytes_received"]
    (mine,) = globex.send("GET", f"{own}/connections")["connections"]
    (seen,) = operator.send("GET", f"{services}/{endpoint['endpoint_service_id']}/connections")["connections"]
    assert mine["client"].startswith("10.0.0.10:")
    assert (mine["endpoint"], mine["server_port"]) == (f"{STORE}:80", 80)
    assert mine["source"].startswith(f"{talk.seen_source}:")
    assert (seen["source"], seen["endpoint_id"], seen.get("client")) == (mine["source"], endpoint["id"], None)
    traced = globex.send("POST", f"{own}/trace", {"from": "client-1"})
    assert [(hop["hop"], hop["verdict"]) for hop in traced["hops"] if hop["verdict"] != "passes"] == []
    assert all(hop["confirmed"] for hop in traced["hops"] if hop["hop"] != "budget")

    serving.started[-1].kill()

    address, port = mine["source"].split(":")
    who = (
        f"{services}/{endpoint['endpoint_service_id']}/who?address={address}&port={port}&at={quote(mine['opened_at'])}"
    )

    def somebody() -> Any:
        globex.send("GET", f"{own}/connections")  # whoever looks makes the kernel clear its table
        (found,) = operator.send("GET", who)["found"]
        return found

    found = until(somebody, lambda one: one["known_by"] == "flow-log")
    assert (found["endpoint_id"], found["client"]) == (endpoint["id"], mine["client"])

    echo = service_id(serving, "echo")
    health = until(
        lambda: operator.send("GET", f"{services}/{echo}/health"), lambda found: found["health"] == "passing"
    )
    assert [port["server_port"] for port in health["ports"]] == [80]
    with pytest.raises(HTTPError, match="404"):
        globex.send("GET", f"{services}/{echo}/health")
