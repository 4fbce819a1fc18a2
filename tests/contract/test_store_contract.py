"""What every store promises, whichever database is under it."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv4Network
from itertools import pairwise
from pathlib import Path
from typing import cast
from uuid import UUID

import pytest
from sqlalchemy import Engine, event, insert

from landbridge.control.accounts import AccessKey, AccountOrigin, ProjectRecord, UserRecord
from landbridge.control.protocols import ReadTransaction, Store, WriteTransaction
from landbridge.control.queries import (
    ConnectionQuery,
    EndpointQuery,
    Page,
    PermissionQuery,
    PublicServiceQuery,
    ServiceQuery,
)
from landbridge.dataplane.driver import Capabilities
from landbridge.dataplane.model import TRANSIT_RANGE
from landbridge.dataplane.pools import Pool
from landbridge.dataplane.tracking import FullEdges
from landbridge.domain.addressing import host_numbers
from landbridge.domain.cutting import KEEP, CutMode, CutOff, CutOffs, FormerClients, Grace
from landbridge.domain.errors import (
    AddressOutsideSubnet,
    AddressTaken,
    OperatorError,
    PoolFull,
    PortsConflict,
    SubnetFull,
)
from landbridge.domain.ids import (
    DomainId,
    EndpointId,
    NicId,
    PermissionId,
    PoolId,
    ProjectId,
    RouteTableId,
    ServiceId,
    SubnetId,
    VpcId,
)
from landbridge.domain.lifecycle import EndpointStatus, ServiceStatus
from landbridge.domain.resources import (
    AddressPair,
    Admission,
    Backend,
    Endpoint,
    EndpointService,
    Failure,
    Nic,
    Origin,
    Permission,
    PermissionType,
    PortMapping,
    QuotaType,
    Route,
    RouteTable,
    ServerType,
    Subnet,
    Tag,
    TcpProxy,
    Vpc,
    WayOut,
)
from landbridge.domain.tagging import ResourceType, TaggedResource
from landbridge.store.postgresql import PostgresqlStore
from landbridge.store.sqlite import SqliteStore
from landbridge.store.tables import transit_addresses
from tests.contract.databases import engine_of
from tests.postgresql import PostgresqlServer, connecting

PROJECT = Path(__file__).parent.parent.parent
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ACME, UMBRELLA = ProjectId("a" * 32), ProjectId("b" * 32)
POOL = PoolId("00000000-0000-0000-0000-00000000f001")
VPC = VpcId("00000000-0000-0000-0000-0000000000a1")
WEB = Subnet(
    id=SubnetId("00000000-0000-0000-0000-0000000000b1"),
    vpc_id=VPC,
    name="web",
    cidr=IPv4Network("10.0.0.0/24"),
    gateway=IPv4Address("10.0.0.1"),
)
TINY = replace(WEB, id=SubnetId("00000000-0000-0000-0000-0000000000b2"), cidr=IPv4Network("10.0.0.0/29"))
NIC = Nic(
    id=NicId("00000000-0000-0000-0000-0000000000c1"),
    subnet_id=WEB.id,
    vpc_id=VPC,
    project_id=ACME,
    address=IPv4Address("10.0.0.20"),
    name="web-1",
)


class HandClock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.moment = NOON

    def now(self) -> datetime:
        return self.moment


OpenStore = Callable[[], Store]
AnyStore = PostgresqlStore | SqliteStore


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def place(database_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where this test's database is: a file's path, or a server's address."""
    if database_kind == "sqlite":
        return str(tmp_path / "landbridge.db")
    server: PostgresqlServer = request.getfixturevalue("postgresql")
    return server.url(request.getfixturevalue("new_postgresql_database")())


@pytest.fixture
def open_store(place: str, database_kind: str, clock: HandClock) -> Iterator[OpenStore]:
    """Open the store of this test; opening it again is a restart."""
    openers: dict[str, Callable[[], AnyStore]] = {
        "sqlite": lambda: SqliteStore.open(Path(place), clock=clock),
        "postgresql": lambda: PostgresqlStore.open(connecting(place), clock=clock),
    }
    opened: list[AnyStore] = []

    def restart() -> AnyStore:
        while opened:
            opened.pop().close()
        opened.append(openers[database_kind]())
        return opened[-1]

    yield restart
    while opened:
        opened.pop().close()


@pytest.fixture
def store(open_store: OpenStore) -> Store:
    return open_store()


def an_id(number: int) -> str:
    return str(UUID(int=number))


def a_service(number: int = 1, **changes: object) -> EndpointService:
    service = EndpointService(
        id=ServiceId(an_id(number)),
        project_id=ACME,
        domain_id=DomainId(ACME),
        pool_id=POOL,
        name=f"lab-1.Shop{number}.{an_id(number)}",
        vpc_id=VPC,
        backend=Backend(
            server_type=ServerType.VM,
            nic_id=NIC.id,
            vip_nic_id=None,
            subnet_id=WEB.id,
            address=NIC.address,
            transit_address=IPv4Address("198.19.128.1"),
        ),
        ports=(PortMapping(80, 8080), PortMapping(443, 8443)),
        approval_enabled=True,
        tcp_proxy=TcpProxy.TOA_OPEN,
        description="the shop — ünï💡",
        tags=(Tag("tier", "gold"), Tag("stage", "")),
        created_at=NOON + timedelta(microseconds=number),
        updated_at=NOON + timedelta(microseconds=number),
    )
    return replace(service, **changes)  # pyright: ignore[reportArgumentType]


def an_endpoint(number: int = 1, **changes: object) -> Endpoint:
    """An endpoint as if its addresses had been claimed."""
    endpoint = Endpoint(
        id=EndpointId(an_id(1000 + number)),
        project_id=UMBRELLA,
        domain_id=DomainId(UMBRELLA),
        pool_id=POOL,
        service_id=a_service().id,
        service_name=a_service().name,
        vpc_id=VPC,
        subnet_id=WEB.id,
        address=IPv4Address("10.0.0.0") + number,
        transit_address=TRANSIT_RANGE.network_address + number,
        marker=2**24 + number,
        admission=Admission.PENDING,
        enable_dns=True,
        whitelist=(IPv4Network("10.0.0.0/28"), IPv4Network("10.0.0.77/32")),
        enable_whitelist=True,
        description="ours",
        connection_description="theirs",
        tags=(Tag("owner", "me"),),
        created_at=NOON + timedelta(microseconds=number),
        updated_at=NOON + timedelta(microseconds=number),
    )
    return replace(endpoint, **changes)  # pyright: ignore[reportArgumentType]


def create_endpoint(tx: WriteTransaction, number: int, subnet: Subnet = WEB) -> Endpoint:
    id_ = EndpointId(an_id(1000 + number))
    endpoint = an_endpoint(
        number,
        subnet_id=subnet.id,
        address=tx.claim_endpoint_address(id_, subnet, None),
        transit_address=tx.claim_transit_address(POOL, id_),
        marker=tx.claim_marker(),
    )
    tx.add_endpoint(endpoint)
    return endpoint


def create_service(tx: WriteTransaction, service: EndpointService) -> EndpointService:
    transit = tx.claim_target_address(service.pool_id, service.vpc_id, service.backend.address)
    placed = replace(service, backend=replace(service.backend, transit_address=transit))
    tx.add_service(placed)
    tx.claim_server_ports(placed)
    return placed


# What is written comes back


async def test_a_service_comes_back_as_it_was_written(store: Store):
    service = a_service(
        cut_offs=CutOffs(on_reject=CutOff(CutMode.DRAIN, 60), on_whitelist_edit=KEEP),
        former_backends=(replace(a_service().backend, server_type=ServerType.VIP, vip_nic_id=NicId("vip")),),
        generation=7,
        observed_generation=6,
        delete_requested_at=NOON + timedelta(days=1, microseconds=3),
        last_error=Failure("not-carried", "cannot carry TOA"),
    )
    await store.write(lambda tx: tx.add_service(service))

    assert await store.read(lambda tx: tx.service(service.id)) == service
    assert await store.read(lambda tx: tx.services_by_id([service.id, ServiceId(an_id(9))])) == {service.id: service}


async def test_an_endpoint_comes_back_as_it_was_written(store: Store):
    endpoint = an_endpoint(
        accepted_generation=2,
        cut_requested_at=NOON,
        delete_requested_at=NOON + timedelta(seconds=1),
        grace=Grace(NOON, NOON + timedelta(seconds=90, microseconds=7)),
        former_clients=(
            FormerClients((IPv4Network("10.0.0.7/32"), IPv4Network("10.0.1.0/24")), Grace(NOON, None)),
            FormerClients((IPv4Network("10.0.0.8/32"),), Grace(NOON, NOON + timedelta(hours=1))),
        ),
        last_error=Failure("data-plane-failure", ""),
        admission=Admission.REJECTED,
    )
    await store.write(lambda tx: tx.add_endpoint(endpoint))

    assert await store.read(lambda tx: tx.endpoint(endpoint.id)) == endpoint
    assert await store.read(lambda tx: tx.endpoints_by_id([endpoint.id])) == {endpoint.id: endpoint}
    assert await store.read(lambda tx: tx.endpoints_of_services([endpoint.service_id])) == [endpoint]


