"""Operations 1, 2 and 27, and those that are not offered: 31 to 33."""

from datetime import UTC, datetime
from typing import Any

from huaweicloudsdkvpcep import v1

from tests.integration.huawei_sdk.clients import (
    UNKNOWN,
    Networks,
    Nic,
    RecordedClient,
    members,
    new_endpoint,
    new_service,
    refused,
)
from tests.integration.live import Server


def test_there_is_version_1_and_no_other(server: Server, acme: RecordedClient):
    one = {
        "status": "CURRENT",
        "id": "v1",
        "updated": datetime(2018, 9, 30, tzinfo=UTC),
        "version": "1",
        "min_version": "",
        "links": [{"href": f"{server.url}/v1", "type": "application/json", "rel": "self"}],
    }

    assert members(acme.list_version_details(v1.ListVersionDetailsRequest())) == {"versions": [one]}
    shown = acme.list_specified_version_details(v1.ListSpecifiedVersionDetailsRequest("v1"))
    assert members(shown) == {"version": one}
    two = v1.ListSpecifiedVersionDetailsRequest("v2")
    assert refused(lambda: acme.list_specified_version_details(two)) == (404, "EndPoint.0005")


def quotas(client: RecordedClient, type_: str | None = None) -> list[dict[str, Any]]:
    return members(client.list_quota_details(v1.ListQuotaDetailsRequest(type_)).quotas.resources)


def test_what_is_used_of_the_quotas_follows_what_is_made(
    acme: RecordedClient, globex: RecordedClient, globex_networks: Networks, subnet: str, service: Any, nic: Nic
):
    services_before, _ = quotas(acme)
    [endpoints_before] = quotas(globex, "endpoint")

    new_service(acme, nic, ports=[v1.PortList(client_port=1, server_port=81)])
    new_endpoint(globex, service.id, globex_networks, subnet)

    [services_after] = quotas(acme, "endpoint_service")
    assert services_after == services_before | {"used": services_before["used"] + 1}
    assert (services_after["type"], services_after["quota"]) == ("endpoint_service", 1000)
    _, endpoints_after = quotas(globex)
    assert endpoints_after == endpoints_before | {"used": endpoints_before["used"] + 1}
    assert (endpoints_after["type"], endpoints_after["quota"]) == ("endpoint", 1000)
    assert refused(lambda: quotas(acme, "vpc")) == (400, "EndPoint.3070")


def test_the_operations_of_version_2_are_not_found(acme: RecordedClient, globex: RecordedClient, service: Any):
    server = v1.ServerResource(resource_id=UNKNOWN, availability_zone_id="zone-1")
    servers = v1.AddEndpointServiceServerResourceRequestBody(server_resources=[server])
    added = v1.AddEndpointServiceServerResourceRequest(service.id, servers)
    upgraded = v1.UpgradeEndpointServiceRequest(service.id)
    endpoint = v1.UpgradeEndpointRequest(UNKNOWN, v1.UpgradeEndpointRequestBody(action="start"))

    assert refused(lambda: acme.add_endpoint_service_server_resource(added)) == (404, "EndPoint.0005")
    assert refused(lambda: acme.upgrade_endpoint_service(upgraded)) == (404, "EndPoint.0005")
    assert refused(lambda: globex.upgrade_endpoint(endpoint)) == (404, "EndPoint.0005")
