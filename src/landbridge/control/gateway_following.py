"""Let gateway endpoints follow when the subnets of their VPC change, or the route tables that these have.

Who may use a gateway endpoint depends on that. So a change is answered when the data plane has followed: nobody passes
from then on whose route table does not lead there any more.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from landbridge.control.endpoints import CUT_SECONDS, CutWatch
from landbridge.control.gateways import entries_of
from landbridge.control.protocols import Clock, Store, WriteTransaction
from landbridge.control.settlements import Settlements, Waiter, Wakeups
from landbridge.domain.draining import is_carried
from landbridge.domain.ids import VpcId
from landbridge.domain.resources import Endpoint, Subnet

T = TypeVar("T")


class FollowingGateways:
    """Changes of a VPC's subnets and route tables, which its gateway endpoints follow."""

    def __init__(self, store: Store, clock: Clock, wakeups: Wakeups, settlements: Settlements, watch: CutWatch) -> None:
        self._store = store
        self._clock = clock
        self._wakeups = wakeups
        self._settlements = settlements
        self._watch = watch

    async def change(self, vpc_id: VpcId, work: Callable[[WriteTransaction], T]) -> T:
        """Run a change of a VPC's subnets, or of which route tables they have; return what `work` returns.

        From the return on nobody passes whose route table does not lead there any more, or the cut is overdue.
        """
        now = self._clock.now()

        def change_and_follow(tx: WriteTransaction) -> tuple[T, Sequence[Endpoint]]:
            gateways = tx.gateway_endpoints(vpc_id)
            before = entries_of(tx, gateways)
            result = work(tx)
            after = entries_of(tx, gateways)
            changed = [endpoint for endpoint in gateways if after[endpoint.id] != before[endpoint.id]]
            lost = {endpoint.id for endpoint in changed if not set(before[endpoint.id]) <= set(after[endpoint.id])}
            return result, [
                _moved_on(tx, endpoint, now, is_cut=endpoint.id in lost and is_carried(endpoint, now))
                for endpoint in changed
            ]

        # Registered before the write: a round may be faster than we are.
        ids = [endpoint.id for endpoint in await self._store.read(lambda tx: tx.gateway_endpoints(vpc_id))]
        with ExitStack() as stack:
            waiters = {id_: stack.enter_context(self._settlements.expect(id_)) for id_ in ids}
            result, changed = await self._store.write(change_and_follow)
            if changed:
                self._wakeups.ring()
                await asyncio.gather(*(self._followed(endpoint, waiters.get(endpoint.id)) for endpoint in changed))
        return result

    async def let_in(self, subnet: Subnet) -> None:
        """Let the gateway endpoints of a VPC be reached from a new subnet, which is wired already."""
        now = self._clock.now()

        def work(tx: WriteTransaction) -> bool:
            gateways = tx.gateway_endpoints(subnet.vpc_id)
            entered = entries_of(tx, gateways)
            concerned = [endpoint for endpoint in gateways if subnet.id in entered[endpoint.id]]
            for endpoint in concerned:
                _moved_on(tx, endpoint, now, is_cut=False)
            return bool(concerned)

        if await self._store.read(lambda tx: bool(tx.gateway_endpoints(subnet.vpc_id))) and (
            await self._store.write(work)
        ):
            self._wakeups.ring()

    async def _followed(self, endpoint: Endpoint, waiter: Waiter | None) -> None:
        # One that was made since we looked has nothing to lose, and nobody waits for it.
        has_followed = waiter is None or await waiter.reached(endpoint.generation, CUT_SECONDS)
        if not has_followed and endpoint.cut_requested_at is not None:
            self._watch.cut_overdue(endpoint)


def _moved_on(tx: WriteTransaction, endpoint: Endpoint, now: datetime, *, is_cut: bool) -> Endpoint:
    """Store an endpoint that is reached from other subnets than before."""
    changed = replace(
        endpoint,
        generation=endpoint.generation + 1,
        cut_requested_at=endpoint.cut_requested_at or now if is_cut else endpoint.cut_requested_at,
        updated_at=now,
    )
    tx.update_endpoint(changed)
    return changed