async def test_a_gateway_service_and_its_endpoints_come_back_as_they_were_written(store: Store):
    networks = (IPv4Network("100.64.0.0/24"), IPv4Network("100.125.0.0/16"))
    service = a_service(backend=WayOut(WEB.id, networks), ports=(), public_owner="lab", origin=Origin.LAB)
    tables = (RouteTableId(an_id(77)), RouteTableId(an_id(76)))
    gateways = [an_endpoint(n, subnet_id=None, address=None, route_table_ids=tables) for n in (1, 2)]
    elsewhere = an_endpoint(3, subnet_id=None, address=None, route_table_ids=tables, vpc_id=VpcId(an_id(9)))

    def work(tx: WriteTransaction) -> None:
        tx.add_service(service)
        tx.claim_server_ports(service)
        for endpoint in (*gateways, elsewhere, an_endpoint(4)):
            tx.add_endpoint(endpoint)

    await store.write(work)

    assert await store.read(lambda tx: tx.service(service.id)) == service
    assert await store.read(lambda tx: list(tx.gateway_endpoints(VPC))) == gateways
    assert await store.read(lambda tx: tx.endpoint(gateways[0].id)) == gateways[0]
    moved = replace(service, backend=WayOut(NIC.subnet_id, networks[:1]), generation=2)
    await store.write(lambda tx: tx.update_service(moved))
    await store.write(lambda tx: tx.remove_endpoint(gateways[0].id))
    await store.write(lambda tx: tx.remove_service(service.id))
    assert await store.read(lambda tx: tx.service(service.id)) is None
    assert await store.read(lambda tx: list(tx.gateway_endpoints(VPC))) == gateways[1:]


async def test_what_does_not_exist_is_none(store: Store):
    def look(tx: ReadTransaction) -> list[object]:
        return [
            tx.service(ServiceId("?")),
            tx.endpoint(EndpointId("?")),
            tx.vpc(VpcId("?")),
            tx.subnet(SubnetId("?")),
            tx.nic(NicId("?")),
            tx.project(ProjectId("?")),
            tx.user("?"),
            tx.user_by_access_key("?"),
        ]

    assert set(await store.read(look)) == {None}


TEXTS = ["", "'; DROP TABLE services; --", "\u202eabc\ufffe", "\U0001d518\U0010ffff", "a\nb\t\x01"]


@pytest.mark.parametrize("text", TEXTS)
async def test_any_text_without_nul_survives(store: Store, text: str):
    service = a_service(description=text, tags=(Tag(text, text),), last_error=Failure("x", text))
    await store.write(lambda tx: tx.add_service(service))

    assert await store.read(lambda tx: tx.service(service.id)) == service


async def test_a_moment_of_another_zone_comes_back_in_utc_and_a_naive_one_is_refused(store: Store):
    elsewhere = datetime.fromisoformat("2026-03-01T14:00:00.000001+02:00")
    await store.write(lambda tx: tx.add_service(a_service(created_at=elsewhere)))
    with pytest.raises(Exception, match="time zone"):
        await store.write(lambda tx: tx.add_service(a_service(2, created_at=datetime(2026, 1, 1))))  # noqa: DTZ001

    service = await store.read(lambda tx: tx.service(a_service().id))
    assert service is not None
    assert (service.created_at, service.created_at.tzinfo) == (NOON + timedelta(microseconds=1), UTC)


async def test_the_built_in_directory_comes_back_and_can_be_replaced(store: Store):
    vpc = Vpc(VPC, ACME, "main", IPv4Network("10.0.0.0/16"), (IPv4Network("192.168.0.0/24"),))

    def work(tx: WriteTransaction) -> None:
        for name in ("old", "new"):
            tx.put_vpc(replace(vpc, name=name))
            tx.put_subnet(replace(WEB, name=name))
            tx.put_subnet(replace(TINY, vpc_id=VpcId("other")))
            tx.put_nic(replace(NIC, name=name))

    await store.write(work)

    def look(tx: ReadTransaction) -> list[object]:
        return [tx.vpc(VPC), *tx.vpcs(), *tx.subnets(VPC), tx.subnet(WEB.id), tx.nic(NIC.id), *tx.nics()]

    web, nic = replace(WEB, name="new"), replace(NIC, name="new")
    assert await store.read(look) == [replace(vpc, name="new"), replace(vpc, name="new"), web, web, nic, nic]
    assert len(await store.read(lambda tx: tx.subnets())) == 2

    def forget(tx: WriteTransaction) -> int:
        tx.remove_nic(NIC.id)
        tx.remove_subnet(WEB.id)
        tx.remove_vpc(VPC)
        return len(tx.vpcs()) + len(tx.subnets(VPC)) + len(tx.nics())

    assert await store.write(forget) == 0


async def test_users_come_back_with_roles_and_keys_and_are_found_by_name_and_key(store: Store):
    keys = (AccessKey("ZKEY", b"\x00sealed"), AccessKey("AKEY", b""))
    roles = {ACME: frozenset({"admin", "member"}), UMBRELLA: frozenset({"reader"})}
    user = UserRecord("u1", "ann", DomainId("d1"), "acme", "$argon2$", roles, keys)
    namesake = UserRecord("u2", "ann", DomainId("d2"), "umbrella", "$argon2$", {}, (), AccountOrigin.COMMAND)
    project = ProjectRecord(ACME, "acme", DomainId("d1"), "acme", AccountOrigin.COMMAND)

    def work(tx: WriteTransaction) -> list[object]:
        tx.put_project(project)
        tx.put_user(replace(user, access_keys=(AccessKey("OLD", b"1"),), roles={ACME: frozenset({"reader"})}))
        tx.put_user(user)
        tx.put_user(namesake)
        return [*tx.users()]

    assert await store.write(work) == [user, namesake]
    assert await store.read(lambda tx: list(tx.users_named("ann"))) == [user, namesake]
    assert await store.read(lambda tx: tx.users_named("bob")) == []
    assert await store.read(lambda tx: tx.user_by_access_key("AKEY")) == user
    assert await store.read(lambda tx: tx.user_by_access_key("OLD")) is None
    assert await store.read(lambda tx: [tx.project(ACME), *tx.projects()]) == [project, project]

    await store.write(lambda tx: tx.remove_project(ACME))
    assert await store.read(lambda tx: tx.user("u1")) == replace(user, roles={UMBRELLA: frozenset({"reader"})})
    await store.write(lambda tx: tx.remove_user("u1"))
    assert await store.read(lambda tx: tx.user_by_access_key("AKEY")) is None
    assert await store.read(lambda tx: tx.user("u2")) == namesake


# Transactions


async def test_what_was_written_is_there_after_a_restart(open_store: OpenStore):
    await open_store().write(lambda tx: tx.add_service(a_service()))

    assert await open_store().read(lambda tx: tx.service(a_service().id)) == a_service()


async def test_a_failing_work_is_undone_alone_and_its_neighbours_stay(store: Store):
    def broken(tx: WriteTransaction) -> None:
        tx.add_service(a_service(2))
        raise LookupError("on purpose")

    outcomes = await asyncio.gather(
        store.write(lambda tx: tx.add_service(a_service(1))),
        store.write(broken),
        store.write(lambda tx: tx.add_service(a_service(1))),
        store.write(lambda tx: tx.add_service(a_service(3))),
        return_exceptions=True,
    )

    assert [type(outcome).__name__ for outcome in outcomes] == ["NoneType", "LookupError", "OperatorError", "NoneType"]
    ids = [a_service(number).id for number in (1, 2, 3)]
    assert set(await store.read(lambda tx: tx.services_by_id(ids))) == {ids[0], ids[2]}


async def test_two_hundred_simultaneous_writes_all_happen_in_fewer_commits(store: Store):
    commits: list[object] = []
    count = commits.append
    event.listen(Engine, "commit", count)
    try:
        results = await asyncio.gather(
            *(store.write(lambda tx, number=number: create_endpoint(tx, number)) for number in range(1, 201))
        )
    finally:
        event.remove(Engine, "commit", count)

    stored = await store.read(lambda tx: tx.endpoints(EndpointQuery(UMBRELLA, page=Page(limit=500))))
    assert stored[1] == 200
    assert len({endpoint.address for endpoint in results}) == 200
    assert len({endpoint.transit_address for endpoint in results}) == 200
    assert len({endpoint.marker for endpoint in results}) == 200
    assert len(commits) <= 20


async def test_a_waiter_that_goes_away_does_not_disturb_the_others(store: Store):
    tasks = [
        asyncio.create_task(store.write(lambda tx, number=number: tx.add_service(a_service(number))))
        for number in range(1, 21)
    ]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()

    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [outcome for outcome in outcomes[1::2] if outcome is not None] == []
    kept = [a_service(number).id for number in range(2, 21, 2)]
    assert len(await store.read(lambda tx: tx.services_by_id(kept))) == 10
    await store.write(lambda tx: tx.add_service(a_service(99)))


async def test_a_look_sees_one_snapshot_while_others_write(store: Store):
    loop = asyncio.get_running_loop()

    def look(tx: ReadTransaction) -> list[object]:
        before = tx.service(a_service().id)
        asyncio.run_coroutine_threadsafe(store.write(lambda tx: tx.add_service(a_service())), loop).result(10)
        return [before, tx.service(a_service().id)]

    assert await store.read(look) == [None, None]
    assert await store.read(lambda tx: tx.service(a_service().id)) is not None


