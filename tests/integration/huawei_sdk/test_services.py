"""Operations 3 to 9 and 18: endpoint services."""

from typing import Any

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
    refused,
    show_endpoint,
    show_service,
    until,
    until_gone,
)
from tests.integration.live import Server

PORTS = [
    {"client_port": 8443, "server_port": 443, "protocol": "TCP"},
    {"client_port": 8080, "server_port": 80, "protocol": "TCP"},
]


def full_wish(nic: Nic) -> v1.CreateEndpointServiceRequest:
    """Everything that a provider may ask for; `ip_version` and `snat_network_id` belong to an edition we lack."""
    return v1.CreateEndpointServiceRequest(
        v1.CreateEndpointServiceRequestBody(
            port_id=nic.port_id,
            service_name="billing",
            vpc_id=nic.vpc_id,
            approval_enabled=False,
            service_type="interface",
            server_type="VM",
            ports=[v1.PortList(8443, 443, "TCP"), v1.PortList(client_port=8080, server_port=80)],
            tcp_proxy="close",
            tags=[v1.TagList(key="team", value="fin"), v1.TagList(key="empty", value="")],
            description="made by the SDK",
            ip_version="ipv4",
            snat_network_id=nic.subnet_id,
        )
    )


def what_is_wished(server: Server, service_id: str, nic: Nic) -> dict[str, Any]:
    """What every view shows of a service that was made from `full_wish`."""
    return {
        "id": service_id,
        "port_id": nic.port_id,
        "service_name": f"lab-1.billing.{service_id}",
        "server_type": "VM",
        "vpc_id": nic.vpc_id,
        "approval_enabled": False,
        "service_type": "interface",
        "created_at": JUST_NOW,
        "updated_at": JUST_NOW,
        "project_id": server.project_id("acme"),
        "ports": PORTS,
        "ip": None,
        "tcp_proxy": "close",
        "tags": [{"key": "team", "value": "fin"}, {"key": "empty", "value": ""}],
        "description": "made by the SDK",
        "enable_policy": False,
    }


def test_every_member_of_a_new_service_in_the_answer_in_show_and_in_the_list(
    server: Server, acme: RecordedClient, nic: Nic
):
    created = acme.create_endpoint_service(full_wish(nic))

    expected = what_is_wished(server, created.id, nic)
    assert created.status_code == 200
    found = members(created)
    assert found.pop("pool_id")
    assert found == expected | {"status": "creating", "ip_version": None}
    shown = until(lambda: show_service(acme, created.id), "available")
    assert members(shown) == expected | {
        "status": "available",
        "supported_editions": ["basic"],
        "cidr_type": "internal",
        "error": [],
    }
    assert (shown.created_at, shown.service_name) == (created.created_at, created.service_name)
    listed = acme.list_endpoint_service(v1.ListEndpointServiceRequest(id=created.id))
    assert listed.total_count == 1
    assert members(listed.endpoint_services) == [
        expected
        | {
            "status": "available",
            "domain_id": server.domain_id("acme"),
            "connection_count": 0,
            "error": [],
            "supported_editions": ["basic"],
            "public_border_group": "center",
        }
    ]


def test_a_service_that_is_asked_for_with_what_is_mandatory_has_the_contracts_defaults(acme: RecordedClient, nic: Nic):
    service = new_service(acme, nic)

    assert service.service_name == f"lab-1.{service.id}"
    assert (service.approval_enabled, service.service_type, service.tcp_proxy) == (True, "interface", "close")
    assert (service.tags, service.description) == ([], "")


def test_an_address_in_place_of_a_port_is_refused(acme: RecordedClient, nic: Nic):
    assert refused(lambda: new_service(acme, nic, ip="10.0.0.9")) == (400, "EndPoint.3011")


def listed(client: RecordedClient, **query: Any) -> tuple[list[str], int]:
    found = client.list_endpoint_service(v1.ListEndpointServiceRequest(**query))
    return [item.id for item in found.endpoint_services], found.total_count


