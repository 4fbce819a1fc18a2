"""Operations 28 to 30: tags in the form of the cloud's tag service."""

from typing import Any
from uuid import uuid4

import pytest
from huaweicloudsdkvpcep import v1

from tests.integration.huawei_sdk.clients import UNKNOWN, Networks, RecordedClient, members, new_endpoint, refused


@pytest.fixture
def key() -> str:
    """A key that nobody else uses."""
    return f"key-{uuid4().hex[:12]}"


def tag(client: RecordedClient, kind: str, id_: str, action: str, *tags: tuple[str, str | None]) -> Any:
    changes = [v1.ResourceTag(key=key, value=value) for key, value in tags]
    body = v1.BatchAddOrRemoveResourceInstanceRequestBody(tags=changes, action=action)
    return client.batch_add_or_remove_resource_instance(v1.BatchAddOrRemoveResourceInstanceRequest(kind, id_, body))


def find(client: RecordedClient, kind: str = "endpoint", action: str = "filter", **criteria: Any) -> Any:
    body = v1.QueryResourceInstanceTagsBody(action=action, **criteria)
    return client.list_resource_instances(v1.ListResourceInstancesRequest(kind, body))


def ids(found: Any) -> set[str]:
    return {item.resource_id for item in found.resources}


def tags_of(client: RecordedClient, kind: str) -> dict[str, list[str]]:
    found = client.list_query_project_resource_tags(v1.ListQueryProjectResourceTagsRequest(kind))
    return {item["key"]: item["values"] for item in members(found.tags)}


def test_tags_of_a_service_are_created_overwritten_found_and_deleted(acme: RecordedClient, service: Any, key: str):
    def shown() -> Any:
        return members(acme.list_service_details(v1.ListServiceDetailsRequest(service.id)).tags)

    created = tag(acme, "endpoint_service", service.id, "create", (key, "blue"), ("team", ""))

    assert (created.status_code, members(created)) == (204, {})
    assert shown() == [{"key": key, "value": "blue"}, {"key": "team", "value": ""}]
    tag(acme, "endpoint_service", service.id, "create", (key, "green"))
    assert tags_of(acme, "endpoint_service")[key] == ["green"]
    assert members(find(acme, "endpoint_service", tags=[v1.TagValuesList(key=key, values=["green"])])) == {
        "resources": [
            {
                "resource_id": service.id,
                "resource_name": service.service_name,
                "tags": [{"key": key, "value": "green"}, {"key": "team", "value": ""}],
            }
        ],
        "total_count": 1,
    }
    tag(acme, "endpoint_service", service.id, "delete", (key, "blue"), ("team", None))
    assert shown() == [{"key": key, "value": "green"}]
    tag(acme, "endpoint_service", service.id, "delete", (key, None), ("absent", "x"))
    assert shown() == []
    assert key not in tags_of(acme, "endpoint_service")


def test_endpoints_are_found_by_every_kind_of_filter(
    globex: RecordedClient, globex_networks: Networks, subnet: str, service: Any, key: str
):
    red, blue, bare = (new_endpoint(globex, service.id, globex_networks, subnet).id for _ in range(3))
    other = f"{key}-2"
    tag(globex, "endpoint", red, "create", (key, "red"), (other, "x"))
    tag(globex, "endpoint", blue, "create", (key, "blue"))

    def having(key: str, *values: str) -> list[Any]:
        return [v1.TagValuesList(key=key, values=list(values))]

    assert sorted(tags_of(globex, "endpoint")[key]) == ["blue", "red"]
    assert ids(find(globex, tags=having(key))) == {red, blue}
    assert ids(find(globex, tags=having(key, "red", "green"))) == {red}
    assert ids(find(globex, tags_any=having(key, "blue") + having(other))) == {red, blue}
    assert ids(find(globex, tags=having(key), not_tags=having(key, "red"))) == {blue}
    assert ids(find(globex, tags=having(key), not_tags_any=having(other) + having(key, "green"))) == {blue}
    assert ids(find(globex, tags=having(key), sys_tags=having("_sys_enterprise_project_id", "0"))) == {red, blue}
    by_name = [v1.Match(key="resource_name", value=bare.upper())]
    assert ids(find(globex, matches=by_name)) == {bare}
    assert ids(find(globex, matches=by_name, without_any_tag=True)) == {bare}
    found = find(globex, tags=having(key), limit="1", offset="1")
    assert (len(found.resources), found.total_count) == (1, 2)
    assert find(globex, tags=having(key), limit="1000", offset="2").resources == []
    assert members(find(globex, action="count", tags=having(key))) == {"resources": None, "total_count": 2}


def test_tag_operations_refuse_what_they_cannot_do(
    acme: RecordedClient, globex: RecordedClient, service: Any, key: str
):
    kind = "endpoint_service"

    assert refused(lambda: tag(acme, "vpc", service.id, "create", (key, "x"))) == (400, "EndPoint.3070")
    assert refused(lambda: tag(acme, kind, service.id, "update", (key, "x"))) == (400, "EndPoint.0007")
    assert refused(lambda: tag(acme, kind, service.id, "create", ("", "x"))) == (400, "EndPoint.3066")
    assert refused(lambda: tag(acme, kind, service.id, "create", ("a*b", "x"))) == (400, "EndPoint.3068")
    assert refused(lambda: tag(acme, kind, UNKNOWN, "create", (key, "x"))) == (404, "EndPoint.0005")
    assert refused(lambda: tag(globex, kind, service.id, "create", (key, "x"))) == (404, "EndPoint.0005")
    assert refused(lambda: tag(globex, "endpoint", UNKNOWN, "create", (key, "x"))) == (404, "EndPoint.2006")
    assert refused(lambda: find(globex, matches=[v1.Match(key="name", value="x")])) == (400, "EndPoint.0002")