async def test_a_look_cannot_write(store: Store):
    def write_all_the_same(tx: ReadTransaction) -> None:
        cast("WriteTransaction", tx).add_service(a_service())

    with pytest.raises(AttributeError, match="add_service"):
        await store.read(write_all_the_same)


def test_any_event_loop_may_write(store: Store):
    for number in (1, 2):
        asyncio.run(store.write(lambda tx, number=number: tx.add_service(a_service(number))))

    assert asyncio.run(store.read(lambda tx: tx.services(ServiceQuery(ACME))))[1] == 2


KILLED_WRITER = """
import asyncio, sys
from pathlib import Path
from landbridge.domain.ids import ProjectId, VpcId
from landbridge.domain.resources import Vpc
from ipaddress import IPv4Network
from landbridge.store.postgresql import PostgresqlStore
from landbridge.store.sqlite import SqliteStore
from tests.postgresql import connecting

async def main():
    place = sys.argv[1]
    is_file = place.startswith("/")
    store = SqliteStore.open(Path(place)) if is_file else PostgresqlStore.open(connecting(place))
    for number in range(10_000):
        vpc = Vpc(VpcId(str(number)), ProjectId("p"), "name", IPv4Network("10.0.0.0/16"))
        await store.write(lambda tx: tx.put_vpc(vpc))
        print(number, flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize("acknowledged_count", [1, 40])
async def test_an_acknowledged_write_survives_a_kill(open_store: OpenStore, place: str, acknowledged_count: int):
    arguments = [sys.executable, "-c", KILLED_WRITER, place]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, cwd=PROJECT) as child:  # noqa: ASYNC220
        assert child.stdout is not None
        acknowledged = [child.stdout.readline().strip() for _ in range(acknowledged_count)]
        os.kill(child.pid, signal.SIGKILL)

    present = {vpc.id for vpc in await open_store().read(lambda tx: tx.vpcs())}
    assert set(acknowledged) <= present
    assert acknowledged == [str(number) for number in range(acknowledged_count)]


# Revision and generation


async def test_a_change_of_intent_raises_the_revision_once_per_transaction(store: Store):
    revisions = [0]

    async def revision_after(work: Callable[[WriteTransaction], object]) -> int:
        await store.write(work)
        revisions.append((await store.read(lambda tx: tx.changes_since(0))).revision)
        return revisions[-1] - revisions[-2]

    assert await revision_after(lambda tx: [tx.add_service(a_service(1)), tx.add_service(a_service(2))]) == 1
    assert await revision_after(lambda tx: tx.add_endpoint(an_endpoint())) == 1
    assert await revision_after(lambda tx: tx.update_endpoint(an_endpoint(generation=2))) == 1
    assert await revision_after(lambda tx: tx.record_endpoint_outcome(an_endpoint().id, 2, None)) == 0
    assert await revision_after(lambda tx: tx.record_service_outcome(a_service().id, 1, None)) == 0
    assert await revision_after(lambda tx: tx.put_nic(NIC)) == 0
    assert await revision_after(lambda tx: tx.remove_endpoint(an_endpoint().id)) == 1
    assert await revision_after(lambda tx: tx.remove_endpoint(an_endpoint().id)) == 0
    assert await revision_after(lambda tx: tx.remove_service(a_service().id)) == 1
    assert await revision_after(lambda tx: tx.remove_service(a_service().id)) == 0


async def test_changes_since_a_revision_are_those_written_after_it(store: Store):
    await store.write(lambda tx: [tx.add_service(a_service(1)), tx.add_service(a_service(2))])
    first = await store.read(lambda tx: tx.changes_since(0))
    await store.write(lambda tx: tx.add_endpoint(an_endpoint(1)))
    await store.write(lambda tx: tx.update_service(a_service(2, generation=2, description="new")))
    changes = await store.read(lambda tx: tx.changes_since(first.revision))

    assert [service.id for service in first.services] == [a_service(1).id, a_service(2).id]
    assert list(changes.services) == [a_service(2, generation=2, description="new")]
    assert list(changes.endpoints) == [an_endpoint(1)]
    assert changes.revision == first.revision + 2
    nothing = await store.read(lambda tx: tx.changes_since(changes.revision))
    assert (list(nothing.services), list(nothing.endpoints)) == ([], [])


async def test_a_failed_work_takes_its_revision_back(store: Store):
    def broken(tx: WriteTransaction) -> None:
        tx.add_service(a_service())
        raise LookupError

    with pytest.raises(LookupError):
        await store.write(broken)

    assert (await store.read(lambda tx: tx.changes_since(0))).revision == 0


async def test_an_outcome_of_an_older_generation_is_not_written(store: Store):
    service, endpoint = a_service(generation=3), an_endpoint(generation=3, cut_requested_at=NOON)
    await store.write(lambda tx: [tx.add_service(service), tx.add_endpoint(endpoint)])

    def stale(tx: WriteTransaction) -> list[bool]:
        return [
            tx.record_service_outcome(service.id, 2, None),
            tx.record_endpoint_outcome(endpoint.id, 2, Failure("not-carried", "no")),
            tx.record_service_outcome(ServiceId("gone"), 1, None),
        ]

    assert await store.write(stale) == [False, False, False]
    assert await store.read(lambda tx: [tx.service(service.id), tx.endpoint(endpoint.id)]) == [service, endpoint]


async def test_success_is_recorded_and_clears_the_error_and_the_cut_and_nothing_else(store: Store):
    failure = Failure("not-carried", "no")
    service, endpoint = a_service(generation=3), an_endpoint(generation=3, cut_requested_at=NOON)
    await store.write(lambda tx: [tx.add_service(service), tx.add_endpoint(endpoint)])

    def fail(tx: WriteTransaction) -> list[object]:
        assert tx.record_service_outcome(service.id, 3, failure)
        assert tx.record_endpoint_outcome(endpoint.id, 3, failure)
        return [tx.service(service.id), tx.endpoint(endpoint.id)]

    def succeed(tx: WriteTransaction) -> list[object]:
        assert tx.record_service_outcome(service.id, 3, None)
        assert tx.record_endpoint_outcome(endpoint.id, 3, None)
        return [tx.service(service.id), tx.endpoint(endpoint.id)]

    assert await store.write(fail) == [replace(service, last_error=failure), replace(endpoint, last_error=failure)]
    assert await store.write(succeed) == [
        replace(service, observed_generation=3),
        replace(endpoint, observed_generation=3, cut_requested_at=None),
    ]


# Server ports and permissions


async def test_two_simultaneous_creates_with_one_server_port_leave_exactly_one(store: Store):
    outcomes = await asyncio.gather(
        *(store.write(lambda tx, number=number: create_service(tx, a_service(number))) for number in (1, 2)),
        return_exceptions=True,
    )

    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["EndpointService", "PortsConflict"]
    assert (await store.read(lambda tx: tx.services(ServiceQuery(ACME))))[1] == 1


async def test_server_ports_are_free_again_when_released_and_when_the_service_is_removed(store: Store):
    await store.write(lambda tx: create_service(tx, a_service(1)))
    await store.write(lambda tx: tx.release_server_ports(a_service(1).id))
    await store.write(lambda tx: create_service(tx, a_service(2)))
    with pytest.raises(PortsConflict):
        await store.write(lambda tx: create_service(tx, a_service(3)))
    await store.write(lambda tx: tx.remove_service(a_service(2).id))
    await store.write(lambda tx: create_service(tx, a_service(3)))


async def test_a_service_that_claims_more_ports_keeps_its_own_and_one_of_anothers_is_refused(store: Store):
    def service(number: int, *ports: int) -> EndpointService:
        return a_service(number, ports=tuple(PortMapping(port, port, "TCP") for port in ports))

    await store.write(lambda tx: tx.claim_server_ports(service(1, 80, 81)))
    await store.write(lambda tx: tx.claim_server_ports(service(2, 90)))
    await store.write(lambda tx: tx.claim_server_ports(service(1, 80, 82)))
    with pytest.raises(PortsConflict, match="server_port 82"):
        await store.write(lambda tx: tx.claim_server_ports(service(2, 90, 91, 82)))
    # Nothing of a refused claim stays.
    await store.write(lambda tx: tx.claim_server_ports(service(3, 91)))


async def test_a_service_may_lead_two_client_ports_to_one_server_port_and_claim_again(store: Store):
    twice = a_service(ports=(PortMapping(80, 8080), PortMapping(81, 8080)))
    await store.write(lambda tx: create_service(tx, twice))
    await store.write(lambda tx: tx.claim_server_ports(replace(twice, ports=(PortMapping(1, 8080), PortMapping(2, 9)))))

    with pytest.raises(PortsConflict):
        await store.write(lambda tx: create_service(tx, a_service(2, ports=(PortMapping(7, 9),))))


async def test_a_permission_is_kept_once_and_as_it_was_first_written(store: Store):
    def entry(number: int, text: str) -> Permission:
        moment = NOON + timedelta(seconds=number)
        return Permission(PermissionId(an_id(number)), a_service().id, text, PermissionType.DOMAIN_ID, "why", moment)

    def work(tx: WriteTransaction) -> list[Permission]:
        tx.add_service(a_service())
        for number, text in enumerate(["iam:domain::abc", "*", "iam:domain::abc"]):
            tx.add_permission(entry(number, text))
        tx.remove_permission(a_service().id, "iam:domain::absent")
        return [*tx.all_permissions(a_service().id)]

    first, everybody = entry(0, "iam:domain::abc"), entry(1, "*")
    assert await store.write(work) == [first, everybody]

    async def found(**filters: object) -> tuple[list[Permission], int]:
        query = PermissionQuery(a_service().id, **filters)  # pyright: ignore[reportArgumentType]
        rows, total = await store.read(lambda tx: tx.permissions(query))
        return list(rows), total

    assert await found() == ([everybody, first], 2)
    assert await found(page=Page(sort_by="updated_at", descending=False)) == ([first, everybody], 2)
    assert await found(permission_contains="DOMAIN") == ([first], 1)
    assert await found(permission_contains="%") == ([], 0)
    await store.write(lambda tx: tx.remove_permission(a_service().id, "*"))
    assert await found() == ([first], 1)
    await store.write(lambda tx: tx.remove_service(a_service().id))
    assert await found() == ([], 0)


# Transit addresses of backends


async def test_services_on_one_backend_address_share_a_target_address_until_the_last_is_removed(store: Store):
    one, two = a_service(1), a_service(2, ports=(PortMapping(1, 1),))
    services = [await store.write(lambda tx, service=service: create_service(tx, service)) for service in (one, two)]
    shared = services[0].backend.transit_address
    assert services[1].backend.transit_address == shared

    await store.write(lambda tx: tx.remove_service(one.id))
    assert await store.write(lambda tx: tx.claim_target_address(POOL, VPC, NIC.address)) == shared
    await store.write(lambda tx: tx.remove_service(two.id))
    assert await store.write(lambda tx: tx.claim_target_address(POOL, VPC, NIC.address)) != shared


async def test_the_same_backend_address_in_another_vpc_has_a_target_address_of_its_own(store: Store):
    def work(tx: WriteTransaction) -> list[IPv4Address]:
        return [
            tx.claim_target_address(POOL, VPC, NIC.address),
            tx.claim_target_address(POOL, VpcId("another"), NIC.address),
            tx.claim_transit_address(POOL, EndpointId("e")),
        ]

    claimed = await store.write(work)
    assert len(set(claimed)) == 3
    assert await store.write(lambda tx: tx.claim_transit_address(PoolId("another"), EndpointId("e"))) == claimed[0]


def at(tx: WriteTransaction, service: EndpointService, address: str) -> Backend:
    """Return the service's backend at another address, whose transit address is claimed."""
    backend = IPv4Address(address)
    transit = tx.claim_target_address(POOL, service.vpc_id, backend)
    return replace(service.backend, address=backend, transit_address=transit)


