from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, create_engine, delete, insert, select

from landbridge.domain.lifecycle import counts_as_connected, endpoint_status, service_status
from landbridge.domain.resources import Admission, Failure
from landbridge.store import status
from landbridge.store.rows import endpoint_values, service_values
from landbridge.store.tables import endpoints, metadata, services
from tests.examples import a_service, an_endpoint

moments = st.none() | st.just(datetime(2026, 3, 1, tzinfo=UTC))
errors = st.none() | st.builds(Failure, st.sampled_from(["", "not-carried"]), st.just("why"))
generations = st.integers(0, 4)


@pytest.fixture(scope="module")
def connection() -> Iterator[Connection]:
    engine = create_engine("sqlite://")
    metadata.create_all(engine)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


@given(delete_requested_at=moments, last_error=errors, generation=generations, observed=generations)
def test_the_status_of_a_service_in_sql_is_that_of_the_domain(
    connection: Connection,
    delete_requested_at: datetime | None,
    last_error: Failure | None,
    generation: int,
    observed: int,
):
    facts = replace(
        a_service(),
        delete_requested_at=delete_requested_at,
        last_error=last_error,
        generation=generation,
        observed_generation=observed,
    )
    connection.execute(delete(services))
    connection.execute(insert(services), service_values(facts) | {"revision": 1})

    assert connection.execute(select(status.service_status)).scalar_one() == service_status(facts)


@given(
    delete_requested_at=moments,
    cut_requested_at=moments,
    last_error=errors,
    admission=st.sampled_from(Admission),
    generation=generations,
    observed=generations,
    accepted=st.none() | generations,
)
def test_the_status_of_an_endpoint_in_sql_is_that_of_the_domain(
    connection: Connection,
    delete_requested_at: datetime | None,
    cut_requested_at: datetime | None,
    last_error: Failure | None,
    admission: Admission,
    generation: int,
    observed: int,
    accepted: int | None,
):
    facts = replace(
        an_endpoint(),
        delete_requested_at=delete_requested_at,
        cut_requested_at=cut_requested_at,
        last_error=last_error,
        admission=admission,
        generation=generation,
        observed_generation=observed,
        accepted_generation=accepted,
    )
    connection.execute(delete(endpoints))
    connection.execute(insert(endpoints), endpoint_values(facts) | {"revision": 1})

    in_sql = connection.execute(select(status.endpoint_status, status.counts_as_connected).select_from(endpoints)).one()
    assert tuple(in_sql) == (endpoint_status(facts), counts_as_connected(facts))
