"""The calls of the three Terraform providers, in their order, with what they accept (contract 12.3 to 12.6)."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from tests.integration.live import Server
from tests.integration.terraform import GoClient, only_list

TFH, TFO = "golangsdk", "gophertelekomcloud"


def provider(server: Server, project: str, dialect: str = TFH) -> GoClient:
    key, secret = f"{project.upper()}KEY", f"{project}-secret-key"
    return GoClient(server.url, server.project_id(project), dialect, key, secret)


def service_wish(server: Server, server_port: int, **changes: Any) -> dict[str, Any]:
    return {
        "port_id": server.port_id("other-1"),
        "vpc_id": server.vpc_id("acme-other"),
        "server_type": "VM",
        "service_type": "interface",
        "approval_enabled": False,
        "ports": [{"client_port": 8080, "server_port": server_port, "protocol": "TCP"}],
    } | changes


def endpoint_wish(server: Server, service_id: str, **changes: Any) -> dict[str, Any]:
    return {
        "endpoint_service_id": service_id,
        "vpc_id": server.vpc_id("globex-vpc"),
        "subnet_id": server.subnet_id("globex-vpc/apps"),
        "enable_dns": True,
        "enable_whitelist": False,
    } | changes


@contextmanager
def a_service(server: Server, server_port: int, **changes: Any) -> Iterator[Any]:
    """An available service that everybody may connect to, gone after the block."""
    tfh = provider(server, "acme")
    made = tfh.send("POST", "vpc-endpoint-services", service_wish(server, server_port, **changes))
    path = f"vpc-endpoint-services/{made['id']}"
    found = tfh.wait(path, ["creating"], ["available"])
    tfh.send("POST", f"{path}/permissions/action", {"action": "add", "permissions": ["*"]})
    yield found
    tfh.send("DELETE", path, ok=[204])
    tfh.wait_until_gone(path, ["available", "deleting"])


def test_huaweicloud_vpcep_service_is_created_read_changed_tagged_and_deleted(server: Server):
    tfh = provider(server, "acme")
    wish = service_wish(
        server, 7001, service_name="tf-tf-test-abcde", description="one", tags=[{"key": "a", "value": "1"}]
    )
    made = tfh.send("POST", "vpc-endpoint-services", wish)
    path = f"vpc-endpoint-services/{made['id']}"
    tfh.wait(path, ["creating"], ["available"])
    tfh.send(
        "POST",
        f"{path}/permissions/action",
        {"action": "add", "permissions": ["iam:domain::1234"], "permission_type": "domainId"},
    )
    paths = {"action": "add", "permissions": ["organizations:orgPath::1234"], "permission_type": "orgPath"}
    tfh.send("POST", f"{path}/permissions/action", paths)

    read = tfh.send("GET", path)
    assert read["service_name"].split(".")[1] == "tf-tf-test-abcde"
    assert list(tfh.pages(f"{path}/connections")) == []
    by_type = {entry["permission_type"]: entry["permission"] for entry in tfh.pages(f"{path}/permissions")}
    assert by_type == {"domainId": "iam:domain::1234", "orgPath": "organizations:orgPath::1234"}

    ports = [
        {"client_port": 8088, "server_port": 7011, "protocol": "TCP"},
        {"client_port": 80, "server_port": 7010, "protocol": "TCP"},
    ]
    tfh.send("PUT", path, {"service_name": "tf-renamed", "description": "", "ports": ports})
    changed = tfh.send("GET", path)
    assert changed["ports"] == ports, "another order is a difference in every plan"
    assert (changed["status"], changed["description"]) == ("available", "")
    tags = f"endpoint_service/{made['id']}/tags/action"
    tfh.send("POST", tags, {"action": "delete", "tags": [{"key": "a", "value": "1"}]}, ok=[200, 204])
    tfh.send("POST", tags, {"action": "create", "tags": [{"key": "b", "value": ""}]}, ok=[200, 204])
    assert tfh.send("GET", path)["tags"] == [{"key": "b", "value": ""}]
    tfh.send("POST", f"{path}/permissions/action", {"action": "add", "permissions": ["iam:domain::abcd"]})
    tfh.send("POST", f"{path}/permissions/action", {"action": "remove", "permissions": ["iam:domain::1234"]})
    assert {entry["permission"] for entry in tfh.pages(f"{path}/permissions")} == {
        "iam:domain::abcd",
        "organizations:orgPath::1234",
    }

    tfh.send("DELETE", path, ok=[204])
    tfh.wait_until_gone(path, ["available", "deleting"])


def test_huaweicloud_vpcep_endpoint_is_created_read_changed_and_deleted(server: Server):
    with a_service(server, 7002) as service:
        tfh = provider(server, "globex")
        made = tfh.send("POST", "vpc-endpoints", endpoint_wish(server, service["id"], port_ip="10.0.0.77"))
        path = f"vpc-endpoints/{made['id']}"
        assert made["status"] == "creating"
        read = tfh.wait(path, ["creating"], ["accepted", "pendingAcceptance"])

        assert read["ip"] == "10.0.0.77"
        assert read["dns_names"][0].startswith(f"vpcep-{made['id']}.")
        assert read.get("policy_document") is None
        changed = tfh.send("PUT", path, {"enable_whitelist": True, "whitelist": ["10.0.0.0/24"]})
        assert (changed["enable_whitelist"], changed["whitelist"]) == (True, ["10.0.0.0/24"])
        tags = f"endpoint/{made['id']}/tags/action"
        tfh.send("POST", tags, {"action": "create", "tags": [{"key": "k", "value": "v"}]}, ok=[200, 204])
        assert tfh.send("GET", path)["tags"] == [{"key": "k", "value": "v"}]
        tfh.send("DELETE", path, ok=[204])
        tfh.wait_until_gone(path, ["deleting"])
        assert tfh.answer("DELETE", f"/v1/{tfh.project_id}/{path}").status_code == 404


def test_huaweicloud_vpcep_approval_accepts_and_rejects_and_the_first_poll_sees_it(server: Server):
    with a_service(server, 7003, approval_enabled=True) as service:
        acme, globex = provider(server, "acme"), provider(server, "globex")
        path = f"vpc-endpoint-services/{service['id']}"
        made = globex.send("POST", "vpc-endpoints", endpoint_wish(server, service["id"]))
        assert made["status"] == "pendingAcceptance"

        def connection() -> Any:
            found = list(acme.pages(f"{path}/connections?id={made['id']}"))
            assert [item["id"] for item in found] == [made["id"]]
            return found[0]

        def decide(action: str) -> None:
            acme.send("POST", f"{path}/connections/action", {"action": action, "endpoints": [made["id"]]})

        decide("receive")
        while connection()["status"] != "accepted":
            assert connection()["status"] in {"creating", "pendingAcceptance", "accepted"}
        decide("reject")
        assert connection()["status"] == "rejected", "the provider's first poll does not tolerate accepted any more"
        decide("receive")
        assert connection()["status"] in {"creating", "accepted"}
        described = {"connections": [{"id": made["id"], "description": "branch office"}]}
        acme.send("PUT", f"{path}/connections/description", described)
        assert connection()["description"] == "branch office"
        decide("reject")
        globex.send("DELETE", f"vpc-endpoints/{made['id']}", ok=[204])
        globex.wait_until_gone(f"vpc-endpoints/{made['id']}", ["deleting"])


def test_opentelekomcloud_service_and_endpoint_go_through_their_life(server: Server):
    acme, globex = provider(server, "acme", TFO), provider(server, "globex", TFO)
    made = acme.send("POST", "vpc-endpoint-services", service_wish(server, 7004, service_name="otc-web"), ok=[200, 201])
    path = f"vpc-endpoint-services/{made['id']}"
    read = acme.wait(path, ["creating"], ["available"])
    for field in ("approval_enabled", "created_at"):
        assert read[field] == made[field]
    assert made.get("vip_port_id") == read.get("vip_port_id")
    assert made["pool_id"]
    assert re.fullmatch(r"[\w-]+\.([\w-]+)\.[\w-]+", read["service_name"]), read["service_name"]
    for entry in ("iam:domain::1234", f"iam:domain::{server.domain_id('globex')}"):
        acme.send("POST", f"{path}/permissions/action", {"action": "add", "permissions": [entry]})
    acme.send("PUT", path, {})
    acme.wait(path, ["creating", "available"], ["available"])

    wish = endpoint_wish(server, made["id"], whitelist=["10.0.0.0/24"])
    endpoint = globex.send("POST", "vpc-endpoints", wish, ok=[200, 201])
    shown = globex.wait(f"vpc-endpoints/{endpoint['id']}", ["creating"], ["accepted", "pendingAcceptance"])
    assert len(shown["dns_names"]) == 1
    assert shown["endpoint_service_name"] == read["service_name"]
    assert shown["whitelist"] == ["10.0.0.0/24"]
    assert only_list(globex.send("GET", "vpc-endpoints"))[0]["id"] == endpoint["id"]

    globex.send("DELETE", f"vpc-endpoints/{endpoint['id']}", ok=[204])
    acme.send("DELETE", path, ok=[202, 204])
    acme.wait_until_gone(path, ["available", "deleting"])


@pytest.mark.parametrize("dialect", [TFH, TFO])
def test_data_sources_find_what_they_look_for(server: Server, dialect: str):
    server_port = {TFH: 7005, TFO: 7006}[dialect]
    name = f"ds-{server_port}"
    tags = [{"key": "team", "value": name}]
    with a_service(server, server_port, service_name=name, description="found", tags=tags) as service:
        acme = provider(server, "acme", dialect)

        listed = only_list(acme.send("GET", f"vpc-endpoint-services?endpoint_service_name={name}&status=available"))
        assert [item["id"] for item in listed] == [service["id"]]
        for field in ("description", "public_border_group", "updated_at", "tcp_proxy"):
            assert listed[0][field]
        assert listed[0]["connection_count"] == 0
        by_name = acme.send("GET", f"vpc-endpoint-services/describe?endpoint_service_name={service['service_name']}")
        assert by_name == acme.send("GET", f"vpc-endpoint-services/describe?id={service['id']}")
        assert by_name["public_border_group"]
        assert len(list(acme.pages("vpc-endpoint-services/public?endpoint_service_name=dns"))) == 1
        assert len(acme.send("GET", "quotas")["quotas"]["resources"]) == 2
        assert [name] == [
            value
            for tag in acme.send("GET", "endpoint_service/tags")["tags"]
            for value in tag["values"]
            if value == name
        ]
        assert len(list(acme.pages(f"vpc-endpoint-services/{service['id']}/permissions?permission=*"))) == 1
        found: list[Any] = []
        wanted = {"action": "filter", "limit": "1000", "tags": [{"key": "team", "values": [name]}]}
        while page := acme.send("POST", "endpoint_service/resource_instances/action", wanted | {"offset": len(found)})[
            "resources"
        ]:
            found += page
        assert [item["resource_id"] for item in found] == [service["id"]]


def test_an_endpoint_is_found_by_tag_search_under_its_id(server: Server):
    with a_service(server, 7007) as service:
        tfh = provider(server, "globex")
        made = tfh.send("POST", "vpc-endpoints", endpoint_wish(server, service["id"]))
        wanted = {"action": "filter", "matches": [{"key": "resource_name", "value": made["id"]}]}

        found = tfh.send("POST", "endpoint/resource_instances/action", wanted)["resources"]

        assert [item["resource_name"] for item in found] == [made["id"]]
        tfh.send("DELETE", f"vpc-endpoints/{made['id']}", ok=[204])
        tfh.wait_until_gone(f"vpc-endpoints/{made['id']}", ["deleting"])


@pytest.mark.parametrize("dialect", [TFH, TFO])
def test_providers_with_keys_find_project_and_domain(server: Server, dialect: str):
    client = provider(server, "acme", dialect)

    projects = client.answer("GET", f"/v3/projects?name={server.ids['region']}").json()["projects"]
    domains = client.answer("GET", "/v3/auth/domains").json()["domains"]
    catalogue = client.answer("GET", "/v3/auth/catalog").json()["catalog"]

    assert [project["id"] for project in projects] == [client.project_id]
    assert [domain["id"] for domain in domains] == [server.domain_id("acme")]
    urls = {entry["type"]: entry["endpoints"][0]["url"] for entry in catalogue}
    assert urls["vpcep"] == f"{server.url}/v1/{client.project_id}", "gophertelekomcloud appends vpc-endpoints to it"


def test_a_provider_with_a_password_asks_for_two_tokens_and_looks_itself_up(server: Server):
    domain = {"name": "acme"}
    user = {"name": "acme-admin", "password": "acme-password", "domain": domain}
    identity = {"methods": ["password"], "password": {"user": user}}

    def token(scope: dict[str, Any]) -> str:
        answer = httpx.post(f"{server.url}/v3/auth/tokens", json={"auth": {"identity": identity, "scope": scope}})
        assert answer.status_code == 201, answer.text
        return answer.headers["X-Subject-Token"]

    def ask(path: str) -> Any:
        answer = httpx.get(f"{server.url}/v3/{path}", headers={"X-Auth-Token": of_domain})
        assert answer.status_code == 200, answer.text
        return answer.json()

    of_project, of_domain = token({"project": {"name": "acme", "domain": domain}}), token({"domain": domain})

    assert [found["id"] for found in ask("auth/domains")["domains"]] == [server.domain_id("acme")]
    assert [found["name"] for found in ask("users?name=acme-admin")["users"]] == ["acme-admin"]
    services = GoClient(server.url, server.project_id("acme"), of_project).send("GET", "vpc-endpoint-services")
    assert isinstance(services["total_count"], int)
