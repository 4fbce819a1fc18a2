"""The estate has the proportions that it should have, and its figures are turned into rows with their goals."""

from collections import Counter
from itertools import pairwise

import pytest

from landbridge import lab as labs
from landbridge.domain.ids import PoolId
from tests.benchmarks import scale, scale_pools
from tests.benchmarks.scale_world import (
    ENDPOINTS_PER_VPC,
    NICS_PER_PROVIDER,
    PORTS_PER_SERVICE,
    PROVIDERS_PER_CONSUMER,
    SERVICES_PER_PROVIDER,
    Estate,
    lab,
    services,
)


@pytest.mark.parametrize("endpoints", [1_000, 10_000, 30_000, 100_000])
def test_one_vpc_in_ten_has_services_and_the_others_a_hundred_endpoints_each(endpoints: int):
    estate = Estate(endpoints)

    assert estate.consumers * ENDPOINTS_PER_VPC == endpoints
    assert estate.consumers / (estate.consumers + estate.providers) == pytest.approx(0.9, abs=0.1)


def test_each_consumer_is_joined_to_two_providers_and_services_have_about_as_many_endpoints_each():
    estate = Estate(10_000)
    leads_to = [estate.service_of(endpoint) for endpoint in range(10_000)]

    for first in range(0, 10_000, ENDPOINTS_PER_VPC):
        providers = {provider for provider, _ in leads_to[first : first + ENDPOINTS_PER_VPC]}
        assert len(providers) == PROVIDERS_PER_CONSUMER
    counts = Counter(leads_to).values()
    assert len(counts) == estate.providers * SERVICES_PER_PROVIDER
    assert max(counts) <= 2 * min(counts)


def test_the_lab_file_is_one_and_services_of_one_nic_share_no_port():
    estate = Estate(2_000)
    facts = labs.show(labs.parse_lab(lab(estate, "estate")))

    made = services(estate, facts, [PoolId("one"), PoolId("other")])

    claims = [(service.backend, port.server_port) for service in made for port in service.ports]
    assert len(claims) == len(set(claims)) == estate.providers * SERVICES_PER_PROVIDER * PORTS_PER_SERVICE
    assert len({service.backend for service in made}) == estate.providers * NICS_PER_PROVIDER
    assert {service.pool_id for service in made if service.vpc_id == made[0].vpc_id} == {made[0].pool_id}


def test_twenty_vpcs_have_clients_spread_evenly():
    vpcs = Estate(10_000).client_vpcs()

    assert len(vpcs) == 20
    assert {later - earlier for earlier, later in pairwise(vpcs)} == {5}


def test_memory_is_what_an_endpoint_needs_above_a_server_without_any_and_goals_are_those_of_the_size():
    empty = scale.Measured(Estate(0), one_more_ms=[10.0], process_kib=100_000, after_sweeps_kib=100_000)
    full = scale.Measured(
        Estate(10_000),
        cold_start_seconds=16.0,
        sweep_seconds=[1.5, 1.6, 1.7],
        one_more_ms=[12.0],
        process_kib=140_000,
        after_sweeps_kib=150_000,
    )

    rows = {row.name.rpartition(".")[2]: row for row in scale.rows(empty, full)}

    assert rows["process_memory"].value == pytest.approx(40_000 * 1.024 / 10_000)
    assert rows["one_more"].ratio == pytest.approx(1.2)
    verdicts = {name: [goal.is_met for goal in row.goals] for name, row in rows.items() if row.goals}
    assert verdicts == {"cold_start": [False], "sweep": [True], "one_more": [True], "process_memory": [False]}


def test_core_and_store_alone_do_what_four_agents_do_and_find_nothing_amiss():
    few, many = scale_pools.measure(endpoints=600, changes=2)

    rows = {row.name: row for row in scale_pools.rows(few, many, 600)}

    assert len(rows["scale.pools.read"].ours) == len(scale_pools.POOLS)
    assert len(rows["scale.pools.change"].ours) == 2
    assert all(row.value is not None and row.value > 0 for row in rows.values())