async def transit_of(store: Store, address: str | IPv4Address) -> IPv4Address:
    return await store.write(lambda tx: tx.claim_target_address(POOL, VPC, IPv4Address(address)))


async def test_a_service_keeps_the_target_address_that_it_left_until_it_is_released(store: Store):
    service = await store.write(lambda tx: create_service(tx, a_service()))
    left = service.backend.transit_address

    def move(tx: WriteTransaction) -> EndpointService:
        after = replace(service, backend=at(tx, service, "10.0.0.99"), generation=2)
        tx.update_service(after)
        return after

    after = await store.write(move)
    assert await store.read(lambda tx: tx.services_that_left_targets(POOL)) == {service.id}
    assert await transit_of(store, NIC.address) == left

    await store.write(lambda tx: tx.release_left_targets(service))
    assert await transit_of(store, NIC.address) == left, "an outdated round must release nothing"
    await store.write(lambda tx: tx.release_left_targets(after))

    assert await store.read(lambda tx: tx.services_that_left_targets(POOL)) == set()
    assert await transit_of(store, NIC.address) != left


async def test_a_former_backend_keeps_its_target_address_until_the_service_forgets_it(store: Store):
    service = await store.write(lambda tx: create_service(tx, a_service()))
    former = service.backend

    def move(tx: WriteTransaction) -> EndpointService:
        after = replace(service, backend=at(tx, service, "10.0.0.99"), former_backends=(former,), generation=2)
        tx.update_service(after)
        return after

    after = await store.write(move)
    assert await store.read(lambda tx: tx.services_that_left_targets(POOL)) == set()
    assert await store.read(lambda tx: tx.moved_services(VPC)) == [after]
    neighbour = a_service(2)
    await store.write(lambda tx: create_service(tx, replace(neighbour, ports=(PortMapping(1, 1),))))

    forgotten = replace(after, former_backends=(), generation=3)
    await store.write(lambda tx: [tx.update_service(forgotten), tx.release_left_targets(forgotten)])
    assert await transit_of(store, NIC.address) == former.transit_address, "another service listens there"
    await store.write(lambda tx: tx.remove_service(neighbour.id))

    assert await transit_of(store, NIC.address) != former.transit_address


async def test_a_service_that_comes_back_before_its_place_was_released_keeps_it(store: Store):
    service = await store.write(lambda tx: create_service(tx, a_service()))

    def there_and_back(tx: WriteTransaction) -> EndpointService:
        tx.update_service(replace(service, backend=at(tx, service, "10.0.0.99"), generation=2))
        back = replace(service, generation=3)
        tx.update_service(back)
        tx.release_left_targets(back)
        return back

    back = await store.write(there_and_back)

    assert await store.read(lambda tx: tx.service(service.id)) == back
    assert await transit_of(store, NIC.address) == service.backend.transit_address


async def test_a_service_that_is_removed_frees_all_its_places(store: Store):
    service = await store.write(lambda tx: create_service(tx, a_service()))

    def move_twice(tx: WriteTransaction) -> list[IPv4Address]:
        second, third = at(tx, service, "10.0.0.98"), at(tx, service, "10.0.0.99")
        tx.update_service(replace(service, backend=second, generation=2))
        tx.update_service(replace(service, backend=third, former_backends=(second,), generation=3))
        return [service.backend.transit_address, second.transit_address, third.transit_address]

    had = await store.write(move_twice)
    await store.write(lambda tx: tx.remove_service(service.id))

    now = [await transit_of(store, address) for address in (NIC.address, "10.0.0.98", "10.0.0.99")]
    assert set(now).isdisjoint(had)


# What goes on for a time


GRACE = Grace(NOON, NOON + timedelta(seconds=90))
FOR_EVER = Grace(NOON, None)


async def test_endpoints_are_due_at_their_earliest_deadline_and_not_before(store: Store):
    later = FormerClients((IPv4Network("10.0.0.7/32"),), Grace(NOON, NOON + timedelta(hours=1)))
    endpoints = [
        an_endpoint(1, grace=GRACE, former_clients=(later,)),
        an_endpoint(2, former_clients=(later, replace(later, grace=FOR_EVER))),
        an_endpoint(3, grace=FOR_EVER),
        an_endpoint(4),
    ]
    await store.write(lambda tx: [tx.add_endpoint(endpoint) for endpoint in endpoints])

    async def due(seconds: float) -> tuple[list[Endpoint], datetime | None]:
        now = NOON + timedelta(seconds=seconds)
        return await store.read(lambda tx: (list(tx.endpoints_due(now, POOL)), tx.next_cut_after(now, POOL)))

    assert await due(89) == ([], GRACE.until_at)
    assert await due(90) == ([endpoints[0]], later.grace.until_at)
    assert await due(3600) == (endpoints[:2], None)
    assert await store.read(lambda tx: tx.ending_endpoints(a_service().id, 2)) == (endpoints[:2], 3)


async def test_what_has_been_cut_is_written_back_to_the_generation_that_was_compiled_only(store: Store):
    endpoint = an_endpoint(generation=3, grace=GRACE)
    await store.write(lambda tx: tx.add_endpoint(endpoint))

    assert not await store.write(lambda tx: tx.record_graces(replace(endpoint, grace=None, generation=2)))
    assert await store.read(lambda tx: tx.endpoint(endpoint.id)) == endpoint
    assert await store.write(lambda tx: tx.record_graces(replace(endpoint, grace=None)))

    assert await store.read(lambda tx: tx.endpoint(endpoint.id)) == replace(endpoint, grace=None)
    assert await store.read(lambda tx: tx.next_cut_after(NOON, POOL)) is None


async def test_an_endpoint_counts_while_it_is_being_deleted_and_connections_go_on(store: Store):
    gone = NOON + timedelta(seconds=1)
    endpoints = [
        an_endpoint(1),
        an_endpoint(2, delete_requested_at=gone),
        an_endpoint(3, delete_requested_at=gone, grace=GRACE),
    ]
    await store.write(lambda tx: [tx.add_endpoint(endpoint) for endpoint in endpoints])

    assert await store.read(lambda tx: tx.used_quota(UMBRELLA, QuotaType.ENDPOINT)) == 2