def test_the_list_is_filtered_sorted_and_cut_into_pages(
    acme: RecordedClient, acme_networks: Networks, acme_subnet: str
):
    nics = [acme_networks.new_nic(acme_subnet) for _ in range(3)]
    first, second, third = (new_service(acme, nic, service_name="Paged-List").id for nic in nics)
    mine = {"endpoint_service_name": "paged-LIST"}

    assert listed(acme, **mine) == ([third, second, first], 3)
    assert listed(acme, **mine, sort_key="create_at", sort_dir="asc") == ([first, second, third], 3)
    assert listed(acme, **mine, limit=2, offset=1) == ([second, first], 3)
    assert listed(acme, **mine, limit=0) == ([], 3)
    assert listed(acme, **mine, offset=3) == ([], 3)
    assert listed(acme, **mine, status="available", net_type="VM", public_border_group="center")[1] == 3
    assert listed(acme, **mine, status="failed") == ([], 0)
    assert listed(acme, **mine, net_type="LB") == ([], 0)
    assert listed(acme, **mine, public_border_group="edge-1") == ([], 0)
    assert listed(acme, **mine, id=second) == ([second], 1)
    change = v1.UpdateEndpointServiceRequestBody(description="changed")
    acme.update_endpoint_service(v1.UpdateEndpointServiceRequest(first, change))
    assert listed(acme, **mine, sort_key="update_at", limit=1) == ([first], 3)


def test_lists_refuse_what_is_no_page_order_or_status(acme: RecordedClient):
    assert refused(lambda: listed(acme, limit=-1)) == (400, "EndPoint.0006")
    assert refused(lambda: listed(acme, limit=1001)) == (400, "EndPoint.0006")
    assert refused(lambda: listed(acme, offset=-1)) == (400, "EndPoint.0010")
    assert refused(lambda: listed(acme, sort_key="name")) == (400, "EndPoint.0017")
    assert refused(lambda: listed(acme, sort_dir="up")) == (400, "EndPoint.0018")
    assert refused(lambda: listed(acme, status="ready")) == (400, "EndPoint.0019")
    assert refused(lambda: listed(acme, net_type="BMS")) == (400, "EndPoint.3048")


def test_every_member_of_a_changed_service(server: Server, acme: RecordedClient, nic: Nic):
    created = acme.create_endpoint_service(full_wish(nic))
    until(lambda: show_service(acme, created.id), "available")

    body = v1.UpdateEndpointServiceRequestBody(
        approval_enabled=True,
        service_name="bills",
        ports=[v1.PortList(client_port=9443, server_port=443, protocol="tcp")],
        port_id=nic.port_id,
        tcp_proxy="close",
        description="",
    )
    changed = acme.update_endpoint_service(v1.UpdateEndpointServiceRequest(created.id, body))

    assert changed.status_code == 200
    found = members(changed)
    assert found.pop("pool_id") == created.pool_id
    assert found == what_is_wished(server, created.id, nic) | {
        "service_name": f"lab-1.bills.{created.id}",
        "approval_enabled": True,
        "ports": [{"client_port": 9443, "server_port": 443, "protocol": "TCP"}],
        "description": "",
        "status": "available",
        "ip_version": None,
    }
    assert members(show_service(acme, created.id))["ports"] == found["ports"]


def test_a_change_of_nothing_succeeds(acme: RecordedClient, service: Any):
    nothing = v1.UpdateEndpointServiceRequest(service.id, v1.UpdateEndpointServiceRequestBody())

    changed = acme.update_endpoint_service(nothing)

    assert (changed.service_name, changed.updated_at) == (service.service_name, service.updated_at)


def test_the_backend_of_a_load_balancer_may_move_and_no_other(
    acme: RecordedClient, acme_networks: Networks, acme_subnet: str, nic: Nic, service: Any
):
    elsewhere = acme_networks.new_nic(acme_subnet)
    balanced = new_service(acme, acme_networks.new_nic(acme_subnet), server_type="LB")
    body = v1.UpdateEndpointServiceRequestBody(port_id=elsewhere.port_id)

    moved = acme.update_endpoint_service(v1.UpdateEndpointServiceRequest(balanced.id, body))

    assert (moved.port_id, moved.server_type, moved.status) == (elsewhere.port_id, "LB", "available")
    change = v1.UpdateEndpointServiceRequest(service.id, body)
    assert refused(lambda: acme.update_endpoint_service(change)) == (400, "EndPoint.3054")
    with_address = v1.UpdateEndpointServiceRequestBody(port_id=nic.port_id, ip="10.0.0.9")
    change = v1.UpdateEndpointServiceRequest(service.id, with_address)
    assert refused(lambda: acme.update_endpoint_service(change)) == (400, "EndPoint.3052")


