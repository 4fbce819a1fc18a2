"""Put many endpoints of one project into a database at once, as rows: through the API it would take many minutes.

They wait for acceptance. No data plane knows them, so they stand in pools of nobody; what a pool cannot have twice,
they do not have twice either.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from uuid import UUID

from sqlalchemy import create_engine, insert, text

from landbridge.control.capacity import TRANSIT_ADDRESSES
from landbridge.dataplane.model import TRANSIT_RANGE
from landbridge.domain.addressing import MARKERS
from landbridge.domain.ids import DomainId, EndpointId, PoolId, ProjectId, ServiceId, SubnetId, VpcId
from landbridge.domain.resources import Admission, Endpoint
from landbridge.store.rows import Values, endpoint_values
from landbridge.store.tables import endpoints

_FIRST_ADDRESS = IPv4Address("10.64.0.1")
_BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
_BATCH = 1000
"""Rows of a transaction: each counts in the same row, of which PostgreSQL keeps a version until the end."""


@dataclass(frozen=True, slots=True)
class CrowdFacts:
    """Whose endpoints they are, and which service they wait for."""

    project_id: ProjectId
    service_id: ServiceId
    service_name: str


def insert_endpoints(url: str, facts: CrowdFacts, count: int) -> Sequence[str]:
    """Insert so many endpoints into the database at a SQLAlchemy or libpq URL and return their ids, oldest first.

    Afterwards PostgreSQL analyses the database, as it does by itself where it has been running for a while.
    """
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    ids = [str(UUID(int=(0xB << 124) + number, version=4)) for number in range(count)]
    try:
        for first in range(0, count, _BATCH):
            chosen = range(first, min(first + _BATCH, count))
            with engine.begin() as connection:
                connection.execute(insert(endpoints), [_values(facts, ids[number], number) for number in chosen])
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            if engine.dialect.name == "postgresql":
                # The server would do it by itself within a minute. SQLite never does, and we never ask it to.
                connection.execute(text("VACUUM ANALYZE"))
    finally:
        engine.dispose()
    return ids


def _values(facts: CrowdFacts, id_: str, number: int) -> Values:
    pool, place = divmod(number, TRANSIT_ADDRESSES)
    moment = _BEGAN + timedelta(seconds=number)
    endpoint = Endpoint(
        id=EndpointId(id_),
        project_id=facts.project_id,
        domain_id=DomainId("d" * 32),
        pool_id=PoolId(f"nobody-{pool}"),
        service_id=facts.service_id,
        service_name=facts.service_name,
        vpc_id=VpcId("00000000-0000-4000-8000-00000000000c"),
        subnet_id=SubnetId("00000000-0000-4000-8000-00000000000d"),
        address=_FIRST_ADDRESS + number,
        transit_address=TRANSIT_RANGE.network_address + 1 + place,
        marker=MARKERS[-1 - number],
        admission=Admission.PENDING,
        enable_dns=False,
        whitelist=(),
        enable_whitelist=False,
        description="",
        connection_description="",
        tags=(),
        created_at=moment,
        updated_at=moment,
    )
    # Older than everything that was changed through the API: nobody shall look for what is new in them.
    return endpoint_values(endpoint) | {"revision": 0}
