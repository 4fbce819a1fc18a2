"""Operations 19 to 26: endpoints."""

from typing import Any

import pytest
from huaweicloudsdkvpcep import v1

from tests.integration.huawei_sdk.clients import (
    JUST_NOW,
    UNKNOWN,
    Networks,
    Nic,
    RecordedClient,
    decide,
    members,
    new_endpoint,
    new_service,
    open_to_everybody,
    refused,
    show_endpoint,
    until,
    until_gone,
)
from tests.integration.live import Server

DOCUMENT = {"Statement": [{"Effect": "Allow", "Action": ["obs:object:GetObject"], "Resource": ["obs:*:*:object:*"]}]}
STATEMENT = v1.PolicyStatement(
    effect="Allow",
    action=["obs:object:GetObject"],
    resource=["obs:*:*:object:*"],
    condition={"StringEquals": {"g:UserName": ["somebody"]}},
    sid="read",
)


class ServiceWithPolicies(v1.CreateEndpointServiceRequestBody):
    """The body with `enable_policy`, which Terraform sends and the SDK does not know."""

    openapi_types = v1.CreateEndpointServiceRequestBody.openapi_types | {"enable_policy": "bool"}
    attribute_map = v1.CreateEndpointServiceRequestBody.attribute_map | {"enable_policy": "enable_policy"}
    enable_policy = True


def in_subnet(server: Server, networks: Networks, subnet: str, service: Any) -> dict[str, Any]:
    """What every view shows of an endpoint that was made with everything a consumer may ask for."""
    return {
        "service_type": "interface",
        "active_status": ["active"],
        "endpoint_service_id": service.id,
        "endpoint_service_name": service.service_name,
        "vpc_id": networks.vpc_id,
        "subnet_id": subnet,
        "project_id": server.project_id("globex"),
        "created_at": JUST_NOW,
        "updated_at": JUST_NOW,
        "enable_dns": True,
        "tags": [{"key": "team", "value": "fin"}],
        "whitelist": ["10.0.0.10", "10.0.7.0/24"],
        "enable_whitelist": True,
        "routetables": [],
        "description": "made by the SDK",
        "policy_statement": None,
        "policy_document": None,
        "public_border_group": "center",
    }


def test_every_member_of_an_endpoint_from_its_creation_to_its_end(
    server: Server, acme: RecordedClient, globex: RecordedClient, globex_networks: Networks, service: Any
):
    vpc_id = globex_networks.vpc_id
    subnet = globex_networks.new_subnet("10.0.200.0/24")
    wish = v1.CreateEndpointRequestBody(
        endpoint_service_id=service.id,
        vpc_id=vpc_id,
        subnet_id=subnet,
        enable_dns=True,
        tags=[v1.TagList(key="team", value="fin")],
        port_ip="10.0.200.20",
        whitelist=["10.0.0.10", "10.0.7.0/24"],
        enable_whitelist=True,
        description="made by the SDK",
        ip_version="ipv4",
    )

    created = globex.create_endpoint(v1.CreateEndpointRequest(wish))

    expected = in_subnet(server, globex_networks, subnet, service)
    expected |= {"id": created.id, "marker_id": created.marker_id, "endpoint_pool_id": created.endpoint_pool_id}
    assert created.status_code == 200
    assert created.marker_id > 2**24
    assert created.endpoint_pool_id
    assert members(created) == expected | {
        "status": "pendingAcceptance",
        "ip": None,
        "ipv6_address": None,
        "specification_name": "default",
        "enable_status": "enable",
    }
    pending = show_endpoint(globex, created.id)
    assert (pending.status, pending.ip, pending.dns_names) == ("pendingAcceptance", None, None)
    decide(acme, service.id, created.id, "receive")
    shown = until(lambda: show_endpoint(globex, created.id), "accepted")
    expected |= {
        "status": "accepted",
        "ip": "10.0.200.20",
        "dns_names": [f"vpcep-{created.id}.lab-1.landbridge.internal"],
        "error": [],
    }
    assert members(shown) == expected | {
        "ipv6_address": None,
        "specification_name": "default",
        "enable_status": "enable",
    }
    listed = globex.list_endpoints(v1.ListEndpointsRequest(id=created.id))
    assert listed.total_count == 1
    assert members(listed.endpoints) == [expected]
    deleted = globex.delete_endpoint(v1.DeleteEndpointRequest(created.id))
    assert (deleted.status_code, members(deleted)) == (204, {})
    assert until_gone(lambda: show_endpoint(globex, created.id)) == (404, "EndPoint.2006")
    assert globex.list_endpoints(v1.ListEndpointsRequest(id=created.id)).endpoints == []