async def test_endpoints_outlive_their_service(store: Store):
    endpoint = await store.write(lambda tx: [tx.add_service(a_service()), create_endpoint(tx, 1)][1])
    await store.write(lambda tx: tx.remove_service(a_service().id))

    assert await store.read(lambda tx: tx.endpoint(EndpointId(an_id(1001)))) == endpoint


# Addresses and markers of endpoints


async def test_gateway_network_and_broadcast_address_and_strangers_are_refused(store: Store):
    def wish(text: str) -> Callable[[WriteTransaction], IPv4Address]:
        return lambda tx: tx.claim_endpoint_address(EndpointId("e"), WEB, IPv4Address(text))

    for outside in ("10.0.0.0", "10.0.0.255", "10.0.1.7", "255.255.255.255"):
        with pytest.raises(AddressOutsideSubnet):
            await store.write(wish(outside))
    with pytest.raises(AddressTaken, match="gateway"):
        await store.write(wish("10.0.0.1"))
    assert await store.write(wish("10.0.0.7")) == IPv4Address("10.0.0.7")


async def test_an_address_is_an_endpoints_or_a_nics_never_both(store: Store):
    await store.write(lambda tx: tx.put_nic(NIC))
    with pytest.raises(AddressTaken):
        await store.write(lambda tx: tx.claim_endpoint_address(EndpointId("e"), WEB, NIC.address))
    with pytest.raises(AddressTaken):
        await store.write(lambda tx: tx.put_nic(replace(NIC, id=NicId("other"))))
    mine = IPv4Address("10.0.0.21")
    await store.write(lambda tx: tx.claim_endpoint_address(EndpointId("e"), WEB, mine))
    with pytest.raises(AddressTaken):
        await store.write(lambda tx: tx.put_nic(replace(NIC, address=mine)))
    assert await store.read(lambda tx: tx.nic(NIC.id)) == NIC

    await store.write(lambda tx: tx.put_nic(replace(NIC, address=IPv4Address("10.0.0.22"))))
    await store.write(lambda tx: tx.claim_endpoint_address(EndpointId("f"), WEB, NIC.address))
    await store.write(lambda tx: tx.remove_nic(NIC.id))
    await store.write(lambda tx: tx.claim_endpoint_address(EndpointId("g"), WEB, IPv4Address("10.0.0.22")))


async def test_a_full_subnet_is_refused_and_gives_the_longest_free_address_next(store: Store):
    def fill(tx: WriteTransaction) -> list[IPv4Address]:
        return [create_endpoint(tx, number, TINY).address for number in range(1, 6)]

    assert [str(address) for address in await store.write(fill)] == [f"10.0.0.{n}" for n in range(2, 7)]
    with pytest.raises(SubnetFull):
        await store.write(lambda tx: create_endpoint(tx, 6, TINY))
    for number in (4, 2):
        await store.write(lambda tx, number=number: tx.remove_endpoint(EndpointId(an_id(1000 + number))))

    async def next_address(number: int) -> str:
        return str((await store.write(lambda tx: create_endpoint(tx, number, TINY))).address)

    assert [await next_address(number) for number in (6, 7)] == ["10.0.0.5", "10.0.0.3"]
    with pytest.raises(SubnetFull):
        await next_address(8)


async def test_a_freed_address_comes_after_those_that_nobody_had(store: Store):
    first = await store.write(lambda tx: create_endpoint(tx, 1))
    await store.write(lambda tx: tx.remove_endpoint(first.id))
    others = await store.write(lambda tx: [create_endpoint(tx, number) for number in range(2, 254)])
    last = await store.write(lambda tx: create_endpoint(tx, 254))

    assert last.address == first.address not in {endpoint.address for endpoint in others}
    assert WEB.gateway not in {endpoint.address for endpoint in others}
    assert first.transit_address not in {endpoint.transit_address for endpoint in (*others, last)}
    assert first.marker not in {endpoint.marker for endpoint in (*others, last)}


async def test_wanted_addresses_and_nics_are_skipped_by_the_choice(store: Store):
    def work(tx: WriteTransaction) -> list[str]:
        tx.put_nic(replace(NIC, address=IPv4Address("10.0.0.2")))
        tx.claim_endpoint_address(EndpointId("x"), TINY, IPv4Address("10.0.0.3"))
        tx.claim_endpoint_address(EndpointId("x"), WEB, IPv4Address("10.0.0.4"))
        tx.remove_nic(NIC.id)
        return [str(tx.claim_endpoint_address(EndpointId(f"e{n}"), WEB, None)) for n in range(3)]

    assert await store.write(work) == ["10.0.0.3", "10.0.0.5", "10.0.0.6"]


async def test_a_subnet_that_grew_at_both_ends_gives_its_new_addresses(store: Store):
    small = replace(TINY, cidr=IPv4Network("10.0.0.8/30"), gateway=IPv4Address("10.0.0.9"))
    grown = replace(TINY, cidr=IPv4Network("10.0.0.0/28"), gateway=IPv4Address("10.0.0.9"))
    await store.write(lambda tx: create_endpoint(tx, 1, small))

    def work(tx: WriteTransaction) -> list[int]:
        return [int(create_endpoint(tx, number, grown).address) & 15 for number in range(2, 14)]

    assert await store.write(work) == [1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 13, 14]


async def test_a_subnet_too_small_for_hosts_is_full(store: Store):
    for cidr in ("10.0.0.0/31", "10.0.0.0/32"):
        subnet = replace(TINY, cidr=IPv4Network(cidr))
        with pytest.raises(SubnetFull):
            await store.write(lambda tx, subnet=subnet: tx.claim_endpoint_address(EndpointId("e"), subnet, None))


async def test_a_full_pool_is_refused_and_no_transit_address_is_given_twice(store: Store, place: str):
    numbers = host_numbers(TRANSIT_RANGE)
    free = [*numbers[:100:7], *numbers[20_000:20_100:3], *numbers[-2:]]
    owned = [
        {"pool_id": POOL, "address": IPv4Address(number), "owner_kind": "endpoint", "owner_id": "somebody"}
        for number in numbers
        if number not in set(free)
    ]
    # Claiming each of them would take minutes.
    with engine_of(place) as engine, engine.begin() as connection:
        connection.execute(insert(transit_addresses), owned)

    def fill(tx: WriteTransaction) -> list[int]:
        return [int(tx.claim_transit_address(POOL, EndpointId(str(number)))) for number in range(len(free))]

    taken = await store.write(fill)
    assert taken == free
    assert len(owned) + len(free) == 2**15 - 2
    assert {TRANSIT_RANGE.network_address, TRANSIT_RANGE.broadcast_address}.isdisjoint(map(IPv4Address, taken))
    with pytest.raises(PoolFull):
        await store.write(lambda tx: tx.claim_transit_address(POOL, EndpointId("one more")))
    with pytest.raises(PoolFull):
        await store.write(lambda tx: tx.claim_target_address(POOL, VPC, NIC.address))


async def test_which_edges_are_nearly_full_stays_as_it_was_told_and_with_its_pool(store: Store):
    first = FullEdges(frozenset({"a-vpc", "hub"}), NOON)
    later = FullEdges(frozenset(), NOON + timedelta(seconds=10))
    pool, other = Pool(POOL, "a-pool", Capabilities()), PoolId("another pool")

    async def known() -> list[FullEdges | None]:
        return await store.read(lambda tx: [tx.full_edges(id_) for id_ in (POOL, other)])

    await store.write(lambda tx: tx.put_full_edges(POOL, first))
    assert await known() == [None, None], "of a pool that nobody knows nothing is kept"
    await store.write(lambda tx: tx.put_pool(pool))
    await store.write(lambda tx: tx.put_pool(replace(pool, id=other)))
    assert await known() == [None, None]
    for full in (first, later):
        await store.write(lambda tx, full=full: tx.put_full_edges(POOL, full))
        assert await known() == [full, None]
    await store.write(lambda tx: tx.put_pool(replace(pool, agent="unix:/somewhere")))
    assert await known() == [later, None]


async def test_markers_rise_from_two_to_the_24_plus_one(store: Store):
    claimed = await store.write(lambda tx: [tx.claim_marker() for _ in range(3)])

    assert claimed == [2**24 + 1, 2**24 + 2, 2**24 + 3]


async def test_an_endpoint_with_an_address_that_another_has_cannot_be_stored(store: Store):
    await store.write(lambda tx: tx.add_endpoint(an_endpoint(1)))
    for double in (
        an_endpoint(2, address=an_endpoint(1).address),
        an_endpoint(2, transit_address=an_endpoint(1).transit_address),
        an_endpoint(2, marker=an_endpoint(1).marker),
    ):
        with pytest.raises(Exception, match=r"(?i)unique"):
            await store.write(lambda tx, double=double: tx.add_endpoint(double))


# Lists


async def listed(store: Store, **filters: object) -> list[int]:
    query = ServiceQuery(ACME, **filters)  # pyright: ignore[reportArgumentType]
    services, total = await store.read(lambda tx: tx.services(query))
    assert total == len(services)
    return [UUID(service.id).int for service in services]


