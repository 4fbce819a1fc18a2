from ipaddress import IPv4Address

import pytest

from landbridge.drivers.envoy.listeners import TlvDialects
from landbridge.drivers.envoy.versions import Versions, read_versions, write_versions
from landbridge.drivers.envoy.xds import Renderer, ResourceType
from tests.unit.drivers.envoy.proxied import listener


def test_a_listener_is_read_back_from_its_versions():
    one = listener(namespace='/home/a "b"/netns/edge')

    assert read_versions(one.name, write_versions(one, "form", "form")) == one


@pytest.mark.parametrize(
    ("name", "cluster", "form"),
    [
        ("endpoint-1:80", "", ""),
        ("endpoint-1:80", "7", "7"),
        ("endpoint-1:80", "[]", "[]"),
        ("no port", '["f","198.19.128.5","198.19.200.1",1,2]', '["f","/",1,"10.0.0.1"]'),
        ("endpoint-1:80", '["f","here","there",1,2]', '["f","/",1,"10.0.0.1"]'),
    ],
)
def test_versions_that_somebody_else_wrote_say_nothing(name: str, cluster: str, form: str):
    assert read_versions(name, Versions(cluster, form)) is None


def test_a_new_backend_changes_the_cluster_alone_so_that_connections_stay():
    renderer = Renderer(TlvDialects())
    before, after = (
        renderer.versions(each) for each in (listener(), listener(target=IPv4Address("198.19.200.9"), server_port=1))
    )

    assert before.listener == after.listener
    assert before.cluster != after.cluster


def test_other_fields_in_the_header_change_the_cluster_alone():
    before, after = (Renderer(dialects).versions(listener()) for dialects in (TlvDialects(), TlvDialects(aws=True)))

    assert before.listener == after.listener
    assert before.cluster != after.cluster


def test_a_replaced_edge_changes_the_listener():
    renderer = Renderer(TlvDialects())

    assert renderer.versions(listener()).listener != renderer.versions(listener(namespace_identity=1)).listener


def test_a_resource_carries_the_name_and_version_of_its_listener():
    renderer, one = Renderer(TlvDialects()), listener()

    resources = [renderer.resource(kind, one) for kind in (ResourceType.CLUSTER, ResourceType.LISTENER)]

    versions = renderer.versions(one)
    assert [(each.name, each.version) for each in resources] == [
        (one.name, versions.cluster),
        (one.name, versions.listener),
    ]
    assert [each.resource.type_url for each in resources] == list(ResourceType)