def test_an_endpoint_of_a_service_without_approval_is_accepted_by_itself(
    acme: RecordedClient, globex: RecordedClient, globex_networks: Networks, subnet: str, nic: Nic
):
    service = new_service(acme, nic, approval_enabled=False)
    open_to_everybody(acme, service.id)

    created = new_endpoint(globex, service.id, globex_networks, subnet)

    assert created.status == "creating"
    accepted = until(lambda: show_endpoint(globex, created.id), "accepted")
    assert accepted.ip
    assert (accepted.enable_dns, accepted.dns_names, accepted.whitelist, accepted.enable_whitelist) == (
        False,
        None,
        [],
        False,
    )


def listed(client: RecordedClient, **query: Any) -> tuple[list[str], int]:
    found = client.list_endpoints(v1.ListEndpointsRequest(**query))
    return [item.id for item in found.endpoints], found.total_count


def test_the_list_is_filtered_sorted_and_cut_into_pages(
    globex: RecordedClient, globex_networks: Networks, subnet: str, service: Any
):
    elsewhere = globex_networks.new_vpc()
    there = globex_networks.new_subnet("10.0.0.0/24", elsewhere)
    first, second = (new_endpoint(globex, service.id, globex_networks, subnet).id for _ in range(2))
    third = new_endpoint(globex, service.id, globex_networks, there, vpc_id=elsewhere).id
    mine = {"endpoint_service_name": f"WEB.{service.id}"}

    assert listed(globex, **mine) == ([third, second, first], 3)
    assert listed(globex, **mine, sort_key="create_at", sort_dir="asc") == ([first, second, third], 3)
    assert listed(globex, **mine, limit=1, offset=1) == ([second], 3)
    assert listed(globex, **mine, limit=0) == ([], 3)
    assert listed(globex, **mine, offset=4) == ([], 3)
    assert listed(globex, vpc_id=elsewhere) == ([third], 1)
    assert listed(globex, id=first) == ([first], 1)
    assert listed(globex, id=UNKNOWN) == ([], 0)
    change = v1.UpdateEndpointWhiteRequestBody(whitelist=["10.0.0.1"])
    globex.update_endpoint_white(v1.UpdateEndpointWhiteRequest(first, change))
    assert listed(globex, **mine, sort_key="update_at", limit=1) == ([first], 3)


def test_every_member_of_an_endpoint_whose_access_was_changed(
    server: Server, acme: RecordedClient, globex: RecordedClient, globex_networks: Networks, subnet: str, service: Any
):
    created = new_endpoint(globex, service.id, globex_networks, subnet, enable_dns=True)
    decide(acme, service.id, created.id, "receive")
    accepted = until(lambda: show_endpoint(globex, created.id), "accepted")

    body = v1.UpdateEndpointWhiteRequestBody(whitelist=["10.0.0.0/25", "10.0.1.7"], enable_whitelist=True)
    changed = globex.update_endpoint_white(v1.UpdateEndpointWhiteRequest(created.id, body))

    assert changed.status_code == 200
    expected = in_subnet(server, globex_networks, subnet, service)
    assert members(changed) == {name: expected.get(name) for name in changed.openapi_types} | {
        "id": created.id,
        "marker_id": created.marker_id,
        "status": "accepted",
        "ip": accepted.ip,
        "dns_names": accepted.dns_names,
        "tags": [],
        "whitelist": ["10.0.0.0/25", "10.0.1.7"],
        "enable_whitelist": True,
    }
    nobody = v1.UpdateEndpointWhiteRequest(created.id, v1.UpdateEndpointWhiteRequestBody(whitelist=[]))
    assert globex.update_endpoint_white(nobody).whitelist == []
    everybody = v1.UpdateEndpointWhiteRequestBody(whitelist=["10.0.0.0/0"])
    request = v1.UpdateEndpointWhiteRequest(created.id, everybody)
    assert refused(lambda: globex.update_endpoint_white(request)) == (400, "EndPoint.2044")


