"""Operations 10 to 17: connections, and who may connect."""

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
    refused,
    show_endpoint,
    until,
)
from tests.integration.live import Server


@pytest.fixture
def endpoint(globex: RecordedClient, globex_networks: Networks, subnet: str, service: Any) -> Any:
    """An endpoint that waits for approval."""
    return new_endpoint(globex, service.id, globex_networks, subnet, description="branch office")


def connections(client: RecordedClient, service_id: str, **query: Any) -> tuple[list[str], int]:
    found = client.list_service_connections(v1.ListServiceConnectionsRequest(service_id, **query))
    return [item.id for item in found.connections], found.total_count


def test_every_member_of_a_connection_through_its_decisions(
    server: Server, acme: RecordedClient, globex: RecordedClient, service: Any, endpoint: Any
):
    listed = acme.list_service_connections(v1.ListServiceConnectionsRequest(service.id))

    pending = {
        "id": endpoint.id,
        "marker_id": endpoint.marker_id,
        "created_at": JUST_NOW,
        "updated_at": JUST_NOW,
        "domain_id": server.domain_id("globex"),
        "error": [],
        "status": "pendingAcceptance",
        "description": "branch office",
    }
    assert listed.total_count == 1
    assert members(listed.connections) == [pending]
    taken = members(decide(acme, service.id, endpoint.id, "receive"))
    assert taken.pop("status") in {"creating", "accepted"}
    assert taken == {name: value for name, value in pending.items() if name != "status"}
    until(lambda: show_endpoint(globex, endpoint.id), "accepted")
    assert members(decide(acme, service.id, endpoint.id, "reject")) == pending | {"status": "rejected"}
    assert show_endpoint(globex, endpoint.id).status == "rejected"
    decide(acme, service.id, endpoint.id, "receive")
    until(lambda: show_endpoint(globex, endpoint.id), "accepted")


def test_a_decision_is_one_of_two_about_one_endpoint_of_the_service(
    acme: RecordedClient, service: Any, endpoint: Any, acme_networks: Networks, acme_subnet: str
):
    other = new_service(acme, acme_networks.new_nic(acme_subnet))

    assert refused(lambda: decide(acme, service.id, endpoint.id, "accept")) == (400, "EndPoint.2027")
    assert refused(lambda: decide(acme, service.id, UNKNOWN, "receive")) == (404, "EndPoint.2006")
    assert refused(lambda: decide(acme, other.id, endpoint.id, "receive")) == (400, "EndPoint.2013")
    twice = v1.AcceptOrRejectEndpointRequestBody(action="receive", endpoints=[endpoint.id, endpoint.id])
    request = v1.AcceptOrRejectEndpointRequest(service.id, twice)
    assert refused(lambda: acme.accept_or_reject_endpoint(request)) == (400, "EndPoint.2031")


def test_connections_are_filtered_sorted_and_cut_into_pages(
    acme: RecordedClient, globex: RecordedClient, globex_networks: Networks, subnet: str, service: Any
):
    made = [new_endpoint(globex, service.id, globex_networks, subnet) for _ in range(3)]
    first, second, third = (endpoint.id for endpoint in made)

    assert connections(acme, service.id) == ([third, second, first], 3)
    assert connections(acme, service.id, sort_key="create_at", sort_dir="asc") == ([first, second, third], 3)
    assert connections(acme, service.id, limit=2, offset=1) == ([second, first], 3)
    assert connections(acme, service.id, limit=1, offset=3) == ([], 3)
    assert connections(acme, service.id, id=second) == ([second], 1)
    assert connections(acme, service.id, id=UNKNOWN) == ([], 0)
    assert connections(acme, service.id, marker_id=str(made[0].marker_id)) == ([first], 1)
    decide(acme, service.id, first, "reject")
    assert connections(acme, service.id, status="rejected") == ([first], 1)
    assert connections(acme, service.id, status="pendingAcceptance") == ([third, second], 2)
    assert connections(acme, service.id, sort_key="update_at", limit=1) == ([first], 3)
    assert refused(lambda: connections(acme, service.id, marker_id="x")) == (400, "EndPoint.0021")
    assert refused(lambda: connections(acme, service.id, status="open")) == (400, "EndPoint.0019")


def test_the_providers_text_about_a_connection_is_the_providers_alone(
    acme: RecordedClient, globex: RecordedClient, service: Any, endpoint: Any
):
    def describe(id_: str, text: str) -> Any:
        body = v1.UpdateEndpointConnectionsDescRequestBody([v1.ConnectionsDesc(id=id_, description=text)])
        request = v1.UpdateEndpointConnectionsDescRequest(service.id, body)
        return acme.update_endpoint_connections_desc(request)

    [described] = describe(endpoint.id, "the office in the North").connections

    request = v1.ListServiceConnectionsRequest(service.id, id=endpoint.id)
    [listed] = acme.list_service_connections(request).connections
    assert described == listed
    assert (listed.id, listed.description, listed.status) == (
        endpoint.id,
        "the office in the North",
        "pendingAcceptance",
    )
    assert show_endpoint(globex, endpoint.id).description == "branch office"
    assert describe(endpoint.id, "").connections[0].description == ""
    assert refused(lambda: describe(endpoint.id, "<b>")) == (400, "EndPoint.0002")
    assert refused(lambda: describe(UNKNOWN, "text")) == (404, "EndPoint.2006")


def change(client: RecordedClient, service_id: str, action: str, *entries: str, **others: str) -> Any:
    body = v1.AddOrRemoveServicePermissionsRequestBody(permissions=list(entries), action=action, **others)
    return client.add_or_remove_service_permissions(v1.AddOrRemoveServicePermissionsRequest(service_id, body))


