"""otcextensions (openstacksdk) against a live server: every method of `conn.vpcep`, every attribute of its answers."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from openstack.connection import Connection
from openstack.exceptions import BadRequestException, HttpException, NotFoundException
from openstack.resource import Resource

from tests.integration.live import Server
from tests.integration.otc import Backend, Network, make_backend, make_network, make_port, new_name, signed_in, until

# openstacksdk warns about parameters that it passes itself, and about its own defaults.
pytestmark = pytest.mark.filterwarnings("ignore::PendingDeprecationWarning:openstack.*")

REGION = "lab-1"
NOBODYS_ID = "00000000-0000-4000-8000-000000000000"
MAPPING = {"client_port": 8080, "server_port": 80, "protocol": "TCP"}
# What every resource of the SDK has, and no resource of VPCEP fills.
OF_THE_SDK = ("name", "location")
Publish = Callable[..., Any]
Connect = Callable[..., Any]


@pytest.fixture(scope="module")
def acme(server: Server) -> Iterator[Connection]:
    with signed_in(server, "acme") as connection:
        yield connection


@pytest.fixture(scope="module")
def globex(server: Server) -> Iterator[Connection]:
    with signed_in(server, "globex") as connection:
        yield connection


@pytest.fixture(scope="module")
def backend(acme: Connection) -> Backend:
    return make_backend(acme)


@pytest.fixture(scope="module")
def network(globex: Connection) -> Network:
    return make_network(globex)


@pytest.fixture
def publish(acme: Connection, backend: Backend) -> Iterator[Publish]:
    """Create services; they go when the test ends."""
    with ExitStack() as made:

        def create(**changes: Any) -> Any:
            wanted = {
                "service_name": new_name("svc"),
                "port_id": backend.port_id,
                "router_id": backend.vpc_id,
                "server_type": "LB",
                "ports": [MAPPING],
            }
            service = acme.vpcep.create_service(**wanted | changes)
            made.callback(acme.vpcep.delete_service, service.id)
            return service

        yield create


@pytest.fixture
def service(acme: Connection, publish: Publish) -> Any:
    """A service that everybody may connect to, after approval."""
    made = publish()
    permit(acme, made, "*")
    return until(lambda: acme.vpcep.get_service(made.id), is_available)


@pytest.fixture
def connect(globex: Connection, network: Network, publish: object) -> Iterator[Connect]:
    """Create endpoints; they go when the test ends, before the services."""
    with ExitStack() as made:

        def create(service: Any, **changes: Any) -> Any:
            wanted = {"endpoint_service_id": service.id, "router_id": network.vpc_id, "network_id": network.subnet_id}
            endpoint = globex.vpcep.create_endpoint(**wanted | changes)
            made.callback(globex.vpcep.delete_endpoint, endpoint.id)
            return endpoint

        yield create


@pytest.fixture
def endpoint(connect: Connect, service: Any) -> Any:
    """An endpoint of that service, which waits for approval."""
    return connect(service)


def permit(acme: Connection, service: Any, *domains: str) -> list[str | None]:
    # The SDK sends the request when the answer is read.
    added = acme.vpcep.manage_service_whitelist(service.id, "add", domains=list(domains))
    return [entry.permission for entry in added]


def is_available(service: Any) -> bool:
    return service.status == "available"


def attributes(resource: Resource) -> dict[str, Any]:
    """Every attribute that VPCEP gives a resource, as the SDK names it; what has attributes in turn is a dict, too."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            assert value.get("name") is None
            return {key: plain(inner) for key, inner in value.items() if key not in OF_THE_SDK}
        return [plain(inner) for inner in value] if isinstance(value, list) else value

    return plain(resource.to_dict())


