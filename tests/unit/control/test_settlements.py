"""Waiting for the data plane."""

import asyncio

from landbridge.control.settlements import Settlements, Wakeups
from landbridge.domain.ids import EndpointId

ID = EndpointId("e0100000-0000-4000-8000-000000000001")


async def test_a_waiter_sees_a_round_that_was_faster_than_the_writer():
    settlements = Settlements()

    with settlements.expect(ID) as waiter:
        settlements.settle(ID, 2)

        assert await waiter.reached(2, timeout_seconds=0.01)


async def test_an_older_generation_does_not_satisfy_and_the_wait_ends_in_time():
    settlements = Settlements()

    with settlements.expect(ID) as waiter:
        settlements.settle(ID, 1)

        assert not await waiter.reached(2, timeout_seconds=0.01)


async def test_a_later_generation_satisfies_a_waiter():
    settlements = Settlements()

    with settlements.expect(ID) as waiter:
        waiting = asyncio.create_task(waiter.reached(2, timeout_seconds=5))
        await asyncio.sleep(0)
        settlements.settle(ID, 3)

        assert await waiting


async def test_rings_while_nobody_listens_are_remembered_as_one():
    wakeups = Wakeups()
    wakeups.ring()
    wakeups.ring()

    assert await wakeups.wait(0.01)
    assert not await wakeups.wait(0.01)