def permissions(client: RecordedClient, service_id: str, **query: Any) -> tuple[list[str], int]:
    request = v1.ListServicePermissionsDetailsRequest(service_id, **query)
    found = client.list_service_permissions_details(request)
    return [item.permission for item in found.permissions], found.total_count


def test_permissions_are_added_listed_and_removed_as_they_were_written(acme: RecordedClient, nic: Nic):
    service = new_service(acme, nic)
    partner, path = "iam:domain::5fc973eea581490997e82ea11a1df31f", "organizations:orgPath::o-1/r-2/ou-*/"

    added = change(acme, service.id, "add", partner, "*", permission_type="domainId")

    assert members(added) == {"permissions": [partner, "*"], "permission_type": "domainId"}
    assert members(change(acme, service.id, "add", path)) == {"permissions": [path], "permission_type": "orgPath"}
    listed = acme.list_service_permissions_details(v1.ListServicePermissionsDetailsRequest(service.id))
    assert listed.total_count == 3
    seen = {item["permission"]: item for item in members(listed.permissions)}
    ids = [item.pop("id") for item in seen.values()]
    assert len(set(ids)) == 3
    assert seen == {
        partner: {"permission": partner, "permission_type": "domainId", "created_at": JUST_NOW},
        "*": {"permission": "*", "permission_type": "domainId", "created_at": JUST_NOW},
        path: {"permission": path, "permission_type": "orgPath", "created_at": JUST_NOW},
    }
    assert members(change(acme, service.id, "remove", partner, "iam:domain::absent"))["permissions"] == [
        partner,
        "iam:domain::absent",
    ]
    assert set(permissions(acme, service.id)[0]) == {"*", path}


def test_the_list_of_permissions_is_filtered_sorted_and_cut_into_pages(acme: RecordedClient, nic: Nic):
    service = new_service(acme, nic)
    first, second, third = entries = [f"iam:domain::sdk{number}" for number in (1, 2, 3)]
    for entry in entries:
        change(acme, service.id, "add", entry)

    assert permissions(acme, service.id) == ([third, second, first], 3)
    assert permissions(acme, service.id, sort_key="create_at", sort_dir="asc") == (entries, 3)
    assert permissions(acme, service.id, limit=1, offset=1) == ([second], 3)
    assert permissions(acme, service.id, limit=500, offset=3) == ([], 3)
    assert permissions(acme, service.id, permission="::sdk2") == ([second], 1)
    assert refused(lambda: permissions(acme, service.id, limit=501)) == (400, "EndPoint.0006")


def test_permission_actions_refuse_what_is_none(acme: RecordedClient, service: Any):
    assert refused(lambda: change(acme, service.id, "grant", "*")) == (400, "EndPoint.3035")
    assert refused(lambda: change(acme, service.id, "add")) == (400, "EndPoint.3036")
    assert refused(lambda: change(acme, service.id, "add", "iam:user::1")) == (400, "EndPoint.3002")


def test_permissions_with_descriptions_are_created_described_and_deleted_by_their_ids(acme: RecordedClient, nic: Nic):
    service = new_service(acme, nic)
    entries = [
        v1.EpsAddPermissionRequest(permission="iam:domain::d3aa", description="partner"),
        v1.EpsAddPermissionRequest(permission="iam:domain::d3ab", description=""),
    ]
    body = v1.BatchAddEndpointServicePermissionsRequestBody(permissions=entries, permission_type="domainId")

    request = v1.BatchAddEndpointServicePermissionsRequest(service.id, body)
    partner, other = acme.batch_add_endpoint_service_permissions(request).permissions

    expected = {
        "id": partner.id,
        "permission": "iam:domain::d3aa",
        "permission_type": "domainId",
        "description": "partner",
        "created_at": JUST_NOW,
    }
    assert members(partner) == expected
    assert (other.permission, other.description) == ("iam:domain::d3ab", "")
    text = v1.UpdateEndpointServicePermissionDescRequestBody(v1.EpsUpdatePermissionDesc(description="former partner"))
    request = v1.UpdateEndpointServicePermissionDescRequest(service.id, partner.id, text)
    described = acme.update_endpoint_service_permission_desc(request)
    assert members(described.permissions) == [expected | {"description": "former partner"}]
    unknown = v1.UpdateEndpointServicePermissionDescRequest(service.id, UNKNOWN, text)
    assert refused(lambda: acme.update_endpoint_service_permission_desc(unknown)) == (404, "EndPoint.0005")

    def delete(*ids: str) -> Any:
        removals = [v1.EpsRemovePermissionRequest(id=id_) for id_ in ids]
        body = v1.BatchRemoveEndpointServicePermissionsRequestBody(removals)
        request = v1.BatchRemoveEndpointServicePermissionsRequest(service.id, body)
        return acme.batch_remove_endpoint_service_permissions(request)

    assert refused(lambda: delete(partner.id, UNKNOWN)) == (404, "EndPoint.0005")
    assert permissions(acme, service.id)[1] == 2
    assert members(delete(partner.id)) == {"permissions": []}
    assert permissions(acme, service.id) == (["iam:domain::d3ab"], 1)


def test_nobody_connects_without_a_permission(
    server: Server, acme: RecordedClient, globex: RecordedClient, globex_networks: Networks, subnet: str, nic: Nic
):
    service = new_service(acme, nic)

    def connect() -> Any:
        return new_endpoint(globex, service.id, globex_networks, subnet)

    assert refused(connect) == (400, "EndPoint.2012")
    change(acme, service.id, "add", f"iam:domain::{server.domain_id('globex')}")
    assert connect().status == "pendingAcceptance"