async def test_services_are_filtered(store: Store):
    deleting = a_service(4, delete_requested_at=NOON)
    others = a_service(5, project_id=UMBRELLA)
    odd = a_service(3, name="lab-1.100%_\\sure.3", observed_generation=1)
    failed = a_service(2, last_error=Failure("not-carried", ""))
    vip = a_service(1, backend=replace(a_service().backend, server_type=ServerType.VIP))
    await store.write(lambda tx: [tx.add_service(service) for service in (deleting, others, odd, failed, vip)])

    assert await listed(store) == [4, 3, 2, 1]
    assert await listed(store, name_contains="sHOP") == [4, 2, 1]
    assert await listed(store, name_contains="") == [4, 3, 2, 1]
    for literal in ("%", "_", "\\", "0%_\\S", "/"):
        assert await listed(store, name_contains=literal) == ([] if literal == "/" else [3])
    assert await listed(store, name_contains="\x00") == []
    assert await listed(store, name_contains="x" * 100_000) == []
    assert await listed(store, id=odd.id) == [3]
    assert await listed(store, id=others.id) == []
    assert await listed(store, server_type="VIP") == [1]
    assert await listed(store, status=ServiceStatus.DELETING) == [4]
    assert await listed(store, status=ServiceStatus.FAILED) == [2]
    assert await listed(store, status=ServiceStatus.CREATING) == [1]
    assert await listed(store, status=ServiceStatus.AVAILABLE, name_contains="sure") == [3]


async def test_endpoints_and_connections_are_filtered(store: Store):
    elsewhere = an_endpoint(3, vpc_id=VpcId("other"), service_id=ServiceId("other"), service_name="Else%where")
    accepted = an_endpoint(2, admission=Admission.ACCEPTED, observed_generation=1)
    await store.write(lambda tx: [tx.add_endpoint(endpoint) for endpoint in (an_endpoint(1), accepted, elsewhere)])

    async def of_project(**filters: object) -> list[int]:
        query = EndpointQuery(UMBRELLA, **filters)  # pyright: ignore[reportArgumentType]
        endpoints, total = await store.read(lambda tx: tx.endpoints(query))
        assert total == len(endpoints)
        return [UUID(endpoint.id).int - 1000 for endpoint in endpoints]

    async def of_service(**filters: object) -> list[int]:
        query = ConnectionQuery(a_service().id, **filters)  # pyright: ignore[reportArgumentType]
        endpoints, total = await store.read(lambda tx: tx.connections(query))
        assert total == len(endpoints)
        return [UUID(endpoint.id).int - 1000 for endpoint in endpoints]

    assert await of_project() == [3, 2, 1]
    assert await of_project(service_name_contains="SHOP") == [2, 1]
    assert await of_project(service_name_contains="e%w") == [3]
    assert await of_project(vpc_id="other") == [3]
    assert await of_project(id=accepted.id) == [2]
    assert await of_service() == [2, 1]
    assert await of_service(id=elsewhere.id) == []
    assert await of_service(marker=accepted.marker) == [2]
    assert await of_service(marker=2**80) == []
    assert await of_service(status=EndpointStatus.ACCEPTED) == [2]
    assert await of_service(status=EndpointStatus.PENDING_ACCEPTANCE) == [1]


async def test_texts_are_ordered_by_their_code_points_and_only_latin_letters_have_capitals(store: Store):
    names = {
        number: f"lab-1.{word}"
        for number, word in enumerate(["kilo", "Éclair", "éclair", "ß", "\N{LATIN SMALL LETTER DOTLESS I}"], 1)
    }
    ids = ["a-1", "B1", "_", "a1", "b", "A", "é"]

    def work(tx: WriteTransaction) -> None:
        for number, name in names.items():
            tx.add_service(a_service(number, name=name))
        for id_ in ids:
            tx.put_vpc(Vpc(VpcId(id_), ACME, "x", IPv4Network("10.0.0.0/16")))

    await store.write(work)

    assert await store.read(lambda tx: [vpc.id for vpc in tx.vpcs()]) == sorted(ids)
    assert await listed(store, name_contains="KILO") == [1]
    # Where languages have their say, the sign for kelvin is a k.
    assert await listed(store, name_contains="\N{KELVIN SIGN}ilo") == []
    assert await listed(store, name_contains="Éclair") == [2]
    assert await listed(store, name_contains="éCLAIR") == [3]
    assert await listed(store, name_contains="SS") == []
    assert await listed(store, name_contains="i") == [3, 2, 1]


async def test_connections_are_counted_if_creating_or_accepted(store: Store):
    facts: list[dict[str, object]] = [
        {"admission": Admission.PENDING},
        {"admission": Admission.REJECTED},
        {"admission": Admission.ACCEPTED},
        {"admission": Admission.ACCEPTED, "observed_generation": 1},
        {"admission": Admission.ACCEPTED, "delete_requested_at": NOON},
        {"admission": Admission.ACCEPTED, "last_error": Failure("x", "")},
        {"admission": Admission.ACCEPTED, "service_id": ServiceId("other")},
    ]
    for number, changes in enumerate(facts, 1):
        endpoint = an_endpoint(number, **changes)
        await store.write(lambda tx, endpoint=endpoint: tx.add_endpoint(endpoint))

    ids = [a_service().id, ServiceId("other"), ServiceId("nobody")]
    counts = await store.read(lambda tx: tx.connection_counts(ids))
    assert [counts.get(id_, 0) for id_ in ids] == [2, 1, 0]


async def test_pages_follow_each_other_without_gap_or_double_even_at_one_moment(store: Store):
    services = [a_service(number, created_at=NOON, updated_at=NOON - timedelta(number % 3)) for number in range(1, 12)]
    await store.write(lambda tx: [tx.add_service(service) for service in services])

    async def ids(page: Page) -> tuple[list[int], int]:
        found, total = await store.read(lambda tx: tx.services(ServiceQuery(ACME, page=page)))
        return [UUID(service.id).int for service in found], total

    ascending = [await ids(Page(limit=4, offset=offset, descending=False)) for offset in (0, 4, 8, 12)]
    assert [page for page, _ in ascending] == [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11], []]
    assert {total for _, total in ascending} == {11}
    assert await ids(Page(limit=3)) == ([11, 10, 9], 11)
    assert await ids(Page(limit=0)) == ([], 11)
    assert await ids(Page(limit=5, offset=2**80)) == ([], 11)
    by_update, _ = await ids(Page(limit=11, sort_by="updated_at", descending=False))
    assert by_update == [2, 5, 8, 11, 1, 4, 7, 10, 3, 6, 9]
    reverse, _ = await ids(Page(limit=11, sort_by="updated_at"))
    assert reverse == by_update[::-1]


async def test_the_total_of_a_list_follows_what_comes_and_goes_in_that_project_alone(store: Store):
    def totals(tx: ReadTransaction) -> tuple[int, ...]:
        projects = (ACME, UMBRELLA, ProjectId("c" * 32))
        services = [tx.services(ServiceQuery(project))[1] for project in projects]
        return *services, *[tx.endpoints(EndpointQuery(project))[1] for project in projects]

    def add(tx: WriteTransaction) -> None:
        for number in range(1, 4):
            tx.add_service(a_service(number))
            tx.add_endpoint(an_endpoint(number))
        tx.add_service(a_service(9, project_id=UMBRELLA))
        tx.update_service(a_service(1, description="changed", generation=2))

    def remove(tx: WriteTransaction) -> None:
        tx.remove_service(a_service(2).id)
        tx.remove_endpoint(an_endpoint(2).id)
        tx.remove_endpoint(an_endpoint(3).id)

    def fail(tx: WriteTransaction) -> None:
        tx.add_service(a_service(10))
        tx.remove_endpoint(an_endpoint(1).id)
        raise OperatorError("undone")

    await store.write(add)
    assert await store.read(totals) == (3, 1, 0, 0, 3, 0)
    await store.write(remove)
    with pytest.raises(OperatorError, match="undone"):
        await store.write(fail)
    assert await store.read(totals) == (2, 1, 0, 0, 1, 0)


async def test_order_of_time_holds_down_to_the_microsecond(store: Store):
    moments = [NOON, NOON + timedelta(microseconds=1), NOON + timedelta(seconds=1), NOON + timedelta(days=400)]
    services = [a_service(number, created_at=moment) for number, moment in enumerate(moments, 1)]
    await store.write(lambda tx: [tx.add_service(service) for service in reversed(services)])

    found, _ = await store.read(lambda tx: tx.services(ServiceQuery(ACME, page=Page(descending=False))))
    assert all(one.created_at < other.created_at for one, other in pairwise(found))


async def test_a_look_that_spoils_its_transaction_spoils_it_for_nobody_else(store: Store):
    def spoil(tx: ReadTransaction) -> object:
        return tx.changes_since(2**80)

    looks = (lambda tx: tx.vpcs(), spoil, lambda tx: tx.vpcs()) * 3
    found = await asyncio.gather(*(store.read(look) for look in looks), return_exceptions=True)

    assert [isinstance(each, Exception) for each in found] == [False, True, False] * 3


async def test_ten_thousand_ids_are_one_question(store: Store):
    await store.write(lambda tx: tx.add_service(a_service()))

    ids = [ServiceId(an_id(number)) for number in range(70_000)]
    assert set(await store.read(lambda tx: tx.services_by_id(ids))) == {a_service().id}


# Tags


