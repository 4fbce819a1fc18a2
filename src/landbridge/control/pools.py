"""Decide which pool a service lives in, what can be carried there, and whether there is room for more."""

from datetime import datetime

from landbridge.control.protocols import ReadTransaction
from landbridge.dataplane.pools import least_full
from landbridge.dataplane.tracking import has_room, tracking_edges
from landbridge.domain.errors import ConnectionsFull, NoPool, NotCarried
from landbridge.domain.ids import PoolId, VpcId
from landbridge.domain.resources import EndpointService, TcpProxy


def pool_for(tx: ReadTransaction, vpc_id: VpcId) -> PoolId:
    """Return the pool of a VPC's services: that of those it has, else the least full one.

    Raises:
        NoPool: no agent has ever said what it carries.
    """
    settled = tx.pool_of_vpc(vpc_id)
    if settled is not None:
        return settled
    pools = tx.pools()
    if not pools:
        raise NoPool("no data plane has ever been started here: the operator starts `landbridge agent`")
    return pools[0].id if len(pools) == 1 else least_full(pools, tx.transit_addresses_in_use()).id


def check_is_carried(tx: ReadTransaction, pool_id: PoolId, mode: TcpProxy) -> None:
    """Refuse a mode that the pool's data plane does not carry.

    Raises:
        NotCarried: with the reason, and what is carried.
    """
    pool = next((pool for pool in tx.pools() if pool.id == pool_id), None)
    refusal = None if pool is None else pool.capabilities.refusal(mode)
    if refusal is not None:
        raise NotCarried(refusal)


def check_has_room(tx: ReadTransaction, service: EndpointService, consumer: VpcId, now: datetime) -> None:
    """Refuse one more endpoint of a VPC while an edge that would track its connections is nearly full.

    Raises:
        ConnectionsFull: without figures, which are not the caller's business.
    """
    if not has_room(tx.full_edges(service.pool_id), tracking_edges(consumer, service), now):
        raise ConnectionsFull(
            "between this VPC and the endpoint service nearly as many connections are open as can be carried, so no "
            "endpoint can be added: close some, try again in a few minutes, or ask the operator for more room"
        )