def test_the_name_operation_repeats_the_name_and_the_service_shows_the_full_one(
    acme: RecordedClient, globex: RecordedClient, globex_networks: Networks, subnet: str, service: Any
):
    endpoint = new_endpoint(globex, service.id, globex_networks, subnet)

    def rename(name: str) -> Any:
        body = v1.UpdateEndpointServiceNameRequestBody(endpoint_service_name=name)
        return acme.update_endpoint_service_name(v1.UpdateEndpointServiceNameRequest(service.id, body))

    assert members(rename("bills")) == {"endpoint_service_name": "bills"}
    assert show_service(acme, service.id).service_name == f"lab-1.bills.{service.id}"
    assert show_endpoint(globex, endpoint.id).endpoint_service_name == f"lab-1.bills.{service.id}"
    assert members(rename("")) == {"endpoint_service_name": ""}
    assert show_service(acme, service.id).service_name == f"lab-1.{service.id}"
    assert refused(lambda: rename("seventeen-letters")) == (400, "EndPoint.3076")


def test_a_deleted_service_is_gone_and_one_in_use_is_not_deleted(
    acme: RecordedClient, globex: RecordedClient, globex_networks: Networks, subnet: str, service: Any
):
    endpoint = new_endpoint(globex, service.id, globex_networks, subnet)
    decide(acme, service.id, endpoint.id, "receive")
    request = v1.DeleteEndpointServiceRequest(service.id)

    assert refused(lambda: acme.delete_endpoint_service(request)) == (400, "EndPoint.3006")
    decide(acme, service.id, endpoint.id, "reject")
    deleted = acme.delete_endpoint_service(request)

    assert (deleted.status_code, members(deleted)) == (204, {})
    assert until_gone(lambda: show_service(acme, service.id)) == (404, "EndPoint.0005")
    orphan = until(lambda: show_endpoint(globex, endpoint.id), "failed")
    assert [error.error_code for error in orphan.error] == ["EndPoint.2003"]
    assert orphan.error[0].error_message


def public(client: RecordedClient, **query: Any) -> tuple[list[str], int]:
    found = client.list_service_public_details(v1.ListServicePublicDetailsRequest(**query))
    return [item.service_name for item in found.endpoint_services], found.total_count


def test_public_services_are_listed_for_everybody(globex: RecordedClient):
    dns, iam = "com.landbridge.lab-1.dns", "com.landbridge.lab-1.iam"
    by_name = v1.ListServicePublicDetailsRequest(endpoint_service_name="LAB-1.DNS")

    [found] = globex.list_service_public_details(by_name).endpoint_services

    seen = members(found)
    assert seen.pop("id") == found.id
    assert seen.pop("created_at") is not None
    assert seen == {
        "owner": "lab",
        "service_name": dns,
        "service_type": "interface",
        "is_charge": False,
        "enable_policy": False,
    }
    assert public(globex, id=found.id) == ([dns], 1)
    assert public(globex, id=UNKNOWN) == ([], 0)
    in_order, count = public(globex, sort_key="create_at", sort_dir="asc")
    assert (set(in_order), count) == ({dns, iam}, 2)
    assert public(globex, sort_key="create_at", sort_dir="desc") == (in_order[::-1], 2)
    assert public(globex, sort_key="create_at", sort_dir="asc", limit=1, offset=1) == (in_order[1:], 2)
    assert public(globex, limit=1, offset=2) == ([], 2)


def test_a_stranger_learns_a_few_facts_about_a_service_by_its_id_or_its_full_name(globex: RecordedClient, service: Any):
    by_id = globex.list_service_describe_details(v1.ListServiceDescribeDetailsRequest(id=service.id))
    by_name = globex.list_service_describe_details(
        v1.ListServiceDescribeDetailsRequest(endpoint_service_name=service.service_name)
    )

    assert members(by_id) == {
        "id": service.id,
        "service_name": service.service_name,
        "service_type": "interface",
        "created_at": JUST_NOW,
        "is_charge": False,
        "public_border_group": "center",
        "enable_policy": False,
    }
    assert by_name == by_id
    both = v1.ListServiceDescribeDetailsRequest(id=service.id, endpoint_service_name=service.service_name)
    assert refused(lambda: globex.list_service_describe_details(both)) == (400, "EndPoint.0002")
    absent = v1.ListServiceDescribeDetailsRequest(endpoint_service_name="web")
    assert refused(lambda: globex.list_service_describe_details(absent)) == (404, "EndPoint.0005")