async def test_tagged_resources_are_the_living_ones_of_one_project_the_newest_first(store: Store):
    def work(tx: WriteTransaction) -> None:
        tx.add_service(a_service(1))
        tx.add_service(a_service(2, tags=()))
        tx.add_service(a_service(3, delete_requested_at=NOON))
        tx.add_service(a_service(4, project_id=UMBRELLA))
        tx.add_endpoint(an_endpoint(1))
        tx.add_endpoint(an_endpoint(2, delete_requested_at=NOON))
        tx.add_endpoint(an_endpoint(3, project_id=ACME))

    await store.write(work)

    services = await store.read(lambda tx: tx.tagged_resources(ACME, ResourceType.ENDPOINT_SERVICE))
    endpoints = await store.read(lambda tx: tx.tagged_resources(UMBRELLA, ResourceType.ENDPOINT))
    first, second = a_service(1), a_service(2)
    assert services == [
        TaggedResource(second.id, second.name, {}),
        TaggedResource(first.id, first.name, {"tier": "gold", "stage": ""}),
    ]
    assert list(services[1].tags) == ["tier", "stage"]
    assert endpoints == [TaggedResource(an_endpoint(1).id, an_endpoint(1).id, {"owner": "me"})]


@pytest.mark.parametrize("kind", ResourceType)
async def test_new_tags_change_one_resource_in_nothing_else_and_raise_no_revision(store: Store, kind: ResourceType):
    def work(tx: WriteTransaction) -> None:
        for number in (1, 2):
            tx.add_service(a_service(number))
            tx.add_endpoint(an_endpoint(number))

    await store.write(work)
    before = await store.read(lambda tx: tx.changes_since(0))
    tags = (Tag("z", "1"), Tag("a", ""))
    changed = a_service(1).id if kind is ResourceType.ENDPOINT_SERVICE else an_endpoint(1).id

    await store.write(lambda tx: tx.put_tags(kind, changed, tags))

    after = await store.read(lambda tx: tx.changes_since(0))
    assert after.revision == before.revision
    assert [*after.services, *after.endpoints] == [
        replace(item, tags=tags) if item.id == changed else item for item in [*before.services, *before.endpoints]
    ]


# Quotas and policies


async def test_services_count_unless_they_are_deleting_or_public(store: Store):
    def work(tx: WriteTransaction) -> None:
        tx.add_service(a_service(1))
        tx.add_service(a_service(2, last_error=Failure("not-carried", "")))
        tx.add_service(a_service(3, delete_requested_at=NOON))
        tx.add_service(a_service(4, public_owner="lab"))
        tx.add_service(a_service(5, project_id=UMBRELLA))

    await store.write(work)

    assert await store.read(lambda tx: tx.used_quota(ACME, QuotaType.ENDPOINT_SERVICE)) == 2
    assert await store.read(lambda tx: tx.used_quota(UMBRELLA, QuotaType.ENDPOINT_SERVICE)) == 1
    assert await store.read(lambda tx: tx.used_quota(ProjectId("c" * 32), QuotaType.ENDPOINT_SERVICE)) == 0


async def test_endpoints_count_unless_they_are_deleting(store: Store):
    def work(tx: WriteTransaction) -> None:
        for number, admission in enumerate(Admission, start=1):
            tx.add_endpoint(an_endpoint(number, admission=admission))
        tx.add_endpoint(an_endpoint(7, delete_requested_at=NOON))
        tx.add_endpoint(an_endpoint(8, project_id=ACME))

    await store.write(work)

    assert await store.read(lambda tx: tx.used_quota(UMBRELLA, QuotaType.ENDPOINT)) == 3
    assert await store.read(lambda tx: tx.used_quota(ACME, QuotaType.ENDPOINT)) == 1


async def test_a_projects_own_quotas_come_back_can_be_replaced_and_forgotten(store: Store):
    def work(tx: WriteTransaction) -> None:
        tx.put_quota(ACME, QuotaType.ENDPOINT, 5)
        tx.put_quota(ACME, QuotaType.ENDPOINT, 2**40)
        tx.put_quota(ACME, QuotaType.ENDPOINT_SERVICE, 0)
        tx.put_quota(UMBRELLA, QuotaType.ENDPOINT, 7)
        tx.put_quota(UMBRELLA, QuotaType.ENDPOINT, None)
        tx.put_quota(UMBRELLA, QuotaType.ENDPOINT, None)

    await store.write(work)

    assert await store.read(lambda tx: tx.own_quotas(ACME)) == {
        QuotaType.ENDPOINT: 2**40,
        QuotaType.ENDPOINT_SERVICE: 0,
    }
    assert await store.read(lambda tx: tx.own_quotas(UMBRELLA)) == {}


async def test_a_policy_changes_one_endpoint_in_nothing_else_and_raises_no_revision(store: Store):
    def work(tx: WriteTransaction) -> None:
        tx.add_endpoint(an_endpoint(1))
        tx.add_endpoint(an_endpoint(2, policy_document="{}"))

    await store.write(work)
    before = await store.read(lambda tx: tx.changes_since(0))
    policy, later = '{"Statement":["ü"]}', NOON + timedelta(hours=1)

    await store.write(lambda tx: tx.put_policy(an_endpoint(1).id, policy, later))
    await store.write(lambda tx: tx.put_policy(an_endpoint(2).id, None, later))

    after = await store.read(lambda tx: tx.changes_since(0))
    assert after.revision == before.revision
    assert list(after.endpoints) == [
        an_endpoint(1, policy_document=policy, updated_at=later),
        an_endpoint(2, updated_at=later),
    ]


async def test_every_field_of_a_made_network_comes_back(store: Store):
    table = RouteTable(
        RouteTableId("00000000-0000-0000-0000-0000000000d1"), VPC, ACME, "custom", False,
        (Route(IPv4Network("192.168.0.0/24"), "ecs", "10.0.0.9", "ü"),), "a table", NOON, NOON,
    )  # fmt: skip
    vpc = Vpc(VPC, ACME, "shop", IPv4Network("10.0.0.0/16"), (), "ü", Origin.API, NOON, NOON + timedelta(hours=1))
    servers = (IPv4Address("10.9.0.1"), IPv4Address("10.9.0.2"))
    subnet = replace(
        WEB, description="ü", dhcp_enabled=False, dns_servers=servers, route_table_id=table.id, origin=Origin.API,
        created_at=NOON, updated_at=NOON,
    )  # fmt: skip
    pairs = (AddressPair(IPv4Network("10.0.0.30/32"), "fa:16:3e:00:00:01"),)
    nic = replace(NIC, device_owner="x", address_pairs=pairs, host="web-1", origin=Origin.API)

    def work(tx: WriteTransaction) -> None:
        tx.put_vpc(vpc)
        tx.put_route_table(replace(table, name="before"))
        tx.put_route_table(table)
        tx.put_subnet(subnet)
        tx.put_nic(nic)

    await store.write(work)

    def look(tx: ReadTransaction) -> list[object]:
        return [tx.vpc(VPC), tx.subnet(WEB.id), tx.nic(NIC.id), *tx.route_tables(VPC), tx.nic_on_host("web-1")]

    assert await store.read(look) == [vpc, subnet, nic, table, nic]
    await store.write(lambda tx: tx.remove_vpc(VPC))
    assert await store.read(lambda tx: list(tx.route_tables(VPC))) == []


async def test_a_project_finds_its_own_services_only(store: Store):
    service = a_service(delete_requested_at=NOON)
    await store.write(lambda tx: tx.add_service(service))

    assert await store.read(lambda tx: tx.own_service(ACME, service.id)) == service
    assert await store.read(lambda tx: tx.own_service(UMBRELLA, service.id)) is None
    assert await store.read(lambda tx: tx.own_service(ACME, ServiceId(an_id(9)))) is None


async def test_a_project_finds_its_own_endpoints_only_also_those_at_its_own_services(store: Store):
    endpoint = an_endpoint(delete_requested_at=NOON)
    await store.write(lambda tx: (tx.add_service(a_service()), tx.add_endpoint(endpoint)))

    assert await store.read(lambda tx: tx.own_endpoint(UMBRELLA, endpoint.id)) == endpoint
    assert await store.read(lambda tx: tx.own_endpoint(ACME, endpoint.id)) is None
    assert await store.read(lambda tx: tx.own_endpoint(UMBRELLA, EndpointId(an_id(9)))) is None


async def test_a_provider_finds_connections_to_its_own_services_only_also_where_it_is_the_consumer(store: Store):
    endpoint = an_endpoint(delete_requested_at=NOON)
    foreign = a_service(2, project_id=UMBRELLA)
    of_acme = an_endpoint(2, project_id=ACME, service_id=foreign.id)

    def work(tx: WriteTransaction) -> None:
        for service in (a_service(), foreign):
            tx.add_service(service)
        for one in (endpoint, of_acme):
            tx.add_endpoint(one)

    await store.write(work)

    assert await store.read(lambda tx: tx.connection(ACME, endpoint.id)) == endpoint
    assert await store.read(lambda tx: tx.connection(UMBRELLA, endpoint.id)) is None
    assert await store.read(lambda tx: tx.connection(ACME, of_acme.id)) is None
    assert await store.read(lambda tx: tx.connection(UMBRELLA, of_acme.id)) == of_acme
    assert await store.read(lambda tx: tx.connection(ACME, EndpointId(an_id(9)))) is None