@pytest.fixture
def with_policies(acme: RecordedClient, nic: Nic) -> Any:
    """A service whose endpoints may carry policies."""
    ports = [v1.PortList(client_port=80, server_port=80)]
    body = ServiceWithPolicies(port_id=nic.port_id, vpc_id=nic.vpc_id, server_type="VM", ports=ports)
    made = acme.create_endpoint_service(v1.CreateEndpointServiceRequest(body))
    assert made.enable_policy is True
    until(lambda: acme.list_service_details(v1.ListServiceDetailsRequest(made.id)), "available")
    open_to_everybody(acme, made.id)
    return made


def test_a_policy_is_given_with_the_endpoint_changed_and_taken_away(
    server: Server, globex: RecordedClient, globex_networks: Networks, subnet: str, with_policies: Any
):
    created = new_endpoint(globex, with_policies.id, globex_networks, subnet, policy_document=DOCUMENT)
    assert created.policy_document == DOCUMENT
    other = {"Statement": [{"Effect": "Deny", "Action": ["*"], "Resource": ["*"]}]}

    body = v1.UpdateEndpointPolicyRequestBody(policy_document=other)
    changed = globex.update_endpoint_policy(v1.UpdateEndpointPolicyRequest(created.id, body))

    assert changed.status_code == 200
    expected = {
        **in_subnet(server, globex_networks, subnet, with_policies),
        "id": created.id,
        "marker_id": created.marker_id,
        "endpoint_pool_id": created.endpoint_pool_id,
        "status": "pendingAcceptance",
        "ip": None,
        "error": [],
        "tags": [],
        "whitelist": [],
        "enable_whitelist": False,
        "description": "",
    }
    expected = {name: expected[name] for name in changed.openapi_types}
    assert members(changed) == expected | {"policy_document": other}
    assert show_endpoint(globex, created.id).policy_document == other
    removed = globex.delete_endpoint_policy(v1.DeleteEndpointPolicyRequest(created.id))
    assert removed.status_code == 200
    assert members(removed) == expected
    again = v1.DeleteEndpointPolicyRequest(created.id)
    assert refused(lambda: globex.delete_endpoint_policy(again)) == (400, "EndPoint.2049")


def test_policies_and_route_tables_are_refused_where_the_service_takes_none(
    globex: RecordedClient, globex_networks: Networks, subnet: str, service: Any
):
    endpoint = new_endpoint(globex, service.id, globex_networks, subnet)
    statements = v1.UpdateEndpointPolicyRequestBody(policy_statement=[STATEMENT])
    policy = v1.UpdateEndpointPolicyRequest(endpoint.id, statements)
    no_policy = v1.DeleteEndpointPolicyRequest(endpoint.id)
    tables = v1.UpdateEndpointRoutetableRequestBody(routetables=[UNKNOWN])
    route_tables = v1.UpdateEndpointRoutetableRequest(endpoint.id, tables)

    assert refused(lambda: globex.update_endpoint_policy(policy)) == (400, "EndPoint.2048")
    assert refused(lambda: globex.delete_endpoint_policy(no_policy)) == (400, "EndPoint.2049")
    assert refused(lambda: globex.update_endpoint_routetable(route_tables)) == (400, "EndPoint.0002")


def test_creation_refuses_what_only_other_kinds_of_services_have(
    globex: RecordedClient, globex_networks: Networks, subnet: str, service: Any
):
    def create(**changes: Any) -> Any:
        return new_endpoint(globex, service.id, globex_networks, subnet, **changes)

    assert refused(lambda: create(policy_statement=[STATEMENT])) == (400, "EndPoint.2048")
    assert refused(lambda: create(policy_document=DOCUMENT)) == (400, "EndPoint.2048")
    assert refused(lambda: create(ipv6_address="2001:db8::1")) == (400, "EndPoint.0002")
    assert refused(lambda: create(ip_version="dualstack")) == (400, "EndPoint.0002")
    assert create(routetables=[]).routetables == []
