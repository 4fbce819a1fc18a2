"""Migrations give the schema that new databases have, on both kinds of database, beside code that is older."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from landbridge.control.accounts import AccessKey, ProjectRecord, UserRecord
from landbridge.control.protocols import ReadTransaction, Store
from landbridge.control.queries import EndpointQuery, ServiceQuery
from landbridge.dataplane.driver import Capabilities
from landbridge.dataplane.pools import Pool
from landbridge.dataplane.tracking import FullEdges
from landbridge.domain.errors import OperatorError
from landbridge.domain.ids import DomainId, PermissionId, RouteTableId
from landbridge.domain.resources import Permission, PermissionType, RouteTable, TcpProxy, Vpc
from landbridge.store.directory_rows import nic_values, route_table_values, subnet_values, vpc_values
from landbridge.store.migrating import configuration
from landbridge.store.postgresql import PostgresqlStore
from landbridge.store.rows import Values, endpoint_values, permission_values, service_values
from landbridge.store.schema import HEAD
from landbridge.store.sqlite import SqliteStore
from landbridge.store.tables import metadata
from tests.contract.databases import engine_of
from tests.contract.test_store_contract import ACME, NIC, NOON, VPC, WEB, a_service, an_endpoint
from tests.postgresql import PostgresqlServer, connecting

REVISIONS = [
    script.revision for script in reversed(list(ScriptDirectory.from_config(configuration()).walk_revisions()))
]
OLDER = REVISIONS[:-1]


@dataclass(frozen=True)
class Place:
    """A database without tables."""

    where: str

    @property
    def is_file(self) -> bool:
        return self.where.startswith("/")

    def open(self) -> PostgresqlStore | SqliteStore:
        return SqliteStore.open(Path(self.where)) if self.is_file else PostgresqlStore.open(connecting(self.where))

    def migrate(self, revision: str) -> None:
        """Bring it to an older schema, as an older version would have."""
        with engine_of(self.where) as engine, engine.begin() as connection:
            config = configuration()
            config.attributes["connection"] = connection
            command.upgrade(config, revision)

    def do(self, work: Callable[[Connection], None]) -> None:
        with engine_of(self.where) as engine, engine.begin() as connection:
            work(connection)


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "sqlite":
        yield Place(str(tmp_path / "landbridge.db"))
        return
    server: PostgresqlServer = request.getfixturevalue("postgresql")
    name = server.new_database()
    yield Place(server.url(name))
    server.drop(name)


@pytest.fixture
def postgresql_place(postgresql: PostgresqlServer) -> Iterator[Place]:
    name = postgresql.new_database()
    yield Place(postgresql.url(name))
    postgresql.drop(name)


USER = UserRecord("u1", "ann", DomainId("d1"), "acme", "$argon2$", {}, ())
PROJECT = ProjectRecord(ACME, "acme", DomainId("d1"), "acme")
TABLE = RouteTable(
    id=RouteTableId("t1"), vpc_id=VPC, project_id=ACME, name="mine", is_default=False, routes=(), description=""
)
MAIN = Vpc(VPC, ACME, "main", IPv4Network("10.0.0.0/16"))
SERVICE, ENDPOINT = a_service(), an_endpoint()
PERMISSION = Permission(PermissionId("e1"), SERVICE.id, "*", PermissionType.DOMAIN_ID, "all", NOON)
POOL_ROW: Values = {"id": ENDPOINT.pool_id, "name": "a-pool", "agent": "unix:/somewhere", "wires_networks": False}
POOL = Pool(ENDPOINT.pool_id, "a-pool", Capabilities(frozenset({TcpProxy.CLOSE})), "unix:/somewhere")
FULL = FullEdges(frozenset({"a-vpc", "hub"}), NOON)


def rows() -> list[tuple[str, Values]]:
    """One row of each table that has been there from the beginning, or nearly."""
    return [
        ("services", service_values(SERVICE) | {"revision": 1}),
        ("endpoints", endpoint_values(ENDPOINT) | {"revision": 2}),
        ("permissions", permission_values(PERMISSION)),
        ("vpcs", vpc_values(MAIN)),
        ("subnets", subnet_values(WEB)),
        ("nics", nic_values(NIC)),
        ("route_tables", route_table_values(TABLE)),
        ("projects", {"id": ACME, "name": "acme", "domain_id": "d1", "domain_name": "acme"}),
        ("users", {"id": "u1", "name": "ann", "domain_id": "d1", "domain_name": "acme", "password_hash": "$argon2$"}),
        ("user_roles", {"user_id": "u1", "project_id": ACME, "role": "admin"}),
        ("access_keys", {"access_key": "KEY", "user_id": "u1", "position": 0, "sealed_secret": b"s"}),
        ("quotas", {"project_id": ACME, "type": "endpoint", "quota": 7}),
        ("counters", {"name": "revision", "value": 2}),
        ("markers", {"marker": ENDPOINT.marker, "freed_at": None}),
        ("server_port_claims", {"nic_id": NIC.id, "server_port": 80, "protocol": "TCP", "service_id": SERVICE.id}),
        ("subnet_addresses", _owned("subnet_id", WEB.id, ENDPOINT.address)),
        ("transit_addresses", _owned("pool_id", ENDPOINT.pool_id, ENDPOINT.transit_address)),
        ("pools", POOL_ROW | {"carries": ["close"], "refusals": {}, "epoch": 3}),
    ]


def _owned(scope: str, id_: str, address: IPv4Address | None) -> Values:
    return {scope: id_, "address": address, "owner_kind": "endpoint", "owner_id": ENDPOINT.id, "freed_order": None}


def columns_at(connection: Connection) -> dict[str, set[str]]:
    """The columns of each table as they are in the database at this moment."""
    inspector = inspect(connection)
    return {name: {column["name"] for column in inspector.get_columns(name)} for name in inspector.get_table_names()}


def insert_as_older_code(connection: Connection, columns: dict[str, set[str]]) -> None:
    """Insert a row of each table that older code knew, with the columns that it knew."""
    for name, values in rows():
        if name in columns:
            known = {column: value for column, value in values.items() if column in columns[name]}
            # What is not named is left to the database's own defaults.
            connection.execute(metadata.tables[name].insert().values(known))


def test_a_created_database_is_the_one_that_the_migrations_make(place: Place, postgresql: PostgresqlServer):
    def declared(connection: Connection) -> object:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        if place.is_file:
            return None
        # With collations, defaults and the order of columns, of which nobody depends on the last.
        facts = connection.execute(
            text(
                "SELECT table_name, column_name, data_type, is_nullable, collation_name, column_default "
                "FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'alembic_version' "
                "ORDER BY 1, 2"
            )
        ).all()
        indexes = connection.execute(
            text("SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1, 2")
        ).all()
        assert {fact.collation_name for fact in facts if fact.data_type == "character varying"} == {"C"}
        return facts, indexes

    # The store brings it on from here, step by step.
    place.migrate(REVISIONS[0])
    place.open().close()
    with engine_of(place.where) as engine, engine.connect() as connection:
        migrated = declared(connection)
    if place.is_file:
        return
    other = Place(postgresql.url(postgresql.new_database()))
    other.open().close()
    with engine_of(other.where) as engine, engine.connect() as connection:
        assert declared(connection) == migrated


@pytest.mark.parametrize("revision", OLDER)
async def test_what_older_code_has_written_is_read_after_migrating(place: Place, revision: str):
    place.migrate(revision)
    place.do(lambda connection: insert_as_older_code(connection, columns_at(connection)))

    with place.open() as store:
        await check_everything_is_there(store, revision)


@pytest.mark.parametrize("revision", OLDER)
async def test_what_older_code_writes_afterwards_is_taken_and_read(place: Place, revision: str):
    columns: dict[str, set[str]] = {}
    place.migrate(revision)
    place.do(lambda connection: columns.update(columns_at(connection)))

    with place.open() as store:
        place.do(lambda connection: insert_as_older_code(connection, columns))
        await check_everything_is_there(store, revision)


async def check_everything_is_there(store: Store, revision: str) -> None:
    def look(tx: ReadTransaction) -> list[object]:
        return [
            tx.service(SERVICE.id),
            tx.endpoint(ENDPOINT.id),
            *tx.all_permissions(SERVICE.id),
            tx.vpc(VPC),
            tx.subnet(WEB.id),
            tx.nic(NIC.id),
            tx.project(ACME),
            tx.user_by_access_key("KEY"),
            tx.changes_since(1).endpoints[0].id,
            tx.services(ServiceQuery(SERVICE.project_id))[1],
            tx.endpoints(EndpointQuery(ENDPOINT.project_id))[1],
        ]

    roles = {ACME: frozenset({"admin"})}
    user = replace(USER, roles=roles, access_keys=(AccessKey("KEY", b"s"),))
    expected = [SERVICE, ENDPOINT, PERMISSION, MAIN, WEB, NIC, PROJECT, user, ENDPOINT.id, 1, 1]
    assert await store.read(look) == expected
    if revision >= "0003":
        assert TABLE in await store.read(lambda tx: tx.route_tables(VPC))
    if revision >= "0008":
        assert await store.read(lambda tx: (tx.pools(), tx.full_edges(POOL.id))) == ([POOL], None)
        await store.write(lambda tx: tx.put_full_edges(POOL.id, FULL))
        assert await store.read(lambda tx: tx.full_edges(POOL.id)) == FULL
    await store.write(lambda tx: tx.update_endpoint(replace(ENDPOINT, generation=2)))


# PostgreSQL: several processes, and no pause for those that run


def start_four(place: Place) -> None:
    errors: list[BaseException] = []

    def start() -> None:
        try:
            place.open().close()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert errors == []


def version_of(place: Place) -> object:
    with engine_of(place.where) as engine, engine.connect() as connection:
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()


def test_of_processes_that_start_at_once_one_creates_the_tables(postgresql_place: Place):
    start_four(postgresql_place)

    assert version_of(postgresql_place) == HEAD


def test_of_processes_that_start_at_once_one_at_a_time_migrates(postgresql_place: Place):
    postgresql_place.migrate(REVISIONS[0])

    start_four(postgresql_place)

    assert version_of(postgresql_place) == HEAD


def test_while_a_migration_waits_for_a_table_others_go_on_reading_and_writing_it(postgresql_place: Place):
    postgresql_place.migrate("0004")
    with engine_of(postgresql_place.where) as engine:
        with engine.connect() as long_look:
            # Its share of the lock stays until its transaction ends.
            long_look.execute(text("SELECT count(*) FROM services"))
            starting = threading.Thread(target=lambda: postgresql_place.open().close())
            starting.start()
            for number in range(30):
                with engine.begin() as other:
                    other.execute(text("SET LOCAL lock_timeout = '10s'"))
                    other.execute(text("SELECT count(*) FROM services"))
                    other.execute(text("UPDATE services SET name = 'x' WHERE generation = :number"), {"number": number})
                time.sleep(0.05)
            assert starting.is_alive()
            assert long_look.execute(text("SELECT version_num FROM alembic_version")).scalar_one() == "0004"
        starting.join(120)

    assert version_of(postgresql_place) == HEAD


async def test_code_that_is_older_than_the_schema_goes_on_working_and_does_not_start_anew(postgresql_place: Place):
    with postgresql_place.open() as store:
        with connecting(postgresql_place.where)() as connection:
            connection.execute("ALTER TABLE vpcs ADD COLUMN newer varchar NOT NULL DEFAULT 'x'")
            connection.execute("UPDATE alembic_version SET version_num = '9999'")

        await store.write(lambda tx: tx.put_vpc(MAIN))
        assert await store.read(lambda tx: tx.vpc(VPC)) == MAIN
    with pytest.raises(OperatorError, match="newer Landbridge"):
        postgresql_place.open()