async def test_a_project_finds_its_own_networks_only(store: Store):
    table = RouteTable(RouteTableId("00000000-0000-0000-0000-0000000000d1"), VPC, ACME, "default", True)
    vpc = Vpc(VPC, ACME, "shop", IPv4Network("10.0.0.0/16"))

    def work(tx: WriteTransaction) -> None:
        tx.put_vpc(vpc)
        tx.put_route_table(table)
        tx.put_subnet(WEB)
        tx.put_nic(NIC)

    await store.write(work)

    def found(tx: ReadTransaction, project: ProjectId) -> list[object]:
        one = [tx.vpc_of(project, VPC), tx.subnet_of(project, WEB.id), tx.nic_of(project, NIC.id)]
        one.append(tx.route_table_of(project, table.id))
        return [
            *one, *tx.vpcs_of(project), *tx.subnets_of(project), *tx.nics_of(project), *tx.route_tables_of(project)
        ]  # fmt: skip

    everything = [vpc, WEB, NIC, table]
    assert await store.read(lambda tx: found(tx, ACME)) == everything * 2
    assert await store.read(lambda tx: found(tx, UMBRELLA)) == [None] * 4


async def test_a_host_stands_for_one_nic(store: Store):
    await store.write(lambda tx: tx.put_nic(replace(NIC, host="web-1")))

    other = replace(NIC, id=NicId("c2"), address=IPv4Address("10.0.0.21"))
    with pytest.raises(OperatorError):
        await store.write(lambda tx: tx.put_nic(replace(other, host="web-1")))
    await store.write(lambda tx: tx.put_nic(other))


async def test_a_forgotten_nics_address_is_kept_until_it_is_freed(store: Store):
    wanted = IPv4Address("10.0.0.3")

    def make(tx: WriteTransaction) -> IPv4Address:
        address = tx.claim_nic_address(NIC.id, TINY, wanted)
        tx.put_nic(replace(NIC, subnet_id=TINY.id, address=address))
        tx.forget_nic(NIC.id)
        return address

    assert await store.write(make) == wanted
    with pytest.raises(AddressTaken):
        await store.write(lambda tx: tx.claim_nic_address(NicId("c2"), TINY, wanted))
    others = [await store.write(lambda tx, n=n: tx.claim_nic_address(NicId(f"c{n}"), TINY, None)) for n in range(4)]
    assert wanted not in others
    with pytest.raises(SubnetFull):
        await store.write(lambda tx: tx.claim_nic_address(NicId("c9"), TINY, None))
    await store.write(lambda tx: tx.free_nic_address(replace(NIC, subnet_id=TINY.id, address=wanted)))
    assert await store.write(lambda tx: tx.claim_nic_address(NicId("c9"), TINY, None)) == wanted


async def test_a_start_frees_the_addresses_of_forgotten_nics_and_no_others(store: Store):
    def make(tx: WriteTransaction) -> None:
        for number, address in enumerate(("10.0.0.3", "10.0.0.4")):
            nic = replace(NIC, id=NicId(f"c{number}"), subnet_id=TINY.id, address=IPv4Address(address))
            tx.put_nic(nic)
        tx.claim_endpoint_address(EndpointId("e1"), TINY, IPv4Address("10.0.0.5"))
        tx.forget_nic(NicId("c0"))
        tx.free_addresses_of_forgotten_nics()

    await store.write(make)

    def claim(tx: WriteTransaction, address: str) -> IPv4Address:
        return tx.claim_nic_address(NicId("c9"), TINY, IPv4Address(address))

    assert await store.write(lambda tx: claim(tx, "10.0.0.3")) == IPv4Address("10.0.0.3")
    for taken in ("10.0.0.4", "10.0.0.5"):
        with pytest.raises(AddressTaken):
            await store.write(lambda tx, taken=taken: claim(tx, taken))


async def test_the_users_of_a_network_are_named_deleting_ones_included(store: Store):
    service = replace(a_service(), delete_requested_at=NOON)
    endpoint = an_endpoint()

    def make(tx: WriteTransaction) -> None:
        tx.add_service(service)
        tx.add_endpoint(endpoint)

    await store.write(make)

    def look(tx: ReadTransaction) -> list[set[tuple[str, str]]]:
        uses = (
            tx.uses_of_vpc(service.vpc_id),
            tx.uses_of_subnet(service.backend.subnet_id),
            tx.uses_of_nic(service.backend.nic_id),
            tx.uses_of_vpc(endpoint.vpc_id),
            tx.uses_of_subnet(endpoint.subnet_id),
        )
        return [{(use.kind, use.id) for use in found} for found in uses]

    of_service, of_endpoint = ("endpoint service", service.id), ("endpoint", endpoint.id)
    found = await store.read(look)
    assert all(of_service in uses for uses in found[:3])
    assert all(of_endpoint in uses for uses in found[3:])
    assert await store.read(lambda tx: tx.uses_of_nic(NicId("c9"))) == []


async def test_an_amended_service_is_stored_without_waking_the_data_plane_and_its_name_shows_in_its_endpoints(
    store: Store,
):
    def work(tx: WriteTransaction) -> None:
        tx.add_service(a_service(1))
        tx.add_endpoint(an_endpoint(1))
        tx.add_endpoint(an_endpoint(2, service_id=ServiceId("another")))

    await store.write(work)
    before = await store.read(lambda tx: tx.changes_since(0))
    amended = a_service(1, name="lab-1.new", description="new", approval_enabled=False, updated_at=NOON)

    def rename(tx: WriteTransaction) -> None:
        tx.amend_service(amended)
        tx.rename_service_in_endpoints(amended.id, amended.name)

    await store.write(rename)

    after = await store.read(lambda tx: tx.changes_since(0))
    assert after.revision == before.revision
    assert list(after.services) == [amended]
    assert list(after.endpoints) == [
        an_endpoint(1, service_name="lab-1.new"),
        an_endpoint(2, service_id=ServiceId("another")),
    ]


async def test_public_services_are_the_living_ones_with_an_owner(store: Store):
    public = [a_service(number, public_owner="lab", name=f"com.example.Word{number}") for number in (1, 2)]
    ending = a_service(3, public_owner="lab", name="com.example.word3", delete_requested_at=NOON)

    def work(tx: WriteTransaction) -> None:
        for service in (*public, ending, a_service(4)):
            tx.add_service(service)

    await store.write(work)

    async def found(**filters: object) -> tuple[list[EndpointService], int]:
        query = PublicServiceQuery(**filters)  # pyright: ignore[reportArgumentType]
        rows, total = await store.read(lambda tx: tx.public_services(query))
        return list(rows), total

    assert await found() == (public[::-1], 2)
    assert await found(name_contains="WORD2") == ([public[1]], 1)
    assert await found(id=ending.id) == ([], 0)
    assert await found(page=Page(limit=1, offset=1)) == ([public[0]], 2)
    assert await store.read(lambda tx: list(tx.all_public_services())) == [*public, ending]
    assert await store.read(lambda tx: tx.public_service("com.example.Word2")) == public[1]
    for name in ("com.example.word2", ending.name, a_service(4).name):
        assert await store.read(lambda tx, name=name: tx.public_service(name)) is None


async def test_permissions_are_found_described_and_removed_by_id_within_their_service(store: Store):
    def entry(number: int, service: int, **changes: object) -> Permission:
        permission = Permission(
            PermissionId(an_id(number)),
            a_service(service).id,
            f"iam:domain::{number}",
            PermissionType.DOMAIN_ID,
            "",
            NOON,
        )
        return replace(permission, **changes)  # pyright: ignore[reportArgumentType]

    def work(tx: WriteTransaction) -> None:
        tx.add_service(a_service(1))
        tx.add_service(a_service(2))
        for number, service in [(1, 1), (2, 1), (3, 2)]:
            tx.add_permission(entry(number, service))
        tx.put_permission_description(entry(2, 1).id, "ünï")

    await store.write(work)
    first, second, third = entry(1, 1), entry(2, 1, description="ünï"), entry(3, 2)
    ids = [first.id, second.id, third.id, PermissionId("absent")]

    found = await store.read(lambda tx: tx.permissions_by_id(a_service(1).id, ids))
    assert found == {first.id: first, second.id: second}
    await store.write(lambda tx: tx.remove_permissions(a_service(1).id, [second.id, third.id]))
    assert await store.read(lambda tx: list(tx.all_permissions(a_service(1).id))) == [first]
    assert await store.read(lambda tx: list(tx.all_permissions(a_service(2).id))) == [third]


async def test_a_connections_description_changes_nothing_else_of_the_endpoint(store: Store):
    await store.write(lambda tx: tx.add_endpoint(an_endpoint(1)))
    before = await store.read(lambda tx: tx.changes_since(0))

    await store.write(lambda tx: tx.put_connection_description(an_endpoint(1).id, "branch"))

    after = await store.read(lambda tx: tx.changes_since(0))
    assert after.revision == before.revision
    assert list(after.endpoints) == [an_endpoint(1, connection_description="branch")]
