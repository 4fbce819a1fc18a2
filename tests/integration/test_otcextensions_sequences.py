"""What otcextensions' own functional tests do to a cloud, in their order of calls, with our bounds.

They need load balancers and Neutron, so they cannot run here as they are. As there, all services are on one port of one
backend with server port 80, each is deleted without waiting, and one project is provider and consumer. Where they
sleep, this polls.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from openstack.connection import Connection

from tests.integration.live import Server
from tests.integration.otc import Backend, Network, make_backend, make_network, make_port, new_name, signed_in, until

# openstacksdk warns about parameters that it passes itself, and about its own defaults.
pytestmark = pytest.mark.filterwarnings("ignore::PendingDeprecationWarning:openstack.*")


@pytest.fixture(scope="module")
def cloud(server: Server) -> Iterator[Connection]:
    with signed_in(server, "initech") as connection:
        yield connection


@pytest.fixture(scope="module")
def load_balancer(cloud: Connection) -> Backend:
    return make_backend(cloud)


@pytest.fixture
def network(cloud: Connection) -> Iterator[Network]:
    """A network with a port in it, which go in the reverse order: so nothing may be left in it for long."""
    made = make_network(cloud)
    port_id = make_port(cloud, made)
    yield made
    assert cloud.vpcep.delete(f"/ports/{port_id}").status_code == 204
    until(lambda: deleted_network(cloud, made), bool)


def deleted_network(cloud: Connection, network: Network) -> bool:
    """Delete a network; return False while something in it has not let go."""
    # The plain request: `delete_subnet` of otcextensions 0.34.8 fails before it sends anything.
    answer = cloud.vpcep.delete(f"/vpcs/{network.vpc_id}/subnets/{network.subnet_id}")
    if answer.status_code == 409:
        return False
    assert answer.status_code == 204, answer.text
    cloud.vpc.delete_vpc(network.vpc_id, ignore_missing=False)
    return True


def new_service(cloud: Connection, load_balancer: Backend, approval: bool = False) -> Any:
    made = cloud.vpcep.create_service(
        service_name=new_name("svc"),
        port_id=load_balancer.port_id,
        vpc_id=load_balancer.vpc_id,
        server_type="LB",
        ports=[{"client_port": 80, "server_port": 80, "protocol": "TCP"}],
        is_approval_enabled=approval,
        service_type="interface",
    )
    return until(lambda: cloud.vpcep.get_service(made.id), lambda found: found.status == "available")


def clean_up(cloud: Connection, service: Any) -> None:
    """Delete a service, which must succeed the first time.

    They try again while the exception's text has `EndPoint.300`. It has our message instead, because the body has both
    error shapes; but nothing of ours refuses a service whose endpoints were deleted just before.
    """
    cloud.vpcep.delete_service(service.id, ignore_missing=False)


@pytest.fixture
def service(cloud: Connection, load_balancer: Backend) -> Iterator[Any]:
    made = new_service(cloud, load_balancer)
    yield made
    clean_up(cloud, made)


@pytest.fixture
def approved_service(cloud: Connection, load_balancer: Backend) -> Iterator[Any]:
    made = new_service(cloud, load_balancer, approval=True)
    yield made
    clean_up(cloud, made)


def new_endpoint(cloud: Connection, network: Network, service: Any) -> Any:
    return cloud.vpcep.create_endpoint(
        router_id=network.vpc_id,
        network_id=network.subnet_id,
        endpoint_service_id=service.id,
        enable_dns=False,
        tags=[{"key": "test-key", "value": "test-value"}],
    )


@pytest.fixture
def endpoint(cloud: Connection, network: Network, service: Any) -> Iterator[Any]:
    made = new_endpoint(cloud, network, service)
    yield made
    cloud.vpcep.delete_endpoint(made.id)


@pytest.fixture
def waiting_endpoint(cloud: Connection, network: Network, approved_service: Any) -> Iterator[Any]:
    made = new_endpoint(cloud, network, approved_service)
    yield made
    cloud.vpcep.delete_endpoint(made.id)


def connection_of(cloud: Connection, service: Any, endpoint: Any) -> Any:
    return next(found for found in cloud.vpcep.service_connections(service.id) if found.id == endpoint.id)


def test_services_follow_each_other_on_one_backend_without_waiting(cloud: Connection, load_balancer: Backend):
    made = []
    for _ in range(5):
        service = new_service(cloud, load_balancer)
        made.append(service.id)
        cloud.vpcep.delete_service(service.id)

    until(lambda: {found.id for found in cloud.vpcep.services()} & set(made), lambda left: not left)


def test_a_network_with_an_active_subnet_is_found_for_the_load_balancer(cloud: Connection, load_balancer: Backend):
    subnets = {vpc.id: list(cloud.vpc.subnets(vpc_id=vpc.id)) for vpc in cloud.vpc.vpcs()}

    (subnet,) = subnets[load_balancer.vpc_id]
    assert subnet.status == "ACTIVE"
    assert subnet.neutron_subnet_id


def test_a_service_is_created_listed_found_and_updated(cloud: Connection, load_balancer: Backend, service: Any):
    assert service.service_name.split(".")[1].startswith("svc")
    assert service.port_id == load_balancer.port_id
    assert cloud.vpcep.get_service(service.id).id == service.id
    assert any(found.id == service.id for found in cloud.vpcep.services())
    assert [found.id for found in cloud.vpcep.services(id=service.id)] == [service.id]
    assert [found.service_name for found in cloud.vpcep.services(name=service.service_name)] == [service.service_name]
    assert cloud.vpcep.find_service(service.service_name).id == service.id

    new = new_name("svc") + "_upd"
    updated = cloud.vpcep.update_service(service.id, service_name=new, is_approval_enabled=True)

    for found in (updated, cloud.vpcep.get_service(service.id)):
        assert new in found.service_name
        assert found.is_approval_enabled


def test_an_endpoint_is_the_newest_on_the_first_page_and_keeps_its_tags(
    cloud: Connection, network: Network, service: Any, endpoint: Any
):
    assert endpoint.endpoint_service_id == service.id
    assert endpoint.router_id == network.vpc_id
    assert endpoint.tags[0].key == "test-key"

    assert next(cloud.vpcep.endpoints()).id == endpoint.id
    assert cloud.vpcep.get_endpoint(endpoint.id).id == endpoint.id
    until(lambda: cloud.vpcep.get_endpoint(endpoint.id), lambda found: found.status == "accepted")


def test_a_deleted_endpoint_leaves_the_list(cloud: Connection, network: Network, service: Any):
    made = new_endpoint(cloud, network, service)

    cloud.vpcep.delete_endpoint(made.id)

    until(lambda: [found.id for found in cloud.vpcep.endpoints()], lambda left: made.id not in left)


@pytest.mark.parametrize(("action", "status"), [("accept", "accepted"), ("reject", "rejected")])
def test_a_connection_is_pending_at_once_and_then_what_the_provider_says(
    cloud: Connection, approved_service: Any, waiting_endpoint: Any, action: str, status: str
):
    assert connection_of(cloud, approved_service, waiting_endpoint).status == "pendingAcceptance"

    cloud.vpcep.manage_service_connections(approved_service.id, action=action, endpoints=[waiting_endpoint.id])

    until(
        lambda: connection_of(cloud, approved_service, waiting_endpoint).status,
        lambda found: found == status,
    )


def test_a_project_id_is_a_whitelist_entry_like_any_other(cloud: Connection, approved_service: Any):
    domain = cloud.current_project_id

    def listed() -> list[str]:
        return [entry.permission for entry in cloud.vpcep.service_whitelist(approved_service.id)]

    for _ in range(2):
        added = cloud.vpcep.manage_service_whitelist(approved_service.id, action="add", domains=[domain])
        assert [entry.permission for entry in added] == [f"iam:domain::{domain}"]
    assert listed() == [f"iam:domain::{domain}"]

    list(cloud.vpcep.manage_service_whitelist(approved_service.id, action="remove", domains=[domain]))

    assert listed() == []


def test_a_target_service_is_got_by_id_and_by_name(cloud: Connection, service: Any):
    assert cloud.vpcep.get_target_service(service.id).id == service.id
    assert cloud.vpcep.get_target_service(service.service_name).service_name == service.service_name


def test_there_are_two_quotas_and_each_is_found_by_its_type(cloud: Connection):
    assert {quota.type for quota in cloud.vpcep.resource_quota()} == {"endpoint", "endpoint_service"}
    assert len(list(cloud.vpcep.resource_quota())) == 2
    for type_ in ("endpoint", "endpoint_service"):
        (quota,) = cloud.vpcep.resource_quota(type=type_)
        assert (quota.type, quota.used <= quota.quota) == (type_, True)


def test_there_are_public_services_and_each_has_name_type_and_owner(cloud: Connection):
    services = list(cloud.vpcep.public_services())

    assert services
    for service in services:
        assert service.service_name
        assert service.service_type in {"interface", "gateway"}
        assert service.owner


def test_a_service_goes_at_once_when_its_accepted_endpoint_was_deleted(
    cloud: Connection, load_balancer: Backend, network: Network
):
    service = new_service(cloud, load_balancer)
    endpoint = new_endpoint(cloud, network, service)
    until(lambda: cloud.vpcep.get_endpoint(endpoint.id).status, lambda status: status == "accepted")

    cloud.vpcep.delete_endpoint(endpoint.id)
    clean_up(cloud, service)

    until(lambda: cloud.vpcep.find_service(service.service_name, ignore_missing=True), lambda left: left is None)