def is_now(moment: str) -> bool:
    """Whether a moment on the wire is UTC in whole seconds, and that of this test."""
    then = datetime.strptime(moment, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    return abs((datetime.now(UTC) - then).total_seconds()) < 300


def take_times(found: dict[str, Any]) -> None:
    """Take the two moments away, after looking whether they are now."""
    assert is_now(found.pop("created_at"))
    assert is_now(found.pop("updated_at"))


def ids(resources: Iterator[Any]) -> list[str]:
    return [resource.id for resource in resources]


def refusal(work: Callable[[], object]) -> tuple[int, str]:
    """Do what must be refused; return status and code, after looking whether the exception tells people what to do."""
    with pytest.raises(HttpException) as refused:
        work()
    error = refused.value
    body = error.response.json()
    assert error.request_id.startswith("req-")
    assert body["error_msg"] in str(error)
    return error.status_code, body["error_code"]


def test_a_service_has_every_attribute_wherever_it_is_read(
    acme: Connection, server: Server, backend: Backend, publish: Publish
):
    made = publish(
        service_name="billing",
        service_type="interface",
        is_approval_enabled=False,
        ports=[MAPPING, {"client_port": 443, "server_port": 8443, "protocol": "TCP"}],
        tcp_proxy="close",
        tags=[{"key": "team", "value": "fin"}, {"key": "empty", "value": ""}],
        description="Bills and reminders",
    )

    created = attributes(made)

    take_times(created)
    assert str(UUID(created.pop("pool_id")))
    assert created == {
        "id": made.id,
        "service_name": f"{REGION}.billing.{made.id}",
        "service_type": "interface",
        "server_type": "LB",
        "status": "creating",
        "port_id": backend.port_id,
        "router_id": backend.vpc_id,
        "project_id": server.project_id("acme"),
        "domain_id": server.domain_id("acme"),
        "is_approval_enabled": False,
        "connection_count": 0,
        "description": "Bills and reminders",
        "tcp_proxy": "close",
        "ports": [
            {"id": None, "client_port": 8080, "server_port": 80, "protocol": "TCP"},
            {"id": None, "client_port": 443, "server_port": 8443, "protocol": "TCP"},
        ],
        "tags": [{"id": None, "key": "team", "value": "fin"}, {"id": None, "key": "empty", "value": ""}],
    }
    shown = until(lambda: acme.vpcep.get_service(made.id), is_available)
    assert attributes(shown) == attributes(made) | {"status": "available"}
    assert [attributes(found) for found in acme.vpcep.services(id=made.id)] == [attributes(shown)]
    assert attributes(acme.vpcep.find_service(made.id)) == attributes(shown)
    assert attributes(acme.vpcep.find_service(made.service_name)) == attributes(shown)


def test_services_are_found_by_every_filter_and_listed_page_by_page(acme: Connection, publish: Publish):
    family = new_name("f")
    first, second, third = (
        publish(service_name=f"{family}-{number}", ports=[MAPPING | {"server_port": 81 + number}])
        for number in range(3)
    )
    for made in (first, second, third):
        until(lambda made=made: acme.vpcep.get_service(made.id), is_available)

    def found(**query: Any) -> list[str]:
        return ids(acme.vpcep.services(**{"name": family} | query))

    assert found() == [third.id, second.id, first.id]
    assert found(sort_key="created_at", sort_dir="asc") == [first.id, second.id, third.id]
    assert found(limit=2) == [third.id, second.id]
    assert found(limit=2, offset=2) == [first.id]
    assert found(limit=2, offset=3) == []
    assert found(id=second.id) == [second.id]
    assert found(name=second.service_name) == [second.id]
    assert found(status="available") == [third.id, second.id, first.id]
    assert found(status="failed") == []
    acme.vpcep.update_service(first, service_name=f"{family}-new")
    assert found(sort_key="updated_at")[0] == first.id


def test_a_changed_service_keeps_what_was_not_named(acme: Connection, service: Any):
    before = attributes(service)
    changes = {
        "service_name": "renamed",
        "is_approval_enabled": False,
        "ports": [{"client_port": 9090, "server_port": 90, "protocol": "TCP"}],
        "description": "Another text",
        "tcp_proxy": "close",
    }

    changed = acme.vpcep.update_service(service.id, **changes)

    expected = before | changes | {"service_name": f"{REGION}.renamed.{service.id}"}
    expected["ports"] = [{"id": None} | mapping for mapping in changes["ports"]]
    found = attributes(changed)
    assert found | {"updated_at": ""} == expected | {"updated_at": ""}
    assert attributes(acme.vpcep.get_service(service.id)) == found


def test_a_service_moves_to_another_backend(acme: Connection, service: Any):
    elsewhere = make_backend(acme)
    (subnet,) = acme.vpc.subnets(vpc_id=service.router_id)
    neighbour = make_port(acme, Network(service.router_id, subnet.id))

    moved = acme.vpcep.update_service(service.id, port_id=neighbour)

    assert moved.port_id == acme.vpcep.get_service(service.id).port_id == neighbour
    refused = refusal(lambda: acme.vpcep.update_service(service.id, port_id=elsewhere.port_id))
    assert refused == (400, "EndPoint.3042")


def test_a_deleted_service_is_gone_and_deleting_it_again_is_no_error(acme: Connection, publish: Publish):
    made = publish()

    acme.vpcep.delete_service(made.id, ignore_missing=False)

    until(lambda: ids(acme.vpcep.services(id=made.id)), lambda left: not left)
    assert acme.vpcep.delete_service(made.id) is None
    assert refusal(lambda: acme.vpcep.delete_service(made.id, ignore_missing=False)) == (404, "EndPoint.0005")
    assert refusal(lambda: acme.vpcep.get_service(made.id)) == (404, "EndPoint.0005")


@pytest.mark.parametrize("name_or_id", ["no-such-service", f"{REGION}.no-such.{NOBODYS_ID}", NOBODYS_ID])
def test_a_service_that_is_not_there_is_not_found(acme: Connection, name_or_id: str):
    assert acme.vpcep.find_service(name_or_id, ignore_missing=True) is None
    assert acme.vpcep.get_target_service(name_or_id, ignore_missing=True) is None
    with pytest.raises(NotFoundException):
        acme.vpcep.find_service(name_or_id)
    assert refusal(lambda: acme.vpcep.get_target_service(name_or_id)) == (404, "EndPoint.0005")


def test_a_service_of_another_project_is_described_but_not_found(globex: Connection, service: Any):
    assert globex.vpcep.find_service(service.id, ignore_missing=True) is None
    assert globex.vpcep.find_service(service.service_name, ignore_missing=True) is None
    expected = {
        "id": service.id,
        "service_name": service.service_name,
        "service_type": "interface",
        "created_at": service.created_at,
        "is_charge": False,
    }
    for name_or_id in (service.id, service.service_name):
        assert attributes(globex.vpcep.get_target_service(name_or_id)) == expected


def test_an_endpoint_has_every_attribute_wherever_it_is_read(
    acme: Connection, globex: Connection, server: Server, network: Network, service: Any, connect: Connect
):
    made = connect(
        service,
        ip="192.168.0.77",
        is_dns_enabled=True,
        is_whitelist_enabled=True,
        whitelist=["192.168.0.0/24", "192.168.1.9"],
        tags=[{"key": "team", "value": "shop"}],
        description="For the shop",
    )

    created = attributes(made)

    take_times(created)
    assert created.pop("marker_id") > 2**24
    assert created == {
        "id": made.id,
        "status": "pendingAcceptance",
        "active_status": ["active"],
        "is_enabled": True,
        "service_type": "interface",
        "specification_name": "default",
        "endpoint_service_id": service.id,
        "endpoint_service_name": service.service_name,
        "endpoint_pool_id": service.pool_id,
        "router_id": network.vpc_id,
        "network_id": network.subnet_id,
        "project_id": server.project_id("globex"),
        "ip": None,
        "port_ip": "192.168.0.77",  # as the SDK has sent it
        "is_dns_enabled": True,
        "dns_names": None,
        "is_whitelist_enabled": True,
        "whitelist": ["192.168.0.0/24", "192.168.1.9"],
        "route_tables": [],
        "tags": [{"id": None, "key": "team", "value": "shop"}],
        "description": "For the shop",
    }
    pending = attributes(globex.vpcep.get_endpoint(made.id))
    assert pending == attributes(made) | {"port_ip": None}
    acme.vpcep.manage_service_connections(service, "accept", [made.id])
    shown = until(lambda: globex.vpcep.get_endpoint(made), lambda found: found.status == "accepted")
    accepted = attributes(shown)
    assert accepted | {"updated_at": ""} == pending | {
        "status": "accepted",
        "ip": "192.168.0.77",
        "port_ip": "192.168.0.77",
        "dns_names": [f"vpcep-{made.id}.{REGION}.landbridge.internal"],
        "updated_at": "",
    }
    listed = [attributes(found) for found in globex.vpcep.endpoints(id=made.id)]
    assert [found | {"dns_names": accepted["dns_names"]} for found in listed] == [accepted]
    assert acme.vpcep.get_service(service.id).connection_count == 1


def test_endpoints_are_found_by_every_filter_and_listed_page_by_page(
    globex: Connection, network: Network, service: Any, connect: Connect
):
    first, second, third = (connect(service) for _ in range(3))

    def found(**query: Any) -> list[str]:
        return ids(globex.vpcep.endpoints(**{"endpoint_service_name": service.service_name} | query))

    assert found() == [third.id, second.id, first.id]
    assert found(sort_key="created_at", sort_dir="asc") == [first.id, second.id, third.id]
    assert found(sort_key="updated_at", sort_dir="desc") == [third.id, second.id, first.id]
    assert found(limit=2) == [third.id, second.id]
    assert found(limit=2, offset=2) == [first.id]
    assert found(limit=2, offset=3) == []
    assert found(id=second.id) == [second.id]
    assert found(router_id=network.vpc_id) == [third.id, second.id, first.id]
    assert found(router_id=NOBODYS_ID) == []


def test_a_deleted_endpoint_is_gone_and_deleting_it_again_is_no_error(globex: Connection, endpoint: Any):
    globex.vpcep.delete_endpoint(endpoint.id, ignore_missing=False)

    until(lambda: ids(globex.vpcep.endpoints(id=endpoint.id)), lambda left: not left)
    assert globex.vpcep.delete_endpoint(endpoint.id) is None
    assert refusal(lambda: globex.vpcep.delete_endpoint(endpoint.id, ignore_missing=False)) == (404, "EndPoint.2006")
    assert refusal(lambda: globex.vpcep.get_endpoint(endpoint.id)) == (404, "EndPoint.2006")


def test_a_connection_has_every_attribute_and_is_accepted_and_rejected(
    acme: Connection, server: Server, service: Any, endpoint: Any
):
    def connection() -> Any:
        (found,) = acme.vpcep.service_connections(service, id=endpoint.id)
        return found

    found = attributes(connection())

    take_times(found)
    assert found == {
        "id": endpoint.id,
        "domain_id": server.domain_id("globex"),
        "marker_id": endpoint.marker_id,
        "status": "pendingAcceptance",
    }
    (accepted,) = acme.vpcep.manage_service_connections(service, "accept", [endpoint.id])
    assert (accepted.id, accepted.marker_id) == (endpoint.id, endpoint.marker_id)
    assert accepted.domain_id == server.domain_id("globex")
    assert accepted.status in {"creating", "accepted"}
    until(connection, lambda now: now.status == "accepted")
    (rejected,) = acme.vpcep.manage_service_connections(service.id, "reject", [endpoint.id])
    assert rejected.status == connection().status == "rejected"
    acme.vpcep.manage_service_connections(service.id, "receive", [endpoint.id])
    until(connection, lambda now: now.status == "accepted")


def test_connections_are_found_by_every_filter_and_listed_page_by_page(
    acme: Connection, service: Any, connect: Connect
):
    first, second, third = (connect(service) for _ in range(3))

    def found(**query: Any) -> list[str]:
        return ids(acme.vpcep.service_connections(service.id, **query))

    assert found() == [third.id, second.id, first.id]
    assert found(sort_key="created_at", sort_dir="asc") == [first.id, second.id, third.id]
    assert found(sort_key="updated_at") == [third.id, second.id, first.id]
    assert found(limit=2) == [third.id, second.id]
    assert found(limit=2, offset=2) == [first.id]
    assert found(marker_id=second.marker_id) == [second.id]
    assert found(id=NOBODYS_ID) == []
    both = [first.id, second.id]
    assert refusal(lambda: acme.vpcep.manage_service_connections(service, "accept", both)) == (400, "EndPoint.2031")


def test_a_whitelist_entry_has_every_attribute_and_is_added_and_removed(acme: Connection, publish: Publish):
    made = publish()

    assert permit(acme, made, "globex1") == ["iam:domain::globex1"]
    assert permit(acme, made, "*", "globex1") == ["iam:domain::*", "iam:domain::globex1"]

    def found(**query: Any) -> list[str]:
        return [entry.permission for entry in acme.vpcep.service_whitelist(made.id, **query)]

    assert found() == ["iam:domain::*", "iam:domain::globex1"]
    assert found(sort_key="created_at", sort_dir="asc") == ["iam:domain::globex1", "iam:domain::*"]
    assert found(permission="domain::glo") == ["iam:domain::globex1"]
    assert found(limit=1) == ["iam:domain::*"]
    assert found(limit=1, offset=1) == ["iam:domain::globex1"]
    assert found(limit=1, offset=2) == []
    (entry,) = acme.vpcep.service_whitelist(made, permission="globex1")
    shown = attributes(entry)
    assert is_now(shown.pop("created_at"))
    assert shown == {"id": str(UUID(entry.id)), "permission": "iam:domain::globex1", "description": ""}
    removed = acme.vpcep.manage_service_whitelist(made, "remove", domains=["*", "neverthere"])
    assert [entry.permission for entry in removed] == ["iam:domain::*", "iam:domain::neverthere"]
    assert found() == ["iam:domain::globex1"]


def test_whoever_is_not_on_the_whitelist_is_refused(
    acme: Connection, server: Server, publish: Publish, connect: Connect
):
    made = publish()
    until(lambda: acme.vpcep.get_service(made.id), is_available)

    assert refusal(lambda: connect(made)) == (400, "EndPoint.2012")

    permit(acme, made, server.domain_id("globex"))
    allowed = connect(made)
    assert allowed.status == "pendingAcceptance"


def test_a_public_service_has_every_attribute_and_is_found_by_every_filter(globex: Connection):
    (dns,) = globex.vpcep.public_services(name="com.landbridge.lab-1.dns")

    found = attributes(dns)

    assert datetime.strptime(found.pop("created_at"), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC) <= datetime.now(UTC)
    assert found == {
        "id": dns.id,
        "owner": "lab",
        "service_name": "com.landbridge.lab-1.dns",
        "service_type": "interface",
        "is_charge": False,
    }
    assert ids(globex.vpcep.public_services(id=dns.id)) == [dns.id]
    everything = ids(globex.vpcep.public_services(sort_key="created_at", sort_dir="asc"))
    assert dns.id in everything
    assert ids(globex.vpcep.public_services(sort_key="created_at", sort_dir="asc", limit=1)) == everything[:1]
    assert ids(globex.vpcep.public_services(sort_key="created_at", sort_dir="asc", limit=9, offset=1)) == everything[1:]
    assert globex.vpcep.get_target_service(dns.service_name).id == dns.id


def test_quotas_count_what_is_there(acme: Connection, publish: Publish):
    before = {quota.type: quota.used for quota in acme.vpcep.resource_quota()}

    publish()

    assert set(before) == {"endpoint_service", "endpoint"}
    (quota,) = acme.vpcep.resource_quota(type="endpoint_service")
    expected = {"id": None, "type": "endpoint_service", "used": before["endpoint_service"] + 1, "quota": 1000}
    assert attributes(quota) == expected
    (quota,) = acme.vpcep.resource_quota("endpoint")
    assert (quota.type, quota.quota) == ("endpoint", 1000)


def test_an_error_says_what_to_do_and_carries_status_code_and_request_id(acme: Connection, publish: Publish):
    publish()

    assert refusal(lambda: publish(service_name="x" * 17)) == (400, "EndPoint.3076")
    assert refusal(lambda: list(acme.vpcep.services(status="bad"))) == (400, "EndPoint.0019")
    assert refusal(publish) == (400, "EndPoint.3044")
    with pytest.raises(BadRequestException, match=r"another endpoint service on port_id .* choose another one"):
        publish()
